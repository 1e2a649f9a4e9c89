"""Metrics of predictions against numbers worked out by hand, the choice of tau2 on a constructed case, and what is printed and drawn."""

from pathlib import Path

import numpy as np
import pytest

from inference.adjustment import Floats
from tests.training.medconv.made import cases
from training.errors import TrainingError
from training.medconv.evaluate import (
    CALIBRATION,
    METRICS,
    PER_CLASS,
    Predictions,
    draw,
    predictions_of,
    report,
    scores,
    tuned_tau2,
)

pytestmark = pytest.mark.unit

PRIORS = (0.8, 0.15, 0.05)


def found(labels: list[int], logits: Floats, tau2: float = 0.0, t_scores: list[float] | None = None) -> Predictions:
    t_scores = t_scores or [(0.0, -1.75, -3.5)[label] for label in labels]
    return Predictions(
        patients=tuple(f"p{index}" for index in range(len(labels))),
        truth=np.array(labels),
        t_scores=np.array(t_scores),
        logits=logits,
        priors=PRIORS,
        tau2=tau2,
    )


def test_metrics_by_hand() -> None:
    logits = 4.0 * np.eye(3)[[0, 0, 1, 1, 2, 0]]
    values = scores(found([0, 0, 1, 2, 2, 1], logits))
    assert set(values) == {*METRICS, *PER_CLASS, *CALIBRATION, "clear_accuracy"}
    assert values["accuracy"].value == pytest.approx(4 / 6)
    assert values["sensitivity_macro"].value == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert values["specificity_macro"].value == pytest.approx((3 / 4 + 3 / 4 + 1) / 3)
    assert values["sensitivity_osteoporosis"].value == 0.5
    assert values["accuracy"].low < values["accuracy"].value < values["accuracy"].high


def test_only_cases_far_from_both_cuts_are_clear() -> None:
    logits = 4.0 * np.eye(3)[[0, 1, 1, 2]]
    one = found([0, 1, 1, 2], logits, t_scores=[-0.9, -1.75, float("nan"), -3.1])
    assert one.clear.tolist() == [False, True, False, True]
    wrong = found([0, 1, 1, 2], 4.0 * np.eye(3)[[1, 1, 1, 1]], t_scores=[-0.9, -1.75, float("nan"), -3.1])
    assert scores(wrong)["clear_accuracy"].value == 0.5


def test_tau2_is_the_one_that_finds_the_rare_class() -> None:
    """The rare class lies 2 below the frequent one: log(0.8 / 0.05) = 2.77, so it is found from tau2 = 0.73 on; 0.8 is the first step."""
    logits = np.array([[3.0, 0.0, -4.0]] * 4 + [[0.0, 3.0, -4.0]] * 2 + [[2.0, -4.0, 0.0]] * 2)
    validation = found([0] * 4 + [1] * 2 + [2] * 2, logits)
    chosen = tuned_tau2(validation)
    assert chosen == 0.8
    adjusted = found([0] * 4 + [1] * 2 + [2] * 2, logits, tau2=chosen)
    before, after = scores(validation), scores(adjusted)
    assert before["sensitivity_osteoporosis"].value == 0.0
    assert after["sensitivity_osteoporosis"].value == 1.0
    assert after["accuracy"].value == 1.0


def test_where_every_tau2_is_as_good_the_papers_is_taken() -> None:
    assert tuned_tau2(found([0, 1, 2], 20.0 * np.eye(3))) == 0.5


def test_cases_become_predictions() -> None:
    made = cases((0.0, -3.0))
    one = predictions_of(made, np.zeros((2, 3)), PRIORS, 1.0)
    assert (one.patients, one.truth.tolist(), one.t_scores.tolist()) == (("made-0", "made-1"), [0, 2], [0.0, -3.0])
    np.testing.assert_allclose(one.probabilities[0], (1 / np.array(PRIORS)) / (1 / np.array(PRIORS)).sum())


def test_the_report_holds_intervals_the_paper_and_the_confusion() -> None:
    one = found([0, 0, 1, 2, 2, 1], 4.0 * np.eye(3)[[0, 0, 1, 1, 2, 0]])
    text = report(one, "medconv 1.0.0", "six made cases")
    assert "65.38" in text
    assert "six made cases" in text
    assert "| calibration error |" in text
    assert "| osteopenia | 1 | 1 | 0 |" in text


def test_pictures_are_drawn_of_the_classes_that_occur(tmp_path: Path) -> None:
    one = found([0, 0, 1, 1, 0, 1], 4.0 * np.eye(3)[[0, 0, 1, 1, 2, 0]])
    assert [path.name for path in draw(one, tmp_path / "plots", "made")] == ["confusion.png", "calibration.png", "roc.png"]
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError):
        draw(one, tmp_path / "file", "made")
