import json
import logging
import warnings
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from inference.errors import ReasonCode, Refusal, WarningCode
from inference.reading import check_identity, find_files, group_studies, header_from_json, header_of, read_header, read_headers
from inference.tolerant import tolerant
from tests.inference.headers import PLAIN

pytestmark = pytest.mark.unit


def ct_dataset() -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.StudyInstanceUID = "1.2.3"
    dataset.SeriesInstanceUID = "1.2.3.1"
    dataset.Modality = "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL "]
    dataset.PatientID = "P1 "
    dataset.PatientName = "Doe^Jane"
    dataset.SeriesNumber = 7
    dataset.Rows = 4
    dataset.Columns = 5
    dataset.ImagePositionPatient = [1, 2, "3.5"]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = ["0.7", "0.8"]
    dataset.ConvolutionKernel = ["Br38f", "3"]
    dataset.KVP = "120"
    return dataset


def save(dataset: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def code_of(path: Path) -> ReasonCode:
    with pytest.raises(Refusal) as refused:
        read_header(path)
    assert path.name in refused.value.text
    return refused.value.code


def test_header_holds_what_the_file_says_and_nothing_more(tmp_path: Path) -> None:
    path = save(ct_dataset(), tmp_path / "one.dcm")
    header = read_header(path)
    assert header.path == path
    assert (header.modality, header.patient_id, header.patient_name) == ("CT", "P1", "Doe^Jane")
    assert header.image_type == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert (header.series_number, header.rows, header.columns, header.kvp) == (7, 4, 5, 120.0)
    assert (header.image_position, header.pixel_spacing_mm) == ((1.0, 2.0, 3.5), (0.7, 0.8))
    assert header.convolution_kernel == "Br38f\\3"
    assert header.transfer_syntax_uid == ExplicitVRLittleEndian
    assert not header.uids_derived
    assert (header.body_part_examined, header.instance_number, header.slice_thickness_mm, header.rescale_slope) == ("", None, None, None)


def test_header_from_file_and_from_memory_are_equal(tmp_path: Path) -> None:
    path = save(ct_dataset(), tmp_path / "one.dcm")
    assert header_of(dcmread(path)) == replace(read_header(path), path=None)


@pytest.mark.parametrize(
    ("keyword", "value", "field", "expected"),
    [
        ("PixelSpacing", ["0.7"], "pixel_spacing_mm", ()),
        ("PixelSpacing", None, "pixel_spacing_mm", ()),
        ("ImageOrientationPatient", ["1", "0", "0"], "image_orientation", ()),
        ("ImageType", None, "image_type", ()),
        ("ImageType", "ORIGINAL PRIMARY", "image_type", ("ORIGINAL PRIMARY",)),
        ("KVP", "", "kvp", None),
        ("SeriesNumber", None, "series_number", None),
        ("PatientName", None, "patient_name", ""),
    ],
)
def test_half_a_value_is_no_value(keyword: str, value: object, field: str, expected: object) -> None:
    dataset = ct_dataset()
    setattr(dataset, keyword, value)
    assert getattr(header_of(dataset), field) == expected


@pytest.mark.parametrize("wrong", [b"nan", b"x.5", b"inf"])
def test_text_where_a_number_belongs_counts_as_absent(tmp_path: Path, wrong: bytes) -> None:
    path = save(ct_dataset(), tmp_path / "one.dcm")
    raw = path.read_bytes()
    assert raw.count(b"3.5") == raw.count(b"120 ") == 1
    path.write_bytes(raw.replace(b"3.5", wrong).replace(b"120 ", b"12O "))
    header = read_header(path)
    assert header.image_position == ()
    assert header.kvp is None
    assert header.pixel_spacing_mm == (0.7, 0.8)


def test_a_value_that_pydicom_cannot_decode_counts_as_absent(tmp_path: Path) -> None:
    dataset = ct_dataset()
    dataset.SeriesNumber = 734512
    path = save(dataset, tmp_path / "one.dcm")
    path.write_bytes(path.read_bytes().replace(b"734512", b"seven!"))
    assert read_header(path).series_number is None


def test_empty_sop_uids_come_from_the_file_meta(tmp_path: Path) -> None:
    dataset = ct_dataset()
    path = save(dataset, tmp_path / "one.dcm")
    written = dcmread(path)
    written.SOPInstanceUID = ""
    del written.SOPClassUID
    header = header_of(written)
    assert (header.sop_instance_uid, header.sop_class_uid) == ("1.2.3.4", CTImageStorage)
    assert header.uids_derived


def anonymous(number: int = 7, **identity: str) -> Dataset:
    dataset = ct_dataset()
    dataset.StudyInstanceUID = dataset.SeriesInstanceUID = ""
    dataset.PatientID = ""
    dataset.SeriesNumber = number
    for keyword, value in identity.items():
        setattr(dataset, keyword, value)
    return dataset


def test_empty_study_and_series_uids_are_derived_from_what_survives() -> None:
    one = header_of(anonymous(FrameOfReferenceUID="1.9"))
    again = header_of(anonymous(FrameOfReferenceUID="1.9"))
    other_series = header_of(anonymous(8, FrameOfReferenceUID="1.9"))
    other_patient = header_of(anonymous(FrameOfReferenceUID="1.10"))
    assert one.uids_derived
    assert one == again
    assert one.study_instance_uid.startswith("2.25.")
    assert len(one.study_instance_uid) <= 64
    assert one.study_instance_uid == other_series.study_instance_uid
    assert one.series_instance_uid != other_series.series_instance_uid
    assert one.study_instance_uid != other_patient.study_instance_uid


def test_derived_uid_never_changes_between_versions() -> None:
    """A stored ledger and a re-sent study must meet again: this value is part of the contract."""
    header = header_of(anonymous(FrameOfReferenceUID="1.9"))
    assert header.study_instance_uid == "2.25.250458997769288230816083371088808343769"
    assert header.series_instance_uid == "2.25.270572087852601267914815069239561531412"


def test_a_date_alone_names_no_study() -> None:
    with pytest.raises(Refusal) as refused:
        header_of(anonymous(StudyDate="20260102"))
    assert refused.value.code is ReasonCode.IDENTITY_MISSING


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "Modality"])
def test_without_class_instance_or_modality_there_is_no_header(keyword: str) -> None:
    dataset = ct_dataset()
    del dataset[keyword]
    dataset.file_meta = FileMetaDataset()
    with pytest.raises(Refusal) as refused:
        header_of(dataset)
    assert refused.value.code is ReasonCode.IDENTITY_MISSING


