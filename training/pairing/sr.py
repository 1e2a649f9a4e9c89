"""BMD and T-scores out of a densitometer's structured report, as the node reads them; of them, those that a manifest has columns for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from inference.dxa.device_values import report_values
from inference.errors import Refusal
from inference.tolerant import read_dataset
from training.data.columns import BMD_LEVELS


@dataclass(frozen=True, kw_only=True)
class DxaValues:
    """What a report states: BMD in g/cm2 and T-scores by level; ``t_score`` is that of the region L1-L4."""

    bmd_g_cm2: Mapping[str, float]
    t_scores: Mapping[str, float]

    @property
    def t_score(self) -> float | None:
        """The examination's T-score."""
        return self.t_scores.get("L1-L4")


def read_values(path: Path) -> DxaValues | None:
    """The values of a structured report file; None where it holds none or cannot be read."""
    try:
        return values_of(read_dataset(path))
    except Refusal:
        return None


def values_of(dataset: Dataset) -> DxaValues | None:
    """The values of a structured report; None where it holds none, or states one level twice with different values.

    What counts as a value is :func:`inference.dxa.device_values.report_values`'s rule.
    """
    stated = report_values(dataset)
    if stated is None:
        return None
    bmd, scores = ({level: value for level, value in values.items() if level in BMD_LEVELS} for values in stated)
    return DxaValues(bmd_g_cm2=bmd, t_scores=scores) if bmd or scores else None
