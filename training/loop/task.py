"""What the loop asks of a training task, and batches that can be drawn ahead and taken up in the middle."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

Batch = Mapping[str, Tensor]
"""Named tensors; the loop moves them to its device."""


class Task(Protocol):
    """A network, what it learns from and what it is judged by."""

    def build(self) -> nn.Module:
        """A fresh network. The loop has seeded the generators before."""

    def batches(self, epoch: int) -> Iterable[Batch]:
        """The batches of one epoch, counted from 1: the same ones whenever the same epoch is asked for.

        An iterable with a length lets the learning rate move with every step; :class:`Batches` has one.
        """

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The loss to descend, a scalar, and the parts to log."""

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Values of the validation part after an epoch; ``{}`` where there is none. The model is in evaluation mode, without gradients."""


@runtime_checkable
class DescribedTask(Protocol):
    """A task that says what it is; a run is resumed only with a task that says the same."""

    def describe(self) -> Mapping[str, Any]:
        """Plain values that settle the network and the batches."""


class Batches:
    """Batches that are drawn one by one from their number, a few of them ahead in background threads.

    Parameters
    ----------
    count
        Number of batches.
    draw
        Gives batch ``step`` (from 0). It runs in background threads: let it use a generator of its own, seeded by epoch and step.
    ahead
        Batches that are drawn before they are asked for; 0 draws each when asked, in the same thread.
    workers
        Threads that draw.
    """

    def __init__(self, count: int, draw: Callable[[int], Batch], *, ahead: int = 3, workers: int = 1) -> None:
        self._count = count
        self._draw = draw
        self._ahead = ahead
        self._workers = workers

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Batch]:
        return self.from_step(0)

    def from_step(self, first: int) -> Iterator[Batch]:
        """Batches from ``first`` on, without drawing those before."""
        steps = iter(range(first, self._count))
        if self._ahead == 0:
            yield from map(self._draw, steps)
            return
        with ThreadPoolExecutor(max_workers=self._workers, thread_name_prefix="batches") as background:
            waiting: list[Future[Batch]] = [background.submit(self._draw, step) for step in islice(steps, self._ahead)]
            try:
                while waiting:
                    batch = waiting.pop(0).result()
                    waiting.extend(background.submit(self._draw, step) for step in islice(steps, 1))
                    yield batch
            finally:
                background.shutdown(wait=True, cancel_futures=True)


def skipped(batches: Iterable[Batch], count: int) -> Iterator[Batch]:
    """An iterator over all but the first ``count`` batches, which are drawn here and dropped where the batches know no better way."""
    if isinstance(batches, Batches):
        return batches.from_step(count)
    iterator = iter(batches)
    for _ in islice(iterator, count):
        pass
    return iterator


def length(batches: Iterable[Batch]) -> int | None:
    """How many batches there are, where they tell."""
    try:
        return len(batches)  # type: ignore[arg-type]
    except TypeError:
        return None
