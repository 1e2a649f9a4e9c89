"""``osteon simulate`` on disk: truth, masks, DICOM and manifest agree; runs repeat, go on where they ended, and keep cohorts apart."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from inference.ct.series import choose_series, load_series
from inference.reading import find_files, read_headers
from inference.volume import Volume
from training.cli import main
from training.data.labels import BoneLabel, who_label
from training.data.manifest import Modality, read_manifest
from training.errors import TrainingError
from training.simulation import density, patient_folder
from training.simulation.cohort import sample_cohort
from training.simulation.density import TrueBone, settle
from training.simulation.manifest_rows import manifest_rows
from training.simulation.masks import write_labels
from training.simulation.parameters import PatientParameters
from training.simulation.patient_folder import PatientRequest
from training.simulation.population import COHORTS
from training.simulation.truth_file import PatientFile, read_truth
from training.simulation.xray.areal import LevelBone
from training.simulation.xray.devices import DEVICES

pytestmark = pytest.mark.integration

ARGUMENTS = ("simulate", "--seed", "5", "--spacing", "3", "--modality", "ct", "--prevalence", "1,1,1")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


@dataclass(frozen=True)
class Patient:
    folder: Path
    truth: PatientFile

    def volume(self) -> Volume:
        assert self.truth.studies.ct is not None
        headers, skipped = read_headers(find_files([self.folder / self.truth.studies.ct.path]))
        assert not skipped
        series = next(item for item in choose_series(headers).candidates if item.series_instance_uid == self.truth.studies.ct.series_uid)
        return load_series(series).volume

    def mask(self, name: str) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """Labels as (slice, row, column), and the affine to LPS of these indices."""
        image = nibabel.load(self.folder / "masks" / f"{name}.nii.gz")
        labels = np.asarray(image.dataobj).transpose(2, 1, 0)
        return labels, np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine[:, [2, 1, 0, 3]]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cohort")
    assert run(*ARGUMENTS, "--patients", "3", "--out", str(out), "--jobs", "1") == 0
    return out


@pytest.fixture(scope="module")
def patients(cohort: Path) -> Sequence[Patient]:
    folders = sorted((cohort / "patients").iterdir())
    return [Patient(folder, read_truth(folder)) for folder in folders]


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_classes_are_those_of_the_true_t_scores_and_counts_those_asked_for(patients: Sequence[Patient]) -> None:
    assert len({patient.truth.bone.label for patient in patients}) == 3
    for patient, person in zip(patients, sample_cohort(3, 5), strict=True):
        bone = patient.truth.bone
        assert bone.label is who_label(bone.t_score)
        used = [level for level in bone.levels if level.level in bone.levels_used]
        bmd = sum(level.bmc_g for level in used) / sum(level.area_cm2 for level in used)
        device = DEVICES[bone.device]
        assert device.t_score(device.reading(bmd)) == pytest.approx(bone.t_score, abs=1e-9)
        assert patient.truth.patient.parameters["seed"] == person.patient.seed


def test_denser_trabecular_bone_is_denser_in_projection(patients: Sequence[Patient]) -> None:
    by_t = sorted(patients, key=lambda patient: patient.truth.bone.t_score)
    vbmd = [np.mean([level.vbmd_mg_cm3 or 0.0 for level in patient.truth.bone.levels]) for patient in by_t]
    assert vbmd == sorted(vbmd)
    assert 20 < vbmd[0] < 100 < vbmd[-1] < 280


def test_masks_lie_on_the_bodies_and_the_series_holds_the_true_attenuation_there(patients: Sequence[Patient]) -> None:
    errors = []
    for patient in patients:
        volume = patient.volume()
        ct = patient.truth.studies.ct
        assert ct is not None
        labels, affine = patient.mask("bodies")
        assert labels.shape == volume.hu.shape
        assert affine == pytest.approx(volume.affine, abs=1e-3)
        for level in ct.levels:
            if not level.whole or level.altered:
                continue
            body = labels == level.label
            centre = (affine @ np.append(np.argwhere(body).mean(axis=0), 1.0))[:3]
            assert centre == pytest.approx(level.centre_lps_mm, abs=3.0)
            core = ndimage.binary_erosion(body, iterations=2)
            if level.trabecular_hu is not None and core.sum() > 60:
                errors.append(float(volume.hu[core].mean()) - level.trabecular_hu)
    assert len(errors) > 12
    assert np.abs(np.median(errors)) < 2.5
    assert np.mean(np.abs(errors) < 5.0) > 0.95


def test_structures_hold_the_bodies(patients: Sequence[Patient]) -> None:
    for patient in patients:
        ct = patient.truth.studies.ct
        assert ct is not None
        names = ct.masks.structure_labels
        structures, _ = patient.mask("structures")
        bodies, _ = patient.mask("bodies")
        inside = structures[np.isin(bodies, [level.label for level in ct.levels])]
        assert (inside == names["body"]).mean() > 0.9
        assert set(np.unique(structures)) <= set(names.values())
        assert {"disc", "posterior", "rib"} <= {name for name, value in names.items() if (structures == value).any()}


def test_the_manifest_reads_back_without_complaint(cohort: Path, patients: Sequence[Patient]) -> None:
    manifest = read_manifest(cohort / "manifest.csv")
    assert len(manifest.rows) == 3
    assert not manifest.notices
    for row, patient in zip(manifest.rows, patients, strict=True):
        assert row.patient_id == patient.truth.patient.patient_id
        assert row.label is patient.truth.bone.label
        assert row.device == patient.truth.bone.device
        assert row.path == patient.folder / "ct"
        assert row.mask == patient.folder / "masks" / "bodies.nii.gz"
        assert set(row.bmd_g_cm2) == {*patient.truth.bone.levels_used, "L1-L4"}


@pytest.mark.parametrize(
    ("t_score", "label"),
    [(-2.4998, BoneLabel.OSTEOPOROSIS), (-2.4994, BoneLabel.OSTEOPENIA), (-1.0004, BoneLabel.NORMAL), (-1.0006, BoneLabel.OSTEOPENIA)],
)
def test_the_manifests_class_is_that_of_the_t_score_it_writes(t_score: float, label: BoneLabel, patients: Sequence[Patient]) -> None:
    truth = patients[0].truth
    at_an_edge = truth.model_copy(update={"bone": truth.bone.model_copy(update={"t_score": t_score})})
    (row,) = manifest_rows(at_an_edge, patients[0].folder)
    assert row.t_score == round(t_score, 3)
    assert row.label is label is who_label(row.t_score)


def test_an_interrupted_run_goes_on_where_it_ended_with_the_same_bytes_from_other_processes(cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    shutil.copytree(cohort, out)
    before = digests(out)
    kept, cut, gone = sorted((out / "patients").iterdir())
    half = cut.with_name(".patient-00001.partial")
    cut.rename(half)
    (half / "ct" / "CT0001.dcm").write_bytes(b"cut short")
    shutil.rmtree(gone)
    stamp = (kept / "truth.json").stat().st_mtime_ns
    assert run(*ARGUMENTS, "--patients", "3", "--out", str(out), "--jobs", "2") == 0
    assert digests(out) == before
    assert (kept / "truth.json").stat().st_mtime_ns == stamp


@pytest.fixture(scope="module")
def projected(tmp_path_factory: pytest.TempPathFactory) -> Patient:
    out = tmp_path_factory.mktemp("projected")
    arguments = ("simulate", "--patients", "1", "--seed", "8", "--cohort", "multidevice", "--modality", "cxr", "--modality", "dxa")
    assert run(*arguments, "--out", str(out), "--manifest", str(out / "list.parquet"), "--jobs", "1") == 0
    folder = out / "patients" / "patient-00000"
    return Patient(folder, read_truth(folder))


def test_film_and_dxa_belong_to_one_patient_and_the_manifest_says_so(projected: Patient) -> None:
    film, dxa = projected.truth.studies.cxr, projected.truth.studies.dxa
    assert film is not None
    assert dxa is not None
    for study in (film, dxa):
        headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted((projected.folder / study.path).iterdir())]
        assert len(headers) == study.files
        assert {header.PatientID for header in headers} == {projected.truth.patient.patient_id}
        assert {header.StudyInstanceUID for header in headers} == {study.study_uid}
        assert {header.StudyDate for header in headers} == {study.study_date.strftime("%Y%m%d")}
    manifest = read_manifest(projected.folder.parents[1] / "list.parquet")
    assert [row.modality.value for row in manifest.rows] == ["CXR", "DXA"]
    assert {row.dxa_date for row in manifest.rows} == {dxa.study_date}
    assert {row.study_uid for row in manifest.rows} == {film.study_uid, dxa.study_uid}


def test_landmarks_lie_on_the_film_and_boxes_on_the_dxa_image(projected: Patient) -> None:
    film, dxa = projected.truth.studies.cxr, projected.truth.studies.dxa
    assert film is not None
    assert dxa is not None
    assert len(film.landmarks) == 16
    for landmark in film.landmarks:
        assert 0 <= landmark.row < film.rows
        assert 0 <= landmark.column < film.columns
    spine = pydicom.dcmread(projected.folder / dxa.path / dxa.regions["AP Spine"])
    image = spine.pixel_array
    for level in dxa.levels:
        top, left, bottom, right = level.box
        assert 0 <= top < bottom < image.shape[0]
        inside, aside = image[top : bottom + 1, left : right + 1], image[top : bottom + 1, max(0, left - 25) : left - 5]
        assert inside.mean() > aside.mean() + 20


def test_the_densitometer_measured_this_patient_on_the_scale_of_the_own_device(projected: Patient) -> None:
    dxa, bone = projected.truth.studies.dxa, projected.truth.bone
    assert dxa is not None
    assert dxa.device == bone.device
    # how well a densitometer measures is tested with its physics; here, that it is the same body
    true = {level.level: level.devices[bone.device].bmd_g_cm2 for level in bone.levels}
    for level in dxa.levels[:4]:
        assert level.bmd_g_cm2 == pytest.approx(true[level.level], rel=0.12)
    assert dxa.levels[4].level == "L1-L4"
    assert dxa.levels[4].bmd_g_cm2 == pytest.approx(np.mean(list(true.values())), rel=0.08)


def test_a_modality_that_is_asked_for_later_is_added_to_those_that_are_there(projected: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Modality, ...]] = []

    def remember(_: PatientRequest, modalities: tuple[Modality, ...], __: Path) -> PatientFile:
        asked.append(modalities)
        return projected.truth

    monkeypatch.setattr(patient_folder, "_write", remember)
    person = sample_cohort(1, 8, COHORTS["multidevice"])[0]
    for wanted in (Modality.CXR, Modality.CT):
        request = PatientRequest(person=person, cohort="multidevice", seed=8, modalities=(wanted,))
        patient_folder.write_patient(request, projected.folder)
    assert asked == [(Modality.CXR, Modality.DXA, Modality.CT)]


def test_another_cohort_is_not_mixed_in_and_nothing_is_removed(cohort: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = digests(cohort)
    other = [*ARGUMENTS, "--patients", "3", "--out", str(cohort), "--jobs", "1"]
    other[other.index("5")] = "6"
    assert run(*other) == 2
    assert "holds another patient" in capsys.readouterr().err
    assert digests(cohort) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"colour": "blue"}, "colour"),
        ({"bone": None}, "bone"),
    ],
)
def test_a_truth_of_another_kind_is_refused_by_name(
    change: dict[str, object], words: str, patients: Sequence[Patient], tmp_path: Path
) -> None:
    content = json.loads(patients[0].truth.model_dump_json()) | change
    (tmp_path / "truth.json").write_text(json.dumps(content))
    with pytest.raises(TrainingError, match=words):
        read_truth(tmp_path)
    with pytest.raises(TrainingError, match="No such file"):
        read_truth(tmp_path / "nobody.json")


def test_masks_of_a_sheared_grid_are_refused(tmp_path: Path) -> None:
    sheared = np.eye(4)
    sheared[2, 1] = 0.2
    with pytest.raises(TrainingError, match="tilted gantry"):
        write_labels(np.zeros((2, 3, 4), np.uint8), sheared, tmp_path / "mask.nii.gz")


def test_a_class_out_of_reach_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    sturdy = {level: TrueBone(areal=LevelBone(bmc_g=20.0, area_cm2=15.0), vbmd_mg_cm3=200.0) for level in ("L1", "L2", "L3", "L4")}
    monkeypatch.setattr(density, "true_bone", lambda _: sturdy)
    with pytest.raises(TrainingError, match=r"no bone gives a T-score of -3\.00"):
        settle(PatientParameters(seed=1), -3.0, "Hologic")
    assert settle(PatientParameters(seed=1), 1.0, "Hologic").t_score > 1.5


def test_an_unknown_device_is_named() -> None:
    person = sample_cohort(1, 0)[0]
    with pytest.raises(TrainingError, match="no densitometer 'Acme'; known: Hologic"):
        settle(person.patient, -1.0, "Acme")
