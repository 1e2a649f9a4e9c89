"""Chest radiographs: every film is recognised and brought into one form, the best frontal one is chosen, and models read it.

Without models that the site allows, a study with a usable film is refused for want of a model; which film would be used, how it lies and
why the others are not is told either way.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

from inference.cxr.findings import CxrFindings
from inference.cxr.measure import Measured, measure_film, open_models
from inference.cxr.options import CxrOptions
from inference.cxr.recognise import FilmDecision, decide_film, refused_film
from inference.cxr.view import View, check_body_part, check_frontal
from inference.errors import ReasonCode, Refusal, WarningCode
from inference.findings import Findings, Notice, Outcome, Reason, SkippedFile
from inference.identity import check_identity
from inference.pixels import LOSSY_SYNTAXES
from inference.reading import InstanceHeader
from inference.workflows.radiograph import NO_PIXELS, check_human, check_presentation

__all__ = ["check_body_part", "check_frontal", "run"]

_ORDER = (View.PA, View.FRONTAL, View.AP)
"""Of several films the first of these is used: PA shows the chest with the least magnification."""


def run(headers: Sequence[InstanceHeader], options: CxrOptions) -> Findings:
    """Findings of one study of chest radiographs.

    Parameters
    ----------
    headers
        Every instance of the study, with its path.

    Returns
    -------
    Findings
        Never raises a Refusal: a refused study has its reason.

    Raises
    ------
    PermanentError
        The site's thresholds or table of references cannot be used.
    """
    started = time.perf_counter()
    try:
        notices = check_identity(headers)
    except Refusal as refusal:
        return _findings(headers, Reason(code=refusal.code, text=refusal.text), (), (), None, {"total": time.perf_counter() - started})
    images = [header for header in headers if not header.sop_class_uid.startswith(NO_PIXELS)]
    films = _one_used(tuple(_decide(header) for header in images))
    timings_s = {"reading": time.perf_counter() - started}
    cxr, reason = CxrFindings(films=films), None
    try:
        measured = _measured(cxr, images, options)
    except Refusal as refusal:
        reason = Reason(code=refusal.code, text=refusal.text)
    else:
        cxr, notices = replace(cxr, measurement=measured.measurement), notices + measured.notices
        timings_s |= measured.timings_s
    skipped = [_skipped(film) for film in films if film.reason is not None]
    skipped += [_without_pixels(header) for header in headers if header not in images]
    timings_s["total"] = time.perf_counter() - started
    return _findings(headers, reason, notices + _film_notices(cxr, images), tuple(skipped), cxr, timings_s)


def _measured(cxr: CxrFindings, images: Sequence[InstanceHeader], options: CxrOptions) -> Measured:
    """What models say of the used film.

    Raises
    ------
    Refusal
        No film is used: what became of the first one; as :func:`inference.cxr.measure.measure_film`.
    """
    used = cxr.used
    if used is None or used.film is None:
        reasons = [film.reason for film in cxr.films if film.reason is not None]
        first = reasons[0] if reasons else Reason(code=ReasonCode.NO_SUITABLE_SERIES, text="The study holds no image.")
        raise Refusal(first.code, first.text)
    return measure_film(used.film, open_models(options), _header_of(used, images).patient_sex)


def _header_of(film: FilmDecision, images: Sequence[InstanceHeader]) -> InstanceHeader:
    return next(header for header in images if header.sop_instance_uid == film.sop_instance_uid)


def _decide(header: InstanceHeader) -> FilmDecision:
    try:
        check_human(header)
        check_presentation(header)
    except Refusal as refusal:
        return refused_film(header, refusal.code, refusal.text)
    return decide_film(header)


def _one_used(films: tuple[FilmDecision, ...]) -> tuple[FilmDecision, ...]:
    """Of several frontal films one is used: PA before AP, then the one that shows the lungs on most pixels."""
    candidates = [film for film in films if film.used]
    if len(candidates) < 2:
        return films
    best = min(candidates, key=_rank)
    text = f"Another film of the study suits better (instance {best.sop_instance_uid})."
    reason = Reason(code=ReasonCode.OTHER_SERIES_PREFERRED, text=text)
    return tuple(
        film if not film.used or film is best else replace(film, used=False, because=f"{film.because} {text}", reason=reason, film=None)
        for film in films
    )


def _rank(decision: FilmDecision) -> tuple[int, float]:
    view = _ORDER.index(decision.view) if decision.view is not None else len(_ORDER)
    if decision.film is None:
        return view, 0.0
    top, _, bottom, _ = decision.film.lungs
    return view, top - bottom


def _film_notices(cxr: CxrFindings, images: Sequence[InstanceHeader]) -> tuple[Notice, ...]:
    """What the used film's reader must know."""
    used = cxr.used
    if used is None:
        return ()
    header = _header_of(used, images)
    lossy = header.lossy_image_compression == "01" or header.transfer_syntax_uid in LOSSY_SYNTAXES
    text = "The film was compressed with loss; fine structure of bone may be altered."
    return used.notices + ((Notice(code=WarningCode.LOSSY_COMPRESSION, text=text),) if lossy else ())


def _skipped(film: FilmDecision) -> SkippedFile:
    path = str(film.path) if film.path else f"instance {film.sop_instance_uid}"
    reason = film.reason or Reason(code=ReasonCode.INTERNAL_ERROR, text=film.because)
    return SkippedFile(path=path, reason=reason)


def _without_pixels(header: InstanceHeader) -> SkippedFile:
    path = str(header.path) if header.path else f"instance {header.sop_instance_uid}"
    return SkippedFile(path=path, reason=Reason(code=ReasonCode.NOT_AN_IMAGE, text="A report, presentation state or document."))


def _findings(
    headers: Sequence[InstanceHeader],
    reason: Reason | None,
    notices: tuple[Notice, ...],
    skipped: tuple[SkippedFile, ...],
    cxr: CxrFindings | None,
    timings_s: dict[str, float],
) -> Findings:
    finished = Outcome.RESULT_WITH_WARNINGS if notices else Outcome.RESULT
    measurement = None if cxr is None else cxr.measurement
    return Findings(
        study_instance_uid=headers[0].study_instance_uid,
        workflow="cxr",
        outcome=finished if reason is None else Outcome.REFUSED,
        reason=reason,
        warnings=notices,
        skipped=skipped,
        models=() if measurement is None else (measurement.density_model, measurement.landmark_model),
        cxr=cxr,
        timings_s=timings_s,
    )
