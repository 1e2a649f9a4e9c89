"""One MedConv run: prepare and deal the cases, train, choose tau2 where asked for, predict the test part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import nn

from training.loop import Fitted, fit
from training.medconv.crops import Case
from training.medconv.data import DataOptions, Parts, load_parts
from training.medconv.evaluate import Predictions, predictions_of, scores, tuned_tau2
from training.medconv.options import MedconvOptions
from training.medconv.task import MedconvTask, predict
from training.metrics.bootstrap import Interval
from training.metrics.table import write_metrics
from training.provenance import note_commit


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A finished run.

    Attributes
    ----------
    tau2
        The one given, or the one chosen on the validation part.
    test
        What the network says of the test part; None where no patient fell to it.
    metrics
        Of ``test``, with intervals.
    """

    fitted: Fitted
    priors: tuple[float, ...]
    tau2: float
    validation: Predictions
    test: Predictions | None
    metrics: Mapping[str, Interval]


@dataclass(frozen=True)
class MedconvRun:
    """Where a run lies and what it is. ``out`` holds prepared cases, split, checkpoint, log and metrics."""

    out: Path
    options: MedconvOptions
    data: DataOptions
    progress: bool = True

    @cached_property
    def parts(self) -> Parts:
        """The cases, prepared once."""
        return load_parts(self.data, self.options.crop, self.out, progress=self.progress)

    @cached_property
    def task(self) -> MedconvTask:
        """What the loop trains."""
        return MedconvTask(self.options, self.parts.train, self.parts.validation)

    def train(self, *, resume: bool = True) -> Finished:
        """Train to the end, going on from the last checkpoint where there is one, and judge the best epoch by the test part.

        Raises
        ------
        TrainingError
            As :func:`training.loop.fit` and :func:`~training.medconv.data.load_parts`.
        """
        note_commit(self.out)
        return self.finish(fit(self.task, self.options.loop, self.out, resume=resume, progress=self.progress))

    def finish(self, fitted: Fitted) -> Finished:
        """Choose tau2, predict the test part and write ``metrics.json``."""
        priors = self.task.priors
        validation = self._predict(fitted.model, self.parts.validation, priors, self.options.tau2 or 0.0)
        tau2 = tuned_tau2(validation) if self.options.tau2 is None else self.options.tau2
        test = self._predict(fitted.model, self.parts.test, priors, tau2) if self.parts.test else None
        metrics = scores(test) if test is not None else {}
        write_metrics(metrics, self.out, tau2=tau2)
        return Finished(fitted=fitted, priors=priors, tau2=tau2, validation=validation, test=test, metrics=metrics)

    def _predict(self, model: nn.Module, cases: Sequence[Case], priors: tuple[float, ...], tau2: float) -> Predictions:
        return predictions_of(cases, predict(model, cases, self.options), priors, tau2)
