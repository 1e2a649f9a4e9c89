"""Outlines of masks, in pixel coordinates."""

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray

from inference.findings import CtImages


def outlines(mask: NDArray[np.bool_] | NDArray[np.floating]) -> list[NDArray[np.float64]]:
    """Closed outlines of a 2-D mask at half height, largest area first.

    Returns
    -------
    list
        (N, 2) arrays of (column, row), where the centre of pixel [row, column] is (column, row) exactly; first point = last point.
    """
    padded = np.pad(np.asarray(mask, dtype=np.float64), 1)
    lines = contour_generator(z=padded).lines(0.5)
    closed = [np.asarray(line, dtype=np.float64) - 1.0 for line in lines]
    return sorted((line for line in closed if len(line) >= 4), key=_area, reverse=True)


def _area(line: NDArray[np.float64]) -> float:
    x, y = line[:, 0], line[:, 1]
    return abs(float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))) / 2


def middle_plane(images: CtImages, label: int, planes: tuple[int, ...]) -> int | None:
    """The source slice nearest the middle of a body, on which it has voxels; None where it has none.

    Parameters
    ----------
    planes
        The slices to choose from (those that carry a mask).
    """
    areas = [(plane, int((images.source_bodies[plane] == label).sum())) for plane in planes]
    present = [plane for plane, area in areas if area]
    if not present:
        return None
    return present[len(present) // 2]
