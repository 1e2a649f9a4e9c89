"""What must hold when things are killed: nothing that was answered Success is lost, and each study has one set of results."""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from node.config import Config
from node.ledger import Ledger
from node.ledger.records import EventKind
from node.states import DeliveryState, StudyState
from tests.node.support import Pacs, ct_slice, machine_config, part10, send, until, with_destination
from tests.peers.dcmtk import ENVIRONMENT, dcmtk, storescu

# pynetdicom drops a socket unclosed when nobody listens, as while a node starts.
pytestmark = [pytest.mark.acceptance, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]

ROOT = Path(__file__).resolve().parents[2]


class Site:
    """A node in its own process, a PACS in this one, and the ledger seen from outside."""

    def __init__(self, folder: Path, **sections: Any) -> None:
        self.folder = folder
        self.pacs = Pacs()
        self.config: Config = machine_config(folder, **{**with_destination(self.pacs.port), **sections})
        (folder / "config.pickle").write_bytes(pickle.dumps(self.config))
        self.process: subprocess.Popen[bytes] | None = None
        self._ledger: Ledger | None = None

    def start(self, process: str = "results_of") -> None:
        """Start the node and wait until it answers."""
        command = [
            sys.executable,
            "-m",
            "tests.acceptance.fault_node",
            str(self.folder / "config.pickle"),
            f"tests.node.processes:{process}",
        ]
        with (self.folder / "node.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        until(self._answers, "the node answers C-ECHO")
        if self._ledger is None:
            self._ledger = Ledger.attach(self.config.storage.ledger.get_secret_value())

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send the node a signal and wait for its end; its exit status. No worker outlives it."""
        assert self.process is not None
        workers = self.workers()
        self.process.send_signal(number)
        status = self._end_of(self.process)
        until(lambda: not any(_alive(pid) for pid in workers), "the workers end with their node")
        self.process = None
        return status

    def _end_of(self, process: subprocess.Popen[bytes]) -> int:
        """The exit status; a node that does not end tells where it hangs, and is killed."""
        try:
            return process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGUSR2)
            time.sleep(2)
            process.kill()
            process.wait()
            raise AssertionError(f"the node did not end:\n{(self.folder / 'node.log').read_text()[-8000:]}") from None

    def close(self) -> None:
        """End everything."""
        if self.process is not None:
            self.kill(signal.SIGTERM)
        self.pacs.stop()
        if self._ledger is not None:
            self._ledger.close()

    @property
    def ledger(self) -> Ledger:
        assert self._ledger is not None
        return self._ledger

    def workers(self) -> list[int]:
        """The node's child processes."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for path in children for pid in path.read_text().split()]

    def send(self, first: int = 1, last: int = 3, study_uid: str = "1.2.3") -> None:
        numbers = range(first, last + 1)
        assert send(self.config.receiver.port, [ct_slice(number, study_uid=study_uid) for number in numbers]) == [0] * len(numbers)

    def state(self, study_uid: str = "1.2.3") -> StudyState | None:
        return next((item.state for item in self.ledger.studies() if item.study_uid == study_uid), None)

    def await_state(self, state: StudyState, study_uid: str = "1.2.3") -> None:
        until(lambda: self.state(study_uid) is state, f"study {study_uid} is {state}; see {self.folder / 'node.log'}", timeout_s=60)

    def await_results(self, number: int = 2) -> None:
        """So many deliveries, all done, and each object at the PACS once."""
        until(lambda: len(self.ledger.deliveries(states=[DeliveryState.DELIVERED])) == number, f"{number} deliveries", timeout_s=60)
        assert len(self.ledger.deliveries()) == number
        assert sorted(self.pacs.uids) == sorted(item.sop_instance_uid for item in self.ledger.deliveries())

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "node.log").read_text()
        association = AE().associate("127.0.0.1", self.config.receiver.port, contexts=[build_context(Verification)])
        if association.is_established:
            association.release()
            return True
        return False


