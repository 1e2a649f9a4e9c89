"""Measurements and headers made by hand, for the judges that never touch an image."""

import numpy as np

from inference.ct.measure import BodyMeasurement
from inference.ct.segmentation.base import VertebralBody
from inference.findings import Acquisition, Attenuation, BodyHeights, Reason, RoiKind, RoiMeasurement, VertebraFinding

NORMAL_HEIGHTS_MM = (26.0, 25.0, 27.0)


def roi(median_hu: float, mean_hu: float | None = None, kind: RoiKind = RoiKind.CORE) -> RoiMeasurement:
    """A region of 10 ml."""
    attenuation = Attenuation(mean_hu=median_hu if mean_hu is None else mean_hu, median_hu=median_hu, sd_hu=30.0)
    return RoiMeasurement(kind=kind, attenuation=attenuation, voxels=1000, volume_ml=10.0)


def heights(anterior_mm: float, middle_mm: float, posterior_mm: float) -> BodyHeights:
    """Heights, in the order in which radiologists say them."""
    return BodyHeights(anterior_mm=anterior_mm, middle_mm=middle_mm, posterior_mm=posterior_mm)


def body(
    level: str | None,
    median_hu: float | None = 120.0,
    *,
    label: int = 1,
    heights_mm: tuple[float, float, float] | None = NORMAL_HEIGHTS_MM,
    mean_hu: float | None = None,
    whole: bool = True,
    certain: bool = True,
    volume_ml: float = 38.0,
    cement_ml: float = 0.0,
    metal_ml: float = 0.0,
    dense_ml: float = 0.0,
    dense_fraction: float = 0.0,
    dark_fraction: float = 0.0,
    noise_hu: float = 1.0,
) -> BodyMeasurement:
    """A sound body unless told otherwise."""
    return BodyMeasurement(
        vertebra=VertebralBody(
            label=label,
            level=level,
            level_certain=certain and level is not None,
            whole=whole,
            centre_lps_mm=np.array([0.0, 0.0, -34.0 * label]),
            cranial=np.array([0.0, 0.0, 1.0]),
            anterior=np.array([0.0, -1.0, 0.0]),
            left=np.array([1.0, 0.0, 0.0]),
        ),
        rois=() if median_hu is None else (roi(median_hu, mean_hu), roi(median_hu, kind=RoiKind.ELLIPSE)),
        heights=None if heights_mm is None else heights(*heights_mm),
        whole=whole,
        volume_ml=volume_ml,
        cement_ml=cement_ml,
        metal_ml=metal_ml,
        dense_ml=dense_ml,
        dense_fraction=dense_fraction,
        dark_fraction=dark_fraction,
        noise_hu={RoiKind.CORE: noise_hu},
    )


def finding(level: str | None, median_hu: float = 120.0, *, excluded_because: Reason | None = None) -> VertebraFinding:
    """A vertebra that counts unless excluded."""
    return VertebraFinding(
        label=1,
        level=level,
        level_certain=level is not None,
        used=excluded_because is None,
        excluded_because=excluded_because,
        rois=(roi(median_hu), roi(median_hu - 5, kind=RoiKind.ELLIPSE)),
        heights=heights(*NORMAL_HEIGHTS_MM),
        centre_lps_mm=(0.0, 0.0, 0.0),
        cranial=(0.0, 0.0, 1.0),
        anterior=(0.0, -1.0, 0.0),
        left=(1.0, 0.0, 0.0),
    )


def acquisition(
    *,
    kvp: float | None = 120.0,
    kernel: str | None = "B30f",
    spacing_mm: float = 2.0,
    manufacturer: str | None = "ACME",
    model_name: str | None = "Scan 64",
    contrast_header: str | None = None,
) -> Acquisition:
    """A native soft-tissue series at 120 kVp unless told otherwise."""
    return Acquisition(
        series_instance_uid="1.2.3",
        series_description="ABDOMEN",
        manufacturer=manufacturer,
        model_name=model_name,
        kvp=kvp,
        convolution_kernel=kernel,
        slice_spacing_mm=spacing_mm,
        slice_thickness_mm=spacing_mm,
        pixel_spacing_mm=(0.8, 0.8),
        slices=200,
        contrast_header=contrast_header,
        contrast_phase="unknown",
    )
