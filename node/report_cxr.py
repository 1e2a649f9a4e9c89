"""The JSON of a chest radiograph: every film's decision, and of the used one how it lies and where its chest is."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the node's own process reports and must not load what the workflows need
    from inference.cxr.film import NormalisedFilm
    from inference.cxr.findings import CxrFindings
    from inference.cxr.fit import ThoraxFit
    from inference.cxr.recognise import FilmDecision

Json = dict[str, Any]


def cxr_report(cxr: "CxrFindings | None") -> Json | None:
    """``cxr`` of the report; None for any other study."""
    return None if cxr is None else {"films": [_film(film) for film in cxr.films]}


def _film(decision: "FilmDecision") -> Json:
    return {
        "sop_instance_uid": decision.sop_instance_uid,
        "path": None if decision.path is None else str(decision.path),
        "used": decision.used,
        "view": None if decision.view is None else decision.view.value,
        "because": decision.because,
        "reason": None if decision.reason is None else {"code": decision.reason.code.value, "text": decision.reason.text},
        "position": _position(decision.film),
        "seen": _seen(decision.fit),
    }


def _position(film: "NormalisedFilm | None") -> Json | None:
    """How the film lies in its file; ``to_stored`` leads from (row, column, 1) on the upright film to (row, column) as stored."""
    if film is None:
        return None
    rows, columns = film.image.shape
    return {
        "quarter_turns_counter_clockwise": film.turn.quarters,
        "mirrored": film.turn.mirrored,
        "side_certain": film.side_certain,
        "inverted": film.negative,
        "rows": rows,
        "columns": columns,
        "to_stored": film.to_stored.tolist(),
        "lungs": dict(zip(("top", "left", "bottom", "right"), (round(value) for value in film.lungs), strict=True)),
        "spacing_mm": None if film.spacing_mm is None else list(film.spacing_mm),
        "printed_lines_filled": film.filled,
    }


def _seen(fit: "ThoraxFit | None") -> Json | None:
    if fit is None:
        return None
    return {"fit": round(fit.best.score, 2), "lead": round(fit.lead, 2), "column_over_lungs": round(fit.column_over_lungs, 2)}
