"""What the results say of the experts' reading: densities on a named scale, and how it stands beside the other opinions.

Densities are never written without the make of densitometer and what the model was trained on directly beside them.
"""

from inference.ct.opinions import Opinion, OpinionSource
from inference.ct.vertebra_readings import VertebraReading, VertebraReadings
from inference.errors import WarningCode
from inference.findings import Findings, VertebraFinding
from node.results import wording
from node.results.density_class import density_class_lines, origin, probabilities_text


def reading_of(vertebra: VertebraFinding, findings: Findings) -> VertebraReading | None:
    """What the experts say of a body; None where it was not read."""
    readings = findings.experts.readings if findings.experts is not None else ()
    return next((one for one in readings if one.label == vertebra.label), None)


def expert_cells(vertebra: VertebraFinding, findings: Findings) -> tuple[str, str]:
    """Density in g/cm2 and probability of osteoporosis of a body, for the page's table."""
    one = reading_of(vertebra, findings)
    if one is None or one.bmd_g_cm2 is None or one.probability is None:
        return (wording.ABSENT, wording.ABSENT)
    return (f"{one.bmd_g_cm2:.2f}", f"{100 * one.probability:.0f} %")


def experts_lines(findings: Findings) -> list[str]:
    """Densities by level and the check on levels; or in one line why there are none.

    Nothing where no such model is configured, nor where a warning has said it already.
    """
    found = findings.experts
    if found is None:
        return []
    if found.model is None:
        told = any(notice.code is WarningCode.EXPERTS_FAILED for notice in findings.warnings)
        return [] if told else [wording.ascii_text(f"No density by vertebra is predicted: {found.because}.")]
    return [wording.ascii_text(line) for line in (_densities(found), *_level_check(found))]


def opinion_lines(findings: Findings) -> list[str]:
    """How far the opinions agree, and which leads; nothing where none are compared."""
    opinions = findings.opinions
    return [] if opinions is None else [wording.ascii_text(f"{opinions.text} {opinions.lead_sentence}")]


def page_lines(findings: Findings) -> list[str]:
    """What the page says below its table of both models, whose numbers stand above: who they are and that neither is DXA.

    Where no opinions stand side by side, what the text says of each.
    """
    density, experts = findings.density_class, findings.experts
    if findings.opinions is None or experts is None or experts.model is None:
        return [*density_class_lines(findings), *experts_lines(findings)]
    said = density is not None and density.model is not None
    by = [f"class by {density.model.name} {density.model.version}, {density.because}"] if density is not None and density.model else []
    by.append(f"BMD and osteoporosis by {experts.model.name} {experts.model.version}, {experts.because}")
    told = f"Predicted {'; '.join(by)}. Predictions, not DXA results; they change no measurement."
    lines = [] if said else density_class_lines(findings)
    return [*lines, wording.ascii_text(" ".join([told, *_level_check(experts)]))]


def page_opinion(opinion: Opinion, findings: Findings) -> str:
    """One opinion on the page: the classifier's with its probabilities."""
    density = findings.density_class
    if opinion.source is not OpinionSource.CLASSIFIER or density is None:
        return opinion_text(opinion, findings)
    return wording.ascii_text(f"{opinion.words}: {probabilities_text(density)}")


def opinion_text(opinion: Opinion, findings: Findings) -> str:
    """One opinion; of a model's what that was trained on directly beside it."""
    density, experts = findings.density_class, findings.experts
    models = {
        OpinionSource.CLASSIFIER: density.model if density is not None else None,
        OpinionSource.EXPERTS: experts.model if experts is not None else None,
    }
    model = models.get(opinion.source)
    return wording.ascii_text(opinion.words if model is None else f"{opinion.words} ({origin(model)})")


def _densities(found: VertebraReadings) -> str:
    """``Predicted BMD by vertebra, on the scale of Hologic: L1 0.82 g/cm2 (osteoporosis 61 %), ... (model trained on ...).``"""
    if found.model is None:
        return ""
    levels = [
        f"{one.level} {one.bmd_g_cm2:.2f} g/cm2 (osteoporosis {100 * one.probability:.0f} %)"
        for one in found.readings
        if one.bmd_g_cm2 is not None and one.probability is not None
    ]
    told = ", ".join(levels) or "none of L1 to L4 can be read"
    return (
        f"Predicted BMD by vertebra, {found.because}: {told} ({origin(found.model)}). By {found.model.name} {found.model.version}. "
        "A prediction, not a DXA result; it changes no measurement."
    )


def _level_check(found: VertebraReadings) -> list[str]:
    """Whether the vertebrae look like what they are called; nothing where a warning says that they do not."""
    alike = sum(one.looks_like == one.level for one in found.readings)
    told = f"{alike} of {len(found.readings)} vertebrae look to the model like what they are called"
    if found.shift is None:
        return [f"Check on the levels: undecided; {told}."]
    return [f"Check on the levels: {told}."] if found.shift == 0 else []
