"""Why a study was paired or was not. ``docs/pairing.md`` explains each code; studies may also carry a code of ``inference.errors``."""

from dataclasses import dataclass
from enum import StrEnum


class PairReason(StrEnum):
    """What became of an image study, a DXA examination, or the two together."""

    PAIRED = "PAIRED"
    # The study or examination alone
    PATIENT_ID_MISSING = "PATIENT_ID_MISSING"
    DATE_MISSING = "DATE_MISSING"
    VIEW_NOT_STATED = "VIEW_NOT_STATED"
    BODY_PART_NOT_STATED = "BODY_PART_NOT_STATED"
    NO_INSTANCES_LISTED = "NO_INSTANCES_LISTED"
    SAME_EXAM = "SAME_EXAM"
    EXAMS_CONTRADICT = "EXAMS_CONTRADICT"
    ROW_EXCLUDED = "ROW_EXCLUDED"
    # No partner
    NO_DXA = "NO_DXA"
    NO_IMAGE = "NO_IMAGE"
    # The same Patient ID, another person
    ISSUER_MISMATCH = "ISSUER_MISMATCH"
    SEX_MISMATCH = "SEX_MISMATCH"
    BIRTH_DATE_MISMATCH = "BIRTH_DATE_MISMATCH"
    AGE_MISMATCH = "AGE_MISMATCH"
    IDENTITY_AMBIGUOUS = "IDENTITY_AMBIGUOUS"
    # The same person, another time
    WRONG_ORDER = "WRONG_ORDER"
    TOO_FAR_APART = "TOO_FAR_APART"
    # In time, but another partner is nearer
    NEARER_EXAM = "NEARER_EXAM"
    NEARER_PAIR = "NEARER_PAIR"


IDENTITY_REASONS = frozenset(
    {
        PairReason.ISSUER_MISMATCH,
        PairReason.SEX_MISMATCH,
        PairReason.BIRTH_DATE_MISMATCH,
        PairReason.AGE_MISMATCH,
        PairReason.IDENTITY_AMBIGUOUS,
    }
)
TIME_REASONS = frozenset({PairReason.WRONG_ORDER, PairReason.TOO_FAR_APART})


@dataclass(frozen=True, kw_only=True)
class Why:
    """A code, and one sentence about this case for a person."""

    code: str
    text: str
