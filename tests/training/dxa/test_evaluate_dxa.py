"""Metrics against counts by hand, calibration, and what several networks said of the same patients."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.dxa.made import case, cases
from training.dxa.evaluate import COLUMNS, Predictions, draw, pooled, predictions_of, report, scores, temperature_of
from training.metrics.bootstrap import BootstrapOptions

pytestmark = pytest.mark.unit

T_SCORES = (-4.0, -3.2, -2.6, -2.4, -1.5, -0.5, 0.5, -3.5)
POSITIVE = (2.0, 1.0, -0.5, 0.5, -1.0, -2.0, -3.0, 1.5)
"""Logits of osteoporosis; those of normal are 0: three of four found, one of four taken for ill."""


def found(temperature: float = 1.0) -> Predictions:
    return predictions_of(cases(T_SCORES), np.stack([np.zeros(8), np.array(POSITIVE)], axis=1), temperature)


def test_the_paper_s_metrics_by_hand() -> None:
    values = {name: one.value for name, one in scores(found(), BootstrapOptions(resamples=20)).items()}
    assert values["accuracy"] == pytest.approx(6 / 8)
    assert values["precision"] == pytest.approx(3 / 4)
    assert values["recall"] == pytest.approx(3 / 4)
    assert values["f1"] == pytest.approx(3 / 4)
    assert values["specificity"] == pytest.approx(3 / 4)
    assert values["auc"] == pytest.approx(15 / 16)  # one pair of sixteen stands the wrong way
    assert values["clear_accuracy"] == 1.0  # both errors lie within 0.5 of -2.5
    said = 1 / (1 + np.exp(-np.array(POSITIVE)))
    truth = np.array([1, 1, 1, 0, 0, 0, 0, 1])
    assert values["brier"] == pytest.approx(2 * float(np.mean((said - truth) ** 2)))


def test_probabilities_are_calibrated_by_the_temperature() -> None:
    assert found(2.0).probabilities[0, 1] == pytest.approx(1 / (1 + math.exp(-1.0)))
    fitted = temperature_of(found())
    assert fitted is not None
    grid = [0.5 * fitted, fitted, 2 * fitted]

    def loss(temperature: float) -> float:
        said = found(temperature).probabilities
        return float(-np.log(said[np.arange(8), found().truth]).mean())

    assert min(grid, key=loss) == fitted


def test_a_network_without_an_error_is_not_calibrated() -> None:
    perfect = predictions_of(cases(T_SCORES), np.stack([np.zeros(8), np.where(np.array(T_SCORES) <= -2.5, 1.0, -1.0)], axis=1))
    assert temperature_of(perfect) is None


def test_networks_are_ranked_apart_and_patients_drawn_together() -> None:
    other = replace(found(), logits=found().logits + np.array([[0.0, 10.0]]))
    both = pooled([found(), other])
    values = scores(both, BootstrapOptions(resamples=50))
    assert values["auc"].value == pytest.approx(15 / 16)
    assert values["recall"].value == pytest.approx(7 / 8)
    one = scores(found(), BootstrapOptions(resamples=50))
    assert values["auc"].low == pytest.approx(one["auc"].low)  # the same patients twice make no interval narrower


def test_two_images_of_one_patient_are_one_draw() -> None:
    twins = (case(0, -3.0, "a"), case(1, -0.5, "a"), case(2, -3.0, "b"), case(3, -0.5, "b"))
    logits = np.stack([np.zeros(4), np.array([1.0, -1.0, 1.0, 1.0])], axis=1)
    value = scores(predictions_of(twins, logits), BootstrapOptions(resamples=200))["accuracy"]
    assert {value.low, value.high} <= {0.5, 0.75, 1.0}


def test_the_report_says_what_it_was_measured_on() -> None:
    text = report(found(), "dxa-cnn21 1.0.0", "eight made cases")
    assert "eight made cases" in text
    assert "| osteoporosis | 1 | 3 |" in text
    assert all(column.heading in text for column in COLUMNS)
    assert "98.23" not in text
    assert "0.982" in text  # the paper's AUC beside ours


def test_pictures_are_drawn(tmp_path: Path) -> None:
    drawn = draw(found(), tmp_path / "new", "made")
    assert [path.name for path in drawn] == ["confusion.png", "calibration.png", "roc.png"]
    assert all(path.stat().st_size > 5_000 for path in drawn)
    one_class = predictions_of(cases(T_SCORES[:2]), np.zeros((2, 2)))
    assert [path.name for path in draw(one_class, tmp_path, "ill")] == ["confusion.png", "calibration.png"]
