"""Result objects and the deliveries they start with, inside the transaction that ends a run."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from node.ledger import steps
from node.ledger.records import EventKind
from node.ledger.schema import deliveries, result_objects
from node.results.objects import ResultKind, ResultObject
from node.states import DeliveryState


def record(
    conn: Connection,
    study_uid: str,
    job_id: int,
    made: Sequence[ResultObject],
    targets: Mapping[str, tuple[ResultKind, ...]],
    now: datetime,
) -> None:
    """Record what a run made and queue it for its destinations.

    UIDs are deterministic: an object that an earlier run made keeps its row, and what was delivered is not delivered again. What an
    earlier run made otherwise and nobody has taken yet is superseded.
    """
    _supersede(conn, study_uid, {item.sop_instance_uid for item in made}, now)
    for item in made:
        object_id = _upsert(conn, study_uid, job_id, item, now)
        for destination, kinds in targets.items():
            if item.kind in kinds:
                _queue(conn, object_id, destination, now)


def _upsert(conn: Connection, study_uid: str, job_id: int, item: ResultObject, now: datetime) -> int:
    known = conn.execute(select(result_objects.c.id).where(result_objects.c.sop_instance_uid == item.sop_instance_uid)).scalar_one_or_none()
    values = {"job_id": job_id, "path": str(item.path), "made_at": now}
    if known is not None:
        conn.execute(update(result_objects).where(result_objects.c.id == known).values(values))
        return int(known)
    values |= {
        "study_uid": study_uid,
        "kind": item.kind,
        "sop_class_uid": item.sop_class_uid,
        "sop_instance_uid": item.sop_instance_uid,
    }
    return int(conn.execute(insert(result_objects).values(values).returning(result_objects.c.id)).scalar_one())


def _queue(conn: Connection, object_id: int, destination: str, now: datetime) -> None:
    mine = (deliveries.c.object_id == object_id) & (deliveries.c.destination == destination)
    state = conn.execute(select(deliveries.c.state).where(mine)).scalar_one_or_none()
    fresh = {"state": DeliveryState.PENDING.value, "queued_at": now, "attempts": 0, "next_attempt_at": now}
    if state is None:
        conn.execute(insert(deliveries).values(object_id=object_id, destination=destination, **fresh))
    elif DeliveryState(state) is not DeliveryState.DELIVERED:
        conn.execute(update(deliveries).where(mine).values(fresh))


def _supersede(conn: Connection, study_uid: str, kept: set[str], now: datetime) -> None:
    rows = conn.execute(
        select(deliveries.c.id, result_objects.c.sop_instance_uid, result_objects.c.kind, deliveries.c.destination)
        .join(result_objects, result_objects.c.id == deliveries.c.object_id)
        .where(result_objects.c.study_uid == study_uid, deliveries.c.state == DeliveryState.PENDING.value)
    ).all()
    for row in rows:
        if row.sop_instance_uid not in kept:
            values = {"state": DeliveryState.SUPERSEDED.value, "next_attempt_at": None}
            conn.execute(update(deliveries).where(deliveries.c.id == row.id).values(values))
            text = f"{row.kind} {row.sop_instance_uid} was not yet at {row.destination}; a later run replaces it"
            steps.add_event(conn, EventKind.DELIVERY_SUPERSEDED, text, now=now, study_uid=study_uid)
