"""Classification, ranking and calibration against scikit-learn and by hand."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from training.metrics.calibration import (
    brier_score,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability,
    reliability_of_class,
    softmax,
)
from training.metrics.classification import binary_metrics, class_scores, classification_metrics, confusion_matrix
from training.metrics.ranking import auc, auc_one_vs_rest, delong, roc_curve, youden_threshold

pytestmark = pytest.mark.unit

NAMES = ("normal", "osteopenia", "osteoporosis")
RNG = np.random.default_rng(3)
TRUTH = np.r_[np.zeros(40, int), np.ones(25, int), np.full(13, 2)]
LOGITS = RNG.normal(size=(78, 3)) + 1.5 * np.eye(3)[TRUTH]
SAID = softmax(LOGITS)
PREDICTED = SAID.argmax(axis=1)


def test_against_scikit_learn() -> None:
    found = classification_metrics(TRUTH, PREDICTED, NAMES)
    assert confusion_matrix(TRUTH, PREDICTED, 3).tolist() == sk.confusion_matrix(TRUTH, PREDICTED).tolist()
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(TRUTH, PREDICTED))
    assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(TRUTH, PREDICTED))
    for average in ("macro", "micro", "weighted"):
        for name, theirs in (("sensitivity", sk.recall_score), ("precision", sk.precision_score), ("f1", sk.f1_score)):
            assert found[f"{name}_{average}"] == pytest.approx(theirs(TRUTH, PREDICTED, average=average)), (name, average)
    for index, name in enumerate(NAMES):
        specificity = sk.recall_score(index != TRUTH, index != PREDICTED)
        assert found[f"specificity_{name}"] == pytest.approx(specificity)
        assert found[f"sensitivity_{name}"] == pytest.approx(sk.recall_score(index == TRUTH, index == PREDICTED))


def test_micro_averages_are_functions_of_accuracy() -> None:
    """MedConv's Table II: 51 of 78 right gives "sensitivity" 65.38 and "specificity" 82.69."""
    matrix = confusion_matrix(TRUTH, PREDICTED, 3)
    scores = classification_metrics(TRUTH, PREDICTED, NAMES)
    wrong = matrix.sum() - np.trace(matrix)
    assert scores["specificity_micro"] == pytest.approx((2 * 78 - wrong) / (2 * 78))
    predicted = np.where(np.arange(78) < 51, TRUTH, (TRUTH + 1) % 3)
    found = classification_metrics(TRUTH, predicted, NAMES)
    assert round(100 * found["accuracy"], 2) == round(100 * found["sensitivity_micro"], 2) == 65.38
    assert round(100 * found["specificity_micro"], 2) == 82.69


def test_binary_against_scikit_learn() -> None:
    true, said = TRUTH == 2, PREDICTED == 2
    found = binary_metrics(true.astype(int), said.astype(int))
    assert found["sensitivity"] == pytest.approx(sk.recall_score(true, said))
    assert found["specificity"] == pytest.approx(sk.recall_score(~true, ~said))
    assert found["precision"] == pytest.approx(sk.precision_score(true, said))
    assert found["npv"] == pytest.approx(sk.precision_score(~true, ~said))
    assert found["f1"] == pytest.approx(sk.f1_score(true, said))


def test_what_is_not_defined_is_nan() -> None:
    scores = class_scores(confusion_matrix([0, 0, 1], [0, 1, 1], 3))
    assert scores.support.tolist() == [2, 1, 0]
    assert np.isnan([scores.sensitivity[2], scores.precision[2], scores.f1[2]]).all()
    found = classification_metrics([0, 0, 1], [0, 1, 1], NAMES)
    assert np.isnan(found["sensitivity_macro"])
    assert found["sensitivity_weighted"] == pytest.approx(2 / 3)
    alone = binary_metrics([1, 1], [1, 0])
    assert np.isnan(alone["specificity"])
    assert alone["sensitivity"] == 0.5
    assert np.isnan(auc_one_vs_rest([0, 1, 1], np.full((3, 3), 1 / 3)))


@pytest.mark.parametrize(("truth", "predicted"), [([0, 3], [0, 1]), ([0, -1], [0, 1]), ([0, 1], [0]), ([], []), ([0.5, 1.0], [0, 1])])
def test_wrong_classes_are_refused(truth: list[int], predicted: list[int]) -> None:
    with pytest.raises(ValueError):
        confusion_matrix(truth, predicted, 3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=40))
def test_areas_with_ties(cases: list[tuple[bool, int]]) -> None:
    true, score = np.array([case[0] for case in cases]).astype(int), np.array([case[1] for case in cases])
    if true.min() == true.max():
        with pytest.raises(ValueError, match="needs both classes"):
            auc(true, score)
        return
    assert auc(true, score) == pytest.approx(sk.roc_auc_score(true, score))
    curve = roc_curve(true, score)
    fpr, tpr, thresholds = sk.roc_curve(true, score, drop_intermediate=False)
    assert np.allclose(curve.false_positive_rate, fpr)
    assert np.allclose(curve.true_positive_rate, tpr)
    assert np.array_equal(curve.thresholds, thresholds)
    assert np.trapezoid(curve.true_positive_rate, curve.false_positive_rate) == pytest.approx(auc(true, score))


