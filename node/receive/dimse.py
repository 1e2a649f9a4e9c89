"""The Storage SCP: C-STORE and C-ECHO (PS3.4 annex B, PS3.7 9.1). *Success* means: in the spool and in the ledger, durably.

Statuses it answers to C-STORE (PS3.4 table B.2-1): 0x0000 Success; 0xA700 out of resources; 0xA900 the data set does not match what
the command said, or has no identity; 0xC000 cannot understand. Every refused instance is recorded with the reason.
"""

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from pydicom import uid
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # pynetdicom makes its SOP classes at run time

from inference.errors import ReasonCode, Refusal
from node.config import Receiver as ReceiverConfig
from node.errors import StorageError
from node.ledger import Ledger
from node.ledger.arrivals import Ending
from node.ledger.records import Arrival, EventKind
from node.receive.identity import identified
from node.receive.peers import PeerList
from node.spool import Spool
from node.states import Receipt

log = logging.getLogger(__name__)

TRANSFER_SYNTAXES: tuple[str, ...] = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.RLELossless,
    *uid.JPEGTransferSyntaxes,
    *(f"1.2.840.10008.1.2.4.{number}" for number in (52, 53, 54, 55, 56, 58, 59, 60, 61, 62, 63, 64, 65, 66)),
    *uid.JPEGLSTransferSyntaxes,
    *uid.JPEG2000TransferSyntaxes,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
)
"""What is accepted for every storage SOP class, the retired JPEG processes (PS3.5-2001 10.4) too: an archive may hold nothing else, and
a recorded refusal by the workflow says more than a refused context. Not video, and not JPIP: there the pixels would stay with the sender.
"""


class Status(IntEnum):
    """Statuses of a C-STORE response, PS3.4 table B.2-1."""

    SUCCESS = 0x0000
    OUT_OF_RESOURCES = 0xA700
    DOES_NOT_MATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000


@dataclass
class _Session:
    """One association: its number in the ledger and what it brought."""

    association_id: int
    association: Any
    stored: int = 0
    refused: int = 0


