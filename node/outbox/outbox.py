"""The outbox: brings result objects to their destinations, each destination in a thread of its own, and records what became of them."""

import logging
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from typing import Protocol

from inference.errors import OsteonError
from node.config import Config, Destination
from node.errors import DeliveryError, StorageError
from node.ledger import Ledger
from node.ledger.records import Delivery
from node.outbox import cstore
from node.outbox.plan import order, points_at
from node.outbox.retry import GiveUp, Rejected, TryAgain, after_failure, delay_s
from node.states import DeliveryState

log = logging.getLogger(__name__)

BATCH = 200
"""Objects per association: a long backlog is worked off in pieces, so that new SEGs and SRs are not far behind."""


class Sender(Protocol):
    """What carries objects: :func:`node.outbox.cstore.send`, or a test's own."""

    def __call__(self, destination: Destination, calling_ae_title: str, items: Sequence[cstore.Item]) -> Generator[cstore.Sent, None, None]:
        """Send in this order; raises DeliveryError where the destination cannot be reached."""


class Outbox:
    """Delivers what the ledger says is due. Its only state is which destinations it is busy with.

    Parameters
    ----------
    config
        Destinations and their retry policies.
    ledger
        What is to be delivered.
    clock
        The time, in UTC.
    send
        What carries the objects.
    """

    def __init__(self, config: Config, ledger: Ledger, clock: Callable[[], datetime], send: Sender = cstore.send) -> None:
        self._config = config
        self._ledger = ledger
        self._clock = clock
        self._send = send
        self._busy: set[str] = set()
        self._unknown: set[str] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads = ThreadPoolExecutor(max_workers=max(1, len(config.destinations)), thread_name_prefix="outbox")

    def tick(self) -> None:
        """Start a delivery to every destination that something is due for and that no delivery runs to."""
        if self._stopping.is_set():
            return
        known = {destination.name: destination for destination in self._config.destinations}
        for name in sorted(self._ledger.outbox.due_destinations(self._clock())):
            destination = known.get(name)
            if destination is None:
                self._warn_once(name)
                continue
            with self._lock:
                if name in self._busy:
                    continue
                self._busy.add(name)
            self._threads.submit(self._run, destination)

    def stop(self) -> None:
        """Finish the object that each thread is at, then end."""
        self._stopping.set()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def deliver(self, destination: Destination) -> None:
        """Try what is due to one destination, in the caller's thread."""
        pending = self._ledger.outbox.pending(destination.name, 10 * BATCH)
        batch = order(pending, self._clock())[:BATCH]
        calling = destination.calling_ae_title or self._config.receiver.ae_title
        done: set[int] = set()
        try:
            while batch and not self._stopping.is_set():
                held = self._send_batch(destination, calling, batch, done)
                if held is None:
                    return
                # What points at the failed object waits for it; the rest goes on.
                batch = [item for item in _left(batch, done) if not points_at(item, held)]
        except DeliveryError as error:
            self._unreachable(destination, _left(batch, done), error)

    def _send_batch(self, destination: Destination, calling: str, batch: Sequence[Delivery], done: set[int]) -> Delivery | None:
        """Send until the end, or until an object fails that others of the batch point at; that object."""
        by_uid = {delivery.sop_instance_uid: delivery for delivery in batch}
        with closing(self._send(destination, calling, [_item(delivery) for delivery in batch])) as sending:
            for sent in sending:
                delivery = by_uid[sent.item.sop_instance_uid]
                again = self._record(destination, delivery, sent)
                done.add(delivery.delivery_id)
                if self._stopping.is_set():
                    return None
                if again and any(points_at(other, delivery) for other in _left(batch, done)):
                    return delivery
        return None

    def _run(self, destination: Destination) -> None:
        try:
            self.deliver(destination)
        except StorageError as error:
            log.error("deliveries to %s wait: %s", destination.name, error)
        except Exception:  # the outbox's edge: one destination's trouble must not end the others'
            log.exception("unexpected error while delivering to %s", destination.name)
        finally:
            with self._lock:
                self._busy.discard(destination.name)

    def _record(self, destination: Destination, delivery: Delivery, sent: cstore.Sent) -> bool:
        """Record one outcome; whether the object is tried again."""
        now = self._clock()
        if sent.error is None:
            self._ledger.outbox.delivered(delivery, sent.status or 0, sent.note, now)
            log.info(
                "%s of study %s is at %s%s", delivery.kind, delivery.study_uid, destination.name, f", {sent.note}" if sent.note else ""
            )
            return False
        return self._failed(destination, delivery, sent.error, sent.status, now)

    def _failed(self, destination: Destination, delivery: Delivery, error: OsteonError, status: int | None, now: datetime) -> bool:
        decision = after_failure(
            attempt=delivery.attempts + 1, queued_at=delivery.queued_at, policy=destination.retry, error=error, now=now
        )
        log.warning("%s of study %s to %s: %s", delivery.kind, delivery.study_uid, destination.name, error)
        match decision:
            case TryAgain(at=at):
                self._ledger.outbox.failed(delivery, str(error), status, at, now)
                return True
            case Rejected():
                self._ledger.outbox.ended(delivery, DeliveryState.REJECTED, str(error), status, now)
            case GiveUp(after_s=after_s):
                text = f"{error}; given up after {after_s / 3600:.1f} h"
                self._ledger.outbox.ended(delivery, DeliveryState.GAVE_UP, text, status, now)
        return False

    def _unreachable(self, destination: Destination, left: Sequence[Delivery], error: DeliveryError) -> None:
        """No association: each object of the batch failed, and what else is due waits as long as the first of them."""
        now = self._clock()
        for delivery in left:
            self._failed(destination, delivery, error, None, now)
        self._ledger.outbox.postpone(destination.name, now + timedelta(seconds=delay_s(left[0].attempts + 1, destination.retry)))

    def _warn_once(self, name: str) -> None:
        if name not in self._unknown:
            self._unknown.add(name)
            log.warning("deliveries wait for the destination %r, which the configuration does not have", name)


def _left(batch: Sequence[Delivery], done: set[int]) -> list[Delivery]:
    return [item for item in batch if item.delivery_id not in done]


def _item(delivery: Delivery) -> cstore.Item:
    return cstore.Item(sop_class_uid=delivery.sop_class_uid, sop_instance_uid=delivery.sop_instance_uid, path=delivery.path)
