"""DXA: what the headers allow is checked; no model bundle and no vendor reader is installed, so no study is measured."""

import itertools
from collections.abc import Sequence

from inference.errors import ReasonCode, Refusal
from inference.findings import Findings
from inference.reading import InstanceHeader
from inference.workflows.radiograph import LATERAL_WORDS, check_human, check_presentation, described, refused_study, words

NO_MODEL = "Recorded; no model bundle for DXA images is installed, so bone density is not estimated."
OTHER_REGIONS = {
    "FOREARM": "the forearm",
    "RADIUS": "the forearm",
    "WRIST": "the forearm",
    "KNEE": "a knee",
    "LVA": "a lateral vertebral assessment",
    "VFA": "a lateral vertebral assessment",
    "HAND": "a hand",
}
"""Whole words that name a region no spine or hip model may see."""


def run(headers: Sequence[InstanceHeader]) -> Findings:
    """Findings of one DXA study: refused, with the most telling reason."""
    return refused_study(headers, "dxa", (check_human, check_presentation, check_region), NO_MODEL)


def check_region(header: InstanceHeader) -> None:
    """Refuse forearm, knee, total body and lateral views. GE names the region in Protocol Name or the procedure step alone.

    Raises
    ------
    Refusal
        ``WRONG_BODY_PART``.
    """
    said = (*described(header), *words(header.body_part_examined, header.view_position))
    for word in said:
        if word in OTHER_REGIONS:
            raise Refusal(ReasonCode.WRONG_BODY_PART, f"The image shows {OTHER_REGIONS[word]}, not the AP spine or a hip.")
    pairs = set(itertools.pairwise(said))
    if pairs & {("TOTAL", "BODY"), ("WHOLE", "BODY")} or {"TOTALBODY", "WHOLEBODY"} & set(said):
        raise Refusal(ReasonCode.WRONG_BODY_PART, "The image shows the total body, not the AP spine or a hip.")
    if LATERAL_WORDS & set(said):
        raise Refusal(ReasonCode.WRONG_BODY_PART, "The image is a lateral view, not the AP spine or a hip.")
