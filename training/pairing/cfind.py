"""The query SCU (PS3.4 annex C): the only door of the training package to pynetdicom."""

import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
)

from inference.tolerant import READ_ERRORS, text_of, tolerant
from training.errors import TrainingError
from training.pairing.archive import INSTANCE_KEYS, SERIES_KEYS, STUDY_KEYS, Answer, Window
from training.pairing.choices import InformationModel
from training.pairing.errors import ArchiveError

MAX_CONNECTION_TIMEOUT_S = 10.0
_PENDING = frozenset({0xFF00, 0xFF01})
_CUT = frozenset({0xFE00, 0xA700})
"""Cancel (Orthanc says so when its limit is reached) and Out of resources (dcm4chee): there was more, a smaller window may do."""
_PEER = re.compile(r"(?P<ae>[^@\s\\]{1,16})@(?P<host>[^@\s]+):(?P<port>\d{1,5})")


_SOP_CLASSES = {
    InformationModel.STUDY: UID(StudyRootQueryRetrieveInformationModelFind),
    InformationModel.PATIENT: UID(PatientRootQueryRetrieveInformationModelFind),
}


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A query SCP, and who asks it. ``timeout_s`` is how long an answer may take."""

    ae_title: str
    host: str
    port: int
    calling_ae_title: str = "OSTEON"
    model: InformationModel = InformationModel.STUDY
    timeout_s: float = 60.0

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


def parse_peer(text: str) -> tuple[str, str, int]:
    """AE title, host and port of ``AE@host:port``.

    Raises
    ------
    TrainingError
        It is not of this form.
    """
    found = _PEER.fullmatch(text.strip())
    if found is None or not 0 < int(found["port"]) < 65536:
        raise TrainingError(f"--pacs {text}: write AE@host:port, such as ORTHANC@127.0.0.1:4242 (an AE title has 1 to 16 characters).")
    return found["ae"], found["host"].strip("[]"), int(found["port"])


class CFindArchive:
    """A PACS asked by C-FIND, over one association that is made when needed and made again once when it broke.

    Use as a context manager: leaving it releases the association.
    """

    def __init__(self, peer: Peer) -> None:
        self.name = str(peer)
        self._peer = peer
        self._association: Any = None

    def __enter__(self) -> "CFindArchive":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._association is not None and self._association.is_established:
            self._association.release()
        self._association = None

    def studies(self, window: Window, patient_id: str) -> Answer:
        """STUDY level, by date (PS3.4 C.6.2.1). The patient root needs a Patient ID (C.4.1.2.1)."""
        if self._peer.model is InformationModel.PATIENT and not patient_id:
            raise TrainingError("The patient root is asked patient by patient (--by patients); or use the study root.")
        matching = {"StudyDate": window.study_date, "StudyTime": window.study_time, "PatientID": patient_id}
        return self._find("STUDY", STUDY_KEYS, matching)

    def series(self, study: Dataset) -> Answer:
        """SERIES level, all of one study."""
        return self._find("SERIES", SERIES_KEYS, self._unique(study))

    def instances(self, study: Dataset, series: Dataset) -> Answer:
        """IMAGE level, all of one series; most servers give few of the keys."""
        return self._find("IMAGE", INSTANCE_KEYS, {**self._unique(study), "SeriesInstanceUID": text_of(series, "SeriesInstanceUID")})

    def _unique(self, study: Dataset) -> dict[str, str]:
        """The unique keys of the levels above (PS3.4 C.4.1.2.1)."""
        keys = {"StudyInstanceUID": text_of(study, "StudyInstanceUID")}
        if self._peer.model is InformationModel.PATIENT:
            keys["PatientID"] = text_of(study, "PatientID")
        return keys

    def _find(self, level: str, wanted: tuple[str, ...], matching: Mapping[str, str]) -> Answer:
        query = Dataset()
        query.QueryRetrieveLevel = level
        for keyword in (*wanted, *matching):
            setattr(query, keyword, matching.get(keyword) or None)
        if any(not value.isascii() for value in matching.values()):
            query.SpecificCharacterSet = "ISO_IR 192"
        fresh = self._association is None
        try:
            return self._answer(query)
        except ArchiveError:
            if fresh:
                raise
        self._association = None  # it was idle for too long, or broke: once more over a new one
        return self._answer(query)

    def _answer(self, query: Dataset) -> Answer:
        association = self._established()
        rows: list[Dataset] = []
        with tolerant():
            try:
                for status, row in association.send_c_find(query, _SOP_CLASSES[self._peer.model]):
                    code = int(status.Status) if "Status" in status else None
                    if code in _PENDING:
                        if row is not None:
                            rows.append(row)
                        continue
                    return Answer(rows=tuple(rows), cut=self._judge(code, status))
            except READ_ERRORS as error:
                self._association = None
                raise ArchiveError(f"The association with {self.name} broke: {error}.") from error
        raise ArchiveError(f"{self.name} ended its answer without a status.")

    def _judge(self, code: int | None, status: Dataset) -> bool:
        """Whether the final status says that there was more; anything but that and Success is an error (PS3.4 table C.4-1)."""
        if code is None:
            self._association = None
            raise ArchiveError(f"{self.name} did not answer a query within {self._peer.timeout_s:g} s, or broke the association off.")
        if code in (0x0000, *_CUT):
            return code in _CUT
        comment = text_of(status, "ErrorComment")
        said = f"0x{code:04X}" + (f" ({comment})" if comment else "")
        if code in (0xA900, 0x0122, 0x0124):
            raise TrainingError(f"{self.name} does not take this query: {said}. Another --model or --by may do.")
        raise ArchiveError(f"{self.name} could not carry out the query: {said}.")

    def _established(self) -> Any:
        if self._association is not None and self._association.is_established:
            return self._association
        peer = self._peer
        ae = AE(ae_title=peer.calling_ae_title)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = peer.timeout_s
        ae.connection_timeout = min(peer.timeout_s, MAX_CONNECTION_TIMEOUT_S)
        ae.add_requested_context(_SOP_CLASSES[peer.model])
        association = ae.associate(peer.host, peer.port, ae_title=peer.ae_title, evt_handlers=[(evt.EVT_CONN_OPEN, _without_delay)])
        if not association.is_established:
            self._association = None
            raise self._why_not(association)
        self._association = association
        return association

    def _why_not(self, association: Any) -> ArchiveError | TrainingError:
        if association.is_rejected:
            reply = association.acceptor.primitive
            hint = f"It may not know the AE title {self._peer.calling_ae_title} (--aet)."
            return ArchiveError(f"{self.name} rejected the association: {reply.result_str}, {reply.reason_str}. {hint}")
        if association.rejected_contexts and not association.accepted_contexts:
            return TrainingError(f"{self.name} offers no C-FIND in the {self._peer.model} root; try the other --model.")
        return ArchiveError(f"No association with {self.name}: it cannot be reached, aborted, or did not answer.")


def _without_delay(event: Any) -> None:
    """Nagle's algorithm and a delayed acknowledgement cost 40 ms a query."""
    with suppress(OSError):
        event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
