"""Runs: claimed with a lease, ended by findings, by a crash, or by the loss of the worker. One transaction each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from inference.errors import PermanentError, ReasonCode
from inference.findings import Findings, Outcome, Reason
from node.ledger import objects, steps
from node.ledger.database import Database
from node.ledger.encoding import decision_from_json, plain
from node.ledger.progress import stored_instances
from node.ledger.records import Claim, EventKind, Lease
from node.ledger.schema import decisions, findings, jobs
from node.report import Json, study_report
from node.results.objects import ResultKind, ResultObject
from node.routing import Decision
from node.states import JobState, StudyState

MAX_LOSSES = 10
"""A run whose node died this often is quarantined. Losing the node is seldom the study's fault, but it must not go on for ever."""

_FREE = {"lease_owner": None, "lease_until": None}


class LeaseLostError(PermanentError):
    """The run is no longer this worker's: the study changed, or the lease went to another. What it computed is dropped."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run gives the ledger.

    ``targets`` says which kinds of objects each destination takes.
    """

    findings: Findings
    objects: tuple[ResultObject, ...]
    picture: Path | None
    targets: Mapping[str, tuple[ResultKind, ...]]
    unknown_destinations: tuple[str, ...] = ()


class Jobs:
    """The queue of runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def has_work(self, now: datetime) -> bool:
        """Whether a run waits. Reads only, so that idle workers do not hold up the receiver."""
        with self._database.read() as conn:
            return conn.execute(_waiting(now).limit(1)).first() is not None

    def claim(self, owner: str, lease: timedelta, now: datetime) -> Claim | None:
        """Take the run that has waited longest, or None. ``owner`` must hold no other."""
        with self._database.write() as conn:
            for row in conn.execute(_waiting(now).limit(20)).all():
                if _take(conn, row, owner, now, now + lease):
                    text = f"run {row.run}, attempt {row.attempts + 1}, by {owner}"
                    steps.add_event(conn, EventKind.RUN_STARTED, text, now=now, study_uid=row.study_uid)
                    return _claim(conn, row, owner)
        return None

    def extend(self, owners: Sequence[str], until: datetime) -> None:
        """The heartbeat: these workers live."""
        with self._database.write() as conn:
            conn.execute(update(jobs).where(jobs.c.lease_owner.in_(owners)).values(lease_until=until))

    def leases(self) -> list[Lease]:
        """Every running job."""
        with self._database.read() as conn:
            rows = conn.execute(select(jobs).where(jobs.c.state == JobState.RUNNING.value)).all()
        return [
            Lease(
                job_id=row.id,
                study_uid=row.study_uid,
                workflow=row.workflow,
                owner=row.lease_owner,
                started_at=row.started_at,
                lease_until=row.lease_until,
            )
            for row in rows
        ]

    def finish(self, job_id: int, owner: str, result: RunResult, now: datetime) -> None:
        """Record findings, objects and deliveries, and end the run: all in one transaction.

        Raises
        ------
        LeaseLostError
            The run is not ``owner``'s any more; nothing was recorded.
        """
        with self._database.write() as conn:
            row = _locked_run(conn, job_id, owner)
            _end(conn, row, JobState.DONE, now)
            conn.execute(
                insert(findings).values(
                    job_id=row.id,
                    study_uid=row.study_uid,
                    run=row.run,
                    outcome=result.findings.outcome.value,
                    findings=plain(_report(conn, row, result)),
                    picture=None if result.picture is None else str(result.picture),
                    recorded_at=now,
                )
            )
            objects.record(conn, row.study_uid, row.id, result.objects, result.targets, now)
            refused = result.findings.outcome is Outcome.REFUSED
            state = StudyState.REFUSED if refused else StudyState.DONE
            steps.move(conn, row.study_uid, StudyState.WORKING, state, now, result.findings.reason)
            steps.add_event(conn, EventKind.RUN_DONE, _sentence(result), now=now, study_uid=row.study_uid)
            for name in result.unknown_destinations:
                text = f"the configuration has no destination {name!r} any more; nothing is sent there"
                steps.add_event(conn, EventKind.DESTINATION_UNKNOWN, text, now=now, study_uid=row.study_uid)

    def put_back(self, job_id: int, owner: str, *, error: str, not_before: datetime, now: datetime) -> int:
        """Queue a run again after an error that may pass; the number of such failures so far.

        Raises
        ------
        LeaseLostError
            The run is not ``owner``'s any more.
        """
        with self._database.write() as conn:
            row = _locked_run(conn, job_id, owner)
            values = {"failures": row.failures + 1, "last_error": error, "not_before": not_before}
            _requeue(conn, row, now, values)
            steps.add_event(conn, EventKind.RUN_FAILED, f"{error}; tried again later", now=now, study_uid=row.study_uid)
            return int(row.failures) + 1

    def worker_died(self, owner: str, how: str, max_crashes: int, now: datetime) -> StudyState | None:
        """A worker process died by itself: its run is queued again, or quarantined. None if it held no run."""
        with self._database.write() as conn:
            row = _run_of(conn, owner)
            if row is None:
                return None
            crashes = row.crashes + 1
            values = {"crashes": crashes, "last_error": how}
            steps.add_event(conn, EventKind.RUN_CRASHED, f"the worker died ({how}), time {crashes}", now=now, study_uid=row.study_uid)
            if crashes < max_crashes:
                return _requeue(conn, row, now, values)
            times = "once" if crashes == 1 else f"{crashes} times"
            return _quarantine(conn, row, now, values, f"this study killed the worker {times}, the last time by: {how}")

    def worker_stopped(self, owner: str, now: datetime) -> StudyState | None:
        """A worker was stopped with its node: its run is queued again, and nobody is blamed. None if it held no run."""
        with self._database.write() as conn:
            row = _run_of(conn, owner)
            if row is None:
                return None
            steps.add_event(conn, EventKind.RUN_STOPPED, "the node was stopped during the run", now=now, study_uid=row.study_uid)
            return _requeue(conn, row, now, {"last_error": "the node was stopped"})

    def release_lost(self, now: datetime, *, every: bool = False) -> list[str]:
        """Queue again the runs whose lease has run out, or (``every``, when the node starts) each that a dead node left; their studies."""
        released = []
        with self._database.write() as conn:
            query = select(jobs.c.lease_owner).where(jobs.c.state == JobState.RUNNING.value)
            owners = conn.execute(query if every else query.where(jobs.c.lease_until < now)).scalars().all()
            for owner in owners:
                row = _run_of(conn, owner)
                if row is None:
                    continue
                losses = row.losses + 1
                text = f"the node or the worker was lost during the run, time {losses}"
                steps.add_event(conn, EventKind.RUN_LOST, text, now=now, study_uid=row.study_uid)
                values = {"losses": losses, "last_error": text}
                if losses < MAX_LOSSES:
                    _requeue(conn, row, now, values)
                else:
                    _quarantine(conn, row, now, values, f"the node was lost {losses} times while it measured this study")
                released.append(row.study_uid)
        return released


def _waiting(now: datetime) -> Any:
    return select(jobs).where(jobs.c.state == JobState.QUEUED.value, jobs.c.not_before <= now).order_by(jobs.c.not_before, jobs.c.id)


def _take(conn: Connection, row: Row[Any], owner: str, now: datetime, until: datetime) -> bool:
    state = steps.lock_study(conn, row.study_uid)
    values = {
        "state": JobState.RUNNING.value,
        "lease_owner": owner,
        "lease_until": until,
        "started_at": now,
        "attempts": row.attempts + 1,
    }
    still_queued = (jobs.c.id == row.id) & (jobs.c.state == JobState.QUEUED.value)
    if conn.execute(update(jobs).where(still_queued).values(values)).rowcount != 1:
        return False  # another worker, or a new instance, was first
    steps.move(conn, row.study_uid, state, StudyState.WORKING, now)
    return True


def _claim(conn: Connection, row: Row[Any], owner: str) -> Claim:
    return Claim(
        job_id=row.id,
        study_uid=row.study_uid,
        run=row.run,
        attempt=row.attempts + 1,
        failures=row.failures,
        owner=owner,
        decision=_decision(conn, row),
        instances=stored_instances(conn, row.study_uid, ("source",)),
    )


def _decision(conn: Connection, row: Row[Any]) -> Decision:
    """What was decided for a run."""
    query = select(decisions.c.decision).where(decisions.c.study_uid == row.study_uid, decisions.c.run == row.run)
    return decision_from_json(conn.execute(query).scalar_one())


def _run_of(conn: Connection, owner: str) -> Row[Any] | None:
    """The run that ``owner`` holds, its study locked."""
    held = select(jobs).where(jobs.c.lease_owner == owner)
    row = conn.execute(held).one_or_none()
    if row is None:
        return None
    steps.lock_study(conn, row.study_uid)
    return conn.execute(held).one_or_none()  # it may have ended while this waited for the lock


def _locked_run(conn: Connection, job_id: int, owner: str) -> Row[Any]:
    row = _run_of(conn, owner)
    if row is None or row.id != job_id:
        raise LeaseLostError(f"run {job_id} is not {owner}'s any more")
    return row


def _end(conn: Connection, row: Row[Any], state: JobState, now: datetime, values: Mapping[str, object] | None = None) -> None:
    conn.execute(update(jobs).where(jobs.c.id == row.id).values({"state": state.value, "finished_at": now, **_FREE, **(values or {})}))


def _requeue(conn: Connection, row: Row[Any], now: datetime, values: Mapping[str, object]) -> StudyState:
    conn.execute(update(jobs).where(jobs.c.id == row.id).values({"state": JobState.QUEUED.value, "not_before": now, **_FREE, **values}))
    steps.move(conn, row.study_uid, StudyState.WORKING, StudyState.ROUTED, now)
    return StudyState.ROUTED


def _quarantine(conn: Connection, row: Row[Any], now: datetime, values: Mapping[str, object], text: str) -> StudyState:
    _end(conn, row, JobState.QUARANTINED, now, values)
    reason = Reason(code=ReasonCode.QUARANTINED, text=text)
    steps.move(conn, row.study_uid, StudyState.WORKING, StudyState.QUARANTINED, now, reason)
    steps.add_event(conn, EventKind.QUARANTINED, text, now=now, study_uid=row.study_uid)
    return StudyState.QUARANTINED


def _report(conn: Connection, row: Row[Any], result: RunResult) -> Json:
    """What ``osteon process --json`` says of the same study."""
    picture = None if result.picture is None else str(result.picture)
    return study_report(result.findings, _decision(conn, row), result.objects, picture)


def _sentence(result: RunResult) -> str:
    found = result.findings
    if found.reason is not None:
        return f"refused, {found.reason.code}: {found.reason.text}"
    return f"{found.outcome}, {len(result.objects)} objects for {len(result.targets)} destinations"
