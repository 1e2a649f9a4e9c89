"""Sharpness-aware minimisation (Foret et al. 2021, "Sharpness-Aware Minimization for Efficiently Improving Generalization").

Descend along the gradient taken not at the weights w but at the worst point near them, equation 2 with p = 2:
w + rho * g / ||g||, where g is the gradient at w.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def gradient_norm(parameters: Sequence[nn.Parameter]) -> Tensor:
    """Euclidean norm of all gradients together, a scalar."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


@contextmanager
def worst_point(model: nn.Module, parameters: Sequence[nn.Parameter], rho: float) -> Iterator[None]:
    """Move the weights uphill by ``rho`` for the time of the block, then put back exactly what was there.

    The step has length ``rho`` whatever the gradients are multiplied by, so scaled ones (mixed precision) will do. Running statistics of
    batch normalisation are those of w, not of the worst point, and do not move inside the block.
    """
    moved = [parameter for parameter in parameters if parameter.grad is not None]
    before = [parameter.detach().clone() for parameter in moved]
    with torch.no_grad():
        scale = rho / (gradient_norm(moved) + 1e-12)
        for parameter in moved:
            if parameter.grad is not None:
                parameter.add_(parameter.grad * scale)
    try:
        with still_statistics(model):
            yield
    finally:
        with torch.no_grad():
            for parameter, old in zip(moved, before, strict=True):
                parameter.copy_(old)


@contextmanager
def still_statistics(model: nn.Module) -> Iterator[None]:
    """Keep running means and variances of batch normalisation as they are."""
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    before = [{name: buffer.clone() for name, buffer in layer.named_buffers(recurse=False)} for layer in layers]
    try:
        yield
    finally:
        with torch.no_grad():
            for layer, buffers in zip(layers, before, strict=True):
                for name, buffer in layer.named_buffers(recurse=False):
                    buffer.copy_(buffers[name])
