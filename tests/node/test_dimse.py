"""The receiver over real loopback associations: exact statuses, and what is kept."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ComprehensiveSRStorage,
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    EncapsulatedPDFStorage,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSNearLossless,
    LegacyConvertedEnhancedCTImageStorage,
    RLELossless,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    XRayRadiationDoseSRStorage,
)
from pynetdicom import AE
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from node.clock import utc_now
from node.config import Receiver
from node.errors import StorageError
from node.ledger import Ledger
from node.ledger.records import EventKind
from node.receive.dimse import DimseReceiver
from node.spool import Spool
from tests.node.support import at, ct_slice, send, sending, until
from tests.peers.tools import free_port

pytestmark = pytest.mark.integration

Start = Callable[..., "Running"]


class Running:
    """A receiver with its spool and ledger."""

    def __init__(self, folder: Path, stack: ExitStack, **options: Any) -> None:
        self.config = Receiver(**{"port": free_port(), "min_free_disk_mb": 0, "network_timeout_s": 10, **options})
        self.spool = stack.enter_context(Spool(folder / "spool", self.config.min_free_disk_mb))
        self.ledger = stack.enter_context(Ledger.open(f"sqlite:///{folder / 'osteon.db'}", at(0)))
        self.receiver = DimseReceiver(self.config, self.spool, self.ledger, utc_now)
        self.receiver.start()
        stack.callback(self.receiver.stop)
        self.port = self.receiver.port

    def files(self) -> list[Path]:
        return list(self.spool.files())

    def instances(self, study_uid: str = "1.2.3") -> int:
        return self.ledger.study(study_uid).summary.instances

    def said(self, kind: EventKind) -> list[str]:
        return [event.text for event in self.ledger.events(kind=kind)]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda **options: Running(tmp_path, stack, **options)


def test_echo(start: Start) -> None:
    node = start()
    association = AE(ae_title="SCANNER").associate("127.0.0.1", node.port, contexts=[build_context(Verification)])
    assert association.is_established
    assert association.send_c_echo().Status == 0x0000
    association.release()


def test_what_was_answered_success_is_in_spool_and_ledger(start: Start) -> None:
    node = start()
    assert send(node.port, [ct_slice(1), ct_slice(2, study_uid="1.2.4")]) == [0, 0]
    assert len(node.files()) == 2
    report = node.ledger.study("1.2.3")
    stored = report.instances[0]
    assert (node.spool.root / stored.path).is_file()
    assert stored.header.patient_id == "P1"
    assert stored.header.transfer_syntax_uid == "1.2.840.10008.1.2.1"
    facts = node.ledger.progress.routing_facts("1.2.3")
    assert (facts.calling_ae_titles, facts.called_ae_titles) == ({"SCANNER"}, {"OSTEON"})


def test_the_same_twice_is_one_file(start: Start) -> None:
    node = start()
    assert send(node.port, [ct_slice(), ct_slice()]) == [0, 0]
    assert send(node.port, [ct_slice()]) == [0]
    assert len(node.files()) == 1
    assert node.ledger.study("1.2.3").instances[0].duplicates == 2


def test_other_content_under_the_same_uid_is_kept(start: Start) -> None:
    node = start()
    assert send(node.port, [ct_slice(), ct_slice(PatientID="P2")]) == [0, 0]
    assert len(node.files()) == 2
    assert node.instances() == 1
    assert len(node.said(EventKind.INSTANCE_CONFLICT)) == 1


STUDY_CLASSES = (
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
    ComprehensiveSRStorage,
    XRayRadiationDoseSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    EncapsulatedPDFStorage,
    RTStructureSetStorage,
)


def test_what_a_study_may_hold_is_taken(start: Start) -> None:
    node = start()
    assert send(node.port, [ct_slice(number, SOPClassUID=uid) for number, uid in enumerate(STUDY_CLASSES)]) == [0] * len(STUDY_CLASSES)
    kept = {item.header.sop_class_uid for item in node.ledger.study("1.2.3").instances}
    assert kept == set(STUDY_CLASSES)


def test_every_encoding_is_taken_as_it_is(start: Start) -> None:
    node = start()
    compressed = (JPEGExtended12Bit, JPEGLosslessSV1, JPEGLSNearLossless, JPEG2000Lossless, RLELossless)
    plain = (ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
    sent = [in_syntax(number, syntax) for number, syntax in enumerate((*compressed, *plain))]
    assert send(node.port, sent) == [0] * 8
    kept = {item.sop_instance_uid: item.header.transfer_syntax_uid for item in node.ledger.study("1.2.3").instances}
    assert kept == {ds.SOPInstanceUID: ds.file_meta.TransferSyntaxUID for ds in sent}


def in_syntax(number: int, syntax: UID) -> Dataset:
    """A CT image in a transfer syntax; compressed pixels are nonsense, for the receiver does not look at them."""
    ds = ct_slice(number)
    if syntax.is_encapsulated:
        ds.PixelData = encapsulate([b"not looked at here"])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = syntax
    return ds


def test_no_room_is_a700_and_nothing_is_kept(start: Start) -> None:
    node = start(min_free_disk_mb=10**9)
    assert send(node.port, [ct_slice()]) == [0xA700]
    assert node.files() == []
    assert node.ledger.is_empty()
    assert "answered 0xA700" in node.said(EventKind.INSTANCE_REJECTED)[0]


def test_a_ledger_that_does_not_take_it_is_a700(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    node = start()

    def fail(_arrival: object) -> None:
        raise StorageError("the ledger cannot be used now: disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(node.ledger.arrivals, "record", fail)
        assert send(node.port, [ct_slice()]) == [0xA700]
    assert send(node.port, [ct_slice()]) == [0]
    assert node.instances() == 1
    assert len(node.files()) == 1


def test_an_unexpected_error_is_c000_and_the_next_instance_is_stored(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    node = start()

    def fail(_header: object, _content: object) -> None:
        raise ZeroDivisionError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(node.spool, "store", fail)
        assert send(node.port, [ct_slice()]) == [0xC000]
    assert "INTERNAL_ERROR: ZeroDivisionError: a defect" in node.said(EventKind.INSTANCE_REJECTED)[0]
    assert send(node.port, [ct_slice()]) == [0]


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_no_identity_is_a900(start: Start, keyword: str) -> None:
    node = start()
    assert send(node.port, [ct_slice(**{keyword: ""})]) == [0xA900]
    assert node.files() == []
    assert "IDENTITY_MISSING" in node.said(EventKind.INSTANCE_REJECTED)[0]


def test_a_data_set_that_is_not_what_the_command_said_is_a900(start: Start) -> None:
    node = start()
    assert store_as(node.port, ct_slice(1), sop_instance_uid="1.2.3.4.5") == 0xA900
    assert store_as(node.port, ct_slice(1), sop_class_uid=str(EnhancedCTImageStorage)) == 0xA900
    assert node.files() == []
    words = node.said(EventKind.INSTANCE_REJECTED)
    assert len(words) == 2
    assert all("IDENTITY_CONFLICT" in text for text in words)


def test_what_cannot_be_parsed_is_c000(start: Start) -> None:
    node = start()
    assert store_as(node.port, ct_slice(1), syntax=DeflatedExplicitVRLittleEndian, content=b"this was never deflated") == 0xC000
    assert node.files() == []
    assert "UNREADABLE_FILE" in node.said(EventKind.INSTANCE_REJECTED)[0]


def test_an_unknown_caller_is_rejected(start: Start) -> None:
    node = start(peers=({"ae_title": "CT1"}, {"ae_title": "CT2", "hosts": ("10.9.9.9",)}))
    assert rejection(node.port, calling="STRANGER") == (1, 1, 3)
    assert rejection(node.port, calling="CT2") == (1, 1, 3)
    assert send(node.port, [ct_slice()], calling="CT1") == [0]
    assert [text.split(" rejected")[0] for text in reversed(node.said(EventKind.ASSOCIATION_REJECTED))] == [
        "association from 'STRANGER' at 127.0.0.1",
        "association from 'CT2' at 127.0.0.1",
    ]


def test_a_wrong_called_title_is_rejected_where_it_is_checked(start: Start) -> None:
    node = start(check_called_ae_title=True)
    assert rejection(node.port, called="SOMEBODY") == (1, 1, 7)
    assert send(node.port, [ct_slice()], called="OSTEON") == [0]


def test_too_many_associations_are_rejected_for_now(start: Start) -> None:
    node = start(max_associations=2)
    with sending(node.port, [ct_slice()]), sending(node.port, [ct_slice()]):
        assert rejection(node.port) == (2, 3, 2)
    until(lambda: rejection(node.port) is None, "a place is free again")
    assert "2 are open" in node.said(EventKind.ASSOCIATION_REJECTED)[0]


def test_two_associations_at_once(start: Start) -> None:
    node = start()
    statuses: dict[str, list[int]] = {}

    def sender(study_uid: str) -> None:
        statuses[study_uid] = send(node.port, [ct_slice(number, study_uid=study_uid, size=128) for number in range(1, 31)])

    threads = [threading.Thread(target=sender, args=(uid,)) for uid in ("1.2.3", "1.2.4")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == {"1.2.3": [0] * 30, "1.2.4": [0] * 30}
    assert (node.instances("1.2.3"), node.instances("1.2.4")) == (30, 30)


def test_an_association_and_its_end_are_recorded(start: Start) -> None:
    node = start()
    with sending(node.port, [ct_slice()]) as association:
        association.send_c_store(ct_slice())
        assert node.ledger.progress.receiving()[0].open_associations == 1
    until(lambda: node.ledger.progress.receiving()[0].open_associations == 0, "the release is recorded")


def test_an_abort_in_the_middle_of_an_instance_leaves_nothing_of_it(start: Start) -> None:
    node = start()
    with sending(node.port, [ct_slice()]) as association:
        assert association.send_c_store(ct_slice(1)).Status == 0
        half_an_instance(association)
        cut(association)
    until(lambda: node.ledger.progress.receiving()[0].open_associations == 0, "the cut association is closed")
    assert len(node.files()) == 1
    assert node.instances() == 1
    assert list((node.spool.root / ".incoming").iterdir()) == []
    assert send(node.port, [ct_slice(2)]) == [0]


def test_probes_of_a_balancer_leave_nothing(start: Start) -> None:
    node = start()
    before = threading.active_count()
    for _ in range(30):
        socket.create_connection(("127.0.0.1", node.port)).close()
    until(lambda: threading.active_count() <= before, "the probes' threads end", timeout_s=5)
    assert send(node.port, [ct_slice()]) == [0]


def test_noise_on_the_port_does_no_harm(start: Start) -> None:
    node = start()
    with socket.create_connection(("127.0.0.1", node.port)) as noise:
        noise.sendall(b"GET / HTTP/1.1\r\nHost: node\r\n\r\n" * 20)
        noise.settimeout(10)
        while noise.recv(4096):
            pass
    assert send(node.port, [ct_slice()]) == [0]


def test_a_silent_association_is_ended(start: Start) -> None:
    node = start(network_timeout_s=0.5)
    with sending(node.port, [ct_slice()]) as association:
        association.send_c_store(ct_slice())
        until(lambda: association.is_aborted, "the node aborts an association that says nothing")
        assert not association.is_established
    until(lambda: node.ledger.progress.receiving()[0].open_associations == 0, "its end is recorded")


def test_a_port_that_is_taken(start: Start, tmp_path: Path) -> None:
    node = start()
    with ExitStack() as stack, pytest.raises(StorageError, match="cannot listen on"):
        Running(tmp_path / "second", stack, port=node.port)


def test_stopping_lets_an_open_association_end(start: Start) -> None:
    node = start()
    with sending(node.port, [ct_slice()]) as association:
        stopper = threading.Thread(target=node.receiver.stop)
        stopper.start()
        time.sleep(0.2)
        assert association.send_c_store(ct_slice()).Status == 0
    stopper.join()
    assert node.instances() == 1
    with pytest.raises(RuntimeError, match="not started"):
        assert node.receiver.port
    node.receiver.stop()


def test_stopping_aborts_what_does_not_end(start: Start) -> None:
    node = start()
    with sending(node.port, [ct_slice()]) as association:
        association.send_c_store(ct_slice())
        node.receiver.stop(grace_s=0.1)
        until(lambda: not association.is_established, "aborted")
    assert node.ledger.progress.receiving()[0].open_associations == 0


def test_an_empty_data_set_is_a900(start: Start) -> None:
    node = start()
    assert store_as(node.port, ct_slice(1), content=b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100") == 0xA900


def store_as(
    port: int,
    ds: Dataset,
    *,
    sop_class_uid: str = "",
    sop_instance_uid: str = "",
    content: bytes | None = None,
    syntax: str = ExplicitVRLittleEndian,
) -> int:
    """C-STORE whose command and data set say different things."""
    from io import BytesIO

    from pynetdicom.dimse_primitives import C_STORE
    from pynetdicom.dsutils import encode

    announced = ct_slice(1)
    announced.SOPClassUID = sop_class_uid or ds.SOPClassUID
    announced.file_meta.TransferSyntaxUID = syntax
    with sending(port, [announced]) as association:
        request = C_STORE()
        request.MessageID = 1
        request.Priority = 2
        request.AffectedSOPClassUID = sop_class_uid or ds.SOPClassUID
        request.AffectedSOPInstanceUID = sop_instance_uid or ds.SOPInstanceUID
        request.DataSet = BytesIO(content if content is not None else encode(ds, False, True) or b"")
        context = association.accepted_contexts[0]
        association._reactor_checkpoint.clear()
        association.dimse.send_msg(request, context.context_id)
        _, response = association.dimse.get_msg(block=True)
        association._reactor_checkpoint.set()
        return int(response.Status)


def half_an_instance(association: Any) -> None:
    """The command of a C-STORE and the first fragment of its data set, and no more."""
    from pynetdicom.dimse_messages import C_STORE_RQ
    from pynetdicom.dimse_primitives import C_STORE

    request = C_STORE()
    request.MessageID = 2
    request.Priority = 2
    request.AffectedSOPClassUID = ct_slice().SOPClassUID
    request.AffectedSOPInstanceUID = "1.2.3.9.99"
    from io import BytesIO

    request.DataSet = BytesIO(b"\0" * 100_000)
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    fragments = list(message.encode_msg(association.accepted_contexts[0].context_id, 16382))
    for fragment in fragments[:3]:
        association.dul.send_pdu(fragment)
    time.sleep(0.3)


def cut(association: Any) -> None:
    """Close the connection without a word."""
    connection = association.dul.socket.socket
    connection.shutdown(socket.SHUT_RDWR)
    until(lambda: not association.is_established, "the sender notices")
    connection.close()


def rejection(port: int, *, calling: str = "SCANNER", called: str = "OSTEON") -> tuple[int, int, int] | None:
    """Result, source and reason of the rejection of an association; None if it is accepted."""
    association = AE(ae_title=calling).associate("127.0.0.1", port, contexts=[build_context(Verification)], ae_title=called)
    if association.is_established:
        association.release()
        return None
    assert association.is_rejected
    reply = association.acceptor.primitive
    return int(reply.result), int(reply.result_source), int(reply.diagnostic)
