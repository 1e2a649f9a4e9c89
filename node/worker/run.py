"""One claimed run: measure, give the files their place, record everything in one transaction."""

import logging
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from inference.errors import ReasonCode, Refusal, RetryableError
from inference.findings import Findings, Outcome, Reason
from node.clock import Clock
from node.config import Config
from node.errors import StorageError
from node.ledger import Ledger
from node.ledger.jobs import LeaseLostError, RunResult
from node.ledger.records import Claim
from node.pipeline import ProcessedStudy
from node.results.objects import ResultKind
from node.spool import safe_name
from node.worker.launch import Process, working_folder

log = logging.getLogger(__name__)

MAX_FAILURES = 5
"""After so many errors that might have passed a run is refused."""

RETRY_AFTER = timedelta(seconds=30)
LEDGER_PATIENCE_S = 60.0
_MEMORY_WORDS = ("bad_alloc", "Failed to allocate", "Unable to allocate", "not enough memory", "can't allocate memory")


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs what was claimed.

    Parameters
    ----------
    release
        Called just before the end of a run is recorded, when its lease is about to end in good order.
    """

    config: Config
    ledger: Ledger
    process: Process
    clock: Clock
    release: Callable[[], None] = lambda: None

    def run(self, claim: Claim) -> ReasonCode | None:
        """Run to the end; the reason code where the study was refused by the machinery and not by its workflow."""
        temporary = working_folder(self.config.storage.results, claim.owner)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            failure = self._run(claim, temporary)
        except LeaseLostError as error:
            log.info("study %s: what was computed is dropped: %s", claim.study_uid, error)
            failure = None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return failure

    def _run(self, claim: Claim, temporary: Path) -> ReasonCode | None:
        headers = [replace(item.header, path=self.config.storage.spool.absolute() / item.path) for item in claim.instances]
        try:
            processed = self.process(headers, claim.decision, self.config, temporary)
            processed, place = self._publish(claim, processed, temporary)
        except RetryableError as error:
            return self._put_back(claim, error)
        except Refusal as refusal:
            self._finish(claim, refused(claim, refusal.code, refusal.text), None)
            return None
        except Exception as error:  # noqa: BLE001  the worker's edge: a defect costs one study, visibly, and not the worker
            return self._defect(claim, error)
        self._finish(claim, processed, place)
        return None

    def _publish(self, claim: Claim, processed: ProcessedStudy, temporary: Path) -> tuple[ProcessedStudy, Path]:
        """Make the files durable and give them their place. The number of the attempt keeps two workers apart."""
        study = self.config.storage.results.absolute() / safe_name(claim.study_uid)
        try:
            study.mkdir(parents=True, exist_ok=True)
            place = _free(study / f"run-{claim.run}-{claim.attempt}")
            for path in temporary.rglob("*"):
                _sync(path)
            _sync(temporary)
            temporary.rename(place)
            _sync(study)
        except OSError as error:
            raise StorageError(f"the results cannot be kept: {error.strerror or error}") from error
        moved = tuple(replace(item, path=place / item.path.absolute().relative_to(temporary)) for item in processed.objects)
        picture = processed.picture_png
        if picture is not None:
            picture = place / picture.absolute().relative_to(temporary)
        return replace(processed, objects=moved, picture_png=picture), place

    def _finish(self, claim: Claim, processed: ProcessedStudy, place: Path | None) -> None:
        targets, unknown = _targets(claim, self.config)
        result = RunResult(
            findings=processed.findings,
            objects=processed.objects,
            picture=processed.picture_png,
            targets=targets,
            unknown_destinations=unknown,
        )
        self.release()
        try:
            self._patiently(lambda: self.ledger.jobs.finish(claim.job_id, claim.owner, result, self.clock()))
        except LeaseLostError:
            if place is not None:
                shutil.rmtree(place, ignore_errors=True)
            raise
        log.info("study %s: %s", claim.study_uid, processed.findings.outcome)

    def _put_back(self, claim: Claim, error: RetryableError) -> ReasonCode | None:
        log.warning("study %s: %s", claim.study_uid, error)
        if claim.failures + 1 >= MAX_FAILURES:
            return self._refuse(claim, ReasonCode.INTERNAL_ERROR, f"{MAX_FAILURES} attempts failed, the last with: {error}")
        now = self.clock()
        self.release()
        self._patiently(
            lambda: self.ledger.jobs.put_back(claim.job_id, claim.owner, error=str(error), not_before=now + RETRY_AFTER, now=now)
        )
        return None

    def _defect(self, claim: Claim, error: Exception) -> ReasonCode:
        if isinstance(error, MemoryError) or any(word in str(error) for word in _MEMORY_WORDS):
            log.error("study %s needs more memory than worker.memory_limit_mb", claim.study_uid)
            text = f"the study needs more than the {self.config.worker.memory_limit_mb} MB of worker.memory_limit_mb"
            return self._refuse(claim, ReasonCode.OUT_OF_MEMORY, text)
        log.error("study %s: unexpected error", claim.study_uid, exc_info=error)
        return self._refuse(claim, ReasonCode.INTERNAL_ERROR, f"{type(error).__name__}: {error}")

    def _refuse(self, claim: Claim, code: ReasonCode, text: str) -> ReasonCode:
        self._finish(claim, refused(claim, code, text), None)
        return code

    def _patiently(self, record: Callable[[], object]) -> None:
        """Record, again while the ledger cannot take it: minutes of computing are not thrown away for a busy moment."""
        deadline = time.monotonic() + LEDGER_PATIENCE_S
        while True:
            try:
                record()
            except StorageError as error:
                if time.monotonic() > deadline:
                    raise
                log.warning("study results wait: %s", error)
                time.sleep(1)
            else:
                return


def refused(claim: Claim, code: ReasonCode, text: str) -> ProcessedStudy:
    """A run that ends without a result and without objects."""
    findings = Findings(
        study_instance_uid=claim.study_uid,
        workflow=claim.decision.workflow or "",
        outcome=Outcome.REFUSED,
        reason=Reason(code=code, text=text),
    )
    return ProcessedStudy(decision=claim.decision, findings=findings, objects=(), picture_png=None)


def _targets(claim: Claim, config: Config) -> tuple[dict[str, tuple[ResultKind, ...]], tuple[str, ...]]:
    """What each destination of the decision takes, and those that the configuration does not have any more."""
    kinds = {destination.name: destination.send for destination in config.destinations}
    names = claim.decision.destinations
    return {name: kinds[name] for name in names if name in kinds}, tuple(name for name in names if name not in kinds)


def _free(place: Path) -> Path:
    """The place, or the next that is free: after the loss of a ledger its numbers begin again."""
    number = 1
    candidate = place
    while candidate.exists():
        number += 1
        candidate = place.with_name(f"{place.name}.{number}")
    return candidate


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
