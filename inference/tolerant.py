"""Opening DICOM files that break the standard: pydicom's complaints become log lines, its exceptions become refusals."""

import logging
import math
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from pydicom import Dataset, dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue

from inference.errors import ReasonCode, Refusal

log = logging.getLogger(__name__)

READ_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RuntimeError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    InvalidDicomError,
    BytesLengthException,
)
"""What pydicom and its decoders raise on data that break the standard (RuntimeError covers NotImplementedError and RecursionError)."""

_PREAMBLE = 128
_lock = threading.Lock()
_depth = 0
_catcher: "warnings.catch_warnings[None] | None" = None


@contextmanager
def tolerant() -> Iterator[None]:
    """Log warnings (at DEBUG) instead of printing or raising them, in every thread, for as long as any thread is inside.

    ``warnings.catch_warnings`` swaps process-wide state, so overlapping use from several threads would restore the wrong filters;
    counting the threads inside avoids that.
    """
    global _depth, _catcher
    with _lock:
        if _depth == 0:
            _catcher = warnings.catch_warnings()
            _catcher.__enter__()
            warnings.simplefilter("always")
            warnings.showwarning = _log_warning
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0 and _catcher is not None:
                _catcher.__exit__(None, None, None)
                _catcher = None


def _log_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None, line: str | None = None
) -> None:
    del file, line
    log.debug("%s (%s, %s:%d)", message, category.__name__, filename, lineno)


def read_dataset(path: Path, keywords: Sequence[str] | None = None, *, stop_before_pixels: bool = False) -> Dataset:
    """Read a DICOM file, with or without preamble, File Meta Information or Transfer Syntax UID (PS3.10 7.1).

    Parameters
    ----------
    path
        The file.
    keywords
        Only these attributes are kept (faster); None keeps all.
    stop_before_pixels
        Stop at Pixel Data.

    Raises
    ------
    Refusal
        ``NOT_DICOM`` where the file does not begin as a DICOM file or data set does; ``UNREADABLE_FILE`` where it cannot be opened or
        parsed.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_PREAMBLE + 4)
    except OSError as error:
        raise Refusal(ReasonCode.UNREADABLE_FILE, f"{path.name} cannot be opened: {error.strerror or error}.") from error
    if start[_PREAMBLE:] != b"DICM" and not _starts_as_data_set(start):
        raise Refusal(ReasonCode.NOT_DICOM, f"{path.name} is not a DICOM file: it has no DICM prefix and does not begin as a data set.")
    tags = None if keywords is None else list(keywords)
    try:
        with tolerant():
            return dcmread(path, force=True, stop_before_pixels=stop_before_pixels, specific_tags=tags)
    except READ_ERRORS as error:
        raise Refusal(ReasonCode.UNREADABLE_FILE, f"{path.name} cannot be parsed as DICOM: {error}.") from error


def _starts_as_data_set(start: bytes) -> bool:
    """Whether a file without preamble may be a bare data set: its first tag lies in group 0002 or 0008, with a plausible VR or length."""
    if len(start) < 12:
        return False
    for order in ("<", ">"):
        group, element = struct.unpack(order + "HH", start[:4])
        if group not in (0x0002, 0x0008) or element > 0x2200:
            continue
        explicit = start[4:6].isalpha() and start[4:6].isupper()
        (length,) = struct.unpack(order + "L", start[4:8])
        if explicit or length <= 1024:
            return True
    return False


def value_of(dataset: Dataset, keyword: str) -> object:
    """An attribute's value, or None where it is absent, empty or cannot be decoded. To be called within :func:`tolerant`."""
    try:
        return dataset.get(keyword)
    except READ_ERRORS as error:
        log.debug("%s cannot be decoded and counts as absent: %s", keyword, error)
        return None


def text_of(dataset: Dataset, keyword: str) -> str:
    """An attribute as text without padding, several values joined by a backslash; empty where there is none."""
    value = value_of(dataset, keyword)
    if value is None:
        return ""
    if isinstance(value, (MultiValue, list)):
        return "\\".join(str(part).strip(" \0") for part in value)
    return str(value).strip(" \0")


def number_of(dataset: Dataset, keyword: str) -> float | None:
    """A single finite number, or None."""
    value = value_of(dataset, keyword)
    if isinstance(value, (MultiValue, list)) or value is None:
        return None
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def integer_of(dataset: Dataset, keyword: str) -> int | None:
    """A single whole number, or None."""
    number = number_of(dataset, keyword)
    return int(number) if number is not None and number.is_integer() else None


def vector_of(dataset: Dataset, keyword: str, size: int) -> tuple[float, ...]:
    """``size`` finite numbers, or nothing: half a position is no position."""
    value = value_of(dataset, keyword)
    if not isinstance(value, (MultiValue, list)) or len(value) != size:
        return ()
    try:
        numbers = tuple(float(str(part)) for part in value)
    except ValueError:
        return ()
    return numbers if all(math.isfinite(number) for number in numbers) else ()
