"""From anchors to level names: a pure function, so that every case is a line of a table.

The column is a row of *spaces* for bodies, foot to head: space n lies below disc n, so that n discs make n + 1 spaces. A name is
certain only where the sacrum (the L5/S1 disc) or the lowest pair of ribs (T12) settles it, and nothing seen contradicts it.
"""

from dataclasses import dataclass

from inference.ct.levels import LEVELS
from inference.ct.segmentation.ribs import RibStatus
from inference.ct.segmentation.sacrum import SacralAnchor
from inference.errors import WarningCode
from inference.findings import Notice

LUMBAR_BODIES = 5
L5, T12 = LEVELS.index("L5"), LEVELS.index("T12")


@dataclass(frozen=True, kw_only=True)
class Anchors:
    """What the image shows of the anatomy that levels are counted from.

    Attributes
    ----------
    bounded
        Per space: a disc on both sides.
    ribs
        Per space: what is seen to the right and to the left.
    sacrum
        The L5/S1 disc, if it was found.
    broken
        Per space: so tall or so low against its neighbours that a disc may be missing or one too many.
    """

    bounded: tuple[bool, ...]
    ribs: tuple[tuple[RibStatus, RibStatus], ...]
    sacrum: SacralAnchor
    broken: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True)
class Naming:
    """Per space its level (None where nothing supports a name) and whether that is certain; in words why; what to tell the reader."""

    levels: tuple[str | None, ...]
    certain: tuple[bool, ...]
    because: str
    notices: tuple[Notice, ...] = ()


def lowest_rib_pair(anchors: Anchors, first: int) -> tuple[int | None, str]:
    """The space of T12 among the spaces from ``first`` up, or None and why the ribs do not settle it.

    The lowest pair counts only above a complete body that shows both its sides free of ribs, short ones included.
    """
    carrying = [n for n in range(first, len(anchors.ribs)) if RibStatus.RIB in anchors.ribs[n]]
    if not carrying:
        return None, "no ribs in view"
    lowest = carrying[0]
    if anchors.ribs[lowest] != (RibStatus.RIB, RibStatus.RIB):
        return None, "the lowest rib is seen on one side only"
    if lowest == first or not anchors.bounded[lowest - 1]:
        return None, "no complete body below the lowest ribs in view"
    if anchors.broken[lowest - 1]:
        return None, "the body below the lowest ribs has an unlikely height"
    below = anchors.ribs[lowest - 1]
    if RibStatus.UNSEEN in below:
        return None, "the sides of the body below the lowest ribs are not in view"
    if RibStatus.SHORT in below:
        return None, "the body below the lowest ribs may carry a short rib"
    above = range(lowest + 1, len(anchors.ribs))
    if any(anchors.ribs[n] == (RibStatus.NONE, RibStatus.NONE) for n in above):
        return None, "a body without ribs lies above the lowest ribs"
    return lowest, f"lowest rib pair on the {ordinal(len(anchors.ribs) - lowest)} body from the top"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th ..."""
    suffix = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def spread(anchors: Anchors, space: int, level: int, first: int, *, certain: bool) -> tuple[list[str | None], list[bool]]:
    """Names for all spaces from ``first`` up, counted from one that is known; certainty ends at a space of unlikely height."""
    names: list[str | None] = []
    sure: list[bool] = []
    for n in range(len(anchors.bounded)):
        index = level - (n - space)
        names.append(LEVELS[index] if n >= first and 0 <= index < len(LEVELS) else None)
        between = range(min(n, space), max(n, space) + 1)
        sure.append(certain and names[-1] is not None and not any(anchors.broken[m] for m in between))
    return names, sure


def transitional(text: str) -> tuple[Notice, ...]:
    """The notice that the count of lumbar bodies is not the usual one."""
    return (Notice(code=WarningCode.TRANSITIONAL_ANATOMY, text=text),)


def name_from_both(anchors: Anchors, disc: int, rib: int, because: str) -> Naming:
    """Sacrum and ribs both found: certain where five bodies lie between them."""
    count = rib - disc - 1
    if count == LUMBAR_BODIES:
        agreed, _ = spread(anchors, disc + 1, L5, disc + 1, certain=True)
        sure = [
            name is not None and (n <= rib or not any(anchors.broken[m] for m in range(rib + 1, n + 1))) for n, name in enumerate(agreed)
        ]
        text = f"{anchors.sacrum.because}; {because}; both agree"
        return Naming(levels=tuple(agreed), certain=tuple(sure), because=text)
    text = f"{count} bodies lie between the sacrum and the lowest ribs instead of {LUMBAR_BODIES}: transitional or uncertain anatomy"
    names, sure = spread(anchors, disc + 1, L5, disc + 1, certain=False)
    return Naming(levels=tuple(names), certain=tuple(sure), because=text, notices=transitional(text))


def name_from_sacrum(anchors: Anchors, disc: int, rib_reason: str) -> Naming:
    """Sacrum alone: certain unless ribs are seen where none belong, or none where they belong."""
    lumbar = [n for n in range(disc + 1, disc + 1 + LUMBAR_BODIES) if n < len(anchors.ribs)]
    t12 = disc + 1 + LUMBAR_BODIES
    problem = ""
    if any(RibStatus.RIB in anchors.ribs[n] for n in lumbar):
        problem = "a rib starts at a body counted as lumbar from the sacrum: transitional or uncertain anatomy"
    elif t12 < len(anchors.ribs) and anchors.bounded[t12] and anchors.ribs[t12] == (RibStatus.NONE, RibStatus.NONE):
        problem = "the body counted as T12 from the sacrum carries no rib: transitional or uncertain anatomy"
    elif anchors.sacrum.doubtful:
        problem = "a well-formed disc lies inside what looks like the sacrum: transitional or uncertain anatomy"
    names, sure = spread(anchors, disc + 1, L5, disc + 1, certain=not problem)
    if problem:
        return Naming(levels=tuple(names), certain=tuple(sure), because=problem, notices=transitional(problem))
    text = f"{anchors.sacrum.because}; the sacrum alone ({rib_reason})"
    return Naming(levels=tuple(names), certain=tuple(sure), because=text)


def name_levels(anchors: Anchors) -> Naming:
    """Name every space, or say why not."""
    disc = anchors.sacrum.disc
    first = 0 if disc is None else disc + 1
    rib, rib_reason = lowest_rib_pair(anchors, first)
    if disc is not None:
        return name_from_both(anchors, disc, rib, rib_reason) if rib is not None else name_from_sacrum(anchors, disc, rib_reason)
    if rib is not None and not anchors.sacrum.seen and rib <= LUMBAR_BODIES + 1:
        names, sure = spread(anchors, rib, T12, 0, certain=True)
        return Naming(levels=tuple(names), certain=tuple(sure), because=f"{rib_reason}; the ribs alone ({anchors.sacrum.because})")
    if rib is not None:
        names, sure = spread(anchors, rib, T12, 0, certain=False)
        text = f"{rib_reason}, but {anchors.sacrum.because if anchors.sacrum.seen else 'more than five bodies lie below'}"
        return Naming(levels=tuple(names), certain=tuple(sure), because=text)
    nothing = tuple(None for _ in anchors.bounded)
    return Naming(levels=nothing, certain=tuple(False for _ in nothing), because=f"uncertain: {anchors.sacrum.because}; {rib_reason}")
