"""The benchmark's questions: a rise by hand, and what is called settled."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.cxr import QUESTIONS, answers, rise
from benchmarks.cxr_overlays import overlay
from inference.cxr.rois import LANDMARKS
from tests.inference.cxr.chest import landmarks
from tests.inference.cxr.films import dataset, decided
from tests.training.cxr.test_estimates import made
from training.cxr.variants import VARIANTS
from training.metrics.bootstrap import BootstrapOptions

pytestmark = pytest.mark.unit

FEW = BootstrapOptions(resamples=60)


def test_a_rise_is_the_difference_of_mean_r_on_the_same_patients() -> None:
    poor, good = made(40, noise=0.3), made(40, noise=0.01)
    expected = np.mean(
        [
            np.corrcoef(good.bmd_g_cm2[:, k], good.estimated[:, k])[0, 1] - np.corrcoef(poor.bmd_g_cm2[:, k], poor.estimated[:, k])[0, 1]
            for k in range(4)
        ]
    )
    found = rise(poor, good, FEW)
    assert found.value == pytest.approx(expected)
    assert found.low > 0
    with pytest.raises(ValueError, match="the same patients"):
        rise(poor, replace(good, patients=tuple(reversed(good.patients))), FEW)


def test_answers_say_yes_no_or_nothing() -> None:
    poor, good = made(40, noise=0.3), made(40, noise=0.01)
    lines = answers({"multipatch": poor, "attmultipatch": good, "multiroi": poor, "proposed": poor}, FEW)
    said = [line.split("|")[3].strip() for line in lines[2:]]
    assert said == ["yes", "not settled", "not settled", "no, it is worse"]  # without a baseline the last question is left out
    assert {name for _, before, after in QUESTIONS for name in (before, after)} <= VARIANTS.keys()


def test_an_overlay_has_a_dot_at_each_landmark() -> None:
    film = decided(dataset()).film
    assert film is not None
    places = landmarks() * min(film.image.shape) / 460
    drawn = np.asarray(overlay(film, places, height=2 * film.image.shape[0]))
    assert drawn.shape[:2] == (2 * film.image.shape[0], 2 * film.image.shape[1])
    for name, (row, column) in zip(LANDMARKS, places, strict=True):
        assert tuple(drawn[round(2 * (row + 0.5)), round(2 * (column + 0.5))]) == (255, 60, 60), name
