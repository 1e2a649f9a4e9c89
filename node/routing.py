"""Which workflow a study gets: a pure function of (headers, routes), and its reasons in words."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from pydicom.uid import UID

from inference.errors import ReasonCode
from inference.findings import Reason
from inference.reading import InstanceHeader
from node.config import Match, Route


@dataclass(frozen=True, kw_only=True)
class Considered:
    """One route, and why it did or did not match."""

    route: str
    matched: bool
    because: str


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The route of a study. ``reason`` is set exactly when no route matched."""

    study_instance_uid: str
    route: str | None
    workflow: str | None
    destinations: tuple[str, ...]
    on_refusal: str
    considered: tuple[Considered, ...]
    reason: Reason | None


@dataclass(frozen=True, kw_only=True)
class _Check:
    """One condition against one instance."""

    holds: bool
    because: str


@dataclass(frozen=True, kw_only=True)
class _SeriesMatch:
    """How far one series got with one route: conditions held by its best instance, and how many instances held them all."""

    matched: bool
    conditions_held: int
    because: str


def decide(
    headers: Sequence[InstanceHeader],
    routes: Sequence[Route],
    calling_ae_titles: frozenset[str] = frozenset(),
    called_ae_titles: frozenset[str] = frozenset(),
) -> Decision:
    """Decide the route of one study: the first route with a series that meets all its conditions.

    Parameters
    ----------
    headers
        Every instance of the study.
    routes
        In the order of ``config.yaml``.
    calling_ae_titles, called_ae_titles
        AE titles seen on the associations that brought the study; empty for files from disk.

    Returns
    -------
    Decision
        With one :class:`Considered` per route, matched or not. After the first match the rest is explained too, not chosen.

    Raises
    ------
    ValueError
        The headers are of no study or of several.
    """
    uids = {header.study_instance_uid for header in headers}
    if len(uids) != 1:
        raise ValueError(f"a decision is about one study, not {len(uids)}")
    considered: list[Considered] = []
    chosen: Route | None = None
    for route in routes:
        found = _consider(headers, route, calling_ae_titles, called_ae_titles)
        if found.matched and chosen is not None:
            found = Considered(
                route=route.name, matched=False, because=f"would match, but route {chosen.name} comes first: {found.because}"
            )
        elif found.matched:
            chosen = route
        considered.append(found)
    reason = None
    if chosen is None:
        names = ", ".join(route.name for route in routes) or "none configured"
        reason = Reason(code=ReasonCode.NO_MATCHING_ROUTE, text=f"No route matches this study (routes: {names}).")
    return Decision(
        study_instance_uid=uids.pop(),
        route=chosen.name if chosen else None,
        workflow=chosen.workflow if chosen else None,
        destinations=chosen.destinations if chosen else (),
        on_refusal=chosen.on_refusal if chosen else "none",
        considered=tuple(considered),
        reason=reason,
    )


def _consider(
    headers: Sequence[InstanceHeader], route: Route, calling_ae_titles: frozenset[str], called_ae_titles: frozenset[str]
) -> Considered:
    for title, seen, allowed in (
        ("calling", calling_ae_titles, route.match.calling_ae_title),
        ("called", called_ae_titles, route.match.called_ae_title),
    ):
        if allowed and not seen & set(allowed):
            said = ", ".join(sorted(seen)) or "unknown (files from disk)"
            return Considered(route=route.name, matched=False, because=f"{title} AE title {said} is not one of {', '.join(allowed)}")
    ordered = sorted(headers, key=lambda header: header.series_instance_uid)
    tried = [_match_series(tuple(group), route.match) for _, group in groupby(ordered, key=lambda header: header.series_instance_uid)]
    best = max(tried, key=lambda found: (found.matched, found.conditions_held))
    others = len(tried) - 1
    tail = f" ({others} other series got no further)" if others and not best.matched else ""
    return Considered(route=route.name, matched=best.matched, because=best.because + tail)


