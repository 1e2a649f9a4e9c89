"""DXA: every image is recognised, L1 to L4 are located on the AP spine, and the densitometer's own values are carried.

A study with values of the device in a structured form has a result: those values, marked as the device's. Without them, and without a model
that the site allows, it is refused for want of a model; which image was used, where L1 to L4 lie and what the others are is told either
way.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

from inference.dxa.device_values import device_values
from inference.dxa.findings import DxaFindings
from inference.dxa.patient import patient_level
from inference.dxa.recognise import ROI_SIZE, ImageDecision, decide_image
from inference.dxa.regions import Region
from inference.errors import ReasonCode, Refusal
from inference.findings import Findings, Notice, Outcome, Reason, SkippedFile
from inference.identity import check_identity
from inference.reading import InstanceHeader
from inference.workflows.radiograph import check_human, check_presentation

NO_MODEL = "Recorded; no model bundle for DXA images is installed, so bone density is not estimated."
_NO_PIXELS = ("1.2.840.10008.5.1.4.1.1.88.", "1.2.840.10008.5.1.4.1.1.11.", "1.2.840.10008.5.1.4.1.1.104.")
"""Structured reports, presentation states, encapsulated documents."""


def run(headers: Sequence[InstanceHeader], size: tuple[int, int] = ROI_SIZE) -> Findings:
    """Findings of one densitometry study.

    Parameters
    ----------
    headers
        Every instance of the study, with its path.
    size
        Height and width of the crop of L1 to L4.
    """
    started = time.monotonic()
    try:
        notices = check_identity(headers)
    except Refusal as refusal:
        return _findings(headers, Reason(code=refusal.code, text=refusal.text), (), (), None, started)
    images = [header for header in headers if not header.sop_class_uid.startswith(_NO_PIXELS)]
    decisions = _one_used(tuple(_decide(header, size) for header in images))
    answer = device_values(headers)
    patient = None if answer.values is None else patient_level(answer.values.bmd_g_cm2, answer.values.t_scores)
    dxa = DxaFindings(images=decisions, device=answer.values, device_because=answer.because, patient=patient)
    source = answer.values.sop_instance_uid if answer.values is not None else ""
    skipped = [_skipped(item) for item in decisions if item.reason is not None]
    skipped += [_without_pixels(header) for header in headers if header not in images and header.sop_instance_uid != source]
    return _findings(headers, None if dxa.device_sentence else _reason(dxa), notices, tuple(skipped), dxa, started)


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
        item if item.roi is None or item is best else replace(item, used=False, because=f"{item.because} {text}", reason=reason, roi=None)
        for item in decisions
    )


def _suitability(decision: ImageDecision) -> tuple[bool, int]:
    if decision.roi is None:
        return (False, 0)
    top, left, bottom, right = decision.roi.box
    return (decision.roi.levels_certain, (bottom - top) * (right - left))


def _reason(dxa: DxaFindings) -> Reason:
    """Why nothing is reported: no model where there is an AP spine, else what became of the AP spine, else the first image's reason."""
    if dxa.used is not None:
        return Reason(code=ReasonCode.NO_TRAINED_MODEL, text=NO_MODEL)
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


def _findings(
    headers: Sequence[InstanceHeader],
    reason: Reason | None,
    notices: tuple[Notice, ...],
    skipped: tuple[SkippedFile, ...],
    dxa: DxaFindings | None,
    started: float,
) -> Findings:
    finished = Outcome.RESULT_WITH_WARNINGS if notices else Outcome.RESULT
    return Findings(
        study_instance_uid=headers[0].study_instance_uid,
        workflow="dxa",
        outcome=finished if reason is None else Outcome.REFUSED,
        reason=reason,
        warnings=notices,
        skipped=skipped,
        dxa=dxa,
        timings_s={"total": time.monotonic() - started},
    )
