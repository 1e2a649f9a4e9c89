"""CT: from the headers of a study to the attenuation of its vertebrae."""

import dataclasses
from collections.abc import Sequence

from inference.ct.acquisition import acquisition_notices
from inference.ct.calibration import calibrated, find_entry, other_voltage_notice
from inference.ct.contrast import PhaseEstimate, estimate_phase
from inference.ct.density_class import classify_study
from inference.ct.measure import Measured, measure_bodies
from inference.ct.opinions import Opinions, OpinionSource, advice, compare_opinions
from inference.ct.options import CtOptions
from inference.ct.quality import assess
from inference.ct.segmentation import get_segmenter
from inference.ct.segmentation.base import Segmentation, Segmenter
from inference.ct.segmentation.scale import check_scale
from inference.ct.series import CandidateSeries, LoadedSeries, SeriesChoice, choose_series, load_series
from inference.ct.summary import Verdict, summarise
from inference.ct.vertebra_density import read_vertebrae
from inference.ct.vertebra_readings import VertebraReadings
from inference.errors import ReasonCode, Refusal
from inference.findings import (
    Acquisition,
    CtImages,
    CtSummary,
    DensityClass,
    Findings,
    ModelUsed,
    Notice,
    Outcome,
    Reason,
    SkippedFile,
    VertebraFinding,
)
from inference.identity import check_identity
from inference.reading import InstanceHeader
from inference.tolerant import read_dataset
from inference.workflows.clock import Clock

MAX_TRIED = 3
"""Series that are segmented before a study is given up."""
FURTHER_MM = 40.0
"""A series shows another part of the spine when it reaches this much further than what was measured."""
_ELSEWHERE = frozenset({ReasonCode.L1_NOT_IN_VIEW, ReasonCode.LEVEL_UNCERTAIN, ReasonCode.NO_USABLE_LEVEL})
"""Refusals that another part of the spine may lift."""


