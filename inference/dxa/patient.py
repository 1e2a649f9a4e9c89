"""From levels to a patient, as the ISCD's official positions say: which lumbar levels count, their mean, and the WHO class.

Pure functions over a densitometer's own values. What is not known is not compared, and nothing is made up for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median

from inference.errors import ReasonCode
from inference.findings import Reason
from inference.who import BoneLabel, who_label

LEVELS = ("L1", "L2", "L3", "L4")
OSTEOPOROSIS, NOT_OSTEOPOROSIS = "osteoporosis", "not osteoporosis"
"""The two answers of a classifier. A bundle calls the second ``normal``; it was labelled by a T-score above -2.5: osteopenia is in it."""
MAX_T_DIFFERENCE = 1.0
"""A level is excluded where its T-score lies more than this from its neighbour's (ISCD adult official positions, spine BMD)."""
MIN_LEVELS = 2
"""A diagnosis never rests on one vertebra (the same)."""


@dataclass(frozen=True, kw_only=True)
class LevelValue:
    """One level as the device measured it, and whether it counts.

    ``excluded_because`` is set exactly where ``used`` is False.
    """

    level: str
    bmd_g_cm2: float | None
    t_score: float | None
    used: bool
    excluded_because: Reason | None = None


@dataclass(frozen=True, kw_only=True)
class PatientLevel:
    """The patient's value over the levels that count.

    Attributes
    ----------
    levels
        L1-L4, head to foot, as far as the device measured them.
    region
        The levels that count, for instance ``L1-L4`` or ``L1, L3, L4``; None where fewer than two do.
    bmd_g_cm2, t_score
        Of the region: the device's own where it states this very region, else the plain mean of the levels. None where unknown.
    category
        By the T-score as printed, with one decimal; None without one.
    because
        How the value came about, or why there is none.
    """

    levels: tuple[LevelValue, ...]
    region: str | None
    bmd_g_cm2: float | None
    t_score: float | None
    category: BoneLabel | None
    because: str


def patient_level(bmd_g_cm2: Mapping[str, float], t_scores: Mapping[str, float]) -> PatientLevel:
    """Apply the ISCD's exclusions.

    Parameters
    ----------
    bmd_g_cm2, t_scores
        By level (``L1`` ... ``L4``) and by region (``L1-L4``, ``L2-L4``, ``L1, L3, L4`` ...).

    Returns
    -------
    PatientLevel
    """
    levels = judged_levels(bmd_g_cm2, t_scores)
    used = [item for item in levels if item.used]
    if not levels:
        return _of_region_alone(bmd_g_cm2, t_scores)
    if len(used) < MIN_LEVELS:
        because = f"{len(used)} of {len(levels)} levels can be used; a value needs at least {MIN_LEVELS} (ISCD)"
        return PatientLevel(levels=levels, region=None, bmd_g_cm2=None, t_score=None, category=None, because=because)
    region = region_name([item.level for item in used])
    if region in t_scores:
        score, bmd, because = t_scores[region], bmd_g_cm2.get(region), f"the device's own value of {region}"
    else:
        score = fmean(item.t_score for item in used if item.t_score is not None)
        known = [item.bmd_g_cm2 for item in used if item.bmd_g_cm2 is not None]
        bmd = fmean(known) if len(known) == len(used) else None
        because = f"plain mean of the device's values of {', '.join(item.level for item in used)}; it states none of this region"
    printed = one_decimal(score)
    return PatientLevel(levels=levels, region=region, bmd_g_cm2=bmd, t_score=printed, category=who_label(printed), because=because)


def judged_levels(bmd_g_cm2: Mapping[str, float], t_scores: Mapping[str, float]) -> tuple[LevelValue, ...]:
    """Every measured level, and whether it counts.

    As long as two levels that follow each other lie more than 1.0 T apart, the one further from the median of all others is left out; of
    two equally far the denser, since degeneration and fractures raise the reading. A level without T-score cannot be compared and is
    not used.
    """
    known = {level: t_scores[level] for level in LEVELS if level in t_scores}
    excluded: dict[str, Reason] = {}
    while (pair := _first_apart(known)) is not None:
        worst = max(pair, key=lambda level: (round(abs(known[level] - _median_of_others(known, level)), 6), known[level]))
        other = pair[0] if worst == pair[1] else pair[1]
        text = f"T-score {known[worst]:.1f} lies more than {MAX_T_DIFFERENCE:.1f} from {other}'s {known[other]:.1f}."
        excluded[worst] = Reason(code=ReasonCode.OUTLIER, text=text)
        del known[worst]
    without = Reason(code=ReasonCode.NO_USABLE_LEVEL, text="The device states no T-score for this level, so it cannot be compared.")
    return tuple(
        LevelValue(
            level=level,
            bmd_g_cm2=bmd_g_cm2.get(level),
            t_score=t_scores.get(level),
            used=level in known,
            excluded_because=None if level in known else excluded.get(level, without),
        )
        for level in LEVELS
        if level in bmd_g_cm2 or level in t_scores
    )


def region_name(levels: Sequence[str]) -> str:
    """``L1-L4`` for levels without a gap, ``L1, L3, L4`` otherwise."""
    first, last = LEVELS.index(levels[0]), LEVELS.index(levels[-1])
    return f"{levels[0]}-{levels[-1]}" if last - first == len(levels) - 1 and len(levels) > 1 else ", ".join(levels)


def one_decimal(value: float) -> float:
    """As a report prints it: one decimal, halves away from zero. -2.45 is printed, and classed, as -2.5."""
    return (int(abs(value) * 10 + 0.5 + 1e-9) / 10) * (1.0 if value >= 0 else -1.0)


def _of_region_alone(bmd_g_cm2: Mapping[str, float], t_scores: Mapping[str, float]) -> PatientLevel:
    """No single level is known: the device's own region of the most levels stands, and that it could not be checked is said."""
    regions = sorted((set(bmd_g_cm2) | set(t_scores)), key=lambda name: (-_size(name), name))
    if not regions or _size(regions[0]) < MIN_LEVELS:
        because = "the device states no value of the lumbar spine"
        return PatientLevel(levels=(), region=None, bmd_g_cm2=None, t_score=None, category=None, because=because)
    region = regions[0]
    score = t_scores.get(region)
    printed = None if score is None else one_decimal(score)
    return PatientLevel(
        levels=(),
        region=region,
        bmd_g_cm2=bmd_g_cm2.get(region),
        t_score=printed,
        category=None if printed is None else who_label(printed),
        because=f"the device's own value of {region}; it states no single levels, so none could be excluded",
    )


def _size(region: str) -> int:
    """How many levels a region holds."""
    if "-" in region:
        first, last = region.split("-")
        return LEVELS.index(last) - LEVELS.index(first) + 1 if first in LEVELS and last in LEVELS else 0
    return len(region.split(", "))


def _first_apart(known: Mapping[str, float]) -> tuple[str, str] | None:
    """The pair of successive levels that lie furthest apart, where that is too far."""
    pairs = [(round(abs(known[a] - known[b]), 6), (a, b)) for a, b in pairwise(known)]
    far = [item for item in pairs if item[0] > MAX_T_DIFFERENCE]
    return max(far, key=lambda item: item[0])[1] if far else None


def _median_of_others(known: Mapping[str, float], level: str) -> float:
    return median(score for other, score in known.items() if other != level)
