"""The outbox: what is sent, in which order, and what becomes of what failed. With a scripted sender, and with real SCPs."""

import threading
import time
from collections.abc import Generator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from node.clock import utc_now
from node.config import Config, Destination
from node.errors import DeliveryError, DeliveryRejectedError, OsteonError, StorageError
from node.ledger import Ledger
from node.ledger.records import EventKind
from node.outbox import Outbox
from node.outbox.cstore import Item, Sent
from node.states import DeliveryState
from tests.node.ledger_steps import arrive, claimed, complete, result, route
from tests.node.support import Pacs, at, ct_slice, machine_config, part10, until
from tests.peers.tools import free_port

pytestmark = pytest.mark.integration


class ScriptedSender:
    """Answers by SOP Instance UID; ``down`` names destinations without an association."""

    def __init__(self) -> None:
        self.script: dict[str, list[OsteonError | int]] = {}
        self.down: set[str] = set()
        self.sent: list[list[str]] = []
        self.breaks_after: str | None = None

    def __call__(self, destination: Destination, calling_ae_title: str, items: Sequence[Item]) -> Generator[Sent, None, None]:
        assert calling_ae_title == "OSTEON"
        if destination.name in self.down:
            raise DeliveryError("nobody listens")
        self.sent.append([])
        for item in items:
            self.sent[-1].append(item.sop_instance_uid)
            answers = self.script.get(item.sop_instance_uid, [])
            answer = answers.pop(0) if answers else 0
            if isinstance(answer, int):
                yield Sent(item=item, status=answer, note="a warning" if answer else None)
            else:
                yield Sent(item=item, error=answer)
            if item.sop_instance_uid == self.breaks_after:
                return


class Desk:
    """An outbox at a time that the test sets."""

    def __init__(self, config: Config, ledger: Ledger) -> None:
        self.now: datetime = at(120)
        self.config, self.ledger, self.sender = config, ledger, ScriptedSender()
        self.outbox = Outbox(config, ledger, lambda: self.now, self.sender)

    def study(self, study_uid: str, *uids: str, destinations: tuple[str, ...] = ("pacs",)) -> None:
        arrive(self.ledger, study_uid=study_uid)
        complete(self.ledger)
        route(self.ledger)
        claim = claimed(self.ledger)
        self.ledger.jobs.finish(claim.job_id, "w1", result(study_uid, *uids, destinations=destinations), at(110))

    def deliver(self, name: str = "pacs") -> None:
        self.outbox.deliver(self.config.destination(name))

    def states(self) -> dict[str, str]:
        return {item.sop_instance_uid: item.state.value for item in self.ledger.deliveries()}

    def next_attempts(self) -> dict[str, float | None]:
        """Seconds from now."""
        return {
            item.sop_instance_uid: None if item.next_attempt_at is None else (item.next_attempt_at - self.now).total_seconds()
            for item in self.ledger.deliveries()
        }


@pytest.fixture
def desk(tmp_path: Path) -> Generator[Desk, None, None]:
    retry = {"first_s": 30, "factor": 2, "max_s": 300, "give_up_after_s": 3600}
    targets = [{"name": name, "ae_title": "PACS", "host": "127.0.0.1", "port": free_port(), "retry": retry} for name in ("pacs", "mirror")]
    config = machine_config(tmp_path, destinations=targets)
    with Ledger.open(config.storage.ledger.get_secret_value(), at(0)) as ledger:
        desk = Desk(config, ledger)
        yield desk
        desk.outbox.stop()


