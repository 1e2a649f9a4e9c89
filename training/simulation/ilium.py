"""The iliac wings: a curved plate, x and thickness as functions of (y, z), which the pelvic cavity and the sacroiliac joints follow too.

Sections were read off a normal adult pelvis at one height after the other; lengths in mm beside, behind and above the centre of S1.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from training.simulation.canvas import FloatArray

# Height above S1; then (distance from the midline, distance behind S1, half thickness) from the back to the front.
_SECTIONS: tuple[tuple[float, tuple[tuple[float, float, float], ...]], ...] = (
    (56.0, ((84, 16, 3.0), (98, 4, 3.0), (116, -12, 3.0))),
    (43.0, ((69, 27, 4.0), (82, 15, 4.5), (96, 4, 3.0), (122, -18, 3.5))),
    (31.0, ((63, 42, 4.5), (72, 26, 7.5), (86, 10, 4.0), (115, -12, 2.8), (130, -35, 5.0))),
    (19.0, ((56, 54, 5.0), (68, 30, 8.5), (90, 7, 3.8), (120, -21, 2.8), (133, -48, 5.5))),
    (7.0, ((52, 61, 5.0), (63, 36, 9.0), (80, 10, 5.5), (105, -11, 2.8), (124, -32, 3.5), (131, -57, 5.0))),
    (-5.0, ((50, 62, 5.5), (63, 35, 10.0), (81, 9, 6.0), (105, -11, 3.2), (120, -31, 3.5), (126, -67, 5.5))),
    (-17.0, ((50, 55, 5.5), (61, 30, 9.0), (76, 7, 5.5), (100, -15, 3.6), (115, -41, 4.0), (123, -79, 5.5))),
    (-29.0, ((48, 45, 4.5), (62, 20, 8.0), (80, -3, 6.5), (100, -26, 4.8), (109, -47, 4.5), (119, -82, 5.0))),
    (-41.0, ((58, 23, 4.0), (70, 7, 7.0), (88, -16, 8.5), (100, -42, 6.0), (107, -68, 5.0))),
    (-53.0, ((70, 10, 6.0), (80, -11, 10.5), (92, -35, 9.5), (103, -64, 5.0))),
    (-65.0, ((70, 3, 9.0), (79, -15, 14.5), (87, -35, 13.5), (97, -58, 6.0))),
    (-80.0, ((66, 6, 8.0), (74, -15, 14.0), (80, -35, 13.0), (88, -50, 7.0))),
)
_STEP_MM = 0.5
_LOW_Y, _HIGH_Y = -100.0, 75.0
_LOW_Z, _HIGH_Z = -110.0, 66.0


@dataclass(frozen=True, kw_only=True)
class Ilium:
    """The left wing of one patient (the right one is its mirror image).

    ``s1`` is the centre of the body of S1, mm, ``scale`` the size of the skeleton.
    """

    s1: NDArray[np.float64]
    scale: float

    def plate(self, y: FloatArray, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Distance from the midline to the middle of the plate, and half its thickness along x, mm."""
        table = _tables()
        at = self._indices(y, z)
        return table[0][at] * np.float32(self.scale), table[1][at] * np.float32(self.scale)

    def inner(self, y: FloatArray, z: FloatArray) -> FloatArray:
        """Distance from the midline to the pelvic surface of the wing, continued beyond its edges."""
        table = _tables()
        return np.asarray(table[3][self._indices(y, z)] * np.float32(self.scale), dtype=np.float32)

    def distance(self, aside: FloatArray, y: FloatArray, z: FloatArray) -> FloatArray:
        """Signed distance to the wing; ``aside`` is the distance from the midline."""
        middle, half = self.plate(y, z)
        across = (np.abs(aside - middle) - half) * np.float32(0.72)
        outline = _tables()[2][self._indices(y, z)] * np.float32(self.scale)
        overlap = np.maximum(4.0 - np.abs(across - outline), 0) * 0.25
        return np.asarray(np.maximum(across, outline) + overlap * overlap, dtype=np.float32)

    def _indices(self, y: FloatArray, z: FloatArray) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        size = np.float32(1 / (self.scale * _STEP_MM))
        rows, columns = _tables()[0].shape
        i = ((y - np.float32(self.s1[1])) * size - np.float32(_LOW_Y / _STEP_MM - 0.5)).astype(np.int32)
        j = ((z - np.float32(self.s1[2])) * size - np.float32(_LOW_Z / _STEP_MM - 0.5)).astype(np.int32)
        return np.clip(i, 0, rows - 1), np.clip(j, 0, columns - 1)


@cache
def _tables() -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """(y, z) tables at scale 1: middle, half thickness, signed distance to the outline, pelvic surface."""
    y = np.arange(_LOW_Y, _HIGH_Y, _STEP_MM)
    z = np.arange(_LOW_Z, _HIGH_Z, _STEP_MM)
    heights = np.array([height for height, _ in _SECTIONS])[::-1]
    columns = []
    for _, section in _SECTIONS[::-1]:
        x, behind, half = np.array(section, dtype=np.float64)[::-1].T
        inside = np.clip(y, behind[0], behind[-1])
        slope = np.gradient(np.asarray(PchipInterpolator(behind, x)(inside)), y)
        oblique = np.minimum(np.sqrt(1 + slope**2), 2.2)
        beyond = np.where(y < behind[0], -0.35 * (y - behind[0]), np.where(y > behind[-1], -0.6 * (y - behind[-1]), 0.0))
        columns.append(np.stack([PchipInterpolator(behind, x)(inside) + beyond, PchipInterpolator(behind, half)(inside) * oblique]))
    ends = np.array([[section[-1][1], section[0][1]] for _, section in _SECTIONS[::-1]])
    level = np.clip(z, heights[0], heights[-1])
    table = np.asarray(PchipInterpolator(heights, np.array(columns))(level))  # (z, 2, y)
    front, back = np.asarray(PchipInterpolator(heights, ends)(level)).T
    sides = np.maximum(front[None, :] - 4.0 - y[:, None], y[:, None] - back[None, :] - 4.0)
    outline = np.maximum(sides * 0.8, np.maximum(z - heights[-1] - 3.0, heights[0] - z)[None, :])
    middle, half = table[:, 0].T, table[:, 1].T
    return tuple(np.ascontiguousarray(item, dtype=np.float32) for item in (middle, half, outline, middle - half))  # type: ignore[return-value]
