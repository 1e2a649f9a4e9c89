"""Vertebrae to learn from: a crop, its position, and what a densitometer said of it, where one did."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.ct.vertebra_experts import POSITIONS
from training.errors import TrainingError
from training.tpswav.losses import UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Vertebra:
    """One vertebra.

    Attributes
    ----------
    site
        Where the patient was examined.
    device
        The densitometer on whose scale ``bmd_g_cm2`` is; None where the patient has no DXA.
    level
        ``T1`` to ``T12``, ``L1`` to ``L6``.
    hu
        int16 (z, y, x), the crop of :func:`inference.ct.crop.crop_around`.
    bmd_g_cm2, t_score
        Of this vertebra; NaN where the densitometer did not measure it.

    Raises
    ------
    TrainingError
        A level that the position head does not know, or a density without a densitometer.
    """

    patient: str
    site: str
    device: str | None
    level: str
    hu: NDArray[np.int16]
    bmd_g_cm2: float = float("nan")
    t_score: float = float("nan")

    def __post_init__(self) -> None:
        if self.level not in POSITIONS:
            raise TrainingError(f"{self.level} is none of {', '.join(POSITIONS)}")
        if self.device is None and (np.isfinite(self.bmd_g_cm2) or np.isfinite(self.t_score)):
            raise TrainingError(f"patient {self.patient}, {self.level}: a density says nothing without the densitometer's make")

    @property
    def position(self) -> int:
        """Index of the level in :data:`inference.ct.vertebra_experts.POSITIONS`."""
        return POSITIONS.index(self.level)

    @property
    def label(self) -> int:
        """1 for osteoporosis (T-score of this vertebra at most -2.5, WHO), 0 for none, :data:`UNKNOWN` without a T-score."""
        if not np.isfinite(self.t_score):
            return UNKNOWN
        return int(self.t_score <= -2.5)

    @property
    def labelled(self) -> bool:
        """Whether a densitometer measured it."""
        return self.label != UNKNOWN


def labelled(vertebrae: Sequence[Vertebra]) -> tuple[Vertebra, ...]:
    """Those that a densitometer measured."""
    return tuple(one for one in vertebrae if one.labelled)


def fingerprint(vertebrae: Sequence[Vertebra]) -> str:
    """Stands for vertebrae, their truth and their voxels."""
    digest = hashlib.sha256()
    for one in vertebrae:
        digest.update(f"{one.patient}\0{one.site}\0{one.device}\0{one.level}\0{one.bmd_g_cm2!r}\0{one.t_score!r}\0".encode())
        digest.update(np.ascontiguousarray(one.hu).data)
    return digest.hexdigest()[:32]


def shuffled_parts(count: int, batch: int, *seeds: int) -> list[NDArray[np.intp]]:
    """Indices 0 .. count - 1 in the order that the seeds settle, in nearly equal parts of at most ``batch``, none of a single one.

    Raises
    ------
    TrainingError
        There are fewer than two: batch normalisation cannot take one.
    """
    if count < 2:
        raise TrainingError(f"{count} vertebrae to train on are too few")
    order = np.random.default_rng(seeds).permutation(count)
    parts = -(-count // batch)
    if count // parts < 2:
        parts = max(1, count // 2)
    return np.array_split(order, parts)
