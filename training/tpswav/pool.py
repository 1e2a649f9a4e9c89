"""The texture pool of a vertebra (TP-SwAV, section 2.1): the image and its texture maps, from which two views are drawn.

Every member is brought to 0 .. 1 by a fixed, rising function, the same for all patients: a map stretched to its own range would lose the
density that it shows. What is kept on disk is the maps at their windows; the grid of the image is interpolated when a view is drawn.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.windows import window
from training.errors import TrainingError
from training.preparing import CACHE_BYTES
from training.tpswav.glcm import FEATURES, GlcmOptions, Triple, coarse_maps, grey_levels, interpolated
from training.transforms.cache import CaseCache

MEMBERS = ("image", *FEATURES)
"""What a view may be."""
VERSION = 1
"""Counted up when maps change, so that no cached map is out of date."""


@dataclass(frozen=True, kw_only=True)
class PoolOptions:
    """What is in the pool.

    Attributes
    ----------
    members
        Names of :data:`MEMBERS`, at least two.
    window
        HU window of the image (:mod:`inference.windows`).
    """

    members: tuple[str, ...] = MEMBERS
    window: str = "trabecular"
    glcm: GlcmOptions = field(default_factory=GlcmOptions)

    def __post_init__(self) -> None:
        unknown = [name for name in self.members if name not in MEMBERS]
        if unknown or len(set(self.members)) != len(self.members) or len(self.members) < 2:
            raise TrainingError(f"a texture pool has two or more of {', '.join(MEMBERS)}, each once; given: {', '.join(self.members)}")
        window(self.window)

    def plain(self) -> dict[str, Any]:
        """What a resumed run must share."""
        return {"members": list(self.members), "window": self.window, "glcm": self.glcm.plain(), "version": VERSION}


def scaled(coarse: NDArray[np.float32], options: GlcmOptions) -> NDArray[np.float32]:
    """Maps (4, ...) in the order of :data:`~training.tpswav.glcm.FEATURES`, each in 0 .. 1.

    The autocorrelation is a mean of products of two levels: its root is on the scale of a level. Differences are mostly small against the
    range of levels: their logarithm is taken.
    """
    top = float(options.levels - 1)
    autocorrelation, average, contrast, difference = coarse
    rooted = (np.sqrt(autocorrelation) - 1) / top
    logged = np.log1p(contrast) / np.log1p(top**2)
    return np.stack([rooted, (average - 1) / top, logged, np.log1p(difference) / np.log1p(top)]).astype(np.float32)


def scaled_maps(hu: NDArray[Any], options: GlcmOptions) -> NDArray[np.float16]:
    """The four maps of a crop at their windows, (4, windows along z, y, x), in 0 .. 1.

    Raises
    ------
    TrainingError
        The crop is smaller than a window.
    """
    return scaled(coarse_maps(grey_levels(hu, options), options), options).astype(np.float16)


@dataclass(frozen=True)
class TexturePool:
    """The pools of all vertebrae.

    Attributes
    ----------
    options
        What is in them.
    cache
        Folder of maps; None computes a vertebra's maps each time.
    """

    options: PoolOptions
    cache: Path | None = None

    def maps(self, hu: NDArray[np.int16]) -> NDArray[np.float16]:
        """The maps of one vertebra at their windows, from the cache where they are there."""
        glcm = self.options.glcm
        if self.cache is None:
            return scaled_maps(hu, glcm)
        image = hashlib.sha256(np.ascontiguousarray(hu).tobytes()).hexdigest()
        key = {"glcm": glcm.plain(), "image": image, "shape": list(hu.shape), "version": VERSION}
        kept = CaseCache(self.cache, limit_bytes=CACHE_BYTES).get((), key, lambda: {"maps": scaled_maps(hu, glcm)})
        return np.asarray(kept["maps"], dtype=np.float16)

    def members(self, hu: NDArray[np.int16], names: Sequence[str]) -> NDArray[np.float32]:
        """Members of one vertebra's pool by name, (len(names), Z, Y, X), each in 0 .. 1."""
        found = {}
        wanted = [name for name in names if name != "image"]
        if wanted:
            places = [FEATURES.index(name) for name in wanted]
            z, y, x = hu.shape
            fine = interpolated(self.maps(hu)[places].astype(np.float32), (z, y, x), self.options.glcm)
            found = dict(zip(wanted, fine, strict=True))
        if "image" in names:
            found["image"] = self.image(hu)
        return np.stack([found[name] for name in names])

    def image(self, hu: NDArray[np.int16]) -> NDArray[np.float32]:
        """The image itself, (Z, Y, X), windowed to 0 .. 1."""
        return np.asarray(window(self.options.window).apply(hu), dtype=np.float32)

    def pair(self, hu: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.float32]:
        """Two different members, drawn evenly: the two views of TP-SwAV, (2, Z, Y, X). Neither is cropped."""
        drawn = rng.choice(len(self.options.members), size=2, replace=False)
        return self.members(hu, [self.options.members[int(index)] for index in drawn])


def crop_shape(crops: Sequence[NDArray[np.int16]]) -> Triple:
    """The shape that all crops have.

    Raises
    ------
    TrainingError
        There is no crop, or they differ.
    """
    shapes = {crop.shape for crop in crops}
    if len(shapes) != 1:
        raise TrainingError(f"vertebrae to learn from are crops of one shape, not of {len(shapes)}")
    z, y, x = shapes.pop()
    return z, y, x
