"""A projection image as a viewer would show it: modality LUT, padding, VOI LUT or window, photometric interpretation. No anatomy here.

PS3.3 C.11.1 (modality LUT), C.7.5.1.1.2 (padding), C.11.2 (VOI LUT), C.7.6.3.1.2 (photometric interpretation), in this order.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, Sequence
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi, convert_color_space

from inference.errors import ReasonCode, Refusal
from inference.pixels import PIXEL_KEYWORDS, read_with_pixels, stored_pixels
from inference.tolerant import READ_ERRORS, integer_of, number_of, text_of, tolerant, value_of

_PALETTE = tuple(
    f"{colour}PaletteColorLookupTable{part}" for colour in ("Red", "Green", "Blue") for part in ("Descriptor", "Data")
) + tuple(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue"))
VOI_KEYWORDS = ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence")
KEYWORDS = (*PIXEL_KEYWORDS, *_PALETTE, *VOI_KEYWORDS)

COLOUR_DIFFERENCE = 24 / 255
"""Samples of a pixel further apart than this are a colour: no detector measures one. Lossy compression stays below."""
MIN_SPREAD = 0.08
"""A window under which the middle 90 % of the film span less of the grey scale than this shows nothing; the next one is tried."""

GreyArray = NDArray[np.float32]
Mask = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
_Voi = tuple[str, Callable[[], FloatArray]]


@dataclass(frozen=True, kw_only=True)
class RadiographPixels:
    """One film as its header wants it shown.

    Attributes
    ----------
    grey
        float32 (rows, columns), 0 black to 1 white.
    known
        bool of the same shape: False where the header declares padding.
    coloured
        Pixels that are not grey, so drawn or printed.
    said
        How the film was stored and which transform it is shown with, in words.
    """

    grey: GreyArray
    known: Mask
    coloured: Mask
    said: str


def read_radiograph(path: Path) -> RadiographPixels:
    """Read one file.

    Raises
    ------
    Refusal
        As :func:`radiograph_of`, and where the file cannot be read.
    """
    return radiograph_of(read_with_pixels(path, KEYWORDS), path.name)


def radiograph_of(dataset: Dataset, name: str) -> RadiographPixels:
    """The film of a data set, of 8 to 16 bits or in colour.

    Of several transforms the first is used that shows something: the items of the VOI LUT Sequence, then the windows, then all values
    from the least to the greatest.

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
            raise Refusal(ReasonCode.MULTIFRAME_NOT_READ, f"{name} holds {stored.shape[0]} frames; a radiograph is one.")
        try:
            if kind in ("MONOCHROME1", "MONOCHROME2", ""):
                return _monochrome(stored, dataset, kind)
            grey, coloured = colour_grey(stored, kind, dataset, name)
        except READ_ERRORS as error:
            raise Refusal(ReasonCode.UNREADABLE_PIXELS, f"The {kind} pixels of {name} cannot be turned into grey: {error}.") from error
    known = np.ones(grey.shape, dtype=np.bool_)
    return RadiographPixels(grey=grey, known=known, coloured=coloured, said=f"{kind}, {integer_of(dataset, 'BitsStored') or 8} bit")


def colour_grey(stored: NDArray[Any], kind: str, dataset: Dataset, name: str) -> tuple[GreyArray, Mask]:
    """Grey from 0 to 1 of a palette, RGB or YBR image (PS3.3 C.7.6.3.1.2), and which pixels are coloured.

    Raises
    ------
    Refusal
        ``UNREADABLE_PIXELS`` for another photometric interpretation.
    """
    if kind == "PALETTE COLOR":
        looked_up = apply_color_lut(stored, dataset)
        rgb = looked_up / float(np.iinfo(looked_up.dtype).max)
    elif kind in ("RGB", "YBR_ICT", "YBR_RCT"):  # the decoders undo the last two
        rgb = stored / float(2 ** (integer_of(dataset, "BitsStored") or 8) - 1)
    elif kind in ("YBR_FULL", "YBR_FULL_422"):
        rgb = convert_color_space(stored, kind, "RGB") / 255.0
    else:
        raise Refusal(ReasonCode.UNREADABLE_PIXELS, f"{name} has the photometric interpretation {kind!r}, which is not read here.")
    rgb = rgb[..., :3]
    coloured = (rgb.max(axis=-1) - rgb.min(axis=-1)) > COLOUR_DIFFERENCE
    return np.asarray(np.clip(rgb.mean(axis=-1), 0, 1), dtype=np.float32), coloured


