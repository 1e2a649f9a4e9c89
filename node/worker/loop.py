"""The worker process: claim, run, again. It ends with its node, on SIGTERM, and when a run ran out of memory."""

import logging
import os
import signal
import sys
import threading
from datetime import timedelta
from typing import IO, NoReturn

from inference.errors import ReasonCode
from node import logs
from node.clock import Clock, utc_now
from node.config import Config
from node.errors import StorageError
from node.ledger import Ledger
from node.worker.launch import Launch, Process, load_process
from node.worker.run import Runner

log = logging.getLogger(__name__)

POLL_S = 0.25
LEASE_CHECK_S = 1.0
EXIT_ORPHAN = 70
EXIT_DROPPED = 71


class Worker:
    """Claims runs for one owner, one at a time."""

    def __init__(self, launch: Launch, ledger: Ledger, process: Process, clock: Clock = utc_now) -> None:
        self._owner = launch.owner
        self._ledger = ledger
        self._clock = clock
        self._lease = timedelta(seconds=launch.config.worker.lease_s)
        self._job_id: int | None = None
        self._runner = Runner(config=launch.config, ledger=ledger, process=process, clock=clock, release=self._release)

    def step(self) -> tuple[bool, ReasonCode | None]:
        """Run one study if one waits; whether one did, and the machinery's reason where it was refused for one."""
        now = self._clock()
        if not self._ledger.jobs.has_work(now):
            return False, None
        claim = self._ledger.jobs.claim(self._owner, self._lease, now)
        if claim is None:
            return False, None
        log.info("study %s: run %d, attempt %d", claim.study_uid, claim.run, claim.attempt)
        self._job_id = claim.job_id
        try:
            return True, self._runner.run(claim)
        finally:
            self._release()

    def has_lost_its_lease(self) -> bool:
        """Whether the run in progress is not this worker's any more: a new instance re-opened the study, for one."""
        job_id = self._job_id
        if job_id is None:
            return False
        held = {lease.job_id for lease in self._ledger.jobs.leases() if lease.owner == self._owner}
        return job_id not in held and self._job_id == job_id

    def _release(self) -> None:
        self._job_id = None


def main(pipe: IO[bytes]) -> int:
    """Serve until told otherwise; the exit status."""
    launch = Launch.read(pipe)
    _prepare(launch.config)
    threading.Thread(target=_end_with_the_node, args=(pipe,), name="node-watch", daemon=True).start()
    process = load_process(launch.process)
    with Ledger.attach(launch.config.storage.ledger.get_secret_value()) as ledger:
        worker = Worker(launch, ledger, process)
        threading.Thread(target=_drop_lost_runs, args=(worker,), name="lease-watch", daemon=True).start()
        return _serve(worker)


def _serve(worker: Worker) -> int:
    pause = threading.Event()
    while True:
        try:
            worked, failure = worker.step()
        except StorageError as error:
            log.error("the worker waits: %s", error)
            worked, failure = False, None
        if failure is ReasonCode.OUT_OF_MEMORY:
            return 0  # a fresh process has fresh memory
        if not worked:
            pause.wait(POLL_S)


def _prepare(config: Config) -> None:
    logs.configure(config.logging.level)
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the whole group; the node decides
    limit_memory(config.worker.memory_limit_mb)


def limit_memory(limit_mb: int) -> None:
    """Let this process have so much memory of its own (RLIMIT_DATA: heap and private mappings, not what is only reserved)."""
    if sys.platform == "linux":
        import resource  # absent elsewhere

        resource.setrlimit(resource.RLIMIT_DATA, (limit_mb * 1_000_000, limit_mb * 1_000_000))


def _terminate(signum: int, frame: object) -> NoReturn:
    del signum, frame
    raise SystemExit(0)


def _end_with_the_node(pipe: IO[bytes]) -> None:
    while os.read(pipe.fileno(), 1):  # not pipe.read: it would hold the buffer's lock when the interpreter ends
        pass
    os._exit(EXIT_ORPHAN)  # in mid-run, too: the next node runs the study again


def _drop_lost_runs(worker: Worker) -> None:
    pause = threading.Event()
    while not pause.wait(LEASE_CHECK_S):
        try:
            lost = worker.has_lost_its_lease()
        except StorageError as error:
            log.warning("the lease cannot be looked at: %s", error)
            continue
        if lost:
            log.info("the run in progress is not wanted any more; starting afresh")
            os._exit(EXIT_DROPPED)
