"""Which region an image shows, as far as its header says: a pure function of the words in a few attributes."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from inference.errors import ReasonCode
from inference.header_words import LATERAL_WORDS, words


class Region(StrEnum):
    """What an image of a densitometry study shows."""

    AP_SPINE = "ap_spine"
    LATERAL_SPINE = "lateral_spine"
    FEMUR = "femur"
    KNEE = "knee"
    FOREARM = "forearm"
    HAND = "hand"
    TOTAL_BODY = "total_body"
    OTHER = "other"
    """Another part of the body, or a phantom."""
    REPORT_PAGE = "report_page"
    SCOUT = "scout"
    UNKNOWN = "unknown"


SHOWN = {
    Region.AP_SPINE: "the AP spine",
    Region.LATERAL_SPINE: "a lateral view of the spine",
    Region.FEMUR: "a hip or femur",
    Region.KNEE: "a knee",
    Region.FOREARM: "the forearm",
    Region.HAND: "a hand",
    Region.TOTAL_BODY: "the total body",
    Region.OTHER: "another part of the body or a phantom",
    Region.REPORT_PAGE: "a report page",
    Region.SCOUT: "a scout",
    Region.UNKNOWN: "a region that nothing names",
}
"""Every region in words."""

REFUSED_AS = {
    **dict.fromkeys((Region.LATERAL_SPINE, Region.FEMUR, Region.KNEE, Region.FOREARM), ReasonCode.WRONG_BODY_PART),
    **dict.fromkeys((Region.HAND, Region.TOTAL_BODY, Region.OTHER, Region.UNKNOWN), ReasonCode.WRONG_BODY_PART),
    Region.REPORT_PAGE: ReasonCode.REPORT_PAGE,
    Region.SCOUT: ReasonCode.LOCALIZER,
}
"""The code under which an image that is no AP spine is refused."""

_WORDS: tuple[tuple[Region, frozenset[str]], ...] = (
    (Region.REPORT_PAGE, frozenset({"REPORT", "REPORTS", "SUMMARY", "PRINTOUT", "TREND", "TRENDING", "FRAX"})),
    (Region.SCOUT, frozenset({"SCOUT", "LOCALIZER", "LOCALISER", "TOPOGRAM", "SCANOGRAM"})),
    (Region.OTHER, frozenset({"PHANTOM", "QC", "CALIBRATION", "TSPINE", "THORACIC", "CHEST", "SKULL", "ABDOMEN", "HEEL", "CALCANEUS"})),
    (Region.LATERAL_SPINE, frozenset({"LVA", "VFA", "IVA", "DVA", "SEITLICH"}) | LATERAL_WORDS),
    (Region.TOTAL_BODY, frozenset({"TOTALBODY", "WHOLEBODY", "COMPOSITION"})),
    (Region.FEMUR, frozenset({"FEMUR", "FEMURS", "FEMORA", "FEMORAL", "DUALFEMUR", "HIP", "HIPS", "AFF"})),
    (Region.KNEE, frozenset({"KNEE", "KNEES", "TIBIA"})),
    (Region.FOREARM, frozenset({"FOREARM", "FOREARMS", "RADIUS", "ULNA", "WRIST", "ARM"})),
    (Region.HAND, frozenset({"HAND", "HANDS", "FINGER"})),
    (Region.AP_SPINE, frozenset({"SPINE", "LSPINE", "LUMBAR", "RACHIS", "LWS"})),
)
_PAIRS: tuple[tuple[Region, frozenset[tuple[str, str]]], ...] = (
    (Region.TOTAL_BODY, frozenset({("TOTAL", "BODY"), ("WHOLE", "BODY")})),
    (Region.OTHER, frozenset({("T", "SPINE"), ("C", "SPINE")})),
    (Region.AP_SPINE, frozenset({("L1", "L4"), ("L2", "L4")})),
)
_OUTRANKS = (Region.REPORT_PAGE, Region.SCOUT, Region.OTHER)
"""A report on the spine is a report, a phantom of a spine a phantom."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What one attribute of the header holds."""

    attribute: str
    value: str


@dataclass(frozen=True, kw_only=True)
class HeaderRegion:
    """What the header says: the region (``unknown`` where it says none, or several) and the words it rests on."""

    region: Region
    because: str


def region_of(said: Sequence[Said]) -> HeaderRegion:
    """The region by the first attribute that names exactly one.

    Parameters
    ----------
    said
        The most telling attribute first. One that names several regions ("AP Spine and Femur") tells nothing about this image.

    Returns
    -------
    HeaderRegion
    """
    passed = []
    for item in said:
        found = regions_in(item.value)
        if len(found) == 1:
            return HeaderRegion(region=found[0], because=f"{item.attribute} is {item.value!r}")
        if found:
            passed.append(f"{item.attribute} {item.value!r} names several regions")
    return HeaderRegion(region=Region.UNKNOWN, because="; ".join(passed) or "the header names no region")


def regions_in(text: str) -> tuple[Region, ...]:
    """Every region that a text names, by whole words: BILATERAL is not LATERAL. A lateral spine is one region, not two."""
    said = words(text)
    pairs = frozenset(itertools.pairwise(said))
    found = {region for region, known in _WORDS if known & set(said)} | {region for region, known in _PAIRS if known & pairs}
    for region in _OUTRANKS:
        if region in found:
            return (region,)
    if Region.LATERAL_SPINE in found and not {"AP", "PA"} & set(said):
        found.discard(Region.AP_SPINE)
    return tuple(region for region in Region if region in found)
