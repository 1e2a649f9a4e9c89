"""Stored values to Hounsfield units, and whether the result can be a patient."""

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference.errors import ReasonCode, Refusal
from inference.tolerant import integer_of, number_of, tolerant

FILL_HU = -1024
"""Written where the scanner measured nothing: padding, and outside a resampled field of view."""
MAX_STEP_HU = 4.0
"""One grey level may not be coarser than this: 8-bit copies of CT images cannot tell 90 HU from 110 HU."""
_TISSUE_PADDING_HU = -900.0
_LIMITS = np.iinfo(np.int16)


def attenuation_hu(stored: NDArray[np.integer], dataset: Dataset, name: str, out: NDArray[np.int16]) -> None:
    """Rescale one image (rows, columns) to HU with its own slope and intercept (PS3.3 C.11.1.1.2), into ``out``.

    Padding pixels (PS3.3 C.7.5.1.1.2) become -1024 HU, unless the padding value could be tissue (above -900 HU): some converters write
    0. Values below -1024 HU, which no matter has, become -1024 as well.

    Raises
    ------
    Refusal
        ``RESCALE_MISSING`` without slope and intercept; ``IMPLAUSIBLE_HU`` where the slope is 0, negative or too coarse.
    """
    with tolerant():
        slope, intercept = _rescale(dataset, name)
    if slope == 1.0 and intercept.is_integer():
        values = stored.astype(np.int32)
        values += int(intercept)
    else:
        values = np.rint(stored.astype(np.float64) * slope + intercept)
    with tolerant():
        padding = _padding(stored, dataset, slope, intercept)
    np.clip(values, FILL_HU, _LIMITS.max, out=values)
    if padding is not None:
        values[padding] = FILL_HU
    out[...] = values


def _rescale(dataset: Dataset, name: str) -> tuple[float, float]:
    slope, intercept = number_of(dataset, "RescaleSlope"), number_of(dataset, "RescaleIntercept")
    if slope is None or intercept is None:
        why = "a Modality LUT, which is not read" if "ModalityLUTSequence" in dataset else "no Rescale Slope and Intercept"
        raise Refusal(ReasonCode.RESCALE_MISSING, f"{name} has {why}: its values are not known to be HU.")
    if not 0 < slope <= MAX_STEP_HU:
        raise Refusal(ReasonCode.IMPLAUSIBLE_HU, f"{name}: Rescale Slope {slope:g}, so one grey level is no usable step in HU.")
    return slope, intercept


def _padding(stored: NDArray[np.integer], dataset: Dataset, slope: float, intercept: float) -> NDArray[np.bool_] | None:
    """Where the scanner filled in; None where nothing has to change."""
    value, limit = integer_of(dataset, "PixelPaddingValue"), integer_of(dataset, "PixelPaddingRangeLimit")
    if value is None:
        return None
    bits = min(integer_of(dataset, "BitsStored") or 16, stored.dtype.itemsize * 8)
    ends = sorted(_as_stored(end, bits, signed=stored.dtype.kind == "i") for end in (value, value if limit is None else limit))
    if ends[1] * slope + intercept > _TISSUE_PADDING_HU and ends[1] * slope + intercept < _LIMITS.max // 2:
        return None
    return np.asarray((stored >= ends[0]) & (stored <= ends[1]), dtype=np.bool_)


def _as_stored(value: int, bits: int, *, signed: bool) -> int:
    """The padding value as the decoded pixels hold it: US 63536 is SS -2000, and senders confuse the two."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if signed and value >> (bits - 1) else value


def check_plausible(hu: NDArray[np.int16]) -> None:
    """Refuse a volume whose values cannot be HU of a body.

    Every body, even cropped to the spine, holds fat, lung or gas (-1000 to -50 HU) and soft tissue (-150 to 200 HU). Stored values
    taken for HU hold nothing below 0 but padding; an intercept applied twice leaves no soft tissue.

    Raises
    ------
    Refusal
        ``IMPLAUSIBLE_HU``.
    """
    sample = hu[:: max(1, hu.shape[0] // 64), ::4, ::4] if hu.size > 1_000_000 else hu
    low = float(np.mean((sample > -1000) & (sample < -50)))
    soft = float(np.mean((sample > -150) & (sample < 200)))
    if low < 0.0005 or soft < 0.02:
        text = f"{low:.2%} of the values are fat, lung or gas (-1000 to -50 HU) and {soft:.2%} soft tissue (-150 to 200 HU)."
        raise Refusal(ReasonCode.IMPLAUSIBLE_HU, f"The values cannot be Hounsfield units: {text}")
