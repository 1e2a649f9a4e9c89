"""Which bodies count, and what a reader must know beside each number. Pure functions of measurements; no image is touched here."""

import statistics
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inference.ct.levels import REPORTED_LEVELS
from inference.ct.measure import BodyMeasurement
from inference.ct.options import CtOptions
from inference.errors import ReasonCode, WarningCode
from inference.findings import BodyHeights, Notice, Reason, RoiKind, VertebraFinding
from inference.rounding import round_hu

MEAN_MEDIAN_GAP_HU = 8.0
DIFFERS_HU = 25.0
"""Difference to the sound neighbours that deserves a look."""
OUTLIER_HU = 50.0
"""Difference to each of the two sound neighbours, in the same direction, beyond which a body does not count."""
MAX_MEDIAN_HU = 350.0
"""Above, no trabecular bone: diffuse sclerosis, cement or a wrong intensity scale."""
MIN_MEDIAN_HU = -50.0
"""Below, no bone."""
CEMENT_ML = 0.2
METAL_ML = 0.1
DARK_FRACTION = 0.05
SCLEROTIC_FRACTION = 0.25
DENSE_ML = 0.05
MERGED_HEIGHT_MM = 45.0
"""No human vertebral body is this tall (L5 anterior 30 mm); two merged ones are."""
MERGED_RATIO = 1.6
FRAGMENT_RATIO = 0.5
SIZE_RATIO = 0.3
L5_POSTERIOR_RATIO = 26.3 / 30.3
"""A normal L5 is a wedge: posterior 26.3 +/- 1.9 mm, anterior 30.3 +/- 1.9 mm."""
NO_ANCHOR = "No anchor in the image settles which vertebra this is."
NORMAL_95 = 1.96
"""Standard errors that 95 of 100 errors stay within."""
NEIGHBOUR_REACH = 2
"""A neighbour that does not count is passed over once; further away no body is a neighbour."""


def assess(bodies: Sequence[BodyMeasurement], options: CtOptions) -> tuple[VertebraFinding, ...]:
    """Judge every body, and list those worth listing.

    Parameters
    ----------
    bodies
        All bodies of the segmentation, head to foot: neighbours judge each other even where they are not listed.

    Returns
    -------
    tuple of VertebraFinding
        T11 to L5, and every whole body whose level is uncertain (never used: ``LEVEL_UNCERTAIN``), head to foot.
    """
    alone = [_excluded_alone(body, options) for body in bodies]
    intact = _intact(bodies, options)
    shapes = [_fracture(bodies, intact, index, options) for index in range(len(bodies))]
    reasons = [reason or shape for reason, shape in zip(alone, shapes, strict=True)]
    sound = [reason is None for reason in reasons]
    reasons = [reason or _outlier(bodies, sound, index, options.roi) for index, reason in enumerate(reasons)]
    sound = [reason is None for reason in reasons]
    reasons = [reason or _too_noisy(body, options) for body, reason in zip(bodies, reasons, strict=True)]
    findings: list[VertebraFinding] = []
    for index, (body, reason) in enumerate(zip(bodies, reasons, strict=True)):
        if _is_listed(body):
            warnings = _warnings(bodies, sound, intact, index, options)
            findings.append(_finding(body, reason, warnings))
    return tuple(findings)


def _is_listed(body: BodyMeasurement) -> bool:
    if body.vertebra.level_certain:
        return body.vertebra.level in REPORTED_LEVELS
    return body.whole


def _finding(body: BodyMeasurement, reason: Reason | None, warnings: tuple[Notice, ...]) -> VertebraFinding:
    vertebra = body.vertebra
    if reason is None and not vertebra.level_certain:
        text = vertebra.uncertain_because or NO_ANCHOR
        reason = Reason(code=ReasonCode.LEVEL_UNCERTAIN, text=text)
    return VertebraFinding(
        label=vertebra.label,
        level=vertebra.level if vertebra.level_certain else None,
        level_certain=vertebra.level_certain,
        used=reason is None,
        excluded_because=reason,
        rois=body.rois,
        heights=body.heights,
        centre_lps_mm=_triple(vertebra.centre_lps_mm),
        cranial=_triple(vertebra.cranial),
        anterior=_triple(vertebra.anterior),
        left=_triple(vertebra.left),
        warnings=warnings,
    )


def _triple(vector: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in vector)
    return (x, y, z)


