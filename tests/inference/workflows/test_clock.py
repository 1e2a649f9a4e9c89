"""The clock counts every step, also one that ends in a refusal."""

import pytest

from inference.errors import ReasonCode, Refusal
from inference.workflows import clock
from inference.workflows.clock import Clock

pytestmark = pytest.mark.unit


def test_steps_add_up_and_a_refused_one_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 1.0, 3.0, 10.0, 14.0, 20.0])
    monkeypatch.setattr(clock.time, "perf_counter", lambda: next(ticks))
    found = Clock(started=0.0)
    next(ticks)
    with found.step("reading"):
        pass
    with pytest.raises(Refusal), found.step("reading"):
        raise Refusal(ReasonCode.SPINE_NOT_FOUND, "no spine")
    found.parts({"network": 0.5})
    assert found.timings_s() == {"reading": 6.0, "segmentation": 0.0, "measurement": 0.0, "network": 0.5, "total": 20.0}
