"""Are two records of one person: Patient IDs brought to one form, and what else must then agree."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from training.errors import TrainingError
from training.pairing.reasons import PairReason, Why
from training.pairing.records import DxaExam, ImageStudy, Person

AGE_TOLERANCE_YEARS = 1.5
"""A stated age may be rounded up or down, and refer to another day of the same visit."""


@dataclass(frozen=True, kw_only=True)
class IdRules:
    """How Patient IDs are compared.

    Surrounding spaces and case never count. ``prefixes`` are cut off (the first that fits, once), then leading zeros where
    ``strip_zeros``. An ID that is all zeros keeps one of them.
    """

    strip_zeros: bool = False
    prefixes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if any(not prefix.strip() for prefix in self.prefixes):
            raise TrainingError("An empty prefix of Patient IDs cannot be cut off; leave the option out.")

    def key(self, patient_id: str) -> str:
        """The form in which IDs are compared; empty where there is no ID."""
        text = patient_id.strip().upper()
        for prefix in sorted((one.strip().upper() for one in self.prefixes), key=len, reverse=True):
            if text.startswith(prefix) and len(text) > len(prefix):
                text = text.removeprefix(prefix).strip()
                break
        return (text.lstrip("0") or text[:1]) if self.strip_zeros else text


def merged_ids(people: Iterable[Person], rules: IdRules) -> dict[str, tuple[str, ...]]:
    """Patient IDs of one source that only the rules made equal: key -> the IDs as written, where there are several."""
    written: dict[str, set[str]] = {}
    for person in people:
        written.setdefault(rules.key(person.patient_id), set()).add(person.patient_id.strip().upper())
    return {key: tuple(sorted(ids)) for key, ids in sorted(written.items()) if len(ids) > 1}


@dataclass(frozen=True, kw_only=True)
class KnownOfId:
    """Everything that records under one Patient ID say about the person."""

    issuers: frozenset[str]
    sexes: frozenset[str]
    birth_dates: frozenset[date]


def known_of_id(people: Sequence[Person]) -> KnownOfId:
    """Collect what the records say; blanks say nothing."""
    return KnownOfId(
        issuers=frozenset(_plain(person.issuer) for person in people) - {""},
        sexes=frozenset(person.sex for person in people) - {""},
        birth_dates=frozenset(person.birth_date for person in people if person.birth_date is not None),
    )


def identity_conflict(image: ImageStudy, exam: DxaExam, known: KnownOfId) -> Why | None:
    """Why two records with one Patient ID are not taken for one person, or None.

    What both say must agree: issuer, sex, birth date, or age within 1.5 years. Where one says nothing and the records under this ID
    contradict each other, two people share the ID and it cannot be told which of them this one is: ambiguous.
    """
    one, other = image.person, exam.person
    pairs = (
        ("Issuer of Patient ID", _plain(one.issuer), _plain(other.issuer), known.issuers, PairReason.ISSUER_MISMATCH),
        ("sex", one.sex, other.sex, known.sexes, PairReason.SEX_MISMATCH),
        ("birth date", one.birth_date, other.birth_date, known.birth_dates, PairReason.BIRTH_DATE_MISMATCH),
    )
    for name, of_image, of_exam, _, code in pairs:
        if of_image and of_exam and of_image != of_exam:
            return Why(code=code, text=f"The {name} is {of_image} in the images and {of_exam} in the DXA.")
    for name, of_image, of_exam, all_known, _ in pairs:
        if len(all_known) > 1 and not (of_image and of_exam):
            text = f"Records under this Patient ID name {len(all_known)} different values of {name}, and one of these two names none."
            return Why(code=PairReason.IDENTITY_AMBIGUOUS, text=text)
    return _age_conflict(image, exam)


def _age_conflict(image: ImageStudy, exam: DxaExam) -> Why | None:
    one, other = _birth_year(image.person, image.study_date), _birth_year(exam.person, exam.exam_date)
    if one is None or other is None or (image.person.birth_date and exam.person.birth_date):
        return None
    if abs(one - other) <= AGE_TOLERANCE_YEARS:
        return None
    return Why(code=PairReason.AGE_MISMATCH, text=f"Ages differ by {abs(one - other):.0f} years once the dates are accounted for.")


def _birth_year(person: Person, day: date | None) -> float | None:
    """The moment of birth in years, exact from a birth date, to half a year from an age."""
    if person.birth_date is not None:
        return _years(person.birth_date)
    if person.age_years is None or day is None:
        return None
    return _years(day) - person.age_years - (0.5 if float(person.age_years).is_integer() else 0.0)


def _years(day: date) -> float:
    return day.year + (day.timetuple().tm_yday - 1) / 365.25


def _plain(issuer: str) -> str:
    return " ".join(issuer.upper().split())
