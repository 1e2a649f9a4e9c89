"""What arrives: associations and instances."""

from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, bindparam, insert, select, update

from node.ledger import steps
from node.ledger.database import Database
from node.ledger.encoding import header_to_json
from node.ledger.records import Arrival, EventKind
from node.ledger.schema import associations, clean_text, instances, result_objects, studies
from node.states import Receipt, StudyState

Ending = Literal["released", "aborted", "lost"]

# Built once: they run for every instance, and building a statement costs as much as running it.
_SAME_UID = select(instances.c.id, instances.c.study_uid, instances.c.content_sha256).where(instances.c.sop_uid == bindparam("sop"))
_OWN_RESULT = select(result_objects.c.id).where(result_objects.c.sop_instance_uid == bindparam("sop"))
_INSERT = insert(instances)
_SET_LAST = update(studies).where(studies.c.study_uid == bindparam("uid")).values(last_instance_at=bindparam("now"))


class Arrivals:
    """Records associations and instances; a new instance opens its study, or re-opens it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open_association(self, *, calling_ae_title: str, called_ae_title: str, peer: tuple[str, int], now: datetime) -> int:
        """Record an accepted association and return its number."""
        values = {
            "calling_ae_title": calling_ae_title,
            "called_ae_title": called_ae_title,
            "peer_host": peer[0],
            "peer_port": peer[1],
            "opened_at": now,
        }
        with self._database.write() as conn:
            return int(conn.execute(insert(associations).values(values).returning(associations.c.id)).scalar_one())

    def close_association(self, association_id: int, ending: Ending, *, stored: int, refused: int, now: datetime) -> None:
        """Record how an association ended; the first ending counts."""
        with self._database.write() as conn:
            conn.execute(
                update(associations)
                .where(associations.c.id == association_id, associations.c.closed_at.is_(None))
                .values(closed_at=now, ending=ending, stored=stored, refused=refused)
            )

    def close_lost_associations(self, now: datetime) -> int:
        """Close what a node that died left open; the number of associations."""
        with self._database.write() as conn:
            open_ones = update(associations).where(associations.c.closed_at.is_(None))
            return conn.execute(open_ones.values(closed_at=now, ending="lost")).rowcount

    def note(self, kind: EventKind, text: str, *, now: datetime, study_uid: str | None = None, association_id: int | None = None) -> None:
        """Record something that belongs to no step: a rejected association, a refused instance."""
        with self._database.write() as conn:
            steps.add_event(conn, kind, text, now=now, study_uid=study_uid, association_id=association_id)

    def record(self, arrival: Arrival) -> Receipt:
        """Record one instance of the spool. Recording the same instance twice counts a duplicate and changes nothing else.

        Raises
        ------
        StorageError
            The ledger cannot take it now.
        """
        header = arrival.header
        study_uid, sop_uid = clean_text(header.study_instance_uid), clean_text(header.sop_instance_uid)
        with self._database.write() as conn:
            state = steps.open_study(conn, study_uid, arrival.received_at)
            known = conn.execute(_SAME_UID, {"sop": sop_uid}).all()
            mine = [row for row in known if row.study_uid == study_uid]
            same = next((row for row in mine if row.content_sha256 == arrival.content_sha256), None)
            if same is not None:
                _count_duplicate(conn, same.id, state, study_uid, arrival.received_at)
                return Receipt.DUPLICATE
            receipt = Receipt.CONFLICT if mine else _receipt(conn, sop_uid)
            _insert(conn, arrival, study_uid, sop_uid, receipt)
            if receipt is Receipt.NEW:
                _touch(conn, state, study_uid, arrival.received_at)
                if known:
                    _note_other_study(conn, known[0].study_uid, study_uid, sop_uid, arrival.received_at)
            else:
                _note_unused(conn, receipt, study_uid, sop_uid, arrival)
            return receipt


def _receipt(conn: Connection, sop_uid: str) -> Receipt:
    own = conn.execute(_OWN_RESULT, {"sop": sop_uid}).first()
    return Receipt.OWN_RESULT if own is not None else Receipt.NEW


def _insert(conn: Connection, arrival: Arrival, study_uid: str, sop_uid: str, receipt: Receipt) -> None:
    role = {Receipt.NEW: "source", Receipt.CONFLICT: "conflict", Receipt.OWN_RESULT: "own_result"}[receipt]
    row = {
        "study_uid": study_uid,
        "series_uid": arrival.header.series_instance_uid,
        "sop_uid": sop_uid,
        "modality": arrival.header.modality,
        "role": role,
        "content_sha256": arrival.content_sha256,
        "size_bytes": arrival.size_bytes,
        "path": arrival.path,
        "header": header_to_json(arrival.header),
        "received_at": arrival.received_at,
        "association_id": arrival.association_id,
    }
    conn.execute(_INSERT, row)


def _count_duplicate(conn: Connection, instance_id: int, state: StudyState, study_uid: str, now: datetime) -> None:
    conn.execute(update(instances).where(instances.c.id == instance_id).values(duplicates=instances.c.duplicates + 1))
    if state is StudyState.RECEIVING:  # a sender that starts again from the first slice is still sending
        conn.execute(_SET_LAST, {"uid": study_uid, "now": now})


def _touch(conn: Connection, state: StudyState, study_uid: str, now: datetime) -> None:
    if state is StudyState.RECEIVING:
        conn.execute(_SET_LAST, {"uid": study_uid, "now": now})
        return
    steps.move(conn, study_uid, state, StudyState.RECEIVING, now)
    conn.execute(update(studies).where(studies.c.study_uid == study_uid).values(last_instance_at=now, receiving_since=now))
    cancelled = steps.cancel_open_job(conn, study_uid, "a new instance arrived", now)
    text = f"a new instance arrived when the study was {state}" + ("; the run in progress is dropped" if cancelled else "")
    steps.add_event(conn, EventKind.STUDY_REOPENED, text, now=now, study_uid=study_uid)


def _note_other_study(conn: Connection, other: str, study_uid: str, sop_uid: str, now: datetime) -> None:
    text = f"SOP Instance UID {sop_uid} also belongs to study {other}; each study keeps its own"
    steps.add_event(conn, EventKind.INSTANCE_CONFLICT, text, now=now, study_uid=study_uid)


def _note_unused(conn: Connection, receipt: Receipt, study_uid: str, sop_uid: str, arrival: Arrival) -> None:
    if receipt is Receipt.CONFLICT:
        kind = EventKind.INSTANCE_CONFLICT
        text = f"SOP Instance UID {sop_uid} came again with other content: the first is used, this one is kept as {arrival.path}"
    else:
        kind, text = EventKind.OWN_RESULT_RETURNED, f"{sop_uid} is a result of this node that a peer sent back; it is not measured"
    steps.add_event(conn, kind, text, now=arrival.received_at, study_uid=study_uid, association_id=arrival.association_id)
