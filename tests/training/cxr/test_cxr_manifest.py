"""Films from DICOM as the node reads them; a person's landmarks lie where they were marked, however the film was stored."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.bundles import TrainedOn
from inference.cxr.rois import LANDMARKS
from tests.simulated import simulated_film
from training.cxr.cases import on_film
from training.cxr.manifest import LANDMARK_COLUMNS, ManifestOptions, prepare_labelled, prepare_manifest, read_landmarks
from training.data.manifest import write_manifest
from training.data.rows import ManifestRow
from training.data.values import Modality
from training.errors import TrainingError
from training.simulation.xray.film_dicom import FilmFormat, FilmOptions, write_film

pytestmark = pytest.mark.unit


def write_csv(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join([",".join(LANDMARK_COLUMNS), *lines]) + "\n", encoding="utf-8")
    return path


def test_points_come_back_from_the_stored_image() -> None:
    turned = np.array([[0.0, -1.0, 99.0], [1.0, 0.0, 4.0]])  # row = 99 - column, column = row + 4
    film = np.array([[10.0, 20.0], [0.0, 0.5]])
    stored = film @ turned[:, :2].T + turned[:, 2]
    np.testing.assert_allclose(on_film(stored, turned), film)


def test_a_persons_landmarks_are_read(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "marks.csv", ["films/a.dcm,C7,10.5,20", "films/a.dcm,T12,90,21", "films/b.dcm,C7,11,22"])
    found = read_landmarks(path)
    assert list(found) == [(tmp_path / "films" / "a.dcm").resolve(), (tmp_path / "films" / "b.dcm").resolve()]
    first = next(iter(found.values()))
    np.testing.assert_array_equal(first[LANDMARKS.index("C7")], (10.5, 20))
    assert np.isnan(first).sum() == 2 * 14


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["a.dcm,C8,1,2"], "line 2: 'C8' is no landmark"),
        (["a.dcm,C7,x,2"], "row and column are numbers"),
        (["a.dcm,C7,inf,2"], "are finite"),
        (["a.dcm,C7,1,2", "a.dcm,C7,1,2"], "line 3: C7 of a.dcm is there twice"),
        ([], "there is no landmark in it"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(tmp_path: Path, lines: list[str], why: str) -> None:
    with pytest.raises(TrainingError, match=why):
        read_landmarks(write_csv(tmp_path / "marks.csv", lines))


def test_a_list_without_its_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "marks.csv").write_text("image,landmark,x,y\na,C7,1,2\n")
    with pytest.raises(TrainingError, match="the column row is missing"):
        read_landmarks(tmp_path / "marks.csv")
    with pytest.raises(TrainingError, match="cannot be read"):
        read_landmarks(tmp_path / "absent.csv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One film as DICOM, MONOCHROME1, with its landmarks marked on the stored image, and a file that is none."""
    place = tmp_path_factory.mktemp("films")
    film = simulated_film()
    written = write_film(film, place / "cxr", FilmOptions(format=FilmFormat.CR, inverted=True))
    marks = [f"cxr/{written.name},{name},{row!r},{column!r}" for name, (row, column) in film.landmarks.items()]
    write_csv(place / "marks.csv", marks)
    for name in ("text", "other"):
        (place / name).mkdir()
        (place / name / "a.txt").write_text(f"no film, {name}")
    return place


def test_labelled_films_are_read_as_the_node_reads_them(folder: Path, tmp_path: Path) -> None:
    found = prepare_labelled(folder / "marks.csv", tmp_path, progress=False)
    assert [one.because for one in found.skipped] == []
    film, truth = found.cases[0], simulated_film()
    assert film.image.dtype == np.uint16
    grey = film.grey
    row, column = (round(value) for value in film.landmarks[LANDMARKS.index("T12")])
    assert grey[row, column] > grey.mean()  # bone is bright again
    given = np.array([truth.landmarks[name] for name in LANDMARKS])
    np.testing.assert_allclose(np.diff(film.landmarks, axis=0), np.diff(given, axis=0), atol=1e-6)  # cropped at most, not turned
    assert film.spacing_mm == pytest.approx(truth.spacing_mm)
    assert found.trained_on is TrainedOn.SIMULATED_PATIENTS  # the simulation's patient IDs are known


def test_a_landmark_that_is_missing_leaves_the_film_out(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "marks.csv").read_text().splitlines()
    path = folder / "fewer.csv"
    path.write_text("\n".join(line for line in lines if ",C7," not in line) + "\n")
    found = prepare_labelled(path, tmp_path, progress=False)
    assert not found.cases
    assert "not marked: C7" in found.skipped[0].because


def test_a_manifest_gives_films_with_their_density(folder: Path, tmp_path: Path) -> None:
    row = ManifestRow(
        patient_id="00012",
        modality=Modality.CXR,
        path=folder / "cxr",
        bmd_g_cm2={"L1": 0.91, "L4": 1.02},
        t_scores={"L1": -2.25},
        device="GE Lunar",
        age=71.0,
    )
    rows = [
        row,
        replace(row, patient_id="2", path=folder / "other", bmd_g_cm2={}, t_scores={}),
        replace(row, patient_id="3", path=folder / "text"),
    ]
    write_manifest(rows, tmp_path / "list.csv")
    found = prepare_manifest(
        ManifestOptions(manifest=tmp_path / "list.csv", landmarks=folder / "marks.csv"), tmp_path / "cache", progress=False
    )
    assert [one.patient for one in found.cases] == ["00012"]
    film = found.cases[0]
    np.testing.assert_array_equal(film.bmd_g_cm2, [0.91, np.nan, np.nan, 1.02])
    np.testing.assert_array_equal(film.t_scores, [-2.25, np.nan, np.nan, np.nan])
    assert (film.device, film.age, film.sex) == ("GE Lunar", 71.0, "")
    assert np.isfinite(film.landmarks).all()
    reasons = {one.patient: one.because for one in found.skipped}
    assert "no density" in reasons["2"]
    assert "3" in reasons
    bare = prepare_manifest(ManifestOptions(manifest=tmp_path / "list.csv"), tmp_path / "cache", progress=False)
    assert np.isnan(bare.cases[0].landmarks).all()


def test_a_manifest_without_chest_films_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"no film")
    row = ManifestRow(patient_id="1", modality=Modality.CT, path=tmp_path / "a.dcm")
    write_manifest([row], tmp_path / "list.csv")
    with pytest.raises(TrainingError, match="lists no chest film"):
        prepare_manifest(ManifestOptions(manifest=tmp_path / "list.csv"), tmp_path, progress=False)
