"""Augmentation: settled by its seed, true to geometry and labels, stronger for rare classes."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from training.errors import TrainingError
from training.transforms import AUGMENTATIONS, AugmentationOptions, Augmenter, augmentation, balanced, case_seed

pytestmark = pytest.mark.unit

SHAPE_3D, SHAPE_2D = (12, 16, 20), (24, 32)


def sample(shape: tuple[int, ...], seed: int = 0) -> dict[str, np.ndarray]:
    """An image and a mask of two labels that lie where it is bright."""
    image = np.random.default_rng(seed).random((1, *shape)).astype(np.float32)
    return {"image": image, "mask": np.where(image > 0.5, 2, 0).astype(np.uint8), "patient": np.array(7)}


@pytest.mark.parametrize(
    ("name", "shape"),
    [("none", SHAPE_2D), ("film", SHAPE_2D), ("dxa", SHAPE_2D), ("none", SHAPE_3D), ("ct", SHAPE_3D), ("dxa", SHAPE_3D)],
)
def test_the_same_seed_gives_the_same_image(name: str, shape: tuple[int, ...]) -> None:
    augmenter = Augmenter(augmentation(name), shape, masks=["mask"])
    one, same, other = (augmenter(sample(shape), seed=seed) for seed in (case_seed(1, 2, 3), case_seed(1, 2, 3), case_seed(1, 3, 3)))
    assert torch.equal(one["image"], same["image"])
    assert torch.equal(one["mask"], same["mask"])
    assert type(one["image"]) is torch.Tensor
    assert (one["image"].dtype, one["mask"].dtype) == (torch.float32, torch.int64)
    assert one["image"].shape == one["mask"].shape == (1, *shape)
    assert set(one["mask"].unique().tolist()) <= {0, 2}
    assert int(one["patient"]) == 7
    if name == "none":
        assert torch.equal(one["image"], torch.from_numpy(sample(shape)["image"]))
    else:
        assert not torch.equal(one["image"], other["image"])


def test_threads_share_an_augmenter() -> None:
    augmenter = Augmenter(augmentation("ct"), SHAPE_3D, masks=["mask"])
    with ThreadPoolExecutor(4) as threads:
        images = list(threads.map(lambda seed: augmenter(sample(SHAPE_3D), seed=seed)["image"], [1, 2, 3, 4] * 2))
    for first, again in zip(images[:4], images[4:], strict=True):
        assert torch.equal(first, again)


def test_the_sample_itself_stays() -> None:
    given = sample(SHAPE_2D)
    before = {name: array.copy() for name, array in given.items()}
    Augmenter(AUGMENTATIONS["film"], SHAPE_2D, masks=["mask"])(given, seed=4)
    assert all(np.array_equal(given[name], before[name]) for name in given)


def centred_square(shape: tuple[int, int], half: int) -> np.ndarray:
    image = np.zeros((1, *shape), np.float32)
    image[0, shape[0] // 2 - half : shape[0] // 2 + half, shape[1] // 2 - half : shape[1] // 2 + half] = 1
    return image


def test_ranges_are_what_they_say() -> None:
    """Moments of a square under many draws: shift, magnification and rotation stay inside the ranges and use them."""
    shape = (96, 96)
    image = centred_square(shape, 12)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    shifts, areas = [], []
    shifting = Augmenter(AugmentationOptions(affine_chance=1, translate=0.1, padding="zeros"), shape)
    scaling = Augmenter(AugmentationOptions(affine_chance=1, scale=0.2, padding="zeros"), shape)
    for seed in range(60):
        moved = shifting({"image": image}, seed=seed)["image"].numpy()[0]
        shifts.append([(moved * axis).sum() / moved.sum() - 47.5 for axis in (rows, columns)])
        areas.append(float(scaling({"image": image}, seed=seed)["image"].sum()) / image.sum())
    assert 8.0 < np.abs(shifts).max() <= 9.61
    assert 0.8**2 * 0.98 < min(areas) < 0.75
    assert 1.3 < max(areas) < 1.02 / 0.8**2


def test_rotation_in_the_plane() -> None:
    shape = (64, 64)
    image = np.zeros((1, *shape), np.float32)
    image[0, 30:34, 8:56] = 1
    turning = Augmenter(AugmentationOptions(affine_chance=1, rotate_deg=30, padding="zeros"), shape)
    rows, columns = np.mgrid[:64, :64] - 31.5
    angles = []
    for seed in range(40):
        turned = turning({"image": image}, seed=seed)["image"].numpy()[0]
        covariance = (turned * rows * columns).sum()
        angles.append(0.5 * math.degrees(math.atan2(2 * covariance, (turned * (columns**2 - rows**2)).sum())))
    assert 24 < max(map(abs, angles)) <= 30.5
    assert min(angles) < -10
    assert max(angles) > 10


def test_mask_and_image_move_together() -> None:
    augmenter = Augmenter(AUGMENTATIONS["dxa"], (64, 64), masks=["mask"])
    image = centred_square((64, 64), 14)
    for seed in range(10):
        moved = augmenter({"image": image, "mask": image.astype(np.uint8)}, seed=seed)
        both = ((moved["image"] > 0.5) & (moved["mask"] == 1)).sum() * 2 / ((moved["image"] > 0.5).sum() + (moved["mask"] == 1).sum())
        assert both > 0.97


def test_chances_are_kept() -> None:
    augmenter = Augmenter(AugmentationOptions(flip_chance=0.25, flip_axes=(1,)), (2, 3))
    image = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    flipped = [bool(augmenter({"image": image}, seed=case_seed(0, 0, case))["image"][0, 0, 0] == 2) for case in range(400)]
    assert 0.25 - 3 * 0.022 < np.mean(flipped) < 0.25 + 3 * 0.022


def test_noise_gain_and_offset() -> None:
    image = np.full((1, 40, 40), 0.5, np.float32)
    gained = Augmenter(AugmentationOptions(intensity_chance=1, gain=0.1, offset=0.05), (40, 40))
    noisy = Augmenter(AugmentationOptions(intensity_chance=1, noise_sd=0.1), (40, 40))
    levels = [float(gained({"image": image}, seed=seed)["image"].mean()) for seed in range(60)]
    spreads = [float(noisy({"image": image}, seed=seed)["image"].std()) for seed in range(60)]
    assert 0.4 <= min(levels) < 0.44
    assert 0.56 < max(levels) <= 0.6
    assert 0.08 < max(spreads) < 0.108
    assert min(spreads) < 0.03  # the standard deviation is drawn, too


def test_blur_takes_contrast_away() -> None:
    image = np.random.default_rng(0).random((1, 16, 16, 16)).astype(np.float32)
    blurred = Augmenter(AugmentationOptions(intensity_chance=1, blur_voxels=1.5), (16, 16, 16))({"image": image}, seed=3)["image"]
    assert float(blurred.std()) < 0.8 * image.std()


def test_rare_classes_are_augmented_more() -> None:
    common, rare, rarest = balanced(AUGMENTATIONS["ct"], [200, 100, 10])
    assert common.affine_chance == pytest.approx(AUGMENTATIONS["ct"].affine_chance)
    assert rare.affine_chance == pytest.approx(1 - 0.2**2)
    assert rare.rotate_deg == pytest.approx(12 * math.sqrt(2))
    assert rare.flip_chance == 0.5
    assert rarest == AUGMENTATIONS["ct"].strengthened(4.0)
    assert AugmentationOptions(scale=0.4).strengthened(9).scale == 0.5
    augmenter = Augmenter((AugmentationOptions(), AUGMENTATIONS["ct"]), SHAPE_3D)
    untouched = augmenter(sample(SHAPE_3D), seed=1, label=0)["image"]
    assert torch.equal(untouched, torch.from_numpy(sample(SHAPE_3D)["image"]))
    assert not torch.equal(augmenter(sample(SHAPE_3D), seed=1, label=1)["image"], untouched)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(TrainingError, match="there is no augmentation 'mixup'; there are none, ct, film, dxa"):
        augmentation("mixup")
    with pytest.raises(TrainingError, match="flip_chance must be between 0 and 1"):
        AugmentationOptions(flip_chance=1.5)
    with pytest.raises(TrainingError, match="rotate_deg must not be negative"):
        AugmentationOptions(rotate_deg=-1)
    with pytest.raises(TrainingError, match="may vanish"):
        AugmentationOptions(scale=1.0)
    with pytest.raises(TrainingError, match="mirrors axis 2"):
        Augmenter(AUGMENTATIONS["ct"], SHAPE_2D)
    with pytest.raises(TrainingError, match="2 or 3 spatial axes"):
        Augmenter(AUGMENTATIONS["none"], (4,))
    with pytest.raises(TrainingError, match="at least one training case"):
        balanced(AUGMENTATIONS["ct"], [3, 0])
    with pytest.raises(TrainingError, match=r"image has shape \(1, 12, 16, 20\)"):
        Augmenter(AUGMENTATIONS["film"], SHAPE_2D)(sample(SHAPE_3D), seed=0)
    with pytest.raises(TrainingError, match="classes 0 to 1, not for None"):
        Augmenter((AUGMENTATIONS["ct"],) * 2, SHAPE_3D)(sample(SHAPE_3D), seed=0)
