"""Variants see what they say they see; the loss by hand; the paper's options; a small network learns density from drawn chests."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.cxr.regions import crop_regions, reference_of, with_whole
from inference.cxr.rois import LANDMARKS, REGION_NAMES, mirrored, rois_of
from inference.errors import Refusal
from tests.training.cxr.made import film, films
from training.cxr.cases import densities
from training.cxr.options import DensityOptions, paper_loop, quick
from training.cxr.task import DensityTask, RegionStore, predict
from training.cxr.variants import VARIANTS, regions_of, variant
from training.errors import TrainingError
from training.loop import LoopOptions, fit
from training.transforms.augmentation import AugmentationOptions

pytestmark = pytest.mark.unit

SMALL = DensityOptions(
    size=32, width=0.03125, batch_norm=True, layers=1, heads=2, batch=4, backbone="vgg13", loop=LoopOptions(epochs=1, monitor="rmse")
)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("baseline", 1),
        ("multipatch", 9),
        ("multipatch-2", 4),
        ("multipatch-4", 16),
        ("attmultipatch", 9),
        ("multiroi", 15),
        ("proposed", 15),
    ],
)
def test_each_variant_sees_its_regions(name: str, count: int) -> None:
    chosen = variant(name)
    assert chosen.regions == count
    seen = regions_of(film(1), chosen, 32)
    assert seen.shape == (count, 32, 32)
    fusions = {"baseline": "none", "attmultipatch": "attention", "proposed": "attention"}
    assert chosen.fusion == fusions.get(name, "concatenation")
    with pytest.raises(TrainingError, match="there is no variant"):
        variant("best")


def test_regions_of_bone_are_standardised_by_the_chest_and_patches_by_the_film() -> None:
    one = film(2)
    shape = (one.image.shape[0], one.image.shape[1])
    boxes = with_whole(rois_of(one.landmarks, shape), shape)
    expected = crop_regions(one.grey, boxes, 32, reference=reference_of(one.grey, one.landmarks))
    np.testing.assert_allclose(regions_of(one, VARIANTS["proposed"], 32), expected, atol=1e-6)
    whole = regions_of(one, VARIANTS["baseline"], 32)[0]
    mean, sd = reference_of(one.grey, one.landmarks)
    np.testing.assert_allclose(whole, (expected[-1] * sd + mean - one.grey.mean()) / one.grey.std(), atol=1e-4)
    patches = regions_of(one, VARIANTS["multipatch-2"], 16)
    assert patches[3].mean() == pytest.approx((one.grey[57:, 52:].mean() - one.grey.mean()) / one.grey.std(), abs=0.05)


@pytest.mark.parametrize("name", ["proposed", "multipatch", "baseline"])
def test_a_mirrored_film_gives_the_mirrored_regions_in_mirrored_order(name: str) -> None:
    chosen = variant(name)
    one = film(3)
    swapped = one.landmarks[list(mirrored(LANDMARKS))] * (1, -1) + (0, one.image.shape[1] - 1)
    other = replace(one, image=np.ascontiguousarray(one.image[:, ::-1]), landmarks=swapped)
    expected = regions_of(one, chosen, 16)[list(chosen.mirrored)][:, :, ::-1]
    np.testing.assert_allclose(regions_of(other, chosen, 16), expected, atol=2e-4)
    if name == "proposed":
        assert [REGION_NAMES[index] for index in chosen.mirrored][-1] == "whole"


def test_films_without_landmarks_can_be_cut_into_patches_alone() -> None:
    blind = replace(film(1), landmarks=np.full((16, 2), np.nan))
    assert regions_of(blind, VARIANTS["multipatch"], 16).shape == (9, 16, 16)
    with pytest.raises(Refusal, match="has no place"):
        regions_of(blind, VARIANTS["proposed"], 16)
    grey = replace(film(1), image=np.full((115, 105), 7, dtype=np.uint16))
    with pytest.raises(TrainingError, match="one grey"):
        regions_of(grey, VARIANTS["multipatch"], 16)


def test_the_loss_is_global_and_local_in_units_of_the_training_films() -> None:
    train = tuple(film(number, bmd) for number, bmd in enumerate((0.8, 1.0, 1.2, 1.0)))
    task = DensityTask(replace(SMALL, local_weight=0.5), "L2", train, films(2, first=9))
    assert (task.mean, task.sd) == pytest.approx((1.05, np.sqrt(0.02)))  # L2 is 0.05 above L1 on the drawn films
    network = task.build().eval()
    assert network.scale.tolist() == pytest.approx([task.mean, task.sd])
    batch = next(iter(task.batches(1)))
    overall, local = network.with_local(batch["regions"])
    truth = batch["bmd"]
    whole = float((((overall[:, 0] - truth) / task.sd) ** 2).mean().detach())
    parts_loss = float((((local - truth[:, None]) / task.sd) ** 2).mean().detach())
    loss, parts = task.loss(network, batch)
    assert parts["global"] == pytest.approx(whole, rel=1e-4)
    assert parts["local"] == pytest.approx(parts_loss, rel=1e-4)
    assert float(loss.detach()) == pytest.approx(whole + 0.5 * parts_loss, rel=1e-4)
    with pytest.raises(TrainingError, match="regression from regions"):
        task.loss(torch.nn.Linear(1, 1), batch)


def test_batches_hold_every_film_once_and_repeat() -> None:
    still = replace(SMALL, augmentation=AugmentationOptions(), flip=0.0)
    given = films(10)
    task = DensityTask(still, "L1", given, films(2, first=20))
    first = list(task.batches(1))
    assert [len(one["bmd"]) for one in first] == [5, 5]
    assert sorted(torch.cat([one["bmd"] for one in first]).tolist()) == pytest.approx(sorted(densities(given, "L1")))
    store = RegionStore(given, still)
    by_density = {round(float(value), 5): store.of(one) for one, value in zip(given, densities(given, "L1"), strict=True)}
    for value, regions in zip(first[0]["bmd"], first[0]["regions"], strict=True):
        np.testing.assert_allclose(regions.numpy(), by_density[round(float(value), 5)], atol=1e-6)
    moving = DensityTask(SMALL, "L1", given, films(2, first=20))
    assert torch.equal(next(iter(moving.batches(3)))["regions"], next(iter(moving.batches(3)))["regions"])
    assert not torch.equal(next(iter(moving.batches(3)))["regions"], next(iter(moving.batches(4)))["regions"])


def test_a_store_that_may_hold_nothing_gives_the_same_regions() -> None:
    one = film(4)
    held, cut = RegionStore([one], SMALL), RegionStore([one], SMALL, held_bytes=0)
    np.testing.assert_array_equal(held.of(one), cut.of(one))
    np.testing.assert_array_equal(held.of(one), held.of(one))
    other = replace(one, image=one.image[::-1])
    assert not np.array_equal(held.of(other), held.of(one))


def test_it_learns_density(tmp_path: Path) -> None:
    loop = LoopOptions(epochs=20, learning_rate=2e-3, optimiser="adamw", monitor="rmse")
    options = replace(SMALL, width=0.0625, augmentation=AugmentationOptions(), loop=loop)
    train, validation = films(32), films(12, first=50)
    task = DensityTask(options, "L1", train, validation)
    fitted = fit(task, options.loop, tmp_path, progress=False)
    said = predict(fitted.model, validation, RegionStore(validation, options), 4)
    assert np.corrcoef(said, densities(validation, "L1"))[0, 1] > 0.5
    assert min(row["val_rmse"] for row in fitted.history) < 0.95 * task.sd
    assert predict(fitted.model, (), RegionStore((), options), 4).shape == (0,)


def test_the_papers_options() -> None:
    options, loop = DensityOptions(), paper_loop()
    assert (options.size, options.backbone, options.width, options.layers, options.heads, options.folds) == (256, "vgg16", 1.0, 6, 6, 4)
    assert (loop.optimiser, loop.learning_rate, loop.weight_decay, loop.epochs) == ("sgd", 1e-4, 4e-4, 100)
    assert options.augmentation.flip_chance == 0
    assert options.flip == 0.5
    assert quick(options).plain() != options.plain()
    assert "levels" not in options.plain()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"variant": "x"}, "no variant"),
        ({"backbone": "vit"}, "no backbone"),
        ({"levels": ("L5",)}, "levels are some of"),
        ({"levels": ("L1", "L1")}, "each once"),
        ({"batch": 1}, "batches two films"),
        ({"flip": 2.0}, "flip is a chance"),
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(TrainingError, match=why):
        DensityOptions(**wrong)  # type: ignore[arg-type]


def test_films_that_teach_nothing_are_refused() -> None:
    with pytest.raises(TrainingError, match="too few"):
        DensityTask(SMALL, "L1", films(3), films(2))
    same = tuple(film(number, 1.0) for number in range(5))
    with pytest.raises(TrainingError, match="nothing to learn"):
        DensityTask(SMALL, "L1", same, films(2))
