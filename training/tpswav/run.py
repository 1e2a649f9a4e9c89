"""One run, of pretraining or of fine-tuning: prepare and deal the vertebrae, train, judge the test part and the external sites."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from training.errors import TrainingError
from training.loop import Fitted, fit
from training.medconv.crops import CropOptions
from training.metrics.bootstrap import BootstrapOptions, Interval
from training.metrics.table import write_metrics
from training.provenance import note_commit, noted_commit
from training.tpswav.data import DataOptions, Parts, load_parts
from training.tpswav.evaluate import patient_scores, vertebra_scores
from training.tpswav.options import ExpertOptions
from training.tpswav.pretrain_task import MaeTask, PretrainOptions, SwavTask, pretrain_task
from training.tpswav.task import ExpertsTask, Predictions, predict
from training.tpswav.vertebrae import Vertebra, labelled

MAPS = "maps"


@dataclass(frozen=True)
class PretrainRun:
    """Where a pretraining lies and what it is. ``out`` holds prepared vertebrae, texture maps, split, checkpoint, log and weights."""

    out: Path
    options: PretrainOptions
    crop: CropOptions
    data: DataOptions
    progress: bool = True

    @cached_property
    def parts(self) -> Parts:
        """The vertebrae, prepared once."""
        return load_parts(self.data, self.crop, self.out, progress=self.progress)

    @cached_property
    def task(self) -> SwavTask | MaeTask:
        """What the loop trains: all vertebrae of the training part, labelled or not."""
        cache = (self.data.cache.parent if self.data.cache is not None else self.out) / MAPS
        return pretrain_task(self.options, self.parts.train, probe_of(self.parts), cache)

    def train(self, *, resume: bool = True) -> Fitted:
        """Train to the end, going on from the last checkpoint where there is one.

        Raises
        ------
        TrainingError
            As :func:`training.loop.fit` and :func:`~training.tpswav.data.load_parts`.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        note_commit(self.out)
        return fit(self.task, self.options.loop, self.out, resume=resume, progress=self.progress)


def probe_of(parts: Parts) -> tuple[tuple[Vertebra, ...], tuple[Vertebra, ...]] | None:
    """Labelled vertebrae for the monitors; None where a part lacks a class."""
    train, validation = labelled(parts.train), labelled(parts.validation)
    both = all(len({one.label for one in part}) == 2 for part in (train, validation))
    return (train, validation) if both else None


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A trained network and what it was found to do.

    Attributes
    ----------
    judged
        What it says of the test part and the external sites; None where there are none.
    metrics
        Of ``judged``, by vertebra (``vertebra_...``) and by patient (``patient_...``).
    """

    fitted: Fitted
    judged: Predictions | None
    metrics: Mapping[str, Interval]


@dataclass(frozen=True)
class ExpertRun:
    """Where a fine-tuning lies and what it is. ``out`` holds prepared vertebrae, split, checkpoint, log and metrics."""

    out: Path
    options: ExpertOptions
    data: DataOptions
    progress: bool = True

    @cached_property
    def parts(self) -> Parts:
        """The vertebrae, prepared once."""
        return load_parts(self.data, self.options.crop, self.out, progress=self.progress)

    @cached_property
    def settled(self) -> ExpertOptions:
        """The options, with the densitometers that the training part has: of any other the gate would know nothing."""
        return with_known_devices(self.options, self.parts.train)

    @cached_property
    def task(self) -> ExpertsTask:
        """What the loop trains."""
        return ExpertsTask(self.settled, self.parts.train, self.parts.validation)

    def train(self, *, resume: bool = True) -> Finished:
        """Train to the end and judge the best epoch.

        Raises
        ------
        TrainingError
            As :func:`training.loop.fit` and :func:`~training.tpswav.data.load_parts`.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        note_commit(self.out)
        fitted = fit(self.task, self.options.loop, self.out, resume=resume, progress=self.progress)
        if not fitted.history:
            raise TrainingError("no epoch was completed; nothing was learned")
        return self.finish(fitted)

    def finish(self, fitted: Fitted, options: BootstrapOptions | None = None) -> Finished:
        """Read what is to be judged and write ``metrics.json``."""
        judged = predict(fitted.model, self.parts.judged, self.settled) if self.parts.judged else None
        metrics: dict[str, Interval] = {}
        if judged is not None and any(one.labelled for one in self.parts.judged):
            metrics |= {f"vertebra_{name}": one for name, one in vertebra_scores(judged, options).items()}
            metrics |= {f"patient_{name}": one for name, one in patient_scores(judged, options).items()}
        write_metrics(metrics, self.out)
        return Finished(fitted=fitted, judged=judged, metrics=metrics)

    @property
    def commit(self) -> str | None:
        """The commit of the tree in which the run was begun, where there was git."""
        return noted_commit(self.out)


def with_known_devices(options: ExpertOptions, train: Sequence[Vertebra]) -> ExpertOptions:
    """The options with those of their densitometers by which a vertebra of the training part was measured, in their order.

    Raises
    ------
    TrainingError
        There is none.
    """
    seen = {one.device for one in labelled(train)}
    known = tuple(name for name in options.devices if name in seen)
    if not known:
        raise TrainingError(f"no vertebra of the training part was measured by {', '.join(options.devices)}")
    return replace(options, devices=known)
