"""From the working grid back to the scan's own voxels: a body is where its probability exceeds every other structure's."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.ct.segmentation.grid import Floats, Frame
from inference.ct.segmentation.network.predict import Prediction

REACH_VOXELS = 2
"""A voxel of the scan belongs to the nearest body within this many voxels of the working grid."""


def paint(prediction: Prediction, labels: NDArray[np.uint8], frame: Frame, mask: NDArray[np.uint8]) -> None:
    """Write the labels (on the working grid) into ``mask`` (the scan's own array, native order), with edges between the voxels."""
    boxes = [box for box in ndimage.find_objects((labels > 0).astype(np.uint8)) if box is not None]
    if not boxes:
        return
    box = tuple(
        slice(max(0, side.start - REACH_VOXELS), min(size, side.stop + REACH_VOXELS))
        for side, size in zip(boxes[0], labels.shape, strict=True)
    )
    near = _spread(labels[box])
    margin = np.where(near > 0, prediction.margin[box], np.float32(-1.0))
    view = frame.view(mask)
    axes = [_lookup(side, size, step, prediction.spacing_mm) for side, size, step in zip(box, view.shape, frame.spacing_mm, strict=True)]
    (rows_z, low_z, share_z), (rows_y, low_y, share_y), (rows_x, low_x, share_x) = axes
    if not (rows_z.size and rows_y.size and rows_x.size):
        return
    for row, low, share in zip(rows_z, low_z, share_z, strict=True):
        high = min(low + 1, margin.shape[0] - 1)
        plane = margin[low] * (1 - share) + margin[high] * share
        fine = _blend(_blend(plane, low_y, share_y).T, low_x, share_x).T
        z, y, x = (int(low + (share >= 0.5)), low_y + (share_y >= 0.5), low_x + (share_x >= 0.5))
        name = near[min(z, near.shape[0] - 1)][np.ix_(np.minimum(y, near.shape[1] - 1), np.minimum(x, near.shape[2] - 1))]
        target = view[row, rows_y[0] : rows_y[-1] + 1, rows_x[0] : rows_x[-1] + 1]
        inside = (fine > 0) & (name > 0)
        target[inside] = name[inside]


def _spread(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels grown by :data:`REACH_VOXELS` into what is unlabelled, each voxel to the nearest."""
    distance, nearest = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    grown = labels[tuple(nearest)]
    return np.where(distance <= REACH_VOXELS, grown, 0).astype(np.uint8)


def _lookup(side: slice, size: int, step_mm: float, grid_mm: float) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Native indices along one axis that lie inside the box; for each the grid index below (within the box) and the share of the next."""
    places = np.arange(size) * step_mm / grid_mm - side.start
    rows = np.flatnonzero((places >= 0) & (places <= side.stop - side.start - 1))
    low = np.minimum(np.floor(places[rows]).astype(np.intp), max(0, side.stop - side.start - 2))
    return rows, low, (places[rows] - low).astype(np.float32)


def _blend(plane: Floats, low: NDArray[np.intp], share: NDArray[np.float32]) -> Floats:
    """Linear interpolation along the first axis."""
    high = np.minimum(low + 1, plane.shape[0] - 1)
    return np.asarray(plane[low] * (1 - share[:, None]) + plane[high] * share[:, None])
