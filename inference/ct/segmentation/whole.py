"""From masks of whole vertebrae to their bodies: the arch is cut off in front of the spinal canal, by the mask alone.

In the planes of one vertebra the mask is read from front to back along its middle: the first stretch of bone is the body, and where it
ends with room behind, the canal begins. A plane through these points, fitted robustly, is the body's back; what lies in front of it is
the body. The plane's tilt from side to side tells the rotation of the vertebra, and the bodies so found the direction of the column; a
second pass works with both.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.volume import Volume

Points = NDArray[np.float64]
Labels = NDArray[np.uint8]

STEP_MM = 1.0
"""Of the planes in which a vertebra is read."""
HALF_HEIGHT_MM, HALF_DEPTH_MM, HALF_WIDTH_MM = 35.0, 70.0, 5.0
"""Reach of these planes from the vertebra's centre; in width only the middle is read."""
BODY_DEPTH_MM = (10.0, 55.0)
"""Depth of a body from C3 to L5; a longer stretch runs into the arch, a shorter one is a process."""
ROOM_MM = 6.0
"""The canal is at least so deep behind the body: the narrowest normal one measures 12 mm."""
CANAL_DEPTH_MM = (10.0, 22.0)
"""Where the arch does not show how deep the canal is, it is taken to be in between."""
MIN_COLUMNS = 30
"""Fewer columns that show the back of the body are no plane; a whole vertebra shows about 250."""
MAX_SLOPE = 0.6
"""Steeper is no posterior wall but a vertebra cut by the edge of the image."""
MIN_BODY_ML = 4.0
"""Less is no body but a process or the rim of a body at the edge of the image; C3 has about 5 ml."""
MIN_ARCH = 0.05
"""Part of the mask that lies behind the body: without any arch, what looks like a body is a spinous process whose body is missing."""
PASSES = 2


@dataclass(frozen=True, kw_only=True)
class CutBody:
    """The body of one vertebra.

    Attributes
    ----------
    label
        The vertebra's value in the mask that was cut.
    voxels
        (N, 3) indices of the body.
    centre_lps_mm
        (3,) mean of its voxels.
    canal_lps_mm
        (3,) middle of the canal behind the body; None where the mask was of bodies alone.
    cranial, anterior, left
        (3,) LPS unit vectors of its frame.
    """

    label: int
    voxels: NDArray[np.int64]
    centre_lps_mm: Points
    canal_lps_mm: Points | None
    cranial: Points
    anterior: Points
    left: Points


@dataclass(frozen=True, kw_only=True)
class _Vertebra:
    """One vertebra while it is being cut: its voxels, and what is known of its pose so far."""

    label: int
    voxels: NDArray[np.int64]
    points_mm: Points
    centre_mm: Points
    cranial: Points
    anterior: Points

    @property
    def axes(self) -> Points:
        """(3, 3): rows are cranial, anterior and left."""
        return right_angled(self.cranial, self.anterior)


@dataclass(frozen=True, kw_only=True)
class BackPlane:
    """The back of a body: anterior = ``at`` + ``rise`` * cranial + ``turn`` * left, in mm from the vertebra's centre.

    ``canal_depth_mm`` is the room behind it before the arch.
    """

    at: float
    rise: float
    turn: float
    canal_depth_mm: float

    def height(self, cranial: Points, left: Points) -> Points:
        """Anterior coordinate of the plane."""
        return np.asarray(self.at + self.rise * cranial + self.turn * left)


def right_angled(cranial: Points, anterior: Points) -> Points:
    """(3, 3): rows are cranial, anterior made perpendicular to it, and left; unit vectors."""
    up = cranial / np.linalg.norm(cranial)
    front = anterior - (anterior @ up) * up
    front /= np.linalg.norm(front)
    return np.stack([up, front, np.cross(up, front)])


def column_directions(centres_mm: Sequence[Points]) -> list[Points]:
    """The direction towards the head at each of several centres, head to foot; that of the patient where there is only one."""
    if len(centres_mm) < 2:
        return [np.array([0.0, 0.0, 1.0]) for _ in centres_mm]
    found = []
    for n in range(len(centres_mm)):
        step = centres_mm[max(0, n - 1)] - centres_mm[min(len(centres_mm) - 1, n + 1)]
        found.append(step / np.linalg.norm(step))
    return found


