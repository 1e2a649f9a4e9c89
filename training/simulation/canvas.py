"""A grid to paint on: signed distances become occupancies, so that a thin cortex stays thin on a coarse grid."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from training.simulation.mineral import vbmd_mg_cm3

AIR_HU = -1000.0
SLAB_VOXELS = 3_000_000
"""Regions are painted in slabs of about this size: temporaries stay in tens of megabytes."""

THIN_OCCUPANCY = 0.35
"""A voxel belongs to a thin solid (rib, arch) from this share on: at half, thin bone would vanish from a coarse grid's marks."""

FloatArray = NDArray[np.float32]
Box = tuple[slice, slice, slice]
Where = Box | tuple[NDArray[np.intp], ...]
Value = float | FloatArray
Layer = tuple[FloatArray, Value]
"""Signed distance in mm (negative inside) and the attenuation inside it."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A right-handed place in the patient: ``axes`` (3, 3) has the unit vectors left, posterior, cranial as columns."""

    origin: NDArray[np.float64]
    axes: NDArray[np.float64]

    def point(self, left: float, posterior: float, cranial: float) -> NDArray[np.float64]:
        """Anatomical coordinates (3,) of a point given in this frame, mm."""
        return self.origin + self.axes @ np.array([left, posterior, cranial], dtype=np.float64)


