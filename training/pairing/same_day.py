"""DXA records of one patient on one day: parts of one examination, or two that contradict each other."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from training.pairing.reasons import PairReason, Why
from training.pairing.records import DxaExam, Person

SAME_BMD_G_CM2 = 0.0005
"""BMD is printed to 0.001 g/cm2; T-scores to 0.1."""
SAME_T_SCORE = 0.05


def merge_same_day(exams: Sequence[DxaExam]) -> tuple[tuple[DxaExam, ...], tuple[tuple[DxaExam, Why], ...]]:
    """Make one examination of the records of a day.

    Records that differ in issuer, sex or birth date are different people's and stay apart; so do those of two named devices. Others are
    merged where what they say together is not contradictory (a row per level, or a DICOM study beside a table's row), else none of them
    is used: which one is right cannot be known.

    Returns
    -------
    exams
        The examinations to be used, the earliest first.
    left_out
        The records that are no examination of their own, with the reason.
    """
    days: dict[object, list[DxaExam]] = defaultdict(list)
    for exam in sorted(exams, key=lambda one: (str(one.exam_date), not one.has_values, one.source)):
        days[exam.exam_date].append(exam)
    merged: list[DxaExam] = []
    left_out: list[tuple[DxaExam, Why]] = []
    for records in days.values():
        for group in _people(records):
            whole, out = _merge(group)
            merged.extend(whole)
            left_out.extend(out)
    return tuple(merged), tuple(left_out)


def _people(records: Sequence[DxaExam]) -> list[list[DxaExam]]:
    """Records that may be of one person and one device, each in the first group it does not contradict."""
    groups: list[list[DxaExam]] = []
    for record in records:
        fitting = next((group for group in groups if all(_compatible(record, other) for other in group)), None)
        if fitting is None:
            groups.append([record])
        else:
            fitting.append(record)
    return groups


def _compatible(one: DxaExam, other: DxaExam) -> bool:
    a, b = one.person, other.person
    known = ((a.issuer.upper(), b.issuer.upper()), (a.sex, b.sex), (a.birth_date, b.birth_date), (one.device, other.device))
    return all(not x or not y or x == y for x, y in known)


def _merge(records: Sequence[DxaExam]) -> tuple[list[DxaExam], list[tuple[DxaExam, Why]]]:
    whole = records[0]
    for record in records[1:]:
        if _contradict(whole, record):
            text = f"{len(records)} DXA records of {whole.exam_date} contradict each other; which one is right cannot be known."
            return [], [(one, Why(code=PairReason.EXAMS_CONTRADICT, text=text)) for one in records]
        whole = replace(
            whole,
            person=_union(whole.person, record.person),
            bmd_g_cm2={**record.bmd_g_cm2, **whole.bmd_g_cm2},
            t_scores={**record.t_scores, **whole.t_scores},
            t_score=whole.t_score if whole.t_score is not None else record.t_score,
            label=whole.label if whole.label is not None else record.label,
            device=whole.device or record.device,
            site=whole.site or record.site,
            study_instance_uid=whole.study_instance_uid or record.study_instance_uid,
        )
    same = [(one, Why(code=PairReason.SAME_EXAM, text=f"Of the same examination as {whole.source}.")) for one in records[1:]]
    return [whole], same


def _contradict(one: DxaExam, other: DxaExam) -> bool:
    if _differ(one.bmd_g_cm2, other.bmd_g_cm2, SAME_BMD_G_CM2) or _differ(one.t_scores, other.t_scores, SAME_T_SCORE):
        return True
    if one.t_score is not None and other.t_score is not None and abs(one.t_score - other.t_score) > SAME_T_SCORE:
        return True
    return one.label is not None and other.label is not None and one.label != other.label


def _differ(one: Mapping[str, float], other: Mapping[str, float], tolerance: float) -> bool:
    return any(abs(one[level] - other[level]) > tolerance for level in one.keys() & other.keys())


def _union(one: Person, other: Person) -> Person:
    return replace(
        one,
        issuer=one.issuer or other.issuer,
        sex=one.sex or other.sex,
        birth_date=one.birth_date or other.birth_date,
        age_years=one.age_years if one.age_years is not None else other.age_years,
    )
