"""From a film and boxes on it to what a network sees: regions of one size, in units that do not depend on how the film was processed."""

import numpy as np
from numpy.typing import NDArray

from inference.cxr.rois import Floats, Images, Rois


def whole_box(shape: tuple[int, int]) -> Floats:
    """(1, 4) the film itself."""
    return np.array([[0.0, 0.0, shape[0], shape[1]]])


def patch_boxes(shape: tuple[int, int], count: int) -> Floats:
    """(count², 4): the film cut evenly into rows and columns, row by row (the paper's Multi-Patch, Figure 3).

    Raises
    ------
    ValueError
        ``count`` is less than 1.
    """
    if count < 1:
        raise ValueError(f"a film is cut into at least one patch, not {count}")
    rows, columns = np.linspace(0, shape[0], count + 1), np.linspace(0, shape[1], count + 1)
    return np.array([(rows[r], columns[c], rows[r + 1], columns[c + 1]) for r in range(count) for c in range(count)])


def with_whole(rois: Rois, shape: tuple[int, int]) -> Floats:
    """(15, 4): the regions of bone, then the whole film, in the order of :data:`inference.cxr.rois.REGION_NAMES`."""
    return np.concatenate([rois.boxes, whole_box(shape)])


def crop_regions(image: NDArray[np.floating], boxes: Floats, size: int, *, reference: tuple[float, float] | None = None) -> Images:
    """Each box resampled to a square, standardised by the film.

    A box that is larger than the square is averaged, not sampled, so that no texture folds down; beyond the film its edge is repeated.

    Parameters
    ----------
    image
        (rows, columns), bone bright.
    boxes
        (N, 4) top, left, bottom, right in pixels.
    reference
        Mean and standard deviation that are taken out (:func:`reference_of`); None leaves the values as they are.

    Returns
    -------
    NDArray
        float32 (N, size, size).

    Raises
    ------
    ValueError
        A box has no area, or the reference no spread.
    """
    if (boxes[:, 2] <= boxes[:, 0]).any() or (boxes[:, 3] <= boxes[:, 1]).any():
        raise ValueError("a box ends below and right of where it begins")
    found = np.stack([_crop(image, box, size) for box in boxes])
    if reference is None:
        return found
    mean, sd = reference
    if sd <= 0:
        raise ValueError("the film is one grey: it has no spread to be standardised by")
    return np.asarray((found - np.float32(mean)) / np.float32(sd), dtype=np.float32)


def reference_of(image: NDArray[np.floating], landmarks: Floats) -> tuple[float, float]:
    """Mean and standard deviation of the film between its outermost landmarks: the chest, without collimation, letters and air."""
    rows, columns = image.shape
    low = np.clip(np.rint(landmarks.min(axis=0)).astype(int), 0, (rows - 1, columns - 1))
    high = np.clip(np.rint(landmarks.max(axis=0)).astype(int) + 1, low + 1, (rows, columns))
    chest = image[low[0] : high[0], low[1] : high[1]]
    return float(chest.mean(dtype=np.float64)), float(chest.std(dtype=np.float64))


def _crop(image: NDArray[np.floating], box: Floats, size: int) -> Images:
    top, left, bottom, right = box
    by_rows = _weights(top, bottom, size, image.shape[0])
    by_columns = _weights(left, right, size, image.shape[1])
    first_row, first_column = by_rows[0], by_columns[0]
    part = image[first_row : first_row + by_rows[1].shape[1], first_column : first_column + by_columns[1].shape[1]]
    return np.asarray(by_rows[1] @ part.astype(np.float32) @ by_columns[1].T, dtype=np.float32)


def _weights(start: float, stop: float, size: int, count: int) -> tuple[int, Images]:
    """The first pixel that matters and a matrix (size, pixels) that resamples one axis: a triangle as wide as an output pixel, or as an
    input pixel where that is wider. Weights beyond the film fall to its edge pixel."""
    step = (stop - start) / size
    reach = max(step, 1.0)
    centres = start + (np.arange(size) + 0.5) * step - 0.5  # in pixel centres
    low, high = int(np.floor(centres[0] - reach)), int(np.ceil(centres[-1] + reach))
    pixels = np.arange(low, high + 1)
    weights = np.clip(1.0 - np.abs(pixels[None, :] - centres[:, None]) / reach, 0.0, None)
    weights /= weights.sum(axis=1, keepdims=True)
    held = np.clip(pixels, 0, count - 1)
    first, last = int(held.min()), int(held.max())
    folded = np.zeros((size, last - first + 1))
    np.add.at(folded.T, held - first, weights.T)
    return first, folded.astype(np.float32)
