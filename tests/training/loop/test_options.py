"""Options that contradict themselves, and the learning rate of every step."""

import math
from typing import Any

import pytest

from training.errors import TrainingError
from training.loop import LoopOptions
from training.loop.options import differences, learning_rate

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"learning_rate": 0.0}, "learning_rate must be more than 0"),
        ({"momentum": 1.0}, "momentum must be between 0 and 1"),
        ({"betas": (0.9, 1.0)}, "betas must be between 0 and 1"),
        ({"warmup_epochs": 11, "epochs": 10}, "warmup_epochs must be between 0 and epochs, not 11"),
        ({"clip_norm": 0.0}, "clip_norm must be more than 0"),
        ({"ema_decay": 1.0}, "ema_decay must be between 0 and 1"),
        ({"sam_rho": -0.1}, "sam_rho must be more than 0"),
        ({"optimiser": "lion"}, "optimiser must be adamw, adam or sgd, not 'lion'"),
        ({"schedule": "step"}, "schedule must be constant or cosine"),
        ({"patience": 5}, "patience needs monitor"),
        ({"schedule_free": True, "schedule": "cosine"}, "schedule_free replaces the schedule"),
        ({"schedule_free": True, "ema_decay": 0.9}, "leave ema_decay out"),
        ({"schedule_free": True, "optimiser": "adam"}, "adamw or sgd"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(TrainingError, match=says):
        LoopOptions(**options)


def test_cosine_with_warm_up() -> None:
    options = LoopOptions(epochs=10, learning_rate=2.0, schedule="cosine", warmup_epochs=2, final_fraction=0.1)
    rates = [learning_rate(options, epoch, step, 5) for epoch in range(1, 11) for step in range(5)]
    assert rates[:10] == pytest.approx([0.2 * n for n in range(1, 11)])  # the tenth step reaches the peak
    for n, rate in enumerate(rates[10:]):
        assert rate == pytest.approx(0.2 + 1.8 * 0.5 * (1 + math.cos(math.pi * n / 40)))
    assert rates[10] == 2.0
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_batches_without_a_length_move_the_rate_by_epochs() -> None:
    options = LoopOptions(epochs=4, learning_rate=1.0, schedule="cosine", warmup_epochs=2)
    assert [learning_rate(options, epoch, 3, None) for epoch in (1, 2, 3, 4)] == pytest.approx([0.5, 1.0, 1.0, 0.5])


def test_warm_up_shorter_than_an_epoch() -> None:
    options = LoopOptions(epochs=2, learning_rate=1.0, warmup_epochs=0.5)
    assert [learning_rate(options, 1, step, 4) for step in range(4)] == [0.5, 1.0, 1.0, 1.0]


def test_warm_up_that_never_ends_in_time() -> None:
    options = LoopOptions(epochs=2, learning_rate=1.0, warmup_epochs=2, schedule="cosine")
    assert learning_rate(options, 2, 9, 10) == 1.0


def test_the_identity_leaves_out_what_changes_no_weight() -> None:
    assert {"device", "patience", "log", "checkpoint_every_s", "epochs"}.isdisjoint(LoopOptions().identity())
    assert LoopOptions(schedule="cosine", epochs=7).identity()["epochs"] == 7
    assert LoopOptions(betas=(0.8, 0.9)).identity()["betas"] == [0.8, 0.9]


def test_differences_name_what_is_absent() -> None:
    assert differences({"a": 1, "b": 2}, {"b": 3, "c": None}) == [
        "a was 1 and is 'absent'",
        "b was 2 and is 3",
        "c was 'absent' and is None",
    ]
