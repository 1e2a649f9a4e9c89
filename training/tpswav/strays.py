"""How a vertebra may stray in fine-tuning: its crop is moved by whole voxels and noise is added, anew in each epoch.

Not in the paper, which says nothing of augmentation in fine-tuning. The middle of a crop is where a segmenter puts it, and noise is the
scanner's: neither says anything of bone, of position or of the densitometer. Nothing is mirrored or magnified: the liver lies on one
side, and size is a part of areal density and of position.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.errors import TrainingError

Floats32 = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Strays:
    """How far. The defaults are not at all.

    Attributes
    ----------
    voxels
        The most that a crop is moved along each axis; what comes in from outside repeats the crop's edge.
    noise_sd
        The largest standard deviation of Gaussian noise, in parts of the window; a vertebra's own is drawn evenly below it.
    """

    voxels: int = 0
    noise_sd: float = 0.0

    def __post_init__(self) -> None:
        if self.voxels < 0 or self.noise_sd < 0:
            raise TrainingError("a vertebra strays by no negative distance or noise")

    @property
    def any(self) -> bool:
        """Whether anything is changed."""
        return self.voxels > 0 or self.noise_sd > 0


USUAL = Strays(voxels=2, noise_sd=0.02)
"""4 mm in crops of 2 mm, twice what a segmenter strays; 12 HU of the window of 600."""


def strayed(image: Floats32, strays: Strays, rng: np.random.Generator) -> Floats32:
    """One image (Z, Y, X), windowed to 0 .. 1, moved and with noise; values stay in 0 .. 1."""
    moved = image
    if strays.voxels:
        most = strays.voxels
        wide = np.pad(image, most, mode="edge")
        first = rng.integers(0, 2 * most + 1, 3)
        moved = wide[tuple(slice(begin, begin + size) for begin, size in zip(first, image.shape, strict=True))]
    if strays.noise_sd:
        sd = np.float32(rng.uniform(0.0, strays.noise_sd))
        moved = np.clip(moved + sd * rng.standard_normal(image.shape, dtype=np.float32), 0.0, 1.0)
    return np.ascontiguousarray(moved, dtype=np.float32)
