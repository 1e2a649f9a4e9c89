"""What device experts say of the vertebrae of a study, as plain data."""

from dataclasses import dataclass

from inference.findings import ModelUsed

CALLED = 0.5
"""Probability above which a vertebra is called osteoporotic."""


@dataclass(frozen=True, kw_only=True)
class VertebraReading:
    """What the experts say of one vertebra.

    Attributes
    ----------
    label, level
        Its value in the masks, and what the segmenter calls it.
    looks_like
        The level that the position head says.
    bmd_g_cm2, probability
        Areal density on the scale of :attr:`VertebraReadings.densitometer`, and of osteoporosis; None where the level has none, or where
        the vertebra is excluded from measurement.
    gates
        Weight of each expert, summing to 1.
    """

    label: int
    level: str
    looks_like: str
    bmd_g_cm2: float | None
    probability: float | None
    gates: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class VertebraReadings:
    """What the experts say of a study.

    Attributes
    ----------
    readings
        Head to foot; empty where nothing could be read.
    densitometer
        On whose scale densities are; None without readings.
    model
        None without readings.
    because
        On what they rest, or in one sentence why there are none.
    shift
        By how many levels the segmenter's names lie below what the vertebrae look like: 0 they agree, None undecided.
    """

    readings: tuple[VertebraReading, ...] = ()
    densitometer: str | None = None
    model: ModelUsed | None = None
    because: str
    shift: int | None = None

    @property
    def osteoporotic_levels(self) -> tuple[str, ...] | None:
        """Levels that are called osteoporotic; any makes the patient so. None where no level was judged."""
        judged = [one for one in self.readings if one.probability is not None]
        return tuple(one.level for one in judged if (one.probability or 0.0) > CALLED) if judged else None
