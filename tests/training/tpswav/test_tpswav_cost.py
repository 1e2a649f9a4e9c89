"""The benchmark of the experts' cost runs and says what it measured."""

import pytest
import torch

from benchmarks import tpswav_node

pytestmark = pytest.mark.unit


def test_the_benchmark_reads_every_vertebra(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)  # other tests run in this process
    tpswav_node.main(["--vertebrae", "2", "--width", "0.0625", "--backbone", "resnet18", "--threads", "1"])
    said = capsys.readouterr().out
    assert "2 vertebrae of 64 x 64 x 64 voxels, resnet18 of width 0.0625" in said
    assert "s of the network" in said
    assert "GB" in said
