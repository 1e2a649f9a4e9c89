"""The spool: every instance as it was received, as a DICOM file (PS3.10), durable before anybody is told so.

    <root>/.incoming/<random>.part          being written
    <root>/<study>/<series>/<instance>.dcm  received
    <root>/<study>/<series>/<instance>~<hash>.dcm   the same SOP Instance UID with other content

A name is the UID where it is a valid one (PS3.5 9.1), and a hash of it otherwise: what a peer sends is never trusted as a path.
"""

import fcntl
import hashlib
import logging
import os
import re
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO

from inference.errors import Refusal
from inference.reading import InstanceHeader
from node.errors import StorageError
from node.ledger import Ledger
from node.ledger.records import Arrival

log = logging.getLogger(__name__)

_VALID_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
_INCOMING = ".incoming"
WRITERS = 8
"""Threads that write. More associations than this may be open; the disk is the limit, not the threads."""

_PREFIX_BYTES = 132
_GROUP_LENGTH_ELEMENT_BYTES = 12

HeaderReader = Callable[[Path], InstanceHeader]


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Where an instance lies (relative to the root), and the SHA-256 of its transfer syntax and data set."""

    path: str
    content_sha256: str
    size_bytes: int


def safe_name(uid: str) -> str:
    """A file name for a UID: itself where valid, otherwise ``x`` and 40 hexadecimal digits of its SHA-256."""
    if len(uid) <= 64 and _VALID_UID.fullmatch(uid):
        return uid
    return "x" + hashlib.sha256(uid.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def content_sha256(transfer_syntax_uid: str, part10: bytes) -> str:
    """SHA-256 of what was sent: the transfer syntax and the encoded data set, not the file meta information that a receiver adds.

    Raises
    ------
    ValueError
        ``part10`` does not begin with preamble, prefix and group length (PS3.10 7.1).
    """
    if part10[128:132] != b"DICM" or part10[132:136] != b"\x02\x00\x00\x00":
        raise ValueError("not a DICOM file: no prefix or no group length")
    offset = _PREFIX_BYTES + _GROUP_LENGTH_ELEMENT_BYTES + int.from_bytes(part10[140:144], "little")
    digest = hashlib.sha256(transfer_syntax_uid.encode())
    digest.update(memoryview(part10)[offset:])
    return digest.hexdigest()


class Spool:
    """The folder of received instances. One process owns it; opening it twice is refused.

    Parameters
    ----------
    root
        Created where it is missing.
    min_free_disk_mb
        Below this much free disk nothing is stored.
    """

    def __init__(self, root: Path, min_free_disk_mb: int = 0) -> None:
        self.root = root.absolute()
        self._incoming = self.root / _INCOMING
        self._min_free_bytes = min_free_disk_mb * 1_000_000
        self._naming = threading.Lock()
        self._writers = ThreadPoolExecutor(max_workers=WRITERS, thread_name_prefix="spool")
        self._owner: IO[str] | None = None

    def open(self) -> int:
        """Take the spool and remove what a node that died left half-written; the number of such files.

        Raises
        ------
        StorageError
            Another node has it, or it cannot be written.
        """
        try:
            self._incoming.mkdir(parents=True, exist_ok=True)
            owner = (self.root / ".owner").open("w", encoding="ascii")
        except OSError as error:
            raise StorageError(f"the spool {self.root} cannot be used: {error}") from error
        try:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner.close()
            raise StorageError(f"the spool {self.root} belongs to another running node") from error
        self._owner = owner
        leftovers = list(self._incoming.iterdir())
        for path in leftovers:
            path.unlink()
        return len(leftovers)

    def close(self) -> None:
        """Give the spool back."""
        self._writers.shutdown()
        if self._owner is not None:
            self._owner.close()
            self._owner = None

    def __enter__(self) -> "Spool":
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def store(self, part10: bytes, describe: Callable[[], InstanceHeader]) -> tuple[InstanceHeader, Stored]:
        """Write one instance; when this returns, it survives a power failure.

        The same content twice is one file. Other content under the same UIDs is kept beside the first.

        Parameters
        ----------
        part10
            The instance as a DICOM file.
        describe
            Gives its header, or raises: then nothing is kept. It runs while the disk writes.

        Raises
        ------
        StorageError
            There is no room, or the disk does not take it; nothing is left behind.
        """
        self._require_room(len(part10))
        temporary = self._incoming / f"{uuid.uuid4().hex}.part"
        writing = self._writers.submit(_write_durably, temporary, part10)
        try:
            header = describe()
            digest = content_sha256(header.transfer_syntax_uid, part10)
            writing.result()
            final = self._name(header, digest, temporary)
        except OSError as error:
            raise StorageError(f"the spool does not take it: {error.strerror or error}") from error
        finally:
            wait([writing])
            temporary.unlink(missing_ok=True)
        return header, Stored(path=str(final.relative_to(self.root)), content_sha256=digest, size_bytes=len(part10))

    def absolute(self, path: str) -> Path:
        """The file of a path relative to the root."""
        return self.root / path

    def files(self) -> Iterator[Path]:
        """Every received instance, in the order of their names."""
        for study in sorted(self.root.iterdir()):
            if study.is_dir() and study.name != _INCOMING:
                yield from sorted(study.rglob("*.dcm"))

    def rebuild(self, ledger: Ledger, read_header: HeaderReader) -> int:
        """Record every instance of the spool in the ledger; the number of instances.

        The times of arrival are those of the files; who sent them is lost with the ledger.
        """
        number = 0
        # Within one SOP Instance UID the first that came is the one that is used: order by time, then by name.
        for path in sorted(self.files(), key=lambda file: (file.stat().st_mtime_ns, file.name)):
            try:
                header = read_header(path)
            except Refusal as refusal:
                log.warning("%s stays out of the ledger: %s", path, refusal)
                continue
            part10 = path.read_bytes()
            arrival = Arrival(
                header=header,
                path=str(path.relative_to(self.root)),
                content_sha256=content_sha256(header.transfer_syntax_uid, part10),
                size_bytes=len(part10),
                association_id=None,
                received_at=datetime.fromtimestamp(path.stat().st_mtime, UTC),
            )
            ledger.arrivals.record(arrival)
            number += 1
        return number

    def _require_room(self, size_bytes: int) -> None:
        try:
            free = shutil.disk_usage(self.root).free
        except OSError as error:
            raise StorageError(f"the spool cannot be looked at: {error.strerror or error}") from error
        if free - size_bytes < self._min_free_bytes:
            raise StorageError(f"{free // 1_000_000} MB of disk are free, at least {self._min_free_bytes // 1_000_000} MB must stay free")

    def _make_folder(self, folder: Path) -> None:
        """Create the folder and make each new level durable in its parent."""
        if folder.is_dir():
            return
        study = folder.parent
        study.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)
        _sync_folder(self.root)
        _sync_folder(study)

    def _name(self, header: InstanceHeader, digest: str, temporary: Path) -> Path:
        """Give the temporary file its name, durably, unless the same content has it already."""
        folder = self.root / safe_name(header.study_instance_uid) / safe_name(header.series_instance_uid)
        self._make_folder(folder)
        stem = safe_name(header.sop_instance_uid)
        with self._naming:  # between looking and renaming nobody else may take the name
            final = folder / f"{stem}.dcm"
            there = final.exists()
            if there and content_sha256(header.transfer_syntax_uid, final.read_bytes()) != digest:
                final, there = folder / f"{stem}~{digest[:16]}.dcm", False
            if not there:
                temporary.rename(final)
        _sync_folder(folder)  # the twin's sender may not have got that far yet
        return final


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
