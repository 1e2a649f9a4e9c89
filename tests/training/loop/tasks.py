"""Small tasks for the loop, and a program that trains one of them and kills itself on the way: ``python -m tests.training.loop.tasks``."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from training.loop import Batch, LoopOptions, fit

KILLED = LoopOptions(
    epochs=4, schedule="cosine", warmup_epochs=1, ema_decay=0.9, sam_rho=0.05, clip_norm=1.0, monitor="error", checkpoint_every_s=0, seed=3
)


@dataclass
class NoisyTask:
    """A regression with all that can spoil a resumed run: batch statistics, dropout, batches from numpy's global generator.

    ``before_batch`` is called with the epoch and the number of the batch before each batch is drawn.
    """

    steps: int = 6
    before_batch: Callable[[int, int], None] = lambda _epoch, _step: None
    evaluated_in_training_mode: list[bool] = field(default_factory=list)

    def build(self) -> nn.Module:
        return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1))

    def batches(self, epoch: int) -> Iterator[Batch]:
        for step in range(self.steps):
            self.before_batch(epoch, step)
            yield self._batch(np.random.standard_normal((12, 3)).astype(np.float32))

    @staticmethod
    def _batch(x: Any) -> Batch:
        return {"x": torch.from_numpy(x), "y": torch.from_numpy(np.sin(x).sum(axis=1, keepdims=True))}

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        loss = nn.functional.mse_loss(model(batch["x"]), batch["y"])
        return loss, {"error": loss.item()}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        self.evaluated_in_training_mode.append(model.training)
        batch = self._batch(np.random.default_rng(9).standard_normal((40, 3)).astype(np.float32))
        return {"error": self.loss(model, batch)[0].item()}


@dataclass
class QuadraticTask:
    """0.5 sum(a w^2) at w = ``start``: the gradient is a w, so every step can be done by hand. ``scripted`` are the values to evaluate."""

    a: tuple[float, ...] = (1.0, 4.0)
    start: tuple[float, ...] = (3.0, -2.0)
    steps: int = 1
    scripted: tuple[float, ...] = ()
    seen: int = 0

    def build(self) -> nn.Module:
        model = nn.Module()
        model.w = nn.Parameter(torch.tensor(self.start, dtype=torch.float64))
        return model

    def batches(self, epoch: int) -> list[Batch]:
        del epoch
        return [{"a": torch.tensor(self.a, dtype=torch.float64)}] * self.steps

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        return 0.5 * (batch["a"] * model.get_parameter("w") ** 2).sum(), {}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        assert not model.training
        assert not torch.is_grad_enabled()
        self.seen += 1
        return {"value": self.scripted[self.seen - 1]} if self.scripted else {}


class Killed(Exception):
    """Stands for a kill inside one process."""


def raise_at(epoch: int, step: int) -> Callable[[int, int], None]:
    """A ``before_batch`` that ends the run there."""

    def before_batch(at_epoch: int, at_step: int) -> None:
        if (at_epoch, at_step) == (epoch, step):
            raise Killed

    return before_batch


def kill_at(epoch: int, step: int, number: signal.Signals) -> Callable[[int, int], None]:
    """A ``before_batch`` that sends this process a signal there."""

    def before_batch(at_epoch: int, at_step: int) -> None:
        if (at_epoch, at_step) == (epoch, step):
            os.kill(os.getpid(), number)

    return before_batch


def without_time(rows: list[Mapping[str, float]] | tuple[Mapping[str, float], ...]) -> list[dict[str, float]]:
    """Rows of a log but for the seconds, which no two runs share."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def same_state(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether two state dicts are equal bit by bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


if __name__ == "__main__":
    fit(NoisyTask(before_batch=kill_at(3, 4, signal.SIGKILL)), KILLED, Path(sys.argv[1]), progress=False)
