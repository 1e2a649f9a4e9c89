"""The texture of trabecular bone: a random field that coarsens as bone is lost.

Trabeculae vanish whole rather than thin out, so their spacing grows as bone volume falls (Parfitt 1983, Hildebrand 1999); what is left is
less even, and lies along the load. The field is Gaussian: cosine waves with normally distributed wave vectors (random Fourier features,
Rahimi and Recht 2007) have the autocorrelation exp(-r^2 / 2 l^2). Direction of the change is the literature's, its size the simulation's.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.simulation.canvas import FloatArray
from training.simulation.mineral import HU_PER_MG_CM3

_WAVES = 28
_ALONG_LOAD = 1.4
"""The field reaches this much further along the axis of the spine than across."""
_USUAL_MG_CM3 = 150.0
_LEAST_MG_CM3, _MOST_MG_CM3 = 20.0, 350.0


def correlation_length_mm(vbmd_mg_cm3: float) -> float:
    """Distance across the spine at which the field's autocorrelation is exp(-1/2): 2.2 mm at 150 mg/cm3, 4.3 mm at 40."""
    return 2.2 * math.sqrt(_USUAL_MG_CM3 / _within(vbmd_mg_cm3))


def relative_spread(vbmd_mg_cm3: float) -> float:
    """Standard deviation of the density over its mean: 0.08 at 150 mg/cm3, 0.20 at 40."""
    return 0.08 * math.pow(_USUAL_MG_CM3 / _within(vbmd_mg_cm3), 0.7)


def draw_waves(rng: np.random.Generator, vbmd_mg_cm3: float) -> NDArray[np.float64]:
    """(N, 5) wave vector (rad/mm), phase and amplitude (HU at 120 kVp) of the texture of one body."""
    length = correlation_length_mm(vbmd_mg_cm3)
    vectors = rng.normal(size=(_WAVES, 3))
    vectors /= np.sqrt((vectors**2).mean(axis=0)) * length * np.array([1.0, 1.0, _ALONG_LOAD])
    spread_hu = relative_spread(vbmd_mg_cm3) * _within(vbmd_mg_cm3) * HU_PER_MG_CM3
    amplitude = np.full((_WAVES, 1), spread_hu * np.sqrt(2 / _WAVES))
    return np.concatenate([vectors, rng.uniform(0, 2 * np.pi, (_WAVES, 1)), amplitude], axis=1)


def texture_hu(waves: NDArray[np.float64], point: Sequence[FloatArray]) -> FloatArray:
    """The field at points given by three coordinates that broadcast, mm."""
    left, posterior, cranial = point
    total: FloatArray = np.zeros(np.broadcast_shapes(left.shape, posterior.shape, cranial.shape), dtype=np.float32)
    for wave in waves.tolist():
        total += np.float32(wave[4]) * np.cos(wave[0] * left + wave[1] * posterior + wave[2] * cranial + np.float32(wave[3]))
    return total


def _within(vbmd_mg_cm3: float) -> float:
    return float(np.clip(vbmd_mg_cm3, _LEAST_MG_CM3, _MOST_MG_CM3))
