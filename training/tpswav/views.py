"""How two views of a vertebra are drawn: from its texture pool (TP-SwAV), or by random crops of the image (SwAV)."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.tpswav.pool import TexturePool

Floats32 = NDArray[np.float32]
Draw = Callable[[TexturePool, NDArray[np.int16], np.random.Generator], Floats32]
"""Two views (2, Z, Y, X) of a crop."""

SMALLEST_SIDE = 0.5
"""A random crop keeps at least this part of each side: an eighth of the volume, as SwAV's global views keep 0.14 of the area."""


def texture_pair(pool: TexturePool, hu: NDArray[np.int16], rng: np.random.Generator) -> Floats32:
    """Two different members of the texture pool, neither cropped."""
    return pool.pair(hu, rng)


def cropped_pair(pool: TexturePool, hu: NDArray[np.int16], rng: np.random.Generator) -> Floats32:
    """Two random crops of the image, each stretched to its full size and, by chance, mirrored from left to right."""
    image = pool.image(hu)
    return np.stack([random_crop(image, rng), random_crop(image, rng)])


def random_crop(image: Floats32, rng: np.random.Generator) -> Floats32:
    """One random box of the image, linearly stretched to the image's shape: what Caron et al. 2020 do to photographs."""
    shape = np.array(image.shape)
    side = rng.uniform(SMALLEST_SIDE, 1.0) * np.ones(3)
    size = side * (shape - 1)
    corner = rng.uniform(0.0, 1.0, 3) * (shape - 1 - size)
    scale = size / (shape - 1)
    cut = ndimage.affine_transform(image, scale, offset=corner, order=1, mode="nearest")
    return np.ascontiguousarray(cut[:, :, ::-1] if rng.random() < 0.5 else cut, dtype=np.float32)


VIEWS: Mapping[str, Draw] = MappingProxyType({"tpswav": texture_pair, "swav": cropped_pair})
"""By the name of the method that draws so."""