def test_file_without_preamble_and_meta_is_read(tmp_path: Path) -> None:
    path = save(ct_dataset(), tmp_path / "one.dcm")
    with_meta = path.read_bytes()
    bare = with_meta[with_meta.index(b"\x08\x00\x08\x00CS") :]
    path.write_bytes(bare)
    header = read_header(path)
    assert (header.sop_instance_uid, header.modality, header.transfer_syntax_uid) == ("1.2.3.4", "CT", "")


def test_bare_implicit_data_set_is_read(tmp_path: Path) -> None:
    dataset = ct_dataset()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    path = save(dataset, tmp_path / "one.dcm")
    raw = path.read_bytes()
    path.write_bytes(raw[raw.index(b"\x08\x00\x08\x00", 132) :])
    assert read_header(path).series_number == 7


@pytest.mark.parametrize("content", [b"", b"II*\0", b"\x89PNG\r\n\x1a\n" + bytes(200), b"<html>" * 40, b"PK\x03\x04" + bytes(400)])
def test_other_files_are_not_dicom(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    assert code_of(path) is ReasonCode.NOT_DICOM


def test_a_missing_file_is_unreadable(tmp_path: Path) -> None:
    assert code_of(tmp_path / "gone.dcm") is ReasonCode.UNREADABLE_FILE


def test_a_damaged_data_set_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "deflated.dcm"
    dataset = ct_dataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    save(dataset, path)
    raw = path.read_bytes()
    path.write_bytes(raw[:-40] + b"\xff" * 40)
    assert code_of(path) is ReasonCode.UNREADABLE_FILE


def test_a_dicomdir_is_named(tmp_path: Path) -> None:
    dataset = ct_dataset()
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    assert code_of(save(dataset, tmp_path / "DICOMDIR")) is ReasonCode.NOT_AN_IMAGE


def test_find_files_is_sorted_recursive_and_leaves_hidden_files(tmp_path: Path) -> None:
    for name in ("b/2", "a/1", "a/.hidden", ".git/x", "c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = find_files([tmp_path, tmp_path / "c"])
    assert found == tuple(tmp_path / name for name in ("a/1", "b/2", "c"))
    with pytest.raises(FileNotFoundError):
        find_files([tmp_path / "nowhere"])


def test_read_headers_lists_duplicates_and_refusals(tmp_path: Path) -> None:
    first, second = save(ct_dataset(), tmp_path / "1"), save(ct_dataset(), tmp_path / "2")
    (tmp_path / "3").write_text("hello")
    headers, skipped = read_headers(find_files([tmp_path]))
    assert [header.path for header in headers] == [first]
    assert [(item.path, item.reason.code) for item in skipped] == [
        (str(second), ReasonCode.DUPLICATE_INSTANCE),
        (str(tmp_path / "3"), ReasonCode.NOT_DICOM),
    ]


def test_a_header_kept_by_another_version_is_read() -> None:
    header = replace(PLAIN, image_type=("ORIGINAL", "PRIMARY"), kvp=None, image_position=(1.0, 2.0, 3.0))
    kept = json.loads(json.dumps({**asdict(header), "path": None, "laterality": "L"}))  # what an earlier version held
    del kept["kvp"]  # what an earlier version did not
    assert header_from_json(kept, Path("x.dcm")) == replace(header, path=Path("x.dcm"))


def test_group_studies_keeps_order() -> None:
    a, b, c = PLAIN, replace(PLAIN, study_instance_uid="9"), replace(PLAIN, sop_instance_uid="x")
    assert group_studies([a, b, c]) == {"1.2.3": (a, c), "9": (b,)}


@pytest.mark.parametrize(
    ("changes", "conflict"),
    [
        ({"patient_id": "p1 "}, False),
        ({"patient_id": ""}, False),
        ({"patient_id": "P2"}, True),
        ({"patient_name": "DOE^JANE^^"}, False),
        ({"patient_name": "doe^jane^anne"}, False),
        ({"patient_name": "Jane Doe"}, False),
        ({"patient_name": "Doe^J"}, False),
        ({"patient_name": ""}, False),
        ({"patient_name": "Doe^John"}, True),
        ({"patient_name": "Roe^Jane"}, True),
        ({"patient_birth_date": "19500103"}, True),
        ({"patient_birth_date": ""}, False),
    ],
)
def test_two_patients_in_one_study_are_a_conflict(changes: dict[str, str], conflict: bool) -> None:
    headers = (PLAIN, replace(PLAIN, **changes))
    if not conflict:
        check_identity(headers)
        return
    with pytest.raises(Refusal) as refused:
        check_identity(headers)
    assert refused.value.code is ReasonCode.IDENTITY_CONFLICT
    assert "Doe" not in refused.value.text


def test_names_are_compared_within_their_representation() -> None:
    wang = replace(PLAIN, patient_name="Wang^XiaoDong=王^小东")
    assert check_identity((wang, replace(PLAIN, patient_name="WANG^XIAODONG"))) == ()
    with pytest.raises(Refusal):
        check_identity((wang, replace(PLAIN, patient_name="Wang^XiaoDong=李^小东")))


def test_incomplete_identity_is_said() -> None:
    notices = check_identity((replace(PLAIN, patient_id="", uids_derived=True), PLAIN))
    assert [notice.code for notice in notices] == [WarningCode.IDENTITY_INCOMPLETE, WarningCode.UIDS_DERIVED]
    assert "1 of 2" in notices[0].text
    assert check_identity((PLAIN,)) == ()


def test_tolerant_logs_warnings_and_gives_the_filters_back(caplog: pytest.LogCaptureFixture) -> None:
    before = warnings.filters[:]
    with caplog.at_level(logging.DEBUG, logger="inference.tolerant"), tolerant():
        with tolerant():
            warnings.warn("inner", UserWarning, stacklevel=1)
        warnings.warn("outer", UserWarning, stacklevel=1)
    assert [record.getMessage().split(" ")[0] for record in caplog.records] == ["inner", "outer"]
    assert warnings.filters == before
    with pytest.warns(UserWarning, match="after"):
        warnings.warn("after", UserWarning, stacklevel=1)
