"""How long the steps of a workflow take."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Clock:
    """Seconds spent per step, summed over the series that were tried."""

    started: float = field(default_factory=time.perf_counter)
    spent_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("reading", "segmentation", "measurement"), 0.0))

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Count what happens inside as the step ``name``, also when it is refused."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.parts({name: time.perf_counter() - begun})

    def parts(self, timings_s: Mapping[str, float]) -> None:
        """Count parts of a step, each under its own name."""
        for name, seconds in timings_s.items():
            self.spent_s[name] = self.spent_s.get(name, 0.0) + seconds

    def timings_s(self) -> dict[str, float]:
        """Every step, the parts of steps that have any, and ``total``."""
        return {**self.spent_s, "total": time.perf_counter() - self.started}
