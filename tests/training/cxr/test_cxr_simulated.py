"""A simulated film's truth is what the anatomy says, and who has an implant or a fracture is left out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.bundles import TrainedOn
from inference.cxr.rois import LANDMARKS, implausible_because
from training.cxr.cases import LEVELS
from training.cxr.simulated import COHORTS_OF_CXR, SimulatedOptions, acquisition, prepare_simulated, unsuitable_because
from training.errors import TrainingError
from training.simulation.density import true_bone
from training.simulation.xray.devices import DEVICES
from training.simulation.xray.film import set_up
from training.simulation.xray.landmarks import chest_landmarks

pytestmark = pytest.mark.unit

COARSE = SimulatedOptions(patients=1, seed=9, paint_spacing_mm=4.0, pixel_spacing_mm=1.5)


def test_a_film_has_its_true_landmarks_and_density(tmp_path: Path) -> None:
    films = prepare_simulated(COARSE, tmp_path, progress=False)
    assert films.trained_on is TrainedOn.SIMULATED_PATIENTS
    film, person = films.cases[0], COARSE.people()[0]
    device = DEVICES["GE Lunar"]
    bone = true_bone(person.patient)
    expected = [device.reading(bone[level].areal.bmd_g_cm2) for level in LEVELS]
    np.testing.assert_allclose(film.bmd_g_cm2, expected)
    np.testing.assert_allclose(film.t_scores, [(value - 1.18) / 0.12 for value in expected])
    scene = set_up(person.patient, acquisition(person, COARSE))
    points = chest_landmarks(scene.painted)
    painted_at = scene.on_image(np.array([points[name] for name in LANDMARKS]))
    cut = film.landmarks - painted_at  # the node cuts borders off, and nothing else of an upright film
    np.testing.assert_allclose(cut, np.broadcast_to(cut[0], cut.shape), atol=1e-9)
    assert (cut <= 0).all()
    assert implausible_because(film.landmarks) is None
    assert (film.age, film.sex, film.device) == (person.patient.age_years, person.patient.sex, "GE Lunar")
    assert film.grey.max() <= 1
    again = prepare_simulated(COARSE, tmp_path, progress=False).cases[0]
    np.testing.assert_array_equal(again.image, film.image)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_density_is_told_on_the_scale_that_is_asked_for(tmp_path: Path) -> None:
    lunar, hologic = (prepare_simulated(replace(COARSE, densitometer=name), tmp_path, progress=False) for name in ("GE Lunar", "Hologic"))
    np.testing.assert_allclose(hologic.cases[0].bmd_g_cm2, 0.906 * lunar.cases[0].bmd_g_cm2 - 0.025)
    np.testing.assert_allclose(hologic.cases[0].t_scores, (hologic.cases[0].bmd_g_cm2 - 1.047) / 0.11)
    assert (lunar.densitometer, hologic.densitometer) == ("GE Lunar", "Hologic")
    assert len(list(tmp_path.iterdir())) == 2, "one painting serves both"
    with pytest.raises(TrainingError, match="no densitometer 'Norland'"):
        replace(COARSE, densitometer="Norland")


def test_implants_and_fractures_are_left_out() -> None:
    sound = replace(COARSE.people()[0].patient, wedge={}, crush={}, screws=(), cement=())
    assert unsuitable_because(sound) is None
    assert unsuitable_because(replace(sound, wedge={"T12": 0.1})) is None
    assert unsuitable_because(replace(sound, wedge={"T12": 0.3}, crush={"L1": 0.4})) == "fracture of L1, T12"
    assert unsuitable_because(replace(sound, screws=("L4", "L5"))) == "implants in L4, L5"
    assert unsuitable_because(replace(sound, cement=("L1",))) == "cement in L1"


def test_who_is_left_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    person = COARSE.people()[0]
    broken = replace(person, patient=replace(person.patient, crush={"L2": 0.4}))
    monkeypatch.setattr(SimulatedOptions, "people", lambda _: [broken])
    films = prepare_simulated(COARSE, tmp_path, progress=False)
    assert not films.cases
    assert films.skipped[0].because == "fracture of L2"


def test_films_are_made_in_several_ways_and_each_patient_s_stays_the_same() -> None:
    people = replace(COARSE, patients=40).people()
    made = [acquisition(person, COARSE) for person in people]
    assert made == [acquisition(person, COARSE) for person in people]
    assert len({one.gradation for one in made}) == 3
    assert {one.view.value for one in made} == {"PA", "AP"}
    assert all(one.pixel_spacing_mm == 1.5 for one in made)


def test_cohorts_are_the_paper_s_and_an_even_one() -> None:
    checkup, spread = COHORTS_OF_CXR["checkup"], COHORTS_OF_CXR["spread"]
    assert checkup.prevalence == (51.0, 38.0, 11.0)
    assert checkup.population.age_range == (40, 90)
    assert set(checkup.devices) == set(spread.devices) == {"GE Lunar"}
    assert not any(unsuitable_because(person.patient) for person in replace(COARSE, patients=60).people())
    assert "simulated patients of the cohort 'checkup'" in COARSE.words()
    with pytest.raises(TrainingError, match="at least one patient"):
        SimulatedOptions(patients=0)