class TestDeliver:
    def test_seg_before_sr_over_one_association(self, desk: Desk) -> None:
        desk.study("1.2.3", "7.sr", "7.seg")
        desk.study("1.2.4", "8.sr", "8.seg")
        desk.deliver()
        assert desk.sender.sent == [["7.seg", "7.sr", "8.seg", "8.sr"]]
        assert set(desk.states().values()) == {"delivered"}

    def test_nothing_is_sent_twice(self, desk: Desk) -> None:
        desk.study("1.2.3", "7.sr")
        desk.deliver()
        desk.deliver()
        assert desk.sender.sent == [["7.sr"]]

    def test_a_warning_counts_as_stored_and_is_kept(self, desk: Desk) -> None:
        desk.study("1.2.3", "7.sr")
        desk.sender.script["7.sr"] = [0xB000]
        desk.deliver()
        delivery = desk.ledger.deliveries()[0]
        assert (delivery.state, delivery.status, delivery.last_error) == (DeliveryState.DELIVERED, 0xB000, "a warning")

    def test_the_sr_waits_for_its_seg_and_other_studies_do_not(self, desk: Desk) -> None:
        desk.study("1.2.3", "7.sr", "7.seg")
        desk.study("1.2.4", "8.sr", "8.seg")
        desk.sender.script["7.seg"] = [DeliveryError("out of resources")]
        desk.deliver()
        assert desk.sender.sent == [["7.seg"], ["8.seg", "8.sr"]]
        assert desk.states() == {"7.seg": "pending", "7.sr": "pending", "8.seg": "delivered", "8.sr": "delivered"}
        desk.deliver()
        assert len(desk.sender.sent) == 2
        desk.now += timedelta(seconds=30)
        desk.deliver()
        assert desk.sender.sent[-1] == ["7.seg", "7.sr"]

    def test_the_sr_goes_where_the_seg_is_not_taken(self, desk: Desk) -> None:
        desk.study("1.2.3", "7.sr", "7.seg")
        desk.sender.script["7.seg"] = [DeliveryRejectedError("takes no SEG")]
        desk.deliver()
        assert desk.states() == {"7.seg": "rejected", "7.sr": "delivered"}
        rejected = next(item for item in desk.ledger.deliveries() if item.state is DeliveryState.REJECTED)
        assert rejected.last_error == "takes no SEG"

    def test_the_wait_grows_and_ends(self, desk: Desk) -> None:
        desk.study("1.2.3", "7.sr")
        desk.sender.script["7.sr"] = [DeliveryError("busy")] * 50
        waits = []
        while desk.states() == {"7.sr": "pending"}:
            desk.deliver()
            wait_s = desk.next_attempts()["7.sr"]
            if wait_s is not None:
                waits.append(wait_s)
                desk.now += timedelta(seconds=wait_s)
        assert waits[:5] == [30, 60, 120, 240, 300]
        assert max(waits) == 300
        assert desk.states() == {"7.sr": "gave_up"}
        assert desk.ledger.deliveries()[0].last_error == "busy; given up after 1.0 h"
        assert sum(waits) == pytest.approx(3600 - 10)

    def test_no_association_makes_all_wait(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("node.outbox.outbox.BATCH", 1)
        desk.study("1.2.3", "7.sr")
        desk.study("1.2.4", "8.sr")
        desk.sender.down = {"pacs"}
        desk.deliver()
        assert [item.attempts for item in desk.ledger.deliveries()] == [0, 1]
        assert desk.next_attempts() == {"7.sr": 30, "8.sr": 30}

    def test_a_broken_association_is_not_the_fault_of_what_follows(self, desk: Desk) -> None:
        desk.study("1.2.3", "7.sr")
        desk.study("1.2.4", "8.sr")
        desk.sender.script["7.sr"] = [DeliveryError("broke")]
        desk.sender.breaks_after = "7.sr"
        desk.deliver()
        assert desk.next_attempts() == {"7.sr": 30, "8.sr": -10}
        desk.deliver()
        assert desk.states() == {"7.sr": "pending", "8.sr": "delivered"}


class TestTick:
    def test_a_dead_destination_does_not_hold_another(self, desk: Desk) -> None:
        desk.study("1.2.3", "7.sr", destinations=("mirror", "pacs"))
        release = threading.Event()
        real = desk.sender

        def stuck(destination: Destination, calling: str, items: Sequence[Item]) -> Generator[Sent, None, None]:
            if destination.name == "mirror":
                release.wait(20)
                raise DeliveryError("timed out")
            yield from real(destination, calling, items)

        outbox = Outbox(desk.config, desk.ledger, lambda: desk.now, stuck)
        outbox.tick()
        until(lambda: [item.destination for item in desk.ledger.deliveries(states=[DeliveryState.DELIVERED])] == ["pacs"], "the other one")
        outbox.tick()
        release.set()
        until(lambda: any(item.attempts for item in desk.ledger.deliveries(states=[DeliveryState.PENDING])), "the dead one is recorded")
        outbox.stop()
        assert len(real.sent) == 1
        outbox.tick()
        assert len(real.sent) == 1

    def test_stopping_ends_after_the_object_being_sent(self, desk: Desk) -> None:
        desk.study("1.2.3", "7.sr")
        desk.study("1.2.4", "8.sr")
        sending = threading.Event()

        def slow(_destination: Destination, _calling: str, items: Sequence[Item]) -> Generator[Sent, None, None]:
            for item in items:
                sending.set()
                time.sleep(0.3)
                yield Sent(item=item, status=0)

        outbox = Outbox(desk.config, desk.ledger, lambda: desk.now, slow)
        outbox.tick()
        assert sending.wait(10)
        outbox.stop()
        assert sorted(desk.states().values()) == ["delivered", "pending"]

    @pytest.mark.parametrize("error", [StorageError("locked"), ZeroDivisionError("a defect")])
    def test_an_error_ends_one_delivery_and_not_the_outbox(self, desk: Desk, error: Exception, caplog: pytest.LogCaptureFixture) -> None:
        desk.study("1.2.3", "7.sr")
        failures = [error]

        def once(destination: Destination, calling: str, items: Sequence[Item]) -> Generator[Sent, None, None]:
            if failures:
                raise failures.pop()
            yield from desk.sender(destination, calling, items)

        outbox = Outbox(desk.config, desk.ledger, lambda: desk.now, once)

        def delivered() -> bool:
            outbox.tick()
            return desk.states() == {"7.sr": "delivered"}

        until(delivered, "the next tick")
        outbox.stop()
        assert str(error) in caplog.text

    def test_a_destination_that_the_configuration_lacks_is_said_once(self, desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
        desk.study("1.2.3", "7.sr", destinations=("elsewhere",))
        desk.outbox.tick()
        desk.outbox.tick()
        assert caplog.text.count("'elsewhere'") == 1
        assert desk.states() == {"7.sr": "pending"}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pynetdicom drops the unconnected socket unclosed
def test_a_pacs_that_is_away_for_a_while_gets_everything_once(tmp_path: Path) -> None:
    pacs = Pacs()
    retry = {"first_s": 0.1, "factor": 1.5, "max_s": 0.5, "give_up_after_s": 1e9}
    target = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": pacs.port, "retry": retry, "timeout_s": 2}
    config = machine_config(tmp_path, destinations=[target])
    with Ledger.open(config.storage.ledger.get_secret_value(), at(0)) as ledger:
        desk = Desk(config, ledger)
        desk.study("1.2.3", "7.sr", "7.seg")
        _write_objects(ledger)
        outbox = Outbox(config, ledger, utc_now)
        until(lambda: _tick(outbox) or all(item.attempts >= 2 for item in ledger.deliveries()), "two attempts in vain")
        with pacs:
            until(lambda: _tick(outbox) or {item.state for item in ledger.deliveries()} == {DeliveryState.DELIVERED}, "delivery")
        outbox.stop()
        desk.outbox.stop()
        assert len(pacs.received) == 2
        assert ledger.events(kind=EventKind.DELIVERY_FAILED)


def _tick(outbox: Outbox) -> None:
    outbox.tick()


def _write_objects(ledger: Ledger) -> None:
    """Put real files where the ledger says that the objects are."""
    from sqlalchemy import update

    from node.ledger.schema import result_objects

    files: dict[str, Any] = {}
    folder = Path(str(ledger._database.engine.url.database)).parent
    for number, item in enumerate(ledger.study("1.2.3").objects):
        path = folder / f"{number}.dcm"
        ds = ct_slice(number)
        path.write_bytes(part10(ds))
        files[item.sop_instance_uid] = (path, str(ds.SOPClassUID))
    with ledger._database.write() as conn:
        for uid, (path, sop_class) in files.items():
            mine = update(result_objects).where(result_objects.c.sop_instance_uid == uid)
            conn.execute(mine.values(path=str(path), sop_class_uid=sop_class))
