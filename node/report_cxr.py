"""The JSON of a chest radiograph: every film's decision, of the used one how it lies and where its chest is, and what models say of it."""

from typing import TYPE_CHECKING, Any

from inference.findings import Findings

if TYPE_CHECKING:  # the node's own process reports and must not load what the workflows need
    from inference.cxr.film import NormalisedFilm
    from inference.cxr.findings import CxrFindings, CxrMeasurement
    from inference.cxr.fit import ThoraxFit
    from inference.cxr.recognise import FilmDecision
    from inference.cxr.words import LevelReading

Json = dict[str, Any]


def cxr_report(cxr: "CxrFindings | None") -> Json | None:
    """``cxr`` of the report; None for any other study."""
    if cxr is None:
        return None
    film = None if cxr.used is None else cxr.used.film
    read = None if cxr.measurement is None or film is None else _measurement(cxr.measurement, film)
    return {"films": [_film(item) for item in cxr.films], "measurement": read}


def cxr_estimates(findings: Findings) -> list[Json]:
    """``estimates`` of the report: a model's density and T-score of each level. None of them was measured by DXA.

    Densities carry two decimals and T-scores one: finer than the model's error, and no finer.
    """
    measurement = None if findings.cxr is None else findings.cxr.measurement
    if measurement is None:
        return []
    model = measurement.density_model
    by = f"model {model.name} {model.version}, trained on {model.trained_on}"
    return [{**_level(reading), "by": by} for reading in measurement.reading.levels]


def _level(reading: "LevelReading") -> Json:
    return {
        "level": reading.level,
        "bmd_g_cm2": round(reading.bmd_g_cm2, 2),
        "bmd_spread_g_cm2": None if reading.spread_g_cm2 is None else round(reading.spread_g_cm2, 2),
        "t_score": reading.t_score,
        "t_score_spread": None if reading.t_spread is None else round(reading.t_spread, 1),
        "threshold": reading.threshold,
        "low": reading.low,
        "members_low": reading.members_low,
        "members": reading.members,
        "because": reading.because,
    }


def _measurement(measurement: "CxrMeasurement", film: "NormalisedFilm") -> Json:
    """Landmarks and regions in pixels of the stored image; regions are counted from the outer edge of the first pixel."""
    from inference.cxr.rois import LANDMARKS, REGION_NAMES, ROI_NAMES
    from node.results.cxr import attention_percents, stored_boxes

    places = film.stored_points(measurement.estimate.landmarks)
    boxes = stored_boxes(film, measurement.estimate.rois.boxes)
    percents = attention_percents(measurement)
    edges = ("top", "left", "bottom", "right")
    return {
        "low": measurement.reading.low,
        "recommendation": measurement.reading.recommendation,
        "thresholds": measurement.limits.name,
        "densitometer": measurement.densitometer,
        "landmarks": {
            name: {"row": round(float(row), 1), "column": round(float(column), 1)}
            for name, (row, column) in zip(LANDMARKS, places, strict=True)
        },
        "regions": [
            {"name": name, **dict(zip(edges, (round(float(edge), 1) for edge in box), strict=True)), "on_film": round(float(share), 2)}
            for name, box, share in zip(ROI_NAMES, boxes, measurement.estimate.rois.inside, strict=True)
        ],
        "attention": {name: percents[name] / 100 for name in REGION_NAMES} if percents else None,
    }


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
