"""The ledger: what arrived, what was decided and why, what was produced, what was delivered. The one door to SQL.

No function here reads a clock: every time comes from the caller, in UTC.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType

from sqlalchemy import select

from node.errors import PermanentError
from node.ledger import migrations, steps, views
from node.ledger.arrivals import Arrivals
from node.ledger.database import Database
from node.ledger.deliveries import Deliveries, requeue_failed
from node.ledger.jobs import Jobs
from node.ledger.progress import Progress
from node.ledger.records import Delivery, Event, EventKind, StudyReport, StudySummary
from node.ledger.schema import events, studies
from node.states import DeliveryState, StudyState

__all__ = ["Ledger"]


class Ledger:
    """The ledger of one node.

    Attributes
    ----------
    arrivals, progress, jobs, outbox
        Its four sides: the receiver's, the scheduler's, the worker's and the outbox's.
    """

    def __init__(self, url: str, *, create: bool) -> None:
        self._database = Database(url, create=create)
        self.arrivals = Arrivals(self._database)
        self.progress = Progress(self._database)
        self.jobs = Jobs(self._database)
        self.outbox = Deliveries(self._database)

    @classmethod
    def open(cls, url: str, now: datetime) -> "Ledger":
        """Open a ledger, creating or migrating its tables.

        Raises
        ------
        ConfigError
            The URL is of no use.
        node.ledger.migrations.LedgerVersionError
            The ledger was written by newer software.
        StorageError
            It cannot be opened now.
        """
        ledger = cls(url, create=True)
        with ledger._closed_on_error(), ledger._database.write() as conn:
            migrations.migrate(conn, now)
        return ledger

    @classmethod
    def attach(cls, url: str) -> "Ledger":
        """Open a ledger that a node has made: for workers and for commands that look.

        Raises
        ------
        NotFoundError
            No node has made it yet.
        node.ledger.migrations.LedgerVersionError
            Its tables are not those of this software.
        """
        ledger = cls(url, create=False)
        with ledger._closed_on_error(), ledger._database.read() as conn:
            migrations.require_current(conn)
        return ledger

    @contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def is_empty(self) -> bool:
        """Whether no study was ever recorded."""
        with self._database.read() as conn:
            return conn.execute(select(studies.c.study_uid).limit(1)).first() is None

    def studies(self, *, state: StudyState | None = None, limit: int = 100) -> list[StudySummary]:
        """The studies, the latest first."""
        with self._database.read() as conn:
            return views.summaries(conn, state=state, limit=limit)

    def study(self, study_uid: str) -> StudyReport:
        """All about one study: decision, instances, runs, findings, objects, deliveries, events.

        Raises
        ------
        NotFoundError
            No such study.
        """
        with self._database.read() as conn:
            return views.report(conn, study_uid)

    def deliveries(
        self, *, study_uid: str | None = None, states: Sequence[DeliveryState] | None = None, limit: int = 200
    ) -> list[Delivery]:
        """Deliveries, the latest queued first."""
        with self._database.read() as conn:
            return views.delivery_list(conn, study_uid=study_uid, states=states, limit=limit)

    def events(self, *, kind: EventKind | None = None, limit: int = 200) -> list[Event]:
        """What happened, the latest first, of every study and of none."""
        query = select(events).order_by(events.c.id.desc()).limit(limit)
        if kind is not None:
            query = query.where(events.c.kind == kind.value)
        with self._database.read() as conn:
            return [Event(at=row.at, kind=EventKind(row.kind), text=row.text, study_uid=row.study_uid) for row in conn.execute(query)]

    def retry(self, study_uid: str, now: datetime) -> None:
        """Route and measure a study again, and send again what its destinations did not take.

        Raises
        ------
        NotFoundError
            No such study.
        PermanentError
            The study has not ended yet: it needs no retry.
        """
        with self._database.write() as conn:
            state = steps.lock_study(conn, study_uid)
            if state not in (StudyState.DONE, StudyState.REFUSED, StudyState.QUARANTINED):
                raise PermanentError(f"study {study_uid} is {state}: it is still on its way and needs no retry")
            steps.move(conn, study_uid, state, StudyState.COMPLETE, now)
            again = requeue_failed(conn, study_uid, now)
            text = f"a person asked for it when the study was {state}; {again} failed deliveries are sent again"
            steps.add_event(conn, EventKind.RETRY_REQUESTED, text, now=now, study_uid=study_uid)
