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
    if density.model is None or density.predicted is None or density.agreement is None:
        told = findings.reason is not None or any(notice.code is WarningCode.CLASSIFIER_FAILED for notice in findings.warnings)
        return [] if told else [wording.ascii_text(f"No density class is predicted: {density.because}.")]
    band = findings.summary.band if findings.summary is not None else None
    beside = f" ({_BAND[band]})" if band is not None else ""
    parts = [
        f"Predicted density class of {density.level}: {density.predicted.upper()} - {probabilities_text(density)}.",
        f"{_AGREEMENT[density.agreement]}{beside}.",
        f"By {density.model.name} {density.model.version}, {density.because}. A prediction, not a DXA result; it changes no measurement.",
    ]
    return [wording.ascii_text(" ".join(parts))]


def simulated_notice(findings: Findings) -> str | None:
    """That a number in these results comes from a model trained on simulated patients; None where none does."""
    density = findings.density_class
    if density is None or density.model is None or "simulated" not in density.model.trained_on:
        return None
    return f"Class probabilities: {origin(density.model)}."
