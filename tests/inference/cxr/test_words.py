"""From estimates to words: tables of thresholds with their edges, the patient's level, the spread, and what is never said."""

import pytest

from inference.cxr.reference import LEVELS, Reference, ReferenceChoice, SexPolicy
from inference.cxr.words import FLEX, THRESHOLDS, PatientReading, printed_t, read_level, read_patient, thresholds, uniform
from inference.errors import PermanentError

pytestmark = pytest.mark.unit

TABLE = (Reference(name="r", device="Hologic", levels="L1-L4", sex="F", mean_g_cm2=1.0, sd_g_cm2=0.1, verified=True, source="a paper"),)
CHOICE = ReferenceChoice()


def at(t_score: float) -> float:
    """The bone density of a T-score in the table above."""
    return 1.0 + 0.1 * t_score


def read(name: str, *t_scores: float | None, members: int = 1) -> PatientReading:
    """A patient whose levels have these T-scores, all members agreeing; None for a level that was not estimated."""
    known = {level: [at(score)] * members for level, score in zip(LEVELS, t_scores, strict=True) if score is not None}
    return read_patient(known, thresholds(name), TABLE, CHOICE, "F")


def test_the_papers_thresholds_are_there_by_name() -> None:
    assert list(THRESHOLDS) == ["-1.75", "-2", "-2.25", "-2.5", "flex"]
    assert dict(FLEX.by_level) == {"L1": -2.2, "L2": -2.1, "L3": -2.0, "L4": -1.9}
    assert dict(thresholds("-2.5").by_level) == dict.fromkeys(LEVELS, -2.5)
    assert (uniform(-2.25).said, FLEX.said) == ("-2.25", "L1 -2.2, L2 -2.1, L3 -2.0, L4 -1.9")
    with pytest.raises(PermanentError, match="no thresholds 'low'"):
        thresholds("low")


@pytest.mark.parametrize(
    ("name", "t_score", "low"),
    [
        ("-2.5", -2.5, True),
        ("-2.5", -2.45, True),  # printed, and so compared, as -2.5
        ("-2.5", -2.44, False),
        ("-2.5", -4.0, True),
        ("-2.25", -2.25, True),
        ("-2.25", -2.24, False),
        ("-2", -2.0, True),
        ("-2", -1.94, False),
        ("-1.75", -1.75, True),
        ("-1.75", -1.74, False),
        ("-1.75", 0.0, False),
    ],
)
def test_edges_of_the_uniform_thresholds(name: str, t_score: float, low: bool) -> None:
    assert [reading.low for reading in read(name, t_score, t_score, t_score, t_score).levels] == [low] * 4


@pytest.mark.parametrize(
    ("t_scores", "low"),
    [
        ((-2.2, 0.0, 0.0, 0.0), [True, False, False, False]),
        ((-2.1, -2.1, -2.1, -2.1), [False, True, True, True]),
        ((-1.9, -1.9, -1.9, -1.9), [False, False, False, True]),
        ((-1.84, -1.84, -1.84, -1.84), [False] * 4),
    ],
)
def test_flex_has_its_own_threshold_for_each_level(t_scores: tuple[float, ...], low: list[bool]) -> None:
    found = read("flex", *t_scores)
    assert [reading.low for reading in found.levels] == low
    assert found.low is any(low)


def test_one_low_vertebra_makes_the_patient_low_and_dxa_is_recommended() -> None:
    found = read("-2.5", -1.0, -2.5, -1.0, -1.0)
    assert found.low is True
    assert found.recommendation == "DXA recommended: the estimated T-score is at or below the threshold (-2.5) at L2 (-2.5)."


def test_above_the_threshold_nothing_is_ruled_out_and_what_is_missing_is_said() -> None:
    found = read("-2.5", -1.0, None, -1.2, None)
    assert found.low is False
    assert found.recommendation == (
        "Above the threshold (-2.5) at L1, L3: this estimate alone gives no reason for DXA, and does not rule out osteoporosis. "
        "Not estimated or not compared: L2, L4."
    )


def test_without_a_reference_there_is_no_t_score_and_no_statement() -> None:
    choice = ReferenceChoice(sex_policy=SexPolicy.OWN_SEX)
    found = read_patient({"L1": [0.7]}, thresholds("-2.5"), TABLE, choice, "")
    assert found.low is None
    assert found.recommendation == "No statement: no level could be compared with a reference."
    assert (found.levels[0].t_score, found.levels[0].low, found.levels[0].certain) == (None, None, False)
    assert found.sentences == (
        "L1: estimated bone density 0.70 g/cm2; no T-score: the patient's sex is not known, and the site compares with the patient's "
        "own sex.",
    )


def test_the_spread_of_the_ensemble_is_shown_and_disagreement_is_said() -> None:
    members = [at(-2.2), at(-2.4), at(-2.6), at(-2.8)]
    found = read_patient({"L3": members}, thresholds("-2.5"), TABLE, CHOICE, "F")
    (level,) = found.levels
    assert level.bmd_g_cm2 == pytest.approx(0.75)
    assert level.spread_g_cm2 == pytest.approx(0.025820, abs=1e-6)  # by hand: sqrt((9 + 1 + 1 + 9) / 3) * 0.01
    assert level.t_spread == pytest.approx(0.2582, abs=1e-4)
    assert (level.t_score, level.low, level.members_low, level.certain) == (-2.5, True, 2, False)
    assert found.recommendation.endswith("at L3 (-2.5). The ensemble's members do not agree on it.")
    assert found.sentences == (
        "L3: estimated bone density 0.75 g/cm2 (the 4 models differ by SD 0.03), estimated T-score -2.5 (SD 0.3) by a paper, "
        "the reference of L1-L4 standing in for that of L3.",
    )


def test_members_below_the_threshold_are_said_where_their_mean_is_above() -> None:
    found = read_patient({"L4": [at(-1.6), at(-2.0)]}, thresholds("flex"), TABLE, CHOICE, "F")
    assert found.low is False
    assert "Some of the ensemble's members lie at or below it at L4." in found.recommendation


def test_one_member_has_no_spread() -> None:
    level = read_level("L1", [0.9], FLEX, TABLE, CHOICE, "F")
    assert (level.spread_g_cm2, level.t_spread, level.certain) == (None, None, True)


@pytest.mark.parametrize(
    ("raw", "printed"), [(-2.4499, -2.4), (-2.45, -2.5), (-2.4999999999999996, -2.5), (-0.04, 0.0), (1.05, 1.1), (-1.75, -1.8)]
)
def test_t_scores_are_printed_with_one_decimal(raw: float, printed: float) -> None:
    assert printed_t(raw) == printed


@pytest.mark.parametrize("members", [{"L5": [0.9]}, {"L1": []}, {"L1": [float("nan")]}, {"L1": [-0.1]}])
def test_senseless_estimates_are_an_error_of_the_caller(members: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match=r"L5|L1"):
        read_patient(members, FLEX, TABLE, CHOICE, "F")


@pytest.mark.parametrize("name", list(THRESHOLDS))
@pytest.mark.parametrize("t_score", [-4.0, -2.5, -1.0, 2.0])
def test_nothing_that_is_said_is_called_a_diagnosis(name: str, t_score: float) -> None:
    found = read(name, t_score, t_score, None, t_score, members=2)
    said = " ".join((found.recommendation, *found.sentences)).lower()
    assert "diagnos" not in said
    assert ("dxa recommended" in said) is (found.low is True)
