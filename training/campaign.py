"""What the commands that run the papers' tables again have in common."""

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from training.errors import TrainingError


class Named(Protocol):
    """A row of a table."""

    @property
    def name(self) -> str:
        """As the paper calls it."""


R = TypeVar("R", bound=Named)


@contextmanager
def campaign_bar(what: str, total: int, *, shown: bool) -> Iterator[Callable[[str], None]]:
    """A progress bar on a terminal's stderr; call what it yields with the name of each thing that is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not (shown and sys.stderr.isatty())) as bar:
        task = bar.add_task(what, total=total)
        yield lambda name: bar.update(task, advance=1, description=name)


def chosen_rows(title: str, rows: Sequence[R], names: Sequence[str]) -> tuple[R, ...]:
    """The rows of these names, in that order; without names, all.

    Raises
    ------
    TrainingError
        A name is none of the table's.
    """
    known = {row.name: row for row in rows}
    if unknown := [name for name in names if name not in known]:
        raise TrainingError(f"{title} has no row {unknown[0]!r}; it has: {', '.join(known)}")
    return tuple(known[name] for name in names) if names else tuple(rows)


def check_seeds(seeds: Sequence[int]) -> None:
    """That a table is repeated with seeds, each once.

    Raises
    ------
    TrainingError
        It is not.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise TrainingError("a table needs at least one seed, and no seed twice")


def weights_of(given: Sequence[str], networks: Collection[str]) -> Mapping[str, Path]:
    """Pretrained weights from ``NETWORK=FILE`` pairs.

    Raises
    ------
    TrainingError
        The network is none of ``networks``, or the file is not there.
    """
    found = {}
    for pair in given:
        network, _, file = pair.partition("=")
        if network not in networks or not Path(file).is_file():
            raise TrainingError(f"--weights {pair}: write NETWORK=FILE, with a network of {', '.join(networks)} and a file that is there")
        found[network] = Path(file)
    return found
