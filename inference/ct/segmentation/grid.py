"""The working frame of the classical segmenter: one orientation and one isotropic resolution, whatever the scan's own grid.

The *frame* follows the volume's own array axes, permuted and flipped so that axis 0 runs towards the head (z), axis 1 towards the back
(y) and axis 2 towards the patient's left (x). Frame coordinates are mm from the first voxel of that oriented grid. A scan that is
oblique to the patient axes keeps its obliquity: to the method it is a tilted patient.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from inference.errors import ReasonCode, Refusal
from inference.volume import Volume

AIR_HU = -1024.0
DENSEST_HU = 3071.0
"""Twelve-bit CT ends here; metal beyond it would only ring in the resampling."""

Scalar = TypeVar("Scalar", bound=np.generic)
Floats = NDArray[np.float32]
Points = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Where the oriented grid lies in the native array and in the patient.

    Attributes
    ----------
    axes
        Native array axis of frame axes (z, y, x).
    flipped
        True where the frame axis runs against the native one.
    shape
        Voxels of the oriented grid along (z, y, x).
    spacing_mm
        Native spacing along (z, y, x).
    origin_lps_mm
        (3,) LPS position of frame point (0, 0, 0).
    directions
        (3, 3): column n is the LPS unit vector of frame axis n.
    """

    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_lps_mm: Points
    directions: Points

    def view(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        """The native array seen in frame order (z, y, x); a view, so writing to it writes to the array."""
        oriented = array.transpose(self.axes)
        return oriented[tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flipped)]

    def to_lps_mm(self, points_mm: Points) -> Points:
        """Patient coordinates (..., 3) of frame points (..., 3) given as (z, y, x) in mm."""
        return np.asarray(points_mm @ self.directions.T + self.origin_lps_mm)

    def vector_to_lps(self, vectors: Points) -> Points:
        """LPS components (..., 3) of frame vectors (..., 3)."""
        return np.asarray(vectors @ self.directions.T)


def frame_of(volume: Volume) -> Frame:
    """The frame of a volume of any axis order and sign.

    Raises
    ------
    Refusal
        ``NOT_A_VOLUME`` where the volume is not three-dimensional or its axes match no anatomical order.
    """
    if volume.hu.ndim != 3 or min(volume.hu.shape) < 2:
        raise Refusal(ReasonCode.NOT_A_VOLUME, f"an array of shape {volume.hu.shape} is no volume of several slices")
    direction = volume.direction
    targets = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    cosines = targets @ direction  # (frame axis, native axis)
    axes = tuple(int(np.argmax(np.abs(row))) for row in cosines)
    if sorted(axes) != [0, 1, 2]:
        raise Refusal(ReasonCode.NOT_A_VOLUME, "the axes of the volume are too oblique to tell head, back and left apart")
    flipped = tuple(bool(cosines[n, axis] < 0) for n, axis in enumerate(axes))
    first = np.array([0 if not flip else volume.hu.shape[axis] - 1 for axis, flip in sorted(zip(axes, flipped, strict=True))])
    signs = np.where(flipped, -1.0, 1.0)
    return Frame(
        axes=(axes[0], axes[1], axes[2]),
        flipped=(flipped[0], flipped[1], flipped[2]),
        shape=(volume.hu.shape[axes[0]], volume.hu.shape[axes[1]], volume.hu.shape[axes[2]]),
        spacing_mm=(volume.spacing_mm[axes[0]], volume.spacing_mm[axes[1]], volume.spacing_mm[axes[2]]),
        origin_lps_mm=volume.to_lps_mm(first[None])[0],
        directions=direction[:, list(axes)] * signs,
    )


@dataclass(frozen=True, kw_only=True)
class WorkGrid:
    """Attenuation resampled to isotropic voxels in the frame.

    Attributes
    ----------
    hu
        float32, shape (z, y, x).
    spacing_mm
        Voxel size; voxel (0, 0, 0) lies at frame point (0, 0, 0).
    """

    hu: Floats
    spacing_mm: float

    def sample(self, points_mm: Points, *, outside_hu: float = float("nan")) -> Floats:
        """Linearly interpolated attenuation at frame points (..., 3); ``outside_hu`` beyond the grid."""
        coordinates = np.moveaxis(np.asarray(points_mm, dtype=np.float32), -1, 0) / np.float32(self.spacing_mm)
        return np.asarray(ndimage.map_coordinates(self.hu, coordinates, order=1, mode="constant", cval=outside_hu, output=np.float32))


def axis_weights(count: int, step_mm: float, target_mm: float) -> sparse.csr_array:
    """Resampling of one axis as a sparse matrix (new, old): linear between voxels, a tent of the target's width where it is coarser."""
    new = int(np.floor((count - 1) * step_mm / target_mm + 1e-6)) + 1
    half_width_mm = max(step_mm, target_mm)
    reach = int(np.ceil(half_width_mm / step_mm))
    centres = np.arange(new) * target_mm
    nearest = np.rint(centres / step_mm).astype(int)
    columns = nearest[:, None] + np.arange(-reach, reach + 1)[None]
    weights = np.clip(1.0 - np.abs(columns * step_mm - centres[:, None]) / half_width_mm, 0.0, None)
    weights[(columns < 0) | (columns >= count)] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(new), columns.shape[1])
    keep = weights.ravel() > 0
    entries = (weights.ravel()[keep].astype(np.float32), (rows[keep], columns.ravel()[keep]))
    return sparse.csr_array(entries, shape=(new, count))


def resample(oriented_hu: NDArray[np.int16], spacing_mm: tuple[float, float, float], target_mm: float) -> WorkGrid:
    """Bring an oriented volume (z, y, x) to isotropic voxels, slice by slice, so that no float copy of the whole is ever made."""
    along_z, along_y, along_x = (axis_weights(n, s, target_mm) for n, s in zip(oriented_hu.shape, spacing_mm, strict=True))
    out = np.zeros((along_z.shape[0], along_y.shape[0], along_x.shape[0]), dtype=np.float32)
    by_slice = along_z.tocsc()
    for n in range(oriented_hu.shape[0]):
        targets = by_slice.indices[by_slice.indptr[n] : by_slice.indptr[n + 1]]
        if targets.size == 0:
            continue
        plane = np.clip(oriented_hu[n], AIR_HU, DENSEST_HU).astype(np.float32)
        small = (along_x @ (along_y @ plane).T).T
        for target, weight in zip(targets, by_slice.data[by_slice.indptr[n] : by_slice.indptr[n + 1]], strict=True):
            out[target] += weight * small
    return WorkGrid(hu=out, spacing_mm=target_mm)


def check_intensity_scale(grid: WorkGrid) -> None:
    """Refuse values that are no HU: in a body most voxels are fat, muscle or air, and next to none lie near 1000.

    Raises
    ------
    Refusal
        ``IMPLAUSIBLE_HU``, for instance stored values 0..4095 without their rescale, whose soft tissue lies at 1024.
    """
    sample = grid.hu[::3, ::3, ::3]
    raw_like = float(np.mean((sample > 800) & (sample < 1300)))
    tissue = float(np.mean((sample > -180) & (sample < 250)))
    if raw_like > 0.05 or tissue < 0.03:
        raise Refusal(
            ReasonCode.IMPLAUSIBLE_HU,
            f"{raw_like:.0%} of the voxels lie between 800 and 1300 and {tissue:.0%} in the range of fat and soft tissue: "
            "these are not HU (is the rescale missing?)",
        )
