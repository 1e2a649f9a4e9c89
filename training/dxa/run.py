"""One run for a bundle: one fold validates, the others train; the temperature comes from validation, the figures from the test part."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from training.dxa.crossval import predicted
from training.dxa.data import DataOptions, Dealt, Turn, load
from training.dxa.evaluate import Predictions, scores, temperature_of
from training.dxa.learner import Learner
from training.dxa.options import DxaOptions
from training.loop import Fitted, fit
from training.metrics.bootstrap import Interval
from training.metrics.table import write_metrics
from training.provenance import note_commit


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A finished run.

    Attributes
    ----------
    temperature
        Of the validation part; None where none fits, and probabilities are not calibrated.
    test
        What the network says of the test part; None where no patient fell to it.
    metrics
        Of ``test``, with intervals.
    """

    fitted: Fitted
    temperature: float | None
    validation: Predictions
    test: Predictions | None
    metrics: Mapping[str, Interval]


@dataclass(frozen=True)
class DxaRun:
    """Where a run lies and what it is. ``out`` holds prepared cases, split, checkpoint, log and metrics."""

    out: Path
    options: DxaOptions
    data: DataOptions
    fold: int = 1
    progress: bool = True

    @cached_property
    def dealt(self) -> Dealt:
        """The cases, prepared once."""
        return load(self.data, self.out, progress=self.progress)

    @cached_property
    def turn(self) -> Turn:
        """Who learns and who validates."""
        return self.dealt.turn(self.fold)

    @cached_property
    def learner(self) -> Learner:
        """What the network is given."""
        cache = (self.data.cache or self.out / "cases") / "features"
        return Learner(self.options, self.dealt.training, cache, progress=self.progress)

    def train(self, *, resume: bool = True) -> Finished:
        """Train to the end, going on from the last checkpoint where there is one, and judge the best epoch by the test part.

        Raises
        ------
        TrainingError
            As :func:`training.loop.fit` and :func:`~training.dxa.data.load`.
        """
        note_commit(self.out)
        return self.finish(fit(self.learner.task(self.turn), self.options.loop, self.out, resume=resume, progress=self.progress))

    def finish(self, fitted: Fitted) -> Finished:
        """Calibrate on the validation part, predict the test part and write ``metrics.json``."""
        validation = predicted(self.learner, fitted.model, self.turn.validation)
        temperature = temperature_of(validation)
        test = predicted(self.learner, fitted.model, self.dealt.test, temperature or 1.0) if self.dealt.test else None
        metrics = scores(test) if test is not None else {}
        write_metrics(metrics, self.out, temperature=temperature)
        return Finished(fitted=fitted, temperature=temperature, validation=validation, test=test, metrics=metrics)
