"""What is learnt from: chest films with landmarks and the bone density of L1-L4, and every study that gave none, with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.bundles import TrainedOn
from inference.cxr.rois import Floats
from training.data.labels import BoneLabel, who_label
from training.preparing import Skipped

LEVELS = ("L1", "L2", "L3", "L4")
"""The vertebrae whose density is estimated, each by networks of its own."""
WHITE = 65535


@dataclass(frozen=True, kw_only=True)
class Film:
    """One frontal chest radiograph.

    Attributes
    ----------
    patient
        All films of one patient share it.
    image
        uint16 (rows, columns), upright, bone bright, 0 to :data:`WHITE`.
    landmarks
        (16, 2) row and column in pixels of ``image``; NaN where they are not known.
    spacing_mm
        Of its square pixels in the plane of the detector; NaN where it is not known.
    bmd_g_cm2, t_scores
        (4,) of L1 to L4 on the scale of ``device``; NaN where a level was not measured or must not be used.
    device
        Maker of the densitometer; empty where it is not known.
    age, sex
        Years, and ``F``, ``M`` or ``O``; NaN and empty where they are not known. No network sees them.
    """

    patient: str
    image: NDArray[np.uint16]
    landmarks: Floats
    spacing_mm: float
    bmd_g_cm2: Floats
    t_scores: Floats
    device: str
    age: float = float("nan")
    sex: str = ""

    @property
    def grey(self) -> NDArray[np.float32]:
        """The image from 0 to 1."""
        return np.asarray(self.image, dtype=np.float32) / np.float32(WHITE)

    @property
    def label(self) -> BoneLabel | None:
        """The WHO's class of the lowest T-score of L1-L4, by which patients are dealt out evenly; None where none is known."""
        return who_label(float(np.nanmin(self.t_scores))) if np.isfinite(self.t_scores).any() else None


@dataclass(frozen=True, kw_only=True)
class Films:
    """Every film that was asked for: a case, or a reason.

    Attributes
    ----------
    trained_on
        What a model learnt from them was trained on.
    description
        Where they come from, in words.
    """

    cases: tuple[Film, ...]
    skipped: tuple[Skipped, ...]
    trained_on: TrainedOn
    description: str

    def words(self) -> str:
        """Counts for a person, and each skipped study with its reason."""
        known = ", ".join(f"{int(count)} with {level}" for level, count in zip(LEVELS, self.known, strict=True))
        head = f"{len(self.cases)} films: {known}; {len(self.skipped)} skipped"
        return "\n".join([head, *(f"  {one.patient}: {one.because}" for one in self.skipped)])

    @property
    def densitometer(self) -> str | None:
        """The one make on whose scale all densities are; None where there are several, or one is not known."""
        makes = {film.device for film in self.cases}
        return makes.pop() or None if len(makes) == 1 else None

    @property
    def known(self) -> Floats:
        """(4,) films whose density of each level is known."""
        found = np.array([np.isfinite(case.bmd_g_cm2) for case in self.cases]).reshape(-1, len(LEVELS))
        return np.asarray(found.sum(axis=0), dtype=np.float64)


def with_level(films: Sequence[Film], level: str) -> tuple[Film, ...]:
    """The films whose density of one level is known."""
    index = LEVELS.index(level)
    return tuple(film for film in films if np.isfinite(film.bmd_g_cm2[index]))


def densities(films: Sequence[Film], level: str) -> Floats:
    """(N,) g/cm² of one level."""
    return np.array([film.bmd_g_cm2[LEVELS.index(level)] for film in films], dtype=np.float64)


def on_film(stored: Floats, to_stored: Floats) -> Floats:
    """(N, 2) points on the stored image as points on the film in its one form."""
    return np.asarray((stored - to_stored[:, 2]) @ np.linalg.inv(to_stored[:, :2]).T, dtype=np.float64)
