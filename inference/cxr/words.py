"""From bone densities estimated on a chest film to words: T-scores, a threshold for each level, and whether DXA is recommended.

Thresholds are the paper's (Tables II and III): one for all levels, or Flex, which evens out that L4 is denser than L1. Pure functions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from types import MappingProxyType

from inference.cxr.reference import LEVELS, Reference, ReferenceChoice, find_reference
from inference.dxa.patient import one_decimal
from inference.errors import PermanentError


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The T-score at or below which a level counts as low, by level."""

    name: str
    by_level: Mapping[str, float]

    @property
    def said(self) -> str:
        """In words, for a report."""
        values = sorted(set(self.by_level.values()))
        if len(values) == 1:
            return f"{values[0]:g}"
        return ", ".join(f"{level} {value:.1f}" for level, value in self.by_level.items())


def uniform(threshold: float) -> Thresholds:
    """One threshold for every level."""
    return Thresholds(name=f"{threshold:g}", by_level=MappingProxyType(dict.fromkeys(LEVELS, threshold)))


FLEX = Thresholds(name="flex", by_level=MappingProxyType({"L1": -2.2, "L2": -2.1, "L3": -2.0, "L4": -1.9}))
THRESHOLDS: Mapping[str, Thresholds] = MappingProxyType(
    {item.name: item for item in (uniform(-1.75), uniform(-2.0), uniform(-2.25), uniform(-2.5), FLEX)}
)
"""By the name that a site configures: ``-1.75``, ``-2``, ``-2.25``, ``-2.5``, ``flex``."""


def thresholds(name: str) -> Thresholds:
    """Thresholds by name.

    Raises
    ------
    PermanentError
        There are none of that name.
    """
    try:
        return THRESHOLDS[name]
    except KeyError:
        raise PermanentError(f"there are no thresholds {name!r}; there are {', '.join(THRESHOLDS)}") from None


@dataclass(frozen=True, kw_only=True)
class LevelReading:
    """One level in words.

    Attributes
    ----------
    level
        ``L1`` to ``L4``.
    bmd_g_cm2
        Mean of the ensemble's members.
    spread_g_cm2
        Sample standard deviation of the members; None for a single one: it measures how far they disagree, not how far they are wrong.
    t_score, t_spread
        With one decimal, as printed; None without a reference.
    threshold
        At or below which the level is low.
    low
        By the T-score as printed; None without one.
    members_low
        How many members' own T-scores, as printed, are low; None without a reference.
    members
        How many there are.
    because
        The reference, or why there is no T-score.
    """

    level: str
    bmd_g_cm2: float
    spread_g_cm2: float | None
    t_score: float | None
    t_spread: float | None
    threshold: float
    low: bool | None
    members_low: int | None
    members: int
    because: str

    @property
    def certain(self) -> bool:
        """Whether every member agrees."""
        return self.members_low is not None and self.members_low in (0, self.members)


@dataclass(frozen=True, kw_only=True)
class PatientReading:
    """All levels, and what follows.

    Attributes
    ----------
    levels
        Head to foot, as far as they were estimated.
    low
        True where any level is low; False where every level that could be compared is not; None where none could.
    recommendation
        One sentence that follows the threshold.
    sentences
        One for each level.
    """

    levels: tuple[LevelReading, ...]
    low: bool | None
    recommendation: str
    sentences: tuple[str, ...]


def read_patient(
    members_g_cm2: Mapping[str, Sequence[float]],
    limits: Thresholds,
    table: tuple[Reference, ...],
    choice: ReferenceChoice,
    patient_sex: str,
) -> PatientReading:
    """Put the estimates of a film into words.

    Parameters
    ----------
    members_g_cm2
        By level, the bone density that each member of the ensemble estimates. Levels that were not estimated are left out.
    limits
        At or below which T-score a level is low.
    table, choice, patient_sex
        As :func:`inference.cxr.reference.find_reference`.

    Raises
    ------
    ValueError
        A level other than L1 to L4, a level without a member, or an estimate that is no finite positive number.
    """
    unknown = set(members_g_cm2) - set(LEVELS)
    if unknown:
        raise ValueError(f"no such level: {', '.join(sorted(unknown))}")
    readings = tuple(
        read_level(level, members_g_cm2[level], limits, table, choice, patient_sex) for level in LEVELS if level in members_g_cm2
    )
    low = patient_low(readings)
    return PatientReading(
        levels=readings, low=low, recommendation=recommend(readings, limits), sentences=tuple(say_level(reading) for reading in readings)
    )


