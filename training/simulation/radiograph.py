"""Frontal projections of a simulated CT: a chest radiograph and a DXA-like image of the lumbar spine, as DICOM.

They carry the headers with which such images arrive (the DXA export copies a GE Lunar iDXA's habits: SOP class and modality CR, the
region named in ProtocolName alone, no pixel spacing). Scatter, magnification and the two energies of a densitometer are not simulated.
"""

from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ComputedRadiographyImageStorage
from scipy import ndimage

from training.simulation.ct import SimulatedCt
from training.simulation.dicom import study_dataset, write_instance
from training.simulation.identity import Identity, identity

WATER_ATTENUATION_PER_MM = 0.02
"""Linear attenuation of water at about 70 keV, per mm."""

SPINE_HALF_WIDTH_MM = 75.0


class Projection(StrEnum):
    """What the projection is sent as."""

    CHEST = "chest"
    DXA = "dxa"


def project(simulated: SimulatedCt) -> tuple[NDArray[np.float32], float]:
    """Line integrals of attenuation from front to back.

    Returns
    -------
    image
        float32 (rows, columns), dimensionless, head up and the patient's left on the right of the image.
    spacing_mm
        Of its square pixels.
    """
    volume = simulated.volume
    slice_mm, row_mm, column_mm = volume.spacing_mm
    integral = np.zeros((volume.hu.shape[0], volume.hu.shape[2]), np.float32)
    for index, image in enumerate(volume.hu):  # slice by slice: a float copy of the whole volume would be large
        integral[index] = np.clip(image.astype(np.float32) / 1000 + 1, 0, 3).sum(axis=0) * WATER_ATTENUATION_PER_MM * row_mm
    square = ndimage.zoom(integral, (slice_mm / column_mm, 1.0), order=1)
    return np.ascontiguousarray(square[::-1]), column_mm


def write_projection(simulated: SimulatedCt, folder: Path, kind: Projection) -> Path:
    """Write one projection of the scan into ``folder`` as a study of its own and return its file."""
    folder.mkdir(parents=True, exist_ok=True)
    image, spacing_mm = project(simulated)
    who = identity(simulated)
    ds = _instance(simulated, who, kind)
    if kind is Projection.CHEST:
        ds.StudyDescription, ds.SeriesDescription = "SIMULATED CHEST PA", "SIMULATED PA"
        ds.BodyPartExamined, ds.ViewPosition = "CHEST", "PA"
        ds.ImagerPixelSpacing = [f"{spacing_mm:g}"] * 2
        _pixels(ds, image, bits=12)
    else:
        half = round(SPINE_HALF_WIDTH_MM / spacing_mm)
        middle = image.shape[1] // 2
        ds.StudyDescription, ds.SeriesDescription = "SIMULATED DXA Exam", "DXA Images"
        ds.ProtocolName = ds.PerformedProcedureStepDescription = "AP Spine"
        ds.BodyPartExamined = ds.ViewPosition = ds.Laterality = ""
        _pixels(ds, image[:, max(0, middle - half) : middle + half], bits=8)
    return write_instance(ds, folder / f"{kind.value}.dcm")


def _instance(simulated: SimulatedCt, who: Identity, kind: Projection) -> Dataset:
    ds = study_dataset(simulated.patient, who)
    ds.SOPClassUID = ComputedRadiographyImageStorage
    ds.Modality = "CR"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.StudyInstanceUID = who.uid(kind.value, "study")
    ds.SeriesInstanceUID = who.uid(kind.value, "series")
    ds.SOPInstanceUID = who.uid(kind.value, "instance")
    ds.AccessionNumber = f"{who.accession_number[:14]}{kind.value[0].upper()}"
    ds.SeriesNumber, ds.InstanceNumber = 1, 1
    ds.PatientOrientation = ["L", "F"]
    return ds


def _pixels(ds: Dataset, image: NDArray[np.float32], *, bits: int) -> None:
    """Store the image as MONOCHROME2, bone bright, over the whole range of ``bits``."""
    low, high = np.percentile(image, (1, 99.9))
    top = 2**bits - 1
    grey = np.rint(np.clip((image - low) / max(float(high - low), 1e-6), 0, 1) * top)
    grey = grey[:, : grey.shape[1] // 2 * 2]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = grey.shape
    ds.BitsAllocated = 16 if bits > 8 else 8
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, bits - 1, 0
    ds.PixelData = grey.astype("<u2" if bits > 8 else np.uint8).tobytes()
    ds["PixelData"].VR = "OW"
