"""C-FIND against servers that refuse, break off or complain."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from tests.peers.tools import free_port
from training.errors import TrainingError
from training.pairing.archive import Window
from training.pairing.cfind import CFindArchive, Peer, parse_peer
from training.pairing.choices import InformationModel
from training.pairing.errors import ArchiveError
from training.pairing.qido import QidoArchive, header_from_environment

pytestmark = pytest.mark.integration

Handler = Callable[[Any], Iterator[tuple[Any, Any]]]
DAY = Window(first=date(2024, 1, 10), last=date(2024, 1, 10))


@contextmanager
def query_scp(handle: Handler, sop_class: Any = StudyRootQueryRetrieveInformationModelFind, known: str = "OSTEON") -> Iterator[Peer]:
    """A query SCP on loopback that answers with ``handle`` and knows one AE title."""
    ae = AE(ae_title="PACS")
    ae.add_supported_context(sop_class)
    ae.require_calling_aet = [known]
    port = free_port()
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_FIND, handle)])
    try:
        yield Peer(ae_title="PACS", host="127.0.0.1", port=port, timeout_s=5)
    finally:
        server.shutdown()


def studies(peer: Peer, patient_id: str = "") -> tuple[list[str], bool]:
    """UIDs that a query for a day brings, and whether there was more."""
    with CFindArchive(peer) as archive:
        answer = archive.studies(DAY, patient_id)
    return [str(row.StudyInstanceUID) for row in answer.rows], answer.cut


def found(number: int) -> Dataset:
    """One match."""
    ds = Dataset()
    ds.QueryRetrieveLevel = "STUDY"
    ds.StudyInstanceUID = f"2.25.{number}"
    return ds


def status(code: int, comment: str = "") -> Dataset:
    """A final status."""
    ds = Dataset()
    ds.Status = code
    if comment:
        ds.ErrorComment = comment
    return ds


def ending(final: Any, matches: int = 2) -> Handler:
    """An SCP that gives matches and then this status."""

    def handle(event: Any) -> Iterator[tuple[Any, Any]]:
        del event
        for number in range(1, matches + 1):
            yield 0xFF00, found(number)
        yield final, None

    return handle


def test_the_query_and_its_answer() -> None:
    seen: list[Dataset] = []

    def handle(event: Any) -> Iterator[tuple[Any, Any]]:
        seen.append(event.identifier)
        yield 0xFF01, found(1)

    with query_scp(handle) as peer:
        assert studies(peer) == (["2.25.1"], False)
    (query,) = seen
    assert (query.QueryRetrieveLevel, query.StudyDate, query.ModalitiesInStudy) == ("STUDY", "20240110", "")
    assert "PatientName" not in query


@pytest.mark.parametrize(("code", "cut"), [(0x0000, False), (0xFE00, True), (0xA700, True)])
def test_a_status_that_says_there_is_more(code: int, cut: bool) -> None:
    with query_scp(ending(code)) as peer:
        assert studies(peer) == (["2.25.1", "2.25.2"], cut)


@pytest.mark.parametrize(
    ("final", "error", "said"),
    [
        (status(0xA900, "ModalitiesInStudy"), TrainingError, r"0xA900 \(ModalitiesInStudy\)"),
        (status(0xC001, "database"), ArchiveError, r"could not carry out the query: 0xC001 \(database\)"),
    ],
)
def test_a_status_that_is_an_error(final: Dataset, error: type[Exception], said: str) -> None:
    with query_scp(ending(final)) as peer, pytest.raises(error, match=said):
        studies(peer)


def test_an_association_that_is_rejected() -> None:
    with query_scp(ending(0), known="ANOTHER") as peer, pytest.raises(ArchiveError, match=r"rejected.*--aet"):
        studies(peer)


def test_an_association_that_is_aborted_midway() -> None:
    def handle(event: Any) -> Iterator[tuple[Any, Any]]:
        yield 0xFF00, found(1)
        event.assoc.abort()
        yield 0xFF00, found(2)

    with query_scp(handle) as peer, pytest.raises(ArchiveError, match="did not answer"):
        studies(peer)


def test_an_association_that_ended_between_two_queries_is_made_again() -> None:
    held: list[Any] = []

    def handle(event: Any) -> Iterator[tuple[Any, Any]]:
        held.append(event.assoc)
        yield 0xFF00, found(len(held))

    with query_scp(handle) as peer, CFindArchive(peer) as archive:
        archive.studies(DAY, "")
        held[0].abort()
        assert [str(row.StudyInstanceUID) for row in archive.studies(DAY, "").rows] == ["2.25.2"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pynetdicom drops the unconnected socket unclosed
def test_nobody_is_there() -> None:
    with pytest.raises(ArchiveError, match="No association with PACS@127"):
        studies(Peer(ae_title="PACS", host="127.0.0.1", port=free_port(), timeout_s=2))


def test_a_peer_without_this_model() -> None:
    with query_scp(ending(0), sop_class=Verification) as peer, pytest.raises(TrainingError, match="offers no C-FIND in the study root"):
        studies(peer)


def test_the_patient_root_asks_with_the_patients_id() -> None:
    seen: list[Dataset] = []

    def handle(event: Any) -> Iterator[tuple[Any, Any]]:
        seen.append(event.identifier)
        yield 0xFF00, found(1)

    with query_scp(handle, sop_class=PatientRootQueryRetrieveInformationModelFind) as peer:
        by_patient = replace(peer, model=InformationModel.PATIENT)
        assert studies(by_patient, "A")[0] == ["2.25.1"]
        with pytest.raises(TrainingError, match="--by patients"):
            studies(by_patient)
    assert seen[0].PatientID == "A"


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("PACS@10.0.0.1:104", ("PACS", "10.0.0.1", 104)),
        ("MY PACS@host:11112", None),
        ("PACS@host", None),
        ("PACS@host:99999", None),
        ("@h:1", None),
    ],
)
def test_peers_as_written(text: str, parsed: tuple[str, str, int] | None) -> None:
    if parsed is None:
        with pytest.raises(TrainingError, match="AE@host:port"):
            parse_peer(text)
    else:
        assert parse_peer(text) == parsed


def test_a_header_from_the_environment_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACS_AUTH", "Authorization: Bearer s3cret")
    assert header_from_environment("PACS_AUTH") == {"Authorization": "Bearer s3cret"}
    assert header_from_environment(None) == {}
    monkeypatch.setenv("PACS_AUTH", "s3cret")
    with pytest.raises(TrainingError) as raised:
        header_from_environment("PACS_AUTH")
    assert "s3cret" not in str(raised.value)
    with pytest.raises(TrainingError, match="is not set"):
        header_from_environment("PACS_AUTH_ABSENT")


class Web(BaseHTTPRequestHandler):
    """A DICOMweb server that keeps to pages of two, and refuses those without a login."""

    uids: ClassVar[list[str]] = [f"2.25.{number}" for number in range(1, 6)]
    ignores_offset: ClassVar[bool] = False

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != "Bearer s3cret":
            self.send_error(401)
            return
        query = parse_qs(urlsplit(self.path).query)
        start = 0 if self.ignores_offset else int(query["offset"][0])
        rows = [{"0020000D": {"vr": "UI", "Value": [uid]}} for uid in self.uids[start : start + 2]]
        self.send_response(200 if rows else 204)
        self.send_header("Content-Type", "application/dicom+json")
        body = json.dumps(rows).encode() if rows else b""
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        del arguments


@contextmanager
def web(server_class: type[Web]) -> Iterator[str]:
    """A running server; its address."""
    server = HTTPServer(("127.0.0.1", 0), server_class)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/dicom-web"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


AUTH = {"Authorization": "Bearer s3cret"}


def test_qido_reads_every_page_though_the_server_gives_fewer_than_asked() -> None:
    with web(Web) as url:
        answer = QidoArchive(url, AUTH).studies(DAY, "")
    assert [str(row.StudyInstanceUID) for row in answer.rows] == Web.uids
    assert not answer.cut


def test_qido_sees_a_server_that_ignores_the_offset() -> None:
    with web(type("Stuck", (Web,), {"ignores_offset": True})) as url:
        answer = QidoArchive(url, AUTH).studies(DAY, "")
    assert len(answer.rows) == 2
    assert answer.cut


def test_qido_without_a_login_and_without_a_server() -> None:
    with web(Web) as url, pytest.raises(TrainingError, match="401: it wants a login"):
        QidoArchive(url, {}).studies(DAY, "")
    with pytest.raises(ArchiveError, match="cannot be reached"):
        QidoArchive(f"http://127.0.0.1:{free_port()}/dicom-web", AUTH, timeout_s=2).studies(DAY, "")
    with pytest.raises(TrainingError, match="--qido nonsense"):
        QidoArchive("nonsense", {})
