"""A densitometry study from its files to JSON, text and console: the right image, and the device's values as the device's."""

from io import StringIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from rich.console import Console

from node.config import Config
from node.config_file import load_config
from node.console import print_report
from node.errors import ExitCode
from node.offline import find_studies, process_studies
from node.report import Json
from tests.inference.dxa.objects import ENHANCED_SR, container, level_item, report
from tests.training.xray_patients import dxa
from training.simulation.xray.dxa_dicom import AP_SPINE, write_dxa

pytestmark = pytest.mark.unit

BMD = {"L1": 0.812, "L2": 0.86, "L3": 0.9, "L4": 1.21}
T = {"L1": -2.6, "L2": -2.5, "L3": -2.4, "L4": 0.3}


def shipped() -> Config:
    return load_config(Path(__file__).resolve().parents[3] / "config.yaml")


def with_report(folder: Path) -> Path:
    """A scan, and beside it the densitometer's structured report in the same study."""
    spine = pydicom.dcmread(write_dxa(dxa("GE Lunar"), folder)[AP_SPINE])
    sr = report(container("AP Spine", [level_item(level, BMD[level], T[level]) for level in BMD]))
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyDescription"):
        setattr(sr, keyword, spine.get(keyword))
    sr.SOPClassUID, sr.SOPInstanceUID, sr.SeriesInstanceUID, sr.Modality = ENHANCED_SR, "2.25.77", "2.25.78", "SR"
    sr.Manufacturer, sr.ManufacturerModelName = "GE Healthcare", "Lunar iDXA"
    sr.file_meta = spine.file_meta
    sr.file_meta.MediaStorageSOPClassUID, sr.file_meta.MediaStorageSOPInstanceUID = ENHANCED_SR, "2.25.77"
    sr.save_as(folder / "report.dcm", enforce_file_format=True)
    return folder


def processed(folder: Path, out: Path) -> tuple[Json, ExitCode]:
    ((found, code),) = process_studies(find_studies([folder]), shipped(), out)
    return found, code


def texts(dataset: Dataset) -> list[str]:
    found = [str(dataset.TextValue)] if "TextValue" in dataset else []
    return found + [text for item in dataset.get("ContentSequence", []) for text in texts(item)]


def test_the_devices_values_are_the_result_and_every_text_says_whose_they_are(tmp_path: Path) -> None:
    found, code = processed(with_report(tmp_path / "in"), tmp_path / "out")
    assert code is ExitCode.RESULT
    assert (found["outcome"], found["reason"], found["models"], found["estimates"]) == ("result", None, [], [])
    values = found["dxa"]["device_values"]
    assert (values["region"], values["t_score"], values["bmd_g_cm2"], values["who_category"]) == ("L1-L3", -2.5, 0.857, "osteoporosis")
    assert (values["measured_by"], values["source"]) == ("GE Healthcare Lunar iDXA", "structured report")
    assert [(item["level"], item["used"]) for item in values["levels"]] == [("L1", True), ("L2", True), ("L3", True), ("L4", False)]
    assert values["levels"][3]["excluded_because"]["code"] == "OUTLIER"
    (image,) = [item for item in found["dxa"]["images"] if item["used"]]
    assert image["roi"]["levels_certain"] is True
    assert image["roi"]["box"]["first_row"] < image["roi"]["disc_rows"][0] < image["roi"]["disc_rows"][4] < image["roi"]["box"]["last_row"]
    (text,) = [item for item in found["outputs"] if item["kind"] == "text"]
    said = texts(pydicom.dcmread(text["path"]))
    (head,) = [line for line in said if line.startswith("VALUES OF THE DENSITOMETER. ")]
    assert "measured by GE Healthcare Lunar iDXA, not estimated by Osteon" in head
    assert any(line.startswith("L4 (device): BMD 1.210 g/cm2, T-score 0.3; not used: ") for line in said)
    assert "Research use. Does not replace DXA. A normal result does not rule out osteoporosis." in said
    printed = StringIO()
    print_report(Console(file=printed, width=400), found)
    assert "values of the densitometer, not of Osteon: L1-L3: BMD 0.857 g/cm2, T-score -2.5, osteoporosis" in printed.getvalue()


def test_without_them_the_study_is_refused_with_its_image_told(tmp_path: Path) -> None:
    write_dxa(dxa("GE Lunar"), tmp_path / "in")
    found, code = processed(tmp_path / "in", tmp_path / "out")
    assert code is ExitCode.REFUSED
    assert found["reason"]["code"] == "NO_TRAINED_MODEL"
    assert found["dxa"]["device_values"] is None
    assert [item["region"] for item in found["dxa"]["images"] if item["used"]] == ["ap_spine"]
    (text,) = [item for item in found["outputs"] if item["kind"] == "text"]
    said = texts(pydicom.dcmread(text["path"]))
    assert any("L1 to L4 in rows" in line for line in said)
    assert any(line.startswith("Values of the densitometer: none carried") for line in said)
