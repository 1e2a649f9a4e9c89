"""Lay the drawn chest over a small film: at every place, in many sizes, in the four quarter turns and in both polarities."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from inference.cxr.small import area_means, ranked
from inference.cxr.thorax import BOTTOM, SIDE, TOP, Hand, draw
from inference.radiograph_pixels import GreyArray, Mask

LONG_SIDE = 56
"""Pixels along the longer side of the film that is looked at: ribs and vessels are gone, lungs and heart are left."""
_HEIGHTS = tuple(np.linspace(0.5, 1.3, 11).tolist())
"""Of the drawing, over the film's."""
_ASPECTS = (0.75, 0.90, 1.05, 1.20, 1.40)
"""Width over height of the drawing."""
_MIN_SEEN = 0.8
"""At least this share of the drawing's weight lies on the film."""
_FINER = (0.94, 1.0, 1.06)
_FEW = 3
_COMPARABLE = 0.15
"""A placement whose column is not this much brighter than its lungs is none that another could be mistaken for."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where the drawing lies best, for one quarter turn, polarity and hand.

    Attributes
    ----------
    quarters, negative
        Counter-clockwise turns of the film before the drawing is laid on it; whether the film's greys are inverted.
    hand
        Of the drawing.
    score
        Weighted correlation of drawing and ranks, -1 to 1.
    box
        First row and column of the drawing and its rows and columns, in pixels of the turned small film; may lie partly outside.
    """

    quarters: int
    negative: bool
    hand: Hand
    score: float
    box: tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class ThoraxFit:
    """The best placement, and how sure it is.

    Attributes
    ----------
    best
        The placement. Its hand is the one that fits better, however little.
    runner_up
        Score of the best placement of another turn or polarity that has a column between two lungs, too; -1 where none has.
    column_over_lungs
        Mean rank of the column above that of the brighter lung: two lungs with a column between them, or not.
    sided
        Score with the heart drawn on the right of the turned image, less that with the heart on the left. The mirrored film has the same
        with the other sign.
    lungs
        Top, left, bottom, right of the lungs on the turned film, each a fraction of its height or width; may reach beyond 0 to 1.
    """

    best: Placement
    runner_up: float
    column_over_lungs: float
    sided: float
    lungs: tuple[float, float, float, float]

    @property
    def lead(self) -> float:
        """How far the best placement is ahead of every other turn and polarity."""
        return self.best.score - self.runner_up


@dataclass(frozen=True, kw_only=True)
class _Small:
    """The small film as ranks from 0 to 1, and where it is known."""

    ranks: GreyArray
    valid: Mask

    def turned(self, quarters: int) -> "_Small":
        return _Small(ranks=np.rot90(self.ranks, quarters), valid=np.rot90(self.valid, quarters))


def fit_thorax(grey: GreyArray, known: Mask) -> ThoraxFit:
    """Find the chest on a film. A turned, mirrored or inverted film gives the same placement, turned, mirrored or negative.

    Parameters
    ----------
    grey
        float (rows, columns), bone bright if the header is right.
    known
        Pixels that show something: no padding, border or print.
    """
    seen = area_means(known, LONG_SIDE)
    small = area_means(np.where(known, grey, np.float32(0)), LONG_SIDE) / np.maximum(seen, np.float32(1e-3))
    valid = np.asarray(seen > 0.5, dtype=np.bool_)
    film = _Small(ranks=ranked(np.asarray(small, dtype=np.float32), valid), valid=valid)
    coarse = sorted((found for quarters in range(4) for found in _placements(film, quarters)), key=lambda placement: -placement.score)
    finer = sorted((_handed(film, placement) for placement in coarse[:_FEW]), key=lambda fit: -fit.best.score)
    others = [fit.best.score for fit in finer[1:] if fit.column_over_lungs >= _COMPARABLE]
    others += [placement.score for placement in coarse[_FEW:] if _column_over_lungs(film, placement) >= _COMPARABLE]
    return replace(finer[0], runner_up=max(others, default=-1.0))


def _placements(film: _Small, quarters: int) -> tuple[Placement, Placement]:
    """The best of each polarity for one turn, by the drawing without sides."""
    turned = film.turned(quarters)
    rows, columns = turned.ranks.shape
    sizes = {(round(height * rows), round(height * rows * aspect)) for height in _HEIGHTS for aspect in _ASPECTS}
    fitting = [(h, w) for h, w in sorted(sizes) if 0.5 * columns <= w <= 1.4 * columns and h >= 8]
    return _best_of(turned, fitting or [(rows, columns)], quarters, Hand.NEITHER)


