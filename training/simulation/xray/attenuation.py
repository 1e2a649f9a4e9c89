"""How X-rays are attenuated: elements, the tissues made of them, and the spectrum of a tube.

Mass attenuation coefficients with coherent scatter: NIST Standard Reference Database 126 (Hubbell and Seltzer), 10 to 150 keV, where
none of these elements has an edge. Tissues: mass fractions of ICRU Report 44. Between the tabulated energies the interpolation is
linear in the logarithms.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_ENERGY_KEV = (10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 150.0)
_ELEMENT_CM2_G: Mapping[str, tuple[float, ...]] = {
    "H": (0.3854, 0.3764, 0.3695, 0.3570, 0.3458, 0.3355, 0.3260, 0.3091, 0.2944, 0.2651),
    "C": (2.373, 0.8071, 0.4420, 0.2562, 0.2076, 0.1871, 0.1753, 0.1610, 0.1514, 0.1347),
    "N": (3.879, 1.236, 0.6178, 0.3066, 0.2288, 0.1980, 0.1817, 0.1639, 0.1529, 0.1353),
    "O": (5.952, 1.836, 0.8651, 0.3779, 0.2585, 0.2132, 0.1907, 0.1678, 0.1551, 0.1361),
    "Na": (15.57, 4.694, 2.057, 0.7197, 0.3969, 0.2804, 0.2268, 0.1796, 0.1585, 0.1335),
    "Al": (26.23, 7.955, 3.441, 1.128, 0.5685, 0.3681, 0.2778, 0.2018, 0.1704, 0.1378),
    "P": (40.35, 12.39, 5.352, 1.700, 0.8096, 0.4916, 0.3494, 0.2324, 0.1865, 0.1432),
    "S": (50.12, 15.50, 6.708, 2.113, 0.9872, 0.5849, 0.4053, 0.2585, 0.2020, 0.1506),
    "Cl": (57.25, 17.84, 7.739, 2.425, 1.117, 0.6483, 0.4395, 0.2696, 0.2050, 0.1480),
    "K": (79.07, 25.03, 10.93, 3.413, 1.541, 0.8679, 0.5678, 0.3251, 0.2345, 0.1582),
    "Ca": (93.41, 29.79, 13.06, 4.080, 1.830, 1.019, 0.6578, 0.3656, 0.2571, 0.1674),
    "Ti": (110.7, 35.87, 15.85, 4.972, 2.214, 1.213, 0.7661, 0.4052, 0.2721, 0.1649),
}


class Material(StrEnum):
    """What the body is made of on its way through the beam."""

    WATER = "water"
    LEAN = "lean"
    """Skeletal muscle (ICRU-44), which stands for all soft tissue without fat, blood and organs, and for inflated lung by its mass."""
    FAT = "fat"
    """Adipose tissue (ICRU-44)."""
    MINERAL = "mineral"
    """Hydroxyapatite, Ca10(PO4)6(OH)2."""
    METAL = "metal"
    """Titanium."""
    ALUMINIUM = "aluminium"


_MASS_FRACTIONS: Mapping[Material, Mapping[str, float]] = {
    Material.WATER: {"H": 0.111898, "O": 0.888102},
    Material.LEAN: {
        "H": 0.102,
        "C": 0.143,
        "N": 0.034,
        "O": 0.710,
        "Na": 0.001,
        "P": 0.002,
        "S": 0.003,
        "Cl": 0.001,
        "K": 0.004,
    },
    Material.FAT: {"H": 0.114, "C": 0.598, "N": 0.007, "O": 0.278, "Na": 0.001, "S": 0.001, "Cl": 0.001},
    Material.MINERAL: {"H": 0.00201, "O": 0.41407, "P": 0.18499, "Ca": 0.39893},
    Material.METAL: {"Ti": 1.0},
    Material.ALUMINIUM: {"Al": 1.0},
}
DENSITY_G_CM3: Mapping[Material, float] = {
    Material.WATER: 1.0,
    Material.LEAN: 1.05,
    Material.FAT: 0.95,
    Material.MINERAL: 3.16,
    Material.METAL: 4.54,
    Material.ALUMINIUM: 2.699,
}


def mass_attenuation_cm2_g(material: Material, energy_kev: float | FloatArray) -> FloatArray:
    """Mass attenuation coefficient of a material, cm2/g, at energies of 10 to 150 keV.

    Raises
    ------
    ValueError
        An energy lies outside the table.
    """
    energy = np.asarray(energy_kev, dtype=np.float64)
    if energy.size and (energy.min() < _ENERGY_KEV[0] or energy.max() > _ENERGY_KEV[-1]):
        raise ValueError(f"coefficients are tabulated from {_ENERGY_KEV[0]:g} to {_ENERGY_KEV[-1]:g} keV")
    total = np.zeros(energy.shape)
    for element, fraction in _MASS_FRACTIONS[material].items():
        logs = np.interp(np.log(energy), np.log(_ENERGY_KEV), np.log(_ELEMENT_CM2_G[element]))
        total = total + fraction * np.exp(logs)
    return np.asarray(total, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """Photons by energy: ``energy_kev`` and ``weight`` (N,), the weights sum to 1."""

    energy_kev: FloatArray
    weight: FloatArray

    @property
    def mean_kev(self) -> float:
        """Mean photon energy."""
        return float(self.energy_kev @ self.weight)

    def coefficients(self, material: Material) -> FloatArray:
        """(N,) mass attenuation coefficients at the spectrum's energies, cm2/g."""
        return mass_attenuation_cm2_g(material, self.energy_kev)


@cache
def tube_spectrum(kvp: float, filtration_mm_al: float = 3.5, step_kev: float = 7.5) -> Spectrum:
    """Bremsstrahlung of a tungsten tube after filtration by aluminium, from 15 keV to ``kvp``.

    Kramers' law for a thick target (photons per energy proportional to E0/E - 1) times the filter; no characteristic lines.
    """
    if not 40 <= kvp <= 150:
        raise ValueError(f"tube voltage lies between 40 and 150 kVp, not {kvp}")
    energy = np.arange(15.0 + step_kev / 2, kvp, step_kev)
    filtered = np.exp(-mass_attenuation_cm2_g(Material.ALUMINIUM, energy) * DENSITY_G_CM3[Material.ALUMINIUM] * filtration_mm_al / 10)
    photons = (kvp / energy - 1) * filtered
    return Spectrum(energy_kev=energy, weight=photons / photons.sum())


def monochromatic(energy_kev: float) -> Spectrum:
    """One energy."""
    return Spectrum(energy_kev=np.array([energy_kev]), weight=np.ones(1))
