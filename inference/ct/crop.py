"""The crop around one vertebra that a density network is given: resampled, masked, always the same size."""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.preprocessing import resample_linear
from inference.volume import Volume

OUTSIDE_HU = -1024.0
"""What is not under the mask, and what the scan does not show."""

Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]


class CropMask(StrEnum):
    """What of the crop the network sees."""

    BODY = "body"
    """The vertebral body, dilated by the margin."""
    VERTEBRA = "vertebra"
    """The whole vertebra with arch and processes, dilated by the margin; needs a segmenter that gives it."""
    BOX = "box"
    """Everything in the box."""


def crop_around(
    volume: Volume, mask: NDArray[np.bool_], shape: Shape, spacing_mm: Spacing, *, margin_mm: float, masked: bool
) -> NDArray[np.float32]:
    """Attenuation around one vertebra.

    The box is centred on the middle of the mask's bounding box, its axes are the patient's: towards the head, the back and the left
    (``SPL``). A source finer than the box is smoothed first, so that noise does not alias.

    Parameters
    ----------
    volume
        The scan.
    mask
        The vertebra, or its body, of the volume's shape.
    shape, spacing_mm
        Of the box: (z, y, x).
    margin_mm
        How far the mask is dilated before all else is blanked.
    masked
        False leaves the surroundings.

    Returns
    -------
    ndarray
        float32 HU of ``shape``; :data:`OUTSIDE_HU` where nothing is shown.

    Raises
    ------
    ValueError
        The mask is empty.
    """
    inside = np.argwhere(mask)
    if inside.size == 0:
        raise ValueError("there is no vertebra to crop: the mask is empty")
    points = volume.to_lps_mm(inside)
    centre_lps_mm = (points.min(axis=0) + points.max(axis=0)) / 2
    affine = box_affine(centre_lps_mm, shape, spacing_mm)
    part, part_affine = _part(volume, affine, shape)
    smoothing = [0.4 * max(0.0, wide - fine) / fine for wide, fine in zip(_along(volume, spacing_mm), volume.spacing_mm, strict=True)]
    smooth = ndimage.gaussian_filter(volume.hu[part].astype(np.float32), smoothing)
    hu = resample_linear(smooth, part_affine, affine, shape, fill=OUTSIDE_HU)
    if masked:
        away_mm = ndimage.distance_transform_edt(~mask[part], sampling=volume.spacing_mm).astype(np.float32)
        edge_mm = min(volume.spacing_mm) / 2  # the mask ends between its last voxel and the next one
        hu[resample_linear(away_mm, part_affine, affine, shape, fill=np.inf) > margin_mm + edge_mm] = OUTSIDE_HU
    return hu


def box_affine(centre_lps_mm: NDArray[np.float64], shape: Shape, spacing_mm: Spacing) -> NDArray[np.float64]:
    """(4, 4) from indices (z, y, x) of a box around a point to LPS mm; z towards the head, y towards the back, x towards the left."""
    affine = np.eye(4)
    affine[:3, :3] = 0.0
    affine[2, 0], affine[1, 1], affine[0, 2] = spacing_mm
    affine[:3, 3] = centre_lps_mm - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def _part(volume: Volume, affine: NDArray[np.float64], shape: Shape) -> tuple[tuple[slice, slice, slice], NDArray[np.float64]]:
    """The part of the volume that the box needs, with a border, and its affine."""
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in shape], indexing="ij")).reshape(3, -1).T
    indices = volume.to_indices(corners @ affine[:3, :3].T + affine[:3, 3])
    low = np.clip(np.floor(indices.min(axis=0)).astype(int) - 4, 0, np.array(volume.hu.shape) - 1)
    high = np.clip(np.ceil(indices.max(axis=0)).astype(int) + 5, low + 1, volume.hu.shape)
    moved = volume.affine.copy()
    moved[:3, 3] = volume.to_lps_mm(low[None])[0]
    return (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])), moved


def _along(volume: Volume, spacing_mm: Spacing) -> NDArray[np.float64]:
    """The box's spacing along each axis of the volume."""
    patient = np.array([spacing_mm[2], spacing_mm[1], spacing_mm[0]])
    return np.asarray(np.abs(volume.direction).T @ patient)
