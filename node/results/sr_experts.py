"""What device experts predict of each vertebra, and the opinions side by side, as content items of the structured report.

A prediction is told from a measurement by its concept (private: no DXA code stands on it), by its Derivation *Estimated*, by its algorithm
(TID 4019), and by two comments below each number: what the model was trained on, and on the scale of which densitometer it speaks.
"""

from collections.abc import Sequence
from typing import Final

from highdicom.sr import CodeContentItem, ContentItem, ContentSequence, Measurement, QualitativeEvaluation, RelationshipTypeValues
from pydicom.sr.coding import Code

from inference.ct.opinions import Opinions
from inference.ct.vertebra_readings import VertebraReadings
from inference.findings import Findings, ModelUsed, VertebraFinding
from node.results import codes, wording
from node.results.density_class import origin
from node.results.equipment import algorithm_identification
from node.results.experts import experts_lines, opinion_lines, opinion_text, reading_of
from node.results.objects import ResultContext
from node.results.sr_items import number, text_item

_CONTAINS: Final = RelationshipTypeValues.CONTAINS
_PROPERTY: Final = RelationshipTypeValues.HAS_PROPERTIES


def expert_numbers(vertebra: VertebraFinding, findings: Findings, context: ResultContext) -> list[Measurement]:
    """Density (two decimals) and probability of osteoporosis (whole per cent) of a body; empty where none was predicted.

    They belong after all measured numbers: viewers print a group's first five over the image, without what stands below them.
    """
    found, one = findings.experts, reading_of(vertebra, findings)
    if found is None or found.model is None or one is None or one.bmd_g_cm2 is None or one.probability is None:
        return []
    algorithm = algorithm_identification(found.model, context)
    density = number(codes.EXPERTS_BMD, one.bmd_g_cm2, codes.G_PER_CM2, derivation=codes.ESTIMATED, algorithm=algorithm)
    density[0].MeasuredValueSequence[0].NumericValue = f"{one.bmd_g_cm2:.2f}"
    share = number(codes.EXPERTS_PROBABILITY, round(100 * one.probability), codes.PERCENT, derivation=codes.ESTIMATED, algorithm=algorithm)
    for item in (density, share):
        item[0].ContentSequence.extend(_origin_items(found.model, found))
    return [density, share]


def expert_position(vertebra: VertebraFinding, findings: Findings) -> list[QualitativeEvaluation]:
    """Which level a body looks like to the model, whatever it is called; empty where it was not read."""
    found, one = findings.experts, reading_of(vertebra, findings)
    if found is None or found.model is None or one is None:
        return []
    position = QualitativeEvaluation(name=codes.EXPERTS_POSITION, value=codes.LEVEL.get(one.looks_like, codes.SIXTH_LUMBAR))
    position[0].ContentSequence = ContentSequence([text_item(codes.COMMENT, origin(found.model), _PROPERTY)])
    return [position]


def expert_items(findings: Findings) -> list[ContentItem]:
    """Of the whole study: the predictions in words, how far the opinions agree and which leads as codes, and each opinion."""
    items: list[ContentItem] = [text_item(codes.EXPERTS, line) for line in experts_lines(findings)]
    return items if findings.opinions is None else items + _opinion_items(findings.opinions, findings)


def _opinion_items(opinions: Opinions, findings: Findings) -> list[ContentItem]:
    leading = codes.NO_OPINION if opinions.leading is None else codes.OPINION[opinions.leading.source]
    return [
        _code(codes.OPINIONS, codes.OPINION_AGREEMENT[opinions.agreement]),
        *(text_item(codes.OPINIONS, line) for line in opinion_lines(findings)),
        _code(codes.OPINION_LEADING, leading),
        *(text_item(codes.OPINION[one.source], opinion_text(one, findings)) for one in opinions.given),
    ]


def _code(name: Code, value: Code) -> CodeContentItem:
    return CodeContentItem(name=name, value=codes.concept(value), relationship_type=_CONTAINS)


def _origin_items(model: ModelUsed, found: VertebraReadings) -> Sequence[ContentItem]:
    scale = wording.ascii_text(f"{found.because[0].upper()}{found.because[1:]}; not a DXA result.")
    return [text_item(codes.COMMENT, origin(model), _PROPERTY), text_item(codes.COMMENT, scale, _PROPERTY)]
