"""Cross-validation: each fold validates once, each fold's network speaks of the test part; what was found is kept, not done again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.data.labels import BoneLabel
from training.dxa.cases import CLASS_OF, CLASSES, Case
from training.dxa.data import Dealt, Turn
from training.dxa.evaluate import Predictions, predictions_of, temperature_of
from training.dxa.learner import Learner
from training.dxa.options import DxaOptions
from training.dxa.task import DxaTask, Floats, fingerprint, predict
from training.errors import TrainingError
from training.kept_runs import PREDICTIONS, digest_of, keep_predictions, read_predictions, read_run, readable
from training.loop import fit
from training.loop.journal import FILE as LOG
from training.loop.journal import read_log
from training.metrics.classification import binary_metrics

_HEAD = ("part", "patient", "device", "label", "t_score", *(f"logit_{name}" for name in CLASSES))


@dataclass(frozen=True, kw_only=True)
class FoldResult:
    """What the network of one fold said.

    Attributes
    ----------
    validation, test
        Calibrated by the temperature of the validation part, where one fits.
    log
        Its ``log.csv``: loss and accuracy by epoch.
    """

    number: int
    validation: Predictions
    test: Predictions
    best_epoch: int
    seconds: float
    log: Path

    @property
    def accuracy(self) -> float:
        """On the fold that validated. The best epoch was chosen on it, so it flatters; every network alike."""
        return binary_metrics(self.validation.truth, self.validation.probabilities.argmax(axis=1))["accuracy"]

    @property
    def loss(self) -> float:
        """The validation loss of the best epoch."""
        return float(next(row["val_loss"] for row in read_log(self.log) if int(row["epoch"]) == self.best_epoch))


class CrossValidation:
    """Trains networks fold by fold.

    Parameters
    ----------
    dealt
        The cases by fold and test part.
    out
        Folder of what was found.
    cache
        Folder of features of frozen networks.
    """

    def __init__(self, dealt: Dealt, out: Path, cache: Path, *, progress: bool = True) -> None:
        if not dealt.test:
            raise TrainingError("no patient fell to the test part; a table needs some")
        self.dealt = dealt
        self._out = out
        self._cache = cache
        self._progress = progress

    def folds(self, options: DxaOptions, said: Callable[[], None] | None = None, only: Sequence[int] = ()) -> tuple[FoldResult, ...]:
        """One result per fold; ``said`` is called after each.

        Parameters
        ----------
        only
            Numbers of folds; all when empty.
        """
        learner = Learner(options, self.dealt.training, self._cache, progress=self._progress)
        return tuple(self._results(learner, only, said))

    def _results(self, learner: Learner, only: Sequence[int], said: Callable[[], None] | None) -> Iterator[FoldResult]:
        for turn in self.dealt.turns():
            if only and turn.number not in only:
                continue
            yield self._fold(learner, turn)
            if said is not None:
                said()

    def best_rate(self, options: DxaOptions, rates: Sequence[float], only: Sequence[int] = ()) -> tuple[float, Mapping[float, float]]:
        """Grid search: the learning rate with the least mean validation loss over folds, and the losses of all.

        The test part is predicted, as always, and not looked at here.
        """
        losses = {rate: float(np.mean([one.loss for one in self.folds(options.with_rate(rate), only=only)])) for rate in rates}
        return min(losses, key=lambda rate: (losses[rate], rate)), losses

    def _fold(self, learner: Learner, turn: Turn) -> FoldResult:
        task = learner.task(turn)
        options = learner.options
        loop = options.loop.identity() | {"epochs": options.loop.epochs, "patience": options.loop.patience}
        told = {"task": dict(task.describe()), "loop": loop, "test": fingerprint(self.dealt.test)}
        folder = self._out / f"{options.network}-{digest_of(told)}"
        if not (folder / PREDICTIONS).exists():
            self._train(learner, task, turn, folder, told)
        return read_fold(folder, turn.number, options)

    def _train(self, learner: Learner, task: DxaTask, turn: Turn, folder: Path, told: Mapping[str, Any]) -> None:
        """Train one fold and keep its predictions; checkpoint and weights are removed after that."""
        work = folder / "work"
        work.mkdir(parents=True, exist_ok=True)
        options = learner.options
        fitted = fit(task, options.loop, work, progress=False)
        lines: list[tuple[str, ...]] = [_HEAD]
        for part, cases in (("validation", turn.validation), ("test", self.dealt.test)):
            logits = predict(fitted.model, learner.examples(cases), options.batch)
            lines += [_line(part, case, row) for case, row in zip(cases, logits, strict=True)]
        run = {**told, "best_epoch": fitted.best_epoch, "seconds": fitted.seconds}
        keep_predictions(lines, run, work, folder)


def read_fold(folder: Path, number: int, options: DxaOptions) -> FoldResult:
    """What a fold found, from its folder.

    Raises
    ------
    TrainingError
        The files cannot be read.
    """
    with readable(folder):
        run, rows = read_run(folder), read_predictions(folder)
        validation, test = (_predictions([row for row in rows if row["part"] == part], options) for part in ("validation", "test"))
        best_epoch, seconds = int(run["best_epoch"]), float(run["seconds"])
    temperature = temperature_of(validation) or 1.0
    return FoldResult(
        number=number,
        validation=validation.calibrated(temperature),
        test=test.calibrated(temperature),
        best_epoch=best_epoch,
        seconds=seconds,
        log=folder / LOG,
    )


def _predictions(rows: Sequence[Mapping[str, str]], options: DxaOptions) -> Predictions:
    return Predictions(
        patients=tuple(row["patient"] for row in rows),
        devices=tuple(row["device"] for row in rows),
        truth=np.array([CLASS_OF[BoneLabel(row["label"])] for row in rows], dtype=np.int64),
        t_scores=np.array([float(row["t_score"]) for row in rows]),
        logits=np.array([[float(row[f"logit_{name}"]) for name in CLASSES] for row in rows]).reshape(-1, len(CLASSES)),
        temperature=np.ones(len(rows)),
        network=np.zeros(len(rows), dtype=np.int64),
        output=options.output,
    )


def predicted(learner: Learner, model: Any, cases: Sequence[Case], temperature: float = 1.0) -> Predictions:
    """What a trained network says of cases."""
    logits: Floats = predict(model, learner.examples(cases), learner.options.batch)
    return predictions_of(cases, logits, temperature, learner.options.output)


def _line(part: str, case: Case, logits: Floats) -> tuple[str, ...]:
    return (part, case.patient, case.device, case.label.value, repr(case.t_score), *(repr(float(logit)) for logit in logits))