def _excluded_alone(body: BodyMeasurement, options: CtOptions) -> Reason | None:
    """Why this body does not count, whatever its neighbours are."""
    median_hu = body.median_hu(options.roi)
    tallest_mm = max(_heights(body.heights)) if body.heights else 0.0
    if not body.whole:
        return Reason(code=ReasonCode.NOT_WHOLE, text="The body is cut by the edge of the image.")
    if body.cement_ml >= CEMENT_ML or body.metal_ml >= METAL_ML:
        text = f"Metal or cement: {max(body.cement_ml, body.metal_ml):.1f} ml in or beside the body are denser than bone."
        return Reason(code=ReasonCode.METAL_OR_CEMENT, text=text)
    if body.dark_fraction > DARK_FRACTION:
        text = f"{body.dark_fraction:.0%} of the body are as dark as gas: streaks of metal, or gas in the body."
        return Reason(code=ReasonCode.METAL_OR_CEMENT, text=text)
    if tallest_mm > MERGED_HEIGHT_MM:
        return Reason(code=ReasonCode.MERGED_BODIES, text=f"{tallest_mm:.0f} mm tall: two bodies were taken for one.")
    if median_hu is None:
        text = f"Too little of the body is left in the region ({options.roi}); no number is given."
        return Reason(code=ReasonCode.ROI_TOO_SMALL, text=text)
    if median_hu < MIN_MEDIAN_HU:
        return Reason(code=ReasonCode.IMPLAUSIBLE_HU, text=f"{round_hu(median_hu)} HU is no bone.")
    if median_hu > MAX_MEDIAN_HU:
        return Reason(code=ReasonCode.SCLEROSIS, text=f"{round_hu(median_hu)} HU is denser than trabecular bone.")
    if body.dense_fraction > SCLEROTIC_FRACTION:
        return Reason(code=ReasonCode.SCLEROSIS, text=f"{body.dense_fraction:.0%} of the core are sclerotic.")
    return None


def _heights(heights: BodyHeights) -> tuple[float, float, float]:
    return (heights.anterior_mm, heights.middle_mm, heights.posterior_mm)


def height_loss(heights: BodyHeights, level: str | None) -> float:
    """Largest loss of a body's height against its own largest one (0.25 is 25 %); L5 is measured against its normal wedge."""
    posterior_mm = heights.posterior_mm / L5_POSTERIOR_RATIO if level == "L5" else heights.posterior_mm
    values = (heights.anterior_mm, heights.middle_mm, posterior_mm)
    return 1.0 - min(values) / max(values)


def _neighbours(bodies: Sequence[BodyMeasurement], counts: Sequence[bool], index: int) -> list[BodyMeasurement]:
    """The nearest body that counts above and below, at most :data:`NEIGHBOUR_REACH` away."""
    found: list[BodyMeasurement] = []
    for step in (-1, 1):
        reach = range(index + step, index + step * (NEIGHBOUR_REACH + 1), step)
        found.extend([bodies[other] for other in reach if 0 <= other < len(bodies) and counts[other]][:1])
    return found


def _with_size(bodies: Sequence[BodyMeasurement]) -> list[bool]:
    """Bodies whose size says something: whole, and not two in one."""
    return [body.whole and body.heights is not None and max(_heights(body.heights)) <= MERGED_HEIGHT_MM for body in bodies]


def _intact(bodies: Sequence[BodyMeasurement], options: CtOptions) -> list[bool]:
    """Bodies that others are compared with: those whose size says something, less the fractured ones.

    Beside a crushed body a second one would look usual; so what is found fractured is left out, and the rest is looked at again.
    """
    intact = _with_size(bodies)
    while True:
        broken = [n for n, counts in enumerate(intact) if counts and max(_losses(bodies, intact, n)) > options.height_loss_exclude]
        if not broken:
            return intact
        intact = [counts and index not in broken for index, counts in enumerate(intact)]


def _losses(bodies: Sequence[BodyMeasurement], intact: Sequence[bool], index: int) -> tuple[float, float]:
    """Height loss against the body's own largest height, and of its mean height against the intact neighbours'."""
    body = bodies[index]
    if body.heights is None:
        return (0.0, 0.0)
    level = body.vertebra.level if body.vertebra.level_certain else None
    own = height_loss(body.heights, level)
    neighbours = [statistics.fmean(_heights(other.heights)) for other in _neighbours(bodies, intact, index) if other.heights]
    if not neighbours:
        return (own, 0.0)
    return (own, 1.0 - statistics.fmean(_heights(body.heights)) / statistics.fmean(neighbours))


def _fracture(bodies: Sequence[BodyMeasurement], intact: Sequence[bool], index: int, options: CtOptions) -> Reason | None:
    """Why the body's shape or size, against its own or its neighbours', keeps it from counting."""
    own, against = _losses(bodies, intact, index)
    if own > options.height_loss_exclude:
        text = f"Height loss {own:.0%} against its own largest height (limit {options.height_loss_exclude:.0%}): possible fracture."
        return Reason(code=ReasonCode.FRACTURE_SUSPECTED, text=text)
    if against > options.height_loss_exclude:
        text = f"Height loss {against:.0%} against its neighbours (limit {options.height_loss_exclude:.0%}): possible fracture."
        return Reason(code=ReasonCode.FRACTURE_SUSPECTED, text=text)
    ratio = _size_ratio(bodies, index)
    if ratio is not None and not FRAGMENT_RATIO <= ratio <= MERGED_RATIO:
        text = f"Its volume is {ratio:.0%} of its neighbours': merged with, or cut by, another body."
        return Reason(code=ReasonCode.MERGED_BODIES, text=text)
    return None


