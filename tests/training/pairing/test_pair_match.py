"""The pairing as a pure function: tables of cases, and what holds for any hospital."""

from collections import Counter
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.pairing.hospital import exam, image
from training.errors import TrainingError
from training.pairing.flow import flow_of
from training.pairing.identity import IdRules, merged_ids
from training.pairing.match import Candidate, Direction, Matching, PairingOptions, pair
from training.pairing.months import within_months
from training.pairing.reasons import PairReason, Why
from training.pairing.records import DxaExam, ImageKind, ImageStudy, Person

pytestmark = pytest.mark.unit


def codes(images: list[ImageStudy], exams: list[DxaExam], **options: Any) -> list[str]:
    """The outcome of every candidate."""
    return [str(one.why.code) for one in pair(images, exams, PairingOptions(**options))]


def pairs(images: list[ImageStudy], exams: list[DxaExam], **options: Any) -> list[tuple[str, str]]:
    """Dates of images and DXA of every pair."""
    found = pair(images, exams, PairingOptions(**options))
    return [(str(one.image.study_date), str(one.exam.exam_date)) for one in found if one.paired and one.image and one.exam]


@pytest.mark.parametrize(
    ("image_day", "exam_day", "options", "code"),
    [
        ("2024-01-01", "2024-06-30", {}, "PAIRED"),
        ("2023-08-31", "2024-02-29", {}, "PAIRED"),
        ("2023-08-31", "2024-03-01", {}, "TOO_FAR_APART"),
        ("2024-03-01", "2023-08-31", {}, "TOO_FAR_APART"),
        ("2024-01-01", "2024-01-01", {"months": 0}, "PAIRED"),
        ("2024-01-01", "2024-01-02", {"months": 0}, "TOO_FAR_APART"),
        ("2024-01-01", "2024-02-01", {"direction": Direction.BEFORE}, "PAIRED"),
        ("2024-01-01", "2024-02-01", {"direction": Direction.AFTER}, "WRONG_ORDER"),
        ("2024-02-01", "2024-01-01", {"direction": Direction.BEFORE}, "WRONG_ORDER"),
        ("2024-02-01", "2024-01-01", {"direction": Direction.AFTER}, "PAIRED"),
        ("2024-02-01", "2024-02-01", {"direction": Direction.BEFORE}, "PAIRED"),
        ("2024-02-01", "2024-02-01", {"direction": Direction.AFTER}, "PAIRED"),
        ("", "2024-01-01", {}, "DATE_MISSING"),
    ],
)
def test_time_and_direction(image_day: str, exam_day: str, options: dict[str, Any], code: str) -> None:
    assert code in codes([image(day=image_day)], [exam(day=exam_day)], **options)


def test_the_nearest_exam_is_taken_and_may_serve_several_images() -> None:
    images = [image(day="2024-03-01"), image(day="2024-03-20")]
    exams = [exam(day="2024-01-01"), exam(day="2024-03-10"), exam(day="2024-08-01")]
    assert pairs(images, exams) == [("2024-03-01", "2024-03-10"), ("2024-03-20", "2024-03-10")]
    assert Counter(codes(images, exams)) == {"PAIRED": 2, "NEARER_EXAM": 4}


def test_one_to_one_takes_the_nearest_pair_first() -> None:
    images = [image(day="2024-03-01"), image(day="2024-03-09")]
    exams = [exam(day="2024-03-10"), exam(day="2024-06-01")]
    assert pairs(images, exams, matching=Matching.ONE_TO_ONE) == [("2024-03-01", "2024-06-01"), ("2024-03-09", "2024-03-10")]
    assert pairs(images, exams[:1], matching=Matching.ONE_TO_ONE) == [("2024-03-09", "2024-03-10")]
    assert Counter(codes(images, exams[:1], matching=Matching.ONE_TO_ONE)) == {"PAIRED": 1, "NEARER_PAIR": 1}


def test_one_to_one_keeps_ct_and_films_apart() -> None:
    images = [image(day="2024-03-01"), image(day="2024-03-01", kind=ImageKind.CXR)]
    assert len(pairs(images, [exam(day="2024-03-02")], matching=Matching.ONE_TO_ONE)) == 2


def test_all_takes_every_pair_in_time() -> None:
    exams = [exam(day="2024-01-10"), exam(day="2024-03-10"), exam(day="2025-03-10")]
    assert pairs([image(day="2024-03-01")], exams, matching=Matching.ALL) == [("2024-03-01", "2024-01-10"), ("2024-03-01", "2024-03-10")]


def test_ties_go_to_the_exam_with_more_values_then_to_the_earlier() -> None:
    before, middle, after = exam(day="2024-02-21"), image(day="2024-03-02"), exam(day="2024-03-12")
    assert pairs([middle], [after, before]) == [("2024-03-02", "2024-02-21")]
    richer = exam(day="2024-03-12", bmd_g_cm2={"L1": 0.9, "L2": 0.9})
    assert pairs([middle], [before, richer]) == [("2024-03-02", "2024-03-12")]


