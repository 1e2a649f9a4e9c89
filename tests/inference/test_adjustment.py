"""The adjustment by hand-computed values."""

import math

import numpy as np
import pytest

from inference.adjustment import adjusted_logits, adjusted_probabilities, class_priors, log_priors, softmax
from inference.errors import PermanentError


def test_values_by_hand() -> None:
    """Priors 1/2, 1/4, 1/4 and equal scores: tau2 = 1 doubles the rare classes' odds, tau2 = 0.5 raises them by the square root of 2."""
    priors = class_priors([20, 10, 10])
    assert priors == (0.5, 0.25, 0.25)
    assert adjusted_logits(np.zeros(3), priors, 1.0) == pytest.approx([math.log(2), math.log(4), math.log(4)])
    assert adjusted_probabilities(np.zeros(3), priors, 1.0) == pytest.approx([0.2, 0.4, 0.4])
    root = math.sqrt(2)
    assert adjusted_probabilities(np.zeros(3), priors, 0.5) == pytest.approx(np.array([1, root, root]) / (1 + 2 * root))


def test_no_adjustment_leaves_the_softmax() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 4, 3))
    assert adjusted_probabilities(logits, (0.7, 0.2, 0.1), 0.0) == pytest.approx(softmax(logits))
    assert softmax(np.array([1000.0, 0.0])) == pytest.approx([1.0, 0.0])


@pytest.mark.parametrize("priors", [(0.5, 0.4), (1.0, 0.0), (), (0.5, float("nan"))])
def test_priors_that_are_none(priors: tuple[float, ...]) -> None:
    with pytest.raises(PermanentError, match="priors"):
        log_priors(priors)


def test_a_class_without_a_case() -> None:
    with pytest.raises(PermanentError, match="at least one case"):
        class_priors([3, 0, 2])
    with pytest.raises(PermanentError, match="2 priors"):
        adjusted_logits(np.zeros(3), (0.5, 0.5), 1.0)
