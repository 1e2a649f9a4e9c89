"""The anatomy that the second reader learns from: painted patients far more varied than any population, and a pool of them on disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from inference.ct.levels import THORACIC
from training.errors import TrainingError
from training.simulation.ct import paint_scan
from training.simulation.parameters import AcquisitionParameters, ContrastPhase, FieldOfView, PatientParameters
from training.workers import worker_pool

POOL_SPACING_MM = 2.0
_AHEAD_MM, _BEHIND_MM, _ASIDE_MM = 130.0, 100.0, 165.0
"""Kept around the spine: the heart in front, the skin behind, ribs and iliac wings to the sides."""
_WITHOUT_THORAX, _WITHOUT_PELVIS = 0.35, 0.2


@dataclass(frozen=True, kw_only=True)
class AnatomyCase:
    """One painted patient, cropped around the spine.

    Attributes
    ----------
    hu
        int16 (z, y, x), noise-free attenuation; z towards the head, y towards the back, x towards the left.
    structures
        uint8, the same shape: :class:`training.simulation.body.Structure`.
    spacing_mm
        Of the isotropic voxels.
    """

    hu: NDArray[np.int16]
    structures: NDArray[np.uint8]
    spacing_mm: float

    def save(self, path: Path) -> None:
        """Write it to ``path`` in one step."""
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(file, hu=self.hu, structures=self.structures, spacing_mm=self.spacing_mm)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> "AnatomyCase":
        """Read what :meth:`save` wrote.

        Raises
        ------
        TrainingError
            The file is cut off or something else.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
                return cls(hu=data["hu"], structures=data["structures"], spacing_mm=float(data["spacing_mm"]))
        except (OSError, EOFError, ValueError, KeyError, AttributeError, BadZipFile) as error:
            raise TrainingError(f"{path} is no case of the anatomy pool ({error}); delete it, and it is painted again") from error


def sample_anatomy(seed: int, index: int) -> PatientParameters:
    """One patient. Nothing follows a population: thin and dense bone, straight and bent spines, all phases come equally often."""
    rng = np.random.default_rng((seed, index, 3))
    trabecular = float(rng.uniform(15, 260))
    lumbar = int(rng.choice([4, 5, 6], p=[0.08, 0.8, 0.12]))
    levels = (*THORACIC, *(f"L{n}" for n in range(1, lumbar + 1)))
    spine = levels[4:]

    def some(chance: float, at_most: int) -> tuple[str, ...]:
        if rng.random() >= chance:
            return ()
        return tuple(str(level) for level in rng.choice(spine, size=int(rng.integers(1, at_most + 1)), replace=False))

    crush = {level: float(rng.uniform(0.1, 0.5)) for level in some(0.12, 2)}
    wedge = {level: float(rng.uniform(0.1, 0.5)) for level in some(0.25, 3) if level not in crush}
    hardware = rng.random()
    return PatientParameters(
        seed=seed * 100_000 + index,
        sex="F" if rng.random() < 0.5 else "M",
        age_years=int(rng.integers(20, 95)),
        body_scale=float(rng.uniform(0.8, 1.12)),
        disc_scale=float(rng.uniform(0.45, 1.1)),
        fat_mm=float(rng.uniform(4, 50)),
        lordosis_deg=float(rng.uniform(20, 75)),
        kyphosis_deg=float(rng.uniform(12, 65)),
        scoliosis_deg=float(rng.normal(0, 9)),
        rotation_deg=float(rng.normal(0, 8)),
        trabecular_hu=trabecular,
        level_hu=_level_changes(rng, levels, trabecular),
        wedge=wedge,
        crush=crush,
        cement=some(1.0, 2) if hardware < 0.06 else (),
        screws=some(1.0, 3) if 0.06 <= hardware < 0.12 else (),
        dense_focus=some(0.15, 2),
        contrast=ContrastPhase(str(rng.choice([phase.value for phase in ContrastPhase]))),
        lumbar_count=lumbar,
        t12_rib_mm=float(rng.uniform(20, 140)) if rng.random() < 0.93 else 0.0,
        lumbar_rib_mm=float(rng.uniform(20, 60)) if rng.random() < 0.06 else 0.0,
        aortic_calcification=float(rng.beta(0.8, 2)),
        hip_prosthesis=bool(rng.random() < 0.05),
    )


