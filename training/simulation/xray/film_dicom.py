"""Write a simulated chest radiograph as DICOM: DX for presentation or for processing, or CR (PS3.3 A.26, A.2)."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)

from training.simulation.dicom import study_dataset, write_instance
from training.simulation.identity import Identity, study_identity
from training.simulation.xray.film import SimulatedFilm
from training.simulation.xray.projection import View


class FilmFormat(StrEnum):
    """What the film is sent as."""

    DX = "dx"
    DX_FOR_PROCESSING = "dx-for-processing"
    CR = "cr"


class Spacing(StrEnum):
    """Which attribute gives the size of the pixels."""

    IMAGER = "imager"
    """Imager Pixel Spacing: at the detector, without a correction for magnification."""
    PIXEL = "pixel"
    """Pixel Spacing as well."""
    ABSENT = "absent"
    """Neither; a DX image keeps Imager Pixel Spacing, which it must have."""


@dataclass(frozen=True, kw_only=True)
class FilmOptions:
    """How the file is written.

    ``inverted`` stores MONOCHROME1: the lowest value is white. ``view_in_header`` False leaves View Position empty, as happens in
    practice. ``study_date`` None is the patient's own first one.
    """

    format: FilmFormat = FilmFormat.DX
    inverted: bool = False
    spacing: Spacing = Spacing.IMAGER
    view_in_header: bool = True
    study_date: date | None = None


_SOP_CLASS = {
    FilmFormat.DX: DigitalXRayImageStorageForPresentation,
    FilmFormat.DX_FOR_PROCESSING: DigitalXRayImageStorageForProcessing,
    FilmFormat.CR: ComputedRadiographyImageStorage,
}
# View Position, SNOMED CT code and meaning (PS3.16 CID 4010), the sides at which columns and rows point.
_VIEWS = {
    View.PA: ("399348003", "postero-anterior", ["L", "F"]),
    View.AP: ("399067008", "antero-posterior", ["L", "F"]),
    View.LATERAL: ("399173006", "left lateral", ["P", "F"]),
}


def write_film(film: SimulatedFilm, folder: Path, options: FilmOptions | None = None) -> Path:
    """Write the film into ``folder`` (created if absent) as a study of its own and return its file."""
    chosen = options or FilmOptions()
    folder.mkdir(parents=True, exist_ok=True)
    what = (film.acquisition, chosen.format)
    who = study_identity(film.patient, "DX" if chosen.format is not FilmFormat.CR else "CR", *what, study_date=chosen.study_date)
    return write_instance(film_dataset(film, chosen, who), folder / "FILM0001.dcm")


def film_dataset(film: SimulatedFilm, options: FilmOptions, who: Identity) -> Dataset:
    """The instance as a data set."""
    ds = study_dataset(film.patient, who)
    ds.SOPClassUID = _SOP_CLASS[options.format]
    ds.SOPInstanceUID = who.uid("film instance")
    ds.SeriesInstanceUID = who.uid("film series")
    ds.StudyDescription = "SIMULATED CHEST"
    ds.SeriesDescription = f"SIMULATED chest {film.acquisition.view.value}"
    ds.SeriesNumber = ds.InstanceNumber = ds.AcquisitionNumber = 1
    ds.BodyPartExamined = "CHEST"
    ds.PatientOrientation = _VIEWS[film.acquisition.view][2]
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    _exposure(ds, film, options)
    if options.format is FilmFormat.CR:
        _cr(ds)
    else:
        _dx(ds, film, options)
    _spacing(ds, film, options)
    _pixels(ds, film.image, film.acquisition.bits_stored, options)
    return ds


def _exposure(ds: Dataset, film: SimulatedFilm, options: FilmOptions) -> None:
    ds.ViewPosition = film.acquisition.view.value if options.view_in_header else ""
    ds.KVP = f"{film.acquisition.kvp:g}"
    ds.DistanceSourceToDetector = f"{film.acquisition.source_mm:g}"
    ds.PatientPosition = ""


def _cr(ds: Dataset) -> None:
    """CR Series and CR Image modules (PS3.3 C.8.1.1, C.8.1.2)."""
    ds.Modality = "CR"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]


def _dx(ds: Dataset, film: SimulatedFilm, options: FilmOptions) -> None:
    """DX Series, Anatomy Imaged, Image, Detector, Positioning and Acquisition Context modules (PS3.3 C.8.11)."""
    raw = options.format is FilmFormat.DX_FOR_PROCESSING
    ds.Modality = "DX"
    ds.PresentationIntentType = "FOR PROCESSING" if raw else "FOR PRESENTATION"
    ds.ImageType = ["ORIGINAL", "PRIMARY", ""]
    ds.ImageLaterality = "U"
    ds.AnatomicRegionSequence = [_code("51185008", "Chest")]
    ds.PixelIntensityRelationship = "LOG"
    ds.PixelIntensityRelationshipSign = 1 if options.inverted else -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.Grid = ["FOCUSED"] if film.acquisition.physics.grid else ["NONE"]
    ds.DetectorType = "DIRECT" if raw else "SCINTILLATOR"
    ds.DetectorActiveShape = "RECTANGLE"
    ds.AcquisitionContextSequence = []
    ds.PositionerType = ""
    value, meaning, _ = _VIEWS[film.acquisition.view]
    view = _code(value, meaning)
    view.ViewModifierCodeSequence = []
    ds.ViewCodeSequence = [view]
    posture = ("102538003", "recumbent") if film.acquisition.view is View.AP else ("10904000", "erect")
    ds.PatientOrientationCodeSequence = [_code(*posture)]
    del ds.PatientPosition
    ds.PresentationLUTShape = "INVERSE" if options.inverted else "IDENTITY"
    if not raw:
        top = 2**film.acquisition.bits_stored
        ds.WindowCenter, ds.WindowWidth = str(top // 2), str(top)
        ds.VOILUTFunction = "LINEAR"


def _spacing(ds: Dataset, film: SimulatedFilm, options: FilmOptions) -> None:
    pair = [f"{film.spacing_mm:g}"] * 2
    if options.spacing is not Spacing.ABSENT or options.format is not FilmFormat.CR:
        ds.ImagerPixelSpacing = pair
    if options.spacing is Spacing.PIXEL:
        ds.PixelSpacing = pair


def _pixels(ds: Dataset, image: NDArray[np.uint16], bits: int, options: FilmOptions) -> None:
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME1" if options.inverted else "MONOCHROME2"
    ds.Rows, ds.Columns = image.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, bits, bits - 1, 0
    stored = (2**bits - 1) - image if options.inverted else image
    ds.PixelData = stored.astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item
