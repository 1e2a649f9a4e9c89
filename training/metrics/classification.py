"""Confusion matrix and what follows from it, per class and averaged in the three ways that papers mix up.

Averages over classes of one-vs-rest values: ``macro`` weighs classes equally, ``weighted`` by their cases, ``micro`` pools the counts.
With one label a case, micro sensitivity equals accuracy and micro specificity (K - 2 + accuracy) / (K - 1): a table in which both hold
row by row reports micro averages (or a test set of equally large classes), whatever its heading says.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from training.metrics.arrays import Floats, Ints, classes


def confusion_matrix(truth: ArrayLike, predicted: ArrayLike, count: int) -> Ints:
    """Counts, shape (count, count): row is the true class, column the predicted one.

    Raises
    ------
    ValueError
        Unequal lengths, or an index outside the classes.
    """
    true, said = classes(truth, count), classes(predicted, count)
    if true.shape != said.shape:
        raise ValueError(f"{true.size} true and {said.size} predicted classes")
    return np.bincount(true * count + said, minlength=count * count).reshape(count, count).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """One-vs-rest scores of each class, shape (K,). NaN where a score is not defined (no such case, or none so called)."""

    support: Ints
    sensitivity: Floats
    specificity: Floats
    precision: Floats
    f1: Floats


def class_scores(matrix: Ints) -> ClassScores:
    """Scores of each class against the rest.

    Sensitivity and specificity of a class without cases (or without others) are NaN, never 0 or 1. F1 is 2TP / (2TP + FP + FN): 0
    where a class is never hit, NaN where it neither occurs nor is predicted.
    """
    hit = np.diag(matrix).astype(np.float64)
    true, said, everything = matrix.sum(axis=1), matrix.sum(axis=0), matrix.sum()
    return ClassScores(
        support=true.astype(np.int64),
        sensitivity=_ratio(hit, true),
        specificity=_ratio(everything - true - said + hit, everything - true),
        precision=_ratio(hit, said),
        f1=_ratio(2.0 * hit, true + said),
    )


def classification_metrics(truth: ArrayLike, predicted: ArrayLike, names: Sequence[str]) -> dict[str, float]:
    """Every score of a classifier of ``len(names)`` classes, by name.

    ``accuracy``, ``balanced_accuracy``; ``sensitivity``, ``specificity``, ``precision``, ``f1`` each with ``_macro``, ``_micro``,
    ``_weighted`` and per class (``sensitivity_osteoporosis``). A macro average over a class whose score is undefined is NaN for
    sensitivity and specificity; an undefined precision counts as 0, as everywhere else: the class was never predicted.
    """
    matrix = confusion_matrix(truth, predicted, len(names))
    scores = class_scores(matrix)
    accuracy = float(np.trace(matrix) / matrix.sum())
    found = {"accuracy": accuracy, "balanced_accuracy": float(scores.sensitivity.mean())}
    micro_specificity = (len(names) - 2 + accuracy) / (len(names) - 1)
    micro = {"sensitivity": accuracy, "specificity": micro_specificity, "precision": accuracy, "f1": accuracy}
    weights = scores.support / scores.support.sum()
    for name in ("sensitivity", "specificity", "precision", "f1"):
        values: Floats = getattr(scores, name)
        counted = np.nan_to_num(values) if name in ("precision", "f1") else values
        found[f"{name}_macro"] = float(counted.mean())
        found[f"{name}_micro"] = micro[name]
        present = scores.support > 0
        found[f"{name}_weighted"] = float((weights * counted)[present].sum())
        found |= {f"{name}_{label}": float(value) for label, value in zip(names, values, strict=True)}
    return found


def binary_metrics(truth: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """``accuracy``, ``sensitivity``, ``specificity``, ``precision`` (PPV), ``npv`` and ``f1`` of the positive class (1). NaN: undefined."""
    matrix = confusion_matrix(truth, predicted, 2)
    scores = class_scores(matrix)
    return {
        "accuracy": float(np.trace(matrix) / matrix.sum()),
        "sensitivity": float(scores.sensitivity[1]),
        "specificity": float(scores.sensitivity[0]),
        "precision": float(scores.precision[1]),
        "npv": float(scores.precision[0]),
        "f1": float(scores.f1[1]),
    }


def _ratio(part: Floats | Ints, whole: Floats | Ints) -> Floats:
    found = np.full(part.shape, np.nan)
    np.divide(part, whole, out=found, where=np.asarray(whole) > 0)
    return found
