"""Where a run is, and when it ends: plain values that lie in the checkpoint."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from training.errors import TrainingError
from training.loop.options import LoopOptions

Ending = Literal["epochs", "patience"]


@dataclass(kw_only=True)
class Progress:
    """Where a run is.

    Attributes
    ----------
    epoch, step
        Finished epochs, and finished steps of the next one.
    steps
        Finished steps of the whole run.
    sums
        Of what the steps of the present epoch logged.
    seconds
        Spent on it, over all parts of a resumed run.
    """

    epoch: int = 0
    step: int = 0
    steps: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float | None = None
    seconds: float = 0.0

    def count(self, logged: Mapping[str, float]) -> None:
        """One step was made."""
        self.step += 1
        self.steps += 1
        for name, value in logged.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def means(self) -> dict[str, float]:
        """Of what the steps of this epoch logged."""
        return {name: value / self.step for name, value in self.sums.items()}


def ending(progress: Progress, options: LoopOptions) -> Ending | None:
    """Why the run is over; None while it is not."""
    if progress.epoch >= options.epochs:
        return "epochs"
    if options.patience is not None and progress.step == 0 and progress.epoch - progress.best_epoch >= options.patience:
        return "patience"
    return None


def monitored(values: Mapping[str, float], trained: Mapping[str, float], options: LoopOptions) -> float | None:
    """The value that chooses the best epoch; None where none is asked for.

    Parameters
    ----------
    values, trained
        What ``task.evaluate`` gave, and ``train_*``, the means of the parts of the loss.

    Raises
    ------
    TrainingError
        It is not given, or not finite.
    """
    if options.monitor is None:
        return None
    known = {**trained, **values}
    name = options.monitor.removeprefix("val_")  # as the log calls it
    if name not in known:
        raise TrainingError(f"monitor is {options.monitor}, but there are only {', '.join(sorted(known))}")
    value = known[name]
    if not math.isfinite(value):
        raise TrainingError(f"{options.monitor} is {value}: the best epoch cannot be chosen by it")
    return value


def is_better(value: float, best: float | None, *, maximise: bool) -> bool:
    """Whether a value beats the best one so far."""
    if best is None:
        return True
    return value > best if maximise else value < best
