"""The losses of TP-SwAV, each a pure function: swapped prediction, diversity of prototypes, three tasks together, balance of experts."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from inference.ct.vertebra_experts import Reading
from training.errors import TrainingError

UNKNOWN = -1
"""The class or position of a vertebra for which none is known; it counts in no loss."""


def swapped_prediction(first: Tensor, second: Tensor, first_target: Tensor, second_target: Tensor, *, temperature: float = 0.1) -> Tensor:
    """Each view's assignment, predicted from the other view (equation 1), a mean over the vertebrae.

    Parameters
    ----------
    first, second
        (B, K): similarities P·C of the two views.
    first_target, second_target
        (B, K): their assignments Q, rows summing to 1, without gradient.
    temperature
        tau.
    """
    log_first = functional.log_softmax(first / temperature, dim=1)
    log_second = functional.log_softmax(second / temperature, dim=1)
    return -(second_target * log_first).sum(dim=1).mean() - (first_target * log_second).sum(dim=1).mean()


def prototype_diversity(prototypes: Tensor) -> Tensor:
    """Mean squared cosine between different prototypes (K, D): 0 where all are at right angles, 1 where all are one.

    The paper names "a clustering regularization term [that] ensures prototype diversity" without a formula; this is ours.
    """
    unit = functional.normalize(prototypes, dim=1)
    cosines = unit @ unit.T
    count = prototypes.shape[0]
    return (cosines.square().sum() - cosines.diagonal().square().sum()) / max(1, count * (count - 1))


@dataclass(frozen=True, kw_only=True)
class TaskWeights:
    """Weights of the three tasks in the unified loss (equation 4): alpha, beta, gamma. 0 leaves a task out."""

    diagnosis: float = 1.0
    bmd: float = 1.0
    position: float = 0.5

    def __post_init__(self) -> None:
        given = (self.diagnosis, self.bmd, self.position)
        if min(given) < 0 or max(given) <= 0:
            raise TrainingError("weights of the tasks are not negative, and one is positive")


def unified_loss(said: Reading, truth: Mapping[str, Tensor], weights: TaskWeights, *, bmd_sd: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Cross-entropy of the diagnosis, squared error of the density, cross-entropy of the position, weighted and added.

    Parameters
    ----------
    truth
        ``label`` (B,) int64 and ``position`` (B,) int64, :data:`UNKNOWN` where not known; ``bmd`` (B,) g/cm2, NaN where not known. Each
        loss is a mean over the vertebrae that have its truth; a batch without any adds 0.
    bmd_sd
        Standard deviation of the training part's density, g/cm2: the error counts in its unit, so that it weighs about as much as the
        others do. The paper does not say in what unit its error is.

    Returns
    -------
    tuple
        The loss to descend, and each part before its weight.
    """
    parts = {
        "diagnosis": _cross_entropy(said.diagnosis, truth["label"]),
        "bmd": _squared_error(said.bmd_g_cm2 / bmd_sd, truth["bmd"] / bmd_sd),
        "position": _cross_entropy(said.position, truth["position"]),
    }
    chosen = {"diagnosis": weights.diagnosis, "bmd": weights.bmd, "position": weights.position}
    total = torch.stack([chosen[name] * part for name, part in parts.items()]).sum()
    return total, parts


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    known = target != UNKNOWN
    if not bool(known.any()):
        return logits.sum() * 0.0
    return functional.cross_entropy(logits[known], target[known])


def _squared_error(value: Tensor, target: Tensor) -> Tensor:
    known = torch.isfinite(target)
    if not bool(known.any()):
        return value.sum() * 0.0
    return functional.mse_loss(value[known], target[known])


@dataclass(frozen=True, kw_only=True)
class Balance:
    """How evenly experts are used.

    Attributes
    ----------
    mean
        Share of each expert over all vertebrae.
    variation
        Squared coefficient of variation of these shares (Shazeer et al. 2017): 0 where all are used alike, N - 1 where one does it all.
    entropy
        Mean entropy of a vertebra's weights over its largest possible value: 1 where each vertebra asks all experts alike, 0 where it asks
        one. 1 for a single expert.
    by_device
        Mean weights (devices, experts); NaN in the row of a device without a vertebra.
    """

    mean: Tensor
    variation: float
    entropy: float
    by_device: Tensor


def load_balance(gates: Tensor, device: Tensor, devices: int) -> Balance:
    """Balance of weights (B, experts) of vertebrae whose density is wanted on the scale of devices by index (B,)."""
    gates = gates.detach().float()
    experts = gates.shape[1]
    mean = gates.mean(dim=0)
    entropy = -(gates * gates.clamp_min(1e-12).log()).sum(dim=1).mean()
    largest = torch.log(torch.tensor(float(experts)))
    rows = [gates[device == index].mean(dim=0) for index in range(devices)]
    return Balance(
        mean=mean,
        variation=float(mean.var(correction=0) / mean.mean().square()),
        entropy=float(entropy / largest) if experts > 1 else 1.0,
        by_device=torch.stack(rows),
    )
