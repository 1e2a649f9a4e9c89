"""The shipped bundles: small, honest about what they learned from, not blind, and deaf to how a film is stored."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from pydicom.dataset import Dataset

from inference.bundles import BundleSource, TrainedOn, shipped_bundle
from inference.bundles.bundle import SHIPPED
from inference.cxr.film import NormalisedFilm
from inference.cxr.measure import Measured, measure_film, open_models
from inference.cxr.options import CxrOptions
from inference.cxr.rois import implausible_because
from tests.inference.cxr import test_normalise as ways
from tests.inference.cxr.films import PITCH_MM, dataset, decided, film_data, put, simulated, stored, with_text
from tests.inference.cxr.made_models import true_landmarks
from tests.training.xray_patients import spine_patient
from training.cxr.publish import DENSITY_NAME, LANDMARKS_NAME
from training.simulation.xray.film import ChestFilmParameters, SimulatedFilm, simulate_chest_film

pytestmark = pytest.mark.unit

EXACT_G_CM2, ROUNDED_G_CM2, MOVED_G_CM2 = 1e-4, 0.01, 0.03
"""How far an estimate may move where the film's array is the same, where it is rounded, and where its edge or scale moves by a pixel."""


@cache
def film_of_bone(trabecular_hu: float) -> SimulatedFilm:
    plain = ChestFilmParameters(paint_spacing_mm=4.0, pixel_spacing_mm=PITCH_MM)
    return simulate_chest_film(spine_patient(trabecular_hu), plain)


def read(film: NormalisedFilm | None) -> Measured:
    assert film is not None
    return measure_film(film, open_models(CxrOptions(bundles=BundleSource(allow_simulated=True))), "F")


def densities(found: Measured) -> np.ndarray:
    return np.array([level.bmd_g_cm2 for level in found.measurement.estimate.levels])


@pytest.fixture(scope="module")
def plain() -> Measured:
    return read(decided(dataset()).film)


def test_they_are_small_and_say_what_they_learned_from() -> None:
    assert sum(path.stat().st_size for name in (LANDMARKS_NAME, DENSITY_NAME) for path in (SHIPPED / name).rglob("*")) <= 4 << 20
    for name in (LANDMARKS_NAME, DENSITY_NAME):
        osteon = shipped_bundle(name).metadata.osteon
        assert osteon.trained_on is TrainedOn.SIMULATED_PATIENTS
        assert any("never seen a patient" in limit for limit in osteon.limits)
        assert osteon.training.git_commit is not None
        assert osteon.training.command.startswith("osteon train cxr")
    density = shipped_bundle(DENSITY_NAME).metadata.osteon
    assert density.densitometer == "Hologic", "the one make whose shipped reference is verified"
    assert len(density.targets) == 16
    found = {metric.name: metric for metric in density.metrics}
    r = next(metric for name, metric in found.items() if name.startswith("Pearson's R") and name.endswith("average"))
    assert r.low is not None
    assert r.low > 0.4


def test_the_landmarks_of_a_patient_that_was_not_learned_from_are_found(plain: Measured) -> None:
    film = decided(dataset()).film
    assert film is not None
    errors_mm = np.linalg.norm(plain.measurement.estimate.landmarks - true_landmarks(simulated("PA"), film), axis=1) * PITCH_MM
    assert errors_mm.mean() < 8.0
    assert implausible_because(plain.measurement.estimate.landmarks) is None


def test_thin_bone_is_estimated_below_dense_bone() -> None:
    thin, dense = (densities(read(decided(film_data(film_of_bone(hu))).film)) for hu in (30.0, 220.0))
    assert (thin < dense - 0.05).all()


@pytest.mark.parametrize(
    ("change", "tolerance"),
    [
        (ways.monochrome1, EXACT_G_CM2),
        (ways.lie_monochrome1, EXACT_G_CM2),
        (ways.run_length, EXACT_G_CM2),
        (ways.jpeg_2000, EXACT_G_CM2),
        (ways.jpeg_ls, EXACT_G_CM2),
        (ways.to_bits(8), ROUNDED_G_CM2),
        (ways.to_bits(10), ROUNDED_G_CM2),
        (ways.to_bits(16), ROUNDED_G_CM2),
        (ways.rescaled, ROUNDED_G_CM2),
        (ways.voi_lut, ROUNDED_G_CM2),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_polarity_depth_and_syntax_do_not_change_the_answer(plain: Measured, change: Callable[[Dataset], None], tolerance: float) -> None:
    found = read(decided(dataset(change=change)).film)
    assert densities(found) == pytest.approx(densities(plain), abs=tolerance)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_position_does_not_change_the_answer(plain: Measured, quarters: int, mirrored: bool) -> None:
    upright = stored(dataset())
    lying = np.rot90(upright[:, ::-1] if mirrored else upright, -quarters)
    found = read(decided(dataset(change=lambda ds: put(ds, lying))).film)
    assert densities(found) == pytest.approx(densities(plain), abs=EXACT_G_CM2)


@pytest.mark.parametrize(("text", "at"), [("0815-4711", (8, 300)), ("4711", (3, 310)), ("T -3.4", (250, 8))])
def test_a_burned_in_number_does_not_change_the_answer(plain: Measured, text: str, at: tuple[int, int]) -> None:
    found = read(decided(dataset(change=lambda ds: put(ds, with_text(stored(ds), text, at)))).film)
    assert densities(found) == pytest.approx(densities(plain), abs=MOVED_G_CM2)
    assert [level.low for level in found.measurement.reading.levels] == [level.low for level in plain.measurement.reading.levels]


@pytest.mark.parametrize("white", [False, True])
def test_a_border_hardly_changes_the_answer(plain: Measured, white: bool) -> None:
    whole = np.pad(stored(dataset()), ((24, 40), (60, 12)), constant_values=4095 if white else 0)
    found = read(decided(dataset(change=lambda ds: put(ds, whole))).film)
    assert densities(found) == pytest.approx(densities(plain), abs=MOVED_G_CM2)
