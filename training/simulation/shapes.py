"""Signed distances of simple solids, mm, negative inside. All first-order: value over gradient, exact on the surface."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.simulation.canvas import Box, Canvas, FloatArray, Frame, Region

FAR_MM = 1e3
Real = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class Capsule:
    """A tapered rod with an elliptic section, given in a frame.

    ``start``, ``end`` are points of the frame (mm), ``radii`` the radius at either end before ``scale`` stretches the section along
    the frame's axes.
    """

    frame: Frame
    start: tuple[float, float, float]
    end: tuple[float, float, float]
    radii: tuple[float, float]
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def region(self) -> Region:
        """The box it lies in."""
        reach = np.array(self.scale) * max(self.radii)
        low = np.minimum(self.start, self.end) - reach
        high = np.maximum(self.start, self.end) + reach
        return Region(frame=self.frame, low=_triple(low), high=_triple(high))

    def distance(self, left: FloatArray, posterior: FloatArray, cranial: FloatArray) -> FloatArray:
        """Signed distance at points of the frame."""
        q = [(axis - start) * (1 / size) for axis, start, size in zip((left, posterior, cranial), self.start, self.scale, strict=True)]
        step = [(end - start) / size for end, start, size in zip(self.end, self.start, self.scale, strict=True)]
        length2 = sum(component * component for component in step)
        along: FloatArray | float = 0.0
        if length2 > 0:
            along = np.clip((q[0] * step[0] + q[1] * step[1] + q[2] * step[2]) * (1 / length2), 0, 1)
        q = [axis - along * component for axis, component in zip(q, step, strict=True)]
        radius = self.radii[0] + along * (self.radii[1] - self.radii[0])
        norm = np.sqrt(q[0] ** 2 + q[1] ** 2 + q[2] ** 2) + np.float32(1e-4)
        if self.scale == (1.0, 1.0, 1.0):
            return np.asarray(norm - radius, dtype=np.float32)
        slope = np.sqrt(sum((axis * (1 / size)) ** 2 for axis, size in zip(q, self.scale, strict=True))) / norm
        return np.asarray((norm - radius) / np.maximum(slope, 1 / max(self.scale)), dtype=np.float32)


def ellipse(first: Real, second: Real, semi_first: Real | float, semi_second: Real | float) -> FloatArray:
    """Signed distance to an ellipse (or an elliptic cylinder) from coordinates relative to its centre."""
    u = first / semi_first
    v = second / semi_second
    rho = np.sqrt(u * u + v * v) + np.float32(1e-4)
    slope = np.sqrt((u / semi_first) ** 2 + (v / semi_second) ** 2) / rho
    limit = 1 / np.maximum(semi_first, semi_second)
    return np.asarray((rho - 1) / np.maximum(slope, limit), dtype=np.float32)


def squircle(first: Real, second: Real, semi_first: Real | float, semi_second: Real | float) -> FloatArray:
    """Signed distance to a superellipse of exponent 4: a rounded rectangle."""
    u2 = (first / semi_first) ** 2
    v2 = (second / semi_second) ** 2
    rho = np.sqrt(np.sqrt(u2 * u2 + v2 * v2)) + np.float32(1e-4)
    slope = np.sqrt((u2**1.5 / semi_first) ** 2 + (v2**1.5 / semi_second) ** 2) / rho**3
    limit = 1 / np.maximum(semi_first, semi_second)
    return np.asarray((rho - 1) / np.maximum(slope, limit), dtype=np.float32)


def rounded(first: Real, second: Real, semi_first: Real | float, semi_second: Real | float) -> FloatArray:
    """Signed distance to a shape between ellipse and rounded rectangle, as the section of a vertebral body or of the trunk."""
    return np.asarray(
        0.6 * ellipse(first, second, semi_first, semi_second) + 0.4 * squircle(first, second, semi_first, semi_second), dtype=np.float32
    )


def ellipsoid(left: Real, posterior: Real, cranial: Real, semi: tuple[float, float, float]) -> FloatArray:
    """Signed distance to an ellipsoid at the origin with these semi-axes."""
    q = [axis * (1 / size) for axis, size in zip((left, posterior, cranial), semi, strict=True)]
    rho = np.sqrt(q[0] ** 2 + q[1] ** 2 + q[2] ** 2) + np.float32(1e-4)
    slope = np.sqrt(sum((axis * (1 / size)) ** 2 for axis, size in zip(q, semi, strict=True))) / rho
    return np.asarray((rho - 1) / np.maximum(slope, 1 / max(semi)), dtype=np.float32)


def smooth_max(first: Real, second: Real, radius_mm: float) -> FloatArray:
    """Intersection of two solids with an edge rounded over about ``radius_mm``."""
    overlap = np.maximum(radius_mm - np.abs(first - second), 0) * (1 / radius_mm)
    return np.asarray(np.maximum(first, second) + overlap * overlap * (radius_mm / 4), dtype=np.float32)


def smooth_min(first: Real, second: Real, radius_mm: float) -> FloatArray:
    """Union of two solids with a seam rounded over about ``radius_mm``."""
    return -smooth_max(-first, -second, radius_mm)


def union(canvas: Canvas, capsules: Sequence[Capsule], seam_mm: float = 0.0) -> tuple[Box, FloatArray] | None:
    """Signed distance to the union of rods, on the smallest box that holds them all; None where the grid misses them.

    ``seam_mm`` rounds the seams between them.
    """
    boxes = [(capsule, canvas.box(capsule.region, canvas.width_mm + 3)) for capsule in capsules]
    present = [(capsule, box) for capsule, box in boxes if box is not None]
    if not present:
        return None
    start = np.min([[part.start for part in box] for _, box in present], axis=0)
    stop = np.max([[part.stop for part in box] for _, box in present], axis=0)
    distance = np.full(tuple(stop - start), FAR_MM, dtype=np.float32)
    whole = (slice(int(start[0]), int(stop[0])), slice(int(start[1]), int(stop[1])), slice(int(start[2]), int(stop[2])))
    for capsule, _ in present:
        merge(canvas, whole, distance, capsule, seam_mm)
    return whole, distance


def merge(canvas: Canvas, box: Box, distance: FloatArray, capsule: Capsule, seam_mm: float = 0.0) -> None:
    """Add a rod to the solid whose signed distance on ``box`` is ``distance``, in place, with a rounded seam."""
    near = canvas.box(capsule.region, canvas.width_mm + 3 + seam_mm)
    both = None if near is None else _common(near, box)
    if both is None:
        return
    view = distance[_relative(both, box)]
    added = capsule.distance(*canvas.coordinates(capsule.frame, both))
    view[...] = smooth_min(view, added, seam_mm) if seam_mm else np.minimum(view, added)


def carve(canvas: Canvas, box: Box, distance: FloatArray, capsule: Capsule) -> None:
    """Take a rod away from the solid whose signed distance on ``box`` is ``distance``, in place."""
    near = canvas.box(capsule.region, canvas.width_mm + 3)
    both = None if near is None else _common(near, box)
    if both is not None:
        view = distance[_relative(both, box)]
        np.maximum(view, -capsule.distance(*canvas.coordinates(capsule.frame, both)), out=view)


def _common(first: Box, second: Box) -> Box | None:
    spans = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(first, second, strict=True)]
    if any(start >= stop for start, stop in spans):
        return None
    return (slice(*spans[0]), slice(*spans[1]), slice(*spans[2]))


def _relative(inner: Box, outer: Box) -> Box:
    parts = [slice(a.start - b.start, a.stop - b.start) for a, b in zip(inner, outer, strict=True)]
    return (parts[0], parts[1], parts[2])


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))