def cut_bodies(volume: Volume, labels: Labels, order: Sequence[int]) -> tuple[CutBody, ...]:
    """Cut every body from its whole vertebra.

    Parameters
    ----------
    labels
        uint8, the volume's shape.
    order
        The labels of the vertebrae, head to foot. One whose body does not show (a spinous process at the edge of the image) is left out.

    Returns
    -------
    tuple
        Head to foot.
    """
    vertebrae = _posed(volume, labels, order)
    cut: list[CutBody] = []
    for _ in range(PASSES):
        cut = with_neighbours([body for vertebra in vertebrae if (body := _cut(volume, labels, vertebra)) is not None])
        if not cut:
            return ()
        directions = dict(zip((body.label for body in cut), column_directions([body.centre_lps_mm for body in cut]), strict=True))
        turned = {body.label: body.anterior for body in cut}
        vertebrae = [
            dataclasses.replace(each, cranial=directions.get(each.label, each.cranial), anterior=turned.get(each.label, each.anterior))
            for each in vertebrae
        ]
    return tuple(cut)


def with_neighbours(bodies: Sequence[CutBody]) -> list[CutBody]:
    """The bodies, each facing the mean of its own front and its neighbours': one vertebra alone tells its rotation to about 8 degrees."""
    found = []
    for n, body in enumerate(bodies):
        front = np.mean([other.anterior for other in bodies[max(0, n - 1) : n + 2]], axis=0)
        cranial, anterior, left = right_angled(body.cranial, front)
        found.append(dataclasses.replace(body, cranial=cranial, anterior=anterior, left=left))
    return found


def bodies_as_they_are(volume: Volume, labels: Labels, order: Sequence[int]) -> tuple[CutBody, ...]:
    """The same where the mask holds bodies alone: nothing is cut, and rotation is not known."""
    found = []
    for each in _posed(volume, labels, order):
        cranial, anterior, left = each.axes
        found.append(
            CutBody(
                label=each.label,
                voxels=each.voxels,
                centre_lps_mm=each.centre_mm,
                canal_lps_mm=None,
                cranial=cranial,
                anterior=anterior,
                left=left,
            )
        )
    return tuple(found)


def _posed(volume: Volume, labels: Labels, order: Sequence[int]) -> list[_Vertebra]:
    boxes = ndimage.find_objects(labels)
    voxels = []
    for label in order:
        box = boxes[label - 1]
        first = [side.start for side in box]
        voxels.append(np.argwhere(labels[box] == label) + first)
    points = [volume.to_lps_mm(each) for each in voxels]
    centres = [np.asarray(each.mean(axis=0)) for each in points]
    return [
        _Vertebra(label=label, voxels=own, points_mm=places, centre_mm=centre, cranial=cranial, anterior=np.array([0.0, -1.0, 0.0]))
        for label, own, places, centre, cranial in zip(order, voxels, points, centres, column_directions(centres), strict=True)
    ]


def _cut(volume: Volume, labels: Labels, vertebra: _Vertebra) -> CutBody | None:
    """The body of one vertebra; None where its back does not show."""
    axes = vertebra.axes
    plane = back_plane(*_middle(volume, labels, vertebra))
    if plane is None:
        return None
    local = (vertebra.points_mm - vertebra.centre_mm) @ axes.T
    in_front = vertebra.voxels[local[:, 1] > plane.height(local[:, 0], local[:, 2])]
    body = _largest_piece(in_front)
    if len(in_front) > (1.0 - MIN_ARCH) * len(vertebra.voxels):
        return None
    if len(body) * float(np.prod(volume.spacing_mm)) / 1000.0 < MIN_BODY_ML:
        return None
    centre = np.asarray(volume.to_lps_mm(body).mean(axis=0))
    up, _, left = (centre - vertebra.centre_mm) @ axes.T
    canal = np.array([up, plane.height(up, left) - plane.canal_depth_mm / 2, left]) @ axes + vertebra.centre_mm
    cranial, anterior, left_axis = right_angled(axes[0], axes[1] - plane.turn * axes[2])
    return CutBody(
        label=vertebra.label,
        voxels=body,
        centre_lps_mm=centre,
        canal_lps_mm=np.asarray(canal),
        cranial=cranial,
        anterior=anterior,
        left=left_axis,
    )


