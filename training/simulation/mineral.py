"""Attenuation and bone mineral of the simulation: one exact relation both ways.

Every bone is painted by its attenuation at 120 kVp without contrast; its mineral follows from that, so truth is exact. The slope is that
of hydroxyapatite (3.16 g/cm3) in water at 70 keV, the effective energy of a filtered 120 kVp beam: with the mass attenuation coefficients
of NIST Standard Reference Database 126 (0.324 cm2/g against 0.193 of water), 1 mg/cm3 raises the attenuation by 1.33 HU. The offset is
marrow without mineral, 60 % fat and 40 % lean tissue at that energy. A cortex painted thicker and less dense than it is keeps its mass.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

HU_PER_MG_CM3 = 1.33
MARROW_HU = -30.0

Value = TypeVar("Value", float, NDArray[np.float32])


def vbmd_mg_cm3(attenuation: Value) -> Value:
    """Bone mineral density (hydroxyapatite, mg/cm3) of bone and marrow with this attenuation at 120 kVp without contrast."""
    return (attenuation - MARROW_HU) / HU_PER_MG_CM3


def attenuation_hu(vbmd: Value) -> Value:
    """The inverse of :func:`vbmd_mg_cm3`."""
    return vbmd * HU_PER_MG_CM3 + MARROW_HU
