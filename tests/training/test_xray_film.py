"""Chest films: what is black and white in them, where the landmarks are, what an exposure changes."""

from dataclasses import replace

import numpy as np
import pytest

from tests.training.xray_patients import COARSE_MM, film, spine_patient
from training.simulation.body import paint_anatomy
from training.simulation.spine import build_spine
from training.simulation.structure import Structure
from training.simulation.xray.detector import DetectorPhysics, add_scatter, read_out
from training.simulation.xray.film import ChestFilmParameters, portable, simulate_chest_film
from training.simulation.xray.gradation import Gradation, present
from training.simulation.xray.landmarks import CAGE_RIBS, SIDES, chest_landmarks
from training.simulation.xray.markers import burn_marker
from training.simulation.xray.projection import View

pytestmark = pytest.mark.unit


def test_sixteen_landmarks_lie_on_their_bones() -> None:
    patient = spine_patient()
    spine = build_spine(patient)
    low, high = (float(spine.level(name).frame.origin[2]) for name in ("L1", "T1"))
    painted = paint_anatomy(patient, spacing_mm=COARSE_MM, z_range_mm=(low, high + 40.0))
    points = chest_landmarks(painted)
    assert len(points) == 16
    inverse = np.linalg.inv(painted.affine)
    for name, point in points.items():
        index = np.rint(inverse @ np.array([*point, 1.0]))[:3].astype(int)
        near = painted.structures[tuple(slice(max(0, value - 1), value + 2) for value in index)]
        wanted = {"clavicle": Structure.OTHER_BONE, "ribcage": Structure.RIB}.get(name.split("_")[0], Structure.BODY)
        assert (near == wanted).any(), name
        if name.endswith(("left", "right")):
            assert point[0] * SIDES[name.split("_")[-1]] > 10, name


def test_landmarks_are_in_the_image_and_in_order() -> None:
    rows, columns = film().image.shape
    points = film().landmarks
    inside = [0 <= row < rows and 0 <= column < columns for row, column in points.values()]
    assert sum(inside) >= 14  # the outer ends of the clavicles may leave a narrow field
    assert points["C7"][0] < points["T12"][0]
    for side in SIDES:
        heights = [points[f"ribcage_{number}_{side}"][0] for number in range(1, len(CAGE_RIBS) + 1)]
        assert heights == sorted(heights)
    assert points["clavicle_middle_left"][1] > points["C7"][1] > points["clavicle_middle_right"][1]


def test_lungs_are_dark_and_the_spine_is_bright() -> None:
    image, points = film().image.astype(float), film().landmarks
    row = round((points["ribcage_2_left"][0] + points["ribcage_3_left"][0]) / 2)
    column = round(points["T12"][1])
    edge = round(points["ribcage_3_left"][1])
    lung = image[row - 5 : row + 5, column + round(0.55 * (edge - column)) : column + round(0.8 * (edge - column))].mean()
    spine = image[row - 5 : row + 5, column - 8 : column + 8].mean()
    abdomen = image[-30:-10, column - 30 : column + 30].mean()
    air = image[-30:-10, :6].mean()
    assert air < lung < spine
    assert lung + 600 < min(spine, abdomen)


def test_the_same_seed_gives_the_same_bytes_and_another_one_other_noise() -> None:
    coarse = ChestFilmParameters(paint_spacing_mm=6.0, pixel_spacing_mm=2.0)
    first, again, other = (simulate_chest_film(spine_patient(), replace(coarse, seed=seed)).image for seed in (0, 0, 1))
    assert again.tobytes() == first.tobytes()
    assert other.tobytes() != first.tobytes()
    assert np.abs(other.astype(int) - first).mean() < 60


def test_a_portable_film_and_a_lateral_one() -> None:
    coarse = {"paint_spacing_mm": 6.0, "pixel_spacing_mm": 2.0}
    bedside = simulate_chest_film(spine_patient(), portable(**coarse))
    lateral = simulate_chest_film(spine_patient(), ChestFilmParameters(view=View.LATERAL, **coarse))
    assert bedside.acquisition.view is View.AP
    assert not bedside.acquisition.physics.grid
    assert set(bedside.landmarks) == set(film().landmarks)
    assert lateral.landmarks == {}
    assert lateral.magnification > 1.05


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"bits_stored": 8}, "10 to 16 bits"), ({"pixel_spacing_mm": 0.0}, "positive"), ({"source_mm": 300.0}, "800 mm")],
)
def test_impossible_films_are_refused(changes: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ChestFilmParameters(**changes)


def test_scatter_lifts_the_shadow_and_a_grid_takes_it_away() -> None:
    primary = np.full((200, 200), 0.02, np.float32)
    primary[:, :60] = 0.3
    tissue = np.where(primary < 0.1, np.float32(20.0), np.float32(5.0))
    shares = {
        grid: 1 - (0.7 if grid else 1.0) * primary[100, 150] / add_scatter(primary, tissue, 2.0, grid=grid)[100, 150] for grid in (0, 1)
    }
    assert 0.6 < shares[0] < 0.95  # behind the mediastinum most of what arrives is scatter
    assert shares[1] < shares[0] - 0.2


def test_noise_is_that_of_counted_quanta() -> None:
    flat = np.full((400, 400), 0.01, np.float32)
    physics = DetectorPhysics(quanta_per_mm2=10_000.0, blur_mm=0.01)
    read = read_out(flat, 0.5, physics, np.random.default_rng(1))
    assert read.mean() == pytest.approx(0.01, rel=1e-3)
    assert read.std() / read.mean() == pytest.approx(1 / np.sqrt(10_000 * 0.25), rel=0.02)


@pytest.mark.parametrize("gradation", list(Gradation))
def test_less_radiation_is_brighter_in_every_look(gradation: Gradation) -> None:
    signal = np.geomspace(0.9, 0.002, 240, dtype=np.float32)[None, :].repeat(60, axis=0)
    grey = present(signal, 1.0, gradation)
    assert grey.min() >= 0
    assert grey.max() <= 1
    assert (np.diff(grey[30, 20:-20]) > -1e-4).all()
    assert grey[30, -1] - grey[30, 0] > 0.5


def test_a_marker_is_white_and_must_fit() -> None:
    marked = burn_marker(np.zeros((300, 300), np.float32), "L", 1.0)
    rows, columns = np.nonzero(marked > 0.9)
    assert rows.max() < 60
    assert columns.min() > 240
    with pytest.raises(ValueError, match="does not fit"):
        burn_marker(np.zeros((30, 30), np.float32), "LONG MARKER", 1.0)


def test_raised_arms_leave_the_sides_of_the_chest_free() -> None:
    patient = spine_patient()
    spine = build_spine(patient)
    low, high = (float(spine.level(name).frame.origin[2]) for name in ("T9", "T6"))
    hanging, raised = (
        paint_anatomy(patient, spacing_mm=COARSE_MM, z_range_mm=(low, high), arms_raised=arms_raised) for arms_raised in (False, True)
    )
    middle = hanging.hu.shape[2] // 2
    assert (hanging.hu > -200).sum() > 1.1 * (raised.hu > -200).sum()
    assert np.array_equal(hanging.hu[:, :, middle - 5 : middle + 5], raised.hu[:, :, middle - 5 : middle + 5])
