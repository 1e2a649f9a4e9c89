"""What the runs of a table found: each kept in a folder of its own, and not trained again while what was asked is the same."""

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from training.data.files import replace_file
from training.errors import TrainingError
from training.loop.journal import FILE as LOG

RUN, PREDICTIONS = "run.json", "predictions.csv"


def digest_of(told: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that stand for everything a run was asked."""
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:12]


def write_run(run: Mapping[str, Any], folder: Path) -> None:
    """What was asked and how it went, as ``run.json``."""
    replace_file(folder / RUN, (json.dumps(run, indent=1, default=str) + "\n").encode())


def keep_predictions(lines: Sequence[Sequence[str]], run: Mapping[str, Any], work: Path, folder: Path) -> None:
    """Keep what one training run said, and its log; remove the folder in which it worked.

    Parameters
    ----------
    lines
        Of ``predictions.csv``, the heading first. A run is done when this file is there.
    work
        The run's own folder, with checkpoint and weights, which may be gigabytes.
    """
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(lines)
    write_run(run, folder)
    replace_file(folder / LOG, (work / LOG).read_bytes())
    replace_file(folder / PREDICTIONS, text.getvalue().encode())
    shutil.rmtree(work)


def read_run(folder: Path) -> dict[str, Any]:
    """What :func:`write_run` wrote; read it inside :func:`readable`."""
    found: dict[str, Any] = json.loads((folder / RUN).read_text(encoding="utf-8"))
    return found


def read_predictions(folder: Path) -> list[dict[str, str]]:
    """The rows of ``predictions.csv`` by heading; read them inside :func:`readable`."""
    with (folder / PREDICTIONS).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Say of files that cannot be read, or do not hold what they should, what to do about them.

    Raises
    ------
    TrainingError
        They are such.
    """
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"{folder}: what the run found cannot be read ({error}); remove the folder to train it again") from None
