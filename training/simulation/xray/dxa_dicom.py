"""Write simulated DXA scans as densitometers export them. What real exports look like differs widely, so each device has its own habits."""

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID, ComputedRadiographyImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, SecondaryCaptureImageStorage

from training.simulation.dicom import study_dataset, write_instance
from training.simulation.identity import Identity, study_identity
from training.simulation.xray.devices import Densitometer, Export
from training.simulation.xray.dxa import SimulatedDxa
from training.simulation.xray.dxa_page import report_page, with_border_polygons
from training.simulation.xray.regions import DxaRegion, RegionScan

AP_SPINE = "AP Spine"
REPORT = "Report"
# Body Part Examined and Laterality of a region, where a device fills them in.
_PARTS = {
    AP_SPINE: ("LSPINE", None),
    REPORT: ("LSPINE", None),
    DxaRegion.LEFT_FEMUR: ("HIP", "L"),
    DxaRegion.RIGHT_FEMUR: ("HIP", "R"),
    DxaRegion.LVA: ("TSPINE", None),
    DxaRegion.KNEE: ("KNEE", "L"),
    DxaRegion.TOTAL_BODY: ("WHOLEBODY", None),
}


@dataclass(frozen=True, kw_only=True)
class DxaOptions:
    """How the scan is written.

    Attributes
    ----------
    report_page
        A page with a table and printed T-scores beside the images, where the device writes one; a GE Lunar iDXA export has none.
    others
        Scans of other regions, into the same series as some devices do.
    study_date
        None is the patient's own first one.
    """

    report_page: bool = True
    others: tuple[RegionScan, ...] = field(default=())
    study_date: date | None = None


def write_dxa(scan: SimulatedDxa, folder: Path, options: DxaOptions | None = None) -> dict[str, Path]:
    """Write the scan into ``folder`` (created if absent) as a study of its own; its files by region, the spine first."""
    chosen = options or DxaOptions()
    folder.mkdir(parents=True, exist_ok=True)
    who = study_identity(scan.patient, "DXA", scan.acquisition, study_date=chosen.study_date)
    device = scan.acquisition.densitometer
    writers = {Export.IDXA: _idxa, Export.APEX: _secondary_capture, Export.OTHER: _secondary_capture}
    syntax = ImplicitVRLittleEndian if device.export is Export.IDXA else ExplicitVRLittleEndian
    base = _base(scan, who, device)
    images = {AP_SPINE: _bordered(scan.image, scan, device), **{other.region.value: other.image for other in chosen.others}}
    out = {}
    for number, (region, image) in enumerate(images.items(), start=1):
        out[region] = _write(writers[device.export](base, image, region), who, number, folder, syntax)
    if chosen.report_page and device.export is not Export.IDXA:
        page = _secondary_capture(base, report_page(scan), REPORT)
        page.SeriesInstanceUID, page.SeriesNumber = who.uid("dxa report series"), 2
        out[REPORT] = _write(page, who, len(images) + 1, folder, syntax)
    return out


def _write(ds: Dataset, who: Identity, number: int, folder: Path, syntax: UID) -> Path:
    ds.InstanceNumber = number
    ds.SOPInstanceUID = who.uid("dxa instance", number)
    return write_instance(ds, folder / f"DXA{number:04d}.dcm", syntax)


def _base(scan: SimulatedDxa, who: Identity, device: Densitometer) -> Dataset:
    ds = study_dataset(scan.patient, who)
    ds.ManufacturerModelName = f"Simulated densitometer ({device.model})"
    ds.SeriesInstanceUID = who.uid("dxa series")
    ds.SeriesNumber = 1
    ds.StudyDescription = "SIMULATED DXA Exam"
    ds.PatientOrientation = ""
    return ds


def _idxa(base: Dataset, image: NDArray[np.uint8], region: str) -> Dataset:
    """The habits of a GE Lunar iDXA export: CR, the region named in two attributes that few readers look at, no pixel spacing."""
    ds = deepcopy(base)
    ds.SOPClassUID = ComputedRadiographyImageStorage
    ds.Modality = "CR"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.SeriesDescription = "DXA Images"
    ds.ProtocolName = ds.PerformedProcedureStepDescription = region
    ds.BodyPartExamined = ds.ViewPosition = ds.Laterality = ""
    ds.ExposedArea = [180, 280]
    _grey(ds, image)
    return ds


def _secondary_capture(base: Dataset, image: NDArray[np.uint8], region: str) -> Dataset:
    """An image of the screen, grey or RGB; the region stands in the series or image description."""
    ds = deepcopy(base)
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.Modality = "OT"
    ds.ConversionType = "WSD"
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.SeriesDescription = "SIMULATED DXA" if image.ndim == 2 else "SIMULATED DXA report"
    ds.ImageComments = region
    ds.BodyPartExamined, laterality = _PARTS[region]
    if laterality is not None:
        ds.Laterality = laterality
    ds.BurnedInAnnotation = "YES" if image.ndim == 3 else "NO"
    if image.ndim == 3:
        _rgb(ds, image)
    else:
        _grey(ds, image)
    return ds


def _bordered(image: NDArray[np.uint8], scan: SimulatedDxa, device: Densitometer) -> NDArray[np.uint8]:
    """A GE Lunar image has white polygons at both sides, where the operator cut off what is no soft tissue."""
    return with_border_polygons(image, scan.patient.seed) if device.export is Export.IDXA else image


def _grey(ds: Dataset, image: NDArray[np.uint8]) -> None:
    even = image[:, : image.shape[1] // 2 * 2]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    _stored(ds, even)


def _rgb(ds: Dataset, image: NDArray[np.uint8]) -> None:
    even = image[:, : image.shape[1] // 2 * 2]
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    _stored(ds, even)


def _stored(ds: Dataset, image: NDArray[np.uint8]) -> None:
    ds.Rows, ds.Columns = image.shape[:2]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = np.ascontiguousarray(image).tobytes()
    ds["PixelData"].VR = "OW"
