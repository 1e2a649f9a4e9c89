"""One vertebral body between two discs, from its surfaces in the straightened spine back to the scan's own voxels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.ct.segmentation.discs import Disc
from inference.ct.segmentation.endplates import Endplate, find_endplate, lattice
from inference.ct.segmentation.grid import Floats, Frame, Points
from inference.ct.segmentation.straighten import StraightSpine
from inference.ct.segmentation.wall import ANGLES, Wall

LATTICE_MM = 1.25
CORE_MM = 4.0
SHRINK_MM = 0.7
THICK_SHRINK = 0.25
"""More shrinkage, per mm of slice spacing above 3 mm: thick slices smear the endplates inwards and outwards."""


@dataclass(frozen=True, kw_only=True)
class OrientedScan:
    """Attenuation and mask in frame order (z, y, x), both views of native arrays."""

    hu: NDArray[np.int16]
    labels: NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Body:
    """A body bounded by two endplates and a wall, in straight coordinates.

    Attributes
    ----------
    below, above
        The discs at its foot and head.
    lower, upper
        Its endplates.
    wall
        The side wall of the whole spine.
    first, last
        The planes its wall is read from.
    """

    below: Disc
    above: Disc
    lower: Endplate
    upper: Endplate
    wall: Wall
    first: int
    last: int

    @property
    def middle(self) -> float:
        """Plane index half-way between the endplates on the centre line."""
        centre = self.lower.surface.shape[0] // 2
        return 0.5 * float(self.lower.surface[centre, centre] + self.upper.surface[centre, centre])

    def height_mm(self, step_mm: float) -> float:
        """Distance of the endplates on the centre line."""
        centre = self.lower.surface.shape[0] // 2
        return float(self.upper.surface[centre, centre] - self.lower.surface[centre, centre]) * step_mm

    def depth_inside_mm(self, along: Points, ahead_mm: Points, left_mm: Points, step_mm: float) -> Points:
        """Distance in mm from the nearest bounding surface, positive inside."""
        radius = np.hypot(ahead_mm, left_mm)
        wall = self.wall.at(along, np.arctan2(left_mm, ahead_mm)) - radius
        lower = (along - self.lower.along(ahead_mm, left_mm)) * step_mm
        upper = (self.upper.along(ahead_mm, left_mm) - along) * step_mm
        return np.asarray(np.minimum(np.minimum(lower, upper), wall))


def find_body(spine: StraightSpine, wall: Wall, below: Disc, above: Disc) -> Body:
    """The body between two neighbouring discs."""
    room = (above.along - below.along) * spine.curve.step_mm
    lower = find_endplate(spine, below, +1, room)
    upper = find_endplate(spine, above, -1, room)
    last = len(spine.curve.points_mm) - 1
    first_plane = int(np.clip(np.floor(lower.surface[7:28, 7:28].min()) - 1, 0, last))
    last_plane = int(np.clip(np.ceil(upper.surface[7:28, 7:28].max()) + 1, first_plane, last))
    return Body(below=below, above=above, lower=lower, upper=upper, wall=wall, first=first_plane, last=last_plane)


def plane_slopes(endplate: Endplate, radius_mm: float) -> tuple[float, float]:
    """Mean slopes of an endplate towards the front and the left, inside 0.7 of the body's half-width."""
    ahead, left = lattice()
    inside = np.hypot(ahead, left) <= 0.7 * radius_mm
    basis = np.column_stack([np.ones(int(inside.sum())), ahead[inside], left[inside]])
    coefficients, *_ = np.linalg.lstsq(basis, endplate.surface[inside].astype(np.float64), rcond=None)
    return float(coefficients[1]), float(coefficients[2])


def body_axes(spine: StraightSpine, body: Body) -> tuple[Points, Points, Points]:
    """Cranial, anterior and left unit vectors in the frame: cranial is normal to the mean of the two endplates."""
    curve = spine.curve
    at = int(np.clip(round(body.middle), 0, len(curve.points_mm) - 1))
    radius = float(curve.radius_mm[at])
    slopes = np.mean([plane_slopes(body.lower, radius), plane_slopes(body.upper, radius)], axis=0) * curve.step_mm
    cranial = curve.tangent[at] - slopes[0] * curve.anterior[at] - slopes[1] * curve.left[at]
    cranial /= np.linalg.norm(cranial)
    anterior = curve.anterior[at] - (curve.anterior[at] @ cranial) * cranial
    anterior /= np.linalg.norm(anterior)
    return cranial, anterior, np.cross(anterior, cranial)  # (z, y, x) components: a left-handed order


