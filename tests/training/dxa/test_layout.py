"""Public folders: a table with pictures, or folders named as classes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.data.labels import BoneLabel
from training.data.manifest import ManifestError
from training.data.values import Modality
from training.dxa.layout import patient_of, read_layout
from training.errors import TrainingError

pytestmark = pytest.mark.unit


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path)
    return path


def test_folders_named_as_classes(tmp_path: Path) -> None:
    for name in ("Normal/12.png", "Normal/12 (2).png", "train/Osteoporosis/7_aug3.jpg", "Osteopenia/x.bmp", "README/a.png"):
        picture(tmp_path / name)
    found = read_layout(tmp_path)
    assert {(row.path.name if row.path else "", row.patient_id, row.label) for row in found.rows} == {
        ("12.png", "12", BoneLabel.NORMAL),
        ("12 (2).png", "12", BoneLabel.NORMAL),
        ("7_aug3.jpg", "7", BoneLabel.OSTEOPOROSIS),
        ("x.bmp", "x", BoneLabel.OSTEOPENIA),
    }
    assert all(row.modality is Modality.DXA for row in found.rows)
    assert found.notices == ("1 pictures lie in no folder named as a class",)


def test_a_table_names_its_pictures(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "scan_a.png")
    picture(tmp_path / "images" / "scan_b.png")
    rows = ("Patient ID,Image,T-score,Gender,BMI", "P1,scan_a.png,-2.9,F,21", "P2,scan_b,-0.8,M,22", "P3,none.png,-1.5,M,20")
    (tmp_path / "data.csv").write_text("\n".join(rows))
    found = read_layout(tmp_path)
    assert [(row.patient_id, row.path.name if row.path else "", row.label, row.t_score) for row in found.rows] == [
        ("P1", "scan_a.png", BoneLabel.OSTEOPOROSIS, -2.9),
        ("P2", "scan_b.png", BoneLabel.NORMAL, -0.8),
    ]
    assert any("no picture of P3 (1 rows)" in notice for notice in found.notices)


def test_without_a_column_of_names_the_patient_names_the_picture(tmp_path: Path) -> None:
    for name in ("007.png", "007_copy.png", "8.png"):
        picture(tmp_path / name)
    (tmp_path / "list.csv").write_text("Subject,Class\n7,osteoporotic\n8,normal\n")
    (tmp_path / "columns.yaml").write_text("columns: {patient_id: Subject, label: Class}\n")
    found = read_layout(tmp_path)
    assert sorted((row.patient_id, row.path.name if row.path else "") for row in found.rows) == [
        ("7", "007.png"),
        ("7", "007_copy.png"),
        ("8", "8.png"),
    ]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ((), "holds no picture"),
        (("a.png",), "no folder named as a class"),
        (("a.png", "one.csv", "two.csv"), "several tables"),
        (("a.png", "list.xlsx"), "save the sheet of list.xlsx as CSV"),
        (("a.png", "one.csv"), "no row names a picture"),
    ],
)
def test_what_cannot_be_used_is_said(files: tuple[str, ...], said: str, tmp_path: Path) -> None:
    for name in files:
        if name.endswith(".png"):
            picture(tmp_path / name)
        else:
            (tmp_path / name).write_text("patient id,t-score\nP9,-1.0\n")
    with pytest.raises(TrainingError, match=said):
        read_layout(tmp_path)


def test_a_table_s_complaints_come_through(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "one.csv").write_text("patient id,t-score\na,-25\n")
    with pytest.raises(ManifestError, match="no T-score"):
        read_layout(tmp_path)


@pytest.mark.parametrize(
    ("name", "patient"),
    [("12 (3).png", "12"), ("N_12.png", "N_12"), ("P1_copy_aug2.png", "P1"), ("scan-rot40.png", "scan"), ("copy.png", "copy")],
)
def test_copies_are_told_by_their_names(name: str, patient: str) -> None:
    assert patient_of(Path(name)) == patient
