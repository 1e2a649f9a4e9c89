"""The cases of a run and how they are dealt: 30 % to test, the others in five folds, by patient; nobody, and no image, is in two parts."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from inference.bundles import TrainedOn
from training.data.content import Content
from training.data.origin import origin
from training.data.rows import ManifestRow, manifest_of
from training.data.split_file import load_or_make_split
from training.data.splits import TEST, SplitOptions, given_split
from training.data.values import Modality
from training.dxa.cases import Case, Prepared
from training.dxa.simulated import SimulatedOptions, prepare_simulated
from training.dxa.sources import prepare_rows, read_source
from training.errors import TrainingError

SPLIT = "split.json"
TEST_SHARE, FOLDS = 0.3, 5


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Where cases come from and how they are dealt.

    Attributes
    ----------
    source
        A simulated cohort, a manifest (CSV or Parquet), or a folder in the layout of public data sets (:mod:`training.dxa.layout`).
    seed, folds
        Of the split. A manifest whose column ``split`` says ``test`` keeps its test part.
    osteopenia
        Counted as ``normal``, that is: not osteoporosis. False leaves it out; the paper's patients had none.
    cache, jobs
        Folder of prepared cases (None: in the run's own), and processes that prepare them.
    """

    source: SimulatedOptions | Path
    seed: int = 0
    folds: int = FOLDS
    osteopenia: bool = True
    cache: Path | None = None
    jobs: int = 1


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One fold's turn to validate."""

    number: int
    train: tuple[Case, ...]
    validation: tuple[Case, ...]


@dataclass(frozen=True, kw_only=True)
class Dealt:
    """All cases, by part.

    Attributes
    ----------
    parts
        Of each case: ``test``, or ``fold-1`` ...
    trained_on
        What a model that learned from them was trained on.
    description
        Where they come from, in words.
    """

    prepared: Prepared
    parts: tuple[str, ...]
    trained_on: TrainedOn
    description: str

    @cached_property
    def test(self) -> tuple[Case, ...]:
        """Never trained on, nor chosen by."""
        return self._of(lambda part: part == TEST)

    @cached_property
    def training(self) -> tuple[Case, ...]:
        """All folds together."""
        return self._of(lambda part: part != TEST)

    @property
    def folds(self) -> int:
        """How many there are."""
        return len({part for part in self.parts if part != TEST})

    def turns(self) -> Iterator[Turn]:
        """Each fold as the validation part once, the others as the training part."""
        for number in range(1, self.folds + 1):
            yield self.turn(number)

    def turn(self, number: int) -> Turn:
        """One fold's.

        Raises
        ------
        TrainingError
            There is no such fold.
        """
        name = f"fold-{number}"
        if name not in self.parts:
            raise TrainingError(f"there is no fold {number}; there are {self.folds}")
        train = self._of(lambda part: part not in (TEST, name))
        return Turn(number=number, train=train, validation=self._of(lambda part: part == name))

    def _of(self, wanted: Callable[[str], bool]) -> tuple[Case, ...]:
        return tuple(case for case, part in zip(self.prepared.cases, self.parts, strict=True) if wanted(part))


def load(options: DataOptions, out: Path, *, progress: bool = True) -> Dealt:
    """Prepare every case and deal them out; the split is kept in ``out/split.json``.

    Raises
    ------
    TrainingError
        The source cannot be read, nothing is left of it, or the split in ``out`` belongs to other patients.
    """
    cache = options.cache or out / "cases"
    given: dict[str, str] = {}
    if isinstance(options.source, SimulatedOptions):
        prepared = prepare_simulated(options.source, cache, jobs=options.jobs, progress=progress)
        trained_on, described = TrainedOn.SIMULATED_PATIENTS, options.source.words()
    else:
        manifest = read_source(options.source)
        if any(row.split is not None for row in manifest.rows):
            given = dict(given_split(manifest).parts)
        prepared = prepare_rows(manifest.rows, cache, jobs=options.jobs, progress=progress)
        trained_on, described = origin(manifest), f"DXA images of {options.source.name}"
    prepared = prepared if options.osteopenia else prepared.without_osteopenia()
    if not prepared.cases:
        raise TrainingError(f"no study gives a case\n{prepared.words()}")
    out.mkdir(parents=True, exist_ok=True)
    return Dealt(prepared=prepared, parts=dealt(prepared.cases, options, out / SPLIT, given), trained_on=trained_on, description=described)


def dealt(cases: tuple[Case, ...], options: DataOptions, path: Path, given: dict[str, str]) -> tuple[str, ...]:
    """The part of each case. Whoever may be one patient shares a part: by ID, by file, by the crop's pixels.

    Parameters
    ----------
    path
        Where the split is kept.
    given
        Parts that the manifest states, by patient; ``test`` stays the test part, all others are dealt into folds.
    """
    rows = [_row(case, number) for number, case in enumerate(cases)]
    content: Content = {row.path: frozenset({_digest(case)}) for row, case in zip(rows, cases, strict=True) if row.path is not None}
    kept = [row for row in rows if given.get(row.patient_id) != TEST]
    if not kept:
        raise TrainingError("every patient is in the test part; nobody is left to learn from")
    wanted = SplitOptions(seed=options.seed, test=0.0 if given else TEST_SHARE, folds=options.folds)
    split = load_or_make_split(path, manifest_of(kept), wanted, content=content)
    parts = tuple(TEST if given.get(row.patient_id) == TEST else split.part_of(row) for row in rows)
    _check_apart(cases, parts)
    return parts


def _row(case: Case, number: int) -> ManifestRow:
    """A case for dealing. A painted case has no file; its place stands for one, so that its pixels can be compared."""
    t_score = case.t_score if np.isfinite(case.t_score) else None
    path = case.path or Path(f"case-{number}")
    return ManifestRow(
        patient_id=case.patient, modality=Modality.DXA, path=path, label=case.label, t_score=t_score, device=case.device or None
    )


def _digest(case: Case) -> str:
    return hashlib.sha256(np.ascontiguousarray(case.large).tobytes()).hexdigest()


def _check_apart(cases: tuple[Case, ...], parts: tuple[str, ...]) -> None:
    """A stated test part may share an image with a fold: nothing could be learned from such a test.

    Raises
    ------
    TrainingError
        Naming two patients.
    """
    first: dict[str, tuple[Case, str]] = {}
    for case, part in zip(cases, parts, strict=True):
        other, where = first.setdefault(_digest(case), (case, part))
        if where != part:
            raise TrainingError(f"the same image stands under {other.patient!r} in {where} and under {case.patient!r} in {part}")


def without_device(found: Dealt, device: str) -> Dealt:
    """Images of one device to test on, those of the others to learn from: how well a network does on a maker that it never saw.

    The test is on patients of the test part alone, since a patient may have been scanned by several devices.

    Raises
    ------
    TrainingError
        No case of the test part is from this device, or none of the others is from another.
    """
    pairs = list(zip(found.prepared.cases, found.parts, strict=True))
    kept = [(case, part) for case, part in pairs if (case.device == device) == (part == TEST)]
    parts = tuple(part for _, part in kept)
    if TEST not in parts or set(parts) == {TEST}:
        raise TrainingError(f"leaving out {device!r} needs test cases of it and others to learn from")
    return replace(found, prepared=replace(found.prepared, cases=tuple(case for case, _ in kept)), parts=parts)
