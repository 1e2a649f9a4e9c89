"""Monitors against scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import NearestNeighbors

from training.errors import TrainingError
from training.tpswav.monitors import Vectors, linear_probe, monitored, nearest_neighbours, ridge, standardised

pytestmark = pytest.mark.unit

RNG = np.random.default_rng(3)
TRAIN, QUERY = RNG.normal(2.0, 3.0, (40, 6)), RNG.normal(2.0, 3.0, (15, 6))
SLOPES = np.array([1.0, -0.5, 0.0, 0.3, 0.0, 0.0])
VALUE = TRAIN @ SLOPES + RNG.normal(0, 0.5, 40)
LABEL = (np.median(VALUE) > VALUE).astype(np.int64)


def test_the_linear_probe_is_a_logistic_regression() -> None:
    inside, asked = standardised(TRAIN, QUERY)
    theirs = LogisticRegression(C=1 / 0.7, tol=1e-9, max_iter=5000).fit(inside, LABEL)
    np.testing.assert_allclose(linear_probe(TRAIN, LABEL, QUERY, penalty=0.7), theirs.decision_function(asked), rtol=1e-3, atol=1e-3)


def test_the_regression_is_ridge() -> None:
    inside, asked = standardised(TRAIN, QUERY)
    theirs = Ridge(alpha=2.5).fit(inside, VALUE)
    np.testing.assert_allclose(ridge(TRAIN, VALUE, QUERY, penalty=2.5), theirs.predict(asked), rtol=1e-6)


def test_a_channel_that_never_moves_is_left_out() -> None:
    still = np.hstack([TRAIN, np.full((40, 1), 7.0)])
    asked = np.hstack([QUERY, np.full((15, 1), 900.0)])
    np.testing.assert_allclose(ridge(still, VALUE, asked), ridge(TRAIN, VALUE, QUERY))


def test_neighbours_are_the_nearest_by_cosine() -> None:
    found = nearest_neighbours(TRAIN, LABEL, QUERY, neighbours=5, temperature=0.07)
    distance, place = NearestNeighbors(n_neighbors=5, metric="cosine").fit(TRAIN).kneighbors(QUERY)
    weights = np.exp((1 - distance) / 0.07)
    np.testing.assert_allclose(found, (weights * LABEL[place]).sum(axis=1) / weights.sum(axis=1), rtol=1e-6)


def test_vectors_that_hold_the_density_score_high_and_noise_does_not() -> None:
    def part(first: int, count: int, informative: bool) -> Vectors:
        rng = np.random.default_rng(first)
        bmd = rng.uniform(0.6, 1.2, count)
        vectors = rng.normal(0, 1, (count, 8))
        vectors[:, 0] += 30 * (bmd - 0.8) if informative else 0.0
        bmd_known = np.where(np.arange(count) % 5, bmd, np.nan)
        return Vectors(vectors=vectors, label=(bmd < 0.8).astype(np.int64), bmd_g_cm2=bmd_known)

    good = monitored(part(1, 120, True), part(2, 120, True))
    assert min(good["probe_auc"], good["probe_bmd_r"]) > 0.9
    assert good["knn_auc"] > 0.8
    poor = monitored(part(1, 120, False), part(2, 120, False))
    assert max(poor.values()) < 0.7
    with pytest.raises(TrainingError, match="validation part"):
        monitored(part(1, 20, True), Vectors(vectors=np.ones((3, 8)), label=np.zeros(3, dtype=np.int64), bmd_g_cm2=np.ones(3)))
