"""Losses for long-tailed classes: plain, logit-adjusted and weighted cross-entropy, each a pure function of logits.

The paper's text (MedConv, arXiv 2502.00631, section III-B) weighs a binary cross-entropy by inverse class frequency; its authors' code
trains on ``CE(z + tau1 * log prior)`` (Menon et al. 2021, Eq. 10; the balanced softmax of Ren et al. 2020 at tau1 = 1), which is what its
Table V sweeps. The latter is the default here.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from inference.adjustment import class_priors, log_priors
from training.errors import TrainingError

LossName = Literal["balce", "weighted", "ce"]
LOSSES: tuple[LossName, ...] = ("balce", "weighted", "ce")


def balanced_cross_entropy(logits: Tensor, target: Tensor, log_prior: Tensor, tau1: float = 1.0) -> Tensor:
    """Mean over cases of ``-log softmax(z + tau1 * log prior)[y]`` (Menon et al. 2021, Eq. 10).

    Parameters
    ----------
    logits
        (B, classes).
    target
        (B,) int64 class indices.
    log_prior
        (classes,) logarithms of the shares in the training data.
    tau1
        0 is plain cross-entropy; at 1 the network's own logits become balanced between classes.
    """
    return functional.cross_entropy(logits + tau1 * log_prior, target)


def weighted_binary_cross_entropy(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """The loss of the paper's text: ``-1/N sum_i w_i (y_i log p_i + (1 - y_i) log(1 - p_i))``, each class a yes or no of its own.

    ``p`` is the sigmoid of a class's logit, ``y`` one for the true class; cases carry the weight of their true class. The mean goes over
    cases and classes.

    Parameters
    ----------
    logits
        (B, classes).
    target
        (B,) int64 class indices.
    weights
        (classes,), :func:`inverse_frequency`.
    """
    yes = functional.one_hot(target, logits.shape[1]).to(logits.dtype)
    each = functional.binary_cross_entropy_with_logits(logits, yes, reduction="none")  # (B, classes)
    return (weights[target][:, None] * each).mean()


def inverse_frequency(counts: Sequence[int]) -> tuple[float, ...]:
    """Weight of each class: ``N / (K n_k)``, so that the mean weight of a training case is 1.

    Raises
    ------
    TrainingError
        A class has no case.
    """
    if not counts or min(counts) <= 0:
        raise TrainingError(f"every class needs at least one training case; counts: {list(counts)}")
    total = sum(counts)
    return tuple(total / (len(counts) * count) for count in counts)


class ClassLoss:
    """One of the losses for training data of known class counts.

    Parameters
    ----------
    name
        ``balce`` (logit-adjusted), ``weighted`` (the paper's text) or ``ce``.
    counts
        Training cases of each class.
    tau1
        For ``balce`` alone.

    Raises
    ------
    TrainingError
        Another name, or a class without a case.
    """

    def __init__(self, name: str, counts: Sequence[int], tau1: float = 1.0) -> None:
        if name not in LOSSES:
            raise TrainingError(f"there is no loss {name!r}; there are {', '.join(LOSSES)}")
        weights = inverse_frequency(counts)
        self.name = name
        self.tau1 = tau1
        self.priors = class_priors(counts)
        self._log_prior = torch.from_numpy(log_priors(self.priors).astype(np.float32))
        self._weights = torch.tensor(weights, dtype=torch.float32)

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """The scalar loss of logits (B, classes) and class indices (B,), computed in float32."""
        scores = logits.float()
        if self.name == "balce":
            return balanced_cross_entropy(scores, target, self._log_prior.to(scores.device), self.tau1)
        if self.name == "weighted":
            return weighted_binary_cross_entropy(scores, target, self._weights.to(scores.device))
        return functional.cross_entropy(scores, target)


def joint_loss(classification: Tensor, value: Tensor, t_score: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    """JointViT's joint supervision: the class's loss plus ``weight`` times the mean squared error of the T-score.

    Cases whose T-score is not known (NaN) count for the class alone.

    Parameters
    ----------
    classification
        Scalar.
    value, t_score
        (B,) predicted and known T-scores.

    Returns
    -------
    loss, error
        Scalars; the error is 0 where no T-score is known.
    """
    known = torch.isfinite(t_score)
    error = functional.mse_loss(value.float()[known], t_score[known]) if bool(known.any()) else value.float().sum() * 0.0
    return classification + weight * error, error
