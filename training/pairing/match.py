"""The pairing itself: a pure function of studies, examinations and options. No file, no clock, no network."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from training.errors import TrainingError
from training.pairing.identity import IdRules, KnownOfId, identity_conflict, known_of_id
from training.pairing.months import days_off, within_months
from training.pairing.reasons import PairReason, Why
from training.pairing.records import DxaExam, ImageStudy, Person
from training.pairing.same_day import merge_same_day


class Direction(StrEnum):
    """On which side of the DXA the images may lie; the same day is always allowed."""

    EITHER = "either"
    BEFORE = "before"
    AFTER = "after"


class Matching(StrEnum):
    """How often a study may be used.

    NEAREST: each image study takes its nearest DXA, which may serve several. ONE_TO_ONE: each is used once, nearest pairs first, CT and
    radiographs apart. ALL: every pair within the time.
    """

    NEAREST = "nearest"
    ONE_TO_ONE = "one-to-one"
    ALL = "all"


@dataclass(frozen=True, kw_only=True)
class PairingOptions:
    """What counts as a pair."""

    months: int = 6
    direction: Direction = Direction.EITHER
    matching: Matching = Matching.NEAREST
    ids: IdRules = field(default_factory=IdRules)

    def __post_init__(self) -> None:
        if not 0 <= self.months <= 1200:
            raise TrainingError(f"--months is a whole number from 0 (the same day) to 1200, not {self.months}.")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An image study and an examination that might belong together, or one of them alone, and what became of it.

    ``days`` is from the images to the DXA: negative where the DXA was earlier.
    """

    image: ImageStudy | None
    exam: DxaExam | None
    why: Why

    @property
    def person(self) -> Person:
        """The patient, as the images say it, or else the DXA."""
        if self.image is not None:
            return self.image.person
        if self.exam is not None:
            return self.exam.person
        raise ValueError("a candidate is about images, a DXA or both")

    @property
    def days(self) -> int | None:
        """Days from the images to the DXA."""
        if self.image is None or self.exam is None or self.image.study_date is None or self.exam.exam_date is None:
            return None
        return days_off(self.image.study_date, self.exam.exam_date)

    @property
    def paired(self) -> bool:
        """Whether this is a pair."""
        return self.why.code == PairReason.PAIRED


def pair(images: Iterable[ImageStudy], exams: Iterable[DxaExam], options: PairingOptions) -> tuple[Candidate, ...]:
    """Every candidate with its outcome, patients in the order of their IDs.

    Examinations of one patient on one day are one examination first (:func:`~training.pairing.same_day.merge_same_day`). Two records
    belong to one patient when their Patient IDs agree under ``options.ids`` and nothing else they say contradicts it. A pair lies within
    the time when the later day is at most ``months`` calendar months after the earlier one. Nearest first means fewest days apart; of
    equally near ones that with more values, then the earlier DXA, then the earlier images, then the lower UID.

    Returns
    -------
    tuple of Candidate
        Every image study and every examination appears in at least one. The order of the input does not matter.
    """
    patients: dict[str, _Patient] = defaultdict(_Patient)
    found: list[Candidate] = []
    for image in images:
        patient = patients[options.ids.key(image.person.patient_id)]
        patient.people.append(image.person)
        why = image.excluded or _unusable(image.person, image.study_date, options.ids)
        if why is None:
            patient.images.append(image)
        else:
            found.append(Candidate(image=image, exam=None, why=why))
    for exam in exams:
        patient = patients[options.ids.key(exam.person.patient_id)]
        patient.people.append(exam.person)
        why = exam.excluded or _unusable(exam.person, exam.exam_date, options.ids)
        if why is None:
            patient.exams.append(exam)
        else:
            found.append(Candidate(image=None, exam=exam, why=why))
    for patient in patients.values():
        found.extend(_pair_patient(patient, options))
    return tuple(sorted(found, key=lambda candidate: _order(candidate, options.ids)))


@dataclass
class _Patient:
    """Everything under one Patient ID. ``people`` holds what unusable records say about the person, too."""

    images: list[ImageStudy] = field(default_factory=list)
    exams: list[DxaExam] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)


def _unusable(person: Person, day: date | None, ids: IdRules) -> Why | None:
    if not ids.key(person.patient_id):
        return Why(code=PairReason.PATIENT_ID_MISSING, text="Patient ID is empty.")
    if day is None:
        return Why(code=PairReason.DATE_MISSING, text="The date is missing or is no date.")
    return None


