"""The densitometer's own values: read where they name all that they mean, left alone otherwise."""

import dataclasses
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from inference.dxa.device_values import ValueSource, device_values, level_in, report_values, table_values, text_values
from inference.reading import InstanceHeader
from tests.inference.dxa.objects import (
    ENHANCED_SR,
    PRESENTATION_STATE,
    SECONDARY_CAPTURE,
    container,
    hologic_text,
    level_item,
    number,
    report,
)
from tests.inference.headers import PLAIN

pytestmark = pytest.mark.unit

BMD = {"L1": 0.812, "L2": 0.86, "L3": 0.9, "L4": 0.91}
T = {"L1": -1.9, "L2": -1.8, "L3": -1.7, "L4": -1.8}


def spine_report() -> Dataset:
    return report(container("AP Spine", [level_item(level, BMD[level], T[level]) for level in BMD]))


def test_levels_of_a_structured_report() -> None:
    assert report_values(spine_report()) == (BMD, T)


@pytest.mark.parametrize(
    "content",
    [
        container("Left Femur", [level_item("Neck", 0.7, -2.0)]),
        container("Lateral spine", [level_item("L2", 0.7, -2.0)]),
        container("AP Spine", [container("L1", [number("Area", 12.0, "cm2"), number("BMC", 9.0, "g")])]),
        container("AP Spine", [container("L1", [number("Z-score", -1.0, "1")])]),
        container("AP Spine", [container("L1", [number("BMD", 812.0, "mg/cm2")])]),
        container("AP Spine", [number("BMD", 0.812, "g/cm2")]),
        container("AP Spine", [container("L1", [number("BMD", 8.12, "g/cm2")])]),
        container("AP Spine", [level_item("L1", 0.8, -2.0), level_item("L1", 0.9, -1.0)]),
    ],
    ids=["femur", "lateral", "area", "z-score", "unit", "no level", "implausible", "contradiction"],
)
def test_what_does_not_name_its_meaning_is_left_alone(content: Dataset) -> None:
    assert report_values(report(content)) is None


def test_the_table_of_a_hologic_export() -> None:
    found = table_values(hologic_text(BMD, T, total=(0.873, -1.8)))
    assert found == ({**BMD, "L1-L4": 0.873}, {**T, "L1-L4": -1.8})


def test_the_total_of_a_table_is_the_region_of_the_levels_that_count() -> None:
    found = table_values(hologic_text({"L1": 0.8, "L3": 0.9, "L4": 0.91}, {"L1": -2.0, "L3": -1.7, "L4": -1.8}, total=(0.87, -1.8)))
    assert found is not None
    assert found[0]["L1, L3, L4"] == 0.87
    assert "L1-L4" not in found[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ResultsTable1[ 0][ 0] = nothing",
        hologic_text({"Neck": 0.7}, {"Neck": -2.0}, total=(0.8, -1.5)),
        'ScanMode = "Lateral Spine";' + hologic_text({"L2": 0.7}, {"L2": -2.0}, total=(0.7, -2.0)),
        hologic_text(BMD, T, total=(0.873, -1.8)).replace("BMD", "BMC"),
    ],
    ids=["empty", "damaged", "femur", "lateral", "no density"],
)
def test_other_tables_are_left_alone(text: str) -> None:
    assert table_values(text) is None


def test_texts_of_a_presentation_state() -> None:
    texts = ["L1-L4 BMD: 0.812 g/cm2  T-score: -2.1", "L2 BMD 0.9 g/cm2", "T-score -9.0", "Left hip BMD 0.7 g/cm2", "L3 0.9 -1.2"]
    assert text_values(texts) == ({"L1-L4": 0.812, "L2": 0.9}, {"L1-L4": -2.1})
    assert text_values(["L1 T-score -2.1", "L1 T-score -2.2"]) is None


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("L1", "L1"),
        ("L1-L4", "L1-L4"),
        ("L1 - L4", "L1-L4"),
        ("L2 to 4", "L2-L4"),
        ("Third lumbar vertebra", "L3"),
        ("AP Spine L4", "L4"),
        ("L1 L2", None),
        ("L5", None),
        ("", None),
        ("L4-L1", None),
    ],
)
def test_levels_in_words(text: str, level: str | None) -> None:
    assert level_in(text) == level


