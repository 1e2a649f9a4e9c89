"""Crops that stray: moved by whole voxels, with noise, settled by seed and epoch, and only where asked for."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.tpswav.made import vertebrae
from tests.training.tpswav.test_tpswav_experts import SMALL
from training.errors import TrainingError
from training.tpswav.strays import USUAL, Floats32, Strays, strayed
from training.tpswav.task import ExpertsTask

pytestmark = pytest.mark.unit

RAMP: Floats32 = np.broadcast_to(np.arange(16, dtype=np.float32)[:, None, None] / np.float32(15), (16, 16, 16)).copy()


def test_a_crop_is_moved_by_whole_voxels_and_repeats_its_edge() -> None:
    seen = set()
    for seed in range(40):
        moved = strayed(RAMP, Strays(voxels=2), np.random.default_rng(seed))
        step = round(float(moved[8, 0, 0]) * 15) - 8
        seen.add(step)
        np.testing.assert_array_equal(moved, RAMP[np.clip(np.arange(16) + step, 0, 15)])
    assert seen == {-2, -1, 0, 1, 2}


def test_noise_has_the_deviation_that_was_drawn_and_stays_in_the_window() -> None:
    grey = np.full((16, 16, 16), 0.5, dtype=np.float32)
    found = [float(strayed(grey, Strays(noise_sd=0.1), np.random.default_rng(seed)).std()) for seed in range(200)]
    assert max(found) < 0.105
    assert np.mean(found) == pytest.approx(0.05, abs=0.008)
    edge = strayed(np.zeros((16, 16, 16), dtype=np.float32), Strays(noise_sd=0.1), np.random.default_rng(1))
    assert (edge.min(), edge.max() > 0) == (0.0, True)
    np.testing.assert_array_equal(strayed(RAMP, Strays(), np.random.default_rng(0)), RAMP)
    assert not Strays().any
    with pytest.raises(TrainingError, match="no negative"):
        Strays(voxels=-1)


def test_batches_stray_anew_in_each_epoch_and_the_validation_part_never() -> None:
    train, validation = vertebrae(16), vertebrae(8, first=50)
    still, stirred = (ExpertsTask(replace(SMALL, strays=strays), train, validation) for strays in (Strays(), USUAL))

    def images(task: ExpertsTask, epoch: int) -> torch.Tensor:
        return torch.cat([batch["image"] for batch in task.batches(epoch)])

    first, again, other = images(stirred, 1), images(stirred, 1), images(stirred, 2)
    assert torch.equal(first, again)
    assert first.shape == images(still, 1).shape
    assert not torch.equal(first, images(still, 1))
    assert not torch.equal(first.sort(dim=0).values, other.sort(dim=0).values)
    model = still.build().eval()
    assert still.evaluate(model) == stirred.evaluate(model)
    assert stirred.describe() != still.describe()
