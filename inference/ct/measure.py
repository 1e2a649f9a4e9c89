"""Measures every vertebral body of a segmentation: regions, heights and what :mod:`inference.ct.quality` judges them by."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.ct.heights import body_heights
from inference.ct.noise import median_error_hu
from inference.ct.options import CtOptions
from inference.ct.segmentation.base import Segmentation, VertebralBody
from inference.ct.trabecular import BodyCrop, core_mask, crop_body, ellipse_mask, measure_roi
from inference.findings import BodyHeights, RoiKind, RoiMeasurement
from inference.volume import Volume

SMOOTHING_MM = 1.5
"""Sigma of the Gaussian in front of the density tests: noise of a thin slice is no metal."""
CEMENT_HU = 700.0
"""Smoothed attenuation inside a body that no bone island reaches; cement and screws do."""
METAL_HU = 2000.0
"""Attenuation that only metal reaches."""
METAL_MARGIN_MM = 8.0
"""Metal this near spoils the body with streaks, even where the mask leaves the metal out."""
DENSE_HU = 350.0
"""Smoothed attenuation of a dense focus (bone island, osteophyte, sclerosis)."""
DARK_HU = -150.0
"""Smoothed attenuation of gas or of the dark streaks beside metal; fat marrow stays above."""
INNER_MM = 3.0
"""The outer shell left out of the density tests: cortex may reach cement's attenuation."""


@dataclass(frozen=True, kw_only=True)
class BodyMeasurement:
    """What was measured in one body.

    Attributes
    ----------
    rois
        Regions large enough to carry a number.
    whole
        The segmenter calls the body whole, and its mask touches no border of the volume.
    cement_ml
        Volume above :data:`CEMENT_HU` inside the body, after smoothing.
    metal_ml
        Volume above :data:`METAL_HU` in or near the body.
    dense_ml, dense_fraction
        Volume of the core above :data:`DENSE_HU` after smoothing, and its part of the core.
    dark_fraction
        Part of the core below :data:`DARK_HU` after smoothing.
    noise_hu
        By kind of region, the standard error of its median that image noise causes; without those in which it cannot be told.
    """

    vertebra: VertebralBody
    rois: tuple[RoiMeasurement, ...]
    heights: BodyHeights | None
    whole: bool
    volume_ml: float
    cement_ml: float
    metal_ml: float
    dense_ml: float
    dense_fraction: float
    dark_fraction: float
    noise_hu: Mapping[RoiKind, float] = field(default_factory=dict)

    def median_hu(self, kind: RoiKind) -> float | None:
        """Median of the region of this kind, or None."""
        return next((roi.attenuation.median_hu for roi in self.rois if roi.kind is kind), None)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Every body of a segmentation, head to foot, and the regions as uint8 masks (a body's label or 0) of the volume's shape."""

    bodies: tuple[BodyMeasurement, ...]
    core: NDArray[np.uint8]
    ellipse: NDArray[np.uint8]


def measure_bodies(volume: Volume, segmentation: Segmentation, options: CtOptions) -> Measured:
    """Measure every body that the segmentation lists and whose mask is not empty."""
    core = np.zeros(volume.hu.shape, np.uint8)
    ellipse = np.zeros(volume.hu.shape, np.uint8)
    boxes = ndimage.find_objects(segmentation.bodies)
    measured: list[BodyMeasurement] = []
    for vertebra in segmentation.vertebrae:
        box = boxes[vertebra.label - 1] if vertebra.label <= len(boxes) else None
        if box is None:
            continue
        crop = crop_body(volume, segmentation.bodies, vertebra, box)
        regions = {RoiKind.CORE: core_mask(crop, options.core_erosion_mm), RoiKind.ELLIPSE: ellipse_mask(crop)}
        inner = (slice(1, -1),) * 3
        core[box][regions[RoiKind.CORE][inner]] = vertebra.label
        ellipse[box][regions[RoiKind.ELLIPSE][inner]] = vertebra.label
        measured.append(_measure(volume, vertebra, crop, regions, box))
    return Measured(bodies=tuple(measured), core=core, ellipse=ellipse)


def _measure(
    volume: Volume,
    vertebra: VertebralBody,
    crop: BodyCrop,
    regions: dict[RoiKind, NDArray[np.bool_]],
    box: tuple[slice, slice, slice],
) -> BodyMeasurement:
    rois = (measure_roi(crop, mask, kind) for kind, mask in regions.items())
    smooth = smoothed_inside(crop)
    core = smooth[regions[RoiKind.CORE]]
    dense = core > DENSE_HU
    cement = smooth[crop.depth_mm > INNER_MM + 1e-3] > CEMENT_HU
    touches = any(side.start == 0 or side.stop == size for side, size in zip(box, volume.hu.shape, strict=True))
    return BodyMeasurement(
        vertebra=vertebra,
        rois=tuple(roi for roi in rois if roi is not None),
        heights=body_heights(crop),
        whole=vertebra.whole and not touches,
        volume_ml=crop.volume_ml,
        cement_ml=int(cement.sum()) * crop.voxel_ml,
        metal_ml=_metal_near_ml(volume, box),
        dense_ml=int(dense.sum()) * crop.voxel_ml,
        dense_fraction=float(dense.mean()) if core.size else 0.0,
        dark_fraction=float((core < DARK_HU).mean()) if core.size else 0.0,
        noise_hu={kind: error for kind, mask in regions.items() if (error := median_error_hu(volume, crop, mask)) is not None},
    )


def smoothed_inside(crop: BodyCrop) -> NDArray[np.float32]:
    """Attenuation smoothed over the body's own voxels alone, so neither disc nor fat leaks in; shape of the crop, 0 outside."""
    sigma = [SMOOTHING_MM / step for step in crop.spacing_mm]
    weight = ndimage.gaussian_filter(crop.mask.astype(np.float32), sigma, mode="constant")
    values = ndimage.gaussian_filter(np.where(crop.mask, crop.hu, 0).astype(np.float32), sigma, mode="constant")
    smooth: NDArray[np.float32] = np.where(crop.mask, values / np.maximum(weight, 1e-3), 0).astype(np.float32)
    return smooth


def _metal_near_ml(volume: Volume, box: tuple[slice, slice, slice]) -> float:
    """Volume above :data:`METAL_HU` in the box widened by :data:`METAL_MARGIN_MM`."""
    margins = [round(METAL_MARGIN_MM / step) for step in volume.spacing_mm]
    wide = tuple(slice(max(side.start - margin, 0), side.stop + margin) for side, margin in zip(box, margins, strict=True))
    return int((volume.hu[wide] > METAL_HU).sum()) * float(np.prod(volume.spacing_mm)) / 1000.0
