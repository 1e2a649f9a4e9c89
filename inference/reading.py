"""Reading DICOM files from disk: headers as plain data, studies out of loose files. Imports pydicom alone, never torch or SimpleITK."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydicom import Dataset

from inference.errors import ReasonCode, Refusal
from inference.findings import Reason, SkippedFile
from inference.identity import SERIES_IDENTITY, STUDY_IDENTITY, check_identity, derived_study_uid, derived_uid
from inference.tolerant import integer_of, number_of, read_dataset, text_of, tolerant, vector_of

__all__ = [
    "HEADER_KEYWORDS",
    "InstanceHeader",
    "check_identity",
    "find_files",
    "group_studies",
    "header_of",
    "read_header",
    "read_headers",
]

MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
"""SOP class of a DICOMDIR (PS3.3 F.3.2.1)."""


@dataclass(frozen=True, kw_only=True)
class InstanceHeader:
    """The attributes of one instance that routing and series choice look at. Empty strings and empty tuples mean absent or empty.

    ``uids_derived`` is True where Study, Series or SOP Instance UID was empty in the data set and was derived (see
    :func:`read_header`). ``image_position``, ``image_orientation`` and ``pixel_spacing_mm`` hold 3, 6 and 2 finite numbers or nothing;
    ``pixel_spacing_mm`` is (between rows, between columns), PS3.3 10.7.1.3.
    """

    path: Path | None
    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    modality: str
    image_type: tuple[str, ...]
    patient_id: str
    patient_name: str
    patient_birth_date: str
    patient_sex: str
    patient_species: str
    accession_number: str
    study_date: str
    study_description: str
    series_description: str
    series_number: int | None
    instance_number: int | None
    protocol_name: str
    performed_procedure_step_description: str
    body_part_examined: str
    view_position: str
    presentation_intent_type: str
    manufacturer: str
    manufacturer_model_name: str
    rows: int | None
    columns: int | None
    number_of_frames: int | None
    uids_derived: bool = False
    acquisition_number: int | None = None
    acquisition_time: str = ""
    convolution_kernel: str = ""
    contrast_bolus_agent: str = ""
    kvp: float | None = None
    slice_thickness_mm: float | None = None
    image_position: tuple[float, ...] = ()
    image_orientation: tuple[float, ...] = ()
    pixel_spacing_mm: tuple[float, ...] = ()
    rescale_slope: float | None = None
    rescale_intercept: float | None = None
    rescale_type: str = ""
    lossy_image_compression: str = ""


HEADER_KEYWORDS: tuple[str, ...] = (
    *STUDY_IDENTITY,
    *SERIES_IDENTITY,
    "SOPInstanceUID",
    "SOPClassUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "ImageType",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "PatientSpeciesDescription",
    "StudyDescription",
    "ProtocolName",
    "PerformedProcedureStepDescription",
    "BodyPartExamined",
    "ViewPosition",
    "PresentationIntentType",
    "Manufacturer",
    "ManufacturerModelName",
    "AcquisitionTime",
    "ConvolutionKernel",
    "ContrastBolusAgent",
    "RescaleType",
    "LossyImageCompression",
    "InstanceNumber",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "KVP",
    "SliceThickness",
    "RescaleSlope",
    "RescaleIntercept",
    "ImagePositionPatient",
    "PixelSpacing",
)
"""Keywords of the attributes that :func:`header_of` looks at."""


def find_files(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Every file in the given files and folders, sorted; hidden files and folders inside a given folder are left out.

    Raises
    ------
    FileNotFoundError
        A given path does not exist.
    """
    found: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(path)
        found.update(_files_under(path) if path.is_dir() else (path,))
    return tuple(sorted(found))


