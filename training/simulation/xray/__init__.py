"""X-ray projections of a simulated patient: chest radiographs and DXA images of the same body that the CT shows."""

from training.simulation.xray.areal import areal_bmd
from training.simulation.xray.devices import DEVICES, Densitometer
from training.simulation.xray.dxa import DxaLevel, DxaParameters, SimulatedDxa, simulate_dxa
from training.simulation.xray.dxa_dicom import DxaOptions, write_dxa
from training.simulation.xray.film import ChestFilmParameters, SimulatedFilm, portable, simulate_chest_film
from training.simulation.xray.film_dicom import FilmFormat, FilmOptions, Spacing, write_film
from training.simulation.xray.gradation import Gradation
from training.simulation.xray.projection import View
from training.simulation.xray.regions import DxaRegion, RegionScan, simulate_regions

__all__ = [
    "DEVICES",
    "ChestFilmParameters",
    "Densitometer",
    "DxaLevel",
    "DxaOptions",
    "DxaParameters",
    "DxaRegion",
    "FilmFormat",
    "FilmOptions",
    "Gradation",
    "RegionScan",
    "SimulatedDxa",
    "SimulatedFilm",
    "Spacing",
    "View",
    "areal_bmd",
    "portable",
    "simulate_chest_film",
    "simulate_dxa",
    "simulate_regions",
    "write_dxa",
    "write_film",
]
