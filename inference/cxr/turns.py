"""The eight ways in which a film may lie in its file, and the way back to the stored pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Turn:
    """How the stored image is turned to stand upright, the patient's left on the right of the image.

    Attributes
    ----------
    quarters
        Counter-clockwise quarter turns, 0 to 3, done first.
    mirrored
        Left and right are then exchanged.
    """

    quarters: int = 0
    mirrored: bool = False

    def __post_init__(self) -> None:
        if self.quarters not in (0, 1, 2, 3):
            raise ValueError(f"there are 0 to 3 quarter turns, not {self.quarters}")

    @property
    def said(self) -> str:
        """In words, what was done to the stored image; empty for nothing."""
        turned = {0: "", 1: "turned by 90° counter-clockwise", 2: "turned by 180°", 3: "turned by 90° clockwise"}[self.quarters]
        return " and ".join(part for part in (turned, "mirrored" if self.mirrored else "") if part)

    def apply(self, stored: NDArray[np.generic]) -> NDArray[np.generic]:
        """The image (rows, columns) turned; a view."""
        turned = np.rot90(stored, self.quarters)
        return turned[:, ::-1] if self.mirrored else turned

    def to_stored(self, shape: tuple[int, int], corner: tuple[int, int] = (0, 0)) -> NDArray[np.float64]:
        """The affine (2, 3) from (row, column, 1) on the turned and cropped image to (row, column) of the stored one, pixel centres.

        Parameters
        ----------
        shape
            Rows and columns as stored.
        corner
            Row and column on the turned image at which the crop begins.
        """
        rows, columns = shape
        whole = {
            0: np.array([[1.0, 0, 0], [0, 1, 0]]),
            1: np.array([[0.0, 1, 0], [-1, 0, columns - 1]]),
            2: np.array([[-1.0, 0, rows - 1], [0, -1, columns - 1]]),
            3: np.array([[0.0, -1, rows - 1], [1, 0, 0]]),
        }[self.quarters]
        place = np.array([[1.0, 0, corner[0]], [0, 1, corner[1]], [0, 0, 1]])
        width = columns if self.quarters % 2 == 0 else rows
        flip = np.array([[1.0, 0, 0], [0, -1, width - 1], [0, 0, 1]]) if self.mirrored else np.eye(3)
        return np.asarray(whole @ flip @ place, dtype=np.float64)


UPRIGHT = Turn()
