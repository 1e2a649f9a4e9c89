"""SIGINT and SIGTERM while a network trains: finish the step, save, stop."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from training.errors import TrainingError


class TrainingInterrupted(TrainingError):
    """A signal stopped the run after it was saved; the same call goes on from there."""


class Interruption:
    """Notes the first SIGINT or SIGTERM inside a ``with`` block; a second one acts as it would without the block.

    Outside the main thread, where Python takes no handlers, it notes nothing.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.received: str | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._give_back()

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002, the signature is Python's
        self.received = signal.Signals(number).name
        self._give_back()

    def _give_back(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
