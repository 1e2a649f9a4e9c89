"""What the results say of the predicted density class: one line, the same on the page, in the text and in the SR.

Probabilities are written in whole per cent, and never without what their model was trained on directly beside them.
"""

from typing import Final

from inference.errors import WarningCode
from inference.findings import Band, ClassAgreement, DensityClass, Findings, ModelUsed
from node.results import wording

_AGREEMENT: Final = {
    ClassAgreement.AGREES: "Agrees with the measured attenuation",
    ClassAgreement.ONE_STEP_APART: "One step apart from the measured attenuation",
    ClassAgreement.CONTRADICTS: "CONTRADICTS the measured attenuation",
}
_DEVICE_AGREEMENT: Final = {
    ClassAgreement.AGREES: "Agrees with the densitometer's own",
    ClassAgreement.ONE_STEP_APART: "One class apart from the densitometer's own",
    ClassAgreement.CONTRADICTS: "CONTRADICTS the densitometer's own",
}
_BAND: Final = {Band.LOW: "low", Band.INTERMEDIATE: "between the thresholds", Band.ABOVE: "above both thresholds"}


def origin(model: ModelUsed) -> str:
    """What stands beside every number of a model: ``model trained on simulated patients``."""
    return wording.ascii_text(f"model trained on {model.trained_on}")


def probabilities_text(density: DensityClass) -> str:
    """``normal 12 %, osteopenia 70 %, osteoporosis 18 % (model trained on simulated patients)``; empty without any."""
    if density.model is None:
        return ""
    shares = ", ".join(f"{name} {percent} %" for name, percent in density.percentages.items())
    return f"{shares} ({origin(density.model)})"


def density_class_lines(findings: Findings) -> list[str]:
    """The predicted class, its probabilities, its model and how it stands to the band; or in one line why there is none.

    Nothing where no classifier is configured, nor where the refusal of the study or a warning has said it already.
    """
    density = findings.density_class
    if density is None:
        return []
    dxa = findings.dxa is not None
    if density.model is None or density.predicted is None:
        told = findings.reason is not None or any(notice.code is WarningCode.CLASSIFIER_FAILED for notice in findings.warnings)
        what = "probability of osteoporosis" if dxa else "density class"
        return [] if told else [wording.ascii_text(f"No {what} is predicted: {density.because}.")]
    what = "Predicted from the image of" if dxa else "Predicted density class of"
    close = (
        "A prediction: no bone density and no T-score, and it changes no value of the device"
        if dxa
        else "A prediction, not a DXA result; it changes no measurement"
    )
    parts = [
        f"{what} {density.level}: {density.predicted.upper()} - {probabilities_text(density)}.",
        _beside_device(findings, density) if dxa else _beside_band(findings, density),
        f"By {density.model.name} {density.model.version}, {density.because}. {close}.",
    ]
    return [wording.ascii_text(" ".join(part for part in parts if part))]


def _beside_band(findings: Findings, density: DensityClass) -> str:
    """How the class stands to the band of the attenuation."""
    if density.agreement is None:
        return ""
    band = findings.summary.band if findings.summary is not None else None
    return f"{_AGREEMENT[density.agreement]}{f' ({_BAND[band]})' if band is not None else ''}."


def _beside_device(findings: Findings, density: DensityClass) -> str:
    """How the class stands to what the densitometer states itself."""
    patient = findings.dxa.patient if findings.dxa is not None else None
    if density.agreement is None or patient is None or patient.t_score is None:
        return "The densitometer states no T-score to compare with."
    return f"{_DEVICE_AGREEMENT[density.agreement]} T-score of {patient.region} ({patient.t_score:.1f})."


def simulated_notice(findings: Findings) -> str | None:
    """That a number in these results comes from a model trained on simulated patients; None where none does."""
    measurement = findings.cxr.measurement if findings.cxr is not None else None
    if measurement is not None:
        reader, finder = measurement.density_model, measurement.landmark_model
        simulated = "simulated" in f"{reader.trained_on} {finder.trained_on}"
        return f"Bone density: {origin(reader)}; regions: {origin(finder)}." if simulated else None
    predicted = {"Class probabilities": findings.density_class, "Density by vertebra": findings.experts}
    models = {name: made.model for name, made in predicted.items() if made is not None and made.model is not None}
    told = [f"{name}: {origin(model)}." for name, model in models.items() if "simulated" in model.trained_on]
    return " ".join(told) or None
