"""A run that was killed and resumed ends bit by bit as one that was not."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.loop.tasks import KILLED, Killed, NoisyTask, kill_at, raise_at, same_state, without_time
from training.errors import TrainingError
from training.loop import Fitted, LoopOptions, TrainingInterrupted, fit
from training.loop.checkpoint import FILE, load_checkpoint
from training.loop.journal import read_log
from training.loop.run import Run

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[3]
BASE = {"epochs": 4, "monitor": "error", "checkpoint_every_s": 0.0}
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "sgd": {"optimiser": "sgd", "learning_rate": 0.01},
    "cosine, average": {"schedule": "cosine", "warmup_epochs": 1.5, "ema_decay": 0.9},
    "sharpness, clipped": {"sam_rho": 0.1, "clip_norm": 0.5},
    "schedule-free": {"schedule_free": True, "learning_rate": 0.01, "warmup_epochs": 1},
    "mixed precision": {"amp": True},
    "accumulated": {"accumulate": 4},
}


def assert_equal(resumed: Fitted, whole: Fitted) -> None:
    assert same_state(resumed.model.state_dict(), whole.model.state_dict())
    assert without_time(resumed.history) == without_time(whole.history)
    assert resumed.best_epoch == whole.best_epoch
    log = read_log(resumed.weights.parent / "log.csv")
    assert without_time(log) == without_time(whole.history)
    one, other = (load_checkpoint(fitted.weights.parent / FILE) for fitted in (resumed, whole))
    assert same_state(one["model"], other["model"])
    for slot, values in one["optimiser"]["state"].items():
        for name, value in values.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(other["optimiser"]["state"][slot][name])), name


def test_a_process_killed_in_mid_epoch_loses_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.training.loop.tasks", str(tmp_path / "killed")]
    threads = str(torch.get_num_threads())  # sums in another order are other sums
    killed = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": threads}, capture_output=True, check=False, timeout=120
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    left = load_checkpoint(tmp_path / "killed" / FILE)["progress"]
    assert (left["epoch"], left["step"]) == (2, 4)
    resumed = fit(NoisyTask(), KILLED, tmp_path / "killed", progress=False)
    assert_equal(resumed, fit(NoisyTask(), KILLED, tmp_path / "whole", progress=False))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("checkpoint_every_s", [0.0, 1000.0], ids=["in the epoch", "after the epoch"])
def test_every_kind_of_run_resumes_bit_equal(tmp_path: Path, kind: str, checkpoint_every_s: float) -> None:
    options = LoopOptions(**{**BASE, **KINDS[kind], "checkpoint_every_s": checkpoint_every_s})
    with pytest.raises(Killed):
        fit(NoisyTask(before_batch=raise_at(3, 5)), options, tmp_path / "killed", progress=False)
    resumed = fit(NoisyTask(), options, tmp_path / "killed", progress=False)
    assert_equal(resumed, fit(NoisyTask(), options, tmp_path / "whole", progress=False))


def test_killed_twice_and_once_before_any_checkpoint(tmp_path: Path) -> None:
    options = LoopOptions(**BASE)
    for place in ((1, 0), (1, 2), (4, 5)):
        with pytest.raises(Killed):
            fit(NoisyTask(before_batch=raise_at(*place)), options, tmp_path / "killed", progress=False)
    resumed = fit(NoisyTask(), options, tmp_path / "killed", progress=False)
    assert_equal(resumed, fit(NoisyTask(), options, tmp_path / "whole", progress=False))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_saves_stops_and_says_how_to_go_on(tmp_path: Path, number: signal.Signals) -> None:
    handlers = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    options = LoopOptions(epochs=4, checkpoint_every_s=1000)
    with pytest.raises(TrainingInterrupted, match=rf"stopped by {number.name} after epoch 2, step 3; .*the same command goes on"):
        fit(NoisyTask(before_batch=kill_at(2, 2, number)), options, tmp_path / "stopped", progress=False)
    assert {each: signal.getsignal(each) for each in handlers} == handlers
    resumed = fit(NoisyTask(), options, tmp_path / "stopped", progress=False)
    assert_equal(resumed, fit(NoisyTask(), options, tmp_path / "whole", progress=False))


def test_a_finished_run_is_returned_without_training(tmp_path: Path) -> None:
    options = LoopOptions(**BASE)
    whole = fit(NoisyTask(), options, tmp_path, progress=False)
    again = fit(NoisyTask(before_batch=raise_at(1, 0)), options, tmp_path, progress=False)
    assert_equal(again, whole)
    assert again.stopped_because == "epochs"
    assert again.seconds == whole.seconds


def test_without_resuming_the_old_run_goes(tmp_path: Path) -> None:
    fit(NoisyTask(), LoopOptions(epochs=3, seed=1), tmp_path, progress=False)
    fitted = fit(NoisyTask(), LoopOptions(epochs=1, seed=2), tmp_path, resume=False, progress=False)
    assert [row["epoch"] for row in read_log(tmp_path / "log.csv")] == [1]
    assert list(tmp_path.glob("weights-*")) == [fitted.weights]


def test_a_run_at_a_constant_rate_can_be_made_longer(tmp_path: Path) -> None:
    fit(NoisyTask(), LoopOptions(epochs=2), tmp_path / "longer", progress=False)
    longer = fit(NoisyTask(), LoopOptions(epochs=4), tmp_path / "longer", progress=False)
    assert_equal(longer, fit(NoisyTask(), LoopOptions(epochs=4), tmp_path / "whole", progress=False))


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        ({"learning_rate": 1e-3}, {"learning_rate": 1e-2}, "learning_rate was 0.001 and is 0.01"),
        ({"seed": 1}, {"seed": 2}, "seed was 1 and is 2"),
        ({"schedule": "cosine", "epochs": 1}, {"schedule": "cosine", "epochs": 2}, "epochs was 1 and is 2"),
        ({}, {"sam_rho": 0.1}, "sam_rho was None and is 0.1"),
    ],
)
def test_other_options_are_refused(tmp_path: Path, first: dict[str, Any], second: dict[str, Any], says: str) -> None:
    fit(NoisyTask(), LoopOptions(**{"epochs": 1, **first}), tmp_path, progress=False)
    with pytest.raises(TrainingError, match=says):
        fit(NoisyTask(), LoopOptions(**{"epochs": 1, **second}), tmp_path, progress=False)


def test_options_that_change_no_weight_are_free(tmp_path: Path) -> None:
    fit(NoisyTask(), LoopOptions(epochs=1, monitor="error"), tmp_path, progress=False)
    longer = LoopOptions(epochs=2, monitor="error", patience=1, checkpoint_every_s=5.0, device="cpu")
    assert len(fit(NoisyTask(), longer, tmp_path, progress=False).history) == 2


class WiderTask(NoisyTask):
    """Another network."""

    def build(self) -> torch.nn.Module:
        return torch.nn.Linear(3, 1)


class NamedTask(NoisyTask):
    """Says what it is."""

    patients = 10

    def describe(self) -> dict[str, Any]:
        return {"patients": self.patients, "patch": (8, 8)}


def test_another_network_is_refused(tmp_path: Path) -> None:
    fit(NoisyTask(), LoopOptions(epochs=1), tmp_path, progress=False)
    with pytest.raises(TrainingError, match="the network has other layers"):
        fit(WiderTask(), LoopOptions(epochs=2), tmp_path, progress=False)


def test_another_task_is_refused(tmp_path: Path) -> None:
    fit(NamedTask(), LoopOptions(epochs=1), tmp_path, progress=False)
    assert len(fit(NamedTask(), LoopOptions(epochs=2), tmp_path, progress=False).history) == 2
    other = NamedTask()
    other.patients = 11
    with pytest.raises(TrainingError, match="patients was 10 and is 11"):
        fit(other, LoopOptions(epochs=3), tmp_path, progress=False)


def test_the_scale_of_float16_runs_is_kept(tmp_path: Path) -> None:
    run = Run(NoisyTask(), LoopOptions(), tmp_path)
    run.stepper.scaler = torch.amp.GradScaler("cpu", init_scale=32.0)
    run.save()
    scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
    scaler.load_state_dict(load_checkpoint(tmp_path / FILE)["scaler"])
    assert scaler.get_scale() == 32.0
    assert not Run(NoisyTask(), LoopOptions(), tmp_path).stepper.scaler.is_enabled()  # and a device without float16 takes the run up
