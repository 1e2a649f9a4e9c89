"""The node as a whole, in this process: association in, results out."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from inference.reading import header_of
from node.app import Node
from node.errors import StorageError
from node.ledger import Ledger
from node.ledger.records import Arrival
from node.scheduler import Scheduler
from node.spool import Spool
from node.states import DeliveryState, StudyState
from tests.node.ledger_steps import claimed, complete, route
from tests.node.support import Pacs, at, ct_slice, machine_config, part10, send, until, with_destination
from tests.peers.postgresql import fresh_database

pytestmark = pytest.mark.integration

RESULTS = "tests.node.processes:results_of"


def test_from_association_to_pacs(tmp_path: Path) -> None:
    with Pacs() as pacs:
        config = machine_config(tmp_path, **with_destination(pacs.port))
        with Node(config, process=RESULTS) as node:
            assert node.port == config.receiver.port
            assert send(node.port, [ct_slice(number) for number in (1, 2, 3)]) == [0, 0, 0]
            until(lambda: len(pacs.received) == 2, "a SEG and an SR at the PACS")
            until(lambda: len(node.ledger.deliveries(states=[DeliveryState.DELIVERED])) == 2, "both recorded as delivered")
            report = node.ledger.study("1.2.3")
    assert [ds.Modality for ds in pacs.received] == ["SEG", "SR"]
    assert report.summary.state is StudyState.DONE
    assert report.summary.instances == 3
    assert report.decision is not None
    assert report.decision.route == "ct"
    assert {item.path.parent.name for item in report.objects} == {"run-1-1"}
    assert all(item.path.is_file() for item in report.objects)
    assert report.picture is not None
    assert report.picture.read_bytes() == b"not a picture"


def test_a_study_that_no_route_matches_is_refused_with_its_reason(tmp_path: Path) -> None:
    routes = [{"name": "ct", "workflow": "ct", "match": {"modality": ["CR"]}}]
    with Node(machine_config(tmp_path, routes=routes), process=RESULTS) as node:
        send(node.port, [ct_slice()])
        until(lambda: node.ledger.study("1.2.3").summary.state is StudyState.REFUSED, "the refusal")
        report = node.ledger.study("1.2.3")
    assert report.summary.reason_code == "NO_MATCHING_ROUTE"
    assert report.decision is not None
    assert [item.route for item in report.decision.considered] == ["ct"]


def test_what_a_dead_node_left_is_taken_up(tmp_path: Path) -> None:
    config = machine_config(tmp_path)
    url = config.storage.ledger.get_secret_value()
    with Ledger.open(url, at(0)) as ledger, Spool(config.storage.spool) as spool:
        association = ledger.arrivals.open_association(calling_ae_title="CT1", called_ae_title="X", peer=("10.0.0.1", 1), now=at(0))
        header, stored = spool.store(part10(ct_slice()), lambda: header_of(ct_slice()))
        ledger.arrivals.record(
            Arrival(
                header=header,
                path=stored.path,
                content_sha256=stored.content_sha256,
                size_bytes=stored.size_bytes,
                association_id=association,
                received_at=at(0),
            )
        )
        complete(ledger)
        route(ledger)
        claimed(ledger, "a-worker-of-the-dead-node")
    with Node(config, process=RESULTS) as node:
        until(lambda: node.ledger.study("1.2.3").summary.state is StudyState.DONE, "the run")
        job = node.ledger.study("1.2.3").jobs[0]
        assert (job.attempts, job.losses, job.crashes) == (2, 1, 0)
        assert node.ledger.arrivals.close_lost_associations(at(0)) == 0


def test_a_node_on_postgresql(tmp_path: Path, postgresql_server: str) -> None:
    fresh_database(postgresql_server)
    with Pacs() as pacs:
        sections = with_destination(pacs.port) | {"storage": {"ledger": postgresql_server}}
        with Node(machine_config(tmp_path, **sections), process=RESULTS) as node:
            assert send(node.port, [ct_slice(number) for number in (1, 2, 3)]) == [0, 0, 0]
            until(lambda: len(node.ledger.deliveries(states=[DeliveryState.DELIVERED])) == 2, "two deliveries")
            assert node.ledger.study("1.2.3").summary.state is StudyState.DONE
    assert len(pacs.received) == 2


def test_a_second_node_on_the_same_spool_does_not_start(tmp_path: Path) -> None:
    config = machine_config(tmp_path)
    with Node(config, process=RESULTS) as node:
        with pytest.raises(StorageError, match="belongs to another running node"):
            Node(config, process=RESULTS).start()
        assert send(node.port, [ct_slice()]) == [0]


def test_a_port_that_is_taken_stops_the_start_and_leaves_nothing_running(tmp_path: Path) -> None:
    with Pacs() as pacs:
        node = Node(machine_config(tmp_path, receiver={"port": pacs.port}), process=RESULTS)
        before = threading.active_count()
        with pytest.raises(StorageError, match="cannot listen"):
            node.start()
        assert threading.active_count() <= before
        with pytest.raises(RuntimeError, match="not running"):
            assert node.port
        node.stop()


def test_serving_ends_with_sigterm(tmp_path: Path) -> None:
    node = Node(machine_config(tmp_path), process=RESULTS)
    before = signal.getsignal(signal.SIGTERM)
    killer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM))
    killer.start()
    node.serve_forever()
    killer.join()
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(RuntimeError, match="not running"):
        assert node.ledger


@pytest.mark.parametrize("error", [StorageError("locked"), ZeroDivisionError("a defect")])
def test_a_tick_that_fails_does_not_end_the_ticks(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(1)
        raise error

    scheduler = Scheduler()
    scheduler.every(0.02, "something", tick)
    scheduler.start()
    until(lambda: len(ticks) >= 3, "three ticks")
    scheduler.stop()
    number = len(ticks)
    scheduler.stop()
    assert len(ticks) == number
    assert str(error) in caplog.text


def test_the_receiver_s_process_does_not_load_what_the_workflows_need() -> None:
    heavy = "torch SimpleITK highdicom scipy matplotlib monai"
    code = f"import sys, node.app; print([name for name in '{heavy}'.split() if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
