"""Intervertebral discs along the straightened spine, found together by dynamic programming.

A disc is darker than the two endplates beside it, whatever the marrow between the endplates looks like. The response of single
columns is averaged over tilted planes; the chain of discs is the best series of positions whose spacing suits the column's width and
changes slowly.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.ct.segmentation.grid import Floats, Points
from inference.ct.segmentation.straighten import HALF_WIDTH_MM, StraightSpine

THICKNESSES_MM = (4.0, 6.0, 8.0, 10.0, 12.0)
SAGITTAL_TILTS_DEG = tuple(float(tilt) for tilt in range(-24, 25, 6))
CORONAL_TILTS_DEG = tuple(float(tilt) for tilt in range(-18, 19, 6))
COLUMN_STEP_MM = 2
BASELINE, BASELINE_BEYOND = 0.45, 0.3
BASELINE_LEAST_HU, BASELINE_BEND_HU = 20.0, 60.0
MIN_SPACING, USUAL_SPACING, MAX_SPACING = 0.8, 1.5, 2.2
MIN_SPACING_MM = 13.0
MAX_CHANGE_COST = 30.0


@dataclass(frozen=True, kw_only=True)
class Disc:
    """One disc.

    Attributes
    ----------
    along
        Plane index of its centre on the centre line.
    sagittal_slope, coronal_slope
        Rise of its middle plane, in mm along the spine per mm to the front and per mm to the left.
    score
        Mean endplate-over-disc contrast in HU.
    """

    along: float
    sagittal_slope: float
    coronal_slope: float
    score: float


def column_response(spine: StraightSpine) -> Floats:
    """Contrast of endplates over disc, (along, ahead, left) on a 2 mm lattice of columns, in HU; 0 outside the scan."""
    hu = np.clip(spine.hu, -20.0, ceiling_hu(spine))
    missing = ~np.isfinite(hu)
    hu = ndimage.gaussian_filter(np.where(missing, 0.0, hu), (0.6, 1.0, 1.0))[:, ::COLUMN_STEP_MM, ::COLUMN_STEP_MM]
    missing = missing[:, ::COLUMN_STEP_MM, ::COLUMN_STEP_MM]
    local_mean = ndimage.uniform_filter1d(hu, 39, axis=0, mode="nearest")
    best = np.full(hu.shape, -200.0, dtype=np.float32)
    limit = np.maximum(0.5 * spine.curve.radius_mm, 6.1)
    for thickness in THICKNESSES_MM:
        reach = round(thickness / 2 + 1)
        endplates = np.minimum(shift_along(hu, reach), shift_along(hu, -reach))
        inside = ndimage.uniform_filter1d(hu, max(1, 2 * int(thickness / 2 - 1) + 1), axis=0, mode="nearest")
        response = endplates - 0.7 * inside - 0.3 * local_mean
        allowed = (thickness <= limit)[:, None, None]
        best = np.where(allowed & (response > best), response, best)
    best[missing] = 0.0
    return np.asarray(ndimage.maximum_filter1d(best, 3, axis=0, mode="nearest"), dtype=np.float32)


def ceiling_hu(spine: StraightSpine) -> float:
    """Where attenuation is cut so that single dense spots do not pass for endplates: 200 HU, or 120 above the marrow of dense bone."""
    core = HALF_WIDTH_MM - 8, HALF_WIDTH_MM + 9
    column = spine.hu[:, core[0] : core[1], core[0] : core[1]]
    return max(200.0, 120.0 + float(np.nanmedian(column)))


def shift_along(values: Floats, planes: int) -> Floats:
    """``values`` read ``planes`` further up the spine, the end planes repeated."""
    indices = np.clip(np.arange(values.shape[0]) + planes, 0, values.shape[0] - 1)
    return np.asarray(values[indices])


def tilted_means(response: Floats, spine: StraightSpine) -> tuple[Floats, Points]:
    """Mean response over tilted planes inside 0.75 of the local ellipse: (tilts, along), and the (tilts, 2) slopes."""
    curve = spine.curve
    half = response.shape[1] // 2
    lattice = (np.arange(response.shape[1]) - half) * COLUMN_STEP_MM
    ahead, left = np.meshgrid(lattice.astype(float), lattice.astype(float), indexing="ij")
    widest = 0.75 * float(curve.radius_mm.max())
    rows, columns = np.nonzero(np.hypot(ahead, left) <= widest)
    ahead, left = ahead[rows, columns], left[rows, columns]
    radius = curve.radius_mm[:, None]
    depth = radius * curve.depth_ratio[:, None]
    member = ((ahead[None] / depth) ** 2 + (left[None] / radius) ** 2 <= 0.75**2).astype(np.float32)
    member *= np.isfinite(spine.hu[:, ::COLUMN_STEP_MM, ::COLUMN_STEP_MM][:, rows, columns])
    full = (np.pi * 0.75**2 * radius * depth)[:, 0] / COLUMN_STEP_MM**2
    count = member.sum(axis=1)
    slopes = [(np.tan(np.radians(a)), np.tan(np.radians(b))) for a in SAGITTAL_TILTS_DEG for b in CORONAL_TILTS_DEG]
    values = response[:, rows, columns]
    planes = np.arange(values.shape[0])
    means = np.empty((len(slopes), values.shape[0]), dtype=np.float32)
    for n, (sagittal, coronal) in enumerate(slopes):
        offsets = np.rint((sagittal * ahead + coronal * left) / curve.step_mm).astype(int)
        source = planes[:, None] + offsets[None]
        inside = (source >= 0) & (source < len(planes))
        gathered = values[np.clip(source, 0, len(planes) - 1), np.arange(values.shape[1])[None]]
        means[n] = (gathered * member * inside).sum(axis=1) / np.maximum(count, 0.5 * full)
    return means, np.array(slopes)


def chain_of_discs(score: Points, radius_mm: Points, step_mm: float) -> list[int]:
    """The best series of planes: dynamic programming over (position, spacing to the disc below).

    Spacing lies within 0.8 (a crushed body) to 2.2 of the local half-width R, prior 0.08 (d - 1.5 R)^2, and changes slowly:
    0.35 max(0, |change - 0.8| - 2.5)^2, bounded so that one crushed body does not break the chain.
    """
    planes = len(score)
    smallest = max(2, int(np.floor(MIN_SPACING * radius_mm.min() / step_mm)))
    largest = int(np.ceil(MAX_SPACING * radius_mm.max() / step_mm))
    spacings = np.arange(smallest, largest + 1, dtype=np.int64)
    change = -(spacings[:, None] - spacings[None]) * step_mm  # (now, before): spacing shrinks towards the head
    change_cost = np.minimum(0.35 * np.clip(np.abs(change - 0.8) - 2.5, 0.0, None) ** 2, MAX_CHANGE_COST)
    total = np.full((planes, spacings.size), -1e9)
    back = np.full((planes, spacings.size), -1, dtype=np.int64)
    start = score.astype(np.float64)
    for plane in range(planes):
        for n, spacing in enumerate(spacings):
            before = plane - spacing
            if before < 0:
                break
            radius = 0.5 * (radius_mm[plane] + radius_mm[before])
            ratio = spacing * step_mm / radius
            if not MIN_SPACING <= ratio <= MAX_SPACING or spacing * step_mm < MIN_SPACING_MM:
                continue
            options = total[before] - change_cost[n]
            previous = int(np.argmax(options))
            reached, came = (options[previous], previous) if options[previous] > start[before] else (start[before], -1)
            total[plane, n] = reached + score[plane] - 0.08 * (spacing * step_mm - USUAL_SPACING * radius) ** 2
            back[plane, n] = came
    return trace_back(score, total, back, spacings)


def trace_back(score: Points, total: Points, back: NDArray[np.int64], spacings: NDArray[np.int64]) -> list[int]:
    """Planes of the best chain, foot to head; a single disc or none where no pair pays."""
    plane, state = (int(value) for value in np.unravel_index(int(np.argmax(total)), total.shape))
    if total[plane, state] <= max(0.0, float(score.max())):
        return [int(np.argmax(score))] if score.max() > 0 else []
    chain = [plane]
    while state >= 0:
        state_before = int(back[plane, state])
        plane -= int(spacings[state])
        chain.append(plane)
        state = state_before
    return chain[::-1]


def baseline_hu(local_best: Floats) -> Floats:
    """What a disc must exceed: 0.45 of the best disc nearby, less where that one is very clear, so that a weak disc beside it remains."""
    least = np.maximum(local_best, BASELINE_LEAST_HU)
    bent = BASELINE * np.minimum(least, BASELINE_BEND_HU) + BASELINE_BEYOND * np.clip(least - BASELINE_BEND_HU, 0.0, None)
    return np.asarray(bent, dtype=np.float32)


def find_discs(spine: StraightSpine) -> list[Disc]:
    """All discs in view, foot to head."""
    means, slopes = tilted_means(column_response(spine), spine)
    tilt_cost = 0.02 * np.degrees(np.arctan(np.hypot(slopes[:, 0], slopes[:, 1]))) ** 2 * 0.5
    ranked = means - tilt_cost[:, None]
    chosen = np.argmax(ranked, axis=0)
    score = means[chosen, np.arange(means.shape[1])]
    local = ndimage.maximum_filter1d(score, round(45.0 / spine.curve.step_mm), mode="nearest")
    net = score - baseline_hu(local)
    planes = chain_of_discs(net, spine.curve.radius_mm, spine.curve.step_mm)
    return [
        Disc(
            along=float(plane),
            sagittal_slope=float(slopes[chosen[plane], 0]),
            coronal_slope=float(slopes[chosen[plane], 1]),
            score=float(score[plane]),
        )
        for plane in planes
    ]
