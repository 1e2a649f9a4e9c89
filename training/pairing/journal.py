"""A file of what was already read, so that an interrupted run over an archive or a large folder goes on where it stopped."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from training.errors import TrainingError

_FORMAT = "osteon pair journal 1"


class Journal:
    """Keys and JSON values, one line each, appended as they come; a line torn by a kill is dropped.

    It holds what headers hold, patients' identities included: it belongs beside the images, not beside the manifest. Without a path it
    remembers nothing.

    Raises
    ------
    TrainingError
        The file exists and is no journal, or cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._known: dict[str, Any] = {}
        self._file: TextIO | None = None
        if path is None:
            return
        try:
            whole = self._load(path) if path.exists() else 0
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._file = path.open("a", encoding="utf-8")
            self._file.truncate(whole)
        except OSError as error:
            raise TrainingError(f"The cache {path} cannot be used: {error.strerror or error}.") from error
        if whole == 0:
            self._write([_FORMAT, None])

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what was put stays readable here."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def get(self, key: str) -> Any:
        """What was put under this key, or None."""
        return self._known.get(key)

    def put(self, key: str, value: Any) -> None:
        """Remember; on disk once the line is written."""
        if self._file is not None:
            self._known[key] = value
            self._write([key, value])

    def _write(self, line: list[Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()

    def _load(self, path: Path) -> int:
        """Fill in what the file holds; the length in bytes of its whole lines."""
        whole = 0
        with path.open("rb") as file:
            for number, raw in enumerate(file):
                try:
                    key, value = json.loads(raw.decode("utf-8"))
                except (ValueError, TypeError):
                    if number == 0:
                        raise TrainingError(f"{path} is no cache of this command; name another file.") from None
                    break
                if not raw.endswith(b"\n"):
                    break
                if number == 0 and key != _FORMAT:
                    raise TrainingError(f"{path} is a cache of another version; delete it or name another file.")
                self._known[key] = value
                whole += len(raw)
        return whole
