"""Simulated cases: the truth they carry, that they repeat, and masks that stray as a segmenter's do."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.ct.crop import OUTSIDE_HU, CropMask
from inference.volume import Volume
from training.data.labels import who_label
from training.errors import TrainingError
from training.medconv.crops import FULL_CROP, SMALL_CROP
from training.medconv.prepare import prepare_simulated
from training.medconv.simulated import COHORTS_OF_MEDCONV, SimulatedOptions, _around, paint_case, strayed, true_density
from training.simulation.density import settle

pytestmark = pytest.mark.unit

OPTIONS = SimulatedOptions(patients=3, seed=41, cohort=COHORTS_OF_MEDCONV["spread"])
PEOPLE = OPTIONS.people()


def test_a_case_carries_the_class_of_its_true_t_score_and_repeats() -> None:
    one, again = (paint_case(PEOPLE[0], OPTIONS, SMALL_CROP) for _ in range(2))
    assert np.array_equal(one.hu, again.hu)
    assert one.label == who_label(one.t_score).class_index
    # The density of the painted patient is that of the patient who is settled at this very T-score.
    settled = settle(PEOPLE[0].patient, one.t_score, PEOPLE[0].device)
    assert settled.patient.trabecular_hu == pytest.approx(PEOPLE[0].patient.trabecular_hu, abs=3)
    middle = one.hu[12:20, 13:18, 13:19]
    assert float(np.median(middle)) == pytest.approx(PEOPLE[0].patient.trabecular_hu, abs=60)
    assert 0.05 < (one.hu > OUTSIDE_HU).mean() < 0.3


def test_a_settled_patient_has_the_wanted_t_score() -> None:
    _, t_score = true_density(PEOPLE[1], replace(OPTIONS, settled=True))
    assert t_score == pytest.approx(PEOPLE[1].target_t, abs=0.05)


def test_pixels_are_no_finer_than_the_crop_needs_and_slices_are_the_scanners() -> None:
    person = PEOPLE[0]
    small, full = (_around(person.patient, person.acquisition, crop) for crop in (SMALL_CROP, FULL_CROP))
    assert small.pixel_spacing_mm == pytest.approx(1.5)
    assert full.pixel_spacing_mm == pytest.approx(max(person.acquisition.pixel_spacing_mm, 0.75))
    assert small.slice_spacing_mm == full.slice_spacing_mm == person.acquisition.slice_spacing_mm


def test_patients_are_painted_once_and_altered_ones_are_listed(tmp_path: Path) -> None:
    broken = replace(PEOPLE[2], patient=replace(PEOPLE[2].patient, crush={"L1": 0.4}))

    class Options(SimulatedOptions):
        def people(self) -> list[object]:  # type: ignore[override]
            return [PEOPLE[0], broken]

    options = Options(patients=2, seed=41, cohort=OPTIONS.cohort)
    first = prepare_simulated(options, SMALL_CROP, tmp_path, progress=False)
    written = {path: path.stat().st_ino for path in tmp_path.glob("*.npz")}
    again = prepare_simulated(options, SMALL_CROP, tmp_path, progress=False)
    assert {path: path.stat().st_ino for path in tmp_path.glob("*.npz")} == written
    assert np.array_equal(first.cases[0].hu, again.cases[0].hu)
    assert [one.because for one in again.skipped] == ["L1 is altered: fracture"]
    assert (first.cases[0].label, first.cases[0].t_score) == (again.cases[0].label, again.cases[0].t_score)


def test_a_mask_strays_within_its_error() -> None:
    mask = np.zeros((40, 40, 40), dtype=bool)
    mask[10:30, 10:30, 10:30] = True
    volume = Volume(hu=np.zeros(mask.shape, dtype=np.int16), affine=np.eye(4))
    rng = np.random.default_rng(3)
    assert strayed(mask, volume, 0.0, rng) is mask
    seen = [strayed(mask, volume, 1.5, rng) for _ in range(6)]
    assert len({one.tobytes() for one in seen}) > 3
    for one in seen:
        assert one[12:28, 12:28, 12:28].all()
        assert not one[:8].any()
        assert not one[32:].any()


def test_whole_vertebrae_are_not_simulated() -> None:
    with pytest.raises(TrainingError, match="masks of bodies"):
        paint_case(PEOPLE[0], OPTIONS, replace(SMALL_CROP, mask=CropMask.VERTEBRA))
    with pytest.raises(TrainingError, match="at least one patient"):
        SimulatedOptions(patients=0)
