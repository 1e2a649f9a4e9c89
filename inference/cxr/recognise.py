"""One film: is it a frontal chest, why, and which way it lies. The header is asked first; the image must agree with it, and answers for it.

The limits were set on simulated films, frontal, lateral and of the abdomen, and looked at on real ones; ``docs/cxr.md`` has the figures.
"""

from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from inference.cxr.area import find_area
from inference.cxr.film import NormalisedFilm, normalise
from inference.cxr.fit import ThoraxFit, fit_thorax
from inference.cxr.thorax import Hand
from inference.cxr.turns import Turn
from inference.cxr.view import KEYWORDS, HeaderView, View, header_view
from inference.errors import ReasonCode, Refusal
from inference.errors import WarningCode as Code
from inference.findings import Notice, Reason
from inference.radiograph_pixels import RadiographPixels, read_radiograph
from inference.reading import InstanceHeader
from inference.tolerant import read_dataset

SURE_SCORE, SURE_COLUMN, SURE_LEAD = 0.68, 0.25, 0.05
"""Of a film as displayed. On simulated frontal films no value lay below 0.77, 0.32 and 0.13; on lateral and abdominal ones as displayed no
column stood out by more than 0.1."""
TURNED_SCORE, TURNED_COLUMN, TURNED_LEAD = 0.72, 0.30, 0.08
"""Of one that lies turned, or whose polarity is wrong: rare, so it must be clearer."""
BOTH_SCORE, BOTH_COLUMN = 0.77, 0.32
"""Of one that is both, which only a header that names a frontal view can make believable: a lateral film turned by a quarter and inverted
shows a column between two bands, too (up to 0.76 and 0.28)."""
POSSIBLE_SCORE, POSSIBLE_COLUMN = 0.55, 0.20
"""Enough for a film as displayed that its header calls frontal: disease may hide a lung."""
SURE_SIDE = 0.02
"""The drawing with the heart on one side fits better by this than with it on the other; on simulated films by 0.03 at least."""
_MAX_COLOURED = 0.02
_BY_HEART, _BY_HEADER = "heart", "Patient Orientation"


@dataclass(frozen=True, kw_only=True)
class FilmDecision:
    """What became of one film.

    Attributes
    ----------
    sop_instance_uid, path
        Which one.
    used
        Whether it is a frontal chest in a form that can be measured.
    view
        PA, AP, or frontal where only the image tells; None where it is not used.
    because
        The decision in words: view, polarity, position, area.
    reason
        Why it is not used; None where it is.
    film
        The film in the one form; None where it is not used.
    fit
        What the image itself told; None where the header decided.
    notices
        What a reader must know: turned, inverted, view from the image, sides not certain, print filled.
    """

    sop_instance_uid: str
    path: Path | None
    used: bool
    view: View | None
    because: str
    reason: Reason | None
    film: NormalisedFilm | None = None
    fit: ThoraxFit | None = None
    notices: tuple[Notice, ...] = ()


def decide_film(header: InstanceHeader) -> FilmDecision:
    """Decide on one file. Never raises a refusal: it is the decision."""
    try:
        dataset = None if header.path is None else read_dataset(header.path, KEYWORDS, stop_before_pixels=True)
        named = header_view(header, dataset)
        if header.path is not None:
            return decide_pixels(header, named, read_radiograph(header.path))
    except Refusal as refusal:
        return refused_film(header, refusal.code, refusal.text)
    return refused_film(header, ReasonCode.UNREADABLE_PIXELS, "The image itself is not at hand.")


def decide_dataset(header: InstanceHeader, dataset: Dataset, pixels: RadiographPixels) -> FilmDecision:
    """As :func:`decide_film` for a data set in memory and its pixels."""
    try:
        return decide_pixels(header, header_view(header, dataset), pixels)
    except Refusal as refusal:
        return refused_film(header, refusal.code, refusal.text)


def decide_pixels(header: InstanceHeader, named: HeaderView, pixels: RadiographPixels) -> FilmDecision:
    """Decide on a film that its header calls frontal, or says nothing of.

    Raises
    ------
    Refusal
        ``NOT_FRONTAL``, ``WRONG_BODY_PART``, ``ORIENTATION_UNCERTAIN`` or ``REPORT_PAGE`` by the image; as
        :func:`inference.cxr.film.normalise`.
    """
    coloured = float(pixels.coloured.mean())
    if coloured > _MAX_COLOURED:
        raise Refusal(ReasonCode.REPORT_PAGE, f"{100 * coloured:.0f} % of the image is coloured: a page or a drawing, not a film.")
    area = find_area(pixels)
    fit = fit_thorax(pixels.grey, area.shown)
    check_fit(fit, named)
    mirrored, side_certain, side = side_of(fit, named)
    turn = Turn(quarters=fit.best.quarters, mirrored=mirrored)
    top, left, bottom, right = fit.lungs
    lungs = (top, 1 - right, bottom, 1 - left) if mirrored else fit.lungs
    film = normalise(pixels, area, turn, lungs, negative=fit.best.negative, side_certain=side_certain, spacing_mm=named.spacing_mm)
    looks = f"the image shows two lungs beside a column ({measured(fit)})"
    rows, columns = film.image.shape
    cut = f", border cut off, {rows} x {columns} pixels left" if area.cropped else f", {rows} x {columns} pixels"
    return FilmDecision(
        sop_instance_uid=header.sop_instance_uid,
        path=header.path,
        used=True,
        view=named.view or View.FRONTAL,
        because=f"Frontal chest film: {named.because}; {looks}; {pixels.said}{cut}.",
        reason=None,
        film=film,
        fit=fit,
        notices=_notices(named, film, side),
    )


