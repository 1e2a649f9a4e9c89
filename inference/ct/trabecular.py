"""Attenuation of trabecular bone inside one vertebral body: where to measure, and what stands there.

Two regions, both inside the body's own mask. *Core* is the whole body eroded. *Ellipse* is what a reader draws (Pickhardt 2013, Binkley
2025): anterior, central, at mid-height, away from cortex, endplates and the basivertebral vein. Every function works in the bounding
box of one body, in millimetres, on voxels of any shape.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.ct.segmentation.base import VertebralBody
from inference.findings import Attenuation, RoiKind, RoiMeasurement
from inference.volume import Volume

ELLIPSE_AP_FRACTION = 0.55
"""Antero-posterior axis of the ellipse, of the body's depth."""
ELLIPSE_LR_FRACTION = 0.60
"""Left-right axis of the ellipse, of the body's width."""
ELLIPSE_HEIGHT_FRACTION = 0.40
"""Height of the ellipse's slab, of the body's height."""
ELLIPSE_ANTERIOR_MARGIN = 0.10
"""Gap between the anterior wall and the ellipse, of the body's depth: the posterior third with the vein stays outside."""
ELLIPSE_EROSION_MM = 4.0
"""The ellipse keeps at least this far from every surface of the body."""

MIN_VOLUME_ML = {RoiKind.CORE: 2.0, RoiKind.ELLIPSE: 1.0}
"""Below these there is no number. The ellipse is a part of the core's height only, so it may be smaller."""


@dataclass(frozen=True, kw_only=True)
class BodyCrop:
    """One body in its bounding box, with a margin of one voxel of background on every side (also at the volume's border).

    Attributes
    ----------
    mask
        bool, shape (s, r, c).
    hu
        int16, same shape; voxels outside the volume are 0 and never inside ``mask``.
    origin
        Index in the volume of the crop's voxel (0, 0, 0); may be -1.
    depth_mm
        float32, same shape: distance from a voxel's centre to the nearest centre outside the body; 0 outside.
    frame_mm
        float32, (voxels of the mask, 3): coordinates of the body's voxels along (anterior, left, cranial) from the body's centre.
    spacing_mm
        Distance between voxel centres along the crop's axes.
    to_crop
        (3, 3) and (3,): crop index of a point = ``matrix @ frame_mm + offset``.
    """

    mask: NDArray[np.bool_]
    hu: NDArray[np.int16]
    origin: tuple[int, int, int]
    depth_mm: NDArray[np.float32]
    frame_mm: NDArray[np.float64]
    spacing_mm: tuple[float, float, float]
    to_crop: tuple[NDArray[np.float64], NDArray[np.float64]]

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    @property
    def volume_ml(self) -> float:
        """Volume of the body."""
        return int(self.mask.sum()) * self.voxel_ml


def crop_body(volume: Volume, bodies: NDArray[np.uint8], vertebra: VertebralBody, box: tuple[slice, slice, slice]) -> BodyCrop:
    """Cut one body out of the volume.

    Neighbouring bodies and everything beyond the volume's border count as outside, so a body cut by the border is eroded there too.

    Parameters
    ----------
    bodies
        uint8, the volume's shape.
    box
        Bounding box of ``vertebra.label`` in ``bodies`` (``scipy.ndimage.find_objects``).
    """
    mask = np.pad(bodies[box] == vertebra.label, 1)
    hu = np.pad(volume.hu[box], 1)
    origin = (box[0].start - 1, box[1].start - 1, box[2].start - 1)
    depth_mm = ndimage.distance_transform_edt(mask, sampling=volume.spacing_mm).astype(np.float32)
    axes = np.stack([vertebra.anterior, vertebra.left, vertebra.cranial])  # (3, 3): rows are LPS unit vectors
    points_lps_mm = volume.to_lps_mm(np.argwhere(mask) + np.asarray(origin))
    to_indices = np.linalg.inv(volume.affine[:3, :3])
    matrix = to_indices @ np.linalg.inv(axes)
    offset = volume.to_indices(vertebra.centre_lps_mm[None])[0] - np.asarray(origin)
    return BodyCrop(
        mask=mask,
        hu=hu,
        origin=origin,
        depth_mm=depth_mm,
        frame_mm=(points_lps_mm - vertebra.centre_lps_mm) @ axes.T,
        spacing_mm=volume.spacing_mm,
        to_crop=(matrix, offset),
    )


