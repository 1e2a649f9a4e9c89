"""From anchors to level names: a pure function, so that every case is a line of a table.

The column is a row of *spaces* for bodies, foot to head: space n lies below disc n, so that n discs make n + 1 spaces. A name is
certain only where the sacrum (the L5/S1 disc) or the lowest pair of ribs (T12) settles it, and nothing seen contradicts it.
"""

from dataclasses import dataclass

from inference.ct.levels import LEVELS
from inference.ct.segmentation.ribs import Rib, RibStatus
from inference.ct.segmentation.sacrum import SacralAnchor
from inference.errors import WarningCode
from inference.findings import Notice

LUMBAR_BODIES = 5
TWELFTH_MIN_REACH_MM, TWELFTH_MAX_REACH_MM = 72.0, 120.0
MAX_REACH_UNCOMPARED_MM = 100.0
ELEVENTH_REACHES_FARTHER_MM = 8.0
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
    ribs: tuple[tuple[Rib, Rib], ...]
    sacrum: SacralAnchor
    broken: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True)
class Naming:
    """What the spaces are called.

    Attributes
    ----------
    levels
        Per space its level; None where nothing supports a name, or where two anchors contradict each other.
    certain
        Per space: the anchors settle the name.
    because
        In words.
    notices
        What to tell the reader.
    first
        The lowest space that is no part of the sacrum, as far as known.
    """

    levels: tuple[str | None, ...]
    certain: tuple[bool, ...]
    because: str
    notices: tuple[Notice, ...] = ()
    first: int = 1


def lowest_rib_pair(anchors: Anchors, first: int) -> tuple[int | None, str]:
    """The space of T12 among the spaces from ``first`` up, or None and why the ribs do not settle it.

    The lowest pair counts only above a complete body that shows both its sides free of ribs, short ones included.
    """
    statuses = [(right.status, left.status) for right, left in anchors.ribs]
    carrying = [n for n in range(first, len(statuses)) if RibStatus.RIB in statuses[n]]
    if not carrying:
        return None, "no ribs in view"
    lowest = carrying[0]
    if statuses[lowest] != (RibStatus.RIB, RibStatus.RIB):
        return None, "the lowest rib is seen on one side only"
    if lowest == first or not anchors.bounded[lowest - 1]:
        return None, "no complete body below the lowest ribs in view"
    if anchors.broken[lowest - 1]:
        return None, "the body below the lowest ribs has an unlikely height"
    below = statuses[lowest - 1]
    if RibStatus.UNSEEN in below:
        return None, "the sides of the body below the lowest ribs are not in view"
    if RibStatus.SHORT in below:
        return None, "the body below the lowest ribs may carry a short rib"
    if (RibStatus.NONE, RibStatus.NONE) in statuses[lowest + 1 :]:
        return None, "a body without ribs lies above the lowest ribs"
    return lowest, f"lowest rib pair on the {ordinal(len(anchors.ribs) - lowest)} body from the top"


def unlike_twelfth(anchors: Anchors, lowest: int) -> str:
    """Why the lowest ribs, alone, may be no twelfth ribs; empty where they look like them.

    Twelfth ribs end free in the flank and are clearly shorter than the eleventh. Where the twelfth are absent or rudimentary, the
    eleventh are the lowest, nearly as far-reaching as the tenth; a rib on L1 is shorter than any usual twelfth.
    """
    pair = anchors.ribs[lowest]
    if any(rib.cut for rib in pair):
        return "the lowest ribs leave the scan, so that twelfth ribs cannot be told from eleventh"
    above = anchors.ribs[lowest + 1] if lowest + 1 < len(anchors.ribs) else ()
    longer = [rib.reach_mm - own.reach_mm for rib, own in zip(above, pair, strict=False) if rib.status is RibStatus.RIB and not rib.cut]
    longest = TWELFTH_MAX_REACH_MM if longer else MAX_REACH_UNCOMPARED_MM
    if min(rib.reach_mm for rib in pair) < TWELFTH_MIN_REACH_MM or max(rib.reach_mm for rib in pair) > longest:
        return "the lowest ribs are unusually short or long for twelfth ribs"
    if longer and sum(longer) / len(longer) < ELEVENTH_REACHES_FARTHER_MM:
        return "the lowest ribs are hardly shorter than those above"
    return ""


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


