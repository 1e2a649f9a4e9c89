"""From voxels called body or disc to a row of bodies: one chain, one curve through it, one cut at each disc."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal
from scipy.spatial import cKDTree

from inference.ct.segmentation.centreline import axes_across, resample_curve, tangents_of
from inference.ct.segmentation.grid import Points
from inference.ct.segmentation.network.predict import BODY, DISC, POSTERIOR, Prediction
from inference.errors import ReasonCode, Refusal

STEP_MM = 1.0
SMOOTH_MM = 14.0
EXTENDED_MM = 25.0
MIN_CHAIN_ML = 12.0
MIN_PART_ML = 2.0
JOIN_GAP_MM, JOIN_ASIDE_MM = 45.0, 22.0
"""A piece of column belongs to the chain when it lies within this distance beyond its end, and no further beside its line."""
MIN_DISC_SHARE = 0.3
MIN_SPACING_MM = 13.0
MIN_BODY_ML = 2.5


@dataclass(frozen=True, kw_only=True)
class Line:
    """The column's centre line, foot to head, every :data:`STEP_MM`; vectors (N, 3) in frame order (z, y, x), mm."""

    points_mm: Points
    tangent: Points
    anterior: Points
    left: Points


@dataclass(frozen=True, kw_only=True)
class NetworkBody:
    """One body: its voxels on the grid and where it lies.

    Attributes
    ----------
    voxels
        (N, 3) grid indices.
    along
        (low, high) positions on the line between which it lies, mm.
    bounded
        A disc on both sides.
    """

    voxels: NDArray[np.int64]
    along: tuple[float, float]
    bounded: bool


@dataclass(frozen=True, kw_only=True)
class NetworkColumn:
    """The bodies, foot to head, with the discs between them; space n lies below disc n (:mod:`inference.ct.segmentation.levels`).

    ``bodies`` has one entry per space, None where the network saw no body there.
    """

    line: Line
    discs_mm: tuple[float, ...]
    bodies: tuple[NetworkBody | None, ...]


def find_chain(prediction: Prediction) -> NDArray[np.bool_]:
    """Voxels of the largest chain of bodies and discs, with the pieces that continue it.

    Raises
    ------
    Refusal
        ``SPINE_NOT_FOUND``.
    """
    chain = (prediction.structures == BODY) | (prediction.structures == DISC)
    labels, count = ndimage.label(chain)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * prediction.spacing_mm**3 / 1000.0
    sizes[0] = 0.0
    if count == 0 or sizes.max() < MIN_CHAIN_ML:
        raise Refusal(ReasonCode.SPINE_NOT_FOUND, "the network sees no chain of vertebral bodies and discs")
    taken = {int(sizes.argmax())}
    waiting = {int(label) for label in np.flatnonzero(sizes >= MIN_PART_ML)} - taken
    centres: dict[int, Points] = {label: np.argwhere(labels == label) * np.float64(prediction.spacing_mm) for label in taken | waiting}
    while waiting:
        joined = np.concatenate([centres[label] for label in taken])
        nearest = min(waiting, key=lambda label: _gap_mm(joined, centres[label]))
        if _gap_mm(joined, centres[nearest]) > JOIN_GAP_MM or _aside_mm(joined, centres[nearest]) > JOIN_ASIDE_MM:
            waiting.discard(nearest)
            continue
        taken.add(nearest)
        waiting.discard(nearest)
    return np.asarray(np.isin(labels, list(taken)))


def _gap_mm(chain: Points, part: Points) -> float:
    """How far a piece lies above or below the chain; 0 where they overlap in height."""
    return float(max(part[:, 0].min() - chain[:, 0].max(), chain[:, 0].min() - part[:, 0].max(), 0.0))


def _aside_mm(chain: Points, part: Points) -> float:
    """Distance of a piece's centre from the line that the nearer end of the chain points along, at the piece's height."""
    above = part[:, 0].mean() > chain[:, 0].mean()
    end = chain[:, 0].max() if above else chain[:, 0].min()
    near = chain[np.abs(chain[:, 0] - end) < 50.0]
    height = part[:, 0].mean()
    offsets = []
    for axis in (1, 2):
        fit = np.polyfit(near[:, 0], near[:, axis], 1) if np.ptp(near[:, 0]) > 12 else (0.0, near[:, axis].mean())
        offsets.append(part[:, axis].mean() - np.polyval(fit, height))
    return float(np.hypot(*offsets))


def find_line(prediction: Prediction, chain: NDArray[np.bool_]) -> Line:
    """A smooth line through the chain, extended beyond its ends; its front looks away from the arches."""
    step = prediction.spacing_mm
    rows = np.flatnonzero(chain.any(axis=(1, 2)))
    centres = np.array([ndimage.center_of_mass(chain[row]) for row in rows]) * step
    heights = np.arange(rows[0], rows[-1] + 1) * step
    area = np.interp(heights, rows * step, chain[rows].sum(axis=(1, 2)).astype(float))
    filled = np.column_stack([np.interp(heights, rows * step, centres[:, axis]) for axis in range(2)])
    weight = ndimage.gaussian_filter1d(area, SMOOTH_MM / step, mode="nearest")
    smooth = np.column_stack(
        [ndimage.gaussian_filter1d(filled[:, axis] * area, SMOOTH_MM / step, mode="nearest") / weight for axis in range(2)]
    )
    points = _extended(np.column_stack([heights, smooth]), EXTENDED_MM)
    points, _ = resample_curve(points, STEP_MM)
    tangent = tangents_of(points, 6.0)
    anterior, left = axes_across(tangent, _front(prediction, points))
    return Line(points_mm=points, tangent=tangent, anterior=anterior, left=left)


