"""What the cost benchmarks share: a measurement in a process of its own, a study processed again and again, a command that starts anew."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.memory import peak_mib

ROOT = Path(__file__).resolve().parents[1]
BUNDLES = ROOT / "data" / "bundles"
"""Where a site's own bundles lie, unless it says otherwise."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One way of reading a study, several times in one process.

    Attributes
    ----------
    study_s, study_cpu_s
        Of each time, from files to objects on disk: wall clock, and the processor's seconds.
    peak_mb
        Resident, of the whole process.
    outcome
        Of the last time.
    """

    name: str
    load_s: float
    study_s: tuple[float, ...]
    study_cpu_s: tuple[float, ...]
    peak_mb: float
    outcome: str

    @property
    def later_s(self) -> tuple[float, float]:
        """Median seconds, and the processor's, of all times but the first."""
        return statistics.median(self.study_s[1:] or self.study_s), statistics.median(self.study_cpu_s[1:] or self.study_cpu_s)

    @property
    def first_words(self) -> str:
        """Seconds of the first time, the processor's in brackets."""
        return f"{self.study_s[0]:.1f} ({self.study_cpu_s[0]:.2f})"

    @property
    def later_words(self) -> str:
        """:attr:`later_s` likewise."""
        return "{:.1f} ({:.2f})".format(*self.later_s)


def in_a_process(module: str, *arguments: str) -> Any:
    """What ``python -m module arguments`` prints as JSON in its last line: its memory is its own."""
    line = [sys.executable, "-m", module, *arguments]
    told = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    return json.loads(told.stdout.splitlines()[-1])


def cost_in_a_process(module: str, *arguments: str) -> Cost:
    """The cost that a process of its own prints."""
    found = in_a_process(module, *arguments)
    return Cost(**{**found, "study_s": tuple(found["study_s"]), "study_cpu_s": tuple(found["study_cpu_s"])})


def repeated(name: str, load_s: float, repeat: int, work: Callable[[Path], str]) -> Cost:
    """Time ``work`` several times, each with an empty folder for what it writes; it returns the outcome."""
    seconds, cpu_seconds, outcome = [], [], ""
    for _ in range(repeat):
        with tempfile.TemporaryDirectory(prefix="osteon-bench-out-") as out:
            started, cpu_started = time.perf_counter(), time.process_time()
            outcome = work(Path(out))
            seconds.append(time.perf_counter() - started)
            cpu_seconds.append(time.process_time() - cpu_started)
    return Cost(name=name, load_s=load_s, study_s=tuple(seconds), study_cpu_s=tuple(cpu_seconds), peak_mb=peak_mib(), outcome=outcome)


def config_text(route: str, bundles: Path) -> str:
    """A configuration with one route, in which models of simulated patients may speak."""
    return f"routes: [{route}]\nbundles: {{folder: {bundles}, allow_simulated: true}}\n"


def processing(study: Path, text: str) -> Callable[[Path], str]:
    """Load what processes studies; what it gives brings one from its files to its objects in a folder, and says how that ended."""
    from node.config_file import parse_config
    from node.offline import find_studies, process_studies  # highdicom belongs to what loading costs

    config = parse_config(text)

    def once(out: Path) -> str:
        ((report, _),) = process_studies(find_studies([study]), config, out)
        return str(report["outcome"] if report["reason"] is None else report["reason"]["code"])

    return once


def command_anew(study: Path, text: str) -> Cost:
    """``osteon process`` once, with everything that it loads. ``text`` is its configuration."""
    with tempfile.TemporaryDirectory(prefix="osteon-bench-anew-") as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(text)
        line = [sys.executable, "-m", "node.cli", "process", str(study), "--out", f"{folder}/out", "--config", str(config)]
        started = time.perf_counter()
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
        _, status, used = os.wait4(process.pid, 0)
        return Cost(
            name="osteon process, anew",
            load_s=0.0,
            study_s=(time.perf_counter() - started,),
            study_cpu_s=(used.ru_utime + used.ru_stime,),
            peak_mb=used.ru_maxrss / 1024,
            outcome=f"exit code {os.waitstatus_to_exitcode(status)}",
        )