def _level_changes(rng: np.random.Generator, levels: tuple[str, ...], trabecular: float) -> Mapping[str, float]:
    return {level: float(np.clip(trabecular + rng.normal(0, 40), 5, 320)) for level in levels if rng.random() < 0.15}


def paint_case(seed: int, index: int, spacing_mm: float = POOL_SPACING_MM) -> AnatomyCase:
    """Paint one patient from T1 to the hips, or a part, on isotropic voxels without noise. The same arguments give the same bytes."""
    patient = sample_anatomy(seed, index)
    rng = np.random.default_rng((seed, index, 4))
    part = rng.random()
    view = FieldOfView.ABDOMEN if part < _WITHOUT_THORAX else FieldOfView.CHEST if part > 1 - _WITHOUT_PELVIS else FieldOfView.TRUNK
    matrix = round(420.0 / spacing_mm)
    acquisition = AcquisitionParameters(
        rows=matrix,
        columns=matrix,
        pixel_spacing_mm=spacing_mm,
        slice_spacing_mm=spacing_mm,
        field_of_view=view,
        kvp=float(rng.choice([100, 120, 140])),
    )
    painted = paint_scan(patient, acquisition)
    box = _around_spine(painted.structures, spacing_mm)
    hu = np.clip(np.rint(painted.hu[box]), -1024, 3071).astype(np.int16)
    return AnatomyCase(hu=hu, structures=np.ascontiguousarray(painted.structures[box]), spacing_mm=spacing_mm)


def _around_spine(structures: NDArray[np.uint8], spacing_mm: float) -> tuple[slice, slice, slice]:
    """The box around everything that is a vertebral body or the sacrum."""
    spine = (structures == 1) | (structures == 4)
    y, x = (np.flatnonzero(spine.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    if y.size == 0:
        raise TrainingError("a painted patient shows no vertebral body")

    def span(index: NDArray[np.intp], low_mm: float, high_mm: float, size: int) -> slice:
        return slice(max(0, int(index[0] - low_mm / spacing_mm)), min(size, int(index[-1] + high_mm / spacing_mm) + 1))

    middle = np.array([int(x.mean())])
    return (
        slice(0, structures.shape[0]),
        span(y, _AHEAD_MM, _BEHIND_MM, structures.shape[1]),
        span(middle, _ASIDE_MM, _ASIDE_MM, structures.shape[2]),
    )


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Painted patients on disk, each painted once; numbered from 0."""

    folder: Path
    seed: int
    count: int

    def path(self, index: int) -> Path:
        """Where case ``index`` lies."""
        return self.folder / f"anatomy-{self.seed}-{index:05d}.npz"

    def missing(self) -> list[int]:
        """Cases that are yet to be painted."""
        return [index for index in range(self.count) if not self.path(index).exists()]

    def paint(self, index: int) -> None:
        """Paint one case if it is missing."""
        if not self.path(index).exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            paint_case(self.seed, index).save(self.path(index))

    def load(self, index: int) -> AnatomyCase:
        """One case, painted first where it is missing."""
        self.paint(index)
        return AnatomyCase.load(self.path(index))


def fill(pool: Pool, jobs: int = 1) -> "list[int]":
    """Paint what is missing, ``jobs`` patients at a time, and return their numbers."""
    missing = pool.missing()
    if jobs <= 1:
        for index in missing:
            pool.paint(index)
    else:
        with worker_pool(jobs) as workers:
            list(workers.map(pool.paint, missing))
    return missing
