"""The spinal canal: soft tissue ringed by bone, followed from slice to slice.

Every voxel of a midline corridor gets a score for lying in the canal; dynamic programming (Viterbi) follows the best path through
all slices. No fixed bone threshold serves both dense and very thin bone, so several are tried and the longest good track is kept.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.ct.segmentation.grid import Floats, Points, WorkGrid

BONE_THRESHOLDS_HU = (110.0, 140.0, 170.0, 200.0)
RAYS = 16
RAY_LENGTH_MM = 18.0
CORRIDOR_HALF_WIDTH_MM = 60.0
VALID_SCORE = 0.19
END_SCORE = 0.12
RUNNING_MM = 24.0
SMOOTH_MM = 6.0
MAX_LATERAL_SLOPE = 0.65


@dataclass(frozen=True, kw_only=True)
class CanalTrack:
    """A canal followed through consecutive planes of the working grid.

    Attributes
    ----------
    points_mm
        (N, 3) smoothed centre line in frame mm (z, y, x), foot to head, one point per grid plane.
    scores
        (N,) canal score under the track, 0..1.
    bone_hu
        The bone threshold that gave it.
    """

    points_mm: Points
    scores: Floats
    bone_hu: float

    @property
    def length_mm(self) -> float:
        """Length along the track."""
        return float(np.linalg.norm(np.diff(self.points_mm, axis=0), axis=1).sum()) if len(self.points_mm) > 1 else 0.0


@dataclass(frozen=True, kw_only=True)
class Corridor:
    """The part of the grid searched for the canal: whole in z, cut in y and x."""

    hu: Floats
    first_yx: tuple[int, int]
    spacing_mm: float
    midline_mm: NDArray[np.float64]


def corridor_of(grid: WorkGrid) -> Corridor:
    """Cut the posterior three quarters of the body around its midline; a cropped scan without air around it is kept nearly whole."""
    coarse = grid.hu[::4, ::4, ::4] > -300.0
    coarse = ndimage.binary_opening(coarse, iterations=1) if min(coarse.shape) > 4 else coarse
    labels, count = ndimage.label(coarse)
    coarse = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])) if count else np.ones_like(coarse)
    _, ys, xs = np.nonzero(coarse)
    front, back = np.quantile(ys, [0.005, 0.995]) * 4
    first_y = int(max(0, front + 0.25 * (back - front)))
    last_y = int(min(grid.hu.shape[1], back + 5))
    centre_x = float(np.median(xs)) * 4
    half = CORRIDOR_HALF_WIDTH_MM / grid.spacing_mm
    first_x, last_x = int(max(0, centre_x - half)), int(min(grid.hu.shape[2], centre_x + half + 1))
    middle = (centre_x - first_x) * grid.spacing_mm
    return Corridor(
        hu=grid.hu[:, first_y:last_y, first_x:last_x],
        first_yx=(first_y, first_x),
        spacing_mm=grid.spacing_mm,
        midline_mm=np.full(grid.hu.shape[0], middle),
    )


def shifted(mask: NDArray[np.bool_], dy: int, dx: int) -> tuple[tuple[slice, slice, slice], NDArray[np.bool_]]:
    """Where (y, x) has a partner at (y+dy, x+dx): the region of such voxels and their partners' values."""
    _, ny, nx = mask.shape
    here = (slice(None), slice(max(0, -dy), ny - max(0, dy)), slice(max(0, -dx), nx - max(0, dx)))
    there = (slice(None), slice(max(0, dy), ny - max(0, -dy)), slice(max(0, dx), nx - max(0, -dx)))
    return here, mask[there]


def enclosure(bone: NDArray[np.bool_], spacing_mm: float) -> tuple[Floats, Floats, Floats]:
    """How bone surrounds each voxel within its plane.

    Returns
    -------
    tuple
        Fraction of rays that meet bone within 18 mm; fraction of the five posterior rays that do; roominess 0..1 (0 within 2 mm of
        bone, 1 from 6 mm on). Each of ``bone``'s shape.
    """
    around = np.zeros(bone.shape, dtype=np.uint8)
    behind = np.zeros(bone.shape, dtype=np.uint8)
    nearest = np.full(bone.shape, 99, dtype=np.uint8)
    steps = int(RAY_LENGTH_MM / spacing_mm)
    for ray in range(RAYS):
        angle = 2 * np.pi * ray / RAYS
        dy, dx = np.cos(angle), np.sin(angle)
        hit = np.zeros(bone.shape, dtype=bool)
        for step in range(1, steps + 1):
            here, there = shifted(bone, round(step * dy), round(step * dx))
            hit[here] |= there
            if step * spacing_mm <= 7.0:
                np.minimum(nearest, np.where(hit, np.uint8(step), np.uint8(99)), out=nearest)
        around += hit
        if dy > 0.7:
            behind += hit
    roomy = np.clip((nearest * np.float32(spacing_mm) - 2.0) / 4.0, 0.0, 1.0).astype(np.float32)
    return (around / np.float32(RAYS)).astype(np.float32), (behind / np.float32(5.0)).astype(np.float32), roomy


