"""Write a simulated scan as a DICOM study: CT Image Storage (PS3.3 A.3), and beside it what real studies carry."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from training.simulation.ct import SimulatedCt
from training.simulation.identity import Identity, identity, uid_from
from training.simulation.parameters import ContrastPhase, FieldOfView, PatientParameters
from training.simulation.vendors import MANUFACTURER, STYLES, Vendor, add_padding, add_technique

STORED_OFFSET = 1024
IMPLEMENTATION_UID = UID(uid_from("osteon", "simulation", "implementation"))
_BODY_PARTS = {
    FieldOfView.CHEST: "CHEST",
    FieldOfView.HEART: "HEART",
    FieldOfView.LUMBAR: "LSPINE",
    FieldOfView.ABDOMEN: "ABDOMEN",
    FieldOfView.TRUNK: "ABDOMEN",
}


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """What the written study carries beside the axial series.

    ``contrast_in_header`` False leaves the contrast attributes out of a contrast scan, as happens in practice. ``vendor`` says whose
    habits the axial series has. ``study_date`` None is the patient's own first one.
    """

    localizer: bool = False
    secondary_capture: bool = False
    contrast_in_header: bool = True
    vendor: Vendor = Vendor.PLAIN
    study_date: date | None = None


def write_dicom(simulated: SimulatedCt, folder: Path, options: StudyOptions | None = None) -> list[Path]:
    """Write the study into ``folder`` (created if absent) and return its files, the axial series in instance order first.

    Head-first series number their instances from the head, feet-first ones from the feet.
    """
    chosen = options or StudyOptions()
    folder.mkdir(parents=True, exist_ok=True)
    who = identity(simulated, chosen.study_date)
    base = _axial_base(simulated, who, chosen)
    count = simulated.volume.hu.shape[0]
    order = range(count) if simulated.acquisition.feet_first else range(count - 1, -1, -1)
    paths = [
        write_instance(_axial(base, simulated, who, index, number, chosen.vendor), folder / f"CT{number:04d}.dcm")
        for number, index in enumerate(order, start=1)
    ]
    if chosen.localizer:
        paths.append(write_instance(_localizer(simulated, who), folder / "LOC0001.dcm"))
    if chosen.secondary_capture:
        paths.append(write_instance(_secondary_capture(simulated, who), folder / "SC0001.dcm"))
    return paths


def write_instance(dataset: Dataset, path: Path, transfer_syntax: UID = ExplicitVRLittleEndian) -> Path:
    """Write one instance as a DICOM file, uncompressed, and return its path."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = "OSTEON_SIM"
    out = FileDataset(str(path), dataset, file_meta=meta, preamble=b"\0" * 128)
    out.save_as(path, enforce_file_format=True)
    return path


