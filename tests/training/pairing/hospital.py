"""A small hospital: tiny DICOM studies of several patients and dates, and plain records for tests that need no files."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.uid import ComputedRadiographyImageStorage, CTImageStorage, EnhancedSRStorage

from training.pairing.records import DxaExam, ImageKind, ImageStudy, Person
from training.simulation.dicom import write_instance
from training.simulation.identity import uid_from

SLICES = 9
"""Of 3 mm: 27 mm, a little more than the least that may hold a vertebra."""


def image(patient: str = "A", day: str = "2024-03-01", **changes: Any) -> ImageStudy:
    """An image study that may be paired; ``changes`` to it, or to its person."""
    of_person = {key: changes.pop(key) for key in ("issuer", "sex", "birth_date", "age_years") if key in changes}
    values: dict[str, Any] = {
        "person": Person(patient_id=patient, **of_person),
        "kind": ImageKind.CT,
        "study_date": date.fromisoformat(day) if day else None,
        "study_instance_uid": uid_from("study", patient, day),
    }
    return ImageStudy(**{**values, **changes})


def exam(patient: str = "A", day: str = "2024-03-01", **changes: Any) -> DxaExam:
    """A DXA examination with a T-score; ``changes`` to it, or to its person."""
    of_person = {key: changes.pop(key) for key in ("issuer", "sex", "birth_date", "age_years") if key in changes}
    values: dict[str, Any] = {
        "person": Person(patient_id=patient, **of_person),
        "exam_date": date.fromisoformat(day) if day else None,
        "source": f"dxa.csv row {patient} {day}",
        "t_score": -1.5,
    }
    return DxaExam(**{**values, **changes})


def ct(folder: Path, patient: str, day: str, **changes: Any) -> str:
    """Write a CT study: a localizer, an axial series, a sharp axial series. Returns its Study Instance UID."""
    folder.mkdir(parents=True, exist_ok=True)
    base = _study("CT", patient, day, **changes)
    base.SOPClassUID = CTImageStorage
    base.BodyPartExamined = changes.get("BodyPartExamined", "ABDOMEN")
    for number, (description, kernel, kind) in enumerate(
        (("SCOUT", "", "LOCALIZER"), ("SOFT 3.0", "B30f", "AXIAL"), ("SHARP 3.0", "B70f", "AXIAL"))
    ):
        for index in range(1 if kind == "LOCALIZER" else SLICES):
            ds = _instance(base, number, index)
            ds.SeriesDescription, ds.ConvolutionKernel, ds.KVP = description, kernel, "120"
            ds.ImageType = ["ORIGINAL", "PRIMARY", kind]
            ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
            ds.ImagePositionPatient = ["0", "0", f"{3 * index}"]
            ds.PixelSpacing, ds.SliceThickness = ["0.7", "0.7"], "3"
            ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = "1", "-1024", "HU"
            write_instance(ds, folder / f"{patient.strip()}-{day}-ct-{number}-{index:02d}.dcm")
    return str(base.StudyInstanceUID)


def film(folder: Path, patient: str, day: str, views: tuple[str, ...] = ("PA", "LL"), **changes: Any) -> str:
    """Write chest radiographs, one a view, each a series. Returns the Study Instance UID."""
    folder.mkdir(parents=True, exist_ok=True)
    base = _study("CR", patient, day, **changes)
    base.SOPClassUID = ComputedRadiographyImageStorage
    base.BodyPartExamined = changes.get("BodyPartExamined", "CHEST")
    for number, view in enumerate(views):
        ds = _instance(base, number, 0)
        ds.ViewPosition, ds.ImageType = view, ["ORIGINAL", "PRIMARY"]
        write_instance(ds, folder / f"{patient.strip()}-{day}-cr-{number}.dcm")
    return str(base.StudyInstanceUID)


def dxa_image(folder: Path, patient: str, day: str, **changes: Any) -> str:
    """Write a DXA image as a GE Lunar exports it: SOP class and modality CR, the region in Protocol Name. Returns the study's UID."""
    folder.mkdir(parents=True, exist_ok=True)
    base = _study("CR", patient, day, uid=uid_from("dxa", patient, day), **changes)
    base.SOPClassUID = ComputedRadiographyImageStorage
    base.StudyDescription, base.ProtocolName = "DXA Exam", "AP Spine"
    base.Manufacturer, base.ManufacturerModelName = "GE Healthcare", "Lunar iDXA"
    write_instance(_instance(base, 0, 0), folder / f"{patient.strip()}-{day}-dxa.dcm")
    return str(base.StudyInstanceUID)


def dxa_report(folder: Path, patient: str, day: str, values: dict[str, float]) -> str:
    """Write a structured report with areal BMD by level, of the study of :func:`dxa_image`. Returns the study's UID."""
    folder.mkdir(parents=True, exist_ok=True)
    ds = _instance(_study("SR", patient, day, uid=uid_from("dxa", patient, day)), 1, 0)
    for keyword in ("Rows", "Columns", "PixelData", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel"):
        delattr(ds, keyword)
    ds.SOPClassUID = EnhancedSRStorage
    ds.StudyDescription = "DXA Exam"
    ds.ContentSequence = [container("Lumbar spine", [number(f"{level} BMD", value) for level, value in values.items()])]
    write_instance(ds, folder / f"{patient.strip()}-{day}-sr.dcm")
    return str(ds.StudyInstanceUID)


def container(meaning: str, children: list[Dataset]) -> Dataset:
    """A container of a report's content tree."""
    ds = Dataset()
    ds.ValueType, ds.RelationshipType = "CONTAINER", "CONTAINS"
    ds.ConceptNameCodeSequence = [code(meaning)]
    ds.ContentSequence = children
    return ds


def number(meaning: str, value: float, unit: str = "g/cm2") -> Dataset:
    """A number of a report's content tree."""
    measured = Dataset()
    measured.NumericValue = f"{value:g}"
    measured.MeasurementUnitsCodeSequence = [code(unit, unit, "UCUM")]
    ds = Dataset()
    ds.ValueType, ds.RelationshipType = "NUM", "CONTAINS"
    ds.ConceptNameCodeSequence = [code(meaning)]
    ds.MeasuredValueSequence = [measured]
    return ds


def code(meaning: str, value: str = "X", scheme: str = "99TEST") -> Dataset:
    """A coded concept."""
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = value, scheme, meaning
    return ds


def _study(modality: str, patient: str, day: str, uid: str | None = None, **changes: Any) -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.Modality = modality
    ds.PatientID, ds.PatientName = patient, changes.get("PatientName", f"Secret^{patient.strip() or 'Nobody'}")
    ds.StudyDate, ds.StudyTime = day.replace("-", ""), changes.get("StudyTime", "101500")
    ds.StudyInstanceUID = uid or uid_from("study", modality, patient, day, *sorted(changes.items()))
    ds.AccessionNumber = f"ACC{patient.strip()}"[:16]
    for keyword, value in changes.items():
        setattr(ds, keyword, value)
    return ds


def _instance(base: Dataset, series: int, index: int) -> Dataset:
    ds = base.copy()
    ds.SeriesInstanceUID = uid_from(base.StudyInstanceUID, base.Modality, series)
    ds.SOPInstanceUID = uid_from(ds.SeriesInstanceUID, index)
    ds.SeriesNumber, ds.InstanceNumber = series + 1, index + 1
    ds.Rows = ds.Columns = 8
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelData = np.full((8, 8), index, "<u2").tobytes()
    ds["PixelData"].VR = "OW"
    return ds
