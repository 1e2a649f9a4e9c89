"""A densitometer's picture as grey values with bone bright, whatever photometric interpretation, depth or compression it came in."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference.errors import ReasonCode, Refusal
from inference.pixels import read_with_pixels, stored_pixels
from inference.radiograph_pixels import COLOUR_DIFFERENCE, KEYWORDS, GreyArray, Mask, colour_grey, modality_values, windowed, windows
from inference.tolerant import READ_ERRORS, integer_of, text_of, tolerant

__all__ = ["COLOUR_DIFFERENCE", "KEYWORDS", "DxaPixels", "GreyArray", "Mask", "grey_of", "read_pixels"]


@dataclass(frozen=True, kw_only=True)
class DxaPixels:
    """One picture.

    Attributes
    ----------
    grey
        float32 (rows, columns), 0 to 1, bone bright.
    coloured
        bool of the same shape: pixels that are not grey, so drawn or printed.
    said
        How the picture was stored, in words.
    relative
        True where nothing says how deep pixels are shown, so that ``grey`` only spans their range; the crop then scales them by the
        column alone, lest a printed letter move the scale.
    """

    grey: GreyArray
    coloured: Mask
    said: str
    relative: bool = False

    def inverted(self) -> "DxaPixels":
        """The same picture with the other polarity, for a header that lies."""
        return replace(self, grey=np.float32(1) - self.grey, said=f"{self.said}, inverted against its header")


def read_pixels(path: Path) -> DxaPixels:
    """Read one file's picture.

    Raises
    ------
    Refusal
        As :func:`grey_of`, and where the file cannot be read.
    """
    return grey_of(read_with_pixels(path, KEYWORDS), path.name)


def grey_of(dataset: Dataset, name: str) -> DxaPixels:
    """The picture of a data set.

    MONOCHROME1 is inverted (PS3.3 C.7.6.3.1.2), PALETTE COLOR looked up (C.7.6.3.1.5), YBR turned into RGB. Depths above eight bits pass
    their linear window (C.11.2.1.2) where there is one, else the range between their least and greatest value.

    Raises
    ------
    Refusal
        ``MULTIFRAME_NOT_READ``; ``UNREADABLE_PIXELS`` also for a photometric interpretation unknown here.
    """
    stored = stored_pixels(dataset, name)
    with tolerant():
        kind = text_of(dataset, "PhotometricInterpretation").upper()
        samples = integer_of(dataset, "SamplesPerPixel") or 1
        if stored.ndim != (2 if samples == 1 else 3):
            raise Refusal(ReasonCode.MULTIFRAME_NOT_READ, f"{name} holds {stored.shape[0]} frames; a DXA picture is one.")
        try:
            if kind in ("MONOCHROME1", "MONOCHROME2", ""):
                grey, relative = _monochrome(stored, dataset)
                coloured = np.zeros(grey.shape, dtype=np.bool_)
            else:
                (grey, coloured), relative = colour_grey(stored, kind, dataset, name), False
        except READ_ERRORS as error:
            raise Refusal(ReasonCode.UNREADABLE_PIXELS, f"The {kind} pixels of {name} cannot be turned into grey: {error}.") from error
    if kind == "MONOCHROME1":
        grey = np.float32(1) - grey
    bits = integer_of(dataset, "BitsStored") or integer_of(dataset, "BitsAllocated") or 0
    said = f"{kind or 'grey'}, {bits} bit"
    return DxaPixels(grey=np.ascontiguousarray(grey, dtype=np.float32), coloured=coloured, said=said, relative=relative)


def _monochrome(stored: NDArray[Any], dataset: Dataset) -> tuple[GreyArray, bool]:
    """Grey values, and whether they are relative to their own range. The first window counts; eight bits without a slope need none."""
    bits = integer_of(dataset, "BitsStored") or 8 * stored.dtype.itemsize
    values = modality_values(stored, dataset)
    if bits <= 8 and values is stored:
        return np.asarray(np.clip(stored / (2**bits - 1), 0, 1), dtype=np.float32), False
    for window in windows(dataset)[:1]:
        return np.asarray(windowed(values, *window), dtype=np.float32), False
    low, high = float(values.min()), float(values.max())
    return np.asarray((values - low) / max(high - low, 1e-9), dtype=np.float32), True