def _handed(film: _Small, start: Placement) -> ThoraxFit:
    """The placement in finer sizes with the heart drawn on either side, and which fits better."""
    turned = film.turned(start.quarters)
    height, width = start.box[2:]
    sizes = sorted({(round(height * a), round(width * b)) for a in _FINER for b in _FINER})
    right, left = (_best_of(turned, sizes, start.quarters, hand)[int(start.negative)] for hand in (Hand.RIGHT, Hand.LEFT))
    best = max(right, left, key=lambda placement: placement.score)
    return ThoraxFit(
        best=best,
        runner_up=-1.0,
        column_over_lungs=_column_over_lungs(film, best),
        sided=right.score - left.score,
        lungs=_lungs(best, turned.ranks.shape),
    )


def _best_of(turned: _Small, sizes: list[tuple[int, int]], quarters: int, hand: Hand) -> tuple[Placement, Placement]:
    """The best placement of each polarity."""
    best = [(-inf, (0, 0, *turned.ranks.shape))] * 2
    for correlation, (height, width) in _correlations(turned, sizes, hand):
        for index, sign in enumerate((1, -1)):
            place = int(np.argmax(sign * correlation))
            score = float(sign * correlation.flat[place])
            if score > best[index][0]:
                top, left = divmod(place, correlation.shape[1])
                half = correlation.shape[0] // 2
                best[index] = (score, (_signed(top, half), _signed(left, half), height, width))
    found = [Placement(quarters=quarters, negative=bool(k), hand=hand, score=score, box=box) for k, (score, box) in enumerate(best)]
    return found[0], found[1]


def _signed(shift: int, half: int) -> int:
    """Circular shifts beyond the half are negative ones."""
    return shift - 2 * half if shift > half else shift


def _correlations(turned: _Small, sizes: list[tuple[int, int]], hand: Hand) -> Iterator[tuple[NDArray[np.float32], tuple[int, int]]]:
    """Weighted correlation of each size of the drawing with the film at every shift; 0 where too little of the drawing is seen.

    Weighted means and variances are sums over w·x, w·x² and w·x·t; each is a correlation of two images, done by Fourier transform.
    """
    ranks, valid = turned.ranks, turned.valid
    side = _side(ranks.shape, sizes)
    films = [fft.rfft2(image.astype(np.float32), (side, side)) for image in (valid, ranks * valid, ranks * ranks * valid)]
    for size in sizes:
        drawing = draw(*size, hand)
        drawn = [np.conj(fft.rfft2(drawing.weight * power, (side, side))) for power in (1, drawing.value, drawing.value**2)]

        def product(film: int, power: int, drawn: list[NDArray[np.complex64]] = drawn) -> NDArray[np.float32]:
            return np.asarray(fft.irfft2(films[film] * drawn[power], (side, side)), dtype=np.float32)

        weight = product(0, 0)
        enough = np.maximum(weight, np.float32(1e-6))
        mean_x, mean_t = product(1, 0) / enough, product(0, 1) / enough
        variance_x, variance_t = product(2, 0) / enough - mean_x**2, product(0, 2) / enough - mean_t**2
        covariance = product(1, 1) / enough - mean_x * mean_t
        spread = np.sqrt(np.maximum(variance_x * variance_t, np.float32(1e-4)))
        yield np.where(weight >= _MIN_SEEN, covariance / spread, np.float32(0)), size


def _side(shape: tuple[int, ...], sizes: list[tuple[int, int]]) -> int:
    """An even size of transform that no shift wraps around in."""
    side = int(fft.next_fast_len(max(shape) + max(max(size) for size in sizes), real=True))
    while side % 2:
        side = int(fft.next_fast_len(side + 1, real=True))
    return side


def _column_over_lungs(film: _Small, placement: Placement) -> float:
    means = _means(film, placement)
    return means["column"] - max(means["lung_left"], means["lung_right"])


def _lungs(placement: Placement, shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    """The box of the lungs, in shares of the turned film."""
    top, left, height, width = placement.box
    per_v, per_u = height / (BOTTOM - TOP), width / (2 * SIDE)
    first_row, first_column = top - TOP * per_v, left + (SIDE - 1) * per_u
    rows, columns = shape[0], shape[1]
    return (first_row / rows, first_column / columns, (first_row + per_v) / rows, (first_column + 2 * per_u) / columns)


def _means(film: _Small, placement: Placement) -> dict[str, float]:
    """Mean rank in each part of the drawing, as far as it is seen; 0.5 where it is not."""
    turned = film.turned(placement.quarters)
    shown = 1 - turned.ranks if placement.negative else turned.ranks
    top, left, height, width = placement.box
    rows, columns = np.arange(height) + top, np.arange(width) + left
    inside = ((rows >= 0) & (rows < shown.shape[0]))[:, None] & ((columns >= 0) & (columns < shown.shape[1]))[None, :]
    place = np.ix_(np.clip(rows, 0, shown.shape[0] - 1), np.clip(columns, 0, shown.shape[1] - 1))
    values, seen = shown[place], turned.valid[place] & inside
    parts = draw(height, width, placement.hand).parts
    return {name: float(values[part & seen].mean()) if (part & seen).any() else 0.5 for name, part in parts.items()}
