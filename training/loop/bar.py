"""What a person sees of a run: a bar with the loss and the time left, and a line for each epoch."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class TrainingBar:
    """A bar of the epoch's steps on a terminal, and one line per epoch everywhere; all on stderr.

    Parameters
    ----------
    epochs, begun
        Of the whole run, and how many of them are done.
    shown
        False prints nothing.
    """

    def __init__(self, epochs: int, begun: int, *, shown: bool) -> None:
        self._console = Console(stderr=True, quiet=not shown, soft_wrap=True, highlight=False)
        self._epochs = epochs
        self._begun = begun
        self._started = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(elapsed_when_finished=False),
            TextColumn("{task.fields[parts]}"),
            console=self._console,
            transient=True,
            disable=not (shown and sys.stderr.isatty()),
        )
        self._task = self._bar.add_task("", total=None, parts="")

    def __enter__(self) -> "TrainingBar":
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()

    def begin(self, epoch: int, step: int, steps: int | None) -> None:
        """A new epoch, of which ``step`` steps are done."""
        self._bar.reset(self._task, total=steps, completed=step, description=f"epoch {epoch}/{self._epochs}", parts="")

    def advance(self, parts: Mapping[str, float]) -> None:
        """One step is done."""
        self._bar.update(self._task, advance=1, parts=shown(parts))

    def end(self, epoch: int, row: Mapping[str, float], *, best: bool) -> None:
        """An epoch is done: one line that stays."""
        left_s = (time.monotonic() - self._started) / (epoch - self._begun) * (self._epochs - epoch)
        values = {name: value for name, value in row.items() if name.startswith(("train_", "val_"))}
        remaining = f", {duration(left_s)} left" if epoch < self._epochs else ""
        self._console.print(f"epoch {epoch}/{self._epochs}: {shown(values)}{' (best)' if best else ''}{remaining}", markup=False)


def shown(values: Mapping[str, float]) -> str:
    """Names and values in one line."""
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
