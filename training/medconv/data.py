"""The cases of a run, dealt into training, validation and test part by patient."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inference.bundles import TrainedOn
from training.data.labels import LABELS
from training.data.manifest import read_manifest
from training.data.origin import origin
from training.data.rows import Manifest, ManifestRow, manifest_of
from training.data.split_file import load_or_make_split
from training.data.splits import TEST, TRAIN, VALIDATION, SplitOptions
from training.data.values import Modality
from training.errors import TrainingError
from training.medconv.crops import Case, CropOptions, Prepared
from training.medconv.prepare import prepare_manifest, prepare_simulated
from training.medconv.simulated import SimulatedOptions

SPLIT = "split.json"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Cases by part; no patient is in two.

    Attributes
    ----------
    trained_on
        What a model learned from them was trained on.
    description
        Where they come from, in words.
    prepared
        All cases, and who was skipped and why.
    """

    train: tuple[Case, ...]
    validation: tuple[Case, ...]
    test: tuple[Case, ...]
    trained_on: TrainedOn
    description: str
    prepared: Prepared


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Where cases come from and how they are dealt.

    Attributes
    ----------
    source
        A simulated cohort, or a manifest (CSV or Parquet).
    split
        Fractions and seed; a manifest whose column ``split`` is filled keeps it.
    cache, jobs
        Folder of prepared cases (None: in the run's own), and processes that prepare them.
    """

    source: SimulatedOptions | Path
    split: SplitOptions = field(default_factory=SplitOptions)
    cache: Path | None = None
    jobs: int = 1


def load_parts(options: DataOptions, crop: CropOptions, out: Path, *, progress: bool = True) -> Parts:
    """Prepare every case and deal them out; the split is kept in ``out/split.json``.

    Raises
    ------
    TrainingError
        The manifest cannot be read, nothing is left of it, or the split in ``out`` belongs to other patients.
    """
    cache = options.cache or out / "cases"
    if isinstance(options.source, SimulatedOptions):
        prepared = prepare_simulated(options.source, crop, cache, jobs=options.jobs, progress=progress)
        manifest = manifest_of([_row(case) for case in prepared.cases])
        trained_on, described = TrainedOn.SIMULATED_PATIENTS, describe(options.source)
    else:
        manifest = ct_rows(read_manifest(options.source))
        prepared = prepare_manifest(manifest.rows, crop, cache, jobs=options.jobs, progress=progress)
        trained_on, described = origin(manifest), f"CT studies of the manifest {options.source.name}"
    if not prepared.cases:
        raise TrainingError(f"no study gives a case\n{prepared.words()}")
    parts = dealt(prepared.cases, manifest, options.split, out / SPLIT)
    train, validation, test = (parts[name] for name in (TRAIN, VALIDATION, TEST))
    return Parts(train=train, validation=validation, test=test, trained_on=trained_on, description=described, prepared=prepared)


def dealt(cases: Sequence[Case], manifest: Manifest, options: SplitOptions, path: Path) -> dict[str, tuple[Case, ...]]:
    """Cases by part. Whoever may be one patient shares a part (:mod:`training.data.splits`)."""
    if any(row.split is not None for row in manifest.used):
        options = SplitOptions(method="given", test=0.0, validation=0.0)
    split = load_or_make_split(path, manifest, options)
    return {part: tuple(case for case in cases if split.parts[case.patient] == part) for part in (TRAIN, VALIDATION, TEST)}


def ct_rows(manifest: Manifest) -> Manifest:
    """The CT studies of a manifest.

    Raises
    ------
    TrainingError
        There is none.
    """
    rows = [row for row in manifest.used if row.modality is Modality.CT]
    if not rows:
        raise TrainingError("the manifest lists no CT study")
    return manifest_of(rows, manifest.folder)


def describe(source: SimulatedOptions) -> str:
    """A simulated cohort in words."""
    shares = ", ".join(f"{label.value} {share:g}" for label, share in zip(LABELS, source.cohort.prevalence, strict=True))
    return (
        f"{source.patients} simulated patients of the cohort '{source.cohort.name}' (seed {source.seed}; wanted shares: {shares}), "
        "each painted around L1 with the noise, slices, tube voltage and contrast of its scanner; the class is the WHO class of the true "
        "L1-L4 T-score"
    )


def _row(case: Case) -> ManifestRow:
    return ManifestRow(patient_id=case.patient, modality=Modality.CT, label=LABELS[case.label], t_score=case.t_score)
