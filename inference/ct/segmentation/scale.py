"""Whether a scan's numbers are HU: fat and muscle say so, whatever the header claims."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.ct.segmentation.base import Segmentation
from inference.errors import ReasonCode, Refusal
from inference.volume import Volume

AROUND_MM = 60.0
SAMPLE_MM = 2.0
PEAK_HALF_WIDTH_HU = 25.0
MIN_PEAK = 0.03
"""Share of the voxels that must lie in each of the two displaced peaks: a scan without fat in view proves nothing."""
FAT_HU, MUSCLE_HU = -100.0, 50.0
MIN_SHIFT_HU = 50.0


def soft_tissue_shift_hu(values: NDArray[np.floating] | NDArray[np.integer]) -> float:
    """How far a scan's intensity scale is displaced, judged by its peaks of fat and muscle; 0 unless it is far and plain.

    The histogram near both peaks is compared for every displacement up to 150 HU; displacements below 50 HU are not told from contrast
    agent and body composition.
    """
    counts, _ = np.histogram(values, bins=100, range=(-300.0, 200.0))
    smooth = ndimage.gaussian_filter1d(counts.astype(np.float64), 20.0 / 5.0)
    shifts = np.arange(-150.0, 151.0, 5.0)

    def height(hu: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.interp(hu, np.arange(-297.5, 200.0, 5.0), smooth))

    fit = np.sqrt(np.maximum(height(shifts + FAT_HU), 0.02 * smooth.max()) * height(shifts + MUSCLE_HU))
    best = int(np.argmax(fit))
    usual = float(fit[np.abs(shifts) < MIN_SHIFT_HU].max())
    return float(shifts[best]) if fit[best] > 1.5 * usual else 0.0


def check_scale(volume: Volume, segmentation: Segmentation) -> None:
    """Refuse a scan whose fat and muscle around the spine lie far from their attenuation: its bone reads wrong by as much.

    Raises
    ------
    Refusal
        ``IMPLAUSIBLE_HU``.
    """
    occupied = [np.flatnonzero(segmentation.bodies.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    if not all(index.size for index in occupied):
        return
    box = []
    for index, spacing_mm, size in zip(occupied, volume.spacing_mm, volume.hu.shape, strict=True):
        margin = round(AROUND_MM / spacing_mm)
        step = max(1, round(SAMPLE_MM / spacing_mm))
        box.append(slice(max(0, int(index[0]) - margin), min(size, int(index[-1]) + margin + 1), step))
    sample = volume.hu[tuple(box)]
    shift = soft_tissue_shift_hu(sample)
    peaks = [float(np.mean(np.abs(sample - (usual + shift)) <= PEAK_HALF_WIDTH_HU)) for usual in (FAT_HU, MUSCLE_HU)]
    if shift and min(peaks) >= MIN_PEAK:
        raise Refusal(
            ReasonCode.IMPLAUSIBLE_HU,
            f"Fat and muscle around the spine lie about {shift:+.0f} HU from their attenuation: bone would read wrong by as much. "
            "Is the rescale right?",
        )