def stored(folder: Path, dataset: Dataset, sop_class: str, number: int, **changes: str) -> InstanceHeader:
    """Write a data set and give the header under which it reaches the workflow."""
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, f"1.2.3.4.{number}"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.MediaStorageSOPInstanceUID = sop_class, f"1.2.3.4.{number}"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = folder / f"{number}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    values = {"manufacturer": "GE Healthcare", "manufacturer_model_name": "Lunar iDXA", **changes}
    return dataclasses.replace(PLAIN, path=path, sop_class_uid=sop_class, sop_instance_uid=f"1.2.3.4.{number}", **values)


def hologic_capture() -> Dataset:
    ds = Dataset()
    ds.add_new(0x00190010, "LO", "HOLOGIC")
    ds.add_new(0x00191000, "UT", hologic_text(BMD, T, total=(0.873, -1.8)))
    return ds


def presentation_state() -> Dataset:
    text, annotation, ds = Dataset(), Dataset(), Dataset()
    text.UnformattedTextValue = "L1-L4 BMD 0.700 g/cm2"
    annotation.TextObjectSequence = [text]
    ds.GraphicAnnotationSequence = [annotation]
    return ds


def test_a_report_is_trusted_before_a_table_and_a_table_before_a_text(tmp_path: Path) -> None:
    state = stored(tmp_path, presentation_state(), PRESENTATION_STATE, 1)
    table = stored(tmp_path, hologic_capture(), SECONDARY_CAPTURE, 2, manufacturer="Hologic, Inc.", manufacturer_model_name="Horizon W")
    structured = stored(tmp_path, spine_report(), ENHANCED_SR, 3)
    answer = device_values([state, table, structured])
    assert answer.values is not None
    assert (answer.values.source, answer.values.sop_instance_uid) == (ValueSource.REPORT, "1.2.3.4.3")
    assert answer.values.device == "GE Healthcare Lunar iDXA"
    second = device_values([state, table]).values
    assert second is not None
    assert (second.source, second.device, second.bmd_g_cm2["L1-L4"]) == (ValueSource.HOLOGIC_TABLE, "Hologic, Inc. Horizon W", 0.873)
    third = device_values([state]).values
    assert third is not None
    assert (third.source, dict(third.bmd_g_cm2)) == (ValueSource.PRESENTATION, {"L1-L4": 0.7})


def test_two_reports_that_disagree_are_both_left_alone(tmp_path: Path) -> None:
    other = report(container("AP Spine", [level_item("L1", 0.5, -4.0)]))
    answer = device_values([stored(tmp_path, spine_report(), ENHANCED_SR, 1), stored(tmp_path, other, ENHANCED_SR, 2)])
    assert answer.values is None
    assert "different values" in answer.because
    same = device_values([stored(tmp_path, spine_report(), ENHANCED_SR, 3), stored(tmp_path, spine_report(), ENHANCED_SR, 4)])
    assert same.values is not None


def test_what_this_node_wrote_is_no_devices_value(tmp_path: Path) -> None:
    own = stored(tmp_path, spine_report(), ENHANCED_SR, 1, manufacturer="Osteon")
    answer = device_values([own, dataclasses.replace(PLAIN, sop_class_uid=ENHANCED_SR)])
    assert answer.values is None
    assert "no object of the study" in answer.because


def test_a_damaged_report_states_nothing(tmp_path: Path) -> None:
    header = stored(tmp_path, spine_report(), ENHANCED_SR, 1)
    assert header.path is not None
    header.path.write_bytes(header.path.read_bytes()[:200])
    assert device_values([header]).values is None
