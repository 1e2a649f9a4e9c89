"""Whether a probability means what it says: reliability, expected calibration error, Brier score, temperature scaling."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from training.metrics.arrays import Floats, Ints, classes, probabilities

_TEMPERATURES = (0.01, 100.0)


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Cases by stated probability, shape (bins,). NaN in ``stated`` and ``observed`` where a bin holds no case."""

    edges: Floats
    count: Ints
    stated: Floats
    observed: Floats


def reliability(truth: ArrayLike, probability: ArrayLike, bins: int = 10) -> Reliability:
    """Reliability of the predicted class's probability (confidence), in bins of equal width over (0, 1].

    Parameters
    ----------
    truth
        Class indices, shape (N,).
    probability
        Shape (N, K), rows summing to one.
    """
    said = probabilities(probability)
    true = _checked(truth, said)
    return _binned(said.max(axis=1), said.argmax(axis=1) == true, bins)


def reliability_of_class(truth: ArrayLike, probability: ArrayLike, index: int, bins: int = 10) -> Reliability:
    """Reliability of one class's probability: of the cases given 0.3 for osteoporosis, do three of ten have it?"""
    said = probabilities(probability)
    return _binned(said[:, index], _checked(truth, said) == index, bins)


def expected_calibration_error(truth: ArrayLike, probability: ArrayLike, bins: int = 10) -> float:
    """Mean gap between confidence and accuracy over bins, weighted by their cases (Naeini 2015; Guo 2017, equation 3)."""
    return calibration_error(reliability(truth, probability, bins))


def calibration_error(found: Reliability) -> float:
    """The expected calibration error of a reliability diagram."""
    held = found.count > 0
    return float(np.sum(found.count[held] * np.abs(found.observed[held] - found.stated[held])) / found.count.sum())


def brier_score(truth: ArrayLike, probability: ArrayLike) -> float:
    """Mean over cases of the squared distance to the true class's corner, summed over classes (Brier 1950): 0 to 2.

    For two classes it is twice the one-sided score that scikit-learn gives.
    """
    said = probabilities(probability)
    corners = np.eye(said.shape[1])[_checked(truth, said)]
    return float(np.mean(np.sum((said - corners) ** 2, axis=1)))


def negative_log_likelihood(truth: ArrayLike, logits: ArrayLike, temperature: float = 1.0) -> float:
    """Mean cross-entropy of logits (N, K) divided by a temperature."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    return float(np.mean(_log_sum(scaled) - scaled[np.arange(scaled.shape[0]), classes(truth, scaled.shape[1])]))


def softmax(logits: ArrayLike, temperature: float = 1.0) -> Floats:
    """Probabilities of logits (N, K) divided by a temperature."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    found: Floats = np.exp(scaled - _log_sum(scaled)[:, None])
    return found


def fit_temperature(truth: ArrayLike, logits: ArrayLike) -> float:
    """The temperature that minimises the cross-entropy of *validation* logits (Guo 2017): above 1 for a model too sure of itself.

    It changes no order within a case and so no prediction. Never fit it on the cases that are reported.

    Raises
    ------
    ValueError
        Logits of another shape or not finite, or logits that no temperature fits: a perfect, a constant or a reversed classifier's.
    """
    values = np.asarray(logits, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ValueError(f"logits must be finite, of shape (cases, classes), not {values.shape}")
    true = classes(truth, values.shape[1])
    own = values[np.arange(true.size), true]
    if np.all(own >= values.max(axis=1)) or np.all(np.ptp(values, axis=1) == 0.0):
        raise ValueError("no temperature fits: the classifier is always right, or gives every class the same")
    low, high = np.log(_TEMPERATURES)
    found = minimize_scalar(
        lambda log_temperature: negative_log_likelihood(truth, values, float(np.exp(log_temperature))),
        bounds=(low, high), method="bounded", options={"xatol": 1e-8},
    )  # fmt: skip
    if min(found.x - low, high - found.x) < 1e-3 * (high - low):
        raise ValueError("no temperature of 0.01 to 100 fits: the classifier is wrong more often than by chance")
    return float(np.exp(found.x))


def _binned(stated: Floats, right: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], bins: int) -> Reliability:
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, stated, side="left") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    empty = count == 0
    with_cases = np.maximum(count, 1)
    means = np.bincount(place, weights=stated, minlength=bins) / with_cases
    shares = np.bincount(place, weights=right.astype(np.float64), minlength=bins) / with_cases
    return Reliability(
        edges=edges, count=count.astype(np.int64), stated=np.where(empty, np.nan, means), observed=np.where(empty, np.nan, shares)
    )


def _checked(truth: ArrayLike, said: Floats) -> Ints:
    true = classes(truth, said.shape[1])
    if true.size != said.shape[0]:
        raise ValueError(f"{true.size} true classes and {said.shape[0]} predictions")
    return true


def _log_sum(scaled: Floats) -> Floats:
    top = scaled.max(axis=1)
    found: Floats = top + np.log(np.sum(np.exp(scaled - top[:, None]), axis=1))
    return found
