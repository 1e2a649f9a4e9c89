"""From the canal to the centre line of the vertebral bodies.

In planes perpendicular to the canal, averaged along it so that bodies and discs blur into one column, an ellipse in front of the
canal is searched whose edge falls off outwards. The direction from canal to ellipse gives the rotation (roll) of the spine.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.ct.segmentation.canal import CanalTrack
from inference.ct.segmentation.grid import Floats, Points, WorkGrid

PLANE_STEP_MM = 6.0
AVERAGED_SIGMA_MM = 10.0
PIXEL_MM = 1.5
EXTRAPOLATED_MM = 25.0
MAX_ROLL_DEG = 42.0


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A curve with a moving right-handed frame, foot to head, sampled every ``step_mm`` of its length.

    Attributes
    ----------
    points_mm, tangent, anterior, left
        (N, 3) in the frame (z, y, x): position, and unit vectors towards the head, the front and the patient's left.
    radius_mm
        (N,) lateral half-width of the column, and ``depth_ratio`` (N,) its depth over its width.
    step_mm
        Arc length between points.
    """

    points_mm: Points
    tangent: Points
    anterior: Points
    left: Points
    radius_mm: Points
    depth_ratio: Points
    step_mm: float

    @property
    def roll_deg(self) -> Points:
        """(N,) rotation about the long axis: the angle between the front of the spine and the front of the frame."""
        return np.asarray(np.degrees(np.arctan2(self.anterior[:, 2], -self.anterior[:, 1])))


def resample_curve(points_mm: Points, step_mm: float) -> tuple[Points, Points]:
    """Points every ``step_mm`` of arc length, and the arc length of the given points."""
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points_mm, axis=0), axis=1))])
    wanted = np.arange(0.0, lengths[-1] + 1e-6, step_mm)
    return np.column_stack([np.interp(wanted, lengths, points_mm[:, n]) for n in range(3)]), lengths


def tangents_of(points_mm: Points, sigma_points: float) -> Points:
    """Unit tangents (N, 3) of a curve, smoothed over ``sigma_points``."""
    smooth = ndimage.gaussian_filter1d(points_mm, sigma_points, axis=0, mode="nearest") if sigma_points > 0 else points_mm
    pad = max(2, int(2 * sigma_points))
    inner = np.gradient(smooth, axis=0)
    if len(points_mm) > 3 * pad:  # the filter flattens the ends: take the direction a little further in
        inner[:pad], inner[-pad:] = inner[pad], inner[-pad - 1]
    return np.asarray(inner / np.linalg.norm(inner, axis=1, keepdims=True))


def axes_across(tangent: Points, anterior_hint: Points) -> tuple[Points, Points]:
    """Anterior and left unit vectors (N, 3) perpendicular to the tangents, the anterior one nearest to its hint."""
    anterior = anterior_hint - np.sum(anterior_hint * tangent, axis=1, keepdims=True) * tangent
    anterior /= np.linalg.norm(anterior, axis=1, keepdims=True)
    return anterior, np.cross(anterior, tangent)  # (z, y, x) components: a left-handed order


def extended_canal(track: CanalTrack, grid: WorkGrid) -> Points:
    """The canal with straight ends added on both sides, as far as the grid reaches, (N, 3) foot to head, 1.5 mm apart."""
    points, _ = resample_curve(track.points_mm, PIXEL_MM)
    reach = max(2, min(len(points) - 1, round(20.0 / PIXEL_MM)))
    extra = np.arange(1, int(EXTRAPOLATED_MM / PIXEL_MM) + 1)[:, None] * PIXEL_MM
    down, up = points[0] - points[reach], points[-1] - points[-1 - reach]
    below = points[0] + extra[::-1] * down / np.linalg.norm(down)
    above = points[-1] + extra * up / np.linalg.norm(up)
    curve = np.vstack([below, points, above])
    top_mm = (grid.hu.shape[0] - 1) * grid.spacing_mm
    return np.asarray(curve[(curve[:, 0] >= 0.0) & (curve[:, 0] <= top_mm)])


