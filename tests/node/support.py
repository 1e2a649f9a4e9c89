"""What the tests of the node's machinery share: configurations, small data sets, a C-STORE sender and a C-STORE receiver."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from inference.reading import InstanceHeader, header_of
from node.config import Config
from tests.peers.tools import free_port

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def ct_slice(
    number: int = 1, *, study_uid: str = "1.2.3", series_uid: str | None = None, sop_uid: str | None = None, size: int = 8, **extra: Any
) -> Dataset:
    """A small CT image; ``extra`` sets attributes by keyword."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = sop_uid or f"{study_uid}.9.{number}"
    ds.StudyInstanceUID = study_uid
    ds.SeriesInstanceUID = series_uid or f"{study_uid}.1"
    ds.Modality = "CT"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.PatientID = "P1"
    ds.PatientName = "Test^Patient"
    ds.StudyDate = "20260301"
    ds.InstanceNumber = number
    ds.Rows = ds.Columns = size
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.SamplesPerPixel = 1
    ds.PixelRepresentation = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.PixelData = np.full((size, size), number, np.int16).tobytes()
    for keyword, value in extra.items():
        setattr(ds, keyword, value)
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds


def part10(ds: Dataset) -> bytes:
    """The data set as a DICOM file."""
    buffer = BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def ct_header(number: int = 1, **options: Any) -> InstanceHeader:
    """The header of :func:`ct_slice`."""
    return header_of(ct_slice(number, **options))


def machine_config(folder: Path, **sections: Any) -> Config:
    """A configuration on loopback with everything quick: quiet after 0.3 s, ticks of 0.05 s."""
    settings: dict[str, Any] = {
        "receiver": {"port": free_port(), "min_free_disk_mb": 0, "network_timeout_s": 10},
        "storage": {"spool": folder / "spool", "results": folder / "results", "ledger": f"sqlite:///{folder / 'osteon.db'}"},
        "completion": {"quiet_s": {"CT": 0.3}, "default_quiet_s": 0.3, "max_wait_s": 30, "tick_s": 0.05},
        "routes": [{"name": "ct", "workflow": "ct", "match": {"modality": ["CT"]}, "destinations": [], "on_refusal": "none"}],
        "worker": {"time_limit_s": 30, "lease_s": 5},
    }
    for name, values in sections.items():
        settings[name] = {**settings[name], **values} if isinstance(values, dict) else values
    return Config.model_validate(settings)


def with_destination(port: int, **options: Any) -> dict[str, Any]:
    """Sections of a configuration that sends the CT route's results to a PACS on this port."""
    retry = {"first_s": 0.2, "factor": 1.5, "max_s": 1}
    pacs = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": port, "timeout_s": 5, "retry": retry, **options}
    route = {"name": "ct", "workflow": "ct", "match": {"modality": ["CT"]}, "destinations": ["pacs"]}
    return {"destinations": [pacs], "routes": [route]}


def send(port: int, datasets: Sequence[Dataset], *, calling: str = "SCANNER", called: str = "OSTEON") -> list[int]:
    """C-STORE the data sets over one association; the statuses."""
    with sending(port, datasets, calling=calling, called=called) as association:
        return [int(association.send_c_store(ds).Status) for ds in datasets]


@contextmanager
def sending(port: int, datasets: Sequence[Dataset], *, calling: str = "SCANNER", called: str = "OSTEON") -> Iterator[Any]:
    """An association in which the data sets may be sent, released at the end if it is still there."""
    ae = AE(ae_title=calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 20
    wanted = sorted({(str(ds.SOPClassUID), str(ds.file_meta.TransferSyntaxUID)) for ds in datasets})
    contexts = [build_context(sop_class, syntax) for sop_class, syntax in wanted]
    association = ae.associate("127.0.0.1", port, contexts=contexts, ae_title=called)
    assert association.is_established, "no association"
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


@dataclass
class Pacs:
    """A C-STORE SCP that remembers what came, in order. ``answers`` gives the next statuses; then Success."""

    port: int = field(default_factory=free_port)
    received: list[Dataset] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    associations: int = 0
    _server: Any = None

    def start(self, contexts: Sequence[tuple[str, str]] | None = None) -> "Pacs":
        """Listen; ``contexts`` are (SOP class, transfer syntax), all storage classes by default."""
        from pynetdicom import AllStoragePresentationContexts

        ae = AE(ae_title="PACS")
        if contexts is None:
            ae.supported_contexts = AllStoragePresentationContexts
        else:
            ae.supported_contexts = [build_context(sop_class, syntax) for sop_class, syntax in contexts]
        handlers: list[Any] = [(evt.EVT_C_STORE, self._store), (evt.EVT_ACCEPTED, self._accepted)]
        self._server = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        return self

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.ae.shutdown()
            self._server = None

    def __enter__(self) -> "Pacs":
        return self if self._server else self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def uids(self) -> list[str]:
        """SOP Instance UIDs in the order of their arrival."""
        return [str(ds.SOPInstanceUID) for ds in self.received]

    def _accepted(self, event: Any) -> None:
        del event
        self.associations += 1

    def _store(self, event: Any) -> int:
        status = self.answers.pop(0) if self.answers else 0x0000
        if status == 0x0000 or 0xB000 <= status <= 0xBFFF:
            self.received.append(event.dataset)
        return status


def until(condition: Callable[[], Any], what: str, timeout_s: float = 30) -> Any:
    """Wait for the condition and return what it gave; fails naming what did not come."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {timeout_s:g} s in vain: {what}")


def new_study_uid() -> str:
    """A study of its own."""
    return str(generate_uid())
