"""Logits, class priors and the adjustment of one by the other: once, for the losses of training, its evaluation and the node.

Menon et al. 2021 (Long-tail learning via logit adjustment, ICLR): training with ``softmax(z + tau1 * log prior)`` makes ``z`` itself
balanced between classes (Eq. 10; balanced softmax at tau1 = 1); ``z - tau2 * log prior`` shifts a trained network's scores after the
fact (Eq. 9). MedConv uses tau1 = 1 and tau2 = 0.5.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inference.errors import PermanentError

Floats = NDArray[np.float64]


def class_priors(counts: Sequence[int]) -> tuple[float, ...]:
    """Share of each class.

    Parameters
    ----------
    counts
        Cases of each class in the training data.

    Raises
    ------
    PermanentError
        A class without a case has no finite logarithm: nothing could be adjusted by it.
    """
    if not counts or min(counts) <= 0:
        raise PermanentError(f"every class needs at least one case in the training data; counts: {list(counts)}")
    total = sum(counts)
    return tuple(count / total for count in counts)


def log_priors(priors: Sequence[float]) -> Floats:
    """(classes,) natural logarithms of the priors.

    Raises
    ------
    PermanentError
        A prior is not positive, or they do not sum to 1.
    """
    shares = np.asarray(priors, dtype=np.float64)
    if shares.ndim != 1 or shares.size == 0 or not np.all(shares > 0) or abs(float(shares.sum()) - 1.0) > 1e-6:
        raise PermanentError(f"priors are positive and sum to 1, which {list(priors)} do not")
    return np.asarray(np.log(shares))


def adjusted_logits(logits: NDArray[np.floating], priors: Sequence[float], tau2: float) -> Floats:
    """Post-hoc adjustment ``z - tau2 * log prior`` (Menon et al. 2021, Eq. 9).

    Parameters
    ----------
    logits
        (..., classes).
    priors
        (classes,) shares in the training data.
    tau2
        0 leaves the scores as they are; larger values favour rare classes.

    Raises
    ------
    PermanentError
        The priors are none, or of another number of classes.
    """
    shift = log_priors(priors)
    scores = np.asarray(logits, dtype=np.float64)
    if scores.shape[-1:] != shift.shape:
        raise PermanentError(f"{shift.size} priors for logits of shape {scores.shape}")
    return np.asarray(scores - tau2 * shift)


def softmax(logits: NDArray[np.floating]) -> Floats:
    """Probabilities (..., classes) of logits (..., classes)."""
    scores = np.asarray(logits, dtype=np.float64)
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def adjusted_probabilities(logits: NDArray[np.floating], priors: Sequence[float], tau2: float) -> Floats:
    """Softmax of :func:`adjusted_logits`."""
    return softmax(adjusted_logits(logits, priors, tau2))