def _match_series(headers: Sequence[InstanceHeader], match: Match) -> _SeriesMatch:
    """Match one series: enough of its instances must each meet every condition."""
    checked = [_checks(header, match) for header in headers]
    held = sum(all(check.holds for check in checks) for checks in checked)
    first = headers[0]
    number = f"series {first.series_number}" if first.series_number is not None else "series without a number"
    title = f"{number} {first.series_description!r} ({len(headers)} instance{'s' if len(headers) != 1 else ''})"
    best = max(checked, key=lambda checks: sum(check.holds for check in checks))
    conditions = sum(check.holds for check in best)
    if held >= match.min_instances:
        words = "; ".join(check.because for check in best) or "the route has no condition"
        return _SeriesMatch(matched=True, conditions_held=conditions, because=f"{title}: {words}")
    failed = [check.because for check in best if not check.holds]
    if not failed:
        failed = [f"{held} matching instances, fewer than {match.min_instances}"]
    return _SeriesMatch(matched=False, conditions_held=conditions, because=f"{title}: {'; '.join(failed)}")


def _checks(header: InstanceHeader, match: Match) -> tuple[_Check, ...]:
    """Every condition that the route states, against one instance."""
    described = " | ".join(
        (header.study_description, header.series_description, header.protocol_name, header.performed_procedure_step_description)
    )
    checks: list[_Check] = []
    if match.modality:
        checks.append(_one_of("modality", header.modality, match.modality))
    if match.sop_class:
        checks.append(_sop_class(header.sop_class_uid, match.sop_class))
    if match.body_part:
        checks.append(_has_word("body part", header.body_part_examined, match.body_part))
    if match.body_part_none:
        checks.append(_has_no_word("body part", header.body_part_examined, match.body_part_none))
    if match.view_position:
        checks.append(_one_of("view position", header.view_position, match.view_position))
    if match.description_any:
        checks.append(_has_word("description", described, match.description_any))
    if match.description_none:
        checks.append(_has_no_word("description", described, match.description_none))
    if match.image_type_none:
        checks.append(_has_no_word("image type", " | ".join(header.image_type), match.image_type_none))
    return tuple(checks)


def _one_of(what: str, value: str, allowed: Sequence[str]) -> _Check:
    holds = value.strip().upper() in {item.upper() for item in allowed}
    return _Check(holds=holds, because=f"{what} {_shown(value)} is {'' if holds else 'not '}one of {_listed(allowed)}")


def _sop_class(uid: str, allowed: Sequence[str]) -> _Check:
    holds = uid in allowed
    names = ", ".join(UID(item).name for item in allowed)
    return _Check(holds=holds, because=f"SOP class {UID(uid).name or 'blank'} is {'' if holds else 'not '}one of {names}")


def _has_word(what: str, value: str, words: Sequence[str]) -> _Check:
    if not value.strip(" |") and "" in words:
        return _Check(holds=True, because=f"{what} is blank, which this route allows")
    found = _found(value, words)
    if found is not None:
        return _Check(holds=True, because=f"{what} {_shown(value)} has {found!r}")
    return _Check(holds=False, because=f"{what} {_shown(value)} has none of {_listed(words)}")


def _has_no_word(what: str, value: str, words: Sequence[str]) -> _Check:
    found = _found(value, words)
    if found is not None:
        return _Check(holds=False, because=f"{what} {_shown(value)} has {found!r}")
    return _Check(holds=True, because=f"{what} has none of {_listed(words)}")


def _found(value: str, words: Iterable[str]) -> str | None:
    """The first word or phrase that stands whole in the value: BILATERAL does not hold LATERAL."""
    padded = f" {_words(value)} "
    return next((word for word in words if word and f" {_words(word)} " in padded), None)


def _words(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def _shown(value: str) -> str:
    cleaned = " | ".join(part.strip() for part in value.split("|") if part.strip())
    return repr(cleaned) if cleaned else "(blank)"


def _listed(values: Iterable[str]) -> str:
    return ", ".join(value or "(blank)" for value in values)
