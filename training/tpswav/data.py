"""The vertebrae of a run, dealt into training, validation and test part by patient; external sites are tested alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from inference.bundles import TrainedOn
from training.data.labels import who_label
from training.data.manifest import read_manifest
from training.data.origin import origin
from training.data.rows import Manifest, ManifestRow, manifest_of
from training.data.split_file import load_or_make_split
from training.data.splits import EXTERNAL, TEST, TRAIN, VALIDATION, SplitOptions
from training.data.values import Modality
from training.errors import TrainingError
from training.medconv.crops import CropOptions
from training.medconv.data import ct_rows
from training.tpswav.census import Census
from training.tpswav.crops import prepare_manifest
from training.tpswav.simulated import SITES, SimulatedOptions, prepare_simulated
from training.tpswav.vertebrae import Vertebra

SPLIT = "split.json"
PAPER_TEST, PAPER_VALIDATION = 0.3, 0.1
"""Parts of the paper's patients at the internal sites (Table 1)."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Vertebrae by part; no patient is in two.

    Attributes
    ----------
    train, validation, test
        Labelled or not. ``train`` is also what pretraining sees.
    external
        Vertebrae of sites that are nobody's training data.
    trained_on
        What a model learned from them was trained on.
    description
        Where they come from, in words.
    census
        Everything that was looked at.
    """

    train: tuple[Vertebra, ...]
    validation: tuple[Vertebra, ...]
    test: tuple[Vertebra, ...]
    external: tuple[Vertebra, ...]
    trained_on: TrainedOn
    description: str
    census: Census

    @property
    def judged(self) -> tuple[Vertebra, ...]:
        """What a finished model is judged by: the test part and the external sites."""
        return (*self.test, *self.external)


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Where vertebrae come from and how patients are dealt.

    Attributes
    ----------
    source
        A simulated cohort, or a manifest (CSV or Parquet).
    hold_out
        Sites of a manifest that are external; a simulated cohort has its own.
    cache, jobs
        Folder of prepared vertebrae (None: in the run's own), and processes that prepare them.
    """

    source: SimulatedOptions | Path
    seed: int = 0
    hold_out: tuple[str, ...] = ()
    cache: Path | None = None
    jobs: int = 1

    @property
    def split(self) -> SplitOptions:
        """How patients are dealt: by site and by whether any vertebra is osteoporotic."""
        external = self.source.external if isinstance(self.source, SimulatedOptions) else self.hold_out
        return SplitOptions(
            seed=self.seed, test=PAPER_TEST, validation=PAPER_VALIDATION, stratify=("label", "site"), hold_out_sites=external
        )


def load_parts(options: DataOptions, crop: CropOptions, out: Path, *, progress: bool = True) -> Parts:
    """Prepare every vertebra and deal the patients out; the split is kept in ``out/split.json``.

    Raises
    ------
    TrainingError
        The manifest cannot be read, nothing is left of it, or the split in ``out`` belongs to other patients.
    """
    cache = options.cache or out / "cases"
    listed: Manifest | None = None
    if isinstance(options.source, SimulatedOptions):
        census = prepare_simulated(options.source, crop, cache, jobs=options.jobs, progress=progress)
        trained_on, described = TrainedOn.SIMULATED_PATIENTS, describe(options.source)
    else:
        listed = ct_rows(read_manifest(options.source))
        census = prepare_manifest(listed.rows, crop, cache, jobs=options.jobs, progress=progress)
        trained_on, described = origin(listed), f"CT studies of the manifest {options.source.name}"
    if not census.vertebrae:
        raise TrainingError(f"no study gives a vertebra: {census.words()}")
    manifest = patients_of(census.vertebrae, listed)
    split = options.split
    if any(row.split is not None for row in manifest.used):
        split = SplitOptions(method="given", test=0.0, validation=0.0)
    dealt = load_or_make_split(out / SPLIT, manifest, split).parts
    parts = {part: tuple(one for one in census.vertebrae if dealt[one.patient] == part) for part in (TRAIN, VALIDATION, TEST, EXTERNAL)}
    return Parts(
        train=parts[TRAIN],
        validation=parts[VALIDATION],
        test=parts[TEST],
        external=parts[EXTERNAL],
        trained_on=trained_on,
        description=described,
        census=census,
    )


def patients_of(vertebrae: Sequence[Vertebra], listed: Manifest | None = None) -> Manifest:
    """The patients who have a vertebra, each with the site and the class of the worst one, as rows that can be dealt out.

    Parameters
    ----------
    listed
        The manifest of the studies, whose rows also say who may be one patient under two names; None for simulated patients.
    """
    own: dict[str, list[Vertebra]] = {}
    for one in vertebrae:
        own.setdefault(one.patient, []).append(one)
    scores = {patient: [one.t_score for one in members if np.isfinite(one.t_score)] for patient, members in own.items()}
    labels = {patient: who_label(min(found)) if found else None for patient, found in scores.items()}
    if listed is None:
        rows = [ManifestRow(patient_id=name, modality=Modality.CT, label=labels[name], site=own[name][0].site) for name in own]
        return manifest_of(rows)
    known = [row for row in listed.used if row.patient_id in own]
    return manifest_of([replace(row, label=labels[row.patient_id], site=own[row.patient_id][0].site) for row in known], listed.folder)


def describe(source: SimulatedOptions) -> str:
    """A simulated cohort in words."""
    sites = ", ".join(f"{name} {site.device}{' (external)' if name in source.external else ''}" for name, site in SITES.items())
    levels = "all levels" if source.levels is None else f"{source.levels[0]} to {source.levels[-1]}"
    return (
        f"{source.patients} simulated patients of four sites ({sites}; seed {source.seed}; {levels}), each painted around the spine with "
        "the noise, slices and tube voltage of its scanner; densities are true ones as the site's densitometer would read them"
    )


@dataclass(frozen=True, kw_only=True)
class SiteCounts:
    """A row of Table 1."""

    devices: tuple[str, ...]
    patients: dict[str, int] = field(default_factory=dict)
    unlabelled: int = 0
    labelled: dict[str, int] = field(default_factory=dict)


def composition(parts: Parts) -> dict[str, SiteCounts]:
    """Table 1 by site: patients of each part, vertebrae without truth that pretraining sees, vertebrae with truth of each part.

    External patients count as tested.
    """
    by_part = {TRAIN: parts.train, VALIDATION: parts.validation, TEST: parts.judged}
    found = {}
    for site in sorted({one.site for members in by_part.values() for one in members}):
        here = {part: [one for one in members if one.site == site] for part, members in by_part.items()}
        found[site] = SiteCounts(
            devices=tuple(sorted({one.device for members in here.values() for one in members if one.device is not None})),
            patients={part: len({one.patient for one in members}) for part, members in here.items()},
            unlabelled=sum(not one.labelled for one in here[TRAIN]),
            labelled={part: sum(one.labelled for one in members) for part, members in here.items()},
        )
    return found
