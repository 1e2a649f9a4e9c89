"""Labelled corrections for contrast and tube voltage: shown beside the measured value, never instead of it, and only where asked for."""

from inference.ct.contrast import ContrastPhase
from inference.findings import Correction

CONTRAST_SHIFT_HU = {ContrastPhase.ARTERIAL: 14.0, ContrastPhase.VENOUS: 22.0}
"""How much higher trabecular bone reads than in a native scan: arterial +13.5 (Pompe 2015) and +14.4 (Grünewald), portal venous +18.2
(Pompe 2015) and +25.7 (Grünewald). The portal venous shift is the larger one."""
KVP_FACTOR = {100.0: 0.93, 140.0: 1.05}
"""Onto the 120 kVp scale: 100 kVp reads about 7 % high, 140 kVp about 5 % low. There is no verified factor for 80 kVp."""


def contrast_correction(measured_hu: float, phase: ContrastPhase) -> Correction | None:
    """The measured value less the published shift of its phase, or None for a native or unknown one. Tube voltage is not corrected."""
    shift = CONTRAST_SHIFT_HU.get(phase)
    if shift is None:
        return None
    name = "portal venous contrast" if phase is ContrastPhase.VENOUS else "arterial contrast"
    source = "Pompe 2015 and Grünewald, mean of two studies; group average, not for one patient"
    return Correction(name=f"{name}, -{shift:.0f} HU", measured_hu=measured_hu, corrected_hu=measured_hu - shift, source=source)


def kvp_correction(measured_hu: float, kvp: float | None) -> Correction | None:
    """The measured value on the 120 kVp scale, or None where no verified factor exists. Contrast is not corrected."""
    factor = KVP_FACTOR.get(float(round(kvp))) if kvp is not None else None
    if kvp is None or factor is None:
        return None
    source = "AAPM 2026 abstract, calculated; group average, not for one patient"
    return Correction(
        name=f"{kvp:g} kVp to 120 kVp, x{factor:.2f}", measured_hu=measured_hu, corrected_hu=measured_hu * factor, source=source
    )
