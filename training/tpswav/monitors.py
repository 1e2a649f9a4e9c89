"""What an encoder has learned without labels: a linear probe and nearest neighbours, on vertebrae whose truth is known.

Both are fitted to vectors of the training part and judged by those of the validation part; nothing flows back into the encoder.
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize
from scipy.special import expit, softmax

from training.errors import TrainingError
from training.metrics.agreement import pearson_r
from training.metrics.arrays import Floats, Ints
from training.metrics.ranking import auc


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """Vectors (N, D) of labelled vertebrae: ``label`` (N,) is 1 for osteoporosis, ``bmd_g_cm2`` (N,) is NaN where not known."""

    vectors: Floats
    label: Ints
    bmd_g_cm2: Floats


def standardised(train: Floats, other: Floats) -> tuple[Floats, Floats]:
    """Both with mean 0 and deviation 1 of the first; channels that never move stay at 0."""
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    scale = np.where(deviation > 1e-8, deviation, np.inf)
    return (train - mean) / scale, (other - mean) / scale


def nearest_neighbours(train: Floats, label: Ints, query: Floats, *, neighbours: int = 20, temperature: float = 0.07) -> Floats:
    """Share of osteoporosis among the nearest training vectors by cosine, weighted by exp(cosine / temperature) (Wu et al. 2018). (M,)."""
    unit = train / np.maximum(np.linalg.norm(train, axis=1, keepdims=True), 1e-12)
    asked = query / np.maximum(np.linalg.norm(query, axis=1, keepdims=True), 1e-12)
    cosines = asked @ unit.T  # (M, N)
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, : min(neighbours, train.shape[0])]
    weights = softmax(np.take_along_axis(cosines, nearest, axis=1) / temperature, axis=1)
    share: Floats = (weights * label[nearest]).sum(axis=1)
    return share


def linear_probe(train: Floats, label: Ints, query: Floats, *, penalty: float = 1.0) -> Floats:
    """Log-odds (M,) of a logistic regression with an L2 penalty on its slopes, fitted to standardised vectors."""
    inside, asked = standardised(train, query)
    sign = np.where(label == 1, 1.0, -1.0)

    def objective(parameters: Floats) -> tuple[float, Floats]:
        slopes, intercept = parameters[:-1], parameters[-1]
        margin = sign * (inside @ slopes + intercept)
        pull = -sign * expit(-margin)
        loss = float(np.logaddexp(0.0, -margin).sum() + 0.5 * penalty * slopes @ slopes)
        return loss, np.append(inside.T @ pull + penalty * slopes, pull.sum())

    found = optimize.minimize(objective, np.zeros(inside.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    odds: Floats = asked @ found.x[:-1] + found.x[-1]
    return odds


def ridge(train: Floats, value: Floats, query: Floats, *, penalty: float = 1.0) -> Floats:
    """Values (M,) of a linear regression with an L2 penalty on its slopes, fitted to standardised vectors (in the smaller of its forms)."""
    inside, asked = standardised(train, query)
    centred = value - value.mean()
    kernel = inside @ inside.T + penalty * np.eye(inside.shape[0])
    predicted: Floats = asked @ (inside.T @ np.linalg.solve(kernel, centred)) + value.mean()
    return predicted


def monitored(train: Vectors, validation: Vectors) -> dict[str, float]:
    """``knn_auc`` and ``probe_auc`` of osteoporosis, ``probe_bmd_r`` of density, on the validation part.

    Raises
    ------
    TrainingError
        A part lacks one of the two classes: there is nothing to tell apart.
    """
    for part, name in ((train, "training"), (validation, "validation")):
        if len(set(part.label.tolist())) < 2:
            raise TrainingError(f"the {name} part needs vertebrae with and without osteoporosis for a probe")
    scores = {
        "knn_auc": nearest_neighbours(train.vectors, train.label, validation.vectors),
        "probe_auc": linear_probe(train.vectors, train.label, validation.vectors),
    }
    found = {name: auc(validation.label, score) for name, score in scores.items()}
    known, asked = np.isfinite(train.bmd_g_cm2), np.isfinite(validation.bmd_g_cm2)
    if known.sum() >= 2 and asked.sum() >= 2:
        said = ridge(train.vectors[known], train.bmd_g_cm2[known], validation.vectors[asked])
        r = pearson_r(validation.bmd_g_cm2[asked], said)
        found["probe_bmd_r"] = r if np.isfinite(r) else 0.0
    return found
