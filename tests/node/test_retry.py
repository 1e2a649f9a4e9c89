"""When a delivery is tried again, and in which order: tables."""

from dataclasses import replace
from pathlib import Path

import pytest

from node.config import Retry
from node.errors import DeliveryError, DeliveryRejectedError
from node.ledger.records import Delivery
from node.outbox.plan import order, points_at
from node.outbox.retry import GiveUp, Rejected, RetryDecision, TryAgain, after_failure, delay_s
from node.results.objects import ResultKind
from node.states import DeliveryState
from tests.node.support import at

pytestmark = pytest.mark.unit

POLICY = Retry(first_s=30, factor=2, max_s=1800, give_up_after_s=7200)


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 30), (2, 60), (3, 120), (6, 960), (7, 1800), (8, 1800), (5000, 1800), (10**9, 1800)])
def test_delay_doubles_up_to_the_maximum(attempt: int, seconds: float) -> None:
    assert delay_s(attempt, POLICY) == pytest.approx(seconds)


def test_delay_without_growth_and_with_a_first_above_the_maximum() -> None:
    assert delay_s(1000, Retry(first_s=10, factor=1, max_s=20)) == 10
    assert delay_s(1, Retry(first_s=100, factor=2, max_s=20)) == 20


def test_attempts_count_from_one() -> None:
    with pytest.raises(ValueError, match="count from 1"):
        delay_s(0, POLICY)


@pytest.mark.parametrize(
    ("attempt", "error", "now_s", "decision"),
    [
        (1, DeliveryError("down"), 0, TryAgain(at=at(30))),
        (3, DeliveryError("down"), 1000, TryAgain(at=at(1120))),
        (9, DeliveryError("down"), 7000, TryAgain(at=at(7200))),
        (9, DeliveryError("down"), 7200, GiveUp(after_s=7200)),
        (1, DeliveryRejectedError("no"), 0, Rejected()),
        (9, DeliveryRejectedError("no"), 9999, Rejected()),
    ],
    ids=["first", "third", "last one lies at the end", "over", "permanent", "permanent and late"],
)
def test_after_failure(attempt: int, error: DeliveryError | DeliveryRejectedError, now_s: float, decision: RetryDecision) -> None:
    assert after_failure(attempt=attempt, queued_at=at(0), policy=POLICY, error=error, now=at(now_s)) == decision


def delivery(number: int, kind: ResultKind, *, study: str = "1.2", due_s: float = 0, queued_s: float = 0) -> Delivery:
    return Delivery(
        delivery_id=number,
        object_id=number,
        study_uid=study,
        kind=kind,
        sop_class_uid="1.2.840",
        sop_instance_uid=f"9.{number}",
        path=Path(f"{number}.dcm"),
        destination="pacs",
        state=DeliveryState.PENDING,
        queued_at=at(queued_s),
        attempts=0,
        next_attempt_at=at(due_s),
        delivered_at=None,
        status=None,
        last_error=None,
    )


def numbers(deliveries: list[Delivery]) -> list[int]:
    return [item.delivery_id for item in deliveries]


def test_what_others_point_at_goes_first() -> None:
    pending = [delivery(1, "sr"), delivery(2, "text"), delivery(3, "picture"), delivery(4, "seg")]
    assert numbers(order(pending, at(0))) == [4, 3, 2, 1]


def test_what_is_not_due_waits_and_holds_what_points_at_it() -> None:
    pending = [delivery(1, "seg", due_s=60), delivery(2, "sr"), delivery(3, "sr", study="1.3")]
    assert numbers(order(pending, at(0))) == [3]
    assert numbers(order(pending, at(60))) == [1, 2, 3]


def test_a_waiting_sr_does_not_hold_a_seg() -> None:
    assert numbers(order([delivery(1, "sr", due_s=60), delivery(2, "seg")], at(0))) == [2]


def test_the_longest_waiting_study_goes_first() -> None:
    pending = [delivery(1, "seg", study="1.3", queued_s=5), delivery(2, "sr", study="1.2", queued_s=1)]
    assert numbers(order(pending, at(10))) == [2, 1]


def test_what_is_delivered_is_not_due() -> None:
    assert order([replace(delivery(1, "sr"), next_attempt_at=None)], at(0)) == []


def test_points_at() -> None:
    seg, sr = delivery(1, "seg"), delivery(2, "sr")
    assert points_at(sr, seg)
    assert not points_at(seg, sr)
    assert not points_at(delivery(3, "sr", study="1.3"), seg)
