"""Painted patients, the pool on disk, and what domain randomisation does to a patch."""

from pathlib import Path

import numpy as np
import pytest

from training.errors import TrainingError
from training.simulation.body import Structure
from training.vertebrae.anatomy import AnatomyCase, Pool, paint_case, sample_anatomy
from training.vertebrae.randomise import AIR_HU, Randomisation, bend, draw_patch, rotation_zyx

pytestmark = pytest.mark.unit

SHAPE = (48, 48, 48)


@pytest.fixture(scope="module")
def case() -> AnatomyCase:
    return paint_case(5, 0, spacing_mm=4.0)


def test_the_same_numbers_paint_the_same_bytes(case: AnatomyCase):
    again = paint_case(5, 0, spacing_mm=4.0)
    assert np.array_equal(case.hu, again.hu)
    assert np.array_equal(case.structures, again.structures)
    assert not np.array_equal(case.hu.shape, paint_case(5, 1, spacing_mm=4.0).hu.shape)


def test_patients_are_far_more_varied_than_a_population():
    patients = [sample_anatomy(9, index) for index in range(300)]
    density = np.array([patient.trabecular_hu for patient in patients])
    assert density.min() < 30
    assert density.max() > 240
    assert {patient.lumbar_count for patient in patients} == {4, 5, 6}
    assert len({patient.contrast for patient in patients}) == 3
    assert any(patient.screws for patient in patients)
    assert any(patient.cement for patient in patients)
    assert not any(patient.screws and patient.cement for patient in patients)


def test_the_pool_paints_each_patient_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: AnatomyCase):
    painted: list[int] = []

    def paint(_: int, index: int) -> AnatomyCase:
        painted.append(index)
        return case

    monkeypatch.setattr("training.vertebrae.anatomy.paint_case", paint)
    pool = Pool(folder=tmp_path / "pool", seed=5, count=3)
    assert pool.missing() == [0, 1, 2]
    first, again = pool.load(1), pool.load(1)
    assert painted == [1]
    assert np.array_equal(first.hu, again.hu)
    assert np.array_equal(first.structures, case.structures)
    assert pool.missing() == [0, 2]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"no archive at all"])
def test_a_damaged_case_says_what_to_do(tmp_path: Path, content: bytes):
    pool = Pool(folder=tmp_path, seed=5, count=1)
    pool.path(0).write_bytes(content)
    with pytest.raises(TrainingError, match="delete it"):
        pool.load(0)


def test_a_patch_follows_its_generator(case: AnatomyCase):
    options = Randomisation()
    one = draw_patch(case, SHAPE, 3.0, options, np.random.default_rng(1))
    same = draw_patch(case, SHAPE, 3.0, options, np.random.default_rng(1))
    other = draw_patch(case, SHAPE, 3.0, options, np.random.default_rng(2))
    assert np.array_equal(one[0], same[0])
    assert np.array_equal(one[1], same[1])
    assert not np.array_equal(one[0], other[0])


def test_patches_look_at_the_column_and_stay_in_range(case: AnatomyCase):
    shown = 0
    for seed in range(20):
        hu, labels = draw_patch(case, SHAPE, 3.0, Randomisation(), np.random.default_rng(seed))
        assert hu.dtype == np.float32
        assert labels.dtype == np.uint8
        assert hu.min() >= -1024
        assert set(np.unique(labels)) <= {int(structure) for structure in Structure}
        shown += bool(np.any(labels == Structure.BODY))
    assert shown >= 14


def test_nothing_is_labelled_where_nothing_is_seen(case: AnatomyCase):
    options = Randomisation(crop_chance=1.0, noise_sd_hu=(0.0, 0.0), gain=(1.0, 1.0), shift_hu=0.0, streak_chance=0.0)
    for seed in range(12):
        hu, labels = draw_patch(case, SHAPE, 3.0, options, np.random.default_rng(seed))
        assert not np.any(labels[hu == AIR_HU])


def test_a_bend_is_smooth_and_as_large_as_asked():
    fields = [bend((40, 40, 40), 15.0, 3.0, np.random.default_rng(seed)) for seed in range(30)]
    spread = float(np.std(fields))
    assert 0.8 < spread < 1.2  # a third of the knots' 3
    steepest = max(float(np.abs(np.diff(field, axis=axis)).max()) for field in fields for axis in (1, 2, 3))
    assert steepest < 1.0  # voxels per voxel: nothing folds


def test_rotations_are_rotations():
    matrix = rotation_zyx(np.radians([10.0, -20.0, 30.0]))
    assert np.allclose(matrix @ matrix.T, np.eye(3))
    assert np.linalg.det(matrix) == pytest.approx(1.0)
    assert np.allclose(rotation_zyx(np.radians([0.0, 0.0, 90.0])) @ [0, 1, 0], [0, 0, 1])
