"""The small steps that the ledger's transactions are made of. Each runs inside its caller's transaction.

Every transaction that changes a study locks the study's row first; so none waits for another in a circle.
"""

from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from inference.findings import Reason
from node.errors import NotFoundError
from node.ledger.records import EventKind
from node.ledger.schema import events, jobs, studies
from node.states import JobState, StudyState, check_transition

_STATE = select(studies.c.state).where(studies.c.study_uid == bindparam("uid")).with_for_update()


def add_event(
    conn: Connection, kind: EventKind, text: str, *, now: datetime, study_uid: str | None = None, association_id: int | None = None
) -> None:
    """Record what happened."""
    conn.execute(insert(events).values(at=now, kind=kind.value, text=text, study_uid=study_uid, association_id=association_id))


def open_study(conn: Connection, study_uid: str, now: datetime) -> StudyState:
    """The study's state, locked as by :func:`lock_study`; a study that is not there is opened."""
    state = _locked_state(conn, study_uid)
    if state is not None:
        return state
    make = postgresql_insert if conn.dialect.name == "postgresql" else sqlite_insert
    values = {
        "study_uid": study_uid,
        "state": StudyState.RECEIVING.value,
        "first_instance_at": now,
        "receiving_since": now,
        "last_instance_at": now,
        "changed_at": now,
    }
    # Two associations may open it at once: one inserts, the other waits for its lock.
    inserted = make(studies).values(values).on_conflict_do_nothing().returning(studies.c.study_uid)
    if conn.execute(inserted).first() is not None:
        add_event(conn, EventKind.STUDY_OPENED, "first instance received", now=now, study_uid=study_uid)
    return lock_study(conn, study_uid)


def lock_study(conn: Connection, study_uid: str) -> StudyState:
    """The study's state; nobody else changes the study until this transaction ends.

    Raises
    ------
    NotFoundError
        No such study.
    """
    state = _locked_state(conn, study_uid)
    if state is None:
        raise NotFoundError(f"no study {study_uid} in the ledger")
    return state


def _locked_state(conn: Connection, study_uid: str) -> StudyState | None:
    # SQLite has no FOR UPDATE and needs none: a write transaction is alone.
    state = conn.execute(_STATE, {"uid": study_uid}).scalar_one_or_none()
    return None if state is None else StudyState(state)


def move(conn: Connection, study_uid: str, old: StudyState, new: StudyState, now: datetime, reason: Reason | None = None) -> None:
    """Take a study from ``old`` to ``new``. ``reason`` replaces the one that is there.

    Raises
    ------
    IllegalTransitionError
        That step is not allowed.
    """
    check_transition(old, new)
    code, text = (reason.code.value, reason.text) if reason is not None else (None, None)
    conn.execute(
        update(studies).where(studies.c.study_uid == study_uid).values(state=new.value, changed_at=now, reason_code=code, reason_text=text)
    )


def cancel_open_job(conn: Connection, study_uid: str, why: str, now: datetime) -> bool:
    """Cancel the study's job that has not ended; False where there is none."""
    open_job = (jobs.c.study_uid == study_uid) & jobs.c.state.in_([JobState.QUEUED.value, JobState.RUNNING.value])
    values = {"state": JobState.CANCELLED.value, "finished_at": now, "last_error": why, "lease_owner": None, "lease_until": None}
    return conn.execute(update(jobs).where(open_job).values(values)).rowcount > 0