def _middle(volume: Volume, labels: Labels, vertebra: _Vertebra) -> tuple[NDArray[np.bool_], Points, Points, Points]:
    """The vertebra's mask in its own planes, bool (cranial, front to back, left), and the coordinates of the three axes in mm."""
    ups, backs, lefts = (np.arange(-half, half + STEP_MM / 2, STEP_MM) for half in (HALF_HEIGHT_MM, HALF_DEPTH_MM, HALF_WIDTH_MM))
    fronts = backs[::-1]
    grid = np.stack(np.meshgrid(ups, fronts, lefts, indexing="ij"), axis=-1).reshape(-1, 3)
    indices = np.rint(volume.to_indices(grid @ vertebra.axes + vertebra.centre_mm)).astype(np.int64)
    inside = np.all((indices >= 0) & (indices < labels.shape), axis=1)
    mask = np.zeros(len(grid), dtype=bool)
    mask[inside] = labels[tuple(indices[inside].T)] == vertebra.label
    return mask.reshape(ups.size, fronts.size, lefts.size), ups, fronts, lefts


def back_plane(mask: NDArray[np.bool_], up_mm: Points, front_mm: Points, left_mm: Points) -> BackPlane | None:
    """The plane of a body's back in the middle of a vertebra.

    Parameters
    ----------
    mask
        bool (cranial, front to back, left).
    up_mm, front_mm, left_mm
        Coordinates along its axes; ``front_mm`` falls.

    Returns
    -------
    BackPlane or None
        None where too few columns show a body with room behind it.
    """
    points, rooms = [], []
    for at in np.argwhere(mask.any(axis=1)):
        found = _end_of_body(mask[at[0], :, at[1]])
        if found is not None:
            last, room = found
            points.append((up_mm[at[0]], left_mm[at[1]], front_mm[last] - STEP_MM / 2))
            rooms.append(room * STEP_MM)
    if len(points) < MIN_COLUMNS:
        return None
    depth = float(np.clip(np.median(rooms), *CANAL_DEPTH_MM))
    return _robust_plane(np.array(points), depth)


def _end_of_body(line: NDArray[np.bool_]) -> tuple[int, int] | None:
    """Index of the last voxel of the first stretch of bone, front to back, and the room behind it; None where that is no body's back."""
    first = int(np.argmax(line))
    rest = line[first:]
    length = int(np.argmin(rest)) if not rest.all() else rest.size
    behind = rest[length:]
    room = int(np.argmax(behind)) if behind.any() else behind.size
    shallow, deep = BODY_DEPTH_MM
    if not shallow <= length * STEP_MM <= deep or room * STEP_MM < ROOM_MM:
        return None
    return first + length - 1, room


def _robust_plane(points: Points, canal_depth_mm: float) -> BackPlane:
    """Plane through points (N, 3) of (up, left, front), least squares over those near it."""
    terms = np.column_stack([np.ones(len(points)), points[:, :2]])
    near = np.ones(len(points), dtype=bool)
    solution = np.array([np.median(points[:, 2]), 0.0, 0.0])
    for _ in range(6):
        away = np.abs(points[:, 2] - terms @ solution)
        near = away <= max(1.5 * STEP_MM, 1.5 * float(np.median(away)))
        solution = np.linalg.lstsq(terms[near], points[near, 2], rcond=None)[0]
    slopes = np.clip(solution[1:], -MAX_SLOPE, MAX_SLOPE)
    at = float(np.median(points[near, 2] - points[near, :2] @ slopes))
    return BackPlane(at=at, rise=float(slopes[0]), turn=float(slopes[1]), canal_depth_mm=canal_depth_mm)


def _largest_piece(voxels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of voxels (N, 3) those of the largest piece that hangs together by faces."""
    if len(voxels) == 0:
        return voxels
    low = voxels.min(axis=0)
    mask = np.zeros(voxels.max(axis=0) - low + 1, dtype=bool)
    mask[tuple((voxels - low).T)] = True
    pieces, count = ndimage.label(mask)
    if count > 1:
        mask = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    found: NDArray[np.int64] = np.argwhere(mask) + low
    return found
