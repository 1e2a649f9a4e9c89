"""One training run: a network, its optimiser and where they are, from one checkpoint to the next."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from training.errors import TrainingError
from training.loop import checkpoint
from training.loop.averaging import MovingAverage, has_batch_statistics, refresh_batch_statistics
from training.loop.bar import TrainingBar
from training.loop.interruption import Interruption, TrainingInterrupted
from training.loop.journal import Journal
from training.loop.optimisers import make_optimiser, set_learning_rate, to_averaged_point, to_training_point
from training.loop.options import LoopOptions, differences, learning_rate
from training.loop.progress import Progress, is_better, monitored
from training.loop.randomness import derived_seed, random_state, restore_random_state, seed_everything
from training.loop.sam import still_statistics
from training.loop.steps import Stepper, grouped, pick_device
from training.loop.task import Batch, DescribedTask, Task, length, skipped

_STATISTICS_BATCHES = 50
"""Batches for the running statistics of averaged weights, as the authors of schedule-free advise."""


class Run:
    """One run; it takes up the checkpoint in ``out``, if there is one.

    Raises
    ------
    TrainingError
        The checkpoint is damaged, or of other options, of another task or network.
    """

    def __init__(self, task: Task, options: LoopOptions, out: Path) -> None:
        self.task = task
        self.options = options
        self.out = out
        self.progress = Progress()
        device = pick_device(options.device)
        seed_everything(derived_seed(options.seed))
        self.model = task.build().to(device)
        self.optimiser = make_optimiser(self.model.parameters(), options)
        self.stepper = Stepper(task, self.model, self.optimiser, options, device)
        self.average = MovingAverage(self.model, options.ema_decay) if options.ema_decay is not None else None
        self._random: dict[str, Any] | None = None
        self._saved_at = self._counted_at = time.monotonic()
        if (out / checkpoint.FILE).exists():
            self._take_up(checkpoint.load_checkpoint(out / checkpoint.FILE))

    def _take_up(self, content: Mapping[str, Any]) -> None:
        self._check_identity(content["identity"])
        self.model.load_state_dict(content["model"])
        self.optimiser.load_state_dict(content["optimiser"])
        if content["scaler"] and self.stepper.scaler.is_enabled():  # a run may move from a device with float16 to one without
            self.stepper.scaler.load_state_dict(content["scaler"])
        if self.average is not None:
            self.average.model.load_state_dict(content["average"])
        self.progress = Progress(**content["progress"])
        self._random = content["random"]

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must share with this run, in plain values."""
        described = dict(self.task.describe()) if isinstance(self.task, DescribedTask) else {}
        plain: dict[str, Any] = json.loads(json.dumps({"options": self.options.identity(), "task": described}))
        return {**plain, "network": checkpoint.architecture(self.model)}

    def _check_identity(self, then: Mapping[str, Any]) -> None:
        now = self._identity()
        changes = [change for part in ("options", "task") for change in differences(then[part], now[part])]
        if then["network"] != now["network"]:
            changes.append("the network has other layers")
        if changes:
            raise TrainingError(
                f"{self.out} holds a run that was begun otherwise: {'; '.join(changes)}. "
                "Use the same options or another folder, or start anew without resuming"
            )

    def save(self) -> None:
        """Write the checkpoint, then drop weights that it does not name."""
        self._count_time()
        content = {
            "identity": self._identity(),
            "progress": asdict(self.progress),
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average.model.state_dict() if self.average is not None else None,
            "scaler": self.stepper.scaler.state_dict(),
            "random": random_state(),
        }
        checkpoint.save_checkpoint(self.out / checkpoint.FILE, content)
        for old in self.out.glob("weights-epoch-*.safetensors"):
            if old != checkpoint.weights_path(self.out, self.progress.best_epoch):
                old.unlink()
        self._saved_at = time.monotonic()

    def _count_time(self) -> None:
        now = time.monotonic()
        self.progress.seconds += now - self._counted_at
        self._counted_at = now

    def epoch(self, journal: Journal, bar: TrainingBar, interruption: Interruption) -> None:
        """One epoch, or what is left of it: its steps, evaluation, log and checkpoint.

        Raises
        ------
        TrainingInterrupted
            A signal came, and the run is saved.
        """
        epoch = self.progress.epoch + 1
        seed_everything(derived_seed(self.options.seed, epoch))
        batches = self.task.batches(epoch)
        count = length(batches)
        steps = None if count is None else -(-count // self.options.accumulate)
        bar.begin(epoch, self.progress.step, steps)
        self.model.train()
        to_training_point(self.optimiser)
        remaining = skipped(batches, self.progress.step * self.options.accumulate)
        if self._random is not None and self.progress.step > 0:
            restore_random_state(self._random)
        self._random = None
        for group in grouped(remaining, self.options.accumulate):
            bar.advance(self._step(epoch, steps, group))
            if interruption.received is not None:
                self._stop(interruption.received)
            if time.monotonic() - self._saved_at >= self.options.checkpoint_every_s:
                self.save()
        if self.progress.step == 0:
            raise TrainingError(f"the task gives no batch in epoch {epoch}")
        self._finish(epoch, journal, bar)
        if interruption.received is not None:
            self._stop(interruption.received)

    def _step(self, epoch: int, steps: int | None, group: list[Batch]) -> Mapping[str, float]:
        rate = learning_rate(self.options, epoch, self.progress.step, steps)
        set_learning_rate(self.optimiser, rate)
        try:
            result = self.stepper.step(group)
        except TrainingError as error:
            raise TrainingError(f"training stopped in epoch {epoch}, step {self.progress.step + 1}: {error}") from error
        self.progress.count({**{f"train_{name}": value for name, value in result.parts.items()}, "gradient_norm": result.gradient_norm})
        if self.average is not None:
            self.average.update(self.model, self.progress.steps)
        return result.parts

    def _stop(self, received: str) -> None:
        self.save()
        place = f"epoch {self.progress.epoch + 1}, step {self.progress.step}" if self.progress.step else f"epoch {self.progress.epoch}"
        raise TrainingInterrupted(
            f"stopped by {received} after {place}; all is saved in {self.out}, and the same command goes on from there"
        )

    def _finish(self, epoch: int, journal: Journal, bar: TrainingBar) -> None:
        means, progress = self.progress.means(), self.progress
        with self._evaluable(epoch) as model:
            values = self.task.evaluate(model)
            value = monitored(values, {name: mean for name, mean in means.items() if name.startswith("train_")}, self.options)
            best = value is None or is_better(value, progress.best_value, maximise=self.options.maximise)
            if best:
                progress.best_epoch, progress.best_value = epoch, value
                checkpoint.save_weights(checkpoint.weights_path(self.out, epoch), model)
        self._count_time()
        row = {"epoch": epoch, "steps": progress.step, "learning_rate": self.optimiser.param_groups[0]["lr"], **means}
        row |= {f"val_{name}": float(value) for name, value in values.items()}
        progress.history.append({**row, "seconds": round(progress.seconds, 3)})
        progress.epoch, progress.step, progress.sums = epoch, 0, {}
        self.save()
        journal.write(progress.history)
        bar.end(epoch, progress.history[-1], best=best and self.options.monitor is not None)

    @contextmanager
    def _evaluable(self, epoch: int) -> Iterator[nn.Module]:
        """The network to judge and to keep, in evaluation mode and full precision: the one trained, or the average of it."""
        model = self.average.model if self.average is not None else self.model
        with torch.no_grad(), still_statistics(self.model):
            to_averaged_point(self.optimiser)
            if self.options.schedule_free and has_batch_statistics(model):
                refresh_batch_statistics(model, islice(self.task.batches(epoch), _STATISTICS_BATCHES), self.stepper.forward)
            model.eval()
            yield model
            to_training_point(self.optimiser)
