"""Batches drawn ahead, in order, from any step on."""

import threading
import time

import pytest
import torch

from training.loop import Batch, Batches
from training.loop.task import length, skipped

pytestmark = pytest.mark.unit


def draw(step: int) -> Batch:
    """A batch that is its number; early ones take longer."""
    time.sleep(0.002 * (5 - step % 5))
    return {"step": torch.tensor(step)}


@pytest.mark.parametrize(("ahead", "workers"), [(0, 1), (1, 1), (3, 1), (8, 4)])
def test_batches_come_in_order(ahead: int, workers: int) -> None:
    batches = Batches(12, draw, ahead=ahead, workers=workers)
    assert [int(batch["step"]) for batch in batches] == list(range(12))
    assert [int(batch["step"]) for batch in skipped(batches, 9)] == [9, 10, 11]
    assert length(batches) == 12


def test_only_what_is_needed_is_drawn() -> None:
    drawn: list[int] = []

    def count(step: int) -> Batch:
        drawn.append(step)
        return draw(step)

    iterator = skipped(Batches(100, count, ahead=2), 40)
    next(iterator)
    del iterator
    assert drawn[:2] == [40, 41]
    assert set(drawn) <= {40, 41, 42}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_an_error_while_drawing_arrives() -> None:
    def fail(step: int) -> Batch:
        if step == 2:
            raise ValueError("case 2 is broken")
        return draw(step)

    iterator = iter(Batches(5, fail))
    assert [int(next(iterator)["step"]) for _ in range(2)] == [0, 1]
    with pytest.raises(ValueError, match="case 2 is broken"):
        next(iterator)


def test_plain_iterables_are_drawn_and_dropped() -> None:
    generator = (draw(step) for step in range(4))
    assert length(generator) is None
    assert [int(batch["step"]) for batch in skipped(generator, 2)] == [2, 3]
