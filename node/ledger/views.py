"""The ledger for a person: studies, one study, deliveries."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, func, select

from node.errors import NotFoundError
from node.ledger.deliveries import delivery_of, select_deliveries
from node.ledger.encoding import decision_from_json
from node.ledger.progress import stored_instances
from node.ledger.records import Delivery, Event, EventKind, JobRecord, StoredObject, StudyReport, StudySummary
from node.ledger.schema import decisions, deliveries, events, findings, instances, jobs, result_objects, studies
from node.states import DeliveryState, JobState, StudyState


def summaries(conn: Connection, *, state: StudyState | None, limit: int) -> list[StudySummary]:
    """The studies, the latest first."""
    query = select(studies).order_by(studies.c.last_instance_at.desc(), studies.c.study_uid).limit(limit)
    if state is not None:
        query = query.where(studies.c.state == state.value)
    return _summaries(conn, conn.execute(query).all())


def report(conn: Connection, study_uid: str) -> StudyReport:
    """All about one study.

    Raises
    ------
    NotFoundError
        No such study.
    """
    row = conn.execute(select(studies).where(studies.c.study_uid == study_uid)).one_or_none()
    if row is None:
        raise NotFoundError(f"no study {study_uid} in the ledger")
    decision = conn.execute(
        select(decisions.c.decision).where(decisions.c.study_uid == study_uid).order_by(decisions.c.run.desc()).limit(1)
    ).scalar_one_or_none()
    found = conn.execute(select(findings).where(findings.c.study_uid == study_uid).order_by(findings.c.run.desc()).limit(1)).one_or_none()
    return StudyReport(
        summary=_summaries(conn, [row])[0],
        instances=stored_instances(conn, study_uid, ("source", "conflict", "own_result")),
        decision=None if decision is None else decision_from_json(decision),
        jobs=_jobs(conn, study_uid),
        findings=None if found is None else found.findings,
        picture=None if found is None or found.picture is None else Path(found.picture),
        objects=_objects(conn, study_uid),
        deliveries=tuple(delivery_list(conn, study_uid=study_uid, states=None, limit=10_000)),
        events=_events(conn, study_uid),
    )


def delivery_list(conn: Connection, *, study_uid: str | None, states: Sequence[DeliveryState] | None, limit: int) -> list[Delivery]:
    """Deliveries, the latest queued first."""
    query = select_deliveries().order_by(deliveries.c.id.desc()).limit(limit)
    if study_uid is not None:
        query = query.where(result_objects.c.study_uid == study_uid)
    if states is not None:
        query = query.where(deliveries.c.state.in_([state.value for state in states]))
    return [delivery_of(row) for row in conn.execute(query)]


def _summaries(conn: Connection, rows: Sequence[Row[Any]]) -> list[StudySummary]:
    uids = [row.study_uid for row in rows]
    counts, modalities = _instances(conn, uids)
    decided = _latest(conn, decisions, uids)
    found = _latest(conn, findings, uids)
    sent = _delivery_counts(conn, uids)
    return [
        StudySummary(
            study_uid=row.study_uid,
            state=StudyState(row.state),
            first_instance_at=row.first_instance_at,
            last_instance_at=row.last_instance_at,
            instances=counts[row.study_uid],
            modalities=tuple(sorted(modalities[row.study_uid])),
            route=decided[row.study_uid].route if row.study_uid in decided else None,
            workflow=decided[row.study_uid].workflow if row.study_uid in decided else None,
            outcome=found[row.study_uid].outcome if row.study_uid in found else None,
            reason_code=row.reason_code,
            reason_text=row.reason_text,
            deliveries=sent[row.study_uid],
        )
        for row in rows
    ]


def _instances(conn: Connection, uids: Sequence[str]) -> tuple[dict[str, int], dict[str, set[str]]]:
    counts: defaultdict[str, int] = defaultdict(int)
    modalities: defaultdict[str, set[str]] = defaultdict(set)
    query = (
        select(instances.c.study_uid, instances.c.modality, func.count().label("number"))
        .where(instances.c.study_uid.in_(uids), instances.c.role == "source")
        .group_by(instances.c.study_uid, instances.c.modality)
    )
    for row in conn.execute(query):
        counts[row.study_uid] += row.number
        modalities[row.study_uid].add(row.modality)
    return counts, modalities


def _latest(conn: Connection, table: Any, uids: Sequence[str]) -> dict[str, Row[Any]]:
    """Per study, the row of its latest run in ``decisions`` or ``findings``."""
    query = select(table).where(table.c.study_uid.in_(uids)).order_by(table.c.run)
    return {row.study_uid: row for row in conn.execute(query)}


def _delivery_counts(conn: Connection, uids: Sequence[str]) -> dict[str, dict[DeliveryState, int]]:
    counts: defaultdict[str, dict[DeliveryState, int]] = defaultdict(dict)
    query = (
        select(result_objects.c.study_uid, deliveries.c.state, func.count().label("number"))
        .join(deliveries, deliveries.c.object_id == result_objects.c.id)
        .where(result_objects.c.study_uid.in_(uids))
        .group_by(result_objects.c.study_uid, deliveries.c.state)
    )
    for row in conn.execute(query):
        counts[row.study_uid][DeliveryState(row.state)] = row.number
    return counts


def _jobs(conn: Connection, study_uid: str) -> tuple[JobRecord, ...]:
    rows = conn.execute(select(jobs).where(jobs.c.study_uid == study_uid).order_by(jobs.c.run)).all()
    return tuple(
        JobRecord(
            job_id=row.id,
            run=row.run,
            state=JobState(row.state),
            attempts=row.attempts,
            crashes=row.crashes,
            losses=row.losses,
            queued_at=row.queued_at,
            started_at=row.started_at,
            finished_at=row.finished_at,
            last_error=row.last_error,
        )
        for row in rows
    )


def _objects(conn: Connection, study_uid: str) -> tuple[StoredObject, ...]:
    rows = conn.execute(select(result_objects).where(result_objects.c.study_uid == study_uid).order_by(result_objects.c.id)).all()
    return tuple(
        StoredObject(
            kind=row.kind,
            sop_class_uid=row.sop_class_uid,
            sop_instance_uid=row.sop_instance_uid,
            path=Path(row.path),
            made_at=row.made_at,
        )
        for row in rows
    )


def _events(conn: Connection, study_uid: str) -> tuple[Event, ...]:
    rows = conn.execute(select(events).where(events.c.study_uid == study_uid).order_by(events.c.id)).all()
    return tuple(Event(at=row.at, kind=EventKind(row.kind), text=row.text, study_uid=row.study_uid) for row in rows)
