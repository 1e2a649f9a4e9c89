"""Pretraining: views, the queue, the masked autoencoder, learning that the loss shows, and a run that a kill only delays."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.tpswav.made import POOL, vertebrae
from training.errors import TrainingError
from training.loop import LoopOptions, fit
from training.loop.options import learning_rate
from training.tpswav.mae import MaskedAutoencoder, painting_loss, patches_of, seen_count
from training.tpswav.networks import SwavNetwork, SwavOptions, load_encoder, make_encoder
from training.tpswav.pool import TexturePool
from training.tpswav.pretrain_task import MaeTask, PretrainOptions, SwavTask, paper_loop, pretrain_task
from training.tpswav.vertebrae import shuffled_parts
from training.tpswav.views import cropped_pair, random_crop, texture_pair

pytestmark = pytest.mark.unit

SWAV = SwavOptions(prototypes=6, projection=8)
LOOP = LoopOptions(epochs=2, learning_rate=3e-3, weight_decay=0.1, device="cpu")
SMALL = PretrainOptions(backbone="resnet18", width=0.0625, pool=POOL, swav=SWAV, batch=8, loop=LOOP)


def network(**changes: int) -> SwavNetwork:
    torch.manual_seed(0)
    return SwavNetwork(make_encoder("resnet18", width=0.0625, size=(16, 16, 16)), replace(SWAV, **changes))


def test_the_schedule_is_the_papers() -> None:
    loop = paper_loop()
    assert (loop.epochs, loop.optimiser, loop.betas, loop.weight_decay) == (300, "adamw", (0.9, 0.999), 0.1)
    rates = [learning_rate(loop, epoch, step, 10) for epoch, step in ((1, 0), (50, 9), (100, 9), (101, 0), (300, 9))]
    assert rates == pytest.approx([1e-4 / 1000, 0.5e-4, 1e-4, 1e-4, 1e-4])
    assert PretrainOptions().batch == 32


def test_random_crops_are_parts_of_the_image_at_its_size() -> None:
    ramp = np.broadcast_to(np.linspace(0, 1, 16, dtype=np.float32)[:, None, None], (16, 16, 16)).copy()
    spans, mirrored = [], 0
    for seed in range(40):
        cut = random_crop(ramp.transpose(2, 1, 0).copy(), np.random.default_rng(seed))
        assert cut.shape == (16, 16, 16)
        ends = float(cut[0, 0, 0]), float(cut[0, 0, -1])
        mirrored += ends[0] > ends[1]
        spans.append(abs(ends[1] - ends[0]))
        np.testing.assert_allclose(cut, np.broadcast_to(np.linspace(*ends, 16), cut.shape), atol=1e-5)
    assert min(spans) >= 0.5 - 1e-5
    assert max(spans) <= 1.0
    assert max(spans) - min(spans) > 0.2
    assert 8 < mirrored < 32


def test_texture_views_are_not_cropped_and_cropped_views_are() -> None:
    one = vertebrae(4)[0]
    pool = TexturePool(POOL)
    texture, cropped = (draw(pool, one.hu, np.random.default_rng(1)) for draw in (texture_pair, cropped_pair))
    assert texture.shape == cropped.shape == (2, 16, 16, 16)
    members = pool.members(one.hu, POOL.members)
    assert all(min(np.abs(view - member).max() for member in members) == 0 for view in texture)
    assert all(min(np.abs(view - member).max() for member in members) > 0.01 for view in cropped)


def test_batches_are_nearly_equal_and_never_single() -> None:
    parts = shuffled_parts(33, 32, 0, 1)
    assert sorted(len(part) for part in parts) == [16, 17]
    assert sorted(np.concatenate(parts).tolist()) == list(range(33))
    assert [len(part) for part in shuffled_parts(3, 2, 0, 1)] == [3]
    assert not np.array_equal(shuffled_parts(33, 32, 0, 2)[0], parts[0])
    with pytest.raises(TrainingError):
        shuffled_parts(1, 32, 0)


def test_prototypes_and_projections_have_unit_length() -> None:
    made = network().eval()
    with torch.no_grad():
        made.prototypes.mul_(7.0)
        projected = made.project(torch.randn(3, 1, 16, 16, 16))
        scores = made.scores(projected)
    torch.testing.assert_close(projected.norm(dim=1), torch.ones(3))
    unit = made.prototypes / made.prototypes.norm(dim=1, keepdim=True)
    torch.testing.assert_close(scores, projected @ unit.T)


def test_the_queue_keeps_the_latest_views_and_steers_assignments() -> None:
    made = network(queue=5)
    rows = torch.eye(8)
    made.remember(rows[:3], rows[3:6])
    assert not made.queue_is_full
    made.remember(rows[6:8], rows[:2])
    assert made.queue_is_full
    torch.testing.assert_close(made.queue[0], rows[[6, 7, 0, 1, 2]])
    torch.testing.assert_close(made.queue[1], rows[[0, 1, 3, 4, 5]])
    made.remember(rows[5:6], rows[5:6])
    torch.testing.assert_close(made.queue[0], rows[[5, 6, 7, 0, 1]])
    assert "queue" in made.state_dict()
    task = SwavTask(replace(SMALL, swav=replace(SWAV, queue=5)), vertebrae(8))
    scores = torch.randn(4, 6)
    with_queue = task._assigned(made, 0, scores)
    made.queued.zero_()
    assert with_queue.shape == (4, 6)
    torch.testing.assert_close(with_queue.sum(dim=1), torch.ones(4))
    assert not torch.allclose(with_queue, task._assigned(made, 0, scores))


def test_no_gradient_flows_through_the_assignments() -> None:
    task = SwavTask(SMALL, vertebrae(8))
    model = network()
    batch = next(iter(task.batches(1)))
    assert batch["views"].shape == (8, 2, 16, 16, 16)
    loss, parts = task.loss(model, batch)
    loss.backward()
    assert parts["loss"] == pytest.approx(parts["prediction"] + 0.1 * parts["diversity"])
    assert 0 < parts["used"] <= 1
    assert model.prototypes.grad is not None
    assert all(parameter.grad is not None for parameter in model.encoder.parameters())


@pytest.mark.parametrize("method", ["tpswav", "swav", "mae"])
def test_each_method_learns_and_is_monitored(method: str, tmp_path: Path) -> None:
    backbone, width = ("vit", 1 / 12) if method == "mae" else ("resnet18", 0.0625)
    options = replace(SMALL, method=method, backbone=backbone, width=width, loop=replace(LOOP, epochs=3))  # type: ignore[arg-type]
    train = vertebrae(24)
    task = pretrain_task(options, train, (train, vertebrae(24, first=100)))
    fitted = fit(task, options.loop, tmp_path, progress=False)
    losses = [row["train_loss"] for row in fitted.history]
    assert losses[-1] < losses[0]
    assert set(fitted.history[-1]) >= {"val_knn_auc", "val_probe_auc", "val_probe_bmd_r"}
    assert fitted.history[-1]["val_probe_bmd_r"] > 0.5
    fresh = make_encoder(backbone, width=width, size=(16, 16, 16))
    load_encoder(fresh, fitted.weights)
    learned: nn.Module = fitted.model.encoder  # type: ignore[assignment]
    for name, tensor in fresh.state_dict().items():
        assert torch.equal(tensor, learned.state_dict()[name])
    with pytest.raises(TrainingError, match="backbone and width"):
        load_encoder(make_encoder("resnet34", width=0.0625, size=(16, 16, 16)), fitted.weights)


def test_a_killed_pretraining_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    options = replace(SMALL, swav=replace(SWAV, queue=8))
    whole = fit(SwavTask(options, vertebrae(16)), LOOP, tmp_path / "whole", progress=False)
    fit(SwavTask(options, vertebrae(16)), replace(LOOP, epochs=1), tmp_path / "parts", progress=False)
    parts = fit(SwavTask(options, vertebrae(16)), LOOP, tmp_path / "parts", progress=False)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, parts.model.state_dict()[name]), name
    with pytest.raises(TrainingError, match="begun otherwise"):
        fit(SwavTask(options, vertebrae(16, first=50)), LOOP, tmp_path / "parts", progress=False)


def test_patches_are_cut_as_the_vit_cuts_them() -> None:
    image = torch.arange(8 * 4 * 4, dtype=torch.float32).reshape(1, 1, 8, 4, 4)
    patches = patches_of(image, (4, 2, 2))
    assert patches.shape == (1, 8, 16)
    torch.testing.assert_close(patches[0, 5], image[0, 0, 4:, :2, 2:].reshape(-1))
    weight = torch.randn(1, 1, 4, 2, 2)
    convolved = nn.functional.conv3d(image, weight, stride=(4, 2, 2)).flatten(2)[0, 0]
    torch.testing.assert_close(patches[0] @ weight.reshape(-1), convolved)
    with pytest.raises(TrainingError):
        patches_of(image, (3, 2, 2))


def test_hidden_patches_alone_are_painted_and_not_seen() -> None:
    task = MaeTask(replace(SMALL, method="mae", backbone="vit", width=1 / 12), vertebrae(4))
    torch.manual_seed(0)
    model = task.build().eval()
    assert isinstance(model, MaskedAutoencoder)
    image = torch.randn(2, 1, 16, 16, 16)
    order = torch.rand(2, 64).argsort(dim=1)
    assert seen_count(64) == 16
    changed = patches_of(image, model.patch).clone()
    hidden = order[:, 16:]
    changed.scatter_(1, hidden[:, :, None].expand(-1, -1, 64), 5.0)
    other = changed.reshape(2, 4, 4, 4, 4, 4, 4).permute(0, 1, 4, 2, 5, 3, 6).reshape(2, 1, 16, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(model(image, order), model(other, order))
    truth = patches_of(image, model.patch)
    standard = (truth - truth.mean(dim=2, keepdim=True)) / truth.std(dim=2, keepdim=True)
    assert float(painting_loss(standard, image, order, model.patch)) == pytest.approx(0.0, abs=1e-6)
    wrong = standard.clone()
    wrong[0, order[0, 0]] += 9.0  # a patch that is seen does not count
    assert float(painting_loss(wrong, image, order, model.patch)) == pytest.approx(0.0, abs=1e-6)
    wrong[0, order[0, 20]] += 2.0
    assert float(painting_loss(wrong, image, order, model.patch)) == pytest.approx(4.0 / 96, rel=1e-4)


def test_what_does_not_fit_together_is_refused() -> None:
    for wrong in ({"method": "mae"}, {"backbone": "vit"}, {"batch": 1}, {"method": "voco"}):
        with pytest.raises(TrainingError):
            PretrainOptions(**wrong)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="one shape"):
        SwavTask(SMALL, [])
