"""What the experts say of every vertebra, and the opinions side by side, as plain JSON values."""

from typing import Any

from inference.ct.opinions import Opinions
from inference.ct.vertebra_readings import VertebraReading, VertebraReadings

Json = dict[str, Any]


def experts_report(found: VertebraReadings | None) -> Json | None:
    """Density in g/cm2 with two decimals (the model errs in the second), probabilities and gate weights in hundredths.

    None where no such model is configured.
    """
    if found is None:
        return None
    model = found.model
    return {
        "densitometer": found.densitometer,
        "because": found.because,
        "model": None
        if model is None
        else {"name": model.name, "version": model.version, "sha256": model.sha256, "trained_on": model.trained_on},
        "patient_osteoporosis": None if found.osteoporotic_levels is None else bool(found.osteoporotic_levels),
        "level_shift": found.shift,
        "vertebrae": [_reading(one) for one in found.readings],
    }


def _reading(one: VertebraReading) -> Json:
    return {
        "level": one.level,
        "looks_like": one.looks_like,
        "bmd_g_cm2": None if one.bmd_g_cm2 is None else round(one.bmd_g_cm2, 2),
        "osteoporosis_probability": None if one.probability is None else round(one.probability, 2),
        "gate_weights": [round(weight, 2) for weight in one.gates],
    }


def opinions_report(found: Opinions | None) -> Json | None:
    """The opinions, whose leads, and how far they agree; None where none are compared."""
    if found is None:
        return None
    return {
        "given": [{"source": one.source.value, "text": one.words} for one in found.given],
        "lead_setting": found.lead.value,
        "leading": None if found.leading is None else found.leading.source.value,
        "agreement": found.agreement.value,
        "text": found.text,
        "lead_text": found.lead_sentence,
    }
