"""The sampler's frequencies and rounds."""

import numpy as np
import pytest

from training.errors import TrainingError
from training.resampling import ClassSampler, Weighting, class_shares

pytestmark = pytest.mark.unit

LABELS = [0] * 60 + [1] * 30 + [3] * 10


@pytest.mark.parametrize(
    ("weighting", "shares"),
    [
        ("natural", [0.6, 0.3, 0, 0.1]),
        ("balanced", [1 / 3, 1 / 3, 0, 1 / 3]),
        ("square-root", np.sqrt([60, 30, 0, 10]) / np.sqrt([60, 30, 0, 10]).sum()),
    ],
)
def test_frequencies(weighting: Weighting, shares: list[float]) -> None:
    sampler = ClassSampler(LABELS, weighting, seed=5)
    assert sampler.shares == pytest.approx(shares)
    drawn = np.asarray(LABELS)[np.concatenate([sampler.indices(epoch) for epoch in range(300)])]
    assert drawn.size == 300 * 100
    assert np.bincount(drawn) / drawn.size == pytest.approx(shares, abs=0.003)


def test_natural_draws_show_each_case_once() -> None:
    assert sorted(ClassSampler(LABELS, "natural", seed=1).indices(1)) == list(range(100))


def test_no_case_comes_twice_before_each_came_once() -> None:
    drawn = ClassSampler(LABELS, "balanced", seed=1, size=300).indices(4)
    times = np.bincount(drawn, minlength=100)
    assert set(times[:60]) == {1, 2}
    assert times[60:90].min() >= 3
    assert times[60:90].max() <= 4
    assert set(times[90:]) == {10}


def test_draws_are_settled_by_seed_and_epoch() -> None:
    one, same, other = (
        ClassSampler(LABELS, "balanced", seed=1),
        ClassSampler(LABELS, "balanced", seed=1),
        ClassSampler(LABELS, "balanced", seed=2),
    )
    assert np.array_equal(one.indices(3), same.indices(3))
    assert not np.array_equal(one.indices(3), one.indices(4))
    assert not np.array_equal(one.indices(3), other.indices(3))
    assert not np.array_equal(np.sort(one.indices(3)), one.indices(3))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(TrainingError, match="no class weighting 'cubic'"):
        class_shares(np.array([1]), "cubic")  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="at least one case"):
        ClassSampler([], "natural", seed=0)
    with pytest.raises(TrainingError, match="classes counted from 0"):
        ClassSampler([-1, 0], "natural", seed=0)
    with pytest.raises(TrainingError, match="at least one case, not 0"):
        ClassSampler([0], "natural", seed=0, size=0)
    with pytest.raises(TrainingError, match="no case to draw from"):
        class_shares(np.array([0, 0]), "balanced")
