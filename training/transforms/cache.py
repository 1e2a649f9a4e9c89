"""Prepared cases on disk, so that reading, cropping and resampling happen once.

An entry is keyed by what went in: the bytes of the files and the parameters of the preparation. Other bytes or parameters are another
entry; nothing is ever out of date. MONAI's ``PersistentDataset`` keys by the description of a case rather than by its content, knows no
limit and stores pickles; entries here are ``.npz`` archives, which are read without unpickling and carry checksums.
"""

import hashlib
import io
import json
import logging
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.errors import TrainingError
from training.loop.files import write_atomically

logger = logging.getLogger(__name__)

Arrays = Mapping[str, NDArray[Any]]
FORMAT = 1
_BLOCK = 1 << 20


class CaseCache:
    """A folder of prepared cases. Several processes may use one folder.

    Parameters
    ----------
    limit_bytes
        What the entries may take together; the ones unused for longest go first.
    """

    def __init__(self, folder: Path, *, limit_bytes: int) -> None:
        if limit_bytes < 1:
            raise TrainingError(f"the limit of the cache must be more than 0 bytes, not {limit_bytes}")
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._hashes: dict[tuple[Path, int, int], str] = {}

    def get(self, files: Sequence[Path], parameters: Mapping[str, Any], prepare: Callable[[], Arrays]) -> dict[str, NDArray[Any]]:
        """A prepared case: from the cache, or prepared now and kept.

        Parameters
        ----------
        files
            What ``prepare`` reads, in an order that matters.
        parameters
            All else that settles the result, in plain values; count a version up in them when the code of ``prepare`` changes.
        prepare
            Gives named arrays of numbers.

        Raises
        ------
        TrainingError
            A file cannot be read, a parameter is no plain value, or an array holds objects.
        """
        path = self._folder / f"{self.key(files, parameters)}.npz"
        found = _read(path)
        if found is not None:
            return found
        arrays = {name: np.asarray(array) for name, array in prepare().items()}
        self._keep(path, arrays)
        return arrays

    def key(self, files: Sequence[Path], parameters: Mapping[str, Any]) -> str:
        """The name of an entry, 32 hexadecimal digits."""
        try:
            described = json.dumps(parameters, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise TrainingError(f"parameters of a cached preparation must be plain values ({error})") from error
        content = "\n".join([f"format {FORMAT}", described, *(self._hash(file) for file in files)])
        return hashlib.sha256(content.encode()).hexdigest()[:32]

    def _hash(self, file: Path) -> str:
        """The content's hash, computed again when size or time of change differ from what this process saw."""
        try:
            state = file.stat()
            known = (file, state.st_size, state.st_mtime_ns)
            if known not in self._hashes:
                with file.open("rb") as stream:
                    digest = hashlib.sha256()
                    while block := stream.read(_BLOCK):
                        digest.update(block)
                self._hashes[known] = digest.hexdigest()
        except OSError as error:
            raise TrainingError(f"{file} cannot be read ({error.strerror})") from error
        return self._hashes[known]

    def _keep(self, path: Path, arrays: Arrays) -> None:
        buffer = io.BytesIO()
        try:
            np.savez(buffer, allow_pickle=False, **arrays)
        except ValueError as error:
            raise TrainingError(f"a case to be cached must be arrays of numbers ({error})") from error
        content = buffer.getvalue()
        if len(content) > self._limit_bytes:
            logger.warning("a prepared case of %d bytes is larger than the whole cache and is not kept", len(content))
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._make_room(len(content))
        write_atomically(path, content)

    def _make_room(self, wanted_bytes: int) -> None:
        entries = sorted((state.st_mtime_ns, state.st_size, path) for path in self._folder.glob("*.npz") if (state := _stat(path)))
        total = sum(size for _, size, _ in entries) + wanted_bytes
        for _, size, path in entries:
            if total <= self._limit_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size


def _stat(path: Path) -> Any:
    """The state of a file that another process may just have removed."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _read(path: Path) -> dict[str, NDArray[Any]] | None:
    """An entry, marked as used; None where there is none, or a damaged one, which is removed."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = dict(archive)
        path.touch()
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        logger.warning("the cached case %s is damaged (%s) and is prepared again", path.name, error)
        path.unlink(missing_ok=True)
        return None
    return arrays
