"""Checkpoints that are damaged, foreign, or would run code when unpickled."""

import errno
import os
import pickle
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.loop.tasks import NoisyTask
from training.errors import TrainingError
from training.loop import LoopOptions, fit
from training.loop.checkpoint import FILE, load_checkpoint, load_weights
from training.loop.files import held, write_atomically
from training.loop.randomness import derived_seed, random_state, restore_random_state, seed_everything

pytestmark = pytest.mark.unit


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """The folder of a run of one epoch."""
    fit(NoisyTask(), LoopOptions(epochs=1), tmp_path, progress=False)
    return tmp_path


def test_a_changed_byte_is_noticed(trained: Path) -> None:
    path = trained / FILE
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        entry = next(info for info in archive.infolist() if info.filename.endswith("data/0"))
        start = content.find(archive.read(entry))
    content[start + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"damaged \(checksum of .*\): put back a good copy of .*, or train from the start"):
        fit(NoisyTask(), LoopOptions(epochs=2), trained, progress=False)


@pytest.mark.parametrize("keep", [0, 100, -200], ids=["empty", "head", "without its end"])
def test_a_cut_off_file_is_refused(trained: Path, keep: int) -> None:
    path = trained / FILE
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TrainingError, match="the checkpoint cannot be read"):
        fit(NoisyTask(), LoopOptions(epochs=2), trained, progress=False)


class Bomb:
    """Runs a command when unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "exploded"
    torch.save({"format": 1, "model": Bomb(mark)}, tmp_path / FILE)
    with pytest.raises(TrainingError, match="the checkpoint cannot be read"):
        load_checkpoint(tmp_path / FILE)
    assert not mark.exists()
    (tmp_path / FILE).write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(TrainingError, match="the checkpoint cannot be read"):
        load_checkpoint(tmp_path / FILE)
    assert not mark.exists()


def test_other_files_of_torch_are_no_checkpoints(trained: Path) -> None:
    torch.save({"weights": torch.ones(2)}, trained / "other.pt")
    with pytest.raises(TrainingError, match="no checkpoint of a training run"):
        load_checkpoint(trained / "other.pt")
    torch.save({**load_checkpoint(trained / FILE), "format": 99}, trained / "newer.pt")
    with pytest.raises(TrainingError, match="format 99, this version writes 1"):
        load_checkpoint(trained / "newer.pt")


def test_missing_or_damaged_weights_are_said(trained: Path) -> None:
    weights = next(trained.glob("weights-*"))
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(TrainingError, match="cannot be read"):
        fit(NoisyTask(), LoopOptions(epochs=1), trained, progress=False)
    with pytest.raises(TrainingError, match="train again without resuming"):
        load_weights(trained / "absent.safetensors")


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrainingError, match=r"cannot be written \(No space left on device\)"):
        write_atomically(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(TrainingError, match="another process trains in"):
        fit(NoisyTask(), LoopOptions(epochs=1), tmp_path, progress=False)
    fit(NoisyTask(), LoopOptions(epochs=1), tmp_path, progress=False)


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match="cannot be used as the folder of a run"):
        fit(NoisyTask(), LoopOptions(epochs=1), tmp_path / "file", progress=False)


def test_generators_go_on_where_they_were() -> None:
    seed_everything(5)
    random.gauss(0, 1)
    np.random.standard_normal(3)
    state = random_state()
    first = (random.gauss(0, 1), np.random.standard_normal(3).tolist(), torch.rand(3).tolist())
    seed_everything(6)
    restore_random_state(state)
    assert (random.gauss(0, 1), np.random.standard_normal(3).tolist(), torch.rand(3).tolist()) == first


def test_derived_seeds_differ_and_repeat() -> None:
    seeds = {derived_seed(seed, epoch) for seed in range(20) for epoch in range(20)}
    assert len(seeds) == 400
    assert derived_seed(3, 4) == derived_seed(3, 4)
    assert all(0 <= seed < 2**63 for seed in seeds)