def _alive(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


def test_the_worker_is_killed_in_mid_run(site: Site) -> None:
    site.pacs.start()
    site.start("slow")
    site.send()
    site.await_state(StudyState.WORKING)
    time.sleep(0.5)
    os.kill(site.workers()[0], signal.SIGKILL)
    site.await_state(StudyState.DONE)
    site.await_results()
    report = site.ledger.study("1.2.3")
    assert [(job.attempts, job.crashes) for job in report.jobs] == [(2, 1)]
    assert [path.name for path in (site.config.storage.results / "1.2.3").iterdir()] == ["run-1-2"]
    assert not list((site.config.storage.results / ".working").iterdir())


def test_the_node_is_killed_in_mid_run(site: Site) -> None:
    site.pacs.start()
    site.start("slow")
    site.send()
    site.await_state(StudyState.WORKING)
    site.kill()
    assert site.pacs.received == []
    site.start("slow")
    site.await_state(StudyState.DONE)
    site.await_results()
    job = site.ledger.study("1.2.3").jobs[0]
    assert (job.attempts, job.crashes, job.losses) == (2, 0, 1)


def test_the_node_is_killed_while_it_receives(site: Site) -> None:
    site.pacs.start()
    site.start()
    acknowledged: list[str] = []
    slices = [ct_slice(number, size=256) for number in range(1, 60)]
    association = AE(ae_title="SCANNER").associate(
        "127.0.0.1", site.config.receiver.port, contexts=[build_context(slices[0].SOPClassUID, slices[0].file_meta.TransferSyntaxUID)]
    )
    for ds in slices:
        if len(acknowledged) == 25:
            site.kill()
        if not association.is_established:
            break
        answer = association.send_c_store(ds)
        if "Status" in answer and answer.Status == 0:
            acknowledged.append(ds.SOPInstanceUID)
        else:
            break
    association.abort()
    assert len(acknowledged) == 25
    site.start()
    kept = {item.sop_instance_uid: item for item in site.ledger.study("1.2.3").instances}
    assert set(acknowledged) <= set(kept)
    assert all((site.config.storage.spool / item.path).stat().st_size == item.size_bytes for item in kept.values())
    assert not list((site.config.storage.spool / ".incoming").iterdir())
    assert send(site.config.receiver.port, slices) == [0] * len(slices)
    site.await_state(StudyState.DONE)
    assert site.ledger.study("1.2.3").summary.instances == 59


def test_the_node_is_told_to_stop_in_mid_run(site: Site) -> None:
    site.pacs.start()
    site.start("slow")
    site.send()
    site.await_state(StudyState.WORKING)
    assert site.kill(signal.SIGTERM) == 0
    assert site.state() is StudyState.ROUTED
    site.start("slow")
    site.await_results()
    job = site.ledger.study("1.2.3").jobs[0]
    assert (job.attempts, job.crashes, job.losses) == (2, 0, 0)


def test_a_study_that_kills_the_worker_twice_holds_nobody_up(site: Site) -> None:
    site.pacs.start()
    site.start("crash_on_two")
    site.send(1, 2)
    site.await_state(StudyState.QUARANTINED)
    site.send(1, 3, study_uid="1.2.4")
    site.await_state(StudyState.DONE, "1.2.4")
    site.await_results()
    assert site.ledger.study("1.2.3").summary.reason_code == "QUARANTINED"


def test_the_pacs_is_away_and_the_node_starts_again(site: Site) -> None:
    site.start()
    site.send()
    site.await_state(StudyState.DONE)
    until(lambda: any(item.attempts for item in site.ledger.deliveries()), "an attempt in vain")
    assert {item.state for item in site.ledger.deliveries()} == {DeliveryState.PENDING}
    site.kill()
    site.start()
    site.pacs.start()
    site.await_results()
    assert [str(ds.Modality) for ds in site.pacs.received] == ["SEG", "SR"]


def test_a_late_slice_leads_to_a_new_run(site: Site) -> None:
    site.pacs.start()
    site.start()
    site.send(1, 3)
    site.await_results(2)
    site.send(4, 4)
    until(lambda: len(site.ledger.study("1.2.3").jobs) == 2, "a second run")
    site.await_state(StudyState.DONE)
    site.await_results(4)
    assert EventKind.STUDY_REOPENED in [event.kind for event in site.ledger.study("1.2.3").events]


def test_the_ledger_is_lost_and_the_spool_is_not(site: Site) -> None:
    site.pacs.start()
    site.start()
    site.send()
    site.await_results()
    first = sorted(site.pacs.uids)
    site.kill(signal.SIGTERM)
    site.ledger.close()
    for path in site.folder.glob("osteon.db*"):
        path.unlink()
    site.pacs.received.clear()
    site.start()
    site.await_results()
    assert sorted(site.pacs.uids) == first
    assert site.ledger.study("1.2.3").summary.instances == 3


def test_a_sender_that_is_killed_and_starts_again(site: Site) -> None:
    dcmtk("storescu")
    folder = site.folder / "scan"
    folder.mkdir()
    for number in range(1, 41):
        (folder / f"{number}.dcm").write_bytes(part10(ct_slice(number, size=512)))
    site.pacs.start()
    site.start()
    command = storescu(site.config.receiver.port, "+sd", str(folder))
    sender = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: not site.ledger.is_empty() and site.ledger.study("1.2.3").summary.instances >= 3, "some instances")
    finally:
        sender.kill()
        sender.wait()
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    site.await_state(StudyState.DONE)
    report = site.ledger.study("1.2.3")
    assert report.summary.instances == 40
    assert all((site.config.storage.spool / item.path).read_bytes()[128:132] == b"DICM" for item in report.instances)
    assert sum(item.duplicates for item in report.instances) >= 3
