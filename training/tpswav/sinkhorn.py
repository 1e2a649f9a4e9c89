"""Assignments of views to prototypes by optimal transport: Sinkhorn-Knopp, in one process or over several (Caron et al. 2020, section 3.1).

Wanted is a matrix Q whose rows (views) each hold the mass 1/B and whose columns (prototypes) each hold 1/K, close to exp(scores/epsilon).
Rows and columns are scaled in turn; after three rounds the columns are nearly even, which keeps all views from falling to one prototype.
"""

import torch
import torch.distributed as dist
from torch import Tensor

from training.errors import TrainingError


@torch.no_grad()
def sinkhorn(scores: Tensor, *, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """Assignments of this process's views.

    Where torch.distributed is initialised, sums go over the views of all processes: the result is the one that a single process with all
    views would have got.

    Parameters
    ----------
    scores
        (B, K): similarities of views and prototypes. Every process has as many views.
    epsilon
        Smoothness: the smaller, the harder the assignments.
    iterations
        Rounds.

    Returns
    -------
    Tensor
        (B, K), each row summing to 1, without gradient.

    Raises
    ------
    TrainingError
        No rounds, or an epsilon that is not positive.
    """
    if epsilon <= 0 or iterations < 1:
        raise TrainingError("Sinkhorn-Knopp needs a positive epsilon and at least one round")
    logits = scores.float() / epsilon
    mass = torch.exp(logits - _over_processes(logits.max(), dist.ReduceOp.MAX))  # the largest is 1: nothing overflows
    views, prototypes = mass.shape[0] * _processes(), mass.shape[1]
    mass /= _over_processes(mass.sum())
    for _ in range(iterations):
        mass /= _over_processes(mass.sum(dim=0, keepdim=True)).clamp_min(torch.finfo(mass.dtype).tiny) * prototypes
        mass /= mass.sum(dim=1, keepdim=True).clamp_min(torch.finfo(mass.dtype).tiny) * views
    return mass * views


def _processes() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _over_processes(part: Tensor, how: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> Tensor:
    """The sum (or maximum) over all processes; the part itself where there is one."""
    if _processes() > 1:
        dist.all_reduce(part, op=how)
    return part
