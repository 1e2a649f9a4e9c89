"""Whether the names that a label mask gives its vertebrae can be right: a pure function over names, places and neighbours.

A mask's names are taken as certain unless something contradicts them. Names that a program gave are certain only where, besides, the
sacrum lies at L5 or the twelfth ribs at T12 in the same mask: a program counts from what it sees, and a cropped scan shows no anchor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from inference.ct.segmentation.numbering import USUAL
from inference.errors import WarningCode
from inference.findings import Notice

SPACING_MM = {"C": (8.0, 28.0), "T": (12.0, 40.0), "L": (20.0, 52.0)}
"""Distance of a body's centre from the next one above: what adults have, crushed bodies and tall people included."""
UPPER_THORACIC_MM = (12.0, 32.0)
"""Likewise of T1 to T6."""
SPACING_RATIO = 1.6
"""A step this much longer or shorter than the steps beside it skips a vertebra, or counts one twice."""


@dataclass(frozen=True, kw_only=True)
class NamedBody:
    """One body of a mask: its name there and its centre (3,) in LPS mm."""

    name: str
    centre_lps_mm: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What the mask shows beside the bodies: the names of those that the sacrum and the twelfth ribs touch; empty without any."""

    sacrum: frozenset[str] = frozenset()
    twelfth_ribs: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class NamesVerdict:
    """Whether the names hold.

    Attributes
    ----------
    certain
        They may be relied on.
    because
        In words, what they rest on, or why they stay uncertain.
    notices
        What to tell the reader.
    """

    certain: bool
    because: str
    notices: tuple[Notice, ...] = ()


def judge_names(bodies: Sequence[NamedBody], beside: Beside, *, by_program: bool, source: str) -> NamesVerdict:
    """Judge the names of bodies, given head to foot as they lie in the image.

    Parameters
    ----------
    by_program
        A program named them, not a person who is answerable for the file.
    source
        Whose numbering it is, for the words.
    """
    transitional = [body.name for body in bodies if body.name not in USUAL]
    if transitional:
        text = f"the mask names {', '.join(transitional)}: transitional anatomy, the count is a matter of convention"
        return NamesVerdict(certain=False, because=text, notices=(Notice(code=WarningCode.TRANSITIONAL_ANATOMY, text=text),))
    problem = contradiction(bodies, beside)
    if problem:
        return NamesVerdict(certain=False, because=f"the mask's own names contradict each other: {problem}")
    anchors = [text for text, seen in (("sacrum at L5", beside.sacrum), ("twelfth ribs at T12", beside.twelfth_ribs)) if seen]
    told = f"{source}; {' and '.join(anchors)} in the same mask" if anchors else f"{source}; the mask shows neither sacrum nor twelfth ribs"
    notices = skipped_names(bodies)
    if by_program and not anchors:
        return NamesVerdict(certain=False, because=f"{told}, so that a program's count is not settled", notices=notices)
    return NamesVerdict(certain=True, because=told, notices=notices)


def contradiction(bodies: Sequence[NamedBody], beside: Beside) -> str:
    """What speaks against the names, in words; empty where nothing does."""
    if beside.sacrum - {"L5"}:
        return f"the sacrum lies at {', '.join(sorted(beside.sacrum - {'L5'}))}"
    if beside.twelfth_ribs - {"T12"}:
        return f"twelfth ribs lie at {', '.join(sorted(beside.twelfth_ribs - {'T12'}))}"
    per_name: list[float] = []
    for upper, lower in pairwise(bodies):
        steps = USUAL.index(lower.name) - USUAL.index(upper.name)
        if steps <= 0:
            return f"{lower.name} lies below {upper.name}"
        distance_mm = float(np.linalg.norm(upper.centre_lps_mm - lower.centre_lps_mm))
        per_name.append(distance_mm / steps)
        shortest, longest = usual_spacing_mm(lower.name)
        if not shortest <= per_name[-1] <= longest:
            return f"{upper.name} and {lower.name} lie {distance_mm:.0f} mm apart"
    return _uneven(bodies, per_name)


def usual_spacing_mm(name: str) -> tuple[float, float]:
    """Shortest and longest distance of a body's centre from that of the body above."""
    if name[0] == "T" and int(name[1:]) <= 6:
        return UPPER_THORACIC_MM
    return SPACING_MM[name[0]]


def _uneven(bodies: Sequence[NamedBody], per_name_mm: Sequence[float]) -> str:
    """The first step that is unlike those beside it; it takes three steps to tell which."""
    if len(per_name_mm) < 3:
        return ""
    for n, step in enumerate(per_name_mm):
        others = [per_name_mm[m] for m in range(max(0, n - 2), min(len(per_name_mm), n + 3)) if m != n]
        ratio = step / float(np.median(others))
        if not 1 / SPACING_RATIO <= ratio <= SPACING_RATIO:
            return f"the step from {bodies[n].name} to {bodies[n + 1].name} is {ratio:.1f} times those beside it"
    return ""


def skipped_names(bodies: Sequence[NamedBody]) -> tuple[Notice, ...]:
    """A notice of every vertebra that the mask leaves out between two others, where the image has room for it."""
    left_out = [name for upper, lower in pairwise(bodies) for name in USUAL[USUAL.index(upper.name) + 1 : USUAL.index(lower.name)]]
    if not left_out:
        return ()
    return (Notice(code=WarningCode.MASK_INCOMPLETE, text=f"The mask leaves out {', '.join(left_out)}; the names count it."),)