def core_mask(crop: BodyCrop, erosion_mm: float) -> NDArray[np.bool_]:
    """The body eroded by a ball: voxels with no centre outside the body within ``erosion_mm``; shape of the crop."""
    return crop.depth_mm > erosion_mm + 1e-3


@dataclass(frozen=True, kw_only=True)
class BodyExtents:
    """Where the body begins and ends at mid-height along its own axes, in mm from its centre; ``(low, high)`` each."""

    anterior_mm: tuple[float, float]
    left_mm: tuple[float, float]
    cranial_mm: tuple[float, float]


def body_extents(crop: BodyCrop) -> BodyExtents | None:
    """Robust extents of a body (2nd to 98th percentile of its voxels), or None where it has hardly any voxels.

    Each is taken near the middle of the other two: walls and endplates are curved.
    """
    if len(crop.frame_mm) < 50:
        return None
    anterior, left, cranial = crop.frame_mm.T
    left_low, left_high = np.percentile(left, (2, 98))
    middle = np.abs(left - (left_low + left_high) / 2) < 0.2 * (left_high - left_low)
    if middle.sum() < 20:
        return None
    low, high = np.percentile(cranial[middle], (2, 98))
    slab = np.abs(cranial - (low + high) / 2) <= 0.25 * (high - low)
    if (middle & slab).sum() < 10:
        return None
    back, front = np.percentile(anterior[middle & slab], (2, 98))
    waist = np.abs(anterior - (back + front) / 2) < 0.2 * (front - back)
    right_wall, left_wall = np.percentile(left[waist & slab], (2, 98))
    return BodyExtents(
        anterior_mm=(float(back), float(front)), left_mm=(float(right_wall), float(left_wall)), cranial_mm=(float(low), float(high))
    )


def ellipse_mask(crop: BodyCrop, erosion_mm: float = ELLIPSE_EROSION_MM) -> NDArray[np.bool_]:
    """The anterior-central ellipse at mid-height, inside the body eroded by ``erosion_mm``; shape of the crop, may be empty."""
    roi = np.zeros_like(crop.mask)
    extents = body_extents(crop)
    if extents is None:
        return roi
    (back, front), (right, left), (low, high) = extents.anterior_mm, extents.left_mm, extents.cranial_mm
    half_ap = ELLIPSE_AP_FRACTION * (front - back) / 2
    half_lr = ELLIPSE_LR_FRACTION * (left - right) / 2
    centre = (front - ELLIPSE_ANTERIOR_MARGIN * (front - back) - half_ap, (right + left) / 2, (low + high) / 2)
    offset = crop.frame_mm - np.asarray(centre)
    inside = (offset[:, 0] / half_ap) ** 2 + (offset[:, 1] / half_lr) ** 2 <= 1.0
    inside &= np.abs(offset[:, 2]) <= ELLIPSE_HEIGHT_FRACTION * (high - low) / 2
    roi[crop.mask] = inside
    return roi & (crop.depth_mm > erosion_mm + 1e-3)


def measure_roi(crop: BodyCrop, roi: NDArray[np.bool_], kind: RoiKind) -> RoiMeasurement | None:
    """Attenuation inside one region; None where the region is empty or too small to trust (:data:`MIN_VOLUME_ML`)."""
    values = crop.hu[roi & crop.mask]
    volume_ml = values.size * crop.voxel_ml
    if values.size == 0 or volume_ml < MIN_VOLUME_ML[kind]:
        return None
    attenuation = Attenuation(
        mean_hu=float(values.mean(dtype=np.float64)), median_hu=float(np.median(values)), sd_hu=float(values.std(dtype=np.float64))
    )
    return RoiMeasurement(kind=kind, attenuation=attenuation, voxels=int(values.size), volume_ml=volume_ml)