@pytest.mark.parametrize(
    ("of_image", "of_exam", "code"),
    [
        ({"sex": "F"}, {"sex": "M"}, "SEX_MISMATCH"),
        ({"sex": "F"}, {"sex": ""}, "PAIRED"),
        ({"birth_date": date(1950, 1, 1)}, {"birth_date": date(1950, 1, 2)}, "BIRTH_DATE_MISMATCH"),
        ({"birth_date": date(1950, 1, 1)}, {"age_years": 74.0}, "PAIRED"),
        ({"birth_date": date(1950, 1, 1)}, {"age_years": 60.0}, "AGE_MISMATCH"),
        ({"issuer": "North"}, {"issuer": " NORTH "}, "PAIRED"),
        ({"issuer": "North"}, {"issuer": "South"}, "ISSUER_MISMATCH"),
        ({"issuer": "North"}, {}, "PAIRED"),
    ],
)
def test_what_both_say_must_agree(of_image: dict[str, Any], of_exam: dict[str, Any], code: str) -> None:
    assert codes([image(**of_image)], [exam(**of_exam)]) == [code]


def test_an_id_that_two_people_share_is_paired_only_where_it_is_told_which_of_them() -> None:
    images = [image(day="2024-03-01", issuer="North", sex="F"), image(day="2024-03-02", issuer="South", sex="M")]
    assert Counter(codes(images, [exam()])) == {"IDENTITY_AMBIGUOUS": 2}
    assert pairs(images, [exam(issuer="South", sex="M")]) == [("2024-03-02", "2024-03-01")]


def test_an_excluded_study_still_tells_that_an_id_is_shared() -> None:
    spoilt = image(day="2024-02-01", birth_date=date(1940, 1, 1), excluded=Why(code="NOT_FRONTAL", text="lateral"))
    found = codes([image(birth_date=date(1950, 1, 1)), spoilt], [exam()])
    assert Counter(found) == {"IDENTITY_AMBIGUOUS": 1, "NOT_FRONTAL": 1}


@pytest.mark.parametrize(
    ("one", "other", "rules", "same"),
    [
        (" ab1 ", "AB1", IdRules(), True),
        ("0012", "12", IdRules(), False),
        ("0012", "12", IdRules(strip_zeros=True), True),
        ("000", "0", IdRules(strip_zeros=True), True),
        ("KH-0012", "12", IdRules(strip_zeros=True, prefixes=("kh-",)), True),
        ("KH-0012", "0012", IdRules(prefixes=("K", "KH-")), True),
        ("KH-", "KH-", IdRules(prefixes=("KH-",)), True),
        ("1200", "12", IdRules(strip_zeros=True), False),
    ],
)
def test_ids_in_one_form(one: str, other: str, rules: IdRules, same: bool) -> None:
    assert (rules.key(one) == rules.key(other)) is same


def test_ids_that_only_the_rules_made_equal_are_named() -> None:
    people = [Person(patient_id=one) for one in ("0012", "12", "13", " 13 ")]
    assert merged_ids(people, IdRules(strip_zeros=True)) == {"12": ("0012", "12")}
    with pytest.raises(TrainingError, match="empty prefix"):
        IdRules(prefixes=(" ",))


def test_an_empty_id_is_nobody() -> None:
    assert Counter(codes([image(patient=" ")], [exam(patient="")])) == {"PATIENT_ID_MISSING": 2}


def test_records_of_one_day_are_one_examination() -> None:
    rows = [
        exam(t_score=None, bmd_g_cm2={"L1": 0.9}, source="a"),
        exam(t_score=None, bmd_g_cm2={"L2": 1.0}, source="b"),
        exam(source="c", t_score=None),
    ]
    found = pair([image()], rows, PairingOptions())
    (whole,) = [one.exam for one in found if one.paired]
    assert whole is not None
    assert whole.bmd_g_cm2 == {"L1": 0.9, "L2": 1.0}
    assert Counter(str(one.why.code) for one in found) == {"PAIRED": 1, "SAME_EXAM": 2}


def test_contradicting_records_of_one_day_are_not_used() -> None:
    rows = [exam(t_score=-2.6, source="a"), exam(t_score=-1.0, source="b")]
    assert Counter(codes([image()], rows)) == {"EXAMS_CONTRADICT": 2, "NO_DXA": 1}


def test_two_devices_on_one_day_are_two_examinations() -> None:
    rows = [exam(t_score=-2.6, device="Hologic", source="a"), exam(t_score=-1.0, device="GE Lunar", source="b")]
    assert Counter(codes([image()], rows)) == {"PAIRED": 1, "NEARER_EXAM": 1}


