"""What the values of a label mask mean: the numberings of published vertebral masks.

A numbering is never guessed from the values of a file: 20 is L1 in VerSe and the colon in TotalSegmentator, 27 is L5 in
TotalSegmentator 2 and T8 in its version 1.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

CERVICAL = tuple(f"C{n}" for n in range(1, 8))
SPINE = (*CERVICAL, *(f"T{n}" for n in range(1, 14)), *(f"L{n}" for n in range(1, 7)))
"""Every name of a free vertebra, head to foot; T13 and L6 are the additional ones of transitional spines."""
USUAL = tuple(name for name in SPINE if name not in ("T13", "L6"))
"""Head to foot without the additional ones."""
_NAME = re.compile(r"(?:vertebrae?[_ ])?([CTL]\d{1,2})(?:[_ ]vertebra)?", re.IGNORECASE)


def level_of(text: str) -> str | None:
    """The vertebra that a structure's name means (``L1``, ``vertebrae_L1``, ``L1 vertebra``), or None."""
    match = _NAME.fullmatch(text.strip())
    name = match.group(1).upper() if match else ""
    return name if name in SPINE else None


@dataclass(frozen=True, kw_only=True)
class Numbering:
    """Label values and what they mean.

    Attributes
    ----------
    name
        As in the configuration.
    vertebrae
        One of :data:`SPINE` by label.
    sacrum
        Labels of the sacrum or of parts of it.
    twelfth_ribs
        Labels of the ribs of T12.
    cord
        Label of the spinal cord; None without one.
    others
        Labels of structures that are no part of the spine, and are left out.

    Raises
    ------
    ValueError
        Two labels mean one vertebra, or one label means two things.
    """

    name: str
    vertebrae: Mapping[int, str]
    sacrum: frozenset[int] = frozenset()
    twelfth_ribs: frozenset[int] = frozenset()
    cord: int | None = None
    others: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if len(set(self.vertebrae.values())) != len(self.vertebrae) or not set(self.vertebrae.values()) <= set(SPINE):
            raise ValueError(f"the numbering {self.name} names a vertebra twice, or one that there is not")
        groups = (set(self.vertebrae), self.sacrum, self.twelfth_ribs, {self.cord} - {None}, self.others)
        if sum(len(group) for group in groups) != len(self.known):
            raise ValueError(f"the numbering {self.name} gives one label two meanings")

    @property
    def known(self) -> frozenset[int]:
        """Every label with a meaning."""
        cord = frozenset() if self.cord is None else frozenset({self.cord})
        return frozenset(self.vertebrae) | self.sacrum | self.twelfth_ribs | cord | self.others


def numbering_from_names(name: str, names: Mapping[int, str]) -> Numbering:
    """The numbering of a label map with a name for each label, such as TotalSegmentator's class maps."""
    vertebrae = {label: level for label, text in names.items() if (level := level_of(text)) is not None}
    sacrum = frozenset(label for label, text in names.items() if text in ("sacrum", "vertebrae_S1"))
    ribs = frozenset(label for label, text in names.items() if text in ("rib_left_12", "rib_right_12"))
    cord = next((label for label, text in names.items() if text == "spinal_cord"), None)
    others = frozenset(names) - set(vertebrae) - sacrum - ribs - {cord}
    return Numbering(name=name, vertebrae=vertebrae, sacrum=sacrum, twelfth_ribs=ribs, cord=cord, others=others)


_USUAL_FROM_1 = dict(enumerate(USUAL, start=1))

VERSE = Numbering(name="verse", vertebrae={**_USUAL_FROM_1, 25: "L6", 28: "T13"}, sacrum=frozenset({26}), others=frozenset({27}))
"""VerSe (Sekuboyina 2021): 1-7 C1-C7, 8-19 T1-T12, 20-24 L1-L5, 25 L6, 26 sacrum, 27 coccyx, 28 T13."""

CTSPINE1K = Numbering(name="ctspine1k", vertebrae={**_USUAL_FROM_1, 25: "L6"})
"""CTSpine1K (Deng 2021): 1-7 C1-C7, 8-19 T1-T12, 20-24 L1-L5, 25 L6."""

TOTALSEGMENTATOR = Numbering(
    name="totalsegmentator",
    vertebrae={27 + n: name for n, name in enumerate(reversed(USUAL))},
    sacrum=frozenset({25, 26}),
    twelfth_ribs=frozenset({103, 115}),
    cord=79,
    others=frozenset(range(1, 118)) - set(range(25, 51)) - {79, 103, 115},
)
"""The task ``total`` of TotalSegmentator 2: 25 sacrum, 26 S1, 27 L5 ... 31 L1, 32 T12 ... 50 C1, 79 spinal cord. Version 1 differs."""

NUMBERINGS = {numbering.name: numbering for numbering in (VERSE, CTSPINE1K, TOTALSEGMENTATOR)}
"""The numberings that a site may name for its mask files."""
