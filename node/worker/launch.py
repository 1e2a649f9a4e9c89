"""What a supervisor hands a worker process: over its standard input, so that no secret stands on a command line.

The pipe stays open as long as the supervisor lives; its end is how a worker learns that its node died.
"""

import importlib
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from inference.reading import InstanceHeader
from node.config import Config
from node.routing import Decision

if TYPE_CHECKING:  # the node's own process must not load what the workflows need
    from node.pipeline import ProcessedStudy

PROCESS = "node.pipeline:process_study"

Process = Callable[[Sequence[InstanceHeader], Decision, Config, Path], "ProcessedStudy"]


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How to start one worker.

    Attributes
    ----------
    owner
        Its name in the ledger's leases.
    process
        ``module:function`` of what measures a study.
    """

    config: Config
    owner: str
    process: str = PROCESS

    def write(self, pipe: IO[bytes]) -> None:
        """Send it to the worker."""
        pickle.dump(self, pipe)
        pipe.flush()

    @classmethod
    def read(cls, pipe: IO[bytes]) -> "Launch":
        """Receive it from the supervisor, and only from there: pickle trusts its sender."""
        launch = pickle.load(pipe)
        if not isinstance(launch, cls):
            raise TypeError(f"expected a Launch, not {type(launch).__name__}")
        return launch


def load_process(name: str) -> Process:
    """Import ``module:function``."""
    module, _, function = name.partition(":")
    return cast(Process, getattr(importlib.import_module(module), function))


def working_folder(results: Path, owner: str) -> Path:
    """Where a worker writes before its results have a name; on the same file system, so that renaming is enough."""
    return results.absolute() / ".working" / owner
