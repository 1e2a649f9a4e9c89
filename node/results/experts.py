"""What the results say of the experts' reading: densities on a named scale, and how it stands beside the other opinions.

Densities are never written without the make of densitometer and what the model was trained on directly beside them.
"""

from inference.ct.vertebra_readings import VertebraReadings
from inference.findings import Findings
from node.results import wording
from node.results.density_class import origin


def experts_lines(findings: Findings) -> list[str]:
    """Densities by level, the opinions side by side; or in one line why there are none. Nothing where no such model is configured."""
    found = findings.experts
    if found is None:
        return []
    lines = [_densities(found) or f"No density by vertebra is predicted: {found.because}."]
    if findings.opinions is not None:
        leading = findings.opinions.leading
        lead = f" {leading.words[0].upper()}{leading.words[1:]} leads, by the site's setting." if leading is not None else ""
        lines.append(f"{findings.opinions.text}{lead}")
    return [wording.ascii_text(line) for line in lines]


def _densities(found: VertebraReadings) -> str:
    """``Predicted BMD on the scale of Hologic: L1 0.82 g/cm2 (osteoporosis 61 %), ... (model trained on simulated patients).``"""
    model = found.model
    if model is None:
        return ""
    levels = [
        f"{one.level} {one.bmd_g_cm2:.2f} g/cm2 (osteoporosis {one.probability:.0%})"
        for one in found.readings
        if one.bmd_g_cm2 is not None and one.probability is not None
    ]
    told = ", ".join(levels) or "none of L1 to L4 can be read"
    return (
        f"Predicted BMD by vertebra, {found.because}: {told} ({origin(model)}). By {model.name} {model.version}. "
        "A prediction, not a DXA result; it changes no measurement."
    )