def _pair_patient(patient: _Patient, options: PairingOptions) -> list[Candidate]:
    images, known = patient.images, known_of_id(patient.people)
    merged, left_out = merge_same_day(patient.exams)
    found = [Candidate(image=None, exam=exam, why=why) for exam, why in left_out]
    in_time: list[Candidate] = []
    for image in images:
        for exam in merged:
            why = _not_together(image, exam, known, options)
            if why is None:
                in_time.append(Candidate(image=image, exam=exam, why=Why(code=PairReason.PAIRED, text="")))
            else:
                found.append(Candidate(image=image, exam=exam, why=why))
    found.extend(_matched(sorted(in_time, key=_nearness), options.matching))
    if not merged:
        found.extend(Candidate(image=image, exam=None, why=_no_dxa(bool(patient.exams))) for image in images)
    if not images:
        nobody = Why(code=PairReason.NO_IMAGE, text="No usable CT or chest radiograph has this Patient ID.")
        found.extend(Candidate(image=None, exam=exam, why=nobody) for exam in merged)
    return found


def _no_dxa(some_left_out: bool) -> Why:
    text = "No usable DXA has this Patient ID; those there are contradict each other." if some_left_out else "No DXA has this Patient ID."
    return Why(code=PairReason.NO_DXA, text=text)


def out_of_time(image_day: date, exam_day: date, options: PairingOptions) -> Why | None:
    """Why images of one day do not belong to a DXA of another, or None."""
    days = days_off(image_day, exam_day)
    if not within_months(image_day, exam_day, options.months):
        return Why(code=PairReason.TOO_FAR_APART, text=f"{abs(days)} days apart, more than {options.months} calendar months.")
    wrong = {Direction.EITHER: False, Direction.BEFORE: days < 0, Direction.AFTER: days > 0}[options.direction]
    if wrong:
        side = "after" if days < 0 else "before"
        return Why(code=PairReason.WRONG_ORDER, text=f"The images are {abs(days)} days {side} the DXA.")
    return None


def _not_together(image: ImageStudy, exam: DxaExam, known: KnownOfId, options: PairingOptions) -> Why | None:
    if image.study_date is None or exam.exam_date is None:
        raise ValueError("a study without a date is not compared")
    return identity_conflict(image, exam, known) or out_of_time(image.study_date, exam.exam_date, options)


def _matched(in_time: Sequence[Candidate], matching: Matching) -> list[Candidate]:
    """Settle which of the candidates within the time, nearest first, are pairs."""
    taken: set[Hashable] = set()
    settled = []
    for candidate in in_time:
        image, exam = candidate.image, candidate.exam
        if image is None or exam is None:
            raise ValueError("only whole candidates are matched")
        uses: list[Hashable] = [(image.kind, image.study_instance_uid)]
        if matching is Matching.ONE_TO_ONE:
            uses.append((image.kind, exam.exam_date, exam.source))
        if matching is Matching.ALL or taken.isdisjoint(uses):
            taken.update(uses)
            text = f"{abs(candidate.days or 0)} days apart."
            settled.append(Candidate(image=image, exam=exam, why=Why(code=PairReason.PAIRED, text=text)))
            continue
        code = PairReason.NEARER_EXAM if uses[0] in taken else PairReason.NEARER_PAIR
        text = "A nearer DXA was taken." if code is PairReason.NEARER_EXAM else "The DXA was taken for nearer images."
        settled.append(Candidate(image=image, exam=exam, why=Why(code=code, text=text)))
    return settled


def _nearness(candidate: Candidate) -> tuple[object, ...]:
    image, exam = candidate.image, candidate.exam
    if image is None or exam is None:
        raise ValueError("only whole candidates are compared")
    apart = abs(candidate.days or 0)
    return (apart, -exam.value_count, exam.exam_date, image.study_date, image.study_instance_uid, image.kind, exam.source)


def _order(candidate: Candidate, ids: IdRules) -> tuple[str, ...]:
    """By patient, then images, then DXA: the same whatever order the sources came in."""
    image, exam = candidate.image, candidate.exam
    return (
        ids.key(candidate.person.patient_id),
        f"{image.study_date} {image.study_instance_uid} {image.kind}" if image else "~",
        f"{exam.exam_date} {exam.source}" if exam else "",
    )
