"""The JSON of one processed study: the contract of ``osteon process --json`` and of the ledger. Keys are only ever added."""

from typing import Any

from inference.findings import (
    Acquisition,
    Agreement,
    BodyHeights,
    CtSummary,
    DensityClass,
    Findings,
    ModelUsed,
    Notice,
    Reason,
    RoiMeasurement,
    SecondReader,
    SkippedFile,
    VertebraFinding,
)
from node.report_cxr import cxr_estimates, cxr_report
from node.report_dxa import dxa_estimates, dxa_report
from node.report_experts import experts_report, opinions_report
from node.results.objects import ResultObject
from node.routing import Decision

Json = dict[str, Any]


def study_report(findings: Findings, decision: Decision, objects: tuple[ResultObject, ...], picture_png: str | None = None) -> Json:
    """Everything that is said of one study, as plain JSON values.

    HU and mm carry one decimal: finer than the least significant change of 10 HU (Binkley 2025), and no finer.
    """
    return {
        "study_uid": findings.study_instance_uid,
        "workflow": findings.workflow or None,
        "outcome": findings.outcome.value,
        "reason": _reason(findings.reason),
        "warnings": [_notice(notice) for notice in findings.warnings],
        "decision": [{"route": item.route, "matched": item.matched, "because": item.because} for item in decision.considered],
        "route": decision.route,
        "series_used": _series(findings.acquisition),
        "vertebrae": [_vertebra(vertebra, findings.summary) for vertebra in findings.vertebrae],
        "level_because": findings.level_because or None,
        "summary": _summary(findings.summary, findings.density_class),
        "skipped": [skipped_report(item) for item in findings.skipped],
        "models": [_model(model) for model in findings.models],
        "second_reader": _agreement(findings.second_reader),
        "density_class": _density_class(findings.density_class, "band_agreement" if findings.dxa is None else "device_agreement"),
        "experts": experts_report(findings.experts),
        "opinions": opinions_report(findings.opinions),
        "estimates": [*cxr_estimates(findings), *dxa_estimates(findings)],
        "dxa": dxa_report(findings.dxa),
        "cxr": cxr_report(findings.cxr),
        "outputs": [
            {"kind": item.kind, "sop_class": item.sop_class_uid, "sop_instance_uid": item.sop_instance_uid, "path": str(item.path)}
            for item in objects
        ],
        "picture": picture_png,
        "timings_s": {step: round(seconds, 3) for step, seconds in findings.timings_s.items()},
    }


def skipped_report(skipped: SkippedFile) -> Json:
    """One file or series that was not used."""
    return {"path": skipped.path, "reason": _reason(skipped.reason)}


def _reason(reason: Reason | None) -> Json | None:
    return None if reason is None else {"code": reason.code.value, "text": reason.text}


def _notice(notice: Notice) -> Json:
    return {"code": notice.code.value, "text": notice.text}


def _model(model: ModelUsed) -> Json:
    return {"name": model.name, "version": model.version, "sha256": model.sha256, "trained_on": model.trained_on}


def _agreement(agreement: Agreement | None) -> Json | None:
    """How far a second reader agrees over the study; None where there was none."""
    if agreement is None:
        return None
    return {
        "name": agreement.model.name,
        "trained_on": agreement.model.trained_on,
        "compared": agreement.compared,
        "only_first": agreement.only_first,
        "only_second": agreement.only_second,
        "median_dice": _rounded(agreement.median_dice, 3),
        "median_attenuation_hu_difference": _rounded(agreement.median_difference_hu, 1),
        "levels": agreement.levels.value,
    }