def run(headers: Sequence[InstanceHeader], options: CtOptions) -> Findings:
    """Measure one CT study.

    The best series is measured. Where it cannot be read or segmented the next one is; where it shows no level that may carry a band,
    one that shows another part of the spine is. Of several refusals the best series' own is the study's reason.

    Parameters
    ----------
    headers
        Every instance of the study, with its path.

    Returns
    -------
    Findings
        Never raises a Refusal: a refused study has its reason.
    """
    clock = Clock()
    uid = headers[0].study_instance_uid
    notices: tuple[Notice, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()
    try:
        notices = check_identity(headers)
        with clock.step("reading"):
            choice = choose_series(headers)
        skipped = choice.skipped
        findings = _measure_best(uid, choice, options, clock)
    except Refusal as refusal:
        findings = Findings(study_instance_uid=uid, workflow="ct", outcome=Outcome.REFUSED, reason=_reason(refusal))
    warnings = (*notices, *findings.warnings)
    outcome = Outcome.RESULT_WITH_WARNINGS if warnings and findings.outcome is Outcome.RESULT else findings.outcome
    return dataclasses.replace(
        findings, outcome=outcome, warnings=warnings, skipped=(*skipped, *findings.skipped), timings_s=clock.timings_s()
    )


def _reason(refusal: Refusal) -> Reason:
    return Reason(code=refusal.code, text=refusal.text)


def _measure_best(uid: str, choice: SeriesChoice, options: CtOptions, clock: Clock) -> Findings:
    """Findings of the first series that gives a band, else of the best one.

    Raises
    ------
    Refusal
        No series could be read and segmented.
    """
    segmenter = get_segmenter(
        options.segmenter,
        max_slice_spacing_mm=options.max_slice_spacing_mm,
        bundles=options.bundles,
        masks=options.masks,
        totalsegmentator=options.totalsegmentator,
    )
    tried: dict[int, Findings | Refusal] = {}
    for index, candidate in enumerate(choice.candidates):
        measured = [choice.candidates[at] for at, result in tried.items() if isinstance(result, Findings)]
        if not all(_reaches_further(candidate, other) for other in measured):
            continue
        try:
            tried[index] = _measure_series(uid, candidate, segmenter, options, clock)
        except Refusal as refusal:
            tried[index] = refusal
        if len(tried) == MAX_TRIED or _settles(tried[index]):
            break
    return _best(choice, tried)


def _settles(result: Findings | Refusal) -> bool:
    """Whether no other series can do better."""
    return isinstance(result, Findings) and (result.reason is None or result.reason.code not in _ELSEWHERE)


def _best(choice: SeriesChoice, tried: dict[int, Findings | Refusal]) -> Findings:
    """The findings with a band, else those of the best series, with why each other series was not used.

    Raises
    ------
    Refusal
        No series was measured: the best one's refusal, or why there was none to try.
    """
    found = {at: result for at, result in tried.items() if isinstance(result, Findings)}
    if not found:
        raise next((result for result in tried.values() if isinstance(result, Refusal)), choice.refusal())
    used = next((at for at, findings in found.items() if findings.reason is None), next(iter(found)))
    others: list[SkippedFile] = []
    for at, result in tried.items():
        reason = _reason(result) if isinstance(result, Refusal) else result.reason
        if at != used and reason is not None:
            others.append(SkippedFile(path=f"series {choice.candidates[at].series_instance_uid}", reason=reason))
    left = tuple(candidate for at, candidate in enumerate(choice.candidates) if at == used or at not in tried)
    others.extend(dataclasses.replace(choice, candidates=left).not_chosen(choice.candidates[used]))
    return dataclasses.replace(found[used], skipped=tuple(others))


def _reaches_further(candidate: CandidateSeries, measured: CandidateSeries) -> bool:
    """Whether a series shows a part of the spine that the measured one does not."""
    low, high = _reach_mm(candidate)
    measured_low, measured_high = _reach_mm(measured)
    return low < measured_low - FURTHER_MM or high > measured_high + FURTHER_MM


def _reach_mm(candidate: CandidateSeries) -> tuple[float, float]:
    """Lowest and highest z of the slices (LPS, mm)."""
    first = float(candidate.geometry.affine[2, 3])
    last = first + float(candidate.geometry.affine[2, 0]) * (len(candidate.geometry.layers) - 1)
    return (min(first, last), max(first, last))


def _measure_series(uid: str, candidate: CandidateSeries, segmenter: Segmenter, options: CtOptions, clock: Clock) -> Findings:
    """Read, segment and measure one series.

    Raises
    ------
    Refusal
        It cannot be read or segmented.
    """
    with clock.step("reading"):
        loaded = load_series(candidate, max_slice_spacing_mm=options.max_slice_spacing_mm)
    with clock.step("segmentation"):
        segmentation = segmenter.segment(loaded.volume)
        clock.parts(segmentation.timings_s)
    with clock.step("measurement"):
        check_scale(loaded.volume, segmentation)
        estimate = estimate_phase(loaded.volume, segmentation)
        acquisition = dataclasses.replace(loaded.acquisition, contrast_phase=str(estimate.phase), contrast_because=estimate.because)
        measured = measure_bodies(loaded.volume, segmentation, options)
        judged = _with_second_reader(assess(measured.bodies, options), segmentation)
        vertebrae, notice = _with_vbmd(judged, acquisition, _serial_number(loaded), options)
        verdict = summarise(vertebrae, estimate.phase, acquisition.kvp, options)
        images = _images(loaded, segmentation, measured)
    with clock.step("classification"):
        classified = classify_study(loaded.volume, segmentation, vertebrae, verdict, options)
        read = read_vertebrae(loaded.volume, segmentation, vertebrae, options)
    opinions = _opinions(verdict, classified.density, read.readings, options)
    made = (*loaded.notices, *segmentation.notices, *_once(loaded.notices, acquisition, estimate, options), *notice)
    warnings = (*made, *verdict.warnings, *_carrier_warnings(vertebrae, verdict), *classified.warnings, *read.warnings)
    return Findings(
        study_instance_uid=uid,
        workflow="ct",
        outcome=_outcome(verdict, vertebrae, warnings),
        reason=verdict.reason,
        warnings=warnings,
        acquisition=acquisition,
        vertebrae=vertebrae,
        summary=_summary(verdict, opinions),
        level_because=segmentation.level_because,
        models=_models(segmentation, classified.density, read.readings),
        second_reader=segmentation.second.agreement if segmentation.second else None,
        density_class=classified.density,
        experts=read.readings,
        opinions=opinions,
        images=images,
    )


def _opinions(verdict: Verdict, density: DensityClass | None, readings: VertebraReadings | None, options: CtOptions) -> Opinions | None:
    """The opinions side by side; None where no model read any vertebra and the measurement leads: the class at L1 says itself how it
    stands to the band."""
    read = readings is not None and readings.model is not None
    if not read and options.leading is OpinionSource.MEASUREMENT:
        return None
    predicted = density.predicted if density is not None else None
    levels = readings.osteoporotic_levels if readings is not None else None
    return compare_opinions(verdict.summary.band, predicted, levels, options.leading)


def _summary(verdict: Verdict, opinions: Opinions | None) -> CtSummary:
    """The verdict's summary; where there is a band, what is advised minds the leading opinion, too."""
    if verdict.reason is not None:
        return verdict.summary
    return dataclasses.replace(verdict.summary, recommendation=advice(verdict.summary.recommendation, opinions))


def _models(segmentation: Segmentation, density: DensityClass | None, readings: VertebraReadings | None) -> tuple[ModelUsed, ...]:
    """What made the masks, the second reader, what predicted the class and read each vertebra: those that there were, in this order."""
    second = segmentation.second.agreement.model if segmentation.second else None
    predicted_by = density.model if density else None
    read_by = readings.model if readings else None
    return tuple(model for model in (segmentation.model, second, predicted_by, read_by) if model is not None)


def _once(said: Sequence[Notice], acquisition: Acquisition, estimate: PhaseEstimate, options: CtOptions) -> tuple[Notice, ...]:
    """Warnings about the acquisition that reading has not given already."""
    codes = {notice.code for notice in said}
    return tuple(notice for notice in acquisition_notices(acquisition, estimate, options) if notice.code not in codes)


def _carrier_warnings(vertebrae: Sequence[VertebraFinding], verdict: Verdict) -> tuple[Notice, ...]:
    """Warnings of the level that carries the band, named, among the study's own: they touch the one number that is read first."""
    level = verdict.summary.level
    return tuple(
        Notice(code=notice.code, text=f"{level}: {notice.text}")
        for vertebra in vertebrae
        if level is not None and vertebra.level == level
        for notice in vertebra.warnings
    )


def _outcome(verdict: Verdict, vertebrae: Sequence[VertebraFinding], warnings: Sequence[Notice]) -> Outcome:
    if verdict.reason is not None:
        return Outcome.REFUSED
    beside_used = any(vertebra.warnings for vertebra in vertebrae if vertebra.used)
    return Outcome.RESULT_WITH_WARNINGS if warnings or beside_used else Outcome.RESULT


def _with_second_reader(vertebrae: tuple[VertebraFinding, ...], segmentation: Segmentation) -> tuple[VertebraFinding, ...]:
    """The vertebrae with what the second reader says of each; unchanged without one."""
    if segmentation.second is None:
        return vertebrae
    readings = segmentation.second.per_body
    return tuple(dataclasses.replace(found, second_reader=readings[found.label]) for found in vertebrae)


def _with_vbmd(
    vertebrae: tuple[VertebraFinding, ...], acquisition: Acquisition, serial_number: str | None, options: CtOptions
) -> tuple[tuple[VertebraFinding, ...], tuple[Notice, ...]]:
    """The vertebrae with vBMD where this scanner is calibrated; else unchanged, with a warning where a calibration nearly fits."""
    entry = find_entry(options.calibration, acquisition, serial_number)
    if entry is not None:
        vertebrae = tuple(dataclasses.replace(found, rois=tuple(calibrated(roi, entry) for roi in found.rois)) for found in vertebrae)
    notice = other_voltage_notice(options.calibration, acquisition, serial_number)
    return vertebrae, (notice,) if notice is not None else ()


def _serial_number(loaded: LoadedSeries) -> str | None:
    """Device Serial Number (0018,1000) of the first measured file."""
    dataset = read_dataset(loaded.source_paths[0], ("DeviceSerialNumber",), stop_before_pixels=True)
    return str(dataset.get("DeviceSerialNumber") or "").strip() or None


def _images(loaded: LoadedSeries, segmentation: Segmentation, measured: Measured) -> CtImages:
    return CtImages(
        volume=loaded.volume,
        bodies=segmentation.bodies,
        core=measured.core,
        ellipse=measured.ellipse,
        source_paths=loaded.source_paths,
        source_bodies=loaded.to_source(segmentation.bodies),
        source_core=loaded.to_source(measured.core),
        source_ellipse=loaded.to_source(measured.ellipse),
        second_bodies=segmentation.second.bodies if segmentation.second else None,
    )
