"""Letters burned into an image, as markers of lead and as captions."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

FloatArray = NDArray[np.float32]


@cache
def text_mask(text: str, height_px: int) -> FloatArray:
    """Coverage (rows, columns) from 0 to 1 of a line of text in Pillow's own typeface."""
    font = ImageFont.load_default(size=max(6, height_px))
    left, top, right, bottom = (int(np.floor(value)) for value in font.getbbox(text))
    page = Image.new("L", (max(1, right - left + 2), max(1, bottom - top + 2)))
    ImageDraw.Draw(page).text((1 - left, 1 - top), text, font=font, fill=255)
    return np.asarray(page, dtype=np.float32) / np.float32(255)


def burn_marker(grey: FloatArray, text: str, pitch_mm: float, *, height_mm: float = 14.0) -> FloatArray:
    """The image (0 to 1) with white letters at its upper right, beside the patient's left shoulder."""
    mask = text_mask(text, round(height_mm / pitch_mm))
    rows, columns = mask.shape
    row, column = round(0.07 * grey.shape[0]), round(0.95 * grey.shape[1]) - columns
    if column < 0 or row + rows > grey.shape[0]:
        raise ValueError(f"the marker {text!r} does not fit into an image of {grey.shape[1]} columns")
    out = grey.copy()
    view = out[row : row + rows, column : column + columns]
    view += (1 - view) * mask
    return out