def _second_reader(reading: SecondReader | None) -> Json | None:
    """What a second reader says of one body; a Dice of 0 where it sees none. None where there was no second reader."""
    if reading is None:
        return None
    measured = reading.mean_difference_hu is not None and reading.median_difference_hu is not None
    return {
        "level": reading.level,
        "level_certain": reading.level_certain,
        "dice": round(reading.dice, 3),
        "attenuation_hu_difference": {
            "mean": _rounded(reading.mean_difference_hu, 1),
            "median": _rounded(reading.median_difference_hu, 1),
        }
        if measured
        else None,
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _series(acquisition: Acquisition | None) -> Json | None:
    if acquisition is None:
        return None
    return {
        "series_uid": acquisition.series_instance_uid,
        "description": acquisition.series_description,
        "manufacturer": acquisition.manufacturer,
        "model_name": acquisition.model_name,
        "kvp": acquisition.kvp,
        "convolution_kernel": acquisition.convolution_kernel,
        "slices": acquisition.slices,
        "slice_spacing_mm": round(acquisition.slice_spacing_mm, 3),
        "slice_thickness_mm": acquisition.slice_thickness_mm,
        "pixel_spacing_mm": [round(spacing, 4) for spacing in acquisition.pixel_spacing_mm],
        "contrast_header": acquisition.contrast_header,
        "contrast_phase": acquisition.contrast_phase,
        "contrast_because": acquisition.contrast_because or None,
    }


def _roi(roi: RoiMeasurement) -> Json:
    return {
        "attenuation_hu": {
            "mean": round(roi.attenuation.mean_hu, 1),
            "median": round(roi.attenuation.median_hu, 1),
            "sd": round(roi.attenuation.sd_hu, 1),
        },
        "roi_voxels": roi.voxels,
        "volume_ml": round(roi.volume_ml, 2),
        "vbmd_mg_cm3": None if roi.vbmd_mg_cm3 is None else round(roi.vbmd_mg_cm3, 1),
        "vbmd_calibration": roi.vbmd_calibration,
    }


def _heights(heights: BodyHeights | None) -> Json | None:
    if heights is None:
        return None
    return {
        "anterior": round(heights.anterior_mm, 1),
        "middle": round(heights.middle_mm, 1),
        "posterior": round(heights.posterior_mm, 1),
    }


def _vertebra(vertebra: VertebraFinding, summary: CtSummary | None) -> Json:
    """One body. The top-level attenuation is that of the ROI kind the summary rests on; ``rois`` has every kind."""
    kind = summary.roi_kind if summary is not None else (vertebra.rois[0].kind if vertebra.rois else None)
    chosen = vertebra.roi(kind) if kind is not None else None
    shown = _roi(chosen) if chosen is not None else {"attenuation_hu": None, "roi_voxels": None}
    return {
        "label": vertebra.label,
        "level": vertebra.level,
        "level_certain": vertebra.level_certain,
        "used": vertebra.used,
        "excluded_because": _reason(vertebra.excluded_because),
        "attenuation_hu": shown["attenuation_hu"],
        "roi_kind": chosen.kind.value if chosen is not None else None,
        "roi_voxels": shown["roi_voxels"],
        "rois": {roi.kind.value: _roi(roi) for roi in vertebra.rois},
        "height_mm": _heights(vertebra.heights),
        "centre_lps_mm": [round(value, 1) for value in vertebra.centre_lps_mm],
        "warnings": [_notice(notice) for notice in vertebra.warnings],
        "second_reader": _second_reader(vertebra.second_reader),
    }


def _shares(density: DensityClass) -> Json | None:
    """Probabilities by class in hundredths, summing to 1: as many digits as the objects print."""
    return {name.replace(" ", "_"): percent / 100 for name, percent in density.percentages.items()} or None


def _density_class(density: DensityClass | None, agreement: str) -> Json | None:
    """What a model predicts of the DXA class, or why it does not; None where no classifier is configured or there was nothing to read.

    ``agreement`` names the key of how it stands to the band of the attenuation, or to the densitometer's own T-score.
    """
    if density is None:
        return None
    return {
        "level": density.level,
        "predicted": density.predicted and density.predicted.replace(" ", "_"),
        "probabilities": _shares(density),
        agreement: density.agreement.value if density.agreement is not None else None,
        "model": _model(density.model) if density.model is not None else None,
        "because": density.because,
    }


def _summary(summary: CtSummary | None, density: DensityClass | None) -> Json | None:
    """``who_category`` is the class that the model of ``who_category_by`` predicts; it was not measured by DXA."""
    if summary is None:
        return None
    model = density.model if density is not None else None
    return {
        "level": summary.level,
        "roi_kind": summary.roi_kind.value,
        "statistic": summary.statistic,
        "attenuation_hu": None if summary.attenuation_hu is None else round(summary.attenuation_hu, 1),
        "band": summary.band.value if summary.band is not None else None,
        "thresholds": [{"name": item.name, "hu": item.hu, "source": item.source} for item in summary.thresholds],
        "corrections": [
            {
                "name": item.name,
                "measured_hu": round(item.measured_hu, 1),
                "corrected_hu": round(item.corrected_hu, 1),
                "source": item.source,
            }
            for item in summary.corrections
        ],
        "t_score": None,
        "who_category": density.predicted if density is not None else None,
        "who_category_by": f"model {model.name} {model.version}, trained on {model.trained_on}" if model is not None else None,
        "probabilities": _shares(density) if density is not None else None,
        "recommendation": summary.recommendation,
    }
