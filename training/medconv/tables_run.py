"""Training what a table's rows need, each distinct run once; what was found is kept as CSV and not trained again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from training.campaign import check_seeds
from training.data.splits import SplitOptions
from training.errors import TrainingError
from training.kept_runs import PREDICTIONS, digest_of, keep_predictions, read_predictions, read_run, readable
from training.loop import fit
from training.medconv.crops import CropOptions
from training.medconv.data import DataOptions, Parts, load_parts
from training.medconv.evaluate import Predictions
from training.medconv.options import MedconvOptions
from training.medconv.rows import Method, options_of
from training.medconv.simulated import SimulatedOptions
from training.medconv.task import CLASSES, MedconvTask, predict

_PARTS = ("validation", "test")


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """What all rows of a table share.

    Attributes
    ----------
    source
        A simulated cohort, or a manifest.
    base
        Size and schedule; a row's method settles the rest.
    weights
        Pretrained weights by network.
    seeds
        Repeats. Each deals the patients out anew and begins with other weights.
    out
        Where prepared cases, splits and what was found are kept.
    jobs
        Processes that prepare cases.
    """

    source: SimulatedOptions | Path
    base: MedconvOptions
    weights: Mapping[str, Path]
    seeds: tuple[int, ...]
    out: Path
    jobs: int = 2
    progress: bool = True

    def __post_init__(self) -> None:
        check_seeds(self.seeds)

    @property
    def simulated(self) -> bool:
        """The patients are simulated."""
        return isinstance(self.source, SimulatedOptions)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one run said of the patients that it was not trained on.

    Attributes
    ----------
    validation, test
        With the priors of the training part; ``tau2`` is the method's.
    best_epoch
        Chosen on the validation part.
    seconds
        Of training.
    counts
        Training cases of each class.
    """

    validation: Predictions
    test: Predictions
    best_epoch: int
    seconds: float
    counts: tuple[int, ...]

    def adjusted(self, tau2: float) -> "Result":
        """The same run with another post-hoc adjustment."""
        return replace(self, validation=replace(self.validation, tau2=tau2), test=replace(self.test, tau2=tau2))


class Runs:
    """Trains runs and keeps what they found. Rows that ask for the same run share it.

    Parameters
    ----------
    campaign
        What they share.
    """

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self._parts: dict[tuple[str, int], Parts] = {}

    def parts(self, seed: int, crop: CropOptions | None = None, source: SimulatedOptions | None = None) -> Parts:
        """The cases as one seed deals them out.

        Parameters
        ----------
        crop, source
            Another crop, or simulated patients with other masks, than the campaign's.

        Raises
        ------
        TrainingError
            There are none.
        """
        campaign, box = self.campaign, crop or self.campaign.base.crop
        chosen = source or campaign.source
        key = digest_of({"crop": box.plain(), "source": str(chosen)})
        if (key, seed) not in self._parts:
            options = DataOptions(source=chosen, split=SplitOptions(seed=seed), cache=campaign.out / "cases", jobs=campaign.jobs)
            folder = campaign.out / "splits" / f"{key}-{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            self._parts[key, seed] = load_parts(options, box, folder, progress=campaign.progress)
        return self._parts[key, seed]

    def results(
        self,
        method: Method,
        crop: CropOptions | None = None,
        source: SimulatedOptions | None = None,
        said: Callable[[], None] | None = None,
    ) -> tuple[Result, ...]:
        """One result per seed.

        Parameters
        ----------
        crop, source
            As :meth:`parts` takes them.
        said
            Called after each.
        """
        found = []
        for seed in self.campaign.seeds:
            found.append(self.result(method, seed, self.parts(seed, crop, source)))
            if said is not None:
                said()
        return tuple(found)

    def result(self, method: Method, seed: int, parts: Parts) -> Result:
        """The result of one run on given parts: trained, or read where it was trained before.

        Raises
        ------
        TrainingError
            There is nobody to test on, or the run cannot be trained.
        """
        options = options_of(method, self.campaign.base, self.campaign.weights, seed)
        if not parts.test:
            raise TrainingError("no patient fell to the test part; a table needs some")
        task = MedconvTask(options, parts.train, parts.validation)
        told = {"task": dict(task.describe()), "loop": options.loop.identity() | {"epochs": options.loop.epochs}}
        folder = self.campaign.out / "runs" / f"{method.network}-{digest_of(told)}"
        if not (folder / PREDICTIONS).exists():
            _train(task, options, parts, folder, told)
        return replace(read_result(folder).adjusted(method.tau2), counts=task.counts)


def _train(task: MedconvTask, options: MedconvOptions, parts: Parts, folder: Path, told: Mapping[str, Any]) -> None:
    """Train one run and keep its predictions; checkpoint and weights, which may be gigabytes, are removed after that."""
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    fitted = fit(task, options.loop, work, progress=False)
    lines = [["part", "patient", "class", "t_score", *(f"logit_{name}" for name in CLASSES)]]
    for part, cases in zip(_PARTS, (parts.validation, parts.test), strict=True):
        for case, row in zip(cases, predict(fitted.model, cases, options), strict=True):
            lines.append([part, case.patient, CLASSES[case.label], repr(case.t_score), *(repr(float(logit)) for logit in row)])
    run = {**told, "priors": list(task.priors), "best_epoch": fitted.best_epoch, "seconds": fitted.seconds}
    keep_predictions(lines, run, work, folder)


def read_result(folder: Path) -> Result:
    """What a run found, from its folder; ``tau2`` is 0 and the counts are left out.

    Raises
    ------
    TrainingError
        The files cannot be read.
    """
    with readable(folder):
        run, rows = read_run(folder), read_predictions(folder)
        validation, test = (_predictions([row for row in rows if row["part"] == part], run["priors"]) for part in _PARTS)
        return Result(validation=validation, test=test, best_epoch=int(run["best_epoch"]), seconds=float(run["seconds"]), counts=())


def _predictions(rows: Sequence[Mapping[str, str]], priors: Sequence[float]) -> Predictions:
    return Predictions(
        patients=tuple(row["patient"] for row in rows),
        truth=np.array([CLASSES.index(row["class"]) for row in rows], dtype=np.int64),
        t_scores=np.array([float(row["t_score"]) for row in rows]),
        logits=np.array([[float(row[f"logit_{name}"]) for name in CLASSES] for row in rows]).reshape(-1, len(CLASSES)),
        priors=tuple(priors),
        tau2=0.0,
    )
