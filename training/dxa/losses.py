"""Losses for two classes of unequal size: cross-entropy, focal and attention loss, each with class weights where asked for.

All three are ``-w_y f(p) log p`` with ``p`` the probability of what is true: ``f = 1``; ``f = (1 - p)^2`` (Lin et al. 2017, equation 4);
``f = 4^sqrt(1 - p)`` (Wang et al. 2018, DOOBNet, equation 3 with beta 4 and gamma 0.5). The paper of the 21-layer network names "attention
loss" without a formula; this is the published loss of that name.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from inference.dxa.network import Output
from training.errors import TrainingError
from training.medconv.losses import inverse_frequency

LossName = Literal["ce", "focal", "attention"]
LOSSES: tuple[LossName, ...] = ("ce", "focal", "attention")
_FOCAL_GAMMA = 2.0
_ATTENTION_BETA, _ATTENTION_GAMMA = 4.0, 0.5
_LEAST = 1e-6
"""The slope of a square root at 0 is infinite."""


def modulated(log_p: Tensor, name: LossName) -> Tensor:
    """``-f(p) log p`` of log-probabilities of what is true, any shape."""
    if name == "ce":
        return -log_p
    missed = (1 - log_p.exp()).clamp(min=_LEAST)
    factor = missed**_FOCAL_GAMMA if name == "focal" else _ATTENTION_BETA ** (missed**_ATTENTION_GAMMA)
    return -factor * log_p


class ClassLoss:
    """One of the losses for training data of known class counts.

    Parameters
    ----------
    name
        One of :data:`LOSSES`.
    counts
        Training cases of each class.
    output
        ``softmax``: one choice among the classes. ``sigmoid``: each class a yes or no of its own, their mean.
    weighted
        Cases weigh ``N / (K n_k)`` of their class, so that the rarer class weighs more and the mean weight is 1.

    Raises
    ------
    TrainingError
        Another name, or a class without a case.
    """

    def __init__(self, name: str, counts: Sequence[int], *, output: Output = "softmax", weighted: bool = True) -> None:
        if name not in LOSSES:
            raise TrainingError(f"there is no loss {name!r}; there are {', '.join(LOSSES)}")
        self.name: LossName = next(known for known in LOSSES if known == name)
        self.output = output
        balanced = inverse_frequency(counts)
        self.weights = torch.tensor(balanced if weighted else [1.0] * len(balanced), dtype=torch.float32)

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """The scalar loss of logits (B, classes) and class indices (B,), computed in float32."""
        scores = logits.float()
        if self.output == "softmax":
            log_p = functional.log_softmax(scores, dim=1).gather(1, target[:, None])  # (B, 1)
        else:
            sign = functional.one_hot(target, scores.shape[1]).to(scores.dtype) * 2 - 1
            log_p = functional.logsigmoid(sign * scores)  # (B, classes)
        each = modulated(log_p, self.name).mean(dim=1)
        return (self.weights.to(scores.device)[target] * each).mean()
