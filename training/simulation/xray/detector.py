"""From what passes the body to what a detector reads: scatter and its grid, blur, quantum noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FloatArray = NDArray[np.float32]

SCATTER_PER_CM = 0.13
"""Scatter over primary per centimetre of tissue in a wide beam without a grid: 1.3 behind the lung, 3 behind the mediastinum, as
measured with beam stops (Niklason et al. 1981: 0.9 and 3 to 4 in these places)."""
SCATTER_SPREAD_MM = 55.0
GRID_SCATTER_PASS, GRID_PRIMARY_PASS = 0.14, 0.70
"""Of a 12:1 grid."""


@dataclass(frozen=True, kw_only=True)
class DetectorPhysics:
    """How an image is read.

    Attributes
    ----------
    quanta_per_mm2
        Quanta that count, per mm2 in the middle of the range behind the patient.
    blur_mm
        Standard deviation of the point spread: focal spot, scintillator, readout.
    grid
        An anti-scatter grid before the detector.
    """

    quanta_per_mm2: float = 60_000.0
    blur_mm: float = 0.16
    grid: bool = True


def add_scatter(primary: FloatArray, tissue_cm: FloatArray, pitch_mm: float, *, grid: bool) -> FloatArray:
    """Primary plus scatter, as fractions of the open beam; (rows, columns).

    Scatter arises where there is tissue and spreads widely, so it falls on the lung and on the bare detector, too.
    """
    step = max(1, round(6.0 / pitch_mm))
    coarse = ndimage.zoom(primary * tissue_cm * np.float32(SCATTER_PER_CM), 1 / step, order=1, mode="nearest", grid_mode=True)
    spread = ndimage.gaussian_filter(coarse, SCATTER_SPREAD_MM / (pitch_mm * step), mode="nearest")
    factors = [want / have for want, have in zip(primary.shape, spread.shape, strict=True)]
    scatter = ndimage.zoom(spread, factors, order=1, mode="nearest", grid_mode=True)
    kept, passed = (GRID_SCATTER_PASS, GRID_PRIMARY_PASS) if grid else (1.0, 1.0)
    return np.asarray(primary * np.float32(passed) + scatter * np.float32(kept), dtype=np.float32)


def read_out(signal: FloatArray, pitch_mm: float, physics: DetectorPhysics, rng: np.random.Generator) -> FloatArray:
    """Blur and quantum noise; the unit stays that of ``signal``, always positive.

    The number of quanta is Poisson distributed about its expectation; at these exposures that is a normal distribution.
    """
    blurred = ndimage.gaussian_filter(signal, physics.blur_mm / pitch_mm, mode="nearest")
    reference = float(np.exp(np.log(np.maximum(blurred, 1e-6)).mean()))
    quanta = blurred * np.float32(physics.quanta_per_mm2 * pitch_mm**2 / reference)
    noisy = quanta + np.sqrt(np.maximum(quanta, 0)) * rng.standard_normal(quanta.shape, dtype=np.float32)
    return np.asarray(np.maximum(noisy, 0.5) * np.float32(reference / (physics.quanta_per_mm2 * pitch_mm**2)), dtype=np.float32)
