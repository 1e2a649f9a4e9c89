"""What the ledger takes and gives, as plain frozen data."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from inference.reading import InstanceHeader
from node.results.objects import ResultKind
from node.routing import Decision
from node.states import DeliveryState, JobState, Receipt, StudyState


class EventKind(StrEnum):
    """What happened."""

    ASSOCIATION_REJECTED = "association_rejected"
    INSTANCE_REJECTED = "instance_rejected"
    INSTANCE_CONFLICT = "instance_conflict"
    OWN_RESULT_RETURNED = "own_result_returned"
    STUDY_OPENED = "study_opened"
    STUDY_REOPENED = "study_reopened"
    STUDY_COMPLETE = "study_complete"
    ROUTED = "routed"
    REFUSED = "refused"
    RUN_STARTED = "run_started"
    RUN_DONE = "run_done"
    RUN_FAILED = "run_failed"
    RUN_CRASHED = "run_crashed"
    RUN_LOST = "run_lost"
    RUN_STOPPED = "run_stopped"
    QUARANTINED = "quarantined"
    RETRY_REQUESTED = "retry_requested"
    DELIVERED = "delivered"
    DELIVERY_FAILED = "delivery_failed"
    DELIVERY_REJECTED = "delivery_rejected"
    DELIVERY_GAVE_UP = "delivery_gave_up"
    DELIVERY_SUPERSEDED = "delivery_superseded"
    DESTINATION_UNKNOWN = "destination_unknown"


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One instance that lies in the spool. ``path`` is relative to the spool's root."""

    header: InstanceHeader
    path: str
    content_sha256: str
    size_bytes: int
    association_id: int | None
    received_at: datetime


@dataclass(frozen=True, kw_only=True)
class CompletionFacts:
    """What completion looks at. ``open_associations`` counts those whose latest instance belongs to this study."""

    study_uid: str
    receiving_since: datetime
    last_instance_at: datetime
    modalities: frozenset[str]
    open_associations: int


@dataclass(frozen=True, kw_only=True)
class StoredInstance:
    """One instance of the ledger. ``header.path`` is None; ``path`` is relative to the spool's root."""

    sop_instance_uid: str
    series_instance_uid: str
    role: str
    path: str
    content_sha256: str
    size_bytes: int
    duplicates: int
    received_at: datetime
    header: InstanceHeader


@dataclass(frozen=True, kw_only=True)
class RoutingFacts:
    """What routing looks at."""

    study_uid: str
    instances: tuple[StoredInstance, ...]
    calling_ae_titles: frozenset[str]
    called_ae_titles: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A run that a worker holds the lease of."""

    job_id: int
    study_uid: str
    run: int
    attempt: int
    failures: int
    owner: str
    decision: Decision
    instances: tuple[StoredInstance, ...]


@dataclass(frozen=True, kw_only=True)
class Lease:
    """A running job, as its supervisor sees it."""

    job_id: int
    study_uid: str
    workflow: str
    owner: str
    started_at: datetime
    lease_until: datetime


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One object on its way to one destination."""

    delivery_id: int
    object_id: int
    study_uid: str
    kind: ResultKind
    sop_class_uid: str
    sop_instance_uid: str
    path: Path
    destination: str
    state: DeliveryState
    queued_at: datetime
    attempts: int
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    status: int | None
    last_error: str | None


@dataclass(frozen=True, kw_only=True)
class Event:
    """What happened, when and why."""

    at: datetime
    kind: EventKind
    text: str
    study_uid: str | None


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """A result object of the ledger."""

    kind: ResultKind
    sop_class_uid: str
    sop_instance_uid: str
    path: Path
    made_at: datetime


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """One run of a study."""

    job_id: int
    run: int
    state: JobState
    attempts: int
    crashes: int
    losses: int
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, kw_only=True)
class StudySummary:
    """One line of ``osteon studies``. ``outcome`` is that of the latest run that ended, None before."""

    study_uid: str
    state: StudyState
    first_instance_at: datetime
    last_instance_at: datetime
    instances: int
    modalities: tuple[str, ...]
    route: str | None
    workflow: str | None
    outcome: str | None
    reason_code: str | None
    reason_text: str | None
    deliveries: Mapping[DeliveryState, int]


@dataclass(frozen=True, kw_only=True)
class StudyReport:
    """All that the ledger knows of one study: what ``osteon show`` prints. ``findings`` is :mod:`node.report`'s JSON of the latest run."""

    summary: StudySummary
    instances: tuple[StoredInstance, ...]
    decision: Decision | None
    jobs: tuple[JobRecord, ...]
    findings: Mapping[str, Any] | None
    picture: Path | None
    objects: tuple[StoredObject, ...]
    deliveries: tuple[Delivery, ...]
    events: tuple[Event, ...]


__all__ = [
    "Arrival",
    "Claim",
    "CompletionFacts",
    "Delivery",
    "Event",
    "EventKind",
    "JobRecord",
    "Lease",
    "Receipt",
    "RoutingFacts",
    "StoredInstance",
    "StoredObject",
    "StudyReport",
    "StudySummary",
]
