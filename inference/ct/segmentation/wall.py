"""The side wall of one body: in each plane a closed contour on the outward fall of attenuation, found by dynamic programming."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.ct.segmentation.grid import Floats, Points
from inference.ct.segmentation.straighten import StraightSpine

ANGLES = 72
RADIUS_STEP_MM = 0.5
MIN_RADIUS_MM = 6.0
MAX_RADIUS_MM = 40.0
CEILING_HU = 260.0
PRIOR = 0.45


@dataclass(frozen=True, kw_only=True)
class Wall:
    """Distance of the wall from the centre line.

    Attributes
    ----------
    radius_mm
        (planes, 72) in every plane of the spine; angle 0 is anterior, angles grow to the left.
    contrast_hu
        (planes, 72) fall of attenuation across the wall over 3 mm.
    """

    radius_mm: Floats
    contrast_hu: Floats

    def at(self, along: Points, angle: Points) -> Points:
        """Wall distance in mm at fractional plane indices and angles (radians)."""
        rows = np.clip(np.asarray(along), 0, len(self.radius_mm) - 1)
        columns = np.mod(np.asarray(angle) / (2 * np.pi) * ANGLES, ANGLES)
        wrapped = np.concatenate([self.radius_mm, self.radius_mm[:, :1]], axis=1)
        return np.asarray(ndimage.map_coordinates(wrapped, np.stack([rows, columns]), order=1, mode="nearest"), dtype=np.float64)


def radii_mm() -> Points:
    """The radii tried, in mm."""
    return np.arange(MIN_RADIUS_MM, MAX_RADIUS_MM + 1e-6, RADIUS_STEP_MM)


def outward_fall(spine: StraightSpine, planes: NDArray[np.int64]) -> Floats:
    """(planes, angles, radii) fall of attenuation from 1.5 mm inside to 1.5 mm outside each radius."""
    angles = np.arange(ANGLES) * 2 * np.pi / ANGLES
    radii = np.arange(MIN_RADIUS_MM - 1.5, MAX_RADIUS_MM + 1.5 + 1e-6, RADIUS_STEP_MM)
    ahead = radii[None] * np.cos(angles)[:, None]
    left = radii[None] * np.sin(angles)[:, None]
    hu = np.clip(spine.sample(planes[:, None, None].astype(float), ahead[None], left[None]), -20.0, CEILING_HU)
    missing = ~np.isfinite(hu)
    hu = np.where(missing, 0.0, hu)
    hu = ndimage.gaussian_filter1d(hu, 1.0, axis=0, mode="nearest")
    hu = ndimage.gaussian_filter1d(hu, 0.8, axis=1, mode="wrap")
    lag = round(3.0 / RADIUS_STEP_MM)
    fall = hu[:, :, :-lag] - hu[:, :, lag:]
    fall[missing[:, :, :-lag] | missing[:, :, lag:]] = 0.0
    return np.asarray(np.clip(fall, -60.0, 160.0), dtype=np.float32)


def closed_contours(gain: Floats, *, max_step: int = 2, step_cost: float = 3.0) -> NDArray[np.int64]:
    """The best closed contour of every plane: radius indices (planes, angles) of ``gain`` (planes, angles, radii).

    The angles are run through twice and the second turn's middle is kept, which closes the contour.
    """
    planes, angles, radii = gain.shape
    turns = 2 * angles
    steps = sorted(range(-max_step, max_step + 1), key=abs)
    came = np.zeros((turns, planes, radii), dtype=np.int8)
    best = gain[:, 0].copy()
    for turn in range(1, turns):
        padded = np.pad(best, ((0, 0), (max_step, max_step)), constant_values=-1e6)
        best = np.full((planes, radii), -2e6, dtype=np.float32)
        for step in steps:
            candidate = padded[:, max_step + step : max_step + step + radii] - step_cost * step**2
            better = candidate > best
            best[better] = candidate[better]
            came[turn][better] = step
        best += gain[:, turn % angles]
    path = np.zeros((planes, turns), dtype=np.int64)
    rows = np.arange(planes)
    path[:, -1] = np.argmax(best, axis=1)
    for turn in range(turns - 1, 0, -1):
        path[:, turn - 1] = path[:, turn] + came[turn, rows, path[:, turn]]
    half = angles // 2
    return np.asarray(np.roll(path[:, half : half + angles], half, axis=1))


def expected_radius(spine: StraightSpine, planes: NDArray[np.int64]) -> Points:
    """(planes, angles) radius of the local ellipse."""
    angles = np.arange(ANGLES) * 2 * np.pi / ANGLES
    at = np.clip(planes, 0, len(spine.curve.radius_mm) - 1)
    width = spine.curve.radius_mm[at][:, None]
    depth = width * spine.curve.depth_ratio[at][:, None]
    return np.asarray(1.0 / np.hypot(np.cos(angles)[None] / depth, np.sin(angles)[None] / width))


def canal_in_planes(spine: StraightSpine, canal_mm: Points) -> tuple[Points, Points]:
    """Ahead and left coordinates (planes,) of the canal's centre in every plane; NaN where the canal was not followed."""
    curve = spine.curve
    ahead, left = np.full(len(curve.points_mm), np.nan), np.full(len(curve.points_mm), np.nan)
    for plane, (point, tangent) in enumerate(zip(curve.points_mm, curve.tangent, strict=True)):
        gap = canal_mm - point
        height = np.abs(gap @ tangent) + 0.02 * np.linalg.norm(gap, axis=1)
        nearest = int(np.argmin(height))
        if height[nearest] < 4.0:
            ahead[plane] = gap[nearest] @ curve.anterior[plane]
            left[plane] = gap[nearest] @ curve.left[plane]
    return ahead, left


