"""What one DXA study costs: ``osteon process`` on a spine, a whole export of six regions and a report page, in seconds and megabytes.

usage: python -m benchmarks.dxa_cost [--repeat 5] [--bundles FOLDER]

Simulated studies are written, then read by a process of its own that loads the model once and processes each study several times; its
peak resident memory is that of the whole process. Beside it stands the command ``osteon process`` itself, which starts anew, and so loads
Python, highdicom, torch and the model every time. The classifier is ``dxa-cnn21``, the shipped one or that of a site's folder; without any
the same is measured, but for the network, and said. Wall clock means something on an idle machine alone; the processor's seconds always do.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from training.memory import peak_mib
from training.simulation.parameters import PatientParameters
from training.simulation.xray.dxa import DxaParameters, simulate_dxa
from training.simulation.xray.dxa_dicom import DxaOptions, write_dxa
from training.simulation.xray.regions import simulate_regions

ROOT = Path(__file__).resolve().parents[1]
ROUTE = "routes: [{name: dxa, workflow: dxa, match: {modality: [CR, OT]}}]"
CLASSIFIER = "dxa-cnn21"
MAX_S, MAX_MB = 2.0, 1024.0
"""What the node promises of one study once the model is loaded, and of the process."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One study in the warm process, and the command that starts anew."""

    name: str
    images: int
    load_s: float
    study_s: tuple[float, ...]
    study_cpu_s: tuple[float, ...]
    peak_mb: float
    command_s: float
    command_cpu_s: float
    command_peak_mb: float
    outcome: str
    model: str


def main() -> None:
    """Print the table; exit status 1 where a study takes longer, or the process more memory, than promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--bundles", type=Path, default=ROOT / "data" / "bundles", help="Folder of a site's bundles.")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)  # one study in a process of its own
    arguments = parser.parse_args()
    if arguments.measure is not None:
        print(json.dumps(measure(arguments.measure, arguments.bundles, arguments.repeat)))
        return
    with tempfile.TemporaryDirectory(prefix="osteon-bench-") as name:
        studies = simulate(Path(name))
        costs = [cost_of(label, folder, Path(name), arguments.bundles, arguments.repeat) for label, folder in studies.items()]
    print_table(costs)
    slow = [cost.name for cost in costs if max(cost.study_s) > MAX_S or max(cost.peak_mb, cost.command_peak_mb) > MAX_MB]
    sys.exit(f"more than {MAX_S:g} s or {MAX_MB:g} MB: {', '.join(slow)}" if slow else 0)


def simulate(folder: Path) -> dict[str, Path]:
    """One patient on two densitometers: a scan alone, an export of six regions in one series, a scan with a report page."""
    patient = PatientParameters(seed=2, trabecular_hu=95.0, age_years=71)
    lunar = DxaParameters(device="GE Lunar", paint_spacing_mm=2.0)
    scan = simulate_dxa(patient, lunar)
    write_dxa(scan, folder / "scan")
    write_dxa(scan, folder / "regions", DxaOptions(others=tuple(simulate_regions(patient, lunar, spacing_mm=4.0))))
    write_dxa(simulate_dxa(patient, DxaParameters(device="Hologic", paint_spacing_mm=2.0)), folder / "page")
    return {"AP spine": folder / "scan", "six regions": folder / "regions", "spine and report page": folder / "page"}


def cost_of(name: str, study: Path, folder: Path, bundles: Path, repeat: int) -> Cost:
    """Measure one study both ways."""
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.dxa_cost", "--measure", str(study), "--bundles", str(bundles), "--repeat", str(repeat)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    warm = json.loads(told.stdout.splitlines()[-1])
    config = folder / "config.yaml"
    config.write_text(f"{ROUTE}\nbundles: {{folder: {bundles}, allow_simulated: true}}\n")
    out = str(folder / f"out-{study.name}")
    command = [sys.executable, "-m", "node.cli", "process", str(study), "--out", out, "--config", str(config)]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    _, _, used = os.wait4(process.pid, 0)
    return Cost(
        name=name,
        images=len(list(study.iterdir())),
        load_s=warm["load_s"],
        study_s=tuple(warm["study_s"]),
        study_cpu_s=tuple(warm["study_cpu_s"]),
        peak_mb=warm["peak_mb"],
        command_s=time.perf_counter() - started,
        command_cpu_s=used.ru_utime + used.ru_stime,
        command_peak_mb=used.ru_maxrss / 1024,
        outcome=warm["outcome"],
        model=warm["model"],
    )


def measure(study: Path, folder: Path, repeat: int) -> dict[str, object]:
    """Load the model, then process the study again and again, each time from its files to its objects on disk."""
    begun = time.perf_counter()
    from inference.bundles import load_network
    from inference.bundles.errors import BundleNotFoundError
    from node.config_file import parse_config
    from node.offline import find_studies, process_studies
    from node.pipeline import bundle_source

    config = parse_config(f"{ROUTE}\nbundles: {{folder: {folder}, allow_simulated: true}}\n")
    model = "none"
    try:
        bundle = bundle_source(config).open(CLASSIFIER)
        load_network(bundle)
        model = f"{bundle.name} {bundle.metadata.osteon.version}, trained on {bundle.model_used.trained_on}"
    except BundleNotFoundError:
        pass
    load_s = time.perf_counter() - begun
    seconds, cpu_seconds, outcome = [], [], ""
    for number in range(repeat):
        with tempfile.TemporaryDirectory(prefix="osteon-bench-out-") as out:
            started, cpu_started = time.perf_counter(), time.process_time()
            ((report, _),) = process_studies(find_studies([study]), config, Path(out) / str(number))
            seconds.append(time.perf_counter() - started)
            cpu_seconds.append(time.process_time() - cpu_started)
            outcome = report["outcome"] if report["reason"] is None else report["reason"]["code"]
    peak_mb = peak_mib()
    return {"load_s": load_s, "study_s": seconds, "study_cpu_s": cpu_seconds, "peak_mb": peak_mb, "outcome": outcome, "model": model}


def print_table(costs: list[Cost]) -> None:
    """Seconds of the first and of the median later study, the processor's own (others may run beside), and peak memory."""
    names = ("study", "images", "outcome", "load s", "first s (CPU)", "later s (CPU)", "peak MB", "command s (CPU)", "its peak MB")
    table = Table(*names, title=f"One DXA study ({costs[0].model}; {os.cpu_count()} cores)")
    for cost in costs:
        later = statistics.median(cost.study_s[1:] or cost.study_s)
        table.add_row(
            cost.name,
            str(cost.images),
            cost.outcome,
            f"{cost.load_s:.1f}",
            f"{cost.study_s[0]:.1f} ({cost.study_cpu_s[0]:.2f})",
            f"{later:.1f} ({statistics.median(cost.study_cpu_s[1:] or cost.study_cpu_s):.2f})",
            f"{cost.peak_mb:.0f}",
            f"{cost.command_s:.1f} ({cost.command_cpu_s:.1f})",
            f"{cost.command_peak_mb:.0f}",
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
