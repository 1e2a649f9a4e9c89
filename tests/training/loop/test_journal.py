"""The log on disk, as events, and as curves."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.training.loop.tasks import Killed, NoisyTask, raise_at
from training.errors import TrainingError
from training.loop import LoopOptions, fit
from training.loop.bar import duration
from training.loop.curves import panels, plot_learning_curves
from training.loop.journal import CsvJournal, read_log

pytestmark = pytest.mark.unit

ROWS = [
    {"epoch": 1, "train_loss": 1.5, "seconds": 2.0},
    {"epoch": 2, "train_loss": 1.25, "val_loss": 0.5, "seconds": 4.0},
]


def test_rows_return_as_they_were(tmp_path: Path) -> None:
    CsvJournal(tmp_path, ROWS)
    assert read_log(tmp_path / "log.csv") == ROWS
    assert (tmp_path / "log.csv").read_text().splitlines()[:2] == ["epoch,train_loss,seconds,val_loss", "1,1.5,2.0,"]


def test_a_log_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no log of a training run"):
        read_log(tmp_path / "absent.csv")
    (tmp_path / "text.csv").write_text("epoch\nfirst\n")
    with pytest.raises(TrainingError, match="no log of a training run"):
        read_log(tmp_path / "text.csv")


def test_tensorboard_shows_each_epoch_once_after_a_kill(tmp_path: Path) -> None:
    options = LoopOptions(epochs=3, log="tensorboard")
    with pytest.raises(Killed):
        fit(NoisyTask(before_batch=raise_at(3, 2)), options, tmp_path, progress=False)
    fitted = fit(NoisyTask(), options, tmp_path, progress=False)
    events = EventAccumulator(str(tmp_path / "tensorboard"), purge_orphaned_data=True)
    events.Reload()
    assert set(events.Tags()["scalars"]) >= {"train/error", "val/error", "run/learning_rate"}
    shown = [(event.step, event.value) for event in events.Scalars("val/error")]
    assert shown == [(row["epoch"], pytest.approx(row["val_error"], rel=1e-6)) for row in fitted.history]
    assert len(read_log(tmp_path / "log.csv")) == 3


def test_columns_that_belong_together_share_a_panel() -> None:
    row = {
        "epoch": 1,
        "steps": 9,
        "learning_rate": 1e-3,
        "train_loss": 1,
        "val_loss": 2,
        "val_dice": 0.5,
        "val_dice_body": 0.7,
        "seconds": 3,
    }
    assert panels([row]) == {
        "learning rate": ["learning_rate"],
        "loss": ["train_loss", "val_loss"],
        "dice": ["val_dice", "val_dice_body"],
    }


def test_curves_are_drawn(tmp_path: Path) -> None:
    fit(NoisyTask(), LoopOptions(epochs=3), tmp_path, progress=False)
    plot_learning_curves(tmp_path / "log.csv", tmp_path / "curves.png", title="a test")
    image = np.asarray(matplotlib.image.imread(tmp_path / "curves.png"))
    assert image.shape[1] > 1500  # three panels: rate, error, norm of the gradient
    assert np.ptp(image[..., :3]) > 0.5
    CsvJournal(tmp_path, []).write([])
    with pytest.raises(TrainingError, match="holds no epoch yet"):
        plot_learning_curves(tmp_path / "log.csv", tmp_path / "none.png")


def test_time_left() -> None:
    assert [duration(seconds) for seconds in (7.4, 61, 7325)] == ["7 s", "1 min 1 s", "2 h 2 min"]
