"""DXA: every image is recognised, L1 to L4 are located on the AP spine, the densitometer's own values are carried, a model reads the crop.

A study with values of the device in a structured form has a result: those values, marked as the device's. A model that the site allows
gives the probability of osteoporosis beside them, or alone. Without either the study is refused for want of a model; which image was used,
where L1 to L4 lie and what the others are is told either way.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from inference.bundles import Bundle
from inference.classifier import Classified, no_class
from inference.dxa.classify import LEVEL, classify_spine, crop_size, open_classifier
from inference.dxa.densitometer import densitometer_of
from inference.dxa.device_values import device_values
from inference.dxa.findings import DxaFindings
from inference.dxa.options import DxaOptions
from inference.dxa.patient import patient_level
from inference.dxa.recognise import ROI_SIZE, ImageDecision, decide_image
from inference.dxa.regions import Region
from inference.errors import ReasonCode, Refusal
from inference.findings import Findings, Notice, Outcome, Reason, SkippedFile
from inference.identity import check_identity
from inference.reading import InstanceHeader
from inference.workflows.radiograph import NO_PIXELS, check_human, check_presentation

NO_CLASSIFIER = "no classifier of DXA images is configured (workflows.dxa.classifier)"


def run(headers: Sequence[InstanceHeader], options: DxaOptions) -> Findings:
    """Findings of one densitometry study.

    Parameters
    ----------
    headers
        Every instance of the study, with its path.

    Returns
    -------
    Findings
        Never raises a Refusal: a refused study has its reason.
    """
    started = time.perf_counter()
    try:
        notices = check_identity(headers)
        opened = open_classifier(options)
        read = _read(headers, crop_size(opened) if isinstance(opened, Bundle) else ROI_SIZE)
    except Refusal as refusal:
        reason = Reason(code=refusal.code, text=refusal.text)
        uid = headers[0].study_instance_uid
        return Findings(
            study_instance_uid=uid, workflow="dxa", outcome=Outcome.REFUSED, reason=reason, timings_s=_timings(started, started)
        )
    reading_done = time.perf_counter()
    classified = _classified(read.dxa, opened)
    return _findings(headers[0].study_instance_uid, read, classified, notices, _timings(started, reading_done))


@dataclass(frozen=True, kw_only=True)
class _Read:
    """What the files say, and those that say nothing."""

    dxa: DxaFindings
    skipped: tuple[SkippedFile, ...]


def _read(headers: Sequence[InstanceHeader], size: tuple[int, int]) -> _Read:
    """Every image's decision and the device's own values.

    Raises
    ------
    Refusal
        The used file cannot be read any more.
    """
    images = [header for header in headers if not header.sop_class_uid.startswith(NO_PIXELS)]
    decisions = _one_used(tuple(_decide(header, size) for header in images))
    answer = device_values(headers)
    patient = None if answer.values is None else patient_level(answer.values.bmd_g_cm2, answer.values.t_scores)
    used = next((header for header, item in zip(images, decisions, strict=True) if item.used), None)
    dxa = DxaFindings(
        images=decisions,
        device=answer.values,
        device_because=answer.because,
        patient=patient,
        densitometer=None if used is None else densitometer_of(used),
    )
    source = answer.values.sop_instance_uid if answer.values is not None else ""
    skipped = [_skipped(item) for item in decisions if item.reason is not None]
    skipped += [_without_pixels(header) for header in headers if header not in images and header.sop_instance_uid != source]
    return _Read(dxa=dxa, skipped=tuple(skipped))


def _classified(dxa: DxaFindings, opened: Bundle | Classified) -> Classified:
    """What the model says of the used image, or why it says nothing; nothing at all where the image's own refusal says it."""
    if dxa.used is None or dxa.used.roi is None:
        configured = isinstance(opened, Bundle) or opened.density is not None
        why = no_class(LEVEL, "no image of the study can be used as an AP spine")
        return Classified(density=why if configured and dxa.device_sentence else None)
    return classify_spine(dxa.used.roi, opened, dxa.patient) if isinstance(opened, Bundle) else opened


