"""The proof's arithmetic on constructed patients, and one patient through the whole workflow."""

import pytest

from training.evaluation.simulated_ct import LevelResult
from training.medconv.proof import Proved, level_lines, main, met, prove, shares, summary, table
from training.medconv.simulated import COHORTS_OF_MEDCONV, SimulatedOptions

pytestmark = pytest.mark.unit


def level(name: str, error: float | None, *, used: bool = True, altered: tuple[str, ...] = ()) -> LevelResult:
    return LevelResult(true_level=name, named=name, certain=True, used=used, error_hu=error, median_error_hu=error, altered=altered)


def patient(t_score: float, predicted: str | None, *levels: LevelResult, because: str = "") -> Proved:
    share = None if predicted is None else 0.9
    return Proved(name="p", t_score=t_score, outcome="result", levels=levels, predicted=predicted, probability=share, because=because)


RIGHT = patient(0.3, "normal", level("L1", 2.0), level("L2", -6.0))
NEAR_CUT = patient(-1.2, "normal", level("L1", 1.0))
WRONG = patient(-3.4, "osteopenia", level("L1", -3.0), level("T12", 40.0, altered=("fracture",)), level("L3", 9.0, used=False))
REFUSED = patient(-2.0, None, because="L1 is excluded")


def test_clear_cases_and_used_levels_are_counted() -> None:
    assert [one.clear for one in (RIGHT, NEAR_CUT, WRONG, REFUSED)] == [True, False, True, False]
    assert [one.truth for one in (RIGHT, NEAR_CUT, WRONG)] == ["normal", "osteopenia", "osteoporosis"]
    assert shares([RIGHT, NEAR_CUT, WRONG, REFUSED]) == ((1, 2), (1, 3), (3, 4))
    assert WRONG.errors_hu == {"L1": -3.0}


def test_both_targets_must_be_met() -> None:
    sound = patient(0.3, "normal", level("L1", 2.0))
    assert met([sound] * 19 + [patient(-3.4, "osteopenia", level("L1", 1.0))])
    assert not met([sound] * 18 + [patient(-3.4, "osteopenia", level("L1", 1.0))])
    assert not met([sound] * 9 + [patient(0.3, "normal", level("L1", 6.0))])
    assert not met([REFUSED])


def test_the_table_says_what_is_wrong_and_why_there_is_no_class() -> None:
    text = table([RIGHT, WRONG, REFUSED])
    rows = [line for line in text.splitlines() if line.startswith("| p |")]
    assert rows[0] == "| p | 0.30 | yes | normal | normal | 90 % | +2.0 | 1 of 2 |  |"
    assert rows[1].endswith("| -3.0 | 1 of 1 | wrong class |")
    assert rows[2] == "| p | -2.00 | no | osteopenia | – | – | – | 0 of 0 | L1 is excluded |"
    assert "| L1 | 2 | -0.5 | -3.0 | 2 |" in level_lines([RIGHT, WRONG])
    assert "1 of 2 (50 %)" in summary([RIGHT, WRONG])[0]
    assert "not classified: 1 of 3" in summary([RIGHT, WRONG, REFUSED])[3]


def test_what_cannot_be_used_ends_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--spacing", "fine"]) == 2
    assert "--spacing fine" in capsys.readouterr().err


def test_one_patient_through_the_workflow() -> None:
    options = SimulatedOptions(patients=1, seed=990, cohort=COHORTS_OF_MEDCONV["balanced"])
    found = prove(options.people()[0], 3.0, None)
    assert found is not None
    assert found.predicted == found.truth or not found.clear
    assert abs(found.errors_hu["L1"]) <= 5
