"""Simulated chest films as data sets, and what may happen to a film on its way: the tests of reading share them."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from inference.cxr.recognise import FilmDecision, decide_dataset
from inference.radiograph_pixels import radiograph_of
from inference.reading import header_of
from tests.training.xray_patients import spine_patient
from training.simulation.identity import study_identity
from training.simulation.xray.film import ChestFilmParameters, SimulatedFilm, portable, simulate_chest_film
from training.simulation.xray.film_dicom import FilmFormat, FilmOptions, film_dataset
from training.simulation.xray.projection import View

PITCH_MM = 1.2
Stored = NDArray[np.uint16]
Change = Callable[[Dataset], None]


@cache
def simulated(kind: str = "PA") -> SimulatedFilm:
    """``PA``, ``AP``, ``lateral`` or ``abdomen`` of one patient, coarse: two seconds each."""
    plain = ChestFilmParameters(paint_spacing_mm=4.0, pixel_spacing_mm=PITCH_MM)
    acquisition = {
        "PA": plain,
        "AP": portable(paint_spacing_mm=4.0, pixel_spacing_mm=PITCH_MM),
        "lateral": replace(plain, view=View.LATERAL),
        "abdomen": replace(plain, view=View.AP, decentring_mm=(0.0, -330.0), marker="R"),
    }[kind]
    return simulate_chest_film(spine_patient(), acquisition)


def dataset(kind: str = "PA", *, view_in_header: bool = True, change: Change | None = None, form: FilmFormat = FilmFormat.DX) -> Dataset:
    """The film as a data set in memory, changed where asked."""
    ds = film_data(simulated(kind), kind, view_in_header=view_in_header, form=form)
    if not view_in_header:
        blank_header(ds)
    if change is not None:
        change(ds)
    return ds


def film_data(film: SimulatedFilm, name: str = "", *, view_in_header: bool = True, form: FilmFormat = FilmFormat.DX) -> Dataset:
    """Any simulated film as a data set in memory, uncompressed."""
    ds = film_dataset(film, FilmOptions(format=form, view_in_header=view_in_header), study_identity(film.patient, "DX", name, form))
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def blank_header(ds: Dataset) -> None:
    """Nothing is left that names view or body part, and no side."""
    for keyword in ("ViewCodeSequence", "PatientOrientation", "AnatomicRegionSequence"):
        if keyword in ds:
            delattr(ds, keyword)
    ds.ViewPosition = ds.SeriesDescription = ds.StudyDescription = ds.BodyPartExamined = ""


def decided(ds: Dataset) -> FilmDecision:
    """Decode and decide, as for a file."""
    copied = deepcopy(ds)
    return decide_dataset(header_of(copied), copied, radiograph_of(copied, "film"))


def stored(ds: Dataset) -> Stored:
    """The 16-bit pixels of a native data set."""
    return np.frombuffer(ds.PixelData, dtype="<u2").reshape(ds.Rows, ds.Columns)


def put(ds: Dataset, pixels: NDArray[np.integer], bits: int = 12) -> None:
    """Store other pixels, of any depth up to 16 bits, with the window over all values."""
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsStored, ds.HighBit = bits, bits - 1
    ds.BitsAllocated = 8 if bits <= 8 else 16
    ds.PixelData = np.ascontiguousarray(pixels.astype("u1" if bits <= 8 else "<u2")).tobytes()
    ds["PixelData"].VR = "OB" if bits <= 8 else "OW"
    ds.WindowCenter, ds.WindowWidth = str(2 ** (bits - 1)), str(2**bits)


def with_text(pixels: Stored, text: str, at: tuple[int, int], size: int = 14) -> Stored:
    """White letters whose first begins at (column, row)."""
    page = Image.new("L", pixels.shape[::-1])
    ImageDraw.Draw(page).text(at, text, fill=255, font=ImageFont.load_default(size=size))
    mask = np.asarray(page, dtype=np.float64) / 255
    return np.asarray(np.rint(pixels * (1 - mask) + 4095 * mask), dtype=np.uint16)
