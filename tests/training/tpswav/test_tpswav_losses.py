"""Losses against values computed by hand."""

import math

import numpy as np
import pytest
import torch

from inference.ct.vertebra_experts import Reading
from training.errors import TrainingError
from training.tpswav.losses import UNKNOWN, TaskWeights, load_balance, prototype_diversity, swapped_prediction, unified_loss

pytestmark = pytest.mark.unit

NAN = float("nan")


def test_swapped_prediction_is_equation_1() -> None:
    first, second = torch.tensor([[0.2, 0.0]]), torch.tensor([[0.0, 0.1]])
    q_first, q_second = torch.tensor([[0.75, 0.25]]), torch.tensor([[0.5, 0.5]])
    found = swapped_prediction(first, second, q_first, q_second, temperature=0.1)
    # view 1 predicts q of view 2 with softmax(2, 0), view 2 predicts q of view 1 with softmax(0, 1)
    one = -(0.5 * (2 - math.log(math.exp(2) + 1)) + 0.5 * (0 - math.log(math.exp(2) + 1)))
    other = -(0.75 * (0 - math.log(1 + math.e)) + 0.25 * (1 - math.log(1 + math.e)))
    assert float(found) == pytest.approx(one + other)
    twice = swapped_prediction(*(torch.cat([part, part]) for part in (first, second, q_first, q_second)), temperature=0.1)
    assert float(twice) == pytest.approx(one + other)


def test_diversity_is_the_mean_squared_cosine() -> None:
    assert float(prototype_diversity(torch.eye(4))) == 0.0
    assert float(prototype_diversity(torch.ones(3, 7))) == pytest.approx(1.0)
    leaning = torch.tensor([[1.0, 0.0], [5.0, 5.0], [0.0, 2.0]])  # cosines 1/sqrt(2), 0, 1/sqrt(2)
    assert float(prototype_diversity(leaning)) == pytest.approx((0.5 + 0.0 + 0.5) / 3)


def reading(diagnosis: list[list[float]], bmd: list[float], position: torch.Tensor) -> Reading:
    return Reading(
        diagnosis=torch.tensor(diagnosis, requires_grad=True),
        bmd_g_cm2=torch.tensor(bmd, requires_grad=True),
        position=position.requires_grad_(),
        gates=torch.ones(len(bmd), 1),
    )


def test_the_unified_loss_is_equation_4_over_what_is_known() -> None:
    position = torch.zeros(3, 18)
    position[0, 12] = 2.0
    said = reading([[0.0, 1.0], [3.0, 0.0], [9.0, 9.0]], [0.9, 1.2, 5.0], position)
    truth = {
        "label": torch.tensor([1, 0, UNKNOWN]),
        "bmd": torch.tensor([1.0, 1.0, NAN]),
        "position": torch.tensor([12, UNKNOWN, 3]),
    }
    total, parts = unified_loss(said, truth, TaskWeights(), bmd_sd=torch.tensor(0.2))
    diagnosis = (math.log(1 + math.e) - 1 + math.log(math.exp(3) + 1) - 3) / 2
    bmd = ((0.1 / 0.2) ** 2 + (0.2 / 0.2) ** 2) / 2
    places = (math.log(math.exp(2) + 17) - 2 + math.log(18)) / 2
    assert [float(parts[name].detach()) for name in ("diagnosis", "bmd", "position")] == pytest.approx([diagnosis, bmd, places])
    assert float(total.detach()) == pytest.approx(diagnosis + bmd + 0.5 * places)
    alone, _ = unified_loss(said, truth, TaskWeights(bmd=0.0, position=0.0), bmd_sd=torch.tensor(0.2))
    assert float(alone.detach()) == pytest.approx(diagnosis)


def test_a_batch_without_truth_adds_nothing_and_moves_nothing() -> None:
    said = reading([[0.3, 1.0]], [0.9], torch.zeros(1, 18))
    truth = {"label": torch.tensor([UNKNOWN]), "bmd": torch.tensor([NAN]), "position": torch.tensor([UNKNOWN])}
    total, _ = unified_loss(said, truth, TaskWeights(), bmd_sd=torch.tensor(0.2))
    total.backward()
    assert float(total.detach()) == 0.0
    assert float(said.diagnosis.grad.abs().sum()) == 0.0  # type: ignore[union-attr]
    with pytest.raises(TrainingError):
        TaskWeights(diagnosis=0.0, bmd=0.0, position=0.0)


def test_balance_tells_even_from_one_sided_use() -> None:
    device = torch.tensor([0, 0, 1, 1])
    even = load_balance(torch.full((4, 3), 1 / 3), device, 3)
    assert even.variation == pytest.approx(0.0, abs=1e-6)
    assert even.entropy == pytest.approx(1.0)
    assert bool(torch.isnan(even.by_device[2]).all())
    split = load_balance(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), device, 2)
    assert (split.variation, split.entropy) == (pytest.approx(0.0), pytest.approx(0.0, abs=1e-6))
    np.testing.assert_allclose(split.by_device.numpy(), np.eye(2))
    collapsed = load_balance(torch.tensor([[1.0, 0.0, 0.0]] * 4), device, 2)
    assert collapsed.variation == pytest.approx(2.0)
    assert load_balance(torch.ones(4, 1), device, 2).entropy == 1.0