def check_fit(fit: ThoraxFit, named: HeaderView) -> None:
    """Refuse a film that does not look like a frontal chest, or not clearly enough for the way it lies.

    Raises
    ------
    Refusal
        ``ORIENTATION_UNCERTAIN`` where the header calls a film frontal that fits better turned or inverted, but not clearly;
        ``WRONG_BODY_PART`` where nothing names the chest; else ``NOT_FRONTAL``.
    """
    as_displayed = fit.best.quarters == 0 and not fit.best.negative
    if any(_reaches(fit, *limits) for limits in _limits(fit, named)):
        return
    seen = f"the image does not clearly show two lungs beside a column ({measured(fit)})"
    if not as_displayed and named.view is not None and fit.column_over_lungs >= POSSIBLE_COLUMN:
        text = f"{named.because}, but {seen}, and it fits better turned or inverted: which way it lies is not certain."
        raise Refusal(ReasonCode.ORIENTATION_UNCERTAIN, _sentence(text))
    chest = named.chest or named.view is not None
    text = f"{named.because}, and {seen}: no frontal chest film." if named.view is None else f"{named.because}, but {seen}."
    raise Refusal(ReasonCode.NOT_FRONTAL if chest else ReasonCode.WRONG_BODY_PART, _sentence(text))


def _limits(fit: ThoraxFit, named: HeaderView) -> tuple[tuple[float, float, float], ...]:
    """Least score, column and lead, each set of which is enough for the way in which a film fits best."""
    turned, negative = fit.best.quarters != 0, fit.best.negative
    if turned and negative:
        return ((BOTH_SCORE, BOTH_COLUMN, TURNED_LEAD),) if named.view is not None else ()
    if turned or negative:
        return ((TURNED_SCORE, TURNED_COLUMN, TURNED_LEAD),)
    sure = (SURE_SCORE, SURE_COLUMN, SURE_LEAD)
    return (sure, (POSSIBLE_SCORE, POSSIBLE_COLUMN, 0.0)) if named.view is not None else (sure,)


def _reaches(fit: ThoraxFit, score: float, column: float, lead: float) -> bool:
    return fit.best.score >= score and fit.column_over_lungs >= column and fit.lead >= lead


def side_of(fit: ThoraxFit, named: HeaderView) -> tuple[bool, bool, str]:
    """Whether the film must be mirrored, whether that is certain, and what told. The image speaks before the header."""
    if abs(fit.sided) >= SURE_SIDE:
        mirrored = fit.best.hand is Hand.LEFT
        return mirrored, True, _BY_HEART
    upright = fit.best.quarters == 0
    if named.rows_run_left is not None and upright:
        return not named.rows_run_left, True, _BY_HEADER
    return False, False, ""


def measured(fit: ThoraxFit) -> str:
    """What the image told, as figures."""
    way = Turn(quarters=fit.best.quarters).said or "as stored"
    negative = ", inverted" if fit.best.negative else ""
    return f"fit {fit.best.score:.2f}, {fit.lead:.2f} ahead, column {fit.column_over_lungs:+.2f}; {way}{negative}"


def refused_film(header: InstanceHeader, code: ReasonCode, text: str) -> FilmDecision:
    """A film that is not used."""
    reason = Reason(code=code, text=text)
    return FilmDecision(sop_instance_uid=header.sop_instance_uid, path=header.path, used=False, view=None, because=text, reason=reason)


def _notices(named: HeaderView, film: NormalisedFilm, side: str) -> tuple[Notice, ...]:
    """What a reader must know beside a number from this film."""
    turned = film.turn.said
    dextrocardia = " by the heart's side: a heart on the right would look the same" if film.turn.mirrored and side == _BY_HEART else ""
    lines = f"{film.filled} line{'s' if film.filled > 1 else ''}"
    found = (
        (named.view is None, Code.VIEW_FROM_IMAGE, "The header does not say the view; that it is frontal was decided from the image."),
        (named.view is View.AP, Code.AP_FILM, "The film is AP: heart and mediastinum are magnified, and it may have been taken in bed."),
        (film.negative, Code.POLARITY_WRONG, "The polarity in the header is wrong: the image was inverted, so that bone is bright."),
        (bool(turned), Code.FILM_TURNED, f"The film lies otherwise than films are shown; it was {turned}{dextrocardia}."),
        (not film.side_certain, Code.SIDE_UNCERTAIN, "Neither image nor header tells left from right; the film is taken as it is stored."),
        (film.filled > 0, Code.PRINT_FILLED, f"{lines} of burned-in text beside the lungs were filled from beside it."),
        (film.spacing_mm is None, Code.PIXEL_SIZE_UNKNOWN, "The header gives no size of a pixel."),
    )
    return tuple(Notice(code=code, text=text) for holds, code, text in found if holds)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
