"""Losses against values computed by hand."""

import math

import pytest
import torch

from training.dxa.losses import LOSSES, ClassLoss, LossName, modulated
from training.errors import TrainingError

pytestmark = pytest.mark.unit

LOGITS = torch.tensor([[0.0, math.log(3.0)], [math.log(4.0), 0.0]])  # softmax: (1/4, 3/4) and (4/5, 1/5)
TARGET = torch.tensor([1, 1])
P = (0.75, 0.2)
FACTORS = {"ce": (1.0, 1.0), "focal": (0.0625, 0.64), "attention": (4**0.5, 4**0.8**0.5)}


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_is_its_formula(name: LossName) -> None:
    expected = sum(-factor * math.log(p) for factor, p in zip(FACTORS[name], P, strict=True)) / 2
    assert float(ClassLoss(name, (1, 1), weighted=False)(LOGITS, TARGET)) == pytest.approx(expected, rel=1e-5)


def test_weights_are_inverse_frequencies() -> None:
    loss = ClassLoss("ce", (114, 60))
    assert loss.weights.tolist() == pytest.approx([174 / 228, 174 / 120])
    plain = ClassLoss("ce", (114, 60), weighted=False)
    assert float(loss(LOGITS, TARGET)) == pytest.approx(174 / 120 * float(plain(LOGITS, TARGET)), rel=1e-5)


def test_sigmoid_asks_each_class_by_itself() -> None:
    logits, target = torch.tensor([[-1.0, 2.0]]), torch.tensor([1])
    own = [-math.log(1 - 1 / (1 + math.exp(1.0))), -math.log(1 / (1 + math.exp(-2.0)))]
    assert float(ClassLoss("ce", (1, 1), output="sigmoid", weighted=False)(logits, target)) == pytest.approx(sum(own) / 2, rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_slopes_stay_finite_where_a_case_is_certain(name: LossName) -> None:
    log_p = torch.tensor([0.0, -1e-7, -30.0], requires_grad=True)
    modulated(log_p, name).sum().backward()  # type: ignore[no-untyped-call]
    assert log_p.grad is not None
    assert torch.isfinite(log_p.grad).all()


def test_an_unknown_loss_and_a_class_without_cases_are_refused() -> None:
    with pytest.raises(TrainingError, match="no loss 'hinge'"):
        ClassLoss("hinge", (1, 1))
    with pytest.raises(TrainingError, match="every class needs"):
        ClassLoss("ce", (3, 0))
