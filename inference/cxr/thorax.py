"""A frontal chest drawn in a few lines: two dark lungs beside a bright column, bright below their domes, a wall at their sides.

The drawing is anatomy, not a fit: no film, real or simulated, went into its outlines. It is laid over a film at every place and many sizes;
how well greys and drawing go together tells whether the film is a frontal chest, which way up, and whether its greys are the negative.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray

from inference.radiograph_pixels import Mask

TOP, BOTTOM, SIDE = -0.14, 1.20, 1.12
"""The drawing reaches from this to this along v, and to both sides along u. v is 0 at the apices of the lungs and 1 at the lowest angle
between rib cage and diaphragm; u is -1 at the right side of the rib cage (left on the image) and 1 at the left."""

_OUTER = ((0.0, 0.03, 0.15, 0.40, 0.70, 1.0), (0.42, 0.55, 0.72, 0.88, 0.96, 0.97))
_INNER_RIGHT = ((0.0, 0.1, 0.3, 0.6, 0.8, 1.0), (0.26, 0.20, 0.20, 0.24, 0.27, 0.27))
_INNER_LEFT = ((0.0, 0.1, 0.3, 0.5, 0.7, 0.85, 1.0), (0.26, 0.20, 0.24, 0.32, 0.46, 0.55, 0.55))
"""Along v: the outer edge of a lung, and its inner one, which the heart pushes outwards on the left."""
_DOME = ((0.0, 0.2, 0.5, 0.75, 0.9, 1.0), (0.86, 0.85, 0.85, 0.89, 0.95, 1.0))
"""Along \\|u\\|: the diaphragm; the left one stands lower."""
_LEFT_LOWER = 0.03


class Hand(IntEnum):
    """On which side of the image the heart is drawn."""

    LEFT = -1
    """A mirrored film."""
    NEITHER = 0
    """The mean of both: says nothing about sides, and finds a film and its mirror image alike."""
    RIGHT = 1
    """The patient's left on the right of the image, as films are shown."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """The chest in a box of some size.

    Attributes
    ----------
    value
        float32 (rows, columns): 0 where the film is dark, 1 where it is bright.
    weight
        float32 of the same shape, sum 1; 0 where nothing is expected.
    parts
        ``lung_right``, ``lung_left`` and ``column``; where the drawing has no hand, what is either's in both.
    """

    value: NDArray[np.float32]
    weight: NDArray[np.float32]
    parts: Mapping[str, Mask]


@cache
def draw(rows: int, columns: int, hand: Hand = Hand.RIGHT) -> Drawing:
    """The chest in a box of ``rows`` by ``columns`` pixels."""
    usual = _usual(rows, columns)
    if hand is Hand.RIGHT:
        return usual
    mirrored = Drawing(
        value=np.ascontiguousarray(usual.value[:, ::-1]),
        weight=np.ascontiguousarray(usual.weight[:, ::-1]),
        parts={name: part[:, ::-1] for name, part in usual.parts.items()},
    )
    if hand is Hand.LEFT:
        return mirrored
    weight: NDArray[np.float32] = (usual.weight + mirrored.weight) * np.float32(0.5)
    value: NDArray[np.float32] = (usual.weight * usual.value + mirrored.weight * mirrored.value) / np.maximum(
        np.float32(2) * weight, np.float32(1e-12)
    )
    pairs = (("column", "column"), ("lung_right", "lung_left"), ("lung_left", "lung_right"))
    return Drawing(value=value, weight=weight, parts={name: usual.parts[name] & mirrored.parts[other] for name, other in pairs})


@cache
def _usual(rows: int, columns: int) -> Drawing:
    """The chest, the patient's left on the right of the image."""
    v = (np.arange(rows) + 0.5) / rows * (BOTTOM - TOP) + TOP
    u = ((np.arange(columns) + 0.5) / columns * 2 - 1) * SIDE
    down, across = np.meshgrid(v, u, indexing="ij")
    aside = np.abs(across)
    outer = np.interp(down, *_OUTER)
    inner = np.where(across < 0, np.interp(down, *_INNER_RIGHT), np.interp(down, *_INNER_LEFT))
    dome = np.interp(aside, *_DOME) + np.where(across > 0, _LEFT_LOWER, 0.0)
    lungs = (down >= 0) & (aside < outer) & (aside > inner) & (down < dome)
    column = (aside <= inner - 0.06) & (down >= -0.05)
    below = (down > dome + 0.04) & (aside < 0.95)
    wall = (aside > outer + 0.03) & (aside < outer + 0.14) & (down > 0.1) & (down < 0.95)
    above = (down < -0.03) & (aside < 0.8)
    value, weight = np.zeros((rows, columns), np.float32), np.zeros((rows, columns), np.float32)
    for part, grey, share in ((lungs, 0.0, 0.50), (column, 1.0, 0.17), (below, 1.0, 0.15), (wall, 0.85, 0.10), (above, 0.9, 0.08)):
        free = part & (weight == 0)
        value[free] = grey
        weight[free] = share / max(int(free.sum()), 1)
    parts = {
        "lung_right": lungs & (across < 0),
        "lung_left": lungs & (across > 0),
        "column": column & (down > 0) & (down < 0.85),
    }
    return Drawing(value=value, weight=weight / weight.sum(), parts=parts)
