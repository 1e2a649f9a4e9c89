"""What a person reads: studies, one study, deliveries."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from inference.errors import ReasonCode
from inference.findings import Findings, Outcome, Reason
from node.console import outcome_line, plain, print_decision, print_deliveries, print_studies, print_study
from node.ledger.records import Delivery, Event, EventKind, StudyReport, StudySummary
from node.report import study_report
from node.routing import Considered, Decision
from node.states import DeliveryState, StudyState

pytestmark = pytest.mark.unit

AT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
DECISION = Decision(
    study_instance_uid="1.2",
    route=None,
    workflow=None,
    destinations=(),
    on_refusal="none",
    considered=(Considered(route="ct", matched=False, because="modality 'MR' is not one of CT"),),
    reason=Reason(code=ReasonCode.NO_MATCHING_ROUTE, text="No route matches."),
)
SUMMARY = StudySummary(
    study_uid="1.2",
    state=StudyState.REFUSED,
    first_instance_at=AT,
    last_instance_at=AT,
    instances=3,
    modalities=("MR",),
    route=None,
    workflow=None,
    outcome=None,
    reason_code="NO_MATCHING_ROUTE",
    reason_text="No route matches.",
    deliveries={DeliveryState.PENDING: 2},
)
DELIVERY = Delivery(
    delivery_id=1,
    object_id=1,
    study_uid="1.2",
    kind="sr",
    sop_class_uid="1.2.3",
    sop_instance_uid="1.2.3.4",
    path=Path("sr.dcm"),
    destination="pacs",
    state=DeliveryState.PENDING,
    queued_at=AT,
    attempts=2,
    next_attempt_at=AT,
    delivered_at=None,
    status=None,
    last_error="no association with [PACS]",
)


@pytest.fixture
def console() -> Console:
    return Console(record=True, width=220, file=None, quiet=False)


def test_a_study_tells_its_whole_story(console: Console) -> None:
    report = StudyReport(
        summary=SUMMARY,
        instances=(),
        decision=DECISION,
        jobs=(),
        findings=None,
        picture=None,
        objects=(),
        deliveries=(DELIVERY,),
        events=(Event(at=AT, kind=EventKind.REFUSED, text="no route [matched]", study_uid="1.2"),),
    )
    print_study(console, report)
    text = console.export_text()
    assert "study 1.2: refused, 3 instances, MR" in text
    assert "no match  ct: modality 'MR' is not one of CT" in text
    assert "no association with [PACS]" in text
    assert "2026-11-21 09:30:00 refused: no route [matched]" in text


def test_a_measured_study_is_shown_as_process_prints_it(console: Console) -> None:
    findings = Findings(
        study_instance_uid="1.2", workflow="ct", outcome=Outcome.RESULT, reason=None, level_because="sacrum", timings_s={"total": 1.0}
    )
    decision = replace(DECISION, route="ct", workflow="ct", reason=None, considered=(Considered(route="ct", matched=True, because="CT"),))
    report = StudyReport(
        summary=replace(SUMMARY, state=StudyState.DONE),
        instances=(),
        decision=decision,
        jobs=(),
        findings=study_report(findings, decision, ()),
        picture=None,
        objects=(),
        deliveries=(),
        events=(),
    )
    print_study(console, report)
    assert "levels: sacrum" in console.export_text()
    print_study(console, replace(report, findings={"study_instance_uid": "1.2", "reason": None, "outcome": "result", "summary": None}))
    assert "recorded by an earlier version: result" in console.export_text()


def test_studies_and_deliveries_are_tables(console: Console) -> None:
    print_studies(console, [SUMMARY])
    print_deliveries(console, [DELIVERY])
    text = console.export_text()
    assert "NO_MATCHING_ROUTE" in text
    assert "2 pending" in text
    assert "no association with [PACS]" in text


def test_a_decision_without_a_route_names_its_reason(console: Console) -> None:
    print_decision(console, DECISION)
    assert "study 1.2: refused: NO_MATCHING_ROUTE" in console.export_text()


@pytest.mark.parametrize(
    ("report", "line"),
    [
        ({"reason": {"code": "GANTRY_TILT", "text": "tilted [much]"}}, r"refused, GANTRY_TILT: tilted \[much]"),
        (
            {"reason": None, "outcome": "result", "summary": {"level": "L1", "attenuation_hu": 97.4, "band": "low"}},
            r"L1 97 HU, LOW: at or below the high-specificity threshold \[result]",
        ),
        ({"reason": None, "outcome": "result_with_warnings", "summary": None}, "result_with_warnings"),
    ],
)
def test_the_outcome_in_one_line(report: dict[str, object], line: str) -> None:
    assert outcome_line(report) == line


def test_records_become_plain_json() -> None:
    values = plain(DELIVERY)
    assert values["queued_at"] == "2026-11-21T09:30:00+00:00"
    assert values["path"] == "sr.dcm"
    assert plain({"a": (1, frozenset({"y", "x"}))}) == {"a": [1, ["x", "y"]]}


def test_attenuation_is_rounded_as_on_the_page() -> None:
    """Halves go up: Python's own rounding would print 184."""
    summary = {"level": "L1", "attenuation_hu": 184.5, "band": "above_thresholds"}
    assert "L1 185 HU" in outcome_line({"reason": None, "summary": summary, "dxa": None, "outcome": "result"})
