"""The study in one line: which level carries the band, or why none may.

The reported attenuation is the **median** of the chosen region. The thresholds were published for the mean of a region that a reader
places clear of bone islands and veins; inside an automatic region the median stands for that mean, since a dense focus that the reader
would have avoided moves the mean (by 27 HU in one of the test images) and hardly the median. Where the two differ by more than 8 HU a
warning gives both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.ct.contrast import ContrastPhase
from inference.ct.correction import contrast_correction, kvp_correction
from inference.ct.options import CtOptions
from inference.ct.quality import NO_ANCHOR
from inference.errors import ReasonCode, WarningCode
from inference.findings import Band, Correction, CtSummary, Notice, Reason, Threshold, VertebraFinding
from inference.rounding import round_hu

LEVEL_OF_THRESHOLDS = "L1"
"""The level that the thresholds were published for."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A summary, with the reason where no level may carry a band (``reason`` set: the study is refused)."""

    summary: CtSummary
    reason: Reason | None
    warnings: tuple[Notice, ...]


def band_of(attenuation_hu: float, thresholds: Sequence[Threshold]) -> Band:
    """The band of an attenuation; both edges belong to their low side (by default <= 110 HU is low, <= 160 HU intermediate).

    The printed number has no decimals, so the rounded value is what is compared: number and band never contradict each other.
    """
    low, high = thresholds
    shown_hu = round_hu(attenuation_hu)
    if shown_hu <= low.hu:
        return Band.LOW
    return Band.INTERMEDIATE if shown_hu <= high.hu else Band.ABOVE


def summarise(vertebrae: Sequence[VertebraFinding], phase: ContrastPhase, kvp: float | None, options: CtOptions) -> Verdict:
    """Choose the level that carries the band: L1 if it counts, else the first fallback level that does."""
    reason = refusal_reason(vertebrae)
    carrier = None if reason else _carrier(vertebrae, options)
    roi = carrier.roi(options.roi) if carrier else None
    if carrier is None or roi is None:
        reason = reason or _no_usable_level(vertebrae, options)
        text = "No recommendation: no vertebra in this study may carry a band."
        return Verdict(summary=_summary(options, None, None, text), reason=reason, warnings=())
    measured_hu = roi.attenuation.median_hu
    warnings: tuple[Notice, ...] = ()
    if carrier.level != LEVEL_OF_THRESHOLDS:
        text = f"The band rests on {carrier.level}, since L1 does not count; the thresholds were published for L1."
        warnings = (Notice(code=WarningCode.BAND_FROM_OTHER_LEVEL, text=text),)
    corrections = _corrections(measured_hu, phase, kvp, options)
    text = recommendation(band_of(measured_hu, options.thresholds))
    return Verdict(summary=_summary(options, carrier.level, measured_hu, text, corrections), reason=None, warnings=warnings)


def refusal_reason(vertebrae: Sequence[VertebraFinding]) -> Reason | None:
    """Why no band may be given at all, or None where L1 is wholly in view and certain (whether or not it counts)."""
    certain = [vertebra for vertebra in vertebrae if vertebra.level_certain]
    first = next((vertebra for vertebra in certain if vertebra.level == LEVEL_OF_THRESHOLDS), None)
    if first is not None:
        if first.excluded_because is not None and first.excluded_because.code is ReasonCode.NOT_WHOLE:
            return Reason(code=ReasonCode.L1_NOT_IN_VIEW, text="L1 is only partly in view; the thresholds hold for L1.")
        return None
    doubt = _doubt(vertebrae)
    if doubt:
        return Reason(code=ReasonCode.LEVEL_UNCERTAIN, text=f"{doubt} The thresholds hold for L1 alone.")
    if certain:
        seen = ", ".join(str(vertebra.level) for vertebra in certain)
        return Reason(code=ReasonCode.L1_NOT_IN_VIEW, text=f"L1 is not in view (seen: {seen}); the thresholds hold for L1.")
    if vertebrae:
        text = "No anchor (sacrum, last rib) settles which vertebrae these are; the thresholds hold for L1 alone."
        return Reason(code=ReasonCode.LEVEL_UNCERTAIN, text=text)
    return Reason(code=ReasonCode.NO_USABLE_LEVEL, text="No vertebral body is wholly in view.")


def _doubt(vertebrae: Sequence[VertebraFinding]) -> str:
    """Why names that anchors would settle are not certain, L1's first; empty where only an anchor is missing."""
    reasons = (vertebra.excluded_because for vertebra in vertebrae if not vertebra.level_certain)
    texts = [reason.text for reason in reasons if reason is not None and reason.code is ReasonCode.LEVEL_UNCERTAIN]
    doubts = sorted((text for text in texts if text != NO_ANCHOR), key=lambda text: not text.startswith(LEVEL_OF_THRESHOLDS))
    return doubts[0] if doubts else ""


def _carrier(vertebrae: Sequence[VertebraFinding], options: CtOptions) -> VertebraFinding | None:
    used = {vertebra.level: vertebra for vertebra in vertebrae if vertebra.used and vertebra.level_certain}
    order = (LEVEL_OF_THRESHOLDS, *options.fallback_levels)
    return next((used[level] for level in order if level in used), None)


def _no_usable_level(vertebrae: Sequence[VertebraFinding], options: CtOptions) -> Reason:
    excluded = [
        f"{vertebra.level} {vertebra.excluded_because.code}"
        for vertebra in vertebrae
        if vertebra.excluded_because is not None and vertebra.level in (LEVEL_OF_THRESHOLDS, *options.fallback_levels)
    ]
    return Reason(code=ReasonCode.NO_USABLE_LEVEL, text=f"No level that may carry the band counts ({', '.join(excluded)}).")


def _summary(
    options: CtOptions, level: str | None, attenuation_hu: float | None, text: str, corrections: tuple[Correction, ...] = ()
) -> CtSummary:
    return CtSummary(
        level=level,
        roi_kind=options.roi,
        attenuation_hu=attenuation_hu,
        band=None if attenuation_hu is None else band_of(attenuation_hu, options.thresholds),
        thresholds=options.thresholds,
        recommendation=text,
        corrections=corrections,
    )


def _corrections(measured_hu: float, phase: ContrastPhase, kvp: float | None, options: CtOptions) -> tuple[Correction, ...]:
    wanted = (
        contrast_correction(measured_hu, phase) if options.contrast_correction else None,
        kvp_correction(measured_hu, kvp) if options.kvp_correction else None,
    )
    return tuple(correction for correction in wanted if correction is not None)


def recommendation(band: Band) -> str:
    """One careful sentence for the band; it names no disease as found and rules none out."""
    if band is Band.LOW:
        return "Trabecular attenuation (median) is at or below the lower threshold: consider DXA, together with the clinical risk factors."
    if band is Band.INTERMEDIATE:
        return "Trabecular attenuation (median) is between the thresholds: consider DXA if clinical risk factors are present."
    return (
        "Trabecular attenuation (median) is above both thresholds: this does not rule out osteoporosis; "
        "clinical risk factors decide about DXA."
    )
