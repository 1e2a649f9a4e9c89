"""What a vendor's processing makes of a detector's signal before a radiologist sees it."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FloatArray = NDArray[np.float32]


class Gradation(StrEnum):
    """Looks that chest films arrive with; ``RAW`` is the logarithm of the signal, for processing elsewhere."""

    STANDARD = "standard"
    SOFT = "soft"
    SHARP = "sharp"
    RAW = "raw"


@dataclass(frozen=True, kw_only=True)
class _Look:
    """``latitude`` is the share of the slowly varying part that stays, ``detail`` the gain of what is finer, ``fine`` of the finest;
    ``slope`` the steepness of the curve and ``middle`` the grey (0 to 1) of the median of the body."""

    latitude: float
    detail: float
    fine: float
    slope: float
    middle: float


_LOOKS = {
    Gradation.STANDARD: _Look(latitude=0.45, detail=2.3, fine=1.3, slope=0.62, middle=0.42),
    Gradation.SOFT: _Look(latitude=0.55, detail=1.3, fine=0.4, slope=0.45, middle=0.36),
    Gradation.SHARP: _Look(latitude=0.42, detail=2.9, fine=2.2, slope=0.62, middle=0.45),
}
_COARSE_MM, _FINE_MM = 10.0, 0.9
_BARE, _COVERED = 0.6, 0.25
"""A detector that gets more than the first fraction of the open beam is bare and black; below the second it shows the body."""


def present(signal: FloatArray, pitch_mm: float, gradation: Gradation) -> FloatArray:
    """Grey from 0 (black: much radiation) to 1 (white: bone) of a detector's ``signal`` relative to the open beam."""
    density = -np.log(np.maximum(signal, 1e-6)).astype(np.float32)
    body = density > -np.log(_BARE)
    if not body.any():
        body = np.ones_like(body)
    low, high = (float(value) for value in np.percentile(density[body], (1.0, 99.5)))
    if gradation is Gradation.RAW:
        bare = float(density.min())
        return np.asarray(np.clip((density - bare) / max(high - bare, 1e-3) / 1.05, 0, 1), dtype=np.float32)
    look = _LOOKS[gradation]
    clipped = np.clip(density, low - 0.4 * (high - low), high + 0.2 * (high - low))
    coarse = ndimage.gaussian_filter(clipped, _COARSE_MM / pitch_mm, mode="nearest", truncate=2.5)
    smooth = ndimage.gaussian_filter(clipped, _FINE_MM / pitch_mm, mode="nearest")
    median = float(np.median(density[body]))
    shown = look.latitude * (coarse - median) + look.detail * (smooth - coarse) + (look.detail + look.fine) * (clipped - smooth)
    spread = look.latitude * (high - low) / 2
    steep = look.slope * shown / max(spread, 1e-3)
    offset = np.log(look.middle / (1 - look.middle))
    covered = np.clip((density + np.log(_BARE)) / np.log(_BARE / _COVERED), 0, 1)
    return np.asarray(covered / (1 + np.exp(-(2.0 * steep + offset))), dtype=np.float32)