def _extended(points: Points, length_mm: float) -> Points:
    """The line carried on straight at both ends, in the direction of its last 30 mm."""
    reach = max(1, min(len(points) - 1, 10))
    low, high = points[0] - points[reach], points[-1] - points[-1 - reach]
    out = [points]
    for end, direction, first in ((points[0], low, True), (points[-1], high, False)):
        norm = float(np.linalg.norm(direction))
        if norm > 0:
            extra = end + direction / norm * length_mm
            out.insert(0, extra[None]) if first else out.append(extra[None])
    return np.concatenate(out)


def _front(prediction: Prediction, points: Points) -> Points:
    """(N, 3) towards the front at each point: away from the arches nearby; the frame's own front where there are none."""
    arches = np.argwhere(prediction.structures == POSTERIOR)[::3] * prediction.spacing_mm
    straight = np.tile([0.0, -1.0, 0.0], (len(points), 1))
    if len(arches) < 50:
        return straight
    distance, nearest = cKDTree(points).query(arches, distance_upper_bound=60.0)
    seen = np.isfinite(distance)
    offset = points[nearest[seen]] - arches[seen]
    total = np.zeros_like(points)
    np.add.at(total, nearest[seen], offset)
    smooth = ndimage.gaussian_filter1d(total, 20.0, axis=0, mode="nearest") + 1e-3 * straight
    norm = np.linalg.norm(smooth, axis=1, keepdims=True)
    return np.where(norm > 1e-6, smooth / np.maximum(norm, 1e-6), straight)


def find_discs(along: Points, is_disc: NDArray[np.bool_], length: int) -> list[int]:
    """Positions on the line where discs, or gaps, part the chain.

    Parameters
    ----------
    along
        (N,) positions of the chain's voxels.
    is_disc
        (N,) True for disc, False for body.
    """
    body = _profile(along[~is_disc], length)
    disc = _profile(along[is_disc], length)
    total = body + disc
    typical = float(np.median(total[total > 0])) if np.any(total > 0) else 0.0
    share = (disc + 0.02 * typical) / (total + 0.05 * typical + 1e-9)
    rows = np.flatnonzero(total > 0.1 * typical)
    share[: rows[0]], share[rows[-1] + 1 :] = 0.0, 0.0
    gap = np.zeros(length, dtype=bool)
    gap[rows[0] : rows[-1]] = total[rows[0] : rows[-1]] < 0.12 * typical
    share[gap] = np.maximum(share[gap], 0.9)
    share = ndimage.gaussian_filter1d(share, 1.5 / STEP_MM)
    peaks, _ = signal.find_peaks(np.concatenate([[0.0], share, [0.0]]), height=MIN_DISC_SHARE, distance=MIN_SPACING_MM / STEP_MM)
    return [int(peak) - 1 for peak in peaks]


def _profile(along: Points, length: int) -> Points:
    counts = np.bincount(np.clip(np.rint(along / STEP_MM).astype(int), 0, length - 1), minlength=length)
    return np.asarray(ndimage.gaussian_filter1d(counts.astype(float), 2.0 / STEP_MM))


def find_column(prediction: Prediction) -> NetworkColumn:
    """The row of bodies.

    Raises
    ------
    Refusal
        ``SPINE_NOT_FOUND`` where no chain, no disc or no body is seen.
    """
    chain = find_chain(prediction)
    line = find_line(prediction, chain)
    voxels = np.argwhere(chain)
    along = positions(line, voxels.astype(np.float64) * prediction.spacing_mm)
    is_disc = prediction.structures[chain] == DISC
    discs = find_discs(along, is_disc, len(line.points_mm))
    if not discs:
        raise Refusal(ReasonCode.SPINE_NOT_FOUND, "the network sees no disc between two vertebral bodies")
    edges = [-np.inf, *(disc * STEP_MM for disc in discs), np.inf]
    last = len(edges) - 2
    bodies = []
    for space, (low, high) in enumerate(pairwise(edges)):
        mine = voxels[~is_disc & (along > low) & (along <= high)]
        bodies.append(_body(mine, (low, high), prediction, bounded=0 < space < last))
    if not any(bodies):
        raise Refusal(ReasonCode.SPINE_NOT_FOUND, "the network sees no vertebral body between two discs")
    return NetworkColumn(line=line, discs_mm=tuple(disc * STEP_MM for disc in discs), bodies=tuple(bodies))


def positions(line: Line, points_mm: Points) -> Points:
    """(N,) position along the line of each point (N, 3), mm: the nearest point of the line, refined along its tangent."""
    _, nearest = cKDTree(line.points_mm).query(points_mm)
    offset = np.sum((points_mm - line.points_mm[nearest]) * line.tangent[nearest], axis=1)
    return np.asarray(nearest * STEP_MM + np.clip(offset, -STEP_MM, STEP_MM))


def _body(voxels: NDArray[np.int64], along: tuple[float, float], prediction: Prediction, *, bounded: bool) -> NetworkBody | None:
    """The largest connected piece of the body voxels between two discs; None where too little is there."""
    if len(voxels) * prediction.spacing_mm**3 / 1000.0 < MIN_BODY_ML:
        return None
    low = voxels.min(axis=0)
    block = np.zeros(voxels.max(axis=0) - low + 1, dtype=bool)
    block[tuple((voxels - low).T)] = True
    labels, _ = ndimage.label(block)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    piece = np.argwhere(labels == sizes.argmax()) + low
    if len(piece) * prediction.spacing_mm**3 / 1000.0 < MIN_BODY_ML:
        return None
    return NetworkBody(voxels=piece, along=along, bounded=bounded)