def unnamed(anchors: Anchors, because: str, notices: tuple[Notice, ...] = (), first: int = 1) -> Naming:
    """No names at all."""
    count = len(anchors.bounded)
    return Naming(levels=(None,) * count, certain=(False,) * count, because=because, notices=notices, first=first)


def transitional(anchors: Anchors, text: str, disc: int) -> Naming:
    """What is seen contradicts the usual count: no names, since either anchor may be the misleading one."""
    because = f"{text}: transitional or uncertain anatomy"
    return unnamed(anchors, because, (Notice(code=WarningCode.TRANSITIONAL_ANATOMY, text=because),), disc + 1)


def name_from_both(anchors: Anchors, disc: int, rib: int, because: str) -> Naming:
    """Sacrum and ribs both found: certain where five bodies lie between them."""
    count = rib - disc - 1
    if count == LUMBAR_BODIES:
        agreed, _ = spread(anchors, disc + 1, L5, disc + 1, certain=True)
        sure = [
            name is not None and (n <= rib or not any(anchors.broken[m] for m in range(rib + 1, n + 1))) for n, name in enumerate(agreed)
        ]
        text = f"{anchors.sacrum.because}; {because}; both agree"
        return Naming(levels=tuple(agreed), certain=tuple(sure), because=text, first=disc + 1)
    return transitional(anchors, f"{count} bodies lie between the sacrum and the lowest ribs instead of {LUMBAR_BODIES}", disc)


def name_from_sacrum(anchors: Anchors, disc: int, rib_reason: str) -> Naming:
    """Sacrum alone: certain unless ribs are seen where none belong, or none where they belong."""
    lumbar = [n for n in range(disc + 1, disc + 1 + LUMBAR_BODIES) if n < len(anchors.ribs)]
    t12 = disc + 1 + LUMBAR_BODIES
    problem = ""
    statuses = [(right.status, left.status) for right, left in anchors.ribs]
    if any(RibStatus.RIB in statuses[n] for n in lumbar):
        problem = "a rib starts at a body counted as lumbar from the sacrum"
    elif t12 < len(anchors.ribs) and anchors.bounded[t12] and statuses[t12] == (RibStatus.NONE, RibStatus.NONE):
        problem = "the body counted as T12 from the sacrum carries no rib"
    elif anchors.sacrum.doubtful:
        problem = "a well-formed disc lies inside what looks like the sacrum"
    if problem:
        return transitional(anchors, problem, disc)
    names, sure = spread(anchors, disc + 1, L5, disc + 1, certain=True)
    text = f"{anchors.sacrum.because}; the sacrum alone ({rib_reason})"
    return Naming(levels=tuple(names), certain=tuple(sure), because=text, first=disc + 1)


def name_levels(anchors: Anchors) -> Naming:
    """Name every space, or say why not."""
    disc = anchors.sacrum.disc
    first = 0 if disc is None else disc + 1
    rib, rib_reason = lowest_rib_pair(anchors, first)
    if disc is not None:
        return name_from_both(anchors, disc, rib, rib_reason) if rib is not None else name_from_sacrum(anchors, disc, rib_reason)
    doubt = unlike_twelfth(anchors, rib) if rib is not None else ""
    if doubt:
        return unnamed(anchors, f"uncertain: {anchors.sacrum.because}; {doubt}")
    if rib is not None and not anchors.sacrum.seen and rib <= LUMBAR_BODIES + 1:
        names, sure = spread(anchors, rib, T12, 0, certain=True)
        return Naming(levels=tuple(names), certain=tuple(sure), because=f"{rib_reason}; the ribs alone ({anchors.sacrum.because})")
    if rib is not None:
        names, sure = spread(anchors, rib, T12, 0, certain=False)
        text = f"{rib_reason}, but {anchors.sacrum.because if anchors.sacrum.seen else 'more than five bodies lie below'}"
        return Naming(levels=tuple(names), certain=tuple(sure), because=text)
    return unnamed(anchors, f"uncertain: {anchors.sacrum.because}; {rib_reason}")
