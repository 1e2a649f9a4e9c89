"""The supervisor: keeps the worker processes alive, their leases fresh and their runs within the time limit."""

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta

from inference.errors import ReasonCode
from inference.findings import Findings, Outcome, Reason
from node.clock import Clock, utc_now
from node.config import Config
from node.errors import StorageError
from node.ledger import Ledger
from node.ledger.jobs import LeaseLostError, RunResult
from node.ledger.records import Lease
from node.states import StudyState
from node.worker.launch import PROCESS, Launch, working_folder

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.1
SHORT_LIFE_S = 5.0
MAX_RESTART_DELAY_S = 30.0


@dataclass(kw_only=True)
class _Slot:
    """One worker's place: the process that fills it, and when the next may be started."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    owner: str = ""
    started: float = 0.0
    not_before: float = 0.0
    short_lives: int = 0


class Supervisor:
    """Runs ``worker.processes`` workers until it is stopped.

    Parameters
    ----------
    config
        Limits.
    ledger
        Where leases are.
    clock
        The time, in UTC.
    process
        ``module:function`` of what measures a study.
    """

    def __init__(self, config: Config, ledger: Ledger, clock: Clock = utc_now, process: str = PROCESS) -> None:
        self._config = config
        self._ledger = ledger
        self._clock = clock
        self._process = process
        self._slots = [_Slot(number=number) for number in range(config.worker.processes)]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._next_heartbeat = 0.0

    def start(self) -> None:
        """Start the workers."""
        shutil.rmtree(working_folder(self._config.storage.results, "any").parent, ignore_errors=True)
        self._thread.start()

    def stop(self, grace_s: float = 5.0) -> None:
        """Stop the workers, by SIGTERM and after ``grace_s`` by SIGKILL; what they were at is queued again."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        running = [slot for slot in self._slots if slot.process is not None]
        for slot in running:
            _signal(slot, signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        for slot in running:
            self._end(slot, max(0.0, deadline - time.monotonic()))
            try:
                self._ledger.jobs.worker_stopped(slot.owner, self._clock())
            except StorageError as error:  # the next start of the node releases it
                log.error("the run of %s stays leased: %s", slot.owner, error)

    def pids(self) -> list[int]:
        """The workers' process numbers."""
        return [slot.process.pid for slot in self._slots if slot.process is not None and slot.process.poll() is None]

    def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                for slot in self._slots:
                    self._look_at(slot)
                self._keep_leases()
            except StorageError as error:
                log.error("the supervisor waits: %s", error)
                self._stopping.wait(1.0)
            except Exception:  # the supervisor's edge: without it no study is ever measured again
                log.exception("unexpected error in the supervisor")
                self._stopping.wait(1.0)
            self._stopping.wait(LOOK_EVERY_S)

    def _look_at(self, slot: _Slot) -> None:
        if slot.process is not None and slot.process.poll() is not None:
            self._bury(slot, slot.process.returncode)
        if slot.process is None and time.monotonic() >= slot.not_before:
            self._start(slot)

    def _start(self, slot: _Slot) -> None:
        slot.owner = f"{socket.gethostname()}-{os.getpid()}-{slot.number}-{uuid.uuid4().hex[:8]}"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        slot.process = subprocess.Popen(
            [sys.executable, "-m", "node.worker"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment
        )
        slot.started = time.monotonic()
        launch = Launch(config=self._config, owner=slot.owner, process=self._process)
        try:
            if slot.process.stdin is not None:
                launch.write(slot.process.stdin)
        except BrokenPipeError:
            log.error("worker %s died at once", slot.owner)  # buried at the next look
        log.info("worker %s is process %d", slot.owner, slot.process.pid)

    def _bury(self, slot: _Slot, code: int) -> None:
        """A worker ended by itself: its run is released, and another worker takes its place."""
        how = describe_exit(code)
        after = self._ledger.jobs.worker_died(slot.owner, how, self._config.worker.max_crashes, self._clock())
        if after is None:
            log.info("worker %s ended (%s)", slot.owner, how)
        elif after is StudyState.QUARANTINED:
            log.error("worker %s died (%s); the study it was at is quarantined", slot.owner, how)
        else:
            log.error("worker %s died (%s); the study it was at runs again", slot.owner, how)
        self._end(slot, 0)
        short = after is None and time.monotonic() - slot.started < SHORT_LIFE_S
        slot.short_lives = slot.short_lives + 1 if short else 0
        delay_s = min(MAX_RESTART_DELAY_S, 0.5 * 2 ** (slot.short_lives - 1)) if slot.short_lives else 0.0
        slot.not_before = time.monotonic() + delay_s

    def _keep_leases(self) -> None:
        """The heartbeat of workers that live, and the end of runs that take too long.

        The supervisor beats for them: a long computation in C can keep a worker's own threads from running.
        """
        if time.monotonic() < self._next_heartbeat:
            return
        worker = self._config.worker
        self._next_heartbeat = time.monotonic() + min(worker.lease_s / 4, worker.time_limit_s / 4, 1.0)
        now = self._clock()
        mine = {slot.owner: slot for slot in self._slots if slot.process is not None and slot.process.poll() is None}
        leases = [lease for lease in self._ledger.jobs.leases() if lease.owner in mine]
        if leases:
            self._ledger.jobs.extend([lease.owner for lease in leases], now + timedelta(seconds=worker.lease_s))
        for lease in leases:
            if now - lease.started_at > timedelta(seconds=worker.time_limit_s):
                self._stop_run(mine[lease.owner], lease)

    def _stop_run(self, slot: _Slot, lease: Lease) -> None:
        """Kill a worker whose run is over the time limit, and refuse the study."""
        _signal(slot, signal.SIGKILL)
        self._end(slot, 0)
        limit_s = self._config.worker.time_limit_s
        reason = Reason(code=ReasonCode.OUT_OF_TIME, text=f"the run took more than the {limit_s:g} s of worker.time_limit_s")
        findings = Findings(study_instance_uid=lease.study_uid, workflow=lease.workflow, outcome=Outcome.REFUSED, reason=reason)
        log.error("study %s: %s", lease.study_uid, reason.text)
        try:
            result = RunResult(findings=findings, objects=(), picture=None, targets={})
            self._ledger.jobs.finish(lease.job_id, lease.owner, result, self._clock())
        except LeaseLostError:
            log.info("study %s ended just in time", lease.study_uid)

    def _end(self, slot: _Slot, wait_s: float) -> None:
        """See a worker's process off: wait, kill what does not end, leave no zombie and no half-written folder."""
        process = slot.process
        if process is None:
            return
        try:
            process.wait(timeout=wait_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()
        shutil.rmtree(working_folder(self._config.storage.results, slot.owner), ignore_errors=True)
        slot.process = None


def describe_exit(code: int) -> str:
    """An exit status in words."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def _signal(slot: _Slot, number: signal.Signals) -> None:
    if slot.process is not None and slot.process.poll() is None:
        slot.process.send_signal(number)
