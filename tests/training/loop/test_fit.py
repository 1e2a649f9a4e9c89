"""What the loop does with what a task says: best epoch, early stop, averages, values that are no numbers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schedulefree
import torch
from torch import Tensor, nn

from tests.training.loop.tasks import NoisyTask, QuadraticTask
from training.errors import TrainingError
from training.loop import Batch, LoopOptions, fit
from training.loop.checkpoint import load_checkpoint, load_weights
from training.loop.journal import read_log

pytestmark = pytest.mark.unit


def test_early_stop_keeps_the_best_epoch(tmp_path: Path) -> None:
    task = QuadraticTask(scripted=(5.0, 3.0, 4.0, 3.0, 9.0))
    fitted = fit(task, LoopOptions(epochs=50, monitor="value", patience=3, optimiser="sgd", learning_rate=0.1), tmp_path, progress=False)
    assert (fitted.stopped_because, fitted.best_epoch, len(fitted.history)) == ("patience", 2, 5)
    # without momentum in the first step: w1 = w0 (1 - 0.1 a), then v = 0.9 v + a w1
    w1 = torch.tensor([3.0 * 0.9, -2.0 * 0.6], dtype=torch.float64)
    v1 = torch.tensor([3.0, -8.0], dtype=torch.float64)
    w2 = w1 - 0.1 * (0.9 * v1 + torch.tensor([1.0, 4.0]) * w1)
    assert torch.allclose(fitted.model.get_parameter("w"), w2, rtol=1e-12)
    assert fitted.weights.name == "weights-epoch-0002.safetensors"
    assert not fitted.model.training


@pytest.mark.parametrize("name", ["value", "val_value"])
def test_the_largest_value_is_best_where_asked(tmp_path: Path, name: str) -> None:
    task = QuadraticTask(scripted=(0.1, 0.7, 0.7, 0.5))
    assert fit(task, LoopOptions(epochs=4, monitor=name, maximise=True), tmp_path, progress=False).best_epoch == 2


def test_the_last_epoch_is_kept_where_nothing_is_monitored(tmp_path: Path) -> None:
    assert fit(QuadraticTask(), LoopOptions(epochs=3), tmp_path, progress=False).best_epoch == 3


def test_a_part_of_the_loss_can_be_monitored(tmp_path: Path) -> None:
    options = LoopOptions(epochs=3, monitor="train_error", optimiser="sgd", learning_rate=0.01)
    fitted = fit(NoisyTask(), options, tmp_path, progress=False)
    errors = [row["train_error"] for row in fitted.history]
    assert fitted.best_epoch == errors.index(min(errors)) + 1


def test_an_unknown_value_to_monitor_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="monitor is dice, but there are only error, train_error"):
        fit(NoisyTask(), LoopOptions(monitor="dice"), tmp_path, progress=False)


def test_a_monitored_nan_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="value is nan"):
        fit(QuadraticTask(scripted=(float("nan"),)), LoopOptions(monitor="value"), tmp_path, progress=False)


class LosingTask(NoisyTask):
    """Its loss is lost in epoch 2."""

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        loss, parts = super().loss(model, batch)
        return loss * batch.get("factor", torch.ones(1)).mean(), {**parts, "other": 7.0}

    def batches(self, epoch: int) -> Iterator[Batch]:
        for step, batch in enumerate(super().batches(epoch)):
            lost = epoch == 2 and step == 3
            yield {**batch, "factor": torch.tensor([float("inf") if lost else 1.0])}


def test_a_loss_that_is_not_finite_stops_and_names_the_place(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"epoch 2, step 4: the loss is inf \(error [0-9.]+, other 7\)"):
        fit(LosingTask(), LoopOptions(epochs=3), tmp_path, progress=False)
    assert load_checkpoint(tmp_path / "checkpoint.pt")["progress"]["epoch"] == 1


class SteepTask(QuadraticTask):
    """A finite loss without a finite gradient: the root of zero."""

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        return (model.get_parameter("w") * 0.0 * batch["a"]).abs().sum().sqrt(), {}


def test_a_gradient_that_is_not_finite_stops(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="norm of the gradient is nan though the loss is finite"):
        fit(SteepTask(), LoopOptions(epochs=1), tmp_path, progress=False)


def test_a_task_without_batches_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="gives no batch in epoch 1"):
        fit(QuadraticTask(steps=0), LoopOptions(), tmp_path, progress=False)


def test_the_log_says_what_happened(tmp_path: Path) -> None:
    options = LoopOptions(epochs=2, schedule="cosine", optimiser="sgd", momentum=0.0, learning_rate=0.1)
    fitted = fit(QuadraticTask(steps=4), options, tmp_path, progress=False)
    rows = read_log(tmp_path / "log.csv")
    assert rows == [dict(row) for row in fitted.history]
    assert [(row["epoch"], row["steps"]) for row in rows] == [(1, 4), (2, 4)]
    # the rate moves with every step: the last of eight is at 7/8 of the half wave
    assert rows[1]["learning_rate"] == pytest.approx(0.05 * (1 + torch.cos(torch.tensor(torch.pi * 7 / 8)).item()))
    assert rows[0]["gradient_norm"] > rows[1]["gradient_norm"] > 0
    assert rows[1]["seconds"] > rows[0]["seconds"] > 0


def test_the_average_is_evaluated_and_returned(tmp_path: Path) -> None:
    options = LoopOptions(epochs=1, optimiser="sgd", momentum=0.0, learning_rate=0.1, ema_decay=0.5)
    fitted = fit(QuadraticTask(a=(1.0,), start=(1.0,), steps=2), options, tmp_path, progress=False)
    first = 2 / 11 * 1.0 + 9 / 11 * 0.9  # decays 2/11 and 3/12 are below 0.5
    assert fitted.model.get_parameter("w").item() == pytest.approx(3 / 12 * first + 9 / 12 * 0.81, rel=1e-12)


class WatchedTask(NoisyTask):
    """Keeps the weights that it was asked to evaluate."""

    weights: Tensor

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        self.weights = model.get_parameter("0.weight").clone()
        return super().evaluate(model)


def test_schedule_free_evaluates_the_average_in_evaluation_mode(tmp_path: Path) -> None:
    task = WatchedTask(steps=20)
    options = LoopOptions(epochs=3, schedule_free=True, learning_rate=0.02, warmup_epochs=1, monitor="error")
    fitted = fit(task, options, tmp_path, progress=False)
    errors = [row["val_error"] for row in fitted.history]
    assert errors[2] < errors[0]
    assert task.evaluated_in_training_mode == [False] * 3
    saved = load_checkpoint(tmp_path / "checkpoint.pt")
    trained, slow = saved["model"]["0.weight"], saved["optimiser"]["state"][0]["z"]
    average = trained.lerp(slow, 1 - 1 / 0.9)  # x from y = (1 - beta) z + beta x, Defazio et al. 2024, equation 3
    assert not torch.allclose(task.weights, trained)
    assert torch.allclose(task.weights, average, atol=1e-6)
    assert torch.equal(load_weights(fitted.weights)["0.weight"], fitted.model.get_parameter("0.weight"))


def test_schedule_free_gives_the_average_its_own_batch_statistics(tmp_path: Path) -> None:
    fitted = fit(NoisyTask(steps=20), LoopOptions(epochs=1, schedule_free=True, learning_rate=0.05), tmp_path, progress=False)
    trained = load_checkpoint(tmp_path / "checkpoint.pt")["model"]["1.running_mean"]
    x = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        mean = fitted.model.get_submodule("0")(x).mean(dim=0)
    kept = fitted.model.get_buffer("1.running_mean")
    assert (kept - mean).norm() < (trained - mean).norm()
    assert torch.allclose(kept, mean, atol=0.2)


def test_schedule_free_steps_are_those_of_its_package(tmp_path: Path) -> None:
    options = LoopOptions(epochs=1, schedule_free=True, learning_rate=0.02, warmup_epochs=0.5, optimiser="sgd")
    fitted = fit(QuadraticTask(steps=8), options, tmp_path, progress=False)
    w = torch.tensor([3.0, -2.0], dtype=torch.float64, requires_grad=True)
    optimiser: Any = schedulefree.SGDScheduleFree([w], lr=0.02, momentum=0.9, warmup_steps=4)
    optimiser.train()
    for _ in range(8):
        optimiser.zero_grad()
        (0.5 * (torch.tensor([1.0, 4.0]) * w**2).sum()).backward()
        optimiser.step()
    optimiser.eval()
    assert torch.allclose(fitted.model.get_parameter("w"), w.detach(), rtol=1e-6)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "schedulefree", None)
    with pytest.raises(TrainingError, match=r"pip install 'osteon\[training\]'"):
        fit(QuadraticTask(), LoopOptions(schedule_free=True), tmp_path, progress=False)


def test_progress_goes_to_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(NoisyTask(), LoopOptions(epochs=2, monitor="error"), tmp_path, progress=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.strip().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2: train_error ")
    assert "(best)" in lines[0]
    assert "left" in lines[0]


def test_the_seed_settles_the_run(tmp_path: Path) -> None:
    first, same, other = (
        fit(NoisyTask(), LoopOptions(epochs=1, seed=seed), tmp_path / name, progress=False).history[0]["train_error"]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == same
    assert first != other


def test_deterministic_algorithms_are_asked_for_and_given_back(tmp_path: Path) -> None:
    seen: list[bool] = []
    task = NoisyTask(before_batch=lambda _epoch, _step: seen.append(torch.are_deterministic_algorithms_enabled()))
    fit(task, LoopOptions(epochs=1, deterministic=True), tmp_path, progress=False)
    assert seen == [True] * 6
    assert not torch.are_deterministic_algorithms_enabled()
