"""Resampling on regular grids, and label images from files. The one door to SimpleITK.

Grids are described by a shape (slices, rows, columns) and an affine (4, 4) from array indices to LPS mm. SimpleITK images cannot be
sheared, so images live in index space (spacing 1, origin 0) and an affine transform carries indices of one grid to indices of the other.
"""

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from inference.errors import ReasonCode, Refusal

sitk: Any = SimpleITK
"""Without types of its own."""

Shape = tuple[int, int, int]


def upright_grid(affine: NDArray[np.float64], shape: Shape) -> tuple[NDArray[np.float64], Shape]:
    """A right-angled grid around a sheared one.

    Slices of the new grid are perpendicular to the line on which the source images are stacked, which for a tilted gantry is the
    table. Spacings stay those of the source: between image centres along that line, between rows, between columns.

    Returns
    -------
    affine, shape
        Of the smallest such grid that holds every source voxel.
    """
    steps = affine[:3, :3]
    lengths = np.linalg.norm(steps, axis=0)
    up = steps[:, 0] / lengths[0]
    along_row = steps[:, 2] - (steps[:, 2] @ up) * up
    along_row /= np.linalg.norm(along_row)
    down_column = np.cross(up, along_row)
    if down_column @ steps[:, 1] < 0:
        down_column = -down_column
    axes = np.stack([up * lengths[0], down_column * lengths[1], along_row * lengths[2]], axis=1)
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in shape], indexing="ij")).reshape(3, -1)
    inside = np.linalg.inv(axes) @ (steps @ corners)
    low, high = np.floor(inside.min(axis=1) + 1e-6), np.ceil(inside.max(axis=1) - 1e-6)
    upright = np.eye(4)
    upright[:3, :3] = axes
    upright[:3, 3] = affine[:3, 3] + axes @ low
    size = (high - low).astype(int) + 1
    return upright, (int(size[0]), int(size[1]), int(size[2]))


def resample_upright(
    hu: NDArray[np.int16], affine: NDArray[np.float64], upright_affine: NDArray[np.float64], upright_shape: Shape, *, fill: int
) -> NDArray[np.int16]:
    """Attenuation of one grid on another, linear between voxels and rounded to whole HU; ``fill`` outside."""
    resampled = _resample(hu, affine, upright_affine, upright_shape, sitk.sitkLinear, fill)
    rounded: NDArray[np.int16] = np.rint(resampled).astype(np.int16)
    return rounded


def resample_linear(
    hu: NDArray[np.float32], affine: NDArray[np.float64], other_affine: NDArray[np.float64], other_shape: Shape, *, fill: float
) -> NDArray[np.float32]:
    """Attenuation of one grid on another, linear between voxels; ``fill`` outside."""
    return np.asarray(_resample(hu, affine, other_affine, other_shape, sitk.sitkLinear, fill), dtype=np.float32)


def resample_mask_nearest(
    mask: NDArray[np.uint8], affine: NDArray[np.float64], other_affine: NDArray[np.float64], other_shape: Shape
) -> NDArray[np.uint8]:
    """A label mask of one grid on another, nearest neighbour; 0 outside."""
    return _resample(mask, affine, other_affine, other_shape, sitk.sitkNearestNeighbor, 0)


def read_label_image(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A three-dimensional image of whole-number labels, such as a NIfTI mask.

    Returns
    -------
    labels, affine
        uint8 (slices, rows, columns) and the (4, 4) affine from these indices to LPS mm, which is what ITK turns a NIfTI's RAS into.

    Raises
    ------
    Refusal
        ``MASK_UNREADABLE``: no image, not three-dimensional, its axes are not at right angles, it does not say where it lies in the
        patient, or its values are not whole numbers from 0 to 255.
    """
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise Refusal(ReasonCode.MASK_UNREADABLE, f"{path.name} cannot be read as an image: {reason}") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise Refusal(ReasonCode.MASK_UNREADABLE, f"{path.name} is no three-dimensional image of one value a voxel")
    forms = [image.GetMetaData(key) for key in ("qform_code", "sform_code") if image.HasMetaDataKey(key)]
    if forms and all(form.strip() == "0" for form in forms):
        raise Refusal(ReasonCode.MASK_UNREADABLE, f"{path.name} does not say where it lies in the patient (no qform, no sform)")
    values = sitk.GetArrayFromImage(image)
    if not np.all(np.isfinite(values)) or values.min() < 0 or values.max() > 255 or not np.array_equal(values, np.rint(values)):
        raise Refusal(ReasonCode.MASK_UNREADABLE, f"{path.name} holds other values than whole labels from 0 to 255")
    affine = np.eye(4)
    axes = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, :3] = axes[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    return values.astype(np.uint8), affine


def _resample(
    array: NDArray[np.int16] | NDArray[np.uint8] | NDArray[np.float32],
    affine: NDArray[np.float64],
    other_affine: NDArray[np.float64],
    other_shape: Shape,
    interpolator: int,
    fill: float,
) -> NDArray[Any]:
    transform = sitk.AffineTransform(3)
    from_other = np.linalg.inv(affine) @ other_affine
    transform.SetMatrix(from_other[:3, :3][::-1, ::-1].ravel().tolist())
    transform.SetTranslation(from_other[:3, 3][::-1].tolist())
    resample = sitk.ResampleImageFilter()
    resample.SetSize([int(size) for size in reversed(other_shape)])
    resample.SetTransform(transform)
    resample.SetInterpolator(interpolator)
    resample.SetDefaultPixelValue(float(fill))
    if interpolator == sitk.sitkLinear:
        resample.SetOutputPixelType(sitk.sitkFloat32)  # into integers SimpleITK truncates, half a HU too low on average
    return np.asarray(sitk.GetArrayFromImage(resample.Execute(sitk.GetImageFromArray(array))))