def _monochrome(stored: NDArray[Any], dataset: Dataset, kind: str) -> RadiographPixels:
    known = ~_padding(stored, dataset)
    if not known.any():
        known = np.ones(stored.shape, dtype=np.bool_)
    values = modality_values(stored, dataset)
    shown, said = _shown(values, known, dataset)
    if kind == "MONOCHROME1":
        shown = 1.0 - shown
    bits = integer_of(dataset, "BitsStored") or integer_of(dataset, "BitsAllocated") or 8 * stored.dtype.itemsize
    padded = "" if known.all() else f", {100 * float((~known).mean()):.0f} % padding"
    return RadiographPixels(
        grey=np.ascontiguousarray(shown, dtype=np.float32),
        known=known,
        coloured=np.zeros(stored.shape, dtype=np.bool_),
        said=f"{kind or 'grey'}, {bits} bit, {said}{padded}",
    )


def _padding(stored: NDArray[Any], dataset: Dataset) -> Mask:
    """Pixels at Pixel Padding Value, or from it to Pixel Padding Range Limit, as stored (PS3.3 C.7.5.1.1.2)."""
    value = integer_of(dataset, "PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, dtype=np.bool_)
    limit = integer_of(dataset, "PixelPaddingRangeLimit")
    low, high = sorted((value, value if limit is None else limit))
    return np.asarray((stored >= low) & (stored <= high), dtype=np.bool_)


def modality_values(stored: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    """Values after the Modality LUT Sequence, else after Rescale Slope and Intercept; a slope of zero is no slope."""
    if value_of(dataset, "ModalityLUTSequence"):
        return apply_modality_lut(stored, dataset)
    slope, intercept = number_of(dataset, "RescaleSlope"), number_of(dataset, "RescaleIntercept")
    if not slope or (slope == 1.0 and not intercept):
        return stored
    return stored.astype(np.float64) * slope + (intercept or 0.0)


def _shown(values: NDArray[Any], known: Mask, dataset: Dataset) -> tuple[FloatArray, str]:
    """Grey from 0 to 1, and by which transform. A step of pixels is looked at to choose it."""
    for said, transform in _transforms(values, dataset):
        try:
            shown = transform()
        except READ_ERRORS:
            continue
        inside = shown[known]
        low, high = np.percentile(inside[:: max(1, inside.size // 100_000)], (5, 95))
        if high - low >= MIN_SPREAD:
            return shown, said
    inside = values[known]
    low, high = float(inside.min()), float(inside.max())
    return np.clip((values - low) / max(high - low, 1e-9), 0, 1), "its whole range of greys"


def _transforms(values: NDArray[Any], dataset: Dataset) -> Iterator[_Voi]:
    """The VOI transforms of a header, the preferred first."""
    items = value_of(dataset, "VOILUTSequence")
    for index in range(len(items) if isinstance(items, Sequence) else 0):
        whole = np.asarray(np.rint(values)).astype(np.int64)
        yield f"VOI LUT {index + 1}", partial(_looked_up, whole, dataset, index)
    for centre, width, function in windows(dataset):
        said = f"window {centre:g}/{width:g}" + ("" if function == "LINEAR" else f" {function.lower()}")
        yield said, partial(windowed, values, centre, width, function)


def _looked_up(values: NDArray[np.int64], dataset: Dataset, index: int) -> FloatArray:
    """Grey from 0 to 1 by an item of the VOI LUT Sequence; its descriptor tells the depth (PS3.3 C.11.2.1.1)."""
    depth = 2 ** int(dataset.VOILUTSequence[index].LUTDescriptor[2]) - 1
    return np.asarray(apply_voi(values, dataset, index=index) / float(depth))


def windows(dataset: Dataset) -> list[tuple[float, float, str]]:
    """Window Center, Window Width and VOI LUT Function of each window of a header that is a window."""
    function = text_of(dataset, "VOILUTFunction").upper() or "LINEAR"
    pairs = zip(_numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth"), strict=False)
    return [(centre, width, function) for centre, width in pairs if width > 0 and (width > 1 or function != "LINEAR")]


def windowed(values: NDArray[Any], centre: float, width: float, function: str = "LINEAR") -> FloatArray:
    """Grey from 0 to 1 by Window Center and Width: LINEAR, LINEAR_EXACT or SIGMOID (PS3.3 C.11.2.1.2, C.11.2.1.3)."""
    x = np.asarray(values, dtype=np.float64)
    if function == "SIGMOID":
        return np.asarray(1.0 / (1.0 + np.exp(np.clip(-4.0 * (x - centre) / width, -60, 60))))
    if function == "LINEAR_EXACT":
        return np.clip((x - centre) / width + 0.5, 0, 1)
    return np.clip((x - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)


def _numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """Every value of an attribute that may hold several, as far as they are numbers."""
    found = []
    for part in text_of(dataset, keyword).split("\\"):
        try:
            found.append(float(part))
        except ValueError:
            break
    return tuple(found)
