"""What all objects share: identity, UIDs, series numbers, order; and what cannot be written."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

import node.results
from inference.errors import PermanentError, Refusal
from node.results import WrittenResults, write_results
from node.results.attributes import IDENTITY
from node.results.source import read_source
from tests.node.results.example import CONTEXT, SERIES_UID, STUDY_UID, Example, level_uncertain, make_example, refused

pytestmark = pytest.mark.unit

KINDS = ("seg", "sr", "text", "picture")
TIMES = (
    *(f"{prefix}{kind}" for kind in ("Date", "Time") for prefix in ("Content", "InstanceCreation", "Series")),
    "DateOfSecondaryCapture",
    "TimeOfSecondaryCapture",
)


def test_what_is_referred_to_comes_first(written: WrittenResults) -> None:
    assert [o.kind for o in written.objects] == ["seg", "sr", "text", "picture"]
    for result in written.objects:
        dataset = pydicom.dcmread(result.path, stop_before_pixels=True)
        assert (dataset.SOPClassUID, dataset.SOPInstanceUID) == (result.sop_class_uid, result.sop_instance_uid)
        assert dataset.file_meta.MediaStorageSOPInstanceUID == result.sop_instance_uid
    assert written.picture_png is not None
    assert written.picture_png.read_bytes().startswith(b"\x89PNG")


def test_identity_is_copied_word_by_word(example: Example, written: WrittenResults) -> None:
    source = pydicom.dcmread(example.headers[0].path, stop_before_pixels=True)
    for result in written.objects:
        dataset = pydicom.dcmread(result.path, stop_before_pixels=True)
        assert dataset.StudyInstanceUID == STUDY_UID
        assert dataset.SpecificCharacterSet == "ISO_IR 100"
        for keyword in IDENTITY:
            assert dataset.get(keyword) == source.get(keyword), keyword
        assert str(dataset.PatientName) == "Müller^Jörg"
        assert dataset["PatientBirthDate"].is_empty


def test_every_kind_is_a_series_of_its_own_above_those_of_the_source(written: WrittenResults) -> None:
    read = [pydicom.dcmread(o.path, stop_before_pixels=True) for o in written.objects]
    assert [int(d.SeriesNumber) for d in read] == [5, 6, 7, 8]
    assert len({d.SeriesInstanceUID for d in read} | {SERIES_UID}) == 5
    assert len({(d.ContentDate, d.ContentTime) for d in read}) == 1


def _without_times(dataset: Dataset) -> None:
    for keyword in TIMES:
        dataset.pop(keyword, None)
    for item in dataset.ContributingEquipmentSequence:
        item.pop("ContributionDateTime", None)


def test_a_second_try_gives_the_same_objects(example: Example, written: WrittenResults, tmp_path: Path) -> None:
    again = write_results(example.findings, example.headers[::-1], CONTEXT, tmp_path, KINDS)
    assert [o.sop_instance_uid for o in again.objects] == [o.sop_instance_uid for o in written.objects]
    for first, second in zip(written.objects, again.objects, strict=True):
        one, two = (pydicom.dcmread(o.path) for o in (first, second))
        for dataset in (one, two):
            _without_times(dataset)
        assert one == two, first.kind
    assert written.picture_png is not None
    assert again.picture_png is not None
    assert written.picture_png.read_bytes() == again.picture_png.read_bytes()


def test_files_of_an_earlier_try_are_replaced(example: Example, tmp_path: Path) -> None:
    (tmp_path / "text.dcm").write_bytes(b"half a file")
    written = write_results(example.findings, example.headers, CONTEXT, tmp_path, ("text",))
    assert pydicom.dcmread(written.objects[0].path).Modality == "SR"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.dcm"]


def test_only_what_is_wanted_is_written(example: Example, tmp_path: Path) -> None:
    written = write_results(example.findings, example.headers, CONTEXT, tmp_path, ("sr", "text"))
    assert [o.kind for o in written.objects] == ["sr", "text"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sr.dcm", "text.dcm"]


def test_measured_bodies_without_names_get_all_objects(example: Example, tmp_path: Path) -> None:
    written = write_results(level_uncertain(example.findings), example.headers, CONTEXT, tmp_path, KINDS)
    assert [o.kind for o in written.objects] == list(KINDS)


def test_masks_without_a_body_give_text_alone(example: Example, tmp_path: Path) -> None:
    images = example.findings.images
    assert images is not None
    nothing = np.zeros_like(images.source_bodies)
    images = replace(images, source_bodies=nothing, source_core=nothing, source_ellipse=nothing)
    findings = replace(level_uncertain(example.findings), images=images)
    written = write_results(findings, example.headers, CONTEXT, tmp_path, KINDS)
    assert [o.kind for o in written.objects] == ["text"]


def _without_uids(dataset: Dataset, index: int) -> None:
    del index
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        setattr(dataset, keyword, "")


def test_a_study_without_uids_gets_those_of_its_headers(tmp_path: Path) -> None:
    example = make_example(tmp_path / "study", edit=_without_uids)
    assert example.headers[0].uids_derived
    written = write_results(example.findings, example.headers, CONTEXT, tmp_path / "out", KINDS)
    assert len(written.objects) == 4
    segmentation = pydicom.dcmread(written.objects[0].path)
    assert segmentation.StudyInstanceUID == example.headers[0].study_instance_uid
    assert segmentation.FrameOfReferenceUID.startswith("2.25.")
    referenced = {i.ReferencedSOPInstanceUID for i in segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert referenced <= {header.sop_instance_uid for header in example.headers}


def _odd_identity(dataset: Dataset, index: int) -> None:
    del index
    dataset.PatientSex = "U"
    dataset.add(pydicom.DataElement("PatientBirthDate", "DA", "1970.01.01", validation_mode=0))
    dataset.add(pydicom.DataElement("StudyTime", "TM", "10:15", validation_mode=0))
    del dataset.AccessionNumber, dataset.StudyID, dataset.ReferringPhysicianName, dataset.SpecificCharacterSet
    dataset.PatientName = "NoCaret"


def test_odd_identity_is_neither_changed_nor_a_reason_to_fail(tmp_path: Path) -> None:
    example = make_example(tmp_path / "study", edit=_odd_identity)
    written = write_results(example.findings, example.headers, CONTEXT, tmp_path / "out", KINDS)
    for result in written.objects:
        raw = result.path.read_bytes()
        assert b"1970.01.01" in raw
        assert b"10:15" in raw
        dataset = pydicom.dcmread(result.path, stop_before_pixels=True)
        assert (dataset.PatientSex, dataset.PatientName) == ("U", "NoCaret")
        assert all(dataset[k].is_empty for k in ("AccessionNumber", "StudyID", "ReferringPhysicianName"))
        assert "SpecificCharacterSet" not in dataset


def test_a_measured_file_without_header_is_an_error(example: Example, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="1 measured files are not among"):
        write_results(example.findings, example.headers[1:], CONTEXT, tmp_path, KINDS)


def test_no_file_left_is_an_error(example: Example, tmp_path: Path) -> None:
    headers = [replace(header, path=None) for header in example.headers]
    with pytest.raises(PermanentError, match="no file of the study is left"):
        write_results(refused(example.findings), headers, CONTEXT, tmp_path, KINDS)


def test_a_source_file_that_has_gone_is_a_refusal(example: Example, tmp_path: Path) -> None:
    headers = [replace(header, path=tmp_path / "gone.dcm") for header in example.headers[:1]]
    with pytest.raises(Refusal, match="cannot be opened"):
        write_results(refused(example.findings), headers, CONTEXT, tmp_path / "out", KINDS)


def test_series_numbers_stay_integer_strings(example: Example) -> None:
    headers = [replace(header, series_number=2**31 - 1) for header in example.headers]
    assert read_source(example.findings, headers).next_series_number == 2**31 - 100
    without = [replace(header, series_number=None) for header in example.headers]
    assert read_source(example.findings, without).next_series_number == 1


def test_the_configuration_does_not_load_highdicom() -> None:
    code = "import node.config, sys; sys.exit('highdicom' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_package_offers_no_other_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'write_everything'"):
        _ = node.results.write_everything
