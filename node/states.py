"""The states of a study, a job and a delivery, and the steps between them that are allowed. Nowhere else.

A study::

    receiving ─► complete ─► routed ─► working ─► done | refused | quarantined
        ▲           │   └──────────────────────────────► refused        (no route matched)
        └───────────┴── any state: a new instance re-opens the study

    working ─► routed      the worker died or was stopped; the study runs again
    done, refused, quarantined ─► complete      a person asked for it (``osteon retry``)
"""

from collections.abc import Mapping
from enum import StrEnum

from inference.errors import PermanentError

__all__ = ["DeliveryState", "IllegalTransitionError", "JobState", "Receipt", "StudyState", "check_transition"]


class StudyState(StrEnum):
    """Where a study is on its way."""

    RECEIVING = "receiving"
    """Instances arrive, or may still arrive."""
    COMPLETE = "complete"
    """No more is expected; to be routed."""
    ROUTED = "routed"
    """A route matched; a job waits for a worker."""
    WORKING = "working"
    """A worker holds the lease of its job."""
    DONE = "done"
    REFUSED = "refused"
    """No route matched, or the workflow gave no result; the reason is recorded."""
    QUARANTINED = "quarantined"
    """It killed the worker too often; a person must look at it."""


class JobState(StrEnum):
    """Where one run of a study is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    """Findings were recorded, be they a result or a refusal."""
    CANCELLED = "cancelled"
    """A new instance arrived, or a person asked for a new run, before it ended."""
    QUARANTINED = "quarantined"


class DeliveryState(StrEnum):
    """Where one object is on its way to one destination."""

    PENDING = "pending"
    DELIVERED = "delivered"
    REJECTED = "rejected"
    """The destination refused it for a reason that trying again does not change."""
    GAVE_UP = "gave_up"
    """It was tried for as long as the destination's retry policy says."""
    SUPERSEDED = "superseded"
    """A later run of the study gave newer objects before this one was delivered."""


class Receipt(StrEnum):
    """What a received instance was to the ledger."""

    NEW = "new"
    DUPLICATE = "duplicate"
    """The same SOP Instance UID with the same content was there."""
    CONFLICT = "conflict"
    """The same SOP Instance UID with other content was there: the first is used, this one is kept beside it."""
    OWN_RESULT = "own_result"
    """An object that this node made and that a peer sent back; it never re-opens a study."""


_ENDED = frozenset({StudyState.DONE, StudyState.REFUSED, StudyState.QUARANTINED})

STUDY_TRANSITIONS: Mapping[StudyState, frozenset[StudyState]] = {
    StudyState.RECEIVING: frozenset({StudyState.COMPLETE}),
    StudyState.COMPLETE: frozenset({StudyState.ROUTED, StudyState.REFUSED, StudyState.RECEIVING}),
    StudyState.ROUTED: frozenset({StudyState.WORKING, StudyState.RECEIVING}),
    StudyState.WORKING: _ENDED | {StudyState.ROUTED, StudyState.RECEIVING},
    StudyState.DONE: frozenset({StudyState.RECEIVING, StudyState.COMPLETE}),
    StudyState.REFUSED: frozenset({StudyState.RECEIVING, StudyState.COMPLETE}),
    StudyState.QUARANTINED: frozenset({StudyState.RECEIVING, StudyState.COMPLETE}),
}


class IllegalTransitionError(PermanentError):
    """A study was asked to take a step that its state does not allow."""


def check_transition(old: StudyState, new: StudyState) -> StudyState:
    """Return ``new`` if a study may go there from ``old``.

    Raises
    ------
    IllegalTransitionError
        It may not.
    """
    if new not in STUDY_TRANSITIONS[old]:
        allowed = ", ".join(sorted(STUDY_TRANSITIONS[old]))
        raise IllegalTransitionError(f"a study that is {old} cannot become {new}; from there it may become: {allowed}")
    return new
