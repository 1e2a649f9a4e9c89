"""The log of a run: one row per epoch, in ``log.csv`` and, where asked for, as TensorBoard events."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from training.errors import TrainingError
from training.loop.files import write_atomically

FILE = "log.csv"
Row = Mapping[str, float]


class Journal(Protocol):
    """Takes the rows of all epochs so far, again after each epoch."""

    def write(self, rows: Sequence[Row]) -> None:
        """Bring the log up to ``rows``, the last of which is new."""

    def close(self) -> None:
        """Nothing follows."""


class CsvJournal:
    """``log.csv``, written whole each time: it holds what the checkpoint holds, without a row twice or half a row after a kill.

    Parameters
    ----------
    rows
        Of the epochs before, where a run is resumed.
    """

    def __init__(self, folder: Path, rows: Sequence[Row]) -> None:
        self._path = folder / FILE
        if rows:
            self.write(rows)

    def write(self, rows: Sequence[Row]) -> None:
        """See :class:`Journal`."""
        columns = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self._path, text.getvalue().encode())

    def close(self) -> None:
        """See :class:`Journal`."""


class TensorBoardJournal:
    """``log.csv``, and event files in ``tensorboard/``; a resumed run writes its earlier epochs again, and the old events are hidden."""

    def __init__(self, folder: Path, rows: Sequence[Row]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # an optional extra
        except ImportError as error:
            raise TrainingError("log: tensorboard needs the package tensorboard: pip install 'osteon[tensorboard]'") from error
        self._csv = CsvJournal(folder, rows)
        self._events: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=1)
        for row in rows:
            self._add(row)

    def write(self, rows: Sequence[Row]) -> None:
        """See :class:`Journal`."""
        self._csv.write(rows)
        self._add(rows[-1])
        self._events.flush()

    def _add(self, row: Row) -> None:
        for name, value in row.items():
            kind, _, rest = name.partition("_")
            self._events.add_scalar(f"{kind}/{rest}" if kind in ("train", "val") else f"run/{name}", value, int(row["epoch"]))

    def close(self) -> None:
        """See :class:`Journal`."""
        self._events.close()


def open_journal(kind: str, folder: Path, rows: Sequence[Row]) -> Journal:
    """The journal that :attr:`training.loop.LoopOptions.log` names, holding the rows of the epochs before."""
    return TensorBoardJournal(folder, rows) if kind == "tensorboard" else CsvJournal(folder, rows)


def read_log(path: Path) -> list[dict[str, float]]:
    """The rows of a ``log.csv``; an empty cell is left out of its row.

    Raises
    ------
    TrainingError
        There is no such file, or it holds something else than numbers.
    """
    try:
        with path.open(newline="") as file:
            return [{name: float(cell) for name, cell in row.items() if cell} for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(f"{path} is no log of a training run ({error})") from error
