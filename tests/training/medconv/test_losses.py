"""The losses against numbers worked out by hand, and their gradients against closed forms."""

import math

import numpy as np
import pytest
import torch

from training.errors import TrainingError
from training.medconv.losses import ClassLoss, balanced_cross_entropy, inverse_frequency, joint_loss, weighted_binary_cross_entropy

pytestmark = pytest.mark.unit

COUNTS = (60, 30, 10)
LOGITS = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, -1.0]], dtype=torch.float64)
TARGET = torch.tensor([2, 0])


def test_equal_logits_cost_the_logarithm_of_the_prior() -> None:
    loss = ClassLoss("balce", COUNTS)(torch.zeros(1, 3), torch.tensor([2]))
    assert float(loss) == pytest.approx(-math.log(0.1), rel=1e-6)


def test_two_cases_by_hand() -> None:
    # softmax(z + log prior) is prior * exp(z), normalised: 0.6 e / (0.6 e + 0.3 + 0.1 / e).
    second = -math.log(0.6 * math.e / (0.6 * math.e + 0.3 + 0.1 / math.e))
    expected = (-math.log(0.1) + second) / 2
    assert float(balanced_cross_entropy(LOGITS, TARGET, torch.log(torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)))) == pytest.approx(
        expected
    )


@pytest.mark.parametrize("tau1", [0.0, 0.5, 1.0, 2.0])
def test_gradient_is_probability_less_truth(tau1: float) -> None:
    logits = LOGITS.clone().requires_grad_()
    log_prior = torch.log(torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64))
    balanced_cross_entropy(logits, TARGET, log_prior, tau1).backward()  # type: ignore[no-untyped-call]
    shifted = np.exp(LOGITS.numpy()) * np.array([0.6, 0.3, 0.1]) ** tau1
    expected = (shifted / shifted.sum(axis=1, keepdims=True) - np.eye(3)[TARGET.numpy()]) / 2
    assert logits.grad is not None
    np.testing.assert_allclose(logits.grad.numpy(), expected, atol=1e-12)


def test_tau_zero_is_plain_cross_entropy() -> None:
    logits = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([0, 1, 2, 0, 1, 2, 0, 0])
    assert torch.equal(ClassLoss("balce", COUNTS, tau1=0.0)(logits, target), ClassLoss("ce", COUNTS)(logits, target))


def test_inverse_frequencies_average_to_one_over_the_cases() -> None:
    weights = inverse_frequency(COUNTS)
    assert weights == pytest.approx((100 / 180, 100 / 90, 100 / 30))
    assert sum(weight * count for weight, count in zip(weights, COUNTS, strict=True)) == pytest.approx(100)


def test_weighted_form_and_its_gradient() -> None:
    weights = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
    logits = LOGITS.clone().requires_grad_()
    loss = weighted_binary_cross_entropy(logits, TARGET, weights)
    # First case (class 2, all logits 0): three terms of log 2 each, weight 3. Second (class 0): softplus(-1), softplus(0), softplus(-1).
    second = 2 * math.log(1 + math.exp(-1)) + math.log(2)
    assert float(loss.detach()) == pytest.approx((3.0 * 3 * math.log(2) + 0.5 * second) / 6)
    loss.backward()  # type: ignore[no-untyped-call]
    sigmoid = 1 / (1 + np.exp(-LOGITS.numpy()))
    expected = np.array([3.0, 0.5])[:, None] * (sigmoid - np.eye(3)[TARGET.numpy()]) / 6
    assert logits.grad is not None
    np.testing.assert_allclose(logits.grad.numpy(), expected, atol=1e-12)


def test_half_precision_logits_are_judged_in_full() -> None:
    loss = ClassLoss("balce", COUNTS)(torch.zeros(1, 3, dtype=torch.bfloat16), torch.tensor([1]))
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(-math.log(0.3), rel=1e-6)


def test_joint_loss_leaves_out_unknown_t_scores() -> None:
    value = torch.tensor([-1.0, -2.0, 5.0], requires_grad=True)
    loss, error = joint_loss(torch.tensor(0.25), value, torch.tensor([-1.5, -4.0, math.nan]), 0.5)
    assert float(error.detach()) == pytest.approx((0.25 + 4.0) / 2)
    assert float(loss.detach()) == pytest.approx(0.25 + 0.5 * 2.125)
    loss.backward()  # type: ignore[no-untyped-call]
    assert value.grad is not None
    np.testing.assert_allclose(value.grad.numpy(), [0.25, 1.0, 0.0])


def test_without_any_t_score_only_the_class_counts() -> None:
    loss, error = joint_loss(torch.tensor(0.25), torch.tensor([1.0]), torch.tensor([math.nan]), 1.0)
    assert (float(loss), float(error)) == (0.25, 0.0)


def test_a_missing_class_and_an_unknown_name_are_refused() -> None:
    with pytest.raises(TrainingError, match="at least one training case"):
        ClassLoss("balce", (5, 0, 2))
    with pytest.raises(TrainingError, match="no loss 'focal'"):
        ClassLoss("focal", COUNTS)
