"""The ledger's tables as SQLAlchemy Core sees them. The constraints live in ``migrations/*.sql``; a test holds the two together."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, DateTime, Dialect, Integer, MetaData, String, Table, Text, types
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.type_api import TypeEngine

metadata = MetaData()


def clean_text(value: str) -> str:
    """Text that every database takes: no NUL, no lone surrogate. DICOM headers hold both."""
    return value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


class CleanText(types.TypeDecorator[str]):
    """Text passed through :func:`clean_text`."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Clean on the way in."""
        del dialect
        return None if value is None else clean_text(str(value))


class UtcDateTime(types.TypeDecorator[datetime]):
    """A moment in UTC: ``timestamptz`` on PostgreSQL, fixed-width ISO text on SQLite, where text order is time order."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text on SQLite."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String())
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Refuse a naive time."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone: {value}")
        value = value.astimezone(UTC)
        return value.isoformat(timespec="microseconds") if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Back to an aware time in UTC."""
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if dialect.name == "sqlite" else value
        return moment.astimezone(UTC)


_Json = JSON().with_variant(JSONB(), "postgresql")


def _id() -> Column[int]:
    return Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)


associations = Table(
    "associations",
    metadata,
    _id(),
    Column("calling_ae_title", CleanText),
    Column("called_ae_title", CleanText),
    Column("peer_host", CleanText),
    Column("peer_port", Integer),
    Column("opened_at", UtcDateTime),
    Column("closed_at", UtcDateTime),
    Column("ending", Text),
    Column("stored", Integer),
    Column("refused", Integer),
)

studies = Table(
    "studies",
    metadata,
    Column("study_uid", CleanText, primary_key=True),
    Column("state", Text),
    Column("first_instance_at", UtcDateTime),
    Column("receiving_since", UtcDateTime),
    Column("last_instance_at", UtcDateTime),
    Column("changed_at", UtcDateTime),
    Column("run", Integer),
    Column("reason_code", Text),
    Column("reason_text", CleanText),
)

instances = Table(
    "instances",
    metadata,
    _id(),
    Column("study_uid", CleanText),
    Column("series_uid", CleanText),
    Column("sop_uid", CleanText),
    Column("modality", CleanText),
    Column("role", Text),
    Column("content_sha256", Text),
    Column("size_bytes", BigInteger),
    Column("path", Text),
    Column("header", _Json),
    Column("received_at", UtcDateTime),
    Column("duplicates", Integer),
    Column("association_id", BigInteger),
)

jobs = Table(
    "jobs",
    metadata,
    _id(),
    Column("study_uid", CleanText),
    Column("run", Integer),
    Column("state", Text),
    Column("route", Text),
    Column("workflow", Text),
    Column("queued_at", UtcDateTime),
    Column("not_before", UtcDateTime),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("lease_owner", Text),
    Column("lease_until", UtcDateTime),
    Column("attempts", Integer),
    Column("crashes", Integer),
    Column("losses", Integer),
    Column("failures", Integer),
    Column("last_error", CleanText),
)

decisions = Table(
    "decisions",
    metadata,
    _id(),
    Column("study_uid", CleanText),
    Column("run", Integer),
    Column("decided_at", UtcDateTime),
    Column("route", Text),
    Column("workflow", Text),
    Column("decision", _Json),
)

findings = Table(
    "findings",
    metadata,
    _id(),
    Column("job_id", BigInteger),
    Column("study_uid", CleanText),
    Column("run", Integer),
    Column("outcome", Text),
    Column("findings", _Json),
    Column("picture", Text),
    Column("recorded_at", UtcDateTime),
)

result_objects = Table(
    "result_objects",
    metadata,
    _id(),
    Column("study_uid", CleanText),
    Column("job_id", BigInteger),
    Column("kind", Text),
    Column("sop_class_uid", Text),
    Column("sop_instance_uid", Text),
    Column("path", Text),
    Column("made_at", UtcDateTime),
)

deliveries = Table(
    "deliveries",
    metadata,
    _id(),
    Column("object_id", BigInteger),
    Column("destination", Text),
    Column("state", Text),
    Column("queued_at", UtcDateTime),
    Column("attempts", Integer),
    Column("next_attempt_at", UtcDateTime),
    Column("delivered_at", UtcDateTime),
    Column("status", Integer),
    Column("last_error", CleanText),
)

events = Table(
    "events",
    metadata,
    _id(),
    Column("at", UtcDateTime),
    Column("kind", Text),
    Column("text", CleanText),
    Column("study_uid", CleanText),
    Column("association_id", BigInteger),
)