@dataclass(frozen=True, kw_only=True)
class Ellipses:
    """Every ellipse tried: (K,) distance of the centre from the canal, its direction, lateral half-width, depth ratio."""

    distance_mm: Points
    roll_rad: Points
    radius_mm: Points
    ratio: Points


def candidate_ellipses() -> Ellipses:
    """All combinations whose posterior wall lies 2 to 14 mm in front of the canal's centre."""
    grids = np.meshgrid(
        np.arange(14.0, 41.0, 2.0),
        np.radians(np.arange(-MAX_ROLL_DEG, MAX_ROLL_DEG + 0.1, 7.0)),
        np.arange(12.0, 29.0, 2.0),
        np.array([0.7, 0.85, 1.0]),
        indexing="ij",
    )
    distance, roll, radius, ratio = (grid.ravel() for grid in grids)
    gap = distance - ratio * radius
    keep = (gap >= 2.0) & (gap <= 14.0)
    return Ellipses(distance_mm=distance[keep], roll_rad=roll[keep], radius_mm=radius[keep], ratio=ratio[keep])


def ring_coordinates(ellipses: Ellipses, offset_mm: float, angles: NDArray[np.float64]) -> tuple[Points, Points]:
    """Anterior and left coordinates (K, A) of points on rings ``offset_mm`` outside the ellipses; angle 0 is anterior."""
    forward = ellipses.distance_mm[:, None] + (ellipses.ratio * ellipses.radius_mm + offset_mm)[:, None] * np.cos(angles)
    sideways = (ellipses.radius_mm + offset_mm)[:, None] * np.sin(angles)
    cos, sin = np.cos(ellipses.roll_rad)[:, None], np.sin(ellipses.roll_rad)[:, None]
    return forward * cos - sideways * sin, forward * sin + sideways * cos


def ellipse_scores(planes: Floats, ellipses: Ellipses) -> Floats:
    """(planes, K) mean step from inside to outside the edge, in HU; the back, where the arch joins, counts half."""
    angles = np.linspace(0.0, 2 * np.pi, 24, endpoint=False)
    weights = np.where(np.cos(angles) < -0.3, 0.5, 1.0)
    weights /= weights.sum()
    middle = planes.shape[2] // 2
    values = []
    for offset in (-1.0, 3.5):
        ahead, left = ring_coordinates(ellipses, offset, angles)
        rows = np.clip(np.rint(ahead / PIXEL_MM).astype(int) + OFFSET_PIXELS, 0, planes.shape[1] - 1)
        columns = np.clip(np.rint(left / PIXEL_MM).astype(int) + middle, 0, planes.shape[2] - 1)
        values.append(planes[:, rows, columns])
    step = np.clip(values[0] - values[1], -60.0, 150.0)
    prior = 12.0 * (np.abs(ellipses.roll_rad) / np.radians(MAX_ROLL_DEG)) ** 2 + 10.0 * ((ellipses.radius_mm - 21.0) / 9.0) ** 2
    return np.asarray(np.nan_to_num(step, nan=0.0) @ weights - prior, dtype=np.float32)


OFFSET_PIXELS = 8
"""Rows of a plane image behind the canal."""


def plane_images(grid: WorkGrid, points: Points, anterior: Points, left: Points) -> Floats:
    """Images (planes, ahead, left) around the curve's points: 12 mm behind to 84 mm ahead, 60 mm to either side, values clipped."""
    ahead_mm = (np.arange(64) - OFFSET_PIXELS) * PIXEL_MM
    left_mm = (np.arange(81) - 40) * PIXEL_MM
    positions = (
        points[:, None, None] + ahead_mm[None, :, None, None] * anterior[:, None, None] + left_mm[None, None, :, None] * left[:, None, None]
    )
    return np.clip(grid.sample(positions), -120.0, 260.0)


