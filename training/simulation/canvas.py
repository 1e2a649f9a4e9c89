"""A grid to paint on: signed distances become occupancies, so that a thin cortex stays thin on a coarse grid."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

AIR_HU = -1000.0
SLAB_VOXELS = 3_000_000
"""Regions are painted in slabs of about this size: temporaries stay in tens of megabytes."""

THIN_OCCUPANCY = 0.35
"""A voxel belongs to a thin solid (rib, arch) from this share on: at half, thin bone would vanish from a coarse grid's marks."""

FloatArray = NDArray[np.float32]
Box = tuple[slice, slice, slice]
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
    """Attenuation and body labels on a grid, painted from back to front.

    Parameters
    ----------
    shape
        (slices, rows, columns).
    affine
        (4, 4), array indices to anatomical coordinates in mm; may be rotated or sheared.
    width_mm
        Length over which a surface passes from 0 to 1: the voxel's size.
    """

    def __init__(self, shape: tuple[int, int, int], affine: NDArray[np.float64], width_mm: float) -> None:
        self.shape = shape
        self.affine = affine
        self.width_mm = float(width_mm)
        self.hu: FloatArray = np.full(shape, AIR_HU, dtype=np.float32)
        self.labels: NDArray[np.uint8] = np.zeros(shape, dtype=np.uint8)
        self.structures: NDArray[np.uint8] = np.zeros(shape, dtype=np.uint8)
        self._structure: int | None = 0
        self._inverse = np.linalg.inv(affine)

    @contextmanager
    def marking(self, structure: int | None) -> Iterator[None]:
        """Whatever is painted inside belongs to ``structure`` (0 is no bone); None leaves the marks as they are."""
        before, self._structure = self._structure, structure
        try:
            yield
        finally:
            self._structure = before

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
        view = self.hu[box]
        previous = self.occupancy(layers[0][0])
        if not np.any(previous):
            return
        mixture = (1 - previous) * view
        for index, (_, value) in enumerate(layers):
            if index + 1 < len(layers):
                inner = np.minimum(self.occupancy(layers[index + 1][0]), previous)
                mixture += (previous - inner) * np.asarray(value, dtype=np.float32)
                previous = inner
            else:
                mixture += previous * np.asarray(value, dtype=np.float32)
        view[...] = mixture
        if self._structure is not None:
            self.structures[box][np.broadcast_to(layers[0][0] < 0, view.shape)] = self._structure
        if label:
            self.labels[box][np.broadcast_to(layers[0][0] < 0, view.shape)] = label

    def blend_shells(self, box: Box, distance: FloatArray, shells: Sequence[tuple[float, float]]) -> None:
        """As :meth:`blend` for shells (depth in mm, attenuation) of one thin solid: visits only the voxels it touches."""
        near = np.nonzero(distance < self.width_mm / 2)
        if near[0].size == 0:
            return
        close = distance[near]
        view = self.hu[box]
        shares = [self.occupancy(close + np.float32(depth)) for depth, _ in shells]
        mixture = (1 - shares[0]) * view[near]
        for (_, value), outer, inner in zip(shells, shares, [*shares[1:], np.zeros_like(close)], strict=True):
            mixture += (outer - inner) * np.float32(value)
        view[near] = mixture
        if self._structure is not None:
            solid = shares[0] > THIN_OCCUPANCY
            self.structures[box][tuple(index[solid] for index in near)] = self._structure

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
