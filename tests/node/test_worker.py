"""The worker: one run in this process, and the supervisor with real processes."""

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from inference.errors import ReasonCode
from inference.reading import header_of
from node.clock import utc_now
from node.config import Config
from node.dispatch import complete_studies, route_studies
from node.errors import StorageError
from node.ledger import Ledger
from node.ledger.records import Arrival, Claim, EventKind
from node.pipeline import process_study
from node.spool import Spool
from node.states import JobState, StudyState
from node.worker import Supervisor
from node.worker.launch import PROCESS, Launch, Process, load_process
from node.worker.loop import Worker
from node.worker.run import MAX_FAILURES, Runner
from node.worker.supervisor import describe_exit
from tests.node import processes
from tests.node.support import ct_slice, machine_config, part10, until, with_destination

pytestmark = pytest.mark.integration


class Workshop:
    """A ledger with studies that wait for a worker."""

    def __init__(self, config: Config, ledger: Ledger, spool: Spool) -> None:
        self.config, self.ledger, self.spool = config, ledger, spool

    def add(self, study_uid: str = "1.2.3", instances: int = 1) -> None:
        """A study, received, complete and routed."""
        for number in range(1, instances + 1):
            self.receive(number, study_uid)
        later = utc_now() + timedelta(seconds=60)
        complete_studies(self.ledger, self.config, later)
        route_studies(self.ledger, self.config, utc_now())

    def receive(self, number: int, study_uid: str = "1.2.3") -> None:
        ds = ct_slice(number, study_uid=study_uid)
        header, stored = self.spool.store(part10(ds), lambda: header_of(ds))
        self.ledger.arrivals.record(
            Arrival(
                header=header,
                path=stored.path,
                content_sha256=stored.content_sha256,
                size_bytes=stored.size_bytes,
                association_id=None,
                received_at=utc_now(),
            )
        )

    def claim(self, owner: str = "w1") -> Claim:
        claim = self.ledger.jobs.claim(owner, timedelta(seconds=60), utc_now())
        assert claim is not None
        return claim

    def run(self, process: Process, owner: str = "w1") -> ReasonCode | None:
        return Runner(config=self.config, ledger=self.ledger, process=process, clock=utc_now).run(self.claim(owner))

    def state(self, study_uid: str = "1.2.3") -> StudyState:
        return self.ledger.study(study_uid).summary.state

    def reason(self, study_uid: str = "1.2.3") -> tuple[str | None, str | None]:
        summary = self.ledger.study(study_uid).summary
        return summary.reason_code, summary.reason_text

    def result_folders(self) -> list[str]:
        return sorted(str(path.relative_to(self.config.storage.results)) for path in self.config.storage.results.glob("*/*"))


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    yield from _workshop(tmp_path)


def _workshop(folder: Path, **sections: Any) -> Iterator[Workshop]:
    config = machine_config(folder, **{**with_destination(11113), **sections})
    with Ledger.open(config.storage.ledger.get_secret_value(), utc_now()) as ledger, Spool(config.storage.spool) as spool:
        yield Workshop(config, ledger, spool)


