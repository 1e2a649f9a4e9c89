"""Young reference values of lumbar bone density, for T-scores: a data file, each value with its source; nothing is made up for what lacks.

A T-score belongs to a device: the same bone reads higher on one make than on another, so a table is asked for one device, and the device is
the one on whose scale a model estimates.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path

from inference.errors import PermanentError

LEVELS = ("L1", "L2", "L3", "L4")
REGION = "L1-L4"
_SHIPPED = "references.json"
_KEYS = frozenset({"name", "device", "levels", "sex", "mean_g_cm2", "sd_g_cm2", "verified", "source"})
_MEAN_RANGE, _SD_RANGE = (0.4, 2.0), (0.02, 0.5)
"""g/cm2; anything else is another unit or a slip."""


class SexPolicy(StrEnum):
    """Whose reference a patient is compared with."""

    FEMALE_FOR_ALL = "female-for-all"
    """One reference of women for everybody, as the ISCD's official positions ask."""
    OWN_SEX = "own-sex"
    """A reference of the patient's own sex; without one, or without a known sex, there is no T-score."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One reference value.

    Attributes
    ----------
    name
        By which a site chooses it.
    device
        Make of densitometer on whose scale it was measured.
    levels
        ``L1`` ... ``L4``, or ``L1-L4``.
    sex
        ``F``, ``M`` or ``any``.
    mean_g_cm2, sd_g_cm2
        Of young adults.
    verified
        Whether the value was read in the full text of its source.
    source
        Where it comes from.
    """

    name: str
    device: str
    levels: str
    sex: str
    mean_g_cm2: float
    sd_g_cm2: float
    verified: bool
    source: str

    def __post_init__(self) -> None:
        if self.levels not in (*LEVELS, REGION) or self.sex not in ("F", "M", "any"):
            raise PermanentError(f"reference {self.name!r}: levels {self.levels!r} and sex {self.sex!r} are not of the known ones")
        for value, (low, high), what in ((self.mean_g_cm2, _MEAN_RANGE, "mean"), (self.sd_g_cm2, _SD_RANGE, "standard deviation")):
            if not low <= value <= high:
                raise PermanentError(f"reference {self.name!r}: a {what} of {value:g} g/cm2 is not plausible ({low:g} to {high:g})")
        if not self.source.strip():
            raise PermanentError(f"reference {self.name!r} names no source")

    def t_score(self, bmd_g_cm2: float) -> float:
        """Standard deviations from the young mean.

        Raises
        ------
        ValueError
            The density is no finite positive number.
        """
        if not math.isfinite(bmd_g_cm2) or bmd_g_cm2 <= 0:
            raise ValueError(f"a bone density of {bmd_g_cm2} g/cm2 has no T-score")
        return (bmd_g_cm2 - self.mean_g_cm2) / self.sd_g_cm2


@dataclass(frozen=True, kw_only=True)
class ReferenceChoice:
    """Which references a site uses.

    Attributes
    ----------
    device
        On whose scale the bone densities are.
    sex_policy
        Whose reference a patient is compared with.
    accepted
        Names of the unverified references that the site accepts.
    preferred
        Name of the reference to use where several fit; empty for the first of the table.
    """

    device: str = "Hologic"
    sex_policy: SexPolicy = SexPolicy.FEMALE_FOR_ALL
    accepted: frozenset[str] = frozenset()
    preferred: str = ""


@dataclass(frozen=True, kw_only=True)
class FoundReference:
    """A reference for one level, or why there is none; ``because`` also says where a region's stands in for a level's own."""

    reference: Reference | None
    because: str


def shipped_references() -> tuple[Reference, ...]:
    """The table that comes with Osteon."""
    text = resources.files("inference.cxr").joinpath(_SHIPPED).read_text(encoding="utf-8")
    return _parsed(text, _SHIPPED)


def load_references(path: Path) -> tuple[Reference, ...]:
    """A site's own table, in the form of the shipped one.

    Raises
    ------
    PermanentError
        The file cannot be read, or a reference lacks something, or is not plausible; the file and the reference are named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentError(f"the reference table {path.name} cannot be read: {error}") from error
    return _parsed(text, path.name)


def find_reference(table: tuple[Reference, ...], level: str, choice: ReferenceChoice, patient_sex: str) -> FoundReference:
    """The reference for one level of one patient.

    A level's own reference is taken before that of L1-L4. A reference of ``any`` sex is one of women and men together and stands in for
    either policy's.

    Parameters
    ----------
    level
        ``L1`` to ``L4``.
    patient_sex
        Patient's Sex (0010,0040): ``F``, ``M``, ``O`` or empty.
    """
    sex = "F" if choice.sex_policy is SexPolicy.FEMALE_FOR_ALL else patient_sex.strip().upper()
    if sex not in ("F", "M"):
        because = "the patient's sex is not known, and the site compares with the patient's own sex"
        return FoundReference(reference=None, because=because)
    usable = [item for item in table if item.device == choice.device and (item.verified or item.name in choice.accepted)]
    fitting = [item for item in usable if item.sex in (sex, "any") and item.levels in (level, REGION)]
    if not fitting:
        held = f"for {level}, {choice.device}, {'women' if sex == 'F' else 'men'}"
        return FoundReference(reference=None, because=f"the reference table holds no value {held} that is verified or accepted by the site")
    best = min(fitting, key=lambda item: (item.name != choice.preferred, item.levels != level, item.sex != sex))
    stands_in = "" if best.levels == level else f", the reference of {REGION} standing in for that of {level}"
    unverified = "" if best.verified else ", not verified in its source"
    return FoundReference(reference=best, because=f"{best.source}{stands_in}{unverified}")


def _parsed(text: str, name: str) -> tuple[Reference, ...]:
    try:
        rows = json.loads(text)["references"]
        return tuple(_reference(row, name) for row in rows)
    except (ValueError, KeyError, TypeError) as error:
        raise PermanentError(f"the reference table {name} is not in the form of the shipped one: {error}") from error


def _reference(row: Mapping[str, object], name: str) -> Reference:
    if set(row) != _KEYS:
        odd = ", ".join(sorted(set(row) ^ _KEYS))
        raise PermanentError(f"the reference table {name}: {row.get('name', 'a reference')!r} lacks, or has beyond the known: {odd}")
    mean, sd, verified = row["mean_g_cm2"], row["sd_g_cm2"], row["verified"]
    if not isinstance(mean, float | int) or not isinstance(sd, float | int) or not isinstance(verified, bool):
        raise PermanentError(f"the reference table {name}: {row['name']!r} needs numbers for mean and SD, and true or false for verified")
    texts = {key: str(row[key]) for key in ("name", "device", "levels", "sex", "source")}
    return Reference(**texts, mean_g_cm2=float(mean), sd_g_cm2=float(sd), verified=verified)
