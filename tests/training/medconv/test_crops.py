"""Crops of studies and of simulated patients: the right body, reasons instead of silence, and a cache that knows what changed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.ct.crop import OUTSIDE_HU, CropMask, crop_around
from inference.ct.segmentation import Segmentation, VertebralBody
from inference.findings import ModelUsed
from inference.volume import Volume
from tests.training.medconv.made import BOX
from training.data.labels import BoneLabel
from training.data.rows import ManifestRow
from training.data.values import Modality
from training.errors import TrainingError
from training.medconv.crops import SMALL_CROP, CropOptions, crop_study, crop_volume, level_mask
from training.medconv.prepare import prepare_manifest
from training.simulation import SimulatedCt, write_dicom

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def study(abdomen: SimulatedCt, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_dicom(abdomen, folder)
    return folder


def row(path: Path, **changes: object) -> ManifestRow:
    given = {"patient_id": "P1", "modality": Modality.CT, "path": path, "label": BoneLabel.OSTEOPENIA, "t_score": -1.7}
    return ManifestRow(**(given | changes))  # type: ignore[arg-type]


def test_a_study_gives_the_crop_around_its_true_l1(abdomen: SimulatedCt, study: Path) -> None:
    options = replace(SMALL_CROP, segmenter="classical")
    found = crop_study(row(study), options)
    truth = abdomen.truth.level("L1")
    assert truth is not None
    assert truth.trabecular_median_hu is not None
    expected = crop_volume(abdomen.volume, abdomen.truth.bodies == truth.label, options)
    assert found.shape == (32, 32, 32)
    assert found.dtype == np.int16
    seen, wanted = found > OUTSIDE_HU, expected > OUTSIDE_HU
    assert 2 * (seen & wanted).sum() / (seen.sum() + wanted.sum()) > 0.85
    assert float(np.median(found[13:19, 13:18, 13:19])) == pytest.approx(truth.trabecular_median_hu, abs=12)


def test_crops_are_whole_attenuation_of_the_nodes_own_crop(abdomen: SimulatedCt) -> None:
    mask = abdomen.truth.bodies == 13
    for kind, masked in ((CropMask.BODY, True), (CropMask.BOX, False)):
        options = replace(BOX, mask=kind)
        expected = crop_around(abdomen.volume, mask, BOX.shape, BOX.spacing_mm, margin_mm=2.0, masked=masked)
        np.testing.assert_array_equal(crop_volume(abdomen.volume, mask, options), np.rint(expected))


def test_an_empty_mask_is_an_error(abdomen: SimulatedCt) -> None:
    with pytest.raises(TrainingError, match="L1: there is no vertebra"):
        crop_volume(abdomen.volume, np.zeros(abdomen.volume.hu.shape, dtype=bool), BOX)


def _segmentation(**changes: object) -> Segmentation:
    bodies = np.zeros((4, 4, 4), dtype=np.uint8)
    bodies[1] = 3
    axis = np.eye(3)
    given = {"label": 3, "level": "L1", "level_certain": True, "whole": True, "centre_lps_mm": np.zeros(3)}
    body = VertebralBody(**(given | changes), cranial=axis[2], anterior=-axis[1], left=axis[0])  # type: ignore[arg-type]
    model = ModelUsed(name="made", version="1", sha256="0" * 64, trained_on="nothing")
    return Segmentation(bodies=bodies, vertebrae=(body,), canal_lps_mm=None, level_because="made up", notices=(), model=model)


def test_only_a_certain_whole_l1_is_cropped() -> None:
    assert level_mask(_segmentation(), CropOptions()).sum() == 16
    for changes, said in (
        ({"level": "L2"}, "no vertebra is called L1"),
        ({"level_certain": False}, r"L1 is not certain \(made up\)"),
        ({"whole": False}, "L1 is cut"),
    ):
        with pytest.raises(TrainingError, match=said):
            level_mask(_segmentation(**changes), CropOptions())
    with pytest.raises(TrainingError, match="bodies alone"):
        level_mask(_segmentation(), CropOptions(mask=CropMask.VERTEBRA))


def test_every_row_becomes_a_case_or_a_reason(study: Path, tmp_path: Path, abdomen: SimulatedCt) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    low = replace(abdomen, volume=Volume(hu=abdomen.volume.hu[:20], affine=abdomen.volume.affine))
    write_dicom(replace(low, truth=replace(abdomen.truth, bodies=abdomen.truth.bodies[:20])), tmp_path / "hips")
    rows = [
        row(study),
        row(empty, patient_id="P2"),
        row(tmp_path / "gone", patient_id="P3"),
        row(study, patient_id="P4", label=None, t_score=None),
        row(tmp_path / "hips", patient_id="P5"),
    ]
    found = prepare_manifest(rows, replace(SMALL_CROP, segmenter="classical"), tmp_path / "cache", progress=False)
    assert [(one.patient, one.label, one.t_score) for one in found.cases] == [("P1", 1, -1.7)]
    reasons = {one.patient: one.because for one in found.skipped}
    assert set(reasons) == {"P2", "P3", "P4", "P5"}
    assert "no DICOM" in reasons["P2"]
    assert "does not exist" in reasons["P3"]
    assert "neither a class" in reasons["P4"]
    assert reasons["P5"]
    assert "1 cases: 0 normal, 1 osteopenia, 0 osteoporosis; 4 skipped" in found.words()
    assert all(reason in found.words() for reason in reasons.values())


def test_a_cached_crop_is_used_until_its_options_change(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[CropOptions] = []

    def counted(_: ManifestRow, options: CropOptions) -> object:
        made.append(options)
        if options.margin_mm == 3.0:
            raise TrainingError("no such margin")
        return np.zeros(options.shape, dtype=np.int16)

    monkeypatch.setattr("training.medconv.prepare.crop_study", counted)
    for options in (BOX, BOX, replace(BOX, segmenter="classical"), replace(BOX, margin_mm=3.0), replace(BOX, margin_mm=3.0)):
        found = prepare_manifest([row(study)], options, tmp_path, progress=False)
        assert bool(found.cases) == (options.margin_mm != 3.0)
    assert [(one.segmenter, one.margin_mm) for one in made] == [("both", 2.0), ("classical", 2.0), ("both", 3.0)]
    assert found.skipped[0].because == "no such margin"


def test_a_manifest_without_ct_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no CT study"):
        prepare_manifest([row(tmp_path, modality=Modality.DXA)], BOX, tmp_path, progress=False)


def test_nonsense_crops_are_refused() -> None:
    with pytest.raises(TrainingError, match="at least 8 voxels"):
        CropOptions(shape=(4, 32, 32))