class TestRun:
    def test_a_result_gets_its_place_and_its_deliveries(self, workshop: Workshop) -> None:
        workshop.add(instances=2)
        assert workshop.run(processes.results_of) is None
        report = workshop.ledger.study("1.2.3")
        assert report.summary.state is StudyState.DONE
        assert {item.kind: item.path.name for item in report.objects} == {"sr": "sr.dcm", "seg": "seg.dcm"}
        assert all(item.path.parent == workshop.config.storage.results / "1.2.3" / "run-1-1" for item in report.objects)
        assert [item.destination for item in report.deliveries] == ["pacs", "pacs"]
        assert workshop.result_folders() == ["1.2.3/run-1-1"]

    def test_a_destination_gets_only_the_kinds_it_takes(self, tmp_path: Path) -> None:
        for workshop in _workshop(tmp_path, **with_destination(11113, send=["sr"])):
            workshop.add()
            workshop.run(processes.results_of)
            assert [item.kind for item in workshop.ledger.deliveries()] == ["sr"]

    def test_a_destination_that_is_gone_is_said(self, workshop: Workshop) -> None:
        workshop.add()
        claim = workshop.claim()
        config = workshop.config.model_copy(update={"destinations": ()})
        Runner(config=config, ledger=workshop.ledger, process=processes.results_of, clock=utc_now).run(claim)
        report = workshop.ledger.study("1.2.3")
        assert report.deliveries == ()
        assert "no destination 'pacs' any more" in report.events[-1].text

    def test_a_refusal_that_is_raised(self, workshop: Workshop) -> None:
        workshop.add()
        assert workshop.run(processes.refuse) is None
        assert workshop.reason() == ("NO_SUITABLE_SERIES", "nothing axial")

    def test_a_defect_costs_one_study_and_is_seen(self, workshop: Workshop, caplog: pytest.LogCaptureFixture) -> None:
        workshop.add()
        assert workshop.run(processes.defect) is ReasonCode.INTERNAL_ERROR
        assert workshop.reason() == ("INTERNAL_ERROR", "ZeroDivisionError: a defect")
        assert "Traceback" in caplog.text
        assert workshop.result_folders() == []

    @pytest.mark.parametrize("error", [MemoryError(), RuntimeError("Exception thrown in SimpleITK: std::bad_alloc")])
    def test_memory_that_runs_out(self, workshop: Workshop, error: Exception) -> None:
        def fail(*_arguments: object) -> Any:
            raise error

        workshop.add()
        assert workshop.run(fail) is ReasonCode.OUT_OF_MEMORY
        assert workshop.reason()[0] == "OUT_OF_MEMORY"

    def test_an_error_that_may_pass_is_tried_again_and_not_for_ever(self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("node.worker.run.RETRY_AFTER", timedelta(0))
        workshop.add()
        for _ in range(MAX_FAILURES - 1):
            assert workshop.run(processes.no_room) is None
            assert workshop.state() is StudyState.ROUTED
        assert workshop.run(processes.no_room) is ReasonCode.INTERNAL_ERROR
        assert workshop.reason() == ("INTERNAL_ERROR", "5 attempts failed, the last with: no room")

    def test_results_that_cannot_be_kept_are_tried_again(self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(_path: Path, _target: Path) -> None:
            raise OSError(28, "No space left on device")

        workshop.add()
        monkeypatch.setattr("node.worker.run.Path.rename", fail)
        assert workshop.run(processes.results_of) is None
        assert workshop.state() is StudyState.ROUTED
        assert workshop.ledger.study("1.2.3").jobs[0].last_error == "the results cannot be kept: No space left on device"

    def test_what_a_reopened_study_gave_is_dropped(self, workshop: Workshop) -> None:
        workshop.add()
        claim = workshop.claim()
        workshop.receive(2)
        Runner(config=workshop.config, ledger=workshop.ledger, process=processes.results_of, clock=utc_now).run(claim)
        report = workshop.ledger.study("1.2.3")
        assert report.summary.state is StudyState.RECEIVING
        assert report.objects == ()
        assert workshop.result_folders() == []
        assert report.jobs[0].state is JobState.CANCELLED

    def test_a_busy_ledger_is_waited_for(self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
        real, calls = workshop.ledger.jobs.finish, []

        def finish(*arguments: Any) -> None:
            calls.append(1)
            if len(calls) == 1:
                raise StorageError("database is locked")
            real(*arguments)

        monkeypatch.setattr(workshop.ledger.jobs, "finish", finish)
        monkeypatch.setattr("node.worker.run.time.sleep", lambda _seconds: None)
        workshop.add()
        workshop.run(processes.results_of)
        assert workshop.state() is StudyState.DONE

    def test_a_ledger_that_stays_away_is_not_waited_for_for_ever(self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
        def finish(*_arguments: Any) -> None:
            raise StorageError("disk I/O error")

        monkeypatch.setattr(workshop.ledger.jobs, "finish", finish)
        monkeypatch.setattr("node.worker.run.LEDGER_PATIENCE_S", -1)
        workshop.add()
        with pytest.raises(StorageError):
            workshop.run(processes.results_of)

    def test_files_a_dead_worker_left_are_not_in_the_way(self, workshop: Workshop) -> None:
        workshop.add()
        left = workshop.config.storage.results / ".working" / "w1"
        left.mkdir(parents=True)
        (left / "half").touch()
        workshop.run(processes.results_of)
        place = workshop.config.storage.results / "1.2.3" / "run-1-1"
        assert sorted(path.name for path in place.iterdir()) == ["page.png", "seg.dcm", "sr.dcm"]


class TestLoop:
    def worker(self, workshop: Workshop, process: Process) -> Worker:
        return Worker(Launch(config=workshop.config, owner="w1"), workshop.ledger, process)

    def test_it_takes_what_waits(self, workshop: Workshop) -> None:
        worker = self.worker(workshop, processes.results_of)
        assert worker.step() == (False, None)
        workshop.add()
        assert worker.step() == (True, None)
        assert worker.step() == (False, None)
        assert workshop.state() is StudyState.DONE

    def test_it_says_why_the_machinery_refused(self, workshop: Workshop) -> None:
        workshop.add()
        assert self.worker(workshop, processes.defect).step() == (True, ReasonCode.INTERNAL_ERROR)

    def test_it_notices_a_lost_lease(self, workshop: Workshop) -> None:
        seen: list[bool] = []

        def process(*arguments: Any) -> Any:
            seen.append(worker.has_lost_its_lease())
            workshop.receive(2)
            seen.append(worker.has_lost_its_lease())
            return processes.results_of(*arguments)

        worker = self.worker(workshop, process)
        workshop.add()
        assert not worker.has_lost_its_lease()
        worker.step()
        assert seen == [False, True]
        assert not worker.has_lost_its_lease()

    def test_a_launch_goes_through_a_pipe_with_its_secrets(self, workshop: Workshop) -> None:
        launch = Launch(config=workshop.config, owner="w1", process="a:b")
        pipe = BytesIO()
        launch.write(pipe)
        pipe.seek(0)
        assert Launch.read(pipe) == launch

    def test_something_else_in_the_pipe_is_refused(self) -> None:
        import pickle

        with pytest.raises(TypeError, match="expected a Launch, not int"):
            Launch.read(BytesIO(pickle.dumps(3)))

    def test_the_process_is_the_pipeline(self) -> None:
        assert load_process(PROCESS) is process_study


class TestSupervisor:
    @pytest.fixture
    def supervised(self, tmp_path: Path) -> Iterator[Any]:
        """A function that starts a supervisor over a workshop of its own."""
        running: list[tuple[Supervisor, Any]] = []

        def start(process: str, **worker: Any) -> tuple[Workshop, Supervisor]:
            making = _workshop(tmp_path, worker={"lease_s": 5, **worker})
            workshop = next(making)
            supervisor = Supervisor(workshop.config, workshop.ledger, utc_now, f"tests.node.processes:{process}")
            supervisor.start()
            running.append((supervisor, making))
            return workshop, supervisor

        yield start
        for supervisor, making in running:
            supervisor.stop()
            assert supervisor.pids() == []
            for _ in making:
                pass

    def test_crash_once_and_run_again(self, supervised: Any) -> None:
        workshop, _ = supervised("crash_once")
        workshop.add()
        until(lambda: workshop.state() is StudyState.DONE, "the second attempt")
        report = workshop.ledger.study("1.2.3")
        assert (report.jobs[0].attempts, report.jobs[0].crashes) == (2, 1)
        assert len(report.objects) == 2
        assert workshop.result_folders() == ["1.2.3/run-1-2"]
        assert "the worker died (signal SIGKILL), time 1" in [event.text for event in report.events]

    def test_crash_twice_and_be_quarantined(self, supervised: Any) -> None:
        workshop, _ = supervised("crash")
        workshop.add()
        until(lambda: workshop.state() is StudyState.QUARANTINED, "quarantine")
        assert workshop.reason() == ("QUARANTINED", "this study killed the worker 2 times, the last time by: signal SIGSEGV")
        assert workshop.ledger.study("1.2.3").events[-1].kind is EventKind.QUARANTINED

    def test_a_run_over_the_time_limit_is_refused_and_the_next_study_runs(self, supervised: Any) -> None:
        workshop, _ = supervised("endless_for_two", time_limit_s=1)
        workshop.add("1.2.3", instances=2)
        workshop.add("1.2.4")
        until(lambda: workshop.state("1.2.4") is StudyState.DONE, "the next study")
        assert workshop.state() is StudyState.REFUSED
        assert workshop.reason() == ("OUT_OF_TIME", "the run took more than the 1 s of worker.time_limit_s")
        assert workshop.ledger.study("1.2.3").jobs[0].crashes == 0

    def test_a_run_over_the_memory_limit_is_refused(self, supervised: Any) -> None:
        workshop, _ = supervised("hungry", memory_limit_mb=1024)
        workshop.add()
        until(lambda: workshop.state() is StudyState.REFUSED, "the refusal")
        assert workshop.reason() == ("OUT_OF_MEMORY", "the study needs more than the 1024 MB of worker.memory_limit_mb")

    def test_an_unwanted_run_is_dropped_at_once(self, supervised: Any) -> None:
        workshop, supervisor = supervised("endless_for_two")
        workshop.add(instances=2)
        until(lambda: workshop.state() is StudyState.WORKING, "a run")
        first = supervisor.pids()
        workshop.receive(3)
        until(lambda: supervisor.pids() not in ([], first), "a fresh worker")
        later = utc_now() + timedelta(seconds=60)
        complete_studies(workshop.ledger, workshop.config, later)
        route_studies(workshop.ledger, workshop.config, utc_now())
        until(lambda: workshop.state() is StudyState.DONE, "the new run")
        assert [job.state for job in workshop.ledger.study("1.2.3").jobs] == ["cancelled", "done"]

    def test_stopping_queues_the_run_again_and_blames_nobody(self, supervised: Any) -> None:
        workshop, supervisor = supervised("endless")
        workshop.add()
        until(lambda: workshop.state() is StudyState.WORKING, "a run")
        pids = supervisor.pids()
        supervisor.stop()
        assert all(not Path(f"/proc/{pid}").exists() for pid in pids)
        job = workshop.ledger.study("1.2.3").jobs[0]
        assert (job.state, job.crashes, job.losses) == (JobState.QUEUED, 0, 0)

    def test_a_lease_is_kept_alive(self, supervised: Any) -> None:
        workshop, _ = supervised("slow", lease_s=0.8)
        workshop.add()
        until(lambda: workshop.state() is StudyState.WORKING, "a run")
        while workshop.state() is StudyState.WORKING:
            assert workshop.ledger.jobs.release_lost(utc_now()) == []
        assert workshop.state() is StudyState.DONE

    def test_an_idle_worker_that_is_killed_is_replaced(self, supervised: Any) -> None:
        workshop, supervisor = supervised("results_of")
        first = until(supervisor.pids, "a worker")
        os.kill(first[0], signal.SIGKILL)
        until(lambda: supervisor.pids() not in ([], first), "another worker")
        workshop.add()
        until(lambda: workshop.state() is StudyState.DONE, "it works")
        assert workshop.ledger.study("1.2.3").jobs[0].crashes == 0

    def test_a_worker_that_cannot_start_is_not_started_all_the_time(self, supervised: Any) -> None:
        workshop, supervisor = supervised("no_such_function")
        seen: set[int] = set()
        deadline = utc_now() + timedelta(seconds=4)
        while utc_now() < deadline:
            seen |= set(supervisor.pids())
        assert 1 <= len(seen) <= 5
        assert workshop.ledger.is_empty()


@pytest.mark.parametrize(("code", "words"), [(0, "exit status 0"), (71, "exit status 71"), (-11, "signal SIGSEGV"), (-99, "signal 99")])
def test_exit_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words


def test_results_on_a_path_that_is_no_folder(tmp_path: Path) -> None:
    for workshop in _workshop(tmp_path):
        workshop.add()
        shutil.rmtree(workshop.config.storage.results, ignore_errors=True)
        claim = replace(workshop.claim(), study_uid="1.2.3")
        (workshop.config.storage.results).mkdir(parents=True)
        (workshop.config.storage.results / "1.2.3").touch()
        Runner(config=workshop.config, ledger=workshop.ledger, process=processes.results_of, clock=utc_now).run(claim)
        assert workshop.state() is StudyState.ROUTED
