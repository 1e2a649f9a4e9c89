"""Augmented films carry their landmarks with them; the task's loss by hand; a small network learns where the landmarks are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.cxr.locate import find_landmarks, square, square_box, standardised, to_fractions, to_pixels
from inference.cxr.rois import LANDMARKS, mirrored
from tests.training.cxr.made import film, films
from training.cxr.landmark_augmentation import LandmarkAugmentation, augmented, clouded, with_cables
from training.cxr.landmark_task import LandmarkOptions, LandmarkTask, landmark_loop, quick_landmarks, radial_errors_mm
from training.errors import TrainingError
from training.loop import LoopOptions, fit

pytestmark = pytest.mark.unit

SMALL = LandmarkOptions(size=64, width=0.0625, pyramid=16, embedding=16, batch=4, loop=LoopOptions(epochs=1))
POSE = LandmarkAugmentation(gamma=0, gain_waves=0, detail=0, noise_sd=0, blur_pixels=0, borders=0, opacity=0, cables=0, flip=0)


def spot(place: tuple[float, float], size: int = 96) -> np.ndarray:
    grid = (np.arange(size) + 0.5) / size
    square_distance = (grid[:, None] - place[0]) ** 2 + (grid[None, :] - place[1]) ** 2
    return np.exp(-square_distance / (2 * 0.03**2)).astype(np.float32)


def centre_of(image: np.ndarray) -> np.ndarray:
    weight = np.clip(image - image.min(), 0, None) ** 2
    grid = (np.arange(image.shape[0]) + 0.5) / image.shape[0]
    return np.array([(weight.sum(axis=1) * grid).sum(), (weight.sum(axis=0) * grid).sum()]) / weight.sum()


@pytest.mark.parametrize("seed", range(6))
def test_landmarks_stay_where_they_are_on_the_bone(seed: int) -> None:
    places = np.full((16, 2), 0.5)
    places[LANDMARKS.index("T12")] = (0.62, 0.45)
    image, moved = augmented(spot((0.62, 0.45)), places, POSE, seed)
    np.testing.assert_allclose(centre_of(image), moved[LANDMARKS.index("T12")], atol=0.006)
    assert np.abs(moved[LANDMARKS.index("T12")] - (0.62, 0.45)).max() > 1e-3


def test_a_mirrored_film_has_its_sides_exchanged() -> None:
    places = np.linspace(0.1, 0.9, 32).reshape(16, 2)
    still = replace(POSE, rotate_deg=0, scale=0, stretch=0, translate=0, flip=0.999999)
    image, moved = augmented(spot((0.3, 0.2)), places, still, 1)
    np.testing.assert_allclose(centre_of(image), (0.3, 0.8), atol=0.01)
    np.testing.assert_allclose(moved, places[list(mirrored(LANDMARKS))] * (1, -1) + (0, 1))


def test_a_draw_is_settled_by_its_seed_and_processing_moves_nothing() -> None:
    one = film(1)
    image = square(one.grey, 64)
    places = to_fractions(one.landmarks, one.grey.shape)
    exposed = LandmarkAugmentation(rotate_deg=0, scale=0, stretch=0, translate=0, flip=0)
    first, second, other = (augmented(image, places, exposed, seed) for seed in (3, 3, 4))
    assert np.array_equal(first[0], second[0])
    assert not np.allclose(first[0], other[0], atol=0.05)
    np.testing.assert_allclose(first[1], places)
    with pytest.raises(TrainingError, match="nothing is negative"):
        LandmarkAugmentation(noise_sd=-1)


def test_opacities_and_cables_only_add_and_leave_most_of_the_film() -> None:
    grey = np.random.default_rng(0).random((96, 96))
    options = LandmarkAugmentation(cables=4, opacity=0.4)
    draws = [np.random.default_rng(seed) for seed in range(12)]
    clouds = [clouded(grey, options, rng) - grey for rng in draws]
    lines = [with_cables(grey, options, rng) - grey for rng in draws]
    assert min(added.min() for added in (*clouds, *lines)) >= 0
    assert 0.1 < max(added.max() for added in clouds) <= 0.8
    assert 0.1 < max(added.max() for added in lines) <= 0.6
    assert max((added > 0.01).mean() for added in lines) < 0.3
    assert any(not added.any() for added in lines)  # now and then none
    assert any(not added.any() for added in clouds)
    np.testing.assert_array_equal(with_cables(grey, replace(options, cables=0), draws[0]), grey)


def test_the_square_holds_the_film_and_places_come_back() -> None:
    np.testing.assert_array_equal(square_box((100, 60)), (0, -20, 100, 80))
    places = np.array([[0.0, 0.0], [99.0, 59.0], [40.25, 12.5]])
    np.testing.assert_allclose(to_pixels(to_fractions(places, (100, 60)), (100, 60)), places)
    np.testing.assert_allclose(to_fractions(np.array([[-0.5, -20.5], [99.5, 79.5]]), (100, 60)), [[0, 0], [1, 1]])
    made = square(np.arange(6000, dtype=np.float32).reshape(100, 60), 32)
    assert float(made.mean()) == pytest.approx(0, abs=1e-5)
    assert float(made.std()) == pytest.approx(1, abs=1e-5)
    assert not standardised(np.full((4, 4), 3, dtype=np.float32)).any()


def test_the_loss_by_hand() -> None:
    task = LandmarkTask(SMALL, films(4))
    network = task.build().train()
    truth = network.initial.expand(2, -1, -1).clone()
    truth[0] += torch.tensor([0.03, -0.05])  # the network, untrained, answers with its mean shape in every step
    truth[1] += 0.005
    loss, parts = task.loss(network, {"image": torch.rand(2, 1, 64, 64), "landmarks": truth})
    assert parts["global"] == pytest.approx(((0.08 - 0.02) + 0.0) / 2, abs=1e-6)
    assert parts["local"] == pytest.approx((0.08 + 0.01) / 2, abs=1e-6)
    assert float(loss.detach()) == pytest.approx(parts["global"] + parts["local"], abs=1e-6)
    with pytest.raises(TrainingError, match="landmark graph"):
        task.loss(torch.nn.Linear(1, 1), {})


def test_batches_repeat_and_the_network_begins_with_the_mean_shape() -> None:
    task = LandmarkTask(SMALL, films(9))
    network = task.build()
    mean = np.mean([to_fractions(one.landmarks, one.grey.shape) for one in films(9)], axis=0)
    np.testing.assert_allclose(network.initial.numpy(), mean, atol=1e-6)
    first, again = list(task.batches(1)), list(task.batches(1))
    assert len(first) == 2
    assert all(torch.equal(one["image"], other["image"]) for one, other in zip(first, again, strict=True))
    assert first[0]["image"].shape == (4, 1, 64, 64)
    assert not torch.equal(first[0]["image"], next(iter(task.batches(2)))["image"])


def test_it_learns_and_says_how_far_off_it_is(tmp_path: Path) -> None:
    mild = LandmarkAugmentation(rotate_deg=4, gamma=0.2, gain_waves=0.05, noise_sd=0.01, blur_pixels=0.3, borders=0, detail=0.2)
    loop = replace(landmark_loop(8), learning_rate=6e-3)
    options = replace(SMALL, width=0.125, augmentation=mild, loop=loop)
    validation = films(3, first=100)
    fitted = fit(LandmarkTask(options, films(12), validation), options.loop, tmp_path, progress=False)
    losses = [row["train_loss"] for row in fitted.history]
    assert min(losses[-3:]) < 0.7 * losses[0]
    errors = radial_errors_mm(fitted.model, validation, 64)
    assert fitted.history[-1]["val_error_mm"] == pytest.approx(float(errors.mean()), rel=1e-5)
    assert fitted.history[-1]["val_near"] == pytest.approx(float((errors < 4).mean()))
    found = find_landmarks(validation[0].grey, fitted.model, 64)
    np.testing.assert_allclose(errors[0], 3.5 * np.linalg.norm(found - validation[0].landmarks, axis=1))


def test_a_film_and_its_mirror_image_give_the_same_places() -> None:
    torch.manual_seed(0)
    network = LandmarkTask(SMALL, films(4)).build().eval()
    for layer in (network.whole.last, network.local.last):
        torch.nn.init.normal_(layer.weight, std=0.05)
    grey = films(1)[0].grey[:, :-20]
    found, turned = find_landmarks(grey, network, 64), find_landmarks(grey[:, ::-1], network, 64)
    np.testing.assert_allclose(turned[list(mirrored(LANDMARKS))] * (1, -1) + (0, grey.shape[1] - 1), found, atol=1e-2)
    with torch.inference_mode():
        alone = network(torch.from_numpy(square(grey, 64))[None, None])[0].double().numpy().reshape(-1, 2)
    assert np.abs(to_pixels(alone, grey.shape) - found).max() > 0.5  # of the film alone it says something else


def test_what_cannot_be_learnt_from_is_refused() -> None:
    unknown = replace(film(0), landmarks=np.full((16, 2), np.nan))
    with pytest.raises(TrainingError, match="P000: the film's landmarks are not known"):
        LandmarkTask(SMALL, (unknown, *films(4)))
    with pytest.raises(TrainingError, match="too few"):
        LandmarkTask(SMALL, films(3))
    with pytest.raises(TrainingError, match="pixels have a size"):
        radial_errors_mm(torch.nn.Identity(), [replace(film(0), spacing_mm=float("nan"))], 64)
    for wrong in ({"backbone": "vit"}, {"size": 40}, {"batch": 1}):
        with pytest.raises(TrainingError):
            LandmarkOptions(**wrong)  # type: ignore[arg-type]


def test_quick_is_smaller_and_says_so_to_a_resumed_run() -> None:
    full = LandmarkOptions()
    assert (quick_landmarks(full).size, quick_landmarks(full).width) == (128, 0.125)
    assert full.plain() != quick_landmarks(full).plain()
    assert LandmarkTask(SMALL, films(4)).describe()["train"] != LandmarkTask(SMALL, films(4, first=1)).describe()["train"]
