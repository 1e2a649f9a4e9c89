"""Every vertebra of a study becomes a crop with its level or is counted with its reason; labels only from a DXA near enough."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from inference.ct.crop import CropMask
from inference.ct.vertebra_experts import POSITIONS
from tests.training.tpswav.made import vertebra
from training.data.rows import ManifestRow
from training.data.values import Modality
from training.errors import TrainingError
from training.medconv.crops import crop_volume
from training.simulation import SimulatedCt, write_dicom
from training.simulation.cohort import CohortPatient
from training.simulation.density import true_bone
from training.simulation.xray.devices import DEVICES
from training.tpswav import simulated as simulated_module
from training.tpswav.census import Exclusion
from training.tpswav.crops import SMALL_BOX, crop_all, in_time, study_census
from training.tpswav.simulated import SITES, SimulatedOptions, paint_vertebrae, prepare_simulated
from training.tpswav.vertebrae import Vertebra

pytestmark = pytest.mark.unit

CROP = replace(SMALL_BOX, segmenter="classical")


@pytest.fixture(scope="module")
def study(abdomen: SimulatedCt, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_dicom(abdomen, folder)
    return folder


def row(path: Path | None, **changes: object) -> ManifestRow:
    given: dict[str, object] = {"patient_id": "P1", "modality": Modality.CT, "path": path, "device": "GE Lunar", "site": "B"}
    given |= {"bmd_g_cm2": {"L1": 0.82, "L2": 0.88, "L1-L4": 0.9}, "t_scores": {"L1": -3.0, "L2": -2.5, "L1-L4": -2.3}}
    return ManifestRow(**(given | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cases")


def test_a_study_gives_every_vertebra_that_is_whole(study: Path, cache: Path, abdomen: SimulatedCt) -> None:
    found = study_census(row(study), CROP, cache)
    levels = [one.level for one in found.vertebrae]
    assert levels == sorted(levels, key=POSITIONS.index)
    assert {"L1", "L2", "L3", "L4"} <= set(levels)
    by_level = {one.level: one for one in found.vertebrae}
    truth = abdomen.truth.level("L3")
    assert truth is not None
    expected = crop_volume(abdomen.volume, abdomen.truth.bodies == truth.label, CROP)
    assert np.corrcoef(by_level["L3"].hu.ravel(), expected.ravel())[0, 1] > 0.9
    outside = np.corrcoef(by_level["L2"].hu.ravel(), expected.ravel())[0, 1]
    assert outside < np.corrcoef(by_level["L3"].hu.ravel(), expected.ravel())[0, 1]
    assert [(by_level[level].bmd_g_cm2, by_level[level].label) for level in ("L1", "L2")] == [(0.82, 1), (0.88, 1)]
    assert by_level["L3"].label == -1  # the average of L1 to L4 is no label of a vertebra
    assert {one.site for one in found.vertebrae} == {"B"}


def test_a_dxa_that_is_too_far_away_labels_nothing(study: Path, cache: Path) -> None:
    near = row(study, study_date=date(2026, 1, 31), dxa_date=date(2026, 7, 31))
    far = row(study, study_date=date(2026, 1, 31), dxa_date=date(2026, 8, 1))
    assert (in_time(near), in_time(far)) == (True, False)
    assert in_time(row(study, study_date=date(2026, 8, 28), dxa_date=date(2026, 2, 28)))
    found = study_census(far, CROP, cache)
    assert found.vertebrae
    assert not any(one.labelled for one in found.vertebrae)
    assert found.labels_out_of_date == ("P1",)
    assert "more than six months away: 1 patients" in found.words()
    assert any(one.labelled for one in study_census(near, CROP, cache).vertebrae)


def test_a_density_without_a_make_labels_nothing(study: Path, cache: Path) -> None:
    found = study_census(row(study, device=None), CROP, cache)
    assert not any(one.labelled for one in found.vertebrae)
    assert {one.device for one in found.vertebrae} == {None}


def test_what_cannot_be_read_is_counted(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for path in (tmp_path / "absent", empty):
        (excluded,) = study_census(row(path), CROP, tmp_path / "cache").excluded
        assert (excluded.patient, excluded.level, excluded.why) == ("P1", None, Exclusion.UNREADABLE)


def test_cut_vertebrae_are_counted_as_cut(study: Path) -> None:
    found = crop_all(row(study), CROP)
    assert len(found["hu"]) == len(found["position"])
    assert found["hu"].dtype == np.int16
    why = [tuple(Exclusion)[int(one)] for one in found["why"]]
    assert set(why) <= {Exclusion.CUT, Exclusion.IDENTIFICATION, Exclusion.QUALITY, Exclusion.FRACTURE}


def person(**changes: object) -> CohortPatient:
    options = SimulatedOptions(patients=4, seed=5, even=True)
    _, found = options.people()[0]
    acquisition = replace(found.acquisition, slice_spacing_mm=5.0, pixel_spacing_mm=2.0)
    sound: dict[str, object] = {"wedge": {}, "crush": {}, "cement": (), "screws": (), "dense_focus": ()}
    return replace(found, patient=replace(found.patient, **(sound | changes)), acquisition=acquisition)  # type: ignore[arg-type]


def test_painted_vertebrae_have_their_levels_and_true_densities() -> None:
    one = person(wedge={"L2": 0.4}, cement=("T12",))
    coarse = replace(SMALL_BOX, shape=(16, 16, 16), spacing_mm=(4.0, 4.0, 4.0))
    found = paint_vertebrae(one, coarse, ("T12", "L1", "L2", "L3"))
    assert [POSITIONS[int(place)] for place in found["position"]] == ["L1", "L3"]
    left = {POSITIONS[int(place)]: tuple(Exclusion)[int(why)] for place, why in zip(found["left_out"], found["why"], strict=True)}
    assert left == {"T12": Exclusion.METAL, "L2": Exclusion.FRACTURE}
    assert found["hu"].shape == (2, 16, 16, 16)
    bone = true_bone(one.patient)
    np.testing.assert_allclose(found["true_g_cm2"], [bone[level].areal.bmd_g_cm2 for level in ("L1", "L3")])
    core = found["hu"][:, 7:9, 6:9, 7:9].mean()
    assert core == pytest.approx(one.patient.trabecular_hu, abs=60)
    again = paint_vertebrae(one, coarse, ("T12", "L1", "L2", "L3"))
    np.testing.assert_array_equal(again["hu"], found["hu"])


def test_sites_read_the_same_bone_on_their_own_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    painted = {
        "hu": np.zeros((2, 4, 4, 4), dtype=np.int16),
        "position": np.array([11, 12]),
        "true_g_cm2": np.array([np.nan, 0.75]),
        "left_out": np.array([14]),
        "why": np.array([tuple(Exclusion).index(Exclusion.FRACTURE)]),
    }
    monkeypatch.setattr(simulated_module, "paint_vertebrae", lambda *_: painted)
    found = prepare_simulated(SimulatedOptions(patients=8, even=True), SMALL_BOX, tmp_path, progress=False)
    assert len(found.vertebrae) == 16
    assert len(found.excluded) == 8
    densities = {one.site: one.bmd_g_cm2 for one in found.vertebrae if one.level == "L1"}
    assert densities == pytest.approx({site: DEVICES[SITES[site].device].reading(0.75) for site in SITES})
    assert densities["B"] > densities["C"] > densities["A"]
    assert not any(one.labelled for one in found.vertebrae if one.level == "T12")
    assert "8 compression fracture" in found.words()


def test_cohorts_follow_table_1_and_stay_when_they_grow() -> None:
    people = SimulatedOptions(patients=1000).people()
    counts = {site: sum(name == site for name, _ in people) for site in SITES}
    assert counts == {"A": 571, "B": 287, "C": 92, "D": 50}
    assert all(person.device == SITES[site].device for site, person in people)
    assert all(person.patient.contrast == "native" for _, person in people)
    small = {(site, one.patient.seed): one for site, one in SimulatedOptions(patients=40).people()}
    large = {(site, one.patient.seed): one for site, one in people}
    assert all(large[key] == one for key, one in small.items())
    assert SimulatedOptions(held_out=("C",)).external == ("C", "D")
    with pytest.raises(TrainingError, match="no site or level"):
        SimulatedOptions(held_out=("E",))
    with pytest.raises(TrainingError, match="body or box"):
        prepare_simulated(SimulatedOptions(), replace(SMALL_BOX, mask=CropMask.VERTEBRA), Path())


def test_a_vertebra_knows_its_position_and_class() -> None:
    assert (vertebra(1, 0.9, level="T1").position, vertebra(1, 0.9, level="L6").position) == (0, 17)
    plain = {"patient": "p", "site": "A", "device": "Hologic", "level": "L1", "hu": np.zeros((2, 2, 2), dtype=np.int16)}
    assert [Vertebra(**plain, t_score=t).label for t in (-2.6, -2.5, -2.4)] == [1, 1, 0]  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="is none of"):
        vertebra(1, 0.9, level="C7")
    with pytest.raises(TrainingError, match="densitometer's make"):
        Vertebra(**(plain | {"device": None}), bmd_g_cm2=0.9)  # type: ignore[arg-type]