def _files_under(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _files_under(path)
        elif path.is_file():
            yield path


def read_header(path: Path) -> InstanceHeader:
    """Read one file's header; pixel data are not touched.

    Empty UIDs follow one rule. SOP Instance UID and SOP Class UID come from the File Meta Information when the data set has none. An
    empty Study Instance UID is derived from Patient ID, Study Date, Study ID, Accession Number and Frame of Reference UID; an empty
    Series Instance UID from the study's and Modality, Series Number, Series Description, Series Time, Acquisition Number and Image
    Orientation (Patient): 2.25 and 128 bits of their SHA-256, so every instance of the study gets the same one, on any day. In each of
    these cases ``uids_derived`` is True.

    Raises
    ------
    Refusal
        ``NOT_DICOM``, ``UNREADABLE_FILE``, ``NOT_AN_IMAGE`` (a DICOMDIR) or ``IDENTITY_MISSING``.
    """
    return header_of(read_dataset(path, HEADER_KEYWORDS, stop_before_pixels=True), path)


def header_of(dataset: Dataset, path: Path | None = None) -> InstanceHeader:
    """The header of a data set in memory, which need not hold pixel data. UIDs as in :func:`read_header`.

    Raises
    ------
    Refusal
        ``NOT_AN_IMAGE`` (a DICOMDIR) or ``IDENTITY_MISSING``: no SOP Class UID, SOP Instance UID or Modality, or an empty Study
        Instance UID with nothing left to derive one from.
    """
    with tolerant():
        return _header_of(dataset, path)


def _header_of(dataset: Dataset, path: Path | None) -> InstanceHeader:
    name = path.name if path else "the instance"
    meta = getattr(dataset, "file_meta", None) or Dataset()
    sop_class = text_of(dataset, "SOPClassUID") or text_of(meta, "MediaStorageSOPClassUID")
    if sop_class == MEDIA_STORAGE_DIRECTORY:
        raise Refusal(ReasonCode.NOT_AN_IMAGE, f"{name} is a DICOMDIR, the table of contents of a medium.")
    sop_instance = text_of(dataset, "SOPInstanceUID") or text_of(meta, "MediaStorageSOPInstanceUID")
    modality = text_of(dataset, "Modality")
    for value, what in ((sop_class, "SOP Class UID"), (sop_instance, "SOP Instance UID"), (modality, "Modality")):
        if not value:
            raise Refusal(ReasonCode.IDENTITY_MISSING, f"{name} has no {what}.")
    study, series = text_of(dataset, "StudyInstanceUID"), text_of(dataset, "SeriesInstanceUID")
    derived = not (study and series and text_of(dataset, "SOPInstanceUID"))
    study = study or derived_study_uid({key: text_of(dataset, key) for key in STUDY_IDENTITY})
    series = series or derived_uid("series", {"StudyInstanceUID": study, **{key: text_of(dataset, key) for key in SERIES_IDENTITY}})
    image_type = text_of(dataset, "ImageType")
    return InstanceHeader(
        path=path,
        sop_instance_uid=sop_instance,
        sop_class_uid=sop_class,
        series_instance_uid=series,
        study_instance_uid=study,
        transfer_syntax_uid=text_of(meta, "TransferSyntaxUID"),
        uids_derived=derived,
        modality=modality,
        image_type=tuple(part.strip() for part in image_type.split("\\")) if image_type else (),
        patient_id=text_of(dataset, "PatientID"),
        patient_name=text_of(dataset, "PatientName"),
        patient_birth_date=text_of(dataset, "PatientBirthDate"),
        patient_sex=text_of(dataset, "PatientSex"),
        patient_species=text_of(dataset, "PatientSpeciesDescription"),
        accession_number=text_of(dataset, "AccessionNumber"),
        study_date=text_of(dataset, "StudyDate"),
        study_description=text_of(dataset, "StudyDescription"),
        series_description=text_of(dataset, "SeriesDescription"),
        series_number=integer_of(dataset, "SeriesNumber"),
        instance_number=integer_of(dataset, "InstanceNumber"),
        protocol_name=text_of(dataset, "ProtocolName"),
        performed_procedure_step_description=text_of(dataset, "PerformedProcedureStepDescription"),
        body_part_examined=text_of(dataset, "BodyPartExamined"),
        view_position=text_of(dataset, "ViewPosition"),
        presentation_intent_type=text_of(dataset, "PresentationIntentType"),
        manufacturer=text_of(dataset, "Manufacturer"),
        manufacturer_model_name=text_of(dataset, "ManufacturerModelName"),
        rows=integer_of(dataset, "Rows"),
        columns=integer_of(dataset, "Columns"),
        number_of_frames=integer_of(dataset, "NumberOfFrames"),
        acquisition_number=integer_of(dataset, "AcquisitionNumber"),
        acquisition_time=text_of(dataset, "AcquisitionTime"),
        convolution_kernel=text_of(dataset, "ConvolutionKernel"),
        contrast_bolus_agent=text_of(dataset, "ContrastBolusAgent"),
        kvp=number_of(dataset, "KVP"),
        slice_thickness_mm=number_of(dataset, "SliceThickness"),
        image_position=vector_of(dataset, "ImagePositionPatient", 3),
        image_orientation=vector_of(dataset, "ImageOrientationPatient", 6),
        pixel_spacing_mm=vector_of(dataset, "PixelSpacing", 2),
        rescale_slope=number_of(dataset, "RescaleSlope"),
        rescale_intercept=number_of(dataset, "RescaleIntercept"),
        rescale_type=text_of(dataset, "RescaleType"),
        lossy_image_compression=text_of(dataset, "LossyImageCompression"),
    )


def header_from_json(values: Mapping[str, Any], path: Path | None) -> InstanceHeader:
    """A header that was kept as JSON. What another version held besides is left out; what this one holds besides takes its default."""
    known = {field.name for field in fields(InstanceHeader)}
    kept: dict[str, Any] = {key: tuple(item) if isinstance(item, list) else item for key, item in values.items() if key in known}
    return InstanceHeader(**{**kept, "path": path})


def read_headers(paths: Iterable[Path]) -> tuple[tuple[InstanceHeader, ...], tuple[SkippedFile, ...]]:
    """Read every file's header; what cannot be used is listed with its reason. Of equal SOP Instance UIDs the first file is kept."""
    headers: dict[str, InstanceHeader] = {}
    skipped: list[SkippedFile] = []
    for path in paths:
        try:
            header = read_header(path)
        except Refusal as refusal:
            skipped.append(SkippedFile(path=str(path), reason=Reason(code=refusal.code, text=refusal.text)))
            continue
        first = headers.setdefault(header.sop_instance_uid, header)
        if first is not header:
            text = f"SOP Instance UID {header.sop_instance_uid} was already read from {first.path}."
            skipped.append(SkippedFile(path=str(path), reason=Reason(code=ReasonCode.DUPLICATE_INSTANCE, text=text)))
    return tuple(headers.values()), tuple(skipped)


def group_studies(headers: Iterable[InstanceHeader]) -> dict[str, tuple[InstanceHeader, ...]]:
    """Headers by Study Instance UID, both in the order they came."""
    studies: dict[str, list[InstanceHeader]] = {}
    for header in headers:
        studies.setdefault(header.study_instance_uid, []).append(header)
    return {uid: tuple(found) for uid, found in studies.items()}