def canal_score(corridor: Corridor, bone_hu: float) -> Floats:
    """Score 0..1 of each corridor voxel for lying in the middle of the canal."""
    smooth = ndimage.gaussian_filter(corridor.hu, 0.7)
    bone = smooth > bone_hu
    around, behind, roomy = enclosure(bone, corridor.spacing_mm)
    softness = ndimage.gaussian_filter(corridor.hu, (1.5, 1.5, 1.5))
    soft = np.exp(-0.5 * (np.clip(np.abs(softness - 30.0) - 20.0, 0.0, None) / 30.0) ** 2)
    width = round(22.0 / corridor.spacing_mm)
    dense = ndimage.uniform_filter((smooth > 90.0).astype(np.float32), (1, width, width))
    ahead = np.zeros_like(dense)
    distance = round(25.0 / corridor.spacing_mm)
    ahead[:, distance:] = dense[:, :-distance] if dense.shape[1] > distance else 0.0
    x_mm = np.arange(corridor.hu.shape[2]) * corridor.spacing_mm
    central = np.exp(-0.5 * ((x_mm[None] - corridor.midline_mm[:, None]) / 40.0) ** 2)[:, None, :].astype(np.float32)
    score = around**2 * soft * roomy * (0.3 + 0.7 * ahead) * (0.3 + 0.7 * central) * (0.2 + 0.8 * behind)
    return np.asarray(score, dtype=np.float32)


def viterbi_path(score: Floats, *, max_dy: int = 2, max_dx: int = 1, step_cost: float = 0.02) -> NDArray[np.int64]:
    """The best path through all planes of ``score`` (z, y, x): (z, 2) indices (y, x), with bounded steps between planes."""
    planes, ny, nx = score.shape
    moves = [(dy, dx) for dy in range(-max_dy, max_dy + 1) for dx in range(-max_dx, max_dx + 1)]
    moves.sort(key=lambda move: abs(move[0]) + abs(move[1]))
    best = score[0].copy()
    came = np.zeros(score.shape, dtype=np.int8)
    padded = np.full((ny + 2 * max_dy, nx + 2 * max_dx), -1e9, dtype=np.float32)
    for z in range(1, planes):
        padded[max_dy : max_dy + ny, max_dx : max_dx + nx] = best
        best = np.full((ny, nx), -2e9, dtype=np.float32)
        for n, (dy, dx) in enumerate(moves):
            start_y, start_x = max_dy + dy, max_dx + dx
            candidate = padded[start_y : start_y + ny, start_x : start_x + nx] - step_cost * (abs(dy) + abs(dx))
            better = candidate > best
            best[better] = candidate[better]
            came[z][better] = n
        best += score[z]
    path = np.zeros((planes, 2), dtype=np.int64)
    path[-1] = np.unravel_index(int(np.argmax(best)), best.shape)
    for z in range(planes - 1, 0, -1):
        dy, dx = moves[came[z, path[z, 0], path[z, 1]]]
        path[z - 1] = path[z, 0] + dy, path[z, 1] + dx
    return path


def longest_valid(scores: Floats, spacing_mm: float) -> tuple[int, int]:
    """First and past-the-last plane of the longest stretch whose running maximum stays above the limit, its weak ends trimmed."""
    window = max(1, round(RUNNING_MM / spacing_mm))
    running = ndimage.maximum_filter1d(scores, window) > VALID_SCORE
    labels, count = ndimage.label(running)
    if count == 0:
        return 0, 0
    longest = 1 + int(np.argmax(np.bincount(labels)[1:]))
    inside = np.nonzero(labels == longest)[0]
    strong = inside[scores[inside] >= END_SCORE]
    return (int(strong[0]), int(strong[-1]) + 1) if strong.size else (0, 0)


def upright_part(points_mm: Points) -> slice:
    """The longest part of a smoothed track that does not run sideways: below the sacrum the path may wander off into a hip."""
    if len(points_mm) <= 3:
        return slice(0, len(points_mm))
    slope = np.gradient(points_mm[:, 2], points_mm[:, 0])
    labels, count = ndimage.label(np.abs(slope) < MAX_LATERAL_SLOPE)
    if count == 0:
        return slice(0, 0)
    rows = np.nonzero(labels == 1 + int(np.argmax(np.bincount(labels)[1:])))[0]
    return slice(int(rows[0]), int(rows[-1]) + 1)


def track_at(corridor: Corridor, bone_hu: float) -> CanalTrack:
    """The canal as seen with one bone threshold; an empty track where there is none."""
    score = canal_score(corridor, bone_hu)
    path = viterbi_path(score)
    along = score[np.arange(len(path)), path[:, 0], path[:, 1]]
    first, last = longest_valid(along, corridor.spacing_mm)
    planes = np.arange(first, last)
    yx = (path[first:last] + np.array(corridor.first_yx)).astype(np.float64)
    points = np.column_stack([planes, yx]) * corridor.spacing_mm
    if len(points) > 3:
        points[:, 1:] = ndimage.gaussian_filter1d(points[:, 1:], SMOOTH_MM / corridor.spacing_mm, axis=0, mode="nearest")
    kept = upright_part(points)
    return CanalTrack(points_mm=points[kept], scores=along[first:last][kept], bone_hu=bone_hu)


def merit(track: CanalTrack) -> float:
    """Length weighed by clearness."""
    return len(track.points_mm) * float(np.sqrt(np.median(track.scores))) if len(track.points_mm) else 0.0


def find_canal(grid: WorkGrid) -> CanalTrack:
    """The longest canal over all bone thresholds; among tracks of nearly that length, the clearest (the higher threshold wins ties)."""
    corridor = corridor_of(grid)
    tracks = [track_at(corridor, bone_hu) for bone_hu in BONE_THRESHOLDS_HU]
    longest = max(len(track.points_mm) for track in tracks)
    if longest == 0:
        return tracks[0]
    near = [track for track in tracks if len(track.points_mm) >= longest - max(8, 0.1 * longest)]
    best = max(merit(track) for track in near)
    return next(track for track in reversed(near) if merit(track) >= 0.9 * best)
