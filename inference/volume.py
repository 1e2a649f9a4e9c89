"""A CT volume on a regular grid, with its place in the patient."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class SeriesReference:
    """The DICOM series behind a volume, so that masks from elsewhere can be told to be its own. Empty where the header has none."""

    patient_id: str
    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str


@dataclass(frozen=True, kw_only=True)
class Volume:
    """Attenuation on a regular, right-angled grid.

    Attributes
    ----------
    hu
        Attenuation in HU, int16, shape (slices, rows, columns).
    affine
        (4, 4) float64. Maps homogeneous array indices (slice, row, column, 1) to LPS patient coordinates in mm (PS3.3 C.7.6.2.1.1:
        x towards the patient's left, y towards posterior, z towards the head).
    series
        Where it comes from; None where it was no DICOM series.
    """

    hu: NDArray[np.int16]
    affine: NDArray[np.float64]
    series: SeriesReference | None = None

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along (slices, rows, columns): the row entry is the step from one row to the next."""
        steps = np.linalg.norm(self.affine[:3, :3], axis=0)
        return (float(steps[0]), float(steps[1]), float(steps[2]))

    @property
    def direction(self) -> NDArray[np.float64]:
        """(3, 3): column n is the LPS unit vector of array axis n."""
        axes: NDArray[np.float64] = self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)
        return axes

    def to_lps_mm(self, indices: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
        """Patient coordinates (N, 3) of array indices (N, 3) given as (slice, row, column)."""
        return np.asarray(indices, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_indices(self, points_lps_mm: NDArray[np.floating]) -> NDArray[np.float64]:
        """Fractional array indices (N, 3) of patient coordinates (N, 3)."""
        return (np.asarray(points_lps_mm, dtype=np.float64) - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T
