"""How far image noise alone may move the median of a region: its standard error, from the scan itself.

Noise is looked at in two places, in the region and in the soft tissue around the body. Anatomy only ever adds to either (trabeculae and
foci here, fat between muscles there), so the smaller one counts. Noise is correlated from voxel
to voxel, more with a soft kernel, hardly or even negatively with a sharp one: the correlation is measured, never assumed.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from inference.ct.trabecular import BodyCrop
from inference.volume import Volume

REACH_MM = 4.0
"""Correlation is followed over lags up to this; kernels reach 1 to 3 mm, anatomy farther."""
TISSUE_MARGIN_MM = 15.0
"""Soft tissue is looked for this far beside the body's bounding box, on the body's own slices."""
TISSUE_HU = (-10.0, 110.0)
"""Smoothed attenuation of muscle, organs, vessels and discs."""
TISSUE_SIGMA_MM = 3.0
TREND_SIGMA_MM = 3.0
"""In soft tissue, what is smoother than this counts as anatomy."""
PATCH_SIGMA_MM = 5.0
"""Noise is everywhere, anatomy (vessels, fat between muscles) here and there: what is looked at is the half of the tissue with the
least variance in patches of this size."""
ANATOMY_SDS = 4.0
QUIETER_BIAS = 1.38
"""Where all is noise, half of it still looks quieter: by at least this on simulated scans with 70 HU of noise."""
MIN_VOXELS = 500
"""Fewer say nothing about a correlation."""
LEAST_SHARE = 0.1
"""The correlated part of the variance is at least this: a few negative lags more cannot make noise vanish."""


def median_error_hu(volume: Volume, crop: BodyCrop, region: NDArray[np.bool_]) -> float | None:
    """Standard error of the median of a region's attenuation that noise causes, in HU.

    Parameters
    ----------
    region
        bool, shape of the crop.

    Returns
    -------
    float or None
        None where neither the region nor the tissue around holds enough voxels to tell.
    """
    count = int(region.sum())
    if count == 0:
        return None
    residual = crop.hu - np.median(crop.hu[region])
    found = [standard_error_hu(residual, region, crop.spacing_mm, count), _tissue_error_hu(volume, crop, count)]
    return min((value for value in found if value is not None), default=None)


def standard_error_hu(residual: NDArray[np.floating], mask: NDArray[np.bool_], spacing_mm: tuple[float, ...], count: int) -> float | None:
    """Standard error of the median of ``count`` voxels that share the noise of ``residual`` inside ``mask``.

    For normal noise of standard deviation s and correlation r between two voxels the signs covary by (2 / pi) asin(r), so that the
    median of n voxels has the variance s^2 / n times the sum of asin(r) over all lags: pi / 2 of the mean's where nothing is correlated.

    Parameters
    ----------
    residual, mask
        (s, r, c) attenuation less what is no noise, in HU; and where it counts.
    spacing_mm
        Distance of voxels along the three axes.

    Returns
    -------
    float or None
        HU; None where the mask holds fewer than 500 voxels.
    """
    if int(mask.sum()) < MIN_VOXELS:
        return None
    covariance, lags_mm = autocovariance(residual, mask, spacing_mm)
    variance = float(covariance[lags_mm == 0.0][0])
    if variance <= 0.0:
        return 0.0
    correlation = np.clip(covariance[lags_mm <= REACH_MM] / variance, -1.0, 1.0)
    share = max(float(np.arcsin(correlation).sum()), LEAST_SHARE)
    return math.sqrt(variance * share / count)


def autocovariance(
    residual: NDArray[np.floating], mask: NDArray[np.bool_], spacing_mm: tuple[float, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean product of two voxels of the mask by their distance along each axis, and the length of that lag in mm; both of one shape.

    Lags reach :data:`REACH_MM` along each axis; one with no pair is 0.
    """
    reach = [int(REACH_MM / step) for step in spacing_mm]
    shape = [fft.next_fast_len(size + lag, real=True) for size, lag in zip(mask.shape, reach, strict=True)]
    products = _correlate(np.where(mask, residual, 0.0), shape)
    pairs = np.rint(_correlate(mask.astype(np.float64), shape))
    window = np.ix_(*(np.arange(-lag, lag + 1) for lag in reach))
    lags = np.meshgrid(*(np.arange(-lag, lag + 1) * step for lag, step in zip(reach, spacing_mm, strict=True)), indexing="ij")
    mean = products[window] / np.maximum(pairs[window], 1.0)
    return np.where(pairs[window] > 0, mean, 0.0), np.sqrt(sum(np.square(lag) for lag in lags))


def _correlate(values: NDArray[np.float64], shape: list[int]) -> NDArray[np.float64]:
    """Sum of the products of every voxel with the one a lag away, by lag; negative lags stand at the end."""
    spectrum = fft.rfftn(values, shape)
    return np.asarray(fft.irfftn(spectrum.real**2 + spectrum.imag**2, shape))


def less_trend(hu: NDArray[np.float32], mask: NDArray[np.bool_], spacing_mm: tuple[float, ...]) -> NDArray[np.float32]:
    """Attenuation less its Gaussian mean over the voxels of the mask near by; outside the mask it means nothing."""
    sigma = [TREND_SIGMA_MM / step for step in spacing_mm]
    weight = ndimage.gaussian_filter(mask.astype(np.float32), sigma, mode="constant")
    trend = ndimage.gaussian_filter(np.where(mask, hu, np.float32(0.0)), sigma, mode="constant") / np.maximum(weight, np.float32(1e-3))
    return np.asarray(hu - trend, dtype=np.float32)


def _tissue_error_hu(volume: Volume, crop: BodyCrop, count: int) -> float | None:
    """The same from the soft tissue beside the body."""
    box = []
    for axis, (origin, size, step) in enumerate(zip(crop.origin, crop.mask.shape, volume.spacing_mm, strict=True)):
        margin = 0 if axis == 0 else round(TISSUE_MARGIN_MM / step)
        box.append(slice(max(0, origin - margin), min(volume.hu.shape[axis], origin + size + margin)))
    hu = volume.hu[tuple(box)].astype(np.float32)
    smooth = ndimage.gaussian_filter(hu, [TISSUE_SIGMA_MM / step for step in volume.spacing_mm])
    soft = (smooth > TISSUE_HU[0]) & (smooth < TISSUE_HU[1])
    if int(soft.sum()) < MIN_VOXELS:
        return None
    residual = less_trend(hu, soft, volume.spacing_mm)
    spread = 1.4826 * float(np.median(np.abs(residual[soft])))
    quiet = soft & (np.abs(residual) <= ANATOMY_SDS * spread)
    error_hu = standard_error_hu(residual, _quieter_half(residual, quiet, volume.spacing_mm), volume.spacing_mm, count)
    return None if error_hu is None else QUIETER_BIAS * error_hu


def _quieter_half(residual: NDArray[np.floating], mask: NDArray[np.bool_], spacing_mm: tuple[float, ...]) -> NDArray[np.bool_]:
    """The half of a mask in whose surroundings the variance is least."""
    sigma = [PATCH_SIGMA_MM / step for step in spacing_mm]
    weight = ndimage.gaussian_filter(mask.astype(np.float32), sigma, mode="constant")
    power = ndimage.gaussian_filter(np.where(mask, residual**2, 0.0).astype(np.float32), sigma, mode="constant")
    local = power / np.maximum(weight, np.float32(1e-3))
    return np.asarray(mask & (local <= np.median(local[mask]))) if mask.any() else mask
