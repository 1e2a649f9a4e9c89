"""Attenuation and bone mineral of the simulation: one exact relation both ways.

At 120 kVp a hydroxyapatite phantom reads close to HU = 1.25 * HA + 1 in clinical scanners (calibrations of QCT phantoms lie between about
1.1 and 1.4 HU per mg/cm3); red and yellow marrow in the mesh lowers trabecular bone by some tens of HU below a water-based phantom's line.
The simulation takes HU = 1.25 * vBMD - 20 for trabecular bone and marrow together. It is a definition, not a measurement: truth is exact
because both sides follow it.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

HU_PER_MG_CM3 = 1.25
MARROW_HU = -20.0

Value = TypeVar("Value", float, NDArray[np.float32])


def vbmd_mg_cm3(attenuation: Value) -> Value:
    """Bone mineral density (hydroxyapatite, mg/cm3) of bone and marrow with this attenuation at 120 kVp without contrast."""
    return (attenuation - MARROW_HU) / HU_PER_MG_CM3


def attenuation_hu(vbmd: Value) -> Value:
    """The inverse of :func:`vbmd_mg_cm3`."""
    return vbmd * HU_PER_MG_CM3 + MARROW_HU
