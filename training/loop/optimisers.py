"""Optimisers by name, and what a run without a schedule needs around them."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from training.errors import TrainingError
from training.loop.options import LoopOptions


def make_optimiser(parameters: Iterable[nn.Parameter], options: LoopOptions) -> torch.optim.Optimizer:
    """The optimiser that the options name.

    Raises
    ------
    TrainingError
        ``schedule_free`` without the package ``schedulefree``.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if options.schedule_free:
        return _schedule_free(trained, options)
    rate, decay = options.learning_rate, options.weight_decay
    if options.optimiser == "adamw":
        return torch.optim.AdamW(trained, lr=rate, betas=options.betas, weight_decay=decay)
    if options.optimiser == "adam":
        return torch.optim.Adam(trained, lr=rate, betas=options.betas, weight_decay=decay)
    return torch.optim.SGD(trained, lr=rate, momentum=options.momentum, weight_decay=decay)


def _schedule_free(parameters: list[nn.Parameter], options: LoopOptions) -> torch.optim.Optimizer:
    try:
        import schedulefree  # an optional extra
    except ImportError as error:
        raise TrainingError("schedule_free needs the package schedulefree: pip install 'osteon[training]'") from error
    made: Any
    if options.optimiser == "adamw":
        made = schedulefree.AdamWScheduleFree(parameters, lr=options.learning_rate, betas=options.betas, weight_decay=options.weight_decay)
    else:
        made = schedulefree.SGDScheduleFree(
            parameters, lr=options.learning_rate, momentum=options.momentum, weight_decay=options.weight_decay
        )
    optimiser: torch.optim.Optimizer = made
    return optimiser


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """The rate of the next step. A schedule-free optimiser weighs its average by it, which gives its own warm-up."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def to_training_point(optimiser: torch.optim.Optimizer) -> None:
    """Put the weights where gradients are taken; nothing to do unless the optimiser is schedule-free."""
    if hasattr(optimiser, "train"):
        optimiser.train()


def to_averaged_point(optimiser: torch.optim.Optimizer) -> None:
    """Put the averaged weights into the network; nothing to do unless the optimiser is schedule-free."""
    if hasattr(optimiser, "eval"):
        optimiser.eval()
