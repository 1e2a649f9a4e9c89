"""Patients and phantoms that the tests of projections share, made once a session."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from training.simulation.body import PaintedPatient, build_body, paint_anatomy
from training.simulation.parameters import PatientParameters
from training.simulation.xray.dxa import DxaParameters, SimulatedDxa, scan_painted, scan_range_mm
from training.simulation.xray.film import ChestFilmParameters, SimulatedFilm, simulate_chest_film

COARSE_MM = 3.0


@cache
def spine_patient(trabecular_hu: float = 120.0, seed: int = 5) -> PatientParameters:
    return PatientParameters(seed=seed, trabecular_hu=trabecular_hu)


@cache
def painted_spine(trabecular_hu: float = 120.0, seed: int = 5, spacing_mm: float = COARSE_MM) -> PaintedPatient:
    """The part that a spine scan shows."""
    patient = spine_patient(trabecular_hu, seed)
    low, high = scan_range_mm(build_body(patient, 120.0).spine, patient)
    return paint_anatomy(patient, spacing_mm=spacing_mm, z_range_mm=(low - 5.0, high + 5.0))


@cache
def dxa(device: str = "Hologic", trabecular_hu: float = 120.0, seed: int = 5) -> SimulatedDxa:
    return scan_painted(painted_spine(trabecular_hu, seed), DxaParameters(device=device, paint_spacing_mm=COARSE_MM))


@cache
def film() -> SimulatedFilm:
    return simulate_chest_film(spine_patient(), ChestFilmParameters(paint_spacing_mm=COARSE_MM, pixel_spacing_mm=1.0))


def phantom(hu: NDArray[np.float32], mineral_mg_cm3: NDArray[np.float32], spacing_mm: float) -> PaintedPatient:
    """A block on the axes of the anatomy, its middle at the origin."""
    body = build_body(spine_patient(), 120.0)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]) * spacing_mm
    affine[:3, 3] = [-(count - 1) / 2 * spacing_mm for count in hu.shape[::-1]]
    empty = np.zeros(hu.shape, np.uint8)
    return PaintedPatient(
        patient=body.patient,
        hu=hu,
        structures=empty,
        bodies=empty,
        mineral_mg_cm3=mineral_mg_cm3,
        affine=affine,
        spine=body.spine,
        torso=body.torso,
        bones=body.bones,
    )
