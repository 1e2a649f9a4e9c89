"""The node: everything started in the right order, and stopped in the other."""

import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TypeVar

from inference.reading import read_header
from node.clock import Clock, utc_now
from node.config import Config
from node.dispatch import complete_studies, route_studies
from node.ledger import Ledger
from node.outbox import Outbox
from node.receive.dimse import DimseReceiver
from node.scheduler import Scheduler
from node.spool import Spool
from node.worker import Supervisor
from node.worker.launch import PROCESS

log = logging.getLogger(__name__)

Part = TypeVar("Part")


class Node:
    """A running node. A context manager: ``with Node(config) as node: ...``.

    Parameters
    ----------
    config
        The whole configuration; its paths are used as they are.
    process
        ``module:function`` of what measures a study.
    clock
        The time, in UTC.
    """

    def __init__(self, config: Config, *, process: str = PROCESS, clock: Clock = utc_now) -> None:
        self.config = config
        self._process = process
        self._clock = clock
        self._running: ExitStack | None = None
        self._ledger: Ledger | None = None
        self._receiver: DimseReceiver | None = None
        self._supervisor: Supervisor | None = None

    @property
    def ledger(self) -> Ledger:
        """The ledger of the running node."""
        return _started(self._ledger)

    @property
    def supervisor(self) -> Supervisor:
        """What watches over the workers."""
        return _started(self._supervisor)

    @property
    def port(self) -> int:
        """The port that the receiver listens on."""
        return _started(self._receiver).port

    def start(self) -> None:
        """Recover what an earlier node left, then receive, measure and deliver.

        Raises
        ------
        StorageError
            The spool, the ledger or the port cannot be used.
        node.ledger.migrations.LedgerVersionError
            The ledger was written by newer software.
        """
        with ExitStack() as stack:
            spool = stack.enter_context(Spool(self.config.storage.spool, self.config.receiver.min_free_disk_mb))
            ledger = stack.enter_context(Ledger.open(self.config.storage.ledger.get_secret_value(), self._clock()))
            self._recover(spool, ledger)
            outbox = Outbox(self.config, ledger, self._clock)
            stack.callback(outbox.stop)
            supervisor = Supervisor(self.config, ledger, self._clock, self._process)
            stack.callback(supervisor.stop)
            supervisor.start()
            scheduler = Scheduler()
            stack.callback(scheduler.stop)
            receiver = DimseReceiver(self.config.receiver, spool, ledger, self._clock)
            stack.callback(receiver.stop)
            receiver.start()
            self._schedule(scheduler, ledger, outbox, receiver)
            self._ledger, self._receiver, self._supervisor = ledger, receiver, supervisor
            self._running = stack.pop_all()

    def stop(self) -> None:
        """Receive no more, let the associations end, stop the workers, finish the object being sent. Nothing is lost."""
        running, self._running = self._running, None
        if running is not None:
            log.info("stopping")
            running.close()
            self._ledger = self._receiver = self._supervisor = None

    def __enter__(self) -> "Node":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def serve_forever(self) -> None:
        """Start, run until SIGTERM or SIGINT, stop. Only in the main thread."""
        with _told_to_stop() as told, self:
            told()

    def _recover(self, spool: Spool, ledger: Ledger) -> None:
        now = self._clock()
        lost = ledger.arrivals.close_lost_associations(now)
        released = ledger.jobs.release_lost(now, every=True)
        if lost or released:
            log.warning("the node ended unexpectedly: %d associations were open, %d runs are queued again", lost, len(released))
        if ledger.is_empty():
            number = spool.rebuild(ledger, read_header)
            if number:
                log.warning("the ledger was empty: %d instances of the spool were recorded again", number)

    def _schedule(self, scheduler: Scheduler, ledger: Ledger, outbox: Outbox, receiver: DimseReceiver) -> None:
        tick_s = self.config.completion.tick_s

        def dispatch() -> None:
            complete_studies(ledger, self.config, self._clock())
            route_studies(ledger, self.config, self._clock())

        def leases() -> None:
            ledger.jobs.release_lost(self._clock())
            receiver.sweep()

        scheduler.every(tick_s, "completion and routing", dispatch)
        scheduler.every(tick_s, "outbox", outbox.tick)
        scheduler.every(min(5.0, self.config.worker.lease_s), "leases", leases)
        scheduler.start()


@contextmanager
def _told_to_stop() -> Iterator[Callable[[], object]]:
    """What blocks until SIGTERM or SIGINT arrives, even one that arrived before it was called.

    A pipe and not an event: the kernel may give a signal to any thread, and an event that the main thread waits for would then be set
    only when that thread runs again, which may be never. The interpreter writes to its wake-up descriptor at once, in whichever thread.
    """
    ear, mouth = socket.socketpair()
    with ear, mouth:
        mouth.setblocking(False)
        handlers = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
        wakeup = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)

        def told() -> None:
            while ear.recv(1)[0] not in handlers:
                pass

        try:
            yield told
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _started(part: Part | None) -> Part:
    if part is None:
        raise RuntimeError("the node is not running")
    return part