def test_one_vs_rest_area() -> None:
    assert auc_one_vs_rest(TRUTH, SAID) == pytest.approx(sk.roc_auc_score(TRUTH, SAID, multi_class="ovr", average="macro"))


def test_youden() -> None:
    assert youden_threshold([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) == 0.8
    assert youden_threshold([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.8]) == 0.7


def naive_delong(true: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong 1988, equations as printed: every pair of a positive and a negative."""
    areas, v10, v01 = [], [], []
    for score in scores:
        above = (score[true == 1][:, None] > score[true == 0]) + 0.5 * (score[true == 1][:, None] == score[true == 0])
        areas.append(above.mean())
        v10.append(above.mean(axis=1))
        v01.append(above.mean(axis=0))
    return np.array(areas), np.cov(v10) / (true == 1).sum() + np.cov(v01) / (true == 0).sum()


def test_delong_by_midranks_is_delong_by_pairs() -> None:
    true = (TRUTH == 2).astype(int)
    scores = np.stack([SAID[:, 2], np.round(SAID[:, 2] + 0.2 * RNG.normal(size=78), 1), RNG.normal(size=78)])
    found = delong(true, scores)
    areas, covariance = naive_delong(true, scores)
    assert np.allclose(found.areas, areas)
    assert np.allclose(found.covariance, covariance)
    with pytest.raises(ValueError, match="at least two positive"):
        delong([0, 0, 1], [1, 2, 3])


def test_brier_against_scikit_learn() -> None:
    two = np.c_[1 - SAID[:, 2], SAID[:, 2]]
    assert brier_score((TRUTH == 2).astype(int), two) == pytest.approx(2 * sk.brier_score_loss(TRUTH == 2, SAID[:, 2]))
    assert brier_score([0, 1], [[1, 0, 0], [0, 0, 1]]) == pytest.approx(1.0)


def test_cross_entropy_against_scikit_learn() -> None:
    assert negative_log_likelihood(TRUTH, LOGITS) == pytest.approx(sk.log_loss(TRUTH, SAID))
    assert np.allclose(softmax([[1e4, 0.0, -1e4]]), [[1.0, 0.0, 0.0]])


def test_calibration_error_by_hand() -> None:
    said = np.array([[0.95, 0.05], [0.95, 0.05], [0.65, 0.35], [0.35, 0.65]])
    found = reliability([0, 1, 0, 0], said, bins=10)
    assert found.count.tolist() == [0, 0, 0, 0, 0, 0, 2, 0, 0, 2]
    assert found.observed[[6, 9]].tolist() == [0.5, 0.5]
    assert np.isnan(found.observed[0])
    assert expected_calibration_error([0, 1, 0, 0], said) == pytest.approx(0.5 * 0.15 + 0.5 * 0.45)
    assert reliability_of_class([0, 1, 0, 0], said, 0).count.tolist() == [0, 0, 0, 1, 0, 0, 1, 0, 0, 2]


def test_a_calibrated_classifier_has_no_calibration_error() -> None:
    rng = np.random.default_rng(5)
    chance = rng.uniform(0.02, 0.98, 40000)
    true = (rng.uniform(size=chance.size) < chance).astype(int)
    assert expected_calibration_error(true, np.c_[1 - chance, chance]) < 0.01


def test_temperature_is_recovered() -> None:
    rng = np.random.default_rng(6)
    logits = rng.normal(scale=2.0, size=(20000, 3))
    true = np.array([rng.choice(3, p=row) for row in softmax(logits)])
    assert fit_temperature(true, 2.5 * logits) == pytest.approx(2.5, rel=0.05)
    best = fit_temperature(TRUTH, LOGITS)
    assert negative_log_likelihood(TRUTH, LOGITS, best) <= min(negative_log_likelihood(TRUTH, LOGITS, best * step) for step in (0.99, 1.01))


@pytest.mark.parametrize(
    ("truth", "logits", "said"),
    [
        ([0, 1], [[2.0, 0.0], [0.0, 2.0]], "always right"),
        ([0, 1], [[2.0, 2.0], [1.0, 1.0]], "always right, or gives"),
        ([1, 0], [[2.0, 0.0], [0.0, 2.0]], "more often than by chance"),
        ([0, 1], [[np.inf, 0.0], [0.0, 2.0]], "must be finite"),
    ],
)
def test_logits_that_no_temperature_fits(truth: list[int], logits: list[list[float]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fit_temperature(truth, logits)


def test_logits_are_no_probabilities() -> None:
    with pytest.raises(ValueError, match="are these logits"):
        brier_score(TRUTH, LOGITS)
