"""The Storage SCU: many objects over one association (PS3.4 annex B)."""

import logging
import socket
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from inference.errors import OsteonError
from inference.tolerant import READ_ERRORS, tolerant
from node.config import Destination
from node.errors import DeliveryError, DeliveryRejectedError

log = logging.getLogger(__name__)

MAX_CONTEXTS = 128
"""PS3.8 9.3.2.2: context IDs are the odd numbers from 1 to 255."""

MAX_CONNECTION_TIMEOUT_S = 10.0
"""For the TCP connection alone: a host that does not answer must not hold up the node's end for the whole of ``timeout_s``."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One object to send."""

    sop_class_uid: str
    sop_instance_uid: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What became of one object. ``error`` is None where the destination has it; ``note`` then carries a warning of its."""

    item: Item
    status: int | None = None
    note: str | None = None
    error: OsteonError | None = None


def send(destination: Destination, calling_ae_title: str, items: Sequence[Item]) -> Generator[Sent, None, None]:
    """Send objects in this order over one association, and say what became of each as it happens.

    Each is proposed in the transfer syntax that it has; an uncompressed one also in Implicit VR Little Endian, which every peer must
    take (PS3.5 10.1).

    Raises
    ------
    DeliveryError
        There is no association. One that breaks later ends the iteration: what was not spoken of was not sent.
    """
    readable: list[tuple[Item, str]] = []
    for item in items:
        try:
            readable.append((item, _transfer_syntax(item.path)))
        except DeliveryRejectedError as error:
            yield Sent(item=item, error=error)
    if not readable:
        return
    with _association(destination, calling_ae_title, readable) as association:
        for item, syntax in readable:
            sent = _send_one(association, item, syntax, destination)
            yield sent
            if sent.status is None and isinstance(sent.error, DeliveryError):
                return  # the association is gone; the objects that follow are not to blame


def classify(status: int, comment: str) -> tuple[str | None, OsteonError | None]:
    """What a C-STORE status means (PS3.4 table B.2-1, PS3.7 annex C): a warning to record, or an error, or neither."""
    text = f"0x{status:04X}" + (f" ({comment})" if comment else "")
    if status == 0x0000:
        return None, None
    if status in (0x0001, 0x0107, 0x0116) or 0xB000 <= status <= 0xBFFF:
        return f"stored with warning {text}", None
    if 0xA700 <= status <= 0xA7FF:
        return None, DeliveryError(f"out of resources, {text}")
    if status == 0x0122:
        return None, DeliveryRejectedError(f"SOP class not supported, {text}")
    if 0xA900 <= status <= 0xA9FF:
        return None, DeliveryRejectedError(f"the data set does not match its SOP class, {text}")
    if 0xC000 <= status <= 0xCFFF:
        return None, DeliveryRejectedError(f"cannot understand, {text}")
    return None, DeliveryError(f"status {text}")


def _transfer_syntax(path: Path) -> str:
    try:
        with tolerant():
            return str(read_file_meta_info(path).TransferSyntaxUID)
    except READ_ERRORS as error:
        raise DeliveryRejectedError(f"{path.name} cannot be read: {error}") from error


@contextmanager
def _association(destination: Destination, calling_ae_title: str, readable: Sequence[tuple[Item, str]]) -> Iterator[Any]:
    ae = AE(ae_title=calling_ae_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = destination.timeout_s
    ae.connection_timeout = min(destination.timeout_s, MAX_CONNECTION_TIMEOUT_S)
    contexts = _contexts(readable)
    association = ae.associate(
        destination.host,
        destination.port,
        contexts=contexts,
        ae_title=destination.ae_title,
        evt_handlers=[(evt.EVT_CONN_OPEN, _without_delay)],
    )
    try:
        if not association.is_established:
            if association.rejected_contexts and not association.accepted_contexts:
                yield association  # it exists and takes none of these SOP classes: each object is refused on its own
                return
            raise DeliveryError(_why_not(association, destination))
        yield association
    finally:
        if association.is_established:
            association.release()


def _contexts(readable: Sequence[tuple[Item, str]]) -> list[Any]:
    wanted: dict[tuple[str, str], None] = {}
    for item, syntax in readable:
        wanted[item.sop_class_uid, syntax] = None
        if not UID(syntax).is_compressed:
            wanted[item.sop_class_uid, str(ImplicitVRLittleEndian)] = None
    return [build_context(sop_class, syntax) for sop_class, syntax in list(wanted)[:MAX_CONTEXTS]]


def _why_not(association: Any, destination: Destination) -> str:
    where = f"{destination.ae_title} at {destination.host}:{destination.port}"
    if association.is_rejected:
        reply = association.acceptor.primitive
        return f"{where} rejected the association: {reply.result_str}, {reply.reason_str}"
    return f"no association with {where}: it cannot be reached, or did not answer within {destination.timeout_s:g} s"


def _send_one(association: Any, item: Item, syntax: str, destination: Destination) -> Sent:
    if not _accepted(association, item.sop_class_uid, syntax):
        refusal = DeliveryRejectedError(f"{destination.ae_title} takes no {UID(item.sop_class_uid).name} in {UID(syntax).name}")
        return Sent(item=item, error=refusal)
    try:
        with tolerant():
            dataset = dcmread(item.path)
            answer: Dataset = association.send_c_store(dataset)
    except READ_ERRORS as error:
        if not association.is_established:
            return Sent(item=item, error=DeliveryError(f"the association with {destination.ae_title} broke: {error}"))
        return Sent(item=item, error=DeliveryRejectedError(f"{item.path.name} cannot be sent: {error}"))
    if "Status" not in answer:
        return Sent(item=item, error=DeliveryError(f"{destination.ae_title} did not answer, or broke the association off"))
    status = int(answer.Status)
    note, failure = classify(status, str(answer.get("ErrorComment", "")))
    return Sent(item=item, status=status, note=note, error=failure)


def _accepted(association: Any, sop_class_uid: str, syntax: str) -> bool:
    usable = {syntax} if UID(syntax).is_compressed else {syntax, str(ImplicitVRLittleEndian)}
    return any(
        context.abstract_syntax == sop_class_uid and context.transfer_syntax[0] in usable for context in association.accepted_contexts
    )


def _without_delay(event: Any) -> None:
    """Nagle's algorithm and a delayed acknowledgement cost 40 ms per object."""
    with suppress(OSError):
        event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