def read_level(
    level: str,
    members_g_cm2: Sequence[float],
    limits: Thresholds,
    table: tuple[Reference, ...],
    choice: ReferenceChoice,
    patient_sex: str,
) -> LevelReading:
    """One level; see :func:`read_patient`."""
    if not members_g_cm2 or not all(0 < value < float("inf") for value in members_g_cm2):
        raise ValueError(f"{level}: estimates are finite positive numbers, not {list(members_g_cm2)}")
    mean = fmean(members_g_cm2)
    spread = stdev(members_g_cm2) if len(members_g_cm2) > 1 else None
    threshold = limits.by_level[level]
    found = find_reference(table, level, choice, patient_sex)
    scores = None if found.reference is None else [printed_t(found.reference.t_score(value)) for value in (mean, *members_g_cm2)]
    return LevelReading(
        level=level,
        bmd_g_cm2=mean,
        spread_g_cm2=spread,
        t_score=None if scores is None else scores[0],
        t_spread=None if found.reference is None or spread is None else spread / found.reference.sd_g_cm2,
        threshold=threshold,
        low=None if scores is None else scores[0] <= threshold,
        members_low=None if scores is None else sum(score <= threshold for score in scores[1:]),
        members=len(members_g_cm2),
        because=found.because,
    )


def printed_t(t_score: float) -> float:
    """With one decimal, halves away from zero: what is printed is what is compared, so that no report contradicts itself."""
    return one_decimal(round(t_score, 6))


def patient_low(readings: Sequence[LevelReading]) -> bool | None:
    """Any low level makes the patient's result low; without a level that could be compared there is none."""
    known = [reading.low for reading in readings if reading.low is not None]
    return any(known) if known else None


def recommend(readings: Sequence[LevelReading], limits: Thresholds) -> str:
    """What follows from the threshold, in one sentence or two."""
    low = [reading for reading in readings if reading.low]
    known = [reading.level for reading in readings if reading.low is not None]
    if not known:
        return "No statement: no level could be compared with a reference."
    if low:
        named = ", ".join(f"{reading.level} ({_signed(reading.t_score)})" for reading in low)
        unsure = "" if any(reading.certain for reading in low) else " The ensemble's members do not agree on it."
        return f"DXA recommended: the estimated T-score is at or below the threshold ({limits.said}) at {named}.{unsure}"
    missing = [level for level in LEVELS if level not in known]
    without = f" Not estimated or not compared: {', '.join(missing)}." if missing else ""
    near = [reading.level for reading in readings if reading.low is False and not reading.certain]
    unsure = f" Some of the ensemble's members lie at or below it at {', '.join(near)}." if near else ""
    return (
        f"Above the threshold ({limits.said}) at {', '.join(known)}: this estimate alone gives no reason for DXA, and does not rule out "
        f"osteoporosis.{unsure}{without}"
    )


def say_level(reading: LevelReading) -> str:
    """One level in a sentence; digits as the spread allows."""
    spread = "" if reading.spread_g_cm2 is None else f" (the {reading.members} models differ by SD {reading.spread_g_cm2:.2f})"
    density = f"{reading.level}: estimated bone density {reading.bmd_g_cm2:.2f} g/cm2{spread}"
    if reading.t_score is None:
        return f"{density}; no T-score: {reading.because}."
    t_spread = "" if reading.t_spread is None else f" (SD {reading.t_spread:.1f})"
    return f"{density}, estimated T-score {_signed(reading.t_score)}{t_spread} by {reading.because}."


def _signed(t_score: float | None) -> str:
    return "unknown" if t_score is None else f"{t_score + 0.0:+.1f}".replace("+0.0", "0.0")
