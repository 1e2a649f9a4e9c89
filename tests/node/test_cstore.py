"""The Storage SCU against real loopback SCPs, and what each status means."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import BasicTextSRStorage, CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, SegmentationStorage
from pynetdicom import AE, AllStoragePresentationContexts, evt

from node.config import Destination
from node.errors import DeliveryError, DeliveryRejectedError
from node.outbox.cstore import Item, Sent, classify, send
from tests.node.support import Pacs, ct_slice, part10
from tests.peers.tools import free_port


def destination(port: int, **options: Any) -> Destination:
    return Destination(**{"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": port, "timeout_s": 5, **options})


def item(folder: Path, number: int, **options: Any) -> Item:
    ds = ct_slice(number, **{"SOPClassUID": BasicTextSRStorage, **options})
    path = folder / f"{number}.dcm"
    path.write_bytes(part10(ds))
    return Item(sop_class_uid=str(ds.SOPClassUID), sop_instance_uid=str(ds.SOPInstanceUID), path=path)


def outcome(sent: Sent) -> tuple[int | None, str]:
    return sent.status, "stored" if sent.error is None else type(sent.error).__name__


@pytest.mark.unit
@pytest.mark.parametrize(
    ("status", "note", "error"),
    [
        (0x0000, None, None),
        (0xB000, "stored with warning 0xB000", None),
        (0xB007, "stored with warning 0xB007", None),
        (0x0107, "stored with warning 0x0107", None),
        (0xA700, None, DeliveryError),
        (0xA7FF, None, DeliveryError),
        (0x0110, None, DeliveryError),
        (0x0124, None, DeliveryError),
        (0xA900, None, DeliveryRejectedError),
        (0xC123, None, DeliveryRejectedError),
        (0x0122, None, DeliveryRejectedError),
    ],
)
def test_what_a_status_means(status: int, note: str | None, error: type[Exception] | None) -> None:
    found_note, found_error = classify(status, "")
    assert found_note == note
    assert (None if found_error is None else type(found_error)) is error


@pytest.mark.unit
def test_the_comment_of_the_peer_is_kept() -> None:
    _, error = classify(0xA700, "disk full")
    assert str(error) == "out of resources, 0xA700 (disk full)"


@pytest.mark.integration
class TestSend:
    def test_many_objects_over_one_association(self, tmp_path: Path) -> None:
        items = [item(tmp_path, number) for number in (3, 1, 2)]
        with Pacs() as pacs:
            assert [outcome(sent) for sent in send(destination(pacs.port), "OSTEON", items)] == [(0, "stored")] * 3
        assert pacs.associations == 1
        assert pacs.uids == [wanted.sop_instance_uid for wanted in items]

    def test_what_arrives_is_what_was_sent(self, tmp_path: Path) -> None:
        one = item(tmp_path, 1)
        with Pacs() as pacs:
            list(send(destination(pacs.port), "OSTEON", [one]))
        assert pacs.received[0] == dcmread(one.path)

    def test_each_status_in_turn(self, tmp_path: Path) -> None:
        items = [item(tmp_path, number) for number in range(1, 6)]
        with Pacs(answers=[0xB000, 0xA700, 0xA900, 0x0122]) as pacs:
            found = list(send(destination(pacs.port), "OSTEON", items))
        assert [outcome(sent) for sent in found] == [
            (0xB000, "stored"),
            (0xA700, "DeliveryError"),
            (0xA900, "DeliveryRejectedError"),
            (0x0122, "DeliveryRejectedError"),
            (0, "stored"),
        ]
        assert found[0].note == "stored with warning 0xB000"

    def test_a_peer_that_takes_implicit_vr_alone(self, tmp_path: Path) -> None:
        pacs = Pacs().start([(BasicTextSRStorage, ImplicitVRLittleEndian)])
        with pacs:
            assert [outcome(sent) for sent in send(destination(pacs.port), "OSTEON", [item(tmp_path, 1)])] == [(0, "stored")]
        assert pacs.received[0].PatientID == "P1"

    def test_a_compressed_object_goes_as_it_is_or_not_at_all(self, tmp_path: Path) -> None:
        ds = ct_slice(1, PixelData=encapsulate([b"\0" * 64]))
        ds["PixelData"].VR = "OB"
        ds.file_meta.TransferSyntaxUID = RLELossless
        path = tmp_path / "rle.dcm"
        path.write_bytes(part10(ds))
        one = Item(sop_class_uid=CTImageStorage, sop_instance_uid=ds.SOPInstanceUID, path=path)
        with Pacs().start([(CTImageStorage, RLELossless)]) as pacs:
            assert [outcome(sent) for sent in send(destination(pacs.port), "OSTEON", [one])] == [(0, "stored")]
        assert pacs.received[0].PixelData == ds.PixelData
        with Pacs().start([(CTImageStorage, ExplicitVRLittleEndian)]) as plain:
            (sent,) = send(destination(plain.port), "OSTEON", [one])
        assert str(sent.error) == "PACS takes no CT Image Storage in RLE Lossless"

    def test_a_sop_class_that_is_not_taken_does_not_stop_the_others(self, tmp_path: Path) -> None:
        items = [item(tmp_path, 1, SOPClassUID=SegmentationStorage), item(tmp_path, 2)]
        with Pacs().start([(BasicTextSRStorage, ExplicitVRLittleEndian)]) as pacs:
            found = [outcome(sent) for sent in send(destination(pacs.port), "OSTEON", items)]
        assert found == [(None, "DeliveryRejectedError"), (0, "stored")]

    def test_a_peer_that_takes_nothing_of_it(self, tmp_path: Path) -> None:
        with Pacs().start([(CTImageStorage, ExplicitVRLittleEndian)]) as pacs:
            found = [outcome(sent) for sent in send(destination(pacs.port), "OSTEON", [item(tmp_path, 1)])]
        assert found == [(None, "DeliveryRejectedError")]

    def test_a_file_that_is_gone(self, tmp_path: Path) -> None:
        gone = item(tmp_path, 1)
        gone.path.unlink()
        with Pacs() as pacs:
            found = [outcome(sent) for sent in send(destination(pacs.port), "OSTEON", [gone, item(tmp_path, 2)])]
        assert found == [(None, "DeliveryRejectedError"), (0, "stored")]
        assert [outcome(sent) for sent in send(destination(free_port()), "OSTEON", [gone])] == [(None, "DeliveryRejectedError")]

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pynetdicom drops the unconnected socket unclosed
    def test_nobody_listens(self, tmp_path: Path) -> None:
        with pytest.raises(DeliveryError, match="no association with PACS at 127"):
            list(send(destination(free_port()), "OSTEON", [item(tmp_path, 1)]))

    def test_a_peer_that_does_not_know_us(self, tmp_path: Path) -> None:
        ae = AE(ae_title="PACS")
        ae.supported_contexts = AllStoragePresentationContexts
        ae.require_calling_aet = ["SOMEBODY"]
        port = free_port()
        ae.start_server(("127.0.0.1", port), block=False)
        try:
            with pytest.raises(DeliveryError, match=r"rejected the association: .*Calling AE title not recognised"):
                list(send(destination(port), "OSTEON", [item(tmp_path, 1)]))
        finally:
            ae.shutdown()

    def test_a_peer_that_never_answers_costs_its_timeout(self, tmp_path: Path, silent: int) -> None:
        with pytest.raises(DeliveryError, match="did not answer within"):
            list(send(destination(silent, timeout_s=0.5), "OSTEON", [item(tmp_path, 1)]))

    def test_a_peer_that_hangs_up_costs_one_object(self, tmp_path: Path) -> None:
        def abort(event: Any) -> int:
            event.assoc.abort()
            return 0

        ae = AE(ae_title="PACS")
        ae.supported_contexts = AllStoragePresentationContexts
        port = free_port()
        ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, abort)])
        try:
            found = list(send(destination(port), "OSTEON", [item(tmp_path, 1), item(tmp_path, 2)]))
        finally:
            ae.shutdown()
        assert [(sent.item.path.name, outcome(sent)) for sent in found] == [("1.dcm", (None, "DeliveryError"))]


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        held: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    held.append(listener.accept()[0])
            except OSError:
                return

        thread = threading.Thread(target=accept)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in held:
            connection.close()
