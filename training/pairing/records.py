"""What is known of a study before it is paired: plain values, wherever they came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path

from training.pairing.reasons import Why


class ImageKind(StrEnum):
    """What is paired with a DXA; the names are the manifest's modalities."""

    CT = "CT"
    CXR = "CXR"


@dataclass(frozen=True, kw_only=True)
class Person:
    """Whose study it is, as its source says. Empty or None means that the source does not say.

    ``sex`` is ``F``, ``M``, ``O`` or empty. ``age_years`` is the age on the day of the study, for sources that give no birth date.
    """

    patient_id: str
    issuer: str = ""
    sex: str = ""
    birth_date: date | None = None
    age_years: float | None = None


@dataclass(frozen=True, kw_only=True)
class ImageStudy:
    """A CT or the chest radiographs of one study.

    Attributes
    ----------
    series_instance_uid
        The series to be used; empty where it is chosen once the images are at hand.
    series_listed
        From an archive: every series that may be used, to be retrieved.
    paths
        The files to be used; empty for an archive's study.
    excluded
        Why it cannot be used at all, or None.
    """

    person: Person
    kind: ImageKind
    study_date: date | None
    study_instance_uid: str
    series_instance_uid: str = ""
    series_listed: tuple[str, ...] = ()
    paths: tuple[Path, ...] = ()
    accession_number: str = ""
    excluded: Why | None = None


@dataclass(frozen=True, kw_only=True)
class DxaExam:
    """One DXA examination: values where the source has them, else only that it took place.

    Attributes
    ----------
    source
        Where it was read, for a person: a table's file and row, or a study.
    bmd_g_cm2
        Areal bone mineral density by level, g/cm2.
    t_score
        The examination's T-score; ``t_scores`` those of levels; ``label`` its class where the source names one.
    """

    person: Person
    exam_date: date | None
    source: str
    bmd_g_cm2: Mapping[str, float] = field(default_factory=dict)
    t_score: float | None = None
    t_scores: Mapping[str, float] = field(default_factory=dict)
    label: str | None = None
    device: str = ""
    site: str = ""
    study_instance_uid: str = ""
    excluded: Why | None = None

    @property
    def has_values(self) -> bool:
        """Whether there is anything to learn from."""
        return self.value_count > 0

    @property
    def value_count(self) -> int:
        """How many values it gives."""
        return len(self.bmd_g_cm2) + len(self.t_scores) + (self.t_score is not None) + (self.label is not None)


def parse_day(text: str) -> date | None:
    """A DICOM date: YYYYMMDD (PS3.5 6.2), YYYY.MM.DD of old ACR-NEMA, or YYYY-MM-DD; None where it is neither."""
    digits = text.strip().replace(".", "").replace("-", "")
    if len(digits) != 8 or not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def sex_of(text: str) -> str:
    """``F``, ``M``, ``O`` (PS3.3 C.7.1.1), or empty where the source does not say or says something else."""
    first = text.strip().upper()
    return {"F": "F", "FEMALE": "F", "W": "F", "M": "M", "MALE": "M", "O": "O", "OTHER": "O"}.get(first, "")
