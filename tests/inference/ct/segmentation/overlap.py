"""Reading NIfTI images as volumes, and comparing masks."""

from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.volume import Volume

TO_SLICE_ROW_COLUMN = np.eye(4)[[2, 1, 0, 3]]


def read_nifti(path: Path) -> Volume:
    """A NIfTI image (i, j, k; RAS) as a volume (k, j, i; LPS)."""
    image = nib.load(path)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine @ TO_SLICE_ROW_COLUMN
    values = np.transpose(np.asarray(image.dataobj), (2, 1, 0))
    return Volume(hu=np.ascontiguousarray(np.clip(np.rint(values), -32768, 32767)).astype(np.int16), affine=affine)


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Twice the intersection over the sum."""
    return 2.0 * float((a & b).sum()) / float(a.sum() + b.sum())


def core_hu(volume: Volume, mask: NDArray[np.bool_], depth_mm: float = 6.0) -> tuple[float, float]:
    """Mean and median attenuation deeper than ``depth_mm`` inside a mask."""
    deep = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=volume.spacing_mm)[1:-1, 1:-1, 1:-1] > depth_mm
    return float(volume.hu[deep].mean()), float(np.median(volume.hu[deep]))


def moved(volume: Volume, order: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> Volume:
    """The same scan with its array axes reordered and reversed, and the affine to match."""
    hu, affine = volume.hu, volume.affine.copy()
    for axis, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (hu.shape[axis] - 1)
            affine[:3, axis] *= -1
            hu = np.flip(hu, axis)
    swap = np.zeros((4, 4))
    swap[3, 3] = 1
    for new, old in enumerate(order):
        swap[old, new] = 1
    return Volume(hu=np.ascontiguousarray(hu.transpose(order)), affine=affine @ swap)