class DimseReceiver:
    """Listens for associations until it is stopped.

    Parameters
    ----------
    config
        Who may send, and the limits.
    spool, ledger
        Where instances go, in this order.
    clock
        The time, in UTC.
    """

    def __init__(self, config: ReceiverConfig, spool: Spool, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self._config = config
        self._spool = spool
        self._ledger = ledger
        self._clock = clock
        self._peers = PeerList(config.peers)
        self._sessions: dict[int, _Session] = {}
        self._connections: dict[int, tuple[Any, socket.socket]] = {}
        self._lock = threading.Lock()
        self._ae = _application_entity(config)
        self._server: Any = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        if self._server is None:
            raise RuntimeError("the receiver is not started")
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Listen.

        Raises
        ------
        StorageError
            The port is taken or not ours to use.
        """
        handlers = [
            (evt.EVT_CONN_OPEN, self._connection_opened),
            (evt.EVT_CONN_CLOSE, self._connection_closed),
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_ACCEPTED, self._accepted),
            (evt.EVT_REJECTED, self._full),
            (evt.EVT_RELEASED, self._released),
            (evt.EVT_ABORTED, self._aborted),
            (evt.EVT_C_STORE, self._store),
        ]
        try:
            self._server = self._ae.start_server((self._config.host, self._config.port), block=False, evt_handlers=handlers)
        except OSError as error:
            raise StorageError(f"cannot listen on {self._config.host}:{self._config.port}: {error.strerror or error}") from error
        log.info("%s listens on %s:%d", self._config.ae_title, self._config.host, self.port)

    def stop(self, grace_s: float = 5.0) -> None:
        """Take no new association, let those that are open end for ``grace_s``, then abort them."""
        if self._server is None:
            return
        self._server.shutdown()
        deadline = time.monotonic() + grace_s
        while self._ae.active_associations and time.monotonic() < deadline:
            time.sleep(0.02)
        for association in self._ae.active_associations:
            association.abort()
        self.sweep()
        self._server = None

    def sweep(self) -> None:
        """Close in the ledger the associations that ended without a word (a cut connection)."""
        with self._lock:
            dead = [session.association for session in self._sessions.values() if not session.association.is_alive()]
            cut = [association for association, _ in self._connections.values() if not association.is_alive()]
        for association in dead:
            self._close(association, "lost")
        for association in cut:
            self._close_connection(association)

    # Handlers: each runs in its association's thread.

    def _connection_opened(self, event: Any) -> None:
        connection = event.assoc.dul.socket.socket
        with self._lock:
            self._connections[id(event.assoc)] = (event.assoc, connection)
        with contextlib.suppress(OSError):  # the peer may be gone already
            # Nagle's algorithm and a delayed acknowledgement would cost 40 ms per image.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _connection_closed(self, event: Any) -> None:
        """Free what a connection held, as soon as it closes.

        Where no association had been asked for, as by the probes of a load balancer, pynetdicom waits for the request until the ACSE
        timeout, and counts the connection among the open associations.
        """
        self._close_connection(event.assoc)
        if event.assoc.requestor.primitive is None:
            event.assoc.dul.to_user_queue.put(None)

    def _close_connection(self, association: Any) -> None:
        """Close the socket: pynetdicom forgets it unclosed where the peer hung up first."""
        with self._lock:
            _, connection = self._connections.pop(id(association), (None, None))
        if connection is not None:
            connection.close()

    def _requested(self, event: Any) -> None:
        association = event.assoc
        calling, called = association.requestor.primitive.calling_ae_title, association.requestor.primitive.called_ae_title
        host = association.requestor.address
        if self._config.check_called_ae_title and called.strip() != self._config.ae_title:
            diagnostic, why = 0x07, f"it called {called.strip()!r}; this is {self._config.ae_title!r}"
        elif not self._peers.allows(calling.strip(), host):
            diagnostic, why = 0x03, "no peer of that AE title and address is in receiver.peers"
        else:
            return
        association.acse.send_reject(0x01, 0x01, diagnostic)  # PS3.8 9.3.4: permanent, by the service user
        self._note(EventKind.ASSOCIATION_REJECTED, f"association from {calling.strip()!r} at {host} rejected: {why}")
        association.kill()

    def _full(self, event: Any) -> None:
        requestor, limit = event.assoc.requestor, self._config.max_associations
        text = f"association from {requestor.ae_title.strip()!r} at {requestor.address} rejected for now: {limit} are open"
        self._note(EventKind.ASSOCIATION_REJECTED, text)

    def _accepted(self, event: Any) -> None:
        requestor = event.assoc.requestor
        calling, called = requestor.primitive.calling_ae_title.strip(), requestor.primitive.called_ae_title.strip()
        try:
            number = self._ledger.arrivals.open_association(
                calling_ae_title=calling, called_ae_title=called, peer=(requestor.address, requestor.port), now=self._clock()
            )
        except StorageError as error:  # its instances will be answered 0xA700 one by one
            log.error("association from %s cannot be recorded: %s", calling, error)
            return
        with self._lock:
            self._sessions[id(event.assoc)] = _Session(association_id=number, association=event.assoc)
        log.info("association %d opened by %s at %s", number, calling, requestor.address)

    def _released(self, event: Any) -> None:
        self._close(event.assoc, "released")

    def _aborted(self, event: Any) -> None:
        self._close(event.assoc, "aborted")

    def _close(self, association: Any, ending: Ending) -> None:
        with self._lock:
            session = self._sessions.pop(id(association), None)
        if session is None:
            return
        log.info("association %d %s: %d stored, %d refused", session.association_id, ending, session.stored, session.refused)
        try:
            self._ledger.arrivals.close_association(
                session.association_id, ending, stored=session.stored, refused=session.refused, now=self._clock()
            )
        except StorageError as error:
            log.error("the end of association %d is not recorded: %s", session.association_id, error)

    def _store(self, event: Any) -> int:
        with self._lock:
            session = self._sessions.get(id(event.assoc))
        status, why = self._keep(event, session)
        if session is not None:
            session.stored += status is Status.SUCCESS
            session.refused += status is not Status.SUCCESS
        if status is not Status.SUCCESS:
            text = f"instance {event.request.AffectedSOPInstanceUID} answered 0x{status:04X}: {why}"
            self._note(EventKind.INSTANCE_REJECTED, text, None if session is None else session.association_id)
        return int(status)

    def _keep(self, event: Any, session: _Session | None) -> tuple[Status, str]:
        """Store one instance; what to answer, and why where it is not Success."""
        try:
            part10 = event.encoded_dataset()
            announced = str(event.request.AffectedSOPClassUID), str(event.request.AffectedSOPInstanceUID)
            header, stored = self._spool.store(part10, lambda: identified(part10, *announced))
            receipt = self._ledger.arrivals.record(
                Arrival(
                    header=header,
                    path=stored.path,
                    content_sha256=stored.content_sha256,
                    size_bytes=stored.size_bytes,
                    association_id=None if session is None else session.association_id,
                    received_at=self._clock(),
                )
            )
        except Refusal as refusal:
            status = Status.CANNOT_UNDERSTAND if refusal.code is ReasonCode.UNREADABLE_FILE else Status.DOES_NOT_MATCH
            return status, str(refusal)
        except StorageError as error:
            return Status.OUT_OF_RESOURCES, str(error)
        except Exception as error:
            log.exception("unexpected error while an instance was received")
            return Status.CANNOT_UNDERSTAND, f"{ReasonCode.INTERNAL_ERROR}: {type(error).__name__}: {error}"
        if receipt is not Receipt.NEW:
            log.info("instance %s of study %s: %s", header.sop_instance_uid, header.study_instance_uid, receipt)
        return Status.SUCCESS, ""

    def _note(self, kind: EventKind, text: str, association_id: int | None = None) -> None:
        log.warning("%s", text)
        try:
            self._ledger.arrivals.note(kind, text, now=self._clock(), association_id=association_id)
        except StorageError as error:
            log.error("that is not recorded: %s", error)


def _application_entity(config: ReceiverConfig) -> Any:
    ae = AE(ae_title=config.ae_title)
    ae.maximum_associations = config.max_associations
    ae.maximum_pdu_size = config.max_pdu_bytes
    ae.network_timeout = config.network_timeout_s
    ae.acse_timeout = config.network_timeout_s
    ae.dimse_timeout = config.network_timeout_s
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(str(context.abstract_syntax), list(TRANSFER_SYNTAXES))
    ae.add_supported_context(Verification)
    return ae