def to_straight(spine: StraightSpine, points_mm: Points, start: float, low: float, high: float) -> tuple[Points, Points, Points]:
    """Straight coordinates of frame points (N, 3) near plane ``start``: a few steps along the centre line from there."""
    curve = spine.curve
    last = len(curve.points_mm) - 1
    low, high = max(0.0, low), min(float(last), high)
    along = np.full(len(points_mm), np.clip(start, low, high))
    indices = np.arange(last + 1)

    def at(values: Points, where: Points) -> Points:
        return np.column_stack([np.interp(where, indices, values[:, n]) for n in range(3)])

    for _ in range(4):
        gap = points_mm - at(curve.points_mm, along)
        along = np.clip(along + np.sum(gap * at(curve.tangent, along), axis=1) / curve.step_mm, low, high)
    gap = points_mm - at(curve.points_mm, along)
    beyond = np.sum(gap * at(curve.tangent, along), axis=1) / curve.step_mm
    return along + beyond, np.sum(gap * at(curve.anterior, along), axis=1), np.sum(gap * at(curve.left, along), axis=1)


def bounding_box_mm(spine: StraightSpine, body: Body) -> tuple[Points, Points]:
    """Smallest and largest frame coordinates (3,) of the body's surfaces, with 2 mm to spare."""
    radius = body.wall.radius_mm[body.first : body.last + 1].astype(np.float64)
    angles = np.arange(ANGLES) * 2 * np.pi / ANGLES
    ahead, left = radius * np.cos(angles), radius * np.sin(angles)
    along = np.broadcast_to(np.arange(body.first, body.last + 1)[:, None], ahead.shape)
    shell = [spine.to_frame_mm(along.astype(float), ahead, left)]
    shell.extend(spine.to_frame_mm(endplate.along(ahead, left), ahead, left) for endplate in (body.lower, body.upper))
    points = np.concatenate([part.reshape(-1, 3) for part in shell])
    return points.min(axis=0) - 2.0, points.max(axis=0) + 2.0


@dataclass(frozen=True, kw_only=True)
class Painted:
    """What was drawn of one body: any voxel at all, wholly inside the scan, and the mean attenuation more than 4 mm inside it."""

    drawn: bool
    whole: bool
    core_hu: float | None


def paint(spine: StraightSpine, body: Body, frame: Frame, oriented: OrientedScan, label: int) -> Painted:
    """Write the body into the oriented native mask.

    The distance to the surfaces is computed on a coarse lattice and interpolated to the native voxels, so that the cost does not grow
    with the matrix.
    """
    low_mm, high_mm = bounding_box_mm(spine, body)
    spacing = np.array(frame.spacing_mm)
    first = np.floor(low_mm / spacing).astype(int)
    last = np.ceil(high_mm / spacing).astype(int)
    inside_first, inside_last = np.maximum(first, 0), np.minimum(last, np.array(frame.shape) - 1)
    if np.any(inside_last < inside_first):
        return Painted(drawn=False, whole=False, core_hu=None)
    start_mm = inside_first * spacing
    counts = np.ceil((inside_last - inside_first) * spacing / LATTICE_MM).astype(int) + 2
    lines = [start_mm[n] + np.arange(counts[n]) * LATTICE_MM for n in range(3)]
    points = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, 3)
    along, ahead, left = to_straight(spine, points, body.middle, body.first - 8.0, body.last + 8.0)
    shrink = SHRINK_MM + THICK_SHRINK * max(0.0, max(frame.spacing_mm) - 3.0)
    depth = (body.depth_inside_mm(along, ahead, left, spine.curve.step_mm) - shrink).astype(np.float32).reshape(tuple(counts))
    fine = to_native(depth, inside_last - inside_first + 1, spacing)
    box = tuple(slice(a, b + 1) for a, b in zip(inside_first, inside_last, strict=True))
    block = oriented.labels[box]
    voxels = (fine > 0.0) & (block == 0)
    block[voxels] = label
    core = oriented.hu[box][voxels & (fine > CORE_MM)]
    return Painted(
        drawn=bool(voxels.any()),
        whole=lies_whole(voxels, inside_first, np.array(frame.shape)),
        core_hu=float(core.mean()) if core.size else None,
    )


def to_native(values: Floats, shape: NDArray[np.int64], spacing_mm: Points) -> Floats:
    """Interpolate a lattice of 1.25 mm linearly to ``shape`` voxels of ``spacing_mm``, one axis after the other."""
    out = values
    for axis in range(3):
        positions = np.arange(shape[axis]) * spacing_mm[axis] / LATTICE_MM
        below = np.minimum(positions.astype(int), values.shape[axis] - 2)
        share = (positions - below).astype(np.float32).reshape([-1 if n == axis else 1 for n in range(3)])
        out = np.take(out, below, axis=axis) * (1 - share) + np.take(out, below + 1, axis=axis) * share
    return out


def lies_whole(voxels: NDArray[np.bool_], first: NDArray[np.int64], shape: NDArray[np.int64]) -> bool:
    """True where no voxel of the body lies within one voxel of the scan's border, and there are any."""
    if not voxels.any():
        return False
    for axis in range(3):
        present = np.nonzero(voxels.any(axis=tuple(n for n in range(3) if n != axis)))[0] + first[axis]
        if present[0] <= 1 or present[-1] >= shape[axis] - 2:
            return False
    return True
