"""From studies to cases, several at a time, each kept on disk: what is asked for again is not painted, read or cropped again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from inference.errors import OsteonError
from training.errors import TrainingError
from training.transforms.cache import Arrays, CaseCache
from training.workers import worker_pool

CACHE_BYTES = 64 << 30
_REASON = "because"
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A study that gives no case, and why."""

    patient: str
    because: str


def kept(cache: Path, files: Sequence[Path], parameters: Mapping[str, Any], make: Callable[[], Arrays]) -> dict[str, NDArray[Any]] | str:
    """Arrays of a case, or the reason why there are none; a reason is kept, too, so that a refused study is not looked at each time."""

    def prepared() -> Arrays:
        try:
            return make()
        except OsteonError as error:
            return {_REASON: np.frombuffer(" ".join(str(error).split()).encode(), dtype=np.uint8)}

    found = CaseCache(cache, limit_bytes=CACHE_BYTES).get(files, parameters, prepared)
    return found[_REASON].tobytes().decode() if _REASON in found else found


def gathered(work: Callable[[T], R], items: Sequence[T], what: str, jobs: int, *, progress: bool) -> list[R]:
    """``work`` of every item, in their order, whatever ``jobs`` is.

    Parameters
    ----------
    what
        For the progress bar.
    jobs
        Processes.

    Raises
    ------
    TrainingError
        A process died.
    """
    console = Console(stderr=True)  # stdout is for what the command prints
    return list(track(_results(work, items, jobs), description=what, total=len(items), disable=not progress, console=console))


def _results(work: Callable[[T], R], items: Sequence[T], jobs: int) -> Iterator[R]:
    if jobs <= 1 or len(items) <= 1:
        yield from map(work, items)
        return
    try:
        with worker_pool(min(jobs, len(items))) as pool:
            yield from pool.map(work, items, chunksize=2)
    except BrokenProcessPool:
        raise TrainingError("a process died, most likely for want of memory; run the same command with fewer --jobs") from None