@pytest.mark.parametrize("months", [-1, 1201])
def test_months_that_are_none(months: int) -> None:
    with pytest.raises(TrainingError, match="--months"):
        PairingOptions(months=months)


PEOPLE = st.sampled_from(["1", "01", "2", "X2", "", "3"])
DAYS = st.one_of(st.none(), st.integers(0, 900).map(lambda n: date(2023, 1, 1) + timedelta(days=n)))
MAYBE = st.sampled_from(["", "F", "M"])


@st.composite
def hospitals(draw: st.DrawFn) -> tuple[list[ImageStudy], list[DxaExam]]:
    """Any images and examinations, with missing IDs, dates and sexes, shared IDs and copies of a day."""
    images = [
        image(
            draw(PEOPLE),
            "",
            study_date=draw(DAYS),
            sex=draw(MAYBE),
            issuer=draw(st.sampled_from(["", "N", "S"])),
            study_instance_uid=f"2.25.{n}",
            kind=draw(st.sampled_from(ImageKind)),
        )
        for n in range(draw(st.integers(0, 6)))
    ]
    exams = [
        exam(
            draw(PEOPLE),
            "",
            exam_date=draw(DAYS),
            sex=draw(MAYBE),
            issuer=draw(st.sampled_from(["", "N", "S"])),
            source=f"row {n}",
            t_score=draw(st.sampled_from([-1.0, -3.0])),
        )
        for n in range(draw(st.integers(0, 6)))
    ]
    return images, exams


OPTIONS = st.builds(
    PairingOptions,
    months=st.integers(0, 24),
    direction=st.sampled_from(Direction),
    matching=st.sampled_from(Matching),
    ids=st.builds(IdRules, strip_zeros=st.booleans(), prefixes=st.sampled_from([(), ("X",)])),
)


@settings(deadline=None)
@given(hospitals(), OPTIONS)
def test_no_pair_crosses_patients_or_exceeds_the_months(hospital: tuple[list[ImageStudy], list[DxaExam]], options: PairingOptions) -> None:
    images, exams = hospital
    found = pair(images, exams, options)
    for one in found:
        if not one.paired:
            continue
        assert one.image is not None
        assert one.exam is not None
        a, b = one.image.person, one.exam.person
        assert options.ids.key(a.patient_id) == options.ids.key(b.patient_id) != ""
        assert not (a.sex and b.sex) or a.sex == b.sex
        assert not (a.issuer and b.issuer) or a.issuer == b.issuer
        assert one.image.study_date is not None
        assert one.exam.exam_date is not None
        assert within_months(one.image.study_date, one.exam.exam_date, options.months)
        assert options.direction is not Direction.BEFORE or (one.days or 0) >= 0
        assert options.direction is not Direction.AFTER or (one.days or 0) <= 0
    assert _used(found, options.matching)


def _used(found: tuple[Candidate, ...], matching: Matching) -> bool:
    """Whether no study is used more often than the matching allows."""
    images = Counter((one.image.kind, one.image.study_instance_uid) for one in found if one.paired and one.image)
    exams = Counter((one.image.kind, one.exam.source) for one in found if one.paired and one.image and one.exam)
    if matching is Matching.ALL:
        return True
    return max(images.values(), default=0) <= 1 and (matching is Matching.NEAREST or max(exams.values(), default=0) <= 1)


@settings(deadline=None)
@given(hospitals(), OPTIONS, st.randoms())
def test_nothing_is_lost_and_order_does_not_matter(
    hospital: tuple[list[ImageStudy], list[DxaExam]], options: PairingOptions, random: Any
) -> None:
    images, exams = hospital
    found = pair(images, exams, options)
    assert {one.image.study_instance_uid for one in found if one.image} == {one.study_instance_uid for one in images}
    assert {one.exam.source for one in found if one.exam} == {one.source for one in exams}
    random.shuffle(images)
    random.shuffle(exams)
    assert pair(images, exams, options) == found


@settings(deadline=None)
@given(hospitals(), OPTIONS)
def test_the_flow_adds_up(hospital: tuple[list[ImageStudy], list[DxaExam]], options: PairingOptions) -> None:
    images, exams = hospital
    found = pair(images, exams, options)
    flow = flow_of(found, [options.ids.key(one.person.patient_id) for one in found], options.months)
    for steps in (*(steps for _, steps in flow.images), flow.exams):
        for before, after in pairwise(steps):
            assert before.left - sum(count for _, count in after.out) == after.left
    for kind, steps in flow.images:
        assert steps[0].left == sum(one.kind is kind for one in images)
        assert steps[-1].left == len({one.image.study_instance_uid for one in found if one.paired and one.image and one.image.kind is kind})
    assert flow.exams[0].left == len(exams)
    assert flow.pairs == sum(one.why.code == PairReason.PAIRED for one in found)