def body_centreline(grid: WorkGrid, track: CanalTrack, *, step_mm: float = 1.0) -> Curve:
    """The centre line of the bodies in front of a canal track, with a frame that follows the spine's rotation."""
    canal = extended_canal(track, grid)
    tangent = tangents_of(canal, 8.0 / PIXEL_MM)
    hint = np.tile([0.0, -1.0, 0.0], (len(canal), 1))
    anterior, left = axes_across(tangent, hint)
    every = 2
    images = plane_images(grid, canal[::every], anterior[::every], left[::every])
    present = np.isfinite(images)
    blur = AVERAGED_SIGMA_MM / (PIXEL_MM * every)
    weight = ndimage.gaussian_filter1d(present.astype(np.float32), blur, axis=0, mode="nearest")
    total = ndimage.gaussian_filter1d(np.where(present, images, 0.0), blur, axis=0, mode="nearest")
    averaged = np.where(weight > 0.2, total / np.maximum(weight, 0.2), np.nan).astype(np.float32)
    stride = max(1, round(PLANE_STEP_MM / (PIXEL_MM * every)))
    ellipses = candidate_ellipses()
    chosen = best_chain(ellipse_scores(averaged[::stride], ellipses), ellipses)
    at = np.arange(0, len(canal), every)[::stride][: len(chosen)]
    return curve_through(canal, anterior, left, ellipses, chosen, at, step_mm)


def best_chain(scores: Floats, ellipses: Ellipses, *, kept: int = 250) -> NDArray[np.int64]:
    """The ellipse of each plane (planes,) such that neighbours agree: dynamic programming over the best ``kept`` of each plane."""
    kept = min(kept, scores.shape[1])
    candidates = np.argpartition(-scores, kept - 1, axis=1)[:, :kept]
    features = np.column_stack(
        [
            ellipses.distance_mm / 3.0,
            ellipses.distance_mm * np.sin(ellipses.roll_rad) / 3.0,
            ellipses.radius_mm / 3.0,
            ellipses.ratio / 0.3,
        ]
    ).astype(np.float32)
    best = np.take_along_axis(scores, candidates, axis=1)
    total, back = best[0], np.zeros(candidates.shape, dtype=np.int64)
    for n in range(1, len(scores)):
        now, before = features[candidates[n]], features[candidates[n - 1]]
        change = ((now[:, None] - before[None]) ** 2).sum(axis=2)
        options = total[None] - 6.0 * change
        back[n] = np.argmax(options, axis=1)
        total = options[np.arange(kept), back[n]] + best[n]
    state = int(np.argmax(total))
    chain = np.zeros(len(scores), dtype=np.int64)
    for n in range(len(scores) - 1, -1, -1):
        chain[n] = candidates[n, state]
        state = back[n, state]
    return chain


def curve_through(
    canal: Points, anterior: Points, left: Points, ellipses: Ellipses, chosen: NDArray[np.int64], at: NDArray[np.int64], step_mm: float
) -> Curve:
    """Smooth the chosen ellipses along the canal and resample their centres to even arc length."""
    sigma = 9.0 / PLANE_STEP_MM

    def smoothed(values: Points) -> Points:
        return np.asarray(np.interp(np.arange(len(canal)), at, ndimage.gaussian_filter1d(values, sigma, mode="nearest")))

    distance, roll = ellipses.distance_mm[chosen], ellipses.roll_rad[chosen]
    ahead, aside = smoothed(distance * np.cos(roll)), smoothed(distance * np.sin(roll))
    offset = ahead[:, None] * anterior + aside[:, None] * left
    centres = canal + offset
    points, lengths = resample_curve(centres, step_mm)
    points = ndimage.gaussian_filter1d(points, 5.0 / step_mm, axis=0, mode="nearest")
    points, _ = resample_curve(points, step_mm)
    tangent = tangents_of(points, 8.0 / step_mm)
    along = np.linspace(0.0, lengths[-1], len(points))

    def on_curve(values: Points) -> Points:
        return np.asarray(np.interp(along, lengths, values))

    hint = np.column_stack([on_curve(offset[:, n]) for n in range(3)])
    ahead_axis, left_axis = axes_across(tangent, hint)
    return Curve(
        points_mm=points,
        tangent=tangent,
        anterior=ahead_axis,
        left=left_axis,
        radius_mm=on_curve(smoothed(ellipses.radius_mm[chosen])),
        depth_ratio=on_curve(smoothed(ellipses.ratio[chosen])),
        step_mm=step_mm,
    )
