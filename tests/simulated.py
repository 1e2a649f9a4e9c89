"""Small simulated studies that several tests share, made once a session."""

from functools import cache
from pathlib import Path

from training.simulation.ct import AcquisitionParameters, PatientParameters, SimulatedCt, simulate_ct
from training.simulation.dicom import write_dicom
from training.simulation.xray.film import ChestFilmParameters, SimulatedFilm, simulate_chest_film
from training.simulation.xray.film_dicom import FilmFormat, FilmOptions, write_film


@cache
def simulated_ct() -> SimulatedCt:
    """A patient with 95 HU at L1 on a coarse grid: a few seconds to make and to measure."""
    acquisition = AcquisitionParameters(rows=160, columns=160, pixel_spacing_mm=2.4, slice_spacing_mm=2.5)
    return simulate_ct(PatientParameters(seed=2, trabecular_hu=95.0), acquisition)


def write_study(folder: Path) -> Path:
    """The study as DICOM files in ``folder``."""
    write_dicom(simulated_ct(), folder)
    return folder


@cache
def simulated_film() -> SimulatedFilm:
    """The chest film of the same patient, small."""
    return simulate_chest_film(simulated_ct().patient, ChestFilmParameters(paint_spacing_mm=4.0, pixel_spacing_mm=1.4))


def write_film_study(folder: Path) -> Path:
    """The film as a DICOM study (CR) in ``folder``."""
    write_film(simulated_film(), folder, FilmOptions(format=FilmFormat.CR))
    return folder
