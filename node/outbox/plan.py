"""What to send to a destination now, and in which order: a pure function of (pending deliveries, now)."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from node.ledger.records import Delivery
from node.results.objects import ResultKind

_RANK: dict[ResultKind, int] = {"seg": 0, "picture": 1, "text": 2, "sr": 3}
"""The SR points at the others: a reader that opens it finds them there."""


def order(pending: Iterable[Delivery], now: datetime) -> list[Delivery]:
    """The deliveries to try now: the longest waiting study first, within a study the objects that others point at first.

    A delivery waits while the same study has one of lower rank that is pending and not yet due.
    """
    by_study: dict[str, list[Delivery]] = {}
    for delivery in pending:
        by_study.setdefault(delivery.study_uid, []).append(delivery)
    planned: list[Delivery] = []
    for group in sorted(by_study.values(), key=lambda items: min(item.queued_at for item in items)):
        planned += _due(sorted(group, key=lambda item: (_RANK[item.kind], item.delivery_id)), now)
    return planned


def _due(group: Sequence[Delivery], now: datetime) -> list[Delivery]:
    held_above = min((_RANK[item.kind] for item in group if not is_due(item, now)), default=len(_RANK))
    return [item for item in group if is_due(item, now) and _RANK[item.kind] <= held_above]


def is_due(delivery: Delivery, now: datetime) -> bool:
    """Whether its time has come."""
    return delivery.next_attempt_at is not None and delivery.next_attempt_at <= now


def points_at(later: Delivery, earlier: Delivery) -> bool:
    """Whether ``later`` must not be sent while ``earlier`` is not there."""
    return later.study_uid == earlier.study_uid and _RANK[later.kind] > _RANK[earlier.kind]