def _timings(started: float, reading_done: float) -> dict[str, float]:
    now = time.perf_counter()
    return {"reading": reading_done - started, "classification": now - reading_done, "total": now - started}


def _decide(header: InstanceHeader, size: tuple[int, int]) -> ImageDecision:
    try:
        check_human(header)
        check_presentation(header)
    except Refusal as refusal:
        reason = Reason(code=refusal.code, text=refusal.text)
        return ImageDecision(
            sop_instance_uid=header.sop_instance_uid,
            path=header.path,
            region=Region.UNKNOWN,
            used=False,
            because=refusal.text,
            reason=reason,
        )
    return decide_image(header, size)


def _one_used(decisions: tuple[ImageDecision, ...]) -> tuple[ImageDecision, ...]:
    """Of several AP spines the one whose levels are certain, then the one with most pixels on L1 to L4."""
    candidates = [item for item in decisions if item.roi is not None]
    if len(candidates) < 2:
        return decisions
    best = max(candidates, key=_suitability)
    text = f"Another image of the AP spine suits better (instance {best.sop_instance_uid})."
    reason = Reason(code=ReasonCode.OTHER_SERIES_PREFERRED, text=text)
    return tuple(
        item
        if item.roi is None or item is best
        else replace(item, used=False, because=f"{item.because} {text}", reason=reason, roi=None, scan=None)
        for item in decisions
    )


def _suitability(decision: ImageDecision) -> tuple[bool, int]:
    if decision.roi is None:
        return (False, 0)
    top, left, bottom, right = decision.roi.box
    return (decision.roi.levels_certain, (bottom - top) * (right - left))


def _reason(dxa: DxaFindings, classified: Classified) -> Reason | None:
    """Why nothing is reported: no model where there is an AP spine, else what became of the AP spine, else the first image's reason."""
    if dxa.device_sentence or (classified.density is not None and classified.density.model is not None):
        return None
    if dxa.used is not None:
        why = NO_CLASSIFIER if classified.density is None else classified.density.because.rstrip(".")
        return Reason(code=classified.code, text=f"Recorded; bone density is not estimated: {why}.")
    refused = [item for item in dxa.images if item.reason is not None]
    spines = [item for item in refused if item.region is Region.AP_SPINE]
    for item in (*spines, *refused):
        if item.reason is not None:
            return item.reason
    return Reason(code=ReasonCode.NO_SUITABLE_SERIES, text="The study holds no image.")


def _skipped(decision: ImageDecision) -> SkippedFile:
    path = str(decision.path) if decision.path else f"instance {decision.sop_instance_uid}"
    reason = decision.reason or Reason(code=ReasonCode.INTERNAL_ERROR, text=decision.because)
    return SkippedFile(path=path, reason=reason)


def _without_pixels(header: InstanceHeader) -> SkippedFile:
    path = str(header.path) if header.path else f"instance {header.sop_instance_uid}"
    text = "A report, presentation state or document; it states no value of the device that names its quantity, unit and level."
    return SkippedFile(path=path, reason=Reason(code=ReasonCode.NOT_AN_IMAGE, text=text))


def _findings(uid: str, read: _Read, classified: Classified, notices: tuple[Notice, ...], timings_s: dict[str, float]) -> Findings:
    reason = _reason(read.dxa, classified)
    warnings = (*notices, *classified.warnings)
    finished = Outcome.RESULT_WITH_WARNINGS if warnings else Outcome.RESULT
    density = classified.density
    return Findings(
        study_instance_uid=uid,
        workflow="dxa",
        outcome=finished if reason is None else Outcome.REFUSED,
        reason=reason,
        warnings=warnings,
        skipped=read.skipped,
        models=() if density is None or density.model is None else (density.model,),
        density_class=density,
        dxa=read.dxa,
        timings_s=timings_s,
    )