def posterior_prior(radius: Points, canal_ahead_mm: Points, canal_left_mm: Points) -> tuple[Points, NDArray[np.bool_]]:
    """Where the back of the body must lie: its distance from the canal's centre changes little along the spine.

    Returns
    -------
    tuple
        (planes, 72) radius of a straight posterior wall, and where it applies: the directions that look at the canal.
    """
    angles = np.arange(ANGLES) * 2 * np.pi / ANGLES
    toward = np.cos(angles)[None] * canal_ahead_mm[:, None] + np.sin(angles)[None] * canal_left_mm[:, None]
    distance = np.hypot(canal_ahead_mm, canal_left_mm)[:, None]
    cosine = np.where(np.isfinite(toward), toward / np.maximum(distance, 1.0), -1.0)
    middle = np.where(cosine > np.cos(np.radians(18.0)), radius * cosine, np.nan)
    known = np.asarray(np.isfinite(middle).any(axis=1), dtype=bool)
    gap = np.full(len(radius), np.nan)
    gap[known] = distance[known, 0] - np.nanmedian(middle[known], axis=1)
    if known.sum() < 5:
        return radius, np.zeros(radius.shape, dtype=bool)
    usual = float(np.median(gap[known]))
    gap = np.clip(np.where(known, gap, usual), max(3.0, usual - 4.0), min(14.0, usual + 4.0))
    smooth = ndimage.gaussian_filter1d(ndimage.median_filter(gap, 45, mode="nearest"), 8.0, mode="nearest")
    flat = (distance - smooth[:, None]) / np.maximum(cosine, 0.3)
    return flat, (cosine > np.cos(np.radians(32.0))) & known.reshape(-1, 1)


def find_wall(spine: StraightSpine, canal_mm: Points) -> Wall:
    """The wall in all planes: around the ellipse, then twice around the smoothed answer with the back held by the canal."""
    planes = np.arange(len(spine.curve.points_mm))
    fall = outward_fall(spine, planes)
    radii = radii_mm()
    expected = expected_radius(spine, planes)
    canal_ahead, canal_left = canal_in_planes(spine, canal_mm)
    weight = np.full(expected.shape, PRIOR)
    for _ in range(3):
        gain = fall - weight[:, :, None] * (radii[None, None] - expected[:, :, None]) ** 2
        index = closed_contours(gain.astype(np.float32))
        radius = radii[index]
        turned = np.concatenate([radius[:, -4:], radius, radius[:, :4]], axis=1)
        middle = ndimage.median_filter(turned, (7, 5), mode="nearest")[:, 4:-4]
        expected = ndimage.gaussian_filter(middle, (2.0, 1.0), mode=("nearest", "wrap"))
        back, applies = posterior_prior(radius, canal_ahead, canal_left)
        expected = np.where(applies, back, expected)
        weight = np.where(applies, 1.5, 1.5 * PRIOR)
    contrast = np.take_along_axis(fall, index[:, :, None], axis=2)[:, :, 0]
    smooth = ndimage.gaussian_filter(radius, (1.0, 0.8), mode=("nearest", "wrap"))
    return Wall(radius_mm=smooth.astype(np.float32), contrast_hu=contrast)
