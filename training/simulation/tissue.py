"""Attenuation of tissues, HU, by contrast phase and tube voltage.

Native values are textbook ones at 120 kVp. Marrow gains with contrast follow Pompe 2015 and Grünewald (arterial +13.5 to +14.4 HU,
portal venous +18.2 to +25.7 HU), tube-voltage factors the AAPM 2026 abstract (100 kVp +7 %, 140 kVp -5 %); 80 kVp has no verified
factor and takes the one that the attenuation of calcium suggests.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.simulation.parameters import ContrastPhase

MARROW_GAIN_HU = {ContrastPhase.NATIVE: 0.0, ContrastPhase.ARTERIAL: 13.0, ContrastPhase.VENOUS: 20.0}
MINERAL_FACTOR = {80.0: 1.22, 100.0: 1.07, 120.0: 1.0, 140.0: 0.95}
_IODINE_FACTOR = {80.0: 1.6, 100.0: 1.25, 120.0: 1.0, 140.0: 0.85}

_SPONGY_HU, _COMPACT_HU = 300.0, 700.0
"""Up to the one all marrow is enhanced, from the other on none is left."""
FloatArray = NDArray[np.float32]

CORTICAL_HU = 760.0
"""Cortical bone as it is painted: thicker and less dense than it is."""
FAT_HU = -100.0
SKIN_HU = 20.0
LUNG_HU = -850.0
GAS_HU = -950.0
CSF_HU = 14.0
CORD_HU = 38.0
EPIDURAL_HU = -40.0
DISC_HU = 78.0
LIGAMENT_HU = 65.0
CARTILAGE_HU = 120.0
URINE_HU = 6.0
CEMENT_HU = 1700.0
METAL_HU = 3071.0
CALCIFICATION_HU = 650.0
FOCUS_HU = 620.0
VEIN_HU = 30.0


@dataclass(frozen=True, kw_only=True)
class Tissues:
    """What depends on contrast and tube voltage. The heart's chambers differ in the arterial phase."""

    muscle: float
    blood_artery: float
    blood_vein: float
    right_heart: float
    portal: float
    liver: float
    spleen: float
    kidney_cortex: float
    kidney_medulla: float
    pancreas: float
    bowel_wall: float
    mineral_factor: float
    marrow_gain: float

    def bone_hu(self, native: FloatArray) -> FloatArray:
        """What this scan reads where bone has an attenuation at 120 kVp without contrast; iodine is in the marrow, none in compact bone."""
        marrow = np.clip((_COMPACT_HU - native) * np.float32(1 / (_COMPACT_HU - _SPONGY_HU)), 0, 1)
        return np.asarray(native * np.float32(self.mineral_factor) + np.float32(self.marrow_gain) * marrow, dtype=np.float32)


_BASE = {
    ContrastPhase.NATIVE: (42.0, 42.0, 42.0, 42.0, 58.0, 48.0, 33.0, 31.0, 40.0, 35.0),
    ContrastPhase.ARTERIAL: (310.0, 70.0, 210.0, 75.0, 68.0, 125.0, 180.0, 70.0, 100.0, 70.0),
    ContrastPhase.VENOUS: (150.0, 140.0, 150.0, 165.0, 112.0, 125.0, 190.0, 165.0, 100.0, 85.0),
}
_NATIVE = _BASE[ContrastPhase.NATIVE]


def tissues(phase: ContrastPhase, kvp: float) -> Tissues:
    """The table for one scan."""
    iodine = _IODINE_FACTOR[kvp]
    values = [native + (value - native) * iodine for value, native in zip(_BASE[phase], _NATIVE, strict=True)]
    artery, vein, right, portal, liver, spleen, cortex, medulla, pancreas, bowel = values
    return Tissues(
        muscle={ContrastPhase.NATIVE: 52.0, ContrastPhase.ARTERIAL: 56.0, ContrastPhase.VENOUS: 64.0}[phase],
        blood_artery=artery,
        blood_vein=vein,
        right_heart=right,
        portal=portal,
        liver=liver,
        spleen=spleen,
        kidney_cortex=cortex,
        kidney_medulla=medulla,
        pancreas=pancreas,
        bowel_wall=bowel,
        mineral_factor=MINERAL_FACTOR[kvp],
        marrow_gain=MARROW_GAIN_HU[phase] * iodine,
    )
