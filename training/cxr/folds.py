"""Cross-validation as the paper has it: a test part that no network sees, four folds of the rest, a network for each vertebra and fold."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from inference.cxr.network import DensityEnsemble, RegionRegression
from inference.cxr.rois import Floats
from inference.errors import Refusal
from training.cxr.cases import Film, Films, with_level
from training.cxr.estimates import Estimates, estimates_of
from training.cxr.options import DensityOptions
from training.cxr.task import DensityTask, RegionStore, predict
from training.data.rows import ManifestRow, manifest_of
from training.data.splits import TEST, SplitOptions, make_split
from training.data.values import Modality
from training.errors import TrainingError
from training.loop import Fitted, fit
from training.preparing import Skipped


@dataclass(frozen=True, kw_only=True)
class Dealt:
    """Films by part; no patient is in two.

    Attributes
    ----------
    folds
        Each the validation part once, the others then the training part.
    """

    folds: tuple[tuple[Film, ...], ...]
    test: tuple[Film, ...]

    def training(self, fold: int) -> tuple[Film, ...]:
        """The films of all folds but one."""
        return tuple(film for number, part in enumerate(self.folds) if number != fold for film in part)


def deal(films: Sequence[Film], options: DensityOptions) -> Dealt:
    """Deal patients into the test part and the folds, each with its share of every class.

    Raises
    ------
    TrainingError
        There are too few patients.
    """
    rows = [ManifestRow(patient_id=film.patient, modality=Modality.CXR, label=film.label) for film in films]
    split = make_split(manifest_of(rows), SplitOptions(seed=options.seed, folds=options.folds, test=options.test))
    parts: dict[str, list[Film]] = {name: [] for name in split.names}
    for film, row in zip(films, rows, strict=True):
        parts[split.part_of(row)].append(film)
    folds = tuple(tuple(parts[name]) for name in sorted(parts) if name.startswith("fold-"))
    if len(folds) < options.folds or min(len(fold) for fold in folds) < 2:
        raise TrainingError(f"{len(films)} films are too few for {options.folds} folds")
    return Dealt(folds=folds, test=tuple(parts.get(TEST, ())))


def usable(films: Films, options: DensityOptions) -> tuple[Films, RegionStore]:
    """The films whose regions can be cut, and these regions; the others are left out with the reason.

    Raises
    ------
    TrainingError
        None is left.
    """
    store = RegionStore(films.cases, options)
    left: list[Film] = []
    gone = list(films.skipped)
    for film in films.cases:
        try:
            store.of(film)
        except (Refusal, TrainingError) as error:
            gone.append(Skipped(patient=film.patient, because=str(error)))
        else:
            left.append(film)
    if not left:
        raise TrainingError(f"no film can be used\n{replace(films, cases=(), skipped=tuple(gone)).words()}")
    return replace(films, cases=tuple(left), skipped=tuple(gone)), store


def comparable(films: Films, options: DensityOptions) -> Films:
    """The films from which every variant can be trained, so that all are judged by the same patients; all, where none has landmarks.

    Raises
    ------
    TrainingError
        None is left.
    """
    if not any(np.isfinite(film.landmarks).all() for film in films.cases):
        return films
    return usable(films, replace(options, variant="proposed"))[0]


@dataclass(frozen=True, kw_only=True)
class Member:
    """One trained network."""

    level: str
    fold: int
    fitted: Fitted


class CrossValidation:
    """Trains the networks of one variant.

    Parameters
    ----------
    films
        All of them.
    out
        A folder for each network, in which an interrupted run goes on.
    """

    def __init__(self, films: Films, options: DensityOptions, out: Path, *, progress: bool = True) -> None:
        self.options = options
        self.out = out
        self.films, self._store = usable(films, options)
        self._progress = progress

    @cached_property
    def dealt(self) -> Dealt:
        """The parts."""
        return deal(self.films.cases, self.options)

    def train(self, *, resume: bool = True, said: Callable[[str, int], None] | None = None) -> tuple[Member, ...]:
        """Every network, level by level.

        Parameters
        ----------
        said
            Told level and fold (from 1) after each.

        Raises
        ------
        TrainingError
            As :func:`training.loop.fit`, or a level has too few films.
        """
        members = []
        for level in self.options.levels:
            for fold in range(self.options.folds):
                members.append(Member(level=level, fold=fold, fitted=self._fit(level, fold, resume=resume)))
                if said is not None:
                    said(level, fold + 1)
        return tuple(members)

    def _fit(self, level: str, fold: int, *, resume: bool) -> Fitted:
        train, validation = with_level(self.dealt.training(fold), level), with_level(self.dealt.folds[fold], level)
        task = DensityTask(self.options, level, train, validation, self._store)
        loop = replace(self.options.loop, seed=self.options.seed * 1000 + fold)
        folder = self.folder(level, fold)
        folder.mkdir(parents=True, exist_ok=True)
        return fit(task, loop, folder, resume=resume, progress=self._progress)

    def folder(self, level: str, fold: int) -> Path:
        """Where one network's checkpoint and log lie."""
        return self.out / f"{level}-fold-{fold + 1}"

    def estimates(self, members: Sequence[Member]) -> Estimates:
        """What the networks say of the test part.

        Raises
        ------
        TrainingError
            Nobody fell to it.
        """
        if not self.dealt.test:
            raise TrainingError("no patient fell to the test part")
        return estimates_of(self.dealt.test, self.predictions(members, self.dealt.test))

    def predictions(self, members: Sequence[Member], films: Sequence[Film]) -> Mapping[str, list[Floats]]:
        """By level, what the network of each fold says of films, g/cm²."""
        said: dict[str, list[Floats]] = {level: [] for level in self.options.levels}
        for member in members:
            said[member.level].append(predict(member.fitted.model, films, self._store, self.options.batch))
        return said

    def clear(self) -> None:
        """Remove checkpoints and weights; they may be gigabytes."""
        for level in self.options.levels:
            for fold in range(self.options.folds):
                shutil.rmtree(self.folder(level, fold), ignore_errors=True)


def ensemble_of(members: Sequence[Member], options: DensityOptions) -> DensityEnsemble:
    """All networks as one that a bundle holds, in their order, without the local regressors, on the CPU.

    Raises
    ------
    TrainingError
        A member is another network.
    """
    found = DensityEnsemble(in_channels=options.chosen.regions, out_channels=len(members), **options.network_arguments())
    for target, member in zip(found.members, members, strict=True):
        model = member.fitted.model
        if not isinstance(model, RegionRegression):
            raise TrainingError("an ensemble holds regressions from regions")
        kept = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("local.")}
        target.load_state_dict(kept)
    return found.eval()