def _size_ratio(bodies: Sequence[BodyMeasurement], index: int) -> float | None:
    """Volume against the neighbours' mean."""
    volumes = [other.volume_ml for other in _neighbours(bodies, _with_size(bodies), index)]
    return bodies[index].volume_ml / statistics.fmean(volumes) if volumes else None


def _outlier(bodies: Sequence[BodyMeasurement], sound: Sequence[bool], index: int, kind: RoiKind) -> Reason | None:
    """Why the body does not count beside two sound neighbours."""
    differences = _differences_hu(bodies, sound, index, kind)
    if len(differences) < 2:
        return None
    if min(differences) > OUTLIER_HU or max(differences) < -OUTLIER_HU:
        nearest = min(abs(difference) for difference in differences)
        direction = "denser" if differences[0] > 0 else "less dense"
        return Reason(code=ReasonCode.OUTLIER, text=f"At least {nearest:.0f} HU {direction} than both neighbours.")
    return None


def _too_noisy(body: BodyMeasurement, options: CtOptions) -> Reason | None:
    """Why noise keeps a named body from counting; one without a certain name does not count anyway, and keeps that reason."""
    margin_hu = NORMAL_95 * body.noise_hu.get(options.roi, 0.0)
    if not body.vertebra.level_certain or margin_hu <= options.max_noise_hu:
        return None
    limit = f"95 %; limit {options.max_noise_hu:g} HU"
    text = f"Image noise alone may move the median by {margin_hu:.1f} HU ({limit}): thicker slices would carry it."
    return Reason(code=ReasonCode.TOO_NOISY, text=text)


def _differences_hu(bodies: Sequence[BodyMeasurement], sound: Sequence[bool], index: int, kind: RoiKind) -> list[float]:
    """Median less the median of each sound neighbour (none, one or two numbers)."""
    own = bodies[index].median_hu(kind)
    others = [other.median_hu(kind) for other in _neighbours(bodies, sound, index)]
    return [own - other for other in others if other is not None] if own is not None else []


def _warnings(
    bodies: Sequence[BodyMeasurement], sound: Sequence[bool], intact: Sequence[bool], index: int, options: CtOptions
) -> tuple[Notice, ...]:
    """Everything to say beside the numbers of one body."""
    body = bodies[index]
    warnings = list(body.vertebra.notices)
    for roi in body.rois:
        gap = roi.attenuation.mean_hu - roi.attenuation.median_hu
        if roi.kind is options.roi and abs(gap) > MEAN_MEDIAN_GAP_HU:
            mean, median = round_hu(roi.attenuation.mean_hu), round_hu(roi.attenuation.median_hu)
            text = (
                f"Mean {mean} and median {median} HU differ: the region is not uniform "
                f"({'a dense focus' if gap > 0 else 'a dark focus'}?); the median is reported."
            )
            warnings.append(Notice(code=WarningCode.MEAN_MEDIAN_GAP, text=text))
    if body.dense_ml >= DENSE_ML:
        text = f"{body.dense_ml:.1f} ml of the core are dense as cortex: bone island, osteophyte or sclerosis."
        warnings.append(Notice(code=WarningCode.DENSE_VOXELS, text=text))
    own, against = _losses(bodies, intact, index)
    if body.whole and max(own, against) > options.height_loss_warn:
        against_what = "its own largest height" if own >= against else "its neighbours"
        text = f"Height loss {max(own, against):.0%} against {against_what}."
        warnings.append(Notice(code=WarningCode.HEIGHT_LOSS, text=text))
    ratio = _size_ratio(bodies, index)
    if body.whole and ratio is not None and abs(ratio - 1) > SIZE_RATIO:
        warnings.append(Notice(code=WarningCode.SIZE_OUTLIER, text=f"Its volume is {ratio:.0%} of its neighbours'."))
    differences = _differences_hu(bodies, sound, index, options.roi)
    if differences and abs(statistics.fmean(differences)) > DIFFERS_HU:
        text = f"{abs(statistics.fmean(differences)):.0f} HU {'above' if statistics.fmean(differences) > 0 else 'below'} its neighbours."
        warnings.append(Notice(code=WarningCode.DIFFERS_FROM_NEIGHBOURS, text=text))
    return tuple(warnings)
