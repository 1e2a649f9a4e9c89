"""Label images as NIfTI, on the grid of a scan."""

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from training.errors import TrainingError

sitk: Any = SimpleITK


def write_labels(labels: NDArray[np.uint8], affine: NDArray[np.float64], path: Path) -> Path:
    """Write uint8 labels (slices, rows, columns) as ``.nii.gz``.

    Parameters
    ----------
    affine
        (4, 4): (slice, row, column, 1) to LPS mm. NIfTI holds RAS; the writer converts.

    Raises
    ------
    TrainingError
        The grid is sheared (a tilted gantry): an image with a direction matrix cannot hold it.
    """
    axes = affine[:3, [2, 1, 0]]
    spacing = np.linalg.norm(axes, axis=0)
    direction = axes / spacing
    if not np.allclose(direction.T @ direction, np.eye(3), atol=1e-6):
        raise TrainingError("masks of a tilted gantry cannot be written as NIfTI: the grid is sheared")
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing(spacing.tolist())
    image.SetDirection(direction.ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    sitk.WriteImage(image, str(path), useCompression=True)
    return path
