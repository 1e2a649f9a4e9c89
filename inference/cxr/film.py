"""A chest film in one form: float32 from 0 to 1, bone bright, upright, its border cut off, and the way back to the stored pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.cxr.area import Box, FilmArea, fill_print
from inference.cxr.turns import Turn
from inference.errors import ReasonCode, Refusal
from inference.radiograph_pixels import GreyArray, RadiographPixels

MIN_LUNGS = 128
"""Pixels from the apices to the lowest angle of the diaphragm; a rib is then three pixels high."""
_TONES = (0.5, 99.5)
_AROUND = 0.06
"""Greys are scaled by the lungs' box and this share of it beyond: the column, ribs and upper abdomen, whatever lies outside."""
_OWN_PRINT = 0.02


@dataclass(frozen=True, kw_only=True)
class NormalisedFilm:
    """A film as a network gets it.

    Attributes
    ----------
    image
        float32 (rows, columns), 0 to 1, at the resolution of the file: 0 and 1 are the 0.5th and 99.5th percentile of the chest. Upright,
        the patient's left on the right (as far as :attr:`side_certain`), cropped, padding black, burned-in letters outside the lungs filled
        from beside them.
    to_stored
        float64 (2, 3): (row, column, 1) on ``image`` to (row, column) on the stored image, both counted from 0 at pixel centres.
    lungs
        Top, left, bottom, right of the lungs on ``image``, in pixels, from a coarse drawing; may reach beyond the image.
    turn, negative
        How the stored image was turned; whether the grey scale that its header states was inverted.
    side_certain
        Whether the image or the header tells the patient's left from right. Else the film is as it was stored.
    spacing_mm
        Between rows and between columns of ``image``; None where the header states none.
    filled
        How many burned-in lines were filled.
    """

    image: GreyArray
    to_stored: NDArray[np.float64]
    lungs: tuple[float, float, float, float]
    turn: Turn
    negative: bool
    side_certain: bool
    spacing_mm: tuple[float, float] | None
    filled: int

    def stored_points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 2) rows and columns on the stored image of (N, 2) points on :attr:`image`."""
        return np.asarray(points, dtype=np.float64) @ self.to_stored[:, :2].T + self.to_stored[:, 2]


def normalise(
    pixels: RadiographPixels,
    area: FilmArea,
    turn: Turn,
    lungs: tuple[float, float, float, float],
    *,
    negative: bool,
    side_certain: bool,
    spacing_mm: tuple[float, float] | None,
) -> NormalisedFilm:
    """Bring a film into the one form.

    Parameters
    ----------
    lungs
        Top, left, bottom, right as shares of the turned whole image.
    spacing_mm
        Between rows and columns as stored.

    Raises
    ------
    Refusal
        ``ROI_TOO_SMALL`` where the lungs have too few pixels; ``BURNED_IN_TEXT`` where letters stand on them.
    """
    shape = (pixels.grey.shape[0], pixels.grey.shape[1])
    turned_shape = shape if turn.quarters % 2 == 0 else (shape[1], shape[0])
    corner, end = turned_box(area.box, shape, turn)
    top, left, bottom, right = (share * turned_shape[axis % 2] for axis, share in enumerate(lungs))
    if bottom - top < MIN_LUNGS:
        raise Refusal(ReasonCode.ROI_TOO_SMALL, f"The lungs are {bottom - top:.0f} pixels high; at least {MIN_LUNGS} are needed.")
    lines = lines_to_fill(area, shape, turn, (top, left, bottom, right))
    grey = np.float32(1) - pixels.grey if negative else pixels.grey.copy()
    printed = np.zeros(shape, dtype=np.bool_)
    for first_row, first_column, last_row, last_column in lines:
        printed[first_row:last_row, first_column:last_column] = True
    fill_print(grey, printed)
    window = (slice(corner[0], end[0]), slice(corner[1], end[1]))
    image = np.ascontiguousarray(turn.apply(grey)[window], dtype=np.float32)
    known = turn.apply(pixels.known)[window]
    box = (top - corner[0], left - corner[1], bottom - corner[0], right - corner[1])
    return NormalisedFilm(
        image=_scaled(image, np.asarray(known, dtype=np.bool_), box),
        to_stored=turn.to_stored(shape, corner),
        lungs=box,
        turn=turn,
        negative=negative,
        side_certain=side_certain,
        spacing_mm=spacing_mm if spacing_mm is None or turn.quarters % 2 == 0 else (spacing_mm[1], spacing_mm[0]),
        filled=len(lines),
    )


def turned_box(box: Box, shape: tuple[int, int], turn: Turn) -> tuple[tuple[int, int], tuple[int, int]]:
    """First row and column, and one past the last, on the turned image of a box of stored pixels."""
    affine = turn.to_stored(shape)
    corners = np.array([[box[0], box[1]], [box[2] - 1, box[3] - 1]], dtype=np.float64)
    turned = np.rint((corners - affine[:, 2]) @ affine[:, :2]).astype(np.int64)  # the inverse of a turn is its transpose
    low, high = turned.min(axis=0), turned.max(axis=0) + 1
    return (int(low[0]), int(low[1])), (int(high[0]), int(high[1]))


def lines_to_fill(area: FilmArea, shape: tuple[int, int], turn: Turn, lungs: tuple[float, float, float, float]) -> tuple[Box, ...]:
    """Lines of print that may be filled, as stored: those beside the chest, and level ones above and below it.

    Of what stands upright on the upright film, above, on or below the lungs, nothing is touched: it is more often the row of spinous
    processes, or the rings of the windpipe, than print, and bones must not be filled.

    Raises
    ------
    Refusal
        ``BURNED_IN_TEXT`` where a level line stands on the lungs.
    """
    top, left, bottom, right = lungs
    slack = _OWN_PRINT * (bottom - top)
    lines = []
    for box in area.print_boxes:
        first, last = turned_box(box, shape, turn)
        across = first[1] < right - slack and last[1] > left + slack
        upright = last[0] - first[0] > last[1] - first[1]
        if not upright and stands_on((*first, *last), (top + slack, left + slack, bottom - slack, right - slack)):
            raise Refusal(ReasonCode.BURNED_IN_TEXT, "Text stands on the chest; a model must not read it, so the film is not used.")
        if not (across and upright):
            lines.append(box)
    return tuple(lines)


def stands_on(print_box: tuple[int, int, int, int], lungs: tuple[float, float, float, float]) -> bool:
    """Whether print lies on the lungs: in their box, but not in its upper corners, beyond an ellipse through the middles of its sides.

    The apices are round. What stands beside them, on shoulder and neck, is where marks such as ``L AP`` are put.

    Parameters
    ----------
    print_box, lungs
        Top, left, bottom, right on the upright film.
    """
    top, left, bottom, right = lungs
    first_row, first_column, last_row, last_column = print_box
    if first_row >= bottom or last_row <= top or first_column >= right or last_column <= left:
        return False
    middle_row, middle_column = (top + bottom) / 2, (left + right) / 2
    above = max(0.0, (middle_row - last_row) / (middle_row - top))
    beside = max(0.0, first_column - middle_column, middle_column - last_column) / (right - middle_column)
    return above**2 + beside**2 < 1


def _scaled(image: GreyArray, known: NDArray[np.bool_], lungs: tuple[float, float, float, float]) -> GreyArray:
    top, left, bottom, right = lungs
    rows, columns = _AROUND * (bottom - top), _AROUND * (right - left)
    chest = np.zeros(image.shape, dtype=np.bool_)
    chest[max(0, round(top - rows)) : max(0, round(bottom + rows)), max(0, round(left - columns)) : max(0, round(right + columns))] = True
    inside = image[chest & known]
    low, high = (float(value) for value in np.percentile(inside if len(inside) else image, _TONES))
    scaled = np.clip((image - np.float32(low)) / np.float32(max(high - low, 1e-6)), 0, 1)
    return np.where(known, scaled, np.float32(0))
