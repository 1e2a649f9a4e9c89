"""Sinkhorn-Knopp: marginals, an independent computation, and two processes that agree with one."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

from training.errors import TrainingError
from training.tpswav.sinkhorn import sinkhorn

pytestmark = pytest.mark.unit

SCORES = torch.tensor(np.random.default_rng(0).uniform(-1, 1, (12, 5)), dtype=torch.float32)


def test_rows_sum_to_one_and_prototypes_share_evenly() -> None:
    found = sinkhorn(SCORES, epsilon=0.3, iterations=200)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(12))
    torch.testing.assert_close(found.sum(dim=0), torch.full((5,), 12 / 5), rtol=1e-3, atol=1e-3)
    after_three = sinkhorn(SCORES)
    torch.testing.assert_close(after_three.sum(dim=1), torch.ones(12))
    assert (after_three >= 0).all()


def test_it_is_the_scaling_of_rows_and_columns_in_turn() -> None:
    mass = np.exp(SCORES.double().numpy() / 0.2)
    for _ in range(4):
        mass = mass / mass.sum(axis=0, keepdims=True) / 5
        mass = mass / mass.sum(axis=1, keepdims=True) / 12
    np.testing.assert_allclose(sinkhorn(SCORES, epsilon=0.2, iterations=4).numpy(), mass * 12, rtol=1e-4)


def test_views_that_all_like_one_prototype_are_spread() -> None:
    scores = torch.zeros(8, 2)
    scores[:, 0] = 0.5 + torch.arange(8) * 0.01
    found = sinkhorn(scores)
    assert (scores.argmax(dim=1) == 0).all()
    assert found[:, 1].sum() == pytest.approx(4.0, abs=0.3)
    assert (found[:, 0].diff() > 0).all()  # the order stays


def test_scores_of_any_size_give_finite_assignments_and_no_gradient() -> None:
    scores = torch.tensor([[900.0, -900.0], [1000.0, 990.0]], requires_grad=True)
    found = sinkhorn(scores, epsilon=0.05)
    assert torch.isfinite(found).all()
    assert not found.requires_grad
    with pytest.raises(TrainingError):
        sinkhorn(SCORES, iterations=0)
    with pytest.raises(TrainingError):
        sinkhorn(SCORES, epsilon=0)


def _worker(rank: int, meeting: str, out: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    half = SCORES[6 * rank : 6 * rank + 6]
    torch.save(sinkhorn(half, epsilon=0.1), f"{out}/{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def test_two_processes_assign_as_one_would(tmp_path: Path) -> None:
    multiprocessing.spawn(_worker, (str(tmp_path / "meeting"), str(tmp_path)), nprocs=2)  # type: ignore[no-untyped-call]
    halves = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    torch.testing.assert_close(torch.cat(halves), sinkhorn(SCORES, epsilon=0.1))
    assert not torch.allclose(halves[0], sinkhorn(SCORES[:6], epsilon=0.1))
