"""What every bundle says alike of its training."""

import platform
from pathlib import Path

import pytest
from torch import nn

from training.errors import TrainingError
from training.loop.journal import CsvJournal
from training.metrics.bootstrap import Interval
from training.publishing import hardware_of, learning_pictures, stated

pytestmark = pytest.mark.unit


def interval(value: float, low: float, high: float) -> Interval:
    return Interval(value=value, low=low, high=high)


def test_a_metric_is_rounded_and_lies_in_its_interval() -> None:
    said = stated("AUC", interval(0.12344, 0.10006, 0.20004), 7, "seven")
    assert (said.name, said.value, said.low, said.high, said.cases, said.data) == ("AUC", 0.1234, 0.1001, 0.2, 7, "seven")
    below, above = stated("AUC", interval(0.3, 0.31, 0.4), 7, "seven"), stated("AUC", interval(0.5, 0.31, 0.4), 7, "seven")
    assert (below.low, below.high, above.low, above.high) == (0.3, 0.4, 0.31, 0.5)


def test_a_metric_without_an_interval_states_none() -> None:
    said = stated("AUC", interval(0.5, float("nan"), float("nan")), 1, "one")
    assert (said.value, said.low, said.high) == (0.5, None, None)


def test_the_log_and_its_picture_go_into_the_bundle(tmp_path: Path) -> None:
    CsvJournal(tmp_path, [{"epoch": 1, "train_loss": 2.0}, {"epoch": 2, "train_loss": 1.0}])
    found = learning_pictures(tmp_path, "a test")
    assert {name: path.parent for name, path in found.items()} == {"curve.png": tmp_path, "log.csv": tmp_path}
    assert found["curve.png"].read_bytes().startswith(b"\x89PNG")
    with pytest.raises(TrainingError, match="is no log"):
        learning_pictures(tmp_path / "elsewhere", "a test")


def test_the_hardware_is_the_machine_and_where_the_network_lies() -> None:
    assert hardware_of(nn.Linear(1, 1)) == f"{platform.machine()}, cpu"