ANATOMY = Frame(origin=np.zeros(3), axes=np.eye(3))
"""The patient as a whole: origin at the height of L3, axes left, posterior, cranial."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """A box in a frame, mm."""

    frame: Frame
    low: tuple[float, float, float]
    high: tuple[float, float, float]


class Canvas:
    """Attenuation, marks of bones and bone mineral on a grid, painted from back to front.

    Parameters
    ----------
    shape
        (slices, rows, columns).
    affine
        (4, 4), array indices to anatomical coordinates in mm; may be rotated or sheared.
    width_mm
        Length over which a surface passes from 0 to 1: the voxel's size.
    bone_hu
        What the scan reads where bone has a given attenuation at 120 kVp without contrast.
    with_mineral
        Keep ``mineral_mg_cm3``, (slices, rows, columns), as well.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        affine: NDArray[np.float64],
        width_mm: float,
        *,
        bone_hu: Callable[[FloatArray], FloatArray] | None = None,
        with_mineral: bool = False,
    ) -> None:
        self.shape = shape
        self.affine = affine
        self.width_mm = float(width_mm)
        self.hu: FloatArray = np.full(shape, AIR_HU, dtype=np.float32)
        self.labels: NDArray[np.uint8] = np.zeros(shape, dtype=np.uint8)
        self.structures: NDArray[np.uint8] = np.zeros(shape, dtype=np.uint8)
        self.mineral_mg_cm3: FloatArray | None = np.zeros(shape, dtype=np.float32) if with_mineral else None
        self._bone_hu = bone_hu
        self._structure: int | None = 0
        self._mineralised = False
        self._inverse = np.linalg.inv(affine)

    @contextmanager
    def marking(self, structure: int | None, *, mineralised: bool = False) -> Iterator[None]:
        """Whatever is painted inside belongs to ``structure`` (0 is no bone); None leaves the marks as they are.

        Values of what is ``mineralised`` are those at 120 kVp without contrast; mineral and the scan's attenuation follow from them.
        """
        before = (self._structure, self._mineralised)
        self._structure, self._mineralised = structure, mineralised
        try:
            yield
        finally:
            self._structure, self._mineralised = before

    def box(self, region: Region, pad_mm: float | None = None) -> Box | None:
        """The part of the grid that a region touches, or None."""
        pad = self.width_mm if pad_mm is None else pad_mm
        low = np.asarray(region.low) - pad
        high = np.asarray(region.high) + pad
        corners = np.array([region.frame.point(*corner) for corner in product(*zip(low, high, strict=True))])
        indices = corners @ self._inverse[:3, :3].T + self._inverse[:3, 3]
        start = np.maximum(np.floor(indices.min(axis=0)).astype(int), 0)
        stop = np.minimum(np.ceil(indices.max(axis=0)).astype(int) + 1, self.shape)
        if np.any(start >= stop):
            return None
        return (slice(int(start[0]), int(stop[0])), slice(int(start[1]), int(stop[1])), slice(int(start[2]), int(stop[2])))

    def coordinates(self, frame: Frame, box: Box) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Coordinates in ``frame`` of a box of voxels, mm; each broadcasts to the box, with length 1 along axes it does not vary on."""
        matrix = frame.axes.T @ self.affine[:3, :3]
        offset = frame.axes.T @ (self.affine[:3, 3] - frame.origin)
        steps = np.ogrid[box]
        out: list[FloatArray] = []
        for row, start in zip(matrix, offset, strict=True):
            total: FloatArray = np.full((1, 1, 1), start, dtype=np.float32)
            for weight, step in zip(row, steps, strict=True):
                if abs(weight) > 1e-9:
                    total = total + (step * float(weight)).astype(np.float32)
            out.append(total)
        return out[0], out[1], out[2]

    def occupancy(self, distance: FloatArray) -> FloatArray:
        """Fraction of each voxel inside a surface at a signed distance in mm."""
        out: FloatArray = np.clip(np.float32(0.5) - distance * np.float32(1 / self.width_mm), 0, 1)
        return out

    def blend(self, box: Box, layers: Sequence[Layer], label: int = 0) -> None:
        """Paint nested surfaces, outermost first; each voxel gets its mixture. ``label`` marks the inside of the outermost."""
        first = self.occupancy(layers[0][0])
        if not np.any(first):
            return
        shares = [first]
        for distance, _ in layers[1:]:
            shares.append(np.minimum(self.occupancy(distance), shares[-1]))
        self._mix(box, shares, [value for _, value in layers])
        inside = np.broadcast_to(layers[0][0] < 0, self.hu[box].shape)
        if self._structure is not None:
            self.structures[box][inside] = self._structure
        if label:
            self.labels[box][inside] = label

    def blend_shells(self, box: Box, distance: FloatArray, shells: Sequence[tuple[float, float]]) -> None:
        """As :meth:`blend` for shells (depth in mm, attenuation) of one thin solid: visits only the voxels it touches."""
        near = np.nonzero(distance < self.width_mm / 2)
        if near[0].size == 0:
            return
        close = distance[near]
        where = tuple(index + part.start for index, part in zip(near, box, strict=True))
        shares = [self.occupancy(close + np.float32(depth)) for depth, _ in shells]
        self._mix(where, shares, [value for _, value in shells])
        if self._structure is not None:
            solid = shares[0] > THIN_OCCUPANCY
            self.structures[tuple(index[solid] for index in where)] = self._structure

    def _mix(self, where: Where, shares: Sequence[FloatArray], values: Sequence[Value]) -> None:
        """Give each voxel its mixture: ``shares`` of nested solids, outermost first."""
        attenuation = [np.asarray(value, dtype=np.float32) for value in values]
        mineral = self.mineral_mg_cm3
        if mineral is not None:
            held = [np.maximum(vbmd_mg_cm3(value), np.float32(0)) for value in attenuation] if self._mineralised else []
            if held or np.any(mineral[where]):
                mineral[where] = _mixture(mineral[where], shares, held or [np.zeros((), np.float32)] * len(shares))
        if self._mineralised and self._bone_hu is not None:
            attenuation = [self._bone_hu(value) for value in attenuation]
        self.hu[where] = _mixture(self.hu[where], shares, attenuation)

    def slabs(self, box: Box) -> list[Box]:
        """The same box in pieces along the slices."""
        per_slice = (box[1].stop - box[1].start) * (box[2].stop - box[2].start)
        step = max(1, SLAB_VOXELS // per_slice)
        return [(slice(first, min(first + step, box[0].stop)), box[1], box[2]) for first in range(box[0].start, box[0].stop, step)]

    def paint(
        self,
        region: Region,
        layers: Callable[[FloatArray, FloatArray, FloatArray], Sequence[Layer]],
        label: int = 0,
    ) -> None:
        """Paint nested surfaces given as a function of the coordinates in the region's frame."""
        box = self.box(region)
        if box is None:
            return
        for slab in self.slabs(box):
            self.blend(slab, layers(*self.coordinates(region.frame, slab)), label)


def _mixture(background: FloatArray, shares: Sequence[FloatArray], values: Sequence[FloatArray]) -> FloatArray:
    out = (1 - shares[0]) * background
    for index, value in enumerate(values):
        shell = shares[index] - shares[index + 1] if index + 1 < len(shares) else shares[index]
        out += shell * value
    return out
