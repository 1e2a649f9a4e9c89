"""The outbox's rows: one per object and destination."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Select, select, update

from node.ledger import steps
from node.ledger.database import Database
from node.ledger.records import Delivery, EventKind
from node.ledger.schema import deliveries, result_objects
from node.states import DeliveryState

_COLUMNS = (
    deliveries.c.id,
    deliveries.c.object_id,
    deliveries.c.destination,
    deliveries.c.state,
    deliveries.c.queued_at,
    deliveries.c.attempts,
    deliveries.c.next_attempt_at,
    deliveries.c.delivered_at,
    deliveries.c.status,
    deliveries.c.last_error,
    result_objects.c.study_uid,
    result_objects.c.kind,
    result_objects.c.sop_class_uid,
    result_objects.c.sop_instance_uid,
    result_objects.c.path,
)


class Deliveries:
    """What is to be delivered, and what became of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due_destinations(self, now: datetime) -> set[str]:
        """The destinations to which something is due."""
        due = (deliveries.c.state == DeliveryState.PENDING.value) & (deliveries.c.next_attempt_at <= now)
        with self._database.read() as conn:
            return set(conn.execute(select(deliveries.c.destination).where(due).distinct()).scalars())

    def pending(self, destination: str, limit: int) -> list[Delivery]:
        """What waits for a destination, due or not, the longest waiting first."""
        query = select_deliveries().where(deliveries.c.destination == destination, deliveries.c.state == DeliveryState.PENDING.value)
        with self._database.read() as conn:
            return [delivery_of(row) for row in conn.execute(query.order_by(deliveries.c.next_attempt_at, deliveries.c.id).limit(limit))]

    def delivered(self, delivery: Delivery, status: int, note: str | None, now: datetime) -> None:
        """The destination answered Success, or a warning (``note``): it has the object."""
        values = {
            "state": DeliveryState.DELIVERED.value,
            "delivered_at": now,
            "next_attempt_at": None,
            "status": status,
            "last_error": note,
            "attempts": delivery.attempts + 1,
        }
        text = f"{delivery.kind} {delivery.sop_instance_uid} is at {delivery.destination}" + (f" ({note})" if note else "")
        self._record(delivery, values, EventKind.DELIVERED, text, now)

    def failed(self, delivery: Delivery, error: str, status: int | None, next_attempt_at: datetime, now: datetime) -> None:
        """It did not work; it is tried again at ``next_attempt_at``."""
        values = {"attempts": delivery.attempts + 1, "next_attempt_at": next_attempt_at, "last_error": error, "status": status}
        text = f"{delivery.kind} to {delivery.destination}, attempt {delivery.attempts + 1}: {error}"
        self._record(delivery, values, EventKind.DELIVERY_FAILED, text, now)

    def ended(self, delivery: Delivery, state: DeliveryState, error: str, status: int | None, now: datetime) -> None:
        """It did not work and is not tried again: ``REJECTED`` or ``GAVE_UP``."""
        kind = EventKind.DELIVERY_REJECTED if state is DeliveryState.REJECTED else EventKind.DELIVERY_GAVE_UP
        values = {
            "state": state.value,
            "attempts": delivery.attempts + 1,
            "next_attempt_at": None,
            "last_error": error,
            "status": status,
        }
        text = f"{delivery.kind} to {delivery.destination}, {state} after attempt {delivery.attempts + 1}: {error}"
        self._record(delivery, values, kind, text, now)

    def postpone(self, destination: str, until: datetime) -> None:
        """The destination cannot be reached: whatever is due before ``until`` waits as well, without counting an attempt."""
        mine = (deliveries.c.destination == destination) & (deliveries.c.state == DeliveryState.PENDING.value)
        with self._database.write() as conn:
            conn.execute(update(deliveries).where(mine, deliveries.c.next_attempt_at < until).values(next_attempt_at=until))

    def _record(self, delivery: Delivery, values: Mapping[str, object], kind: EventKind, text: str, now: datetime) -> None:
        with self._database.write() as conn:
            # SUPERSEDED while it was being sent: the later run's word stands, unless the object arrived.
            states = [DeliveryState.PENDING.value]
            if kind is EventKind.DELIVERED:
                states.append(DeliveryState.SUPERSEDED.value)
            mine = (deliveries.c.id == delivery.delivery_id) & deliveries.c.state.in_(states)
            if conn.execute(update(deliveries).where(mine).values(values)).rowcount == 1:
                steps.add_event(conn, kind, text, now=now, study_uid=delivery.study_uid)


def select_deliveries() -> Select[Any]:
    """Deliveries with their objects, for :func:`delivery_of`."""
    return select(*_COLUMNS).join(result_objects, result_objects.c.id == deliveries.c.object_id)


def delivery_of(row: Row[Any]) -> Delivery:
    """One row of :func:`select_deliveries`."""
    return Delivery(
        delivery_id=row.id,
        object_id=row.object_id,
        study_uid=row.study_uid,
        kind=row.kind,
        sop_class_uid=row.sop_class_uid,
        sop_instance_uid=row.sop_instance_uid,
        path=Path(row.path),
        destination=row.destination,
        state=DeliveryState(row.state),
        queued_at=row.queued_at,
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        delivered_at=row.delivered_at,
        status=row.status,
        last_error=row.last_error,
    )


def requeue_failed(conn: Connection, study_uid: str, now: datetime) -> int:
    """Queue again what a study's destinations rejected or never took; the number of deliveries."""
    of_study = select(result_objects.c.id).where(result_objects.c.study_uid == study_uid)
    ended: Sequence[str] = (DeliveryState.REJECTED.value, DeliveryState.GAVE_UP.value)
    query = update(deliveries).where(deliveries.c.object_id.in_(of_study), deliveries.c.state.in_(ended))
    return conn.execute(query.values(state=DeliveryState.PENDING.value, attempts=0, next_attempt_at=now, queued_at=now)).rowcount
