"""Averages of the weights: the exponential moving average, and batch statistics for weights that no batch has gone through."""

import copy
from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from training.loop.task import Batch


class MovingAverage:
    """Exponential moving average of weights and of floating buffers: a <- d a + (1 - d) w after every step.

    The decay of step n is min(decay, (1 + n) / (10 + n)), so that the first weights, which are random, are forgotten early.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after step ``step`` of the whole run, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for average, weight in zip(self.model.parameters(), model.parameters(), strict=True):
            average.lerp_(weight, 1 - decay)
        for mean, buffer in zip(self.model.buffers(), model.buffers(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(buffer, 1 - decay)
            else:
                mean.copy_(buffer)


def has_batch_statistics(model: nn.Module) -> bool:
    """Whether the network keeps running statistics of batches."""
    return any(isinstance(module, _BatchNorm) and module.track_running_stats for module in model.modules())


@torch.no_grad()
def refresh_batch_statistics(model: nn.Module, batches: Iterable[Batch], forward: Callable[[Batch], object]) -> None:
    """Running means and variances of the weights as they are now, over ``batches``; the model is left in training mode."""
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over all batches
    model.train()
    try:
        for batch in batches:
            forward(batch)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
