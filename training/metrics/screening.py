"""From predicted T-scores to screening decisions, by vertebra and by patient (CXR paper, Tables II and III; TP-SwAV, Table 3)."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from training.data.labels import OSTEOPOROSIS_TO
from training.metrics.arrays import pair
from training.metrics.classification import binary_metrics

FLEX: Mapping[str, float] = {"L1": -2.2, "L2": -2.1, "L3": -2.0, "L4": -1.9}
"""The CXR paper's thresholds by vertebra."""

Threshold = float | Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Vertebrae:
    """Vertebrae of a test set: patient, level, true and predicted T-score, each of length N."""

    patients: Sequence[Hashable]
    levels: Sequence[str]
    t_score: ArrayLike
    predicted_t_score: ArrayLike

    def positive(self, threshold: Threshold) -> NDArray[np.bool_]:
        """Whether the predicted T-score is at or below the threshold, of the vertebra's level where it is given by level.

        Raises
        ------
        ValueError
            A level without a threshold.
        """
        _, said = pair(self.t_score, self.predicted_t_score)
        if not isinstance(threshold, Mapping):
            return np.asarray(said <= threshold)
        missing = sorted(set(self.levels) - set(threshold))
        if missing:
            raise ValueError(f"no threshold is given for {', '.join(missing)}")
        return np.asarray(said <= np.array([threshold[level] for level in self.levels]))

    def truly_positive(self) -> NDArray[np.bool_]:
        """Whether the true T-score is osteoporotic (<= -2.5)."""
        true, _ = pair(self.t_score, self.predicted_t_score)
        return np.asarray(true <= OSTEOPOROSIS_TO)


def any_by_patient(patients: Sequence[Hashable], positive: ArrayLike) -> tuple[tuple[Hashable, ...], NDArray[np.bool_]]:
    """A patient is positive if any vertebra is. Patients in order of appearance.

    Raises
    ------
    ValueError
        Unequal lengths.
    """
    flags = np.asarray(positive, dtype=bool)
    found: dict[Hashable, bool] = {}
    for patient, flag in zip(patients, flags, strict=True):
        found[patient] = found.get(patient, False) or bool(flag)
    return tuple(found), np.array(list(found.values()), dtype=bool)


def vertebra_metrics(vertebrae: Vertebrae, threshold: Threshold, level: str | None = None) -> dict[str, float]:
    """Binary metrics of the vertebrae of one level, or of all."""
    chosen = np.array([level is None or name == level for name in vertebrae.levels], dtype=bool)
    if not chosen.any():
        raise ValueError(f"there is no vertebra {level}")
    return binary_metrics(vertebrae.truly_positive()[chosen].astype(int), vertebrae.positive(threshold)[chosen].astype(int))


def patient_metrics(vertebrae: Vertebrae, threshold: Threshold) -> dict[str, float]:
    """Binary metrics of patients: positive, truly and as predicted, if any of their vertebrae is."""
    _, true = any_by_patient(vertebrae.patients, vertebrae.truly_positive())
    _, said = any_by_patient(vertebrae.patients, vertebrae.positive(threshold))
    return binary_metrics(true.astype(int), said.astype(int))
