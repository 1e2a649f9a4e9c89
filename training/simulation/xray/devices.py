"""Densitometers: their scale, their reference, their beam and their pixels.

Scales. ``areal_bmd`` counts hydroxyapatite; no device does exactly that, and no two of them agree. The simulated skeleton holds a little
less cortical and posterior bone than a real one: the factor of Hologic's scale puts trabecular bone of 160 mg/cm3 at Hologic's young
reference. Hologic = 0.906 Lunar - 0.025 g/cm2 (Genant et al. 1994, lumbar spine) joins the two for which it was measured. No
cross-calibration of the MEDIX was found: its scale is assumed, a little above Hologic's, so that a model has a third scale to tell apart.

References of L1-L4: Hologic 1.047 (0.110), GE Lunar 1.180 (0.120) g/cm2, young white women; MEDIX: Hologic's on the assumed scale.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

_HOLOGIC_PER_TRUE, _HOLOGIC_OFFSET = 1.145, 0.0
_GENANT_SLOPE, _GENANT_OFFSET = 0.906, -0.025
_MEDIX_PER_HOLOGIC, _MEDIX_OFFSET = 1.035, 0.012


class Export(StrEnum):
    """How a device hands its images over as DICOM."""

    IDXA = "idxa"
    """CR, six regions in one series, the region in ProtocolName alone, 8-bit MONOCHROME2, Implicit VR."""
    APEX = "apex"
    """Secondary Capture, a grey image and an RGB report page."""
    OTHER = "other"
    """Secondary Capture of modality OT, grey."""


@dataclass(frozen=True, kw_only=True)
class Densitometer:
    """One make of densitometer.

    Attributes
    ----------
    slope, offset_g_cm2
        The device reads ``slope * true + offset`` where the true areal density counts hydroxyapatite.
    reference_g_cm2, reference_sd_g_cm2
        Mean and standard deviation of the young reference for L1-L4.
    low_kev, high_kev
        Effective energies of its two beams.
    pixel_mm
        Of its spine scan.
    assumed
        What about this entry nobody has published; empty where all of it is.
    """

    name: str
    slope: float
    offset_g_cm2: float
    reference_g_cm2: float
    reference_sd_g_cm2: float
    low_kev: float
    high_kev: float
    pixel_mm: float
    export: Export
    model: str
    assumed: str = ""

    def reading(self, true_g_cm2: float) -> float:
        """What the device calls a true areal density, g/cm2."""
        return self.slope * true_g_cm2 + self.offset_g_cm2

    def true(self, reading_g_cm2: float) -> float:
        """The true areal density behind a reading, g/cm2."""
        return (reading_g_cm2 - self.offset_g_cm2) / self.slope

    def t_score(self, reading_g_cm2: float) -> float:
        """T-score of a reading of the lumbar spine by the device's own reference."""
        return (reading_g_cm2 - self.reference_g_cm2) / self.reference_sd_g_cm2


_HOLOGIC = Densitometer(
    name="Hologic",
    slope=_HOLOGIC_PER_TRUE,
    offset_g_cm2=_HOLOGIC_OFFSET,
    reference_g_cm2=1.047,
    reference_sd_g_cm2=0.110,
    low_kev=45.0,
    high_kev=100.0,
    pixel_mm=0.75,
    export=Export.APEX,
    model="APEX style",
)
_LUNAR = Densitometer(
    name="GE Lunar",
    slope=_HOLOGIC_PER_TRUE / _GENANT_SLOPE,
    offset_g_cm2=(_HOLOGIC_OFFSET - _GENANT_OFFSET) / _GENANT_SLOPE,
    reference_g_cm2=1.180,
    reference_sd_g_cm2=0.120,
    low_kev=40.0,
    high_kev=70.0,
    pixel_mm=0.6,
    export=Export.IDXA,
    model="iDXA style",
)
_MEDIX = Densitometer(
    name="MEDIX",
    slope=_MEDIX_PER_HOLOGIC * _HOLOGIC_PER_TRUE,
    offset_g_cm2=_MEDIX_PER_HOLOGIC * _HOLOGIC_OFFSET + _MEDIX_OFFSET,
    reference_g_cm2=_MEDIX_PER_HOLOGIC * 1.047 + _MEDIX_OFFSET,
    reference_sd_g_cm2=_MEDIX_PER_HOLOGIC * 0.110,
    low_kev=45.0,
    high_kev=85.0,
    pixel_mm=0.9,
    export=Export.OTHER,
    model="MEDIX style",
    assumed="scale, reference, energies and pixels",
)
DEVICES: Mapping[str, Densitometer] = MappingProxyType({device.name: device for device in (_HOLOGIC, _LUNAR, _MEDIX)})
"""By the name that manifests use."""