def study_dataset(patient: PatientParameters, who: Identity) -> Dataset:
    """Patient, general study and equipment modules, the same in every instance of a study."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = ds.AcquisitionDate = who.study_date
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = ds.AcquisitionTime = who.study_time
    ds.AccessionNumber = who.accession_number
    ds.ReferringPhysicianName = ""
    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = "Parametric patient"
    ds.SoftwareVersions = "1"
    ds.PatientName = who.patient_name
    ds.PatientID = who.patient_id
    ds.PatientBirthDate = who.birth_date
    ds.PatientSex = patient.sex
    ds.PatientAge = who.age
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "Simulated patient, no person behind it"
    ds.StudyInstanceUID = who.study_instance_uid
    ds.StudyID = f"SIM{patient.seed}"[:16]
    return ds


def _ct_base(simulated: SimulatedCt, who: Identity, contrast: str = "") -> Dataset:
    ds = study_dataset(simulated.patient, who)
    acquisition = simulated.acquisition
    ds.StudyDescription = _study_description(simulated, contrast)
    ds.FrameOfReferenceUID = who.frame_of_reference_uid
    ds.PositionReferenceIndicator = ""
    ds.SOPClassUID = CTImageStorage
    ds.Modality = "CT"
    ds.BodyPartExamined = _BODY_PARTS[acquisition.field_of_view]
    ds.PatientPosition = _patient_position(simulated)
    ds.KVP = f"{acquisition.kvp:.0f}"
    ds.AcquisitionNumber = 1
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    return ds


def _study_description(simulated: SimulatedCt, contrast: str = "") -> str:
    return f"SIMULATED CT {simulated.acquisition.field_of_view.value.upper()}{contrast}"


def _patient_position(simulated: SimulatedCt) -> str:
    """Head or feet first; supine, prone, or on the side that lies on the couch (PS3.3 C.7.3.1.1.2)."""
    return ("FF" if simulated.acquisition.feet_first else "HF") + ("S", "DL", "P", "DR")[simulated.patient.quarter_turns]


def _axial_base(simulated: SimulatedCt, who: Identity, options: StudyOptions) -> Dataset:
    """Everything that the axial instances share."""
    phase = simulated.patient.contrast
    named = phase is not ContrastPhase.NATIVE and options.contrast_in_header
    ds = _ct_base(simulated, who, f" {phase.value.upper()}" if named else "")
    acquisition = simulated.acquisition
    style = STYLES[options.vendor]
    ds.Manufacturer, ds.ManufacturerModelName = style.manufacturer, style.model
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    kernel = style.kernel(acquisition.kernel)
    said = acquisition.kernel.value if options.vendor is Vendor.PLAIN else kernel
    ds.SeriesDescription = style.series.format(mm=f"{acquisition.thickness_mm:g}", kernel=said)
    ds.ProtocolName = style.protocol
    ds.SeriesInstanceUID = who.uid("axial series")
    ds.SeriesNumber = 2
    if named:
        ds.ContrastBolusAgent = "SIMULATED IODINE"
    ds.SliceThickness = f"{acquisition.thickness_mm:g}"
    ds.GantryDetectorTilt = f"{acquisition.gantry_tilt_deg:g}"
    ds.ConvolutionKernel = kernel
    ds.Rows, ds.Columns = acquisition.rows, acquisition.columns
    ds.PixelSpacing = [f"{acquisition.pixel_spacing_mm:g}"] * 2
    ds.ImageOrientationPatient = [_decimal(value) for axis in (2, 1) for value in simulated.volume.direction[:, axis]]
    ds.WindowCenter = [str(centre) for centre, _ in style.windows]
    ds.WindowWidth = [str(width) for _, width in style.windows]
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = style.bits, style.bits - 1, int(style.signed)
    if not acquisition.omit_rescale:
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = str(style.intercept_hu), "1", "HU"
    add_technique(ds, acquisition, options.vendor)
    add_padding(ds, style)
    return ds


def _axial(base: Dataset, simulated: SimulatedCt, who: Identity, index: int, number: int, vendor: Vendor) -> Dataset:
    style = STYLES[vendor]
    ds = base.copy()
    position = simulated.volume.to_lps_mm(np.array([[index, 0, 0]]))[0]
    ds.SOPInstanceUID = who.uid("axial instance", number)
    ds.InstanceNumber = number
    ds.ImagePositionPatient = [_decimal(value) for value in position]
    from_start = (number - 1) * simulated.acquisition.slice_spacing_mm
    ds.SliceLocation = _decimal(from_start if style.location_from_start else position[2])
    ds.PixelData = style.stored(simulated.volume.hu[index]).astype(style.dtype).tobytes()
    ds["PixelData"].VR = "OW"
    return ds


def _localizer(simulated: SimulatedCt, who: Identity) -> Dataset:
    """A coronal projection, as a scanner's scout."""
    volume = simulated.volume
    image = volume.hu[::-1].astype(np.float32).mean(axis=1)
    spacing = volume.spacing_mm
    corner = volume.to_lps_mm(np.array([[volume.hu.shape[0] - 1, volume.hu.shape[1] // 2, 0]]))[0]
    ds = _ct_base(simulated, who)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    ds.SeriesDescription = "SIMULATED localizer"
    ds.SeriesInstanceUID = who.uid("localizer series")
    ds.SeriesNumber = 1
    ds.SOPInstanceUID = who.uid("localizer instance")
    ds.InstanceNumber = 1
    ds.SliceThickness = ""
    ds.Rows, ds.Columns = image.shape
    ds.PixelSpacing = [f"{spacing[0]:g}", f"{spacing[2]:g}"]
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "0", "-1"]
    ds.ImagePositionPatient = [_decimal(value) for value in corner]
    ds.RescaleIntercept, ds.RescaleSlope = str(-STORED_OFFSET), "1"
    ds.PixelData = np.clip(np.rint(image) + STORED_OFFSET, 0, 4095).astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    return ds


def _secondary_capture(simulated: SimulatedCt, who: Identity) -> Dataset:
    """An 8-bit picture of the middle slice, the kind of page that scanners add to a study."""
    hu = simulated.volume.hu[simulated.volume.hu.shape[0] // 2]
    grey: NDArray[np.uint8] = np.rint(np.clip((hu.astype(np.float32) + 150) / 400, 0, 1) * 255).astype(np.uint8)
    grey = grey[: grey.shape[0] // 2 * 2]
    ds = study_dataset(simulated.patient, who)
    ds.StudyDescription = _study_description(simulated)
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = who.uid("secondary capture instance")
    ds.Modality = "CT"
    ds.ConversionType = "WSD"
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.BurnedInAnnotation = "NO"
    ds.SeriesDescription = "SIMULATED Exam Summary"
    ds.SeriesInstanceUID = who.uid("secondary capture series")
    ds.SeriesNumber = 999
    ds.InstanceNumber = 1
    ds.BodyPartExamined = _BODY_PARTS[simulated.acquisition.field_of_view]
    ds.PatientOrientation = ["L", "P"]
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = grey.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = grey.tobytes()
    ds["PixelData"].VR = "OW"
    return ds


def _decimal(value: float) -> str:
    """A Decimal String of at most 16 characters (PS3.5 6.2), to a ten-thousandth of a millimetre; no negative zero."""
    return f"{round(float(value), 6) + 0.0:.6f}".rstrip("0").rstrip(".")[:16]
