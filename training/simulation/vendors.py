"""How the scanners of four vendors write a CT series, so that reading is tried on every habit.

Only habits that a reader meets are copied: signedness and offset of the stored values, padding outside the reconstructed circle, names of
kernels, several windows, a slice location that counts in its own way, decimal places. Each file says that it is simulated: the manufacturer
is ``Osteon simulation (... style)``, never a company.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from training.simulation.parameters import AcquisitionParameters, Kernel

MANUFACTURER = "Osteon simulation"
_LOWEST_HU = -1024
_COLLECTION_DIAMETER_MM = 500


class Vendor(StrEnum):
    """Whose habits a written CT series has."""

    PLAIN = "plain"
    SIEMENS = "siemens"
    GE = "ge"
    PHILIPS = "philips"
    CANON = "canon"


@dataclass(frozen=True, kw_only=True)
class VendorStyle:
    """The habits of one vendor.

    Attributes
    ----------
    signed, bits, intercept_hu
        Stored values: Pixel Representation, Bits Stored, Rescale Intercept.
    padding
        Stored value outside the reconstructed circle (PS3.3 C.7.5.1.1.2); None where the square is filled.
    windows
        (centre, width) pairs.
    location_from_start
        Slice Location counts from the first image rather than along the patient.
    series
        Series description; ``{mm}`` and ``{kernel}`` are filled in.
    """

    title: str
    model: str
    kernels: tuple[str, str]
    signed: bool
    bits: int
    intercept_hu: int
    padding: int | None
    windows: tuple[tuple[int, int], ...]
    location_from_start: bool
    scan_options: str
    series: str
    protocol: str

    @property
    def manufacturer(self) -> str:
        """The Manufacturer that is written."""
        return f"{MANUFACTURER} ({self.title} style)" if self.title else MANUFACTURER

    def kernel(self, kernel: Kernel) -> str:
        """The vendor's kind of name for a kernel."""
        return self.kernels[0] if kernel is Kernel.SOFT else self.kernels[1]

    def stored(self, hu: NDArray[np.int16]) -> NDArray[np.int_]:
        """Stored values of one image, (rows, columns): the intercept taken off, the outside of the circle padded."""
        values = hu.astype(np.int_) - self.intercept_hu
        if self.padding is not None:
            rows, columns = hu.shape
            y = np.arange(rows)[:, None] - (rows - 1) / 2
            x = np.arange(columns)[None, :] - (columns - 1) / 2
            values[x * x + y * y > (min(rows, columns) / 2) ** 2] = self.padding
        return values

    @property
    def dtype(self) -> str:
        """numpy's name for the stored type."""
        return "<i2" if self.signed else "<u2"


_PLAIN = VendorStyle(
    title="",
    model="Parametric patient",
    kernels=("SIM SOFT", "SIM SHARP BONE"),
    signed=False,
    bits=12,
    intercept_hu=-1024,
    padding=None,
    windows=((50, 400),),
    location_from_start=False,
    scan_options="",
    series="SIMULATED {mm}mm {kernel}",
    protocol="SIMULATED",
)

STYLES = {
    Vendor.PLAIN: _PLAIN,
    Vendor.SIEMENS: VendorStyle(
        title="Siemens",
        model="Parametric patient S",
        kernels=("B30f", "B70f"),
        signed=False,
        bits=12,
        intercept_hu=-1024,
        padding=None,
        windows=((40, 400), (300, 1500)),
        location_from_start=False,
        scan_options="",
        series="SIMULATED Abd {mm} {kernel}",
        protocol="SIMULATED Abdomen_Routine (Adult)",
    ),
    Vendor.GE: VendorStyle(
        title="GE",
        model="Parametric patient G",
        kernels=("STANDARD", "BONEPLUS"),
        signed=True,
        bits=16,
        intercept_hu=-1024,
        padding=-2000,
        windows=((40, 400),),
        location_from_start=False,
        scan_options="HELICAL MODE",
        series="SIMULATED {kernel} {mm}MM",
        protocol="SIMULATED 5.1 ABD/PELVIS",
    ),
    Vendor.PHILIPS: VendorStyle(
        title="Philips",
        model="Parametric patient P",
        kernels=("B", "YC"),
        signed=False,
        bits=12,
        intercept_hu=-1024,
        padding=None,
        windows=((60, 350), (60, 350)),
        location_from_start=True,
        scan_options="HELIX",
        series="SIMULATED {mm}mm, {kernel}",
        protocol="SIMULATED Abdomen/Pelvis/Abdomen",
    ),
    Vendor.CANON: VendorStyle(
        title="Canon",
        model="Parametric patient C",
        kernels=("FC08", "FC30"),
        signed=True,
        bits=16,
        intercept_hu=0,
        padding=-2048,
        windows=((40, 400),),
        location_from_start=False,
        scan_options="HELICAL_CT",
        series="SIMULATED Body {mm} {kernel}",
        protocol="SIMULATED",
    ),
}


def add_technique(ds: Dataset, acquisition: AcquisitionParameters, vendor: Vendor) -> None:
    """The technique attributes that a real scanner's images carry (PS3.3 C.8.2.1); the plain style writes none.

    Tube current follows the noise: its square falls as the exposure rises.
    """
    if vendor is Vendor.PLAIN:
        return
    noise = max(acquisition.noise_sd_hu, 4.0)
    current_ma = round(min(700.0, max(40.0, 250.0 * (12.0 / noise) ** 2 * 2.0 / acquisition.thickness_mm)))
    rotation_ms = 500
    ds.ScanOptions = STYLES[vendor].scan_options
    ds.DataCollectionDiameter = str(_COLLECTION_DIAMETER_MM)
    ds.ReconstructionDiameter = f"{min(acquisition.rows, acquisition.columns) * acquisition.pixel_spacing_mm:g}"
    ds.ExposureTime = str(rotation_ms)
    ds.XRayTubeCurrent = str(current_ma)
    ds.Exposure = str(round(current_ma * rotation_ms / 1000))
    ds.FilterType = {Vendor.SIEMENS: "0", Vendor.GE: "BODY FILTER", Vendor.PHILIPS: "B", Vendor.CANON: "LARGE"}[vendor]
    ds.FocalSpots = "1.2"
    ds.RotationDirection = "CW"
    ds.TableHeight = "150"


def add_padding(ds: Dataset, style: VendorStyle) -> None:
    """Say which stored value pads the outside of the circle."""
    if style.padding is not None:
        ds.PixelPaddingValue = style.padding
