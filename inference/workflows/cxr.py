"""Chest radiographs: what the headers allow is checked; no model bundle is installed, so no study is measured."""

from collections.abc import Sequence

from inference.errors import ReasonCode, Refusal
from inference.findings import Findings
from inference.reading import InstanceHeader
from inference.workflows.radiograph import LATERAL_WORDS, check_human, check_presentation, described, refused_study, words

NO_MODEL = "Recorded; no model bundle for chest radiographs is installed, so bone density is not estimated."
CHEST_WORDS = frozenset({"CHEST", "THORAX", "LUNG", "LUNGS", "RIB", "RIBS", "THORACIC", "STERNUM"})
FRONTAL_VIEWS = frozenset({"PA", "AP"})


def run(headers: Sequence[InstanceHeader]) -> Findings:
    """Findings of one study of chest radiographs: refused, with the most telling reason."""
    return refused_study(headers, "cxr", (check_human, check_presentation, check_body_part, check_frontal), NO_MODEL)


def check_body_part(header: InstanceHeader) -> None:
    """Refuse an image of another body part. A blank Body Part Examined says nothing.

    Raises
    ------
    Refusal
        ``WRONG_BODY_PART``.
    """
    part = header.body_part_examined.strip()
    if part and not CHEST_WORDS & set(words(part)):
        raise Refusal(ReasonCode.WRONG_BODY_PART, f"Body Part Examined is {part!r}, not the chest.")


def check_frontal(header: InstanceHeader) -> None:
    """Refuse a lateral view, by View Position or, where that is blank, by a whole word of the descriptions.

    Raises
    ------
    Refusal
        ``NOT_FRONTAL``.
    """
    view = words(header.view_position)
    said = view or described(header)
    if LATERAL_WORDS & set(said) and not FRONTAL_VIEWS & set(said):
        named = header.view_position.strip() or header.series_description.strip() or header.protocol_name.strip()
        raise Refusal(ReasonCode.NOT_FRONTAL, f"The view is {named!r}; a frontal one (PA, AP) is needed.")
