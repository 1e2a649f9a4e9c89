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
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.cost import BUNDLES, Cost, command_anew, config_text, cost_in_a_process, processing, repeated
from training.simulation.parameters import PatientParameters
from training.simulation.xray.dxa import DxaParameters, simulate_dxa
from training.simulation.xray.dxa_dicom import DxaOptions, write_dxa
from training.simulation.xray.regions import simulate_regions

ROUTE = "{name: dxa, workflow: dxa, match: {modality: [CR, OT]}}"
CLASSIFIER = "dxa-cnn21"
MAX_S, MAX_MB = 2.0, 1024.0
"""What the node promises of one study once the model is loaded, and of the process."""


@dataclass(frozen=True, kw_only=True)
class StudyCost:
    """One study in the warm process, whose name says the model, and by the command that starts anew."""

    study: str
    images: int
    warm: Cost
    anew: Cost


def main() -> None:
    """Print the table; exit status 1 where a study takes longer, or the process more memory, than promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--bundles", type=Path, default=BUNDLES, help="Folder of a site's bundles.")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)  # one study in a process of its own
    arguments = parser.parse_args()
    if arguments.measure is not None:
        print(json.dumps(asdict(measure(arguments.measure, arguments.bundles, arguments.repeat))))
        return
    with tempfile.TemporaryDirectory(prefix="osteon-bench-") as name:
        studies = simulate(Path(name))
        costs = [cost_of(label, folder, arguments.bundles, arguments.repeat) for label, folder in studies.items()]
    print_table(costs)
    slow = [cost.study for cost in costs if max(cost.warm.study_s) > MAX_S or max(cost.warm.peak_mb, cost.anew.peak_mb) > MAX_MB]
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


def cost_of(name: str, study: Path, bundles: Path, repeat: int) -> StudyCost:
    """Measure one study both ways."""
    options = ("--measure", str(study), "--bundles", str(bundles), "--repeat", str(repeat))
    return StudyCost(
        study=name,
        images=len(list(study.iterdir())),
        warm=cost_in_a_process("benchmarks.dxa_cost", *options),
        anew=command_anew(study, config_text(ROUTE, bundles)),
    )


def measure(study: Path, folder: Path, repeat: int) -> Cost:
    """Load the model, then process the study again and again, each time from its files to its objects on disk."""
    begun = time.perf_counter()
    from inference.bundles import load_network
    from inference.bundles.errors import BundleNotFoundError
    from node.config_file import parse_config
    from node.pipeline import bundle_source

    text = config_text(ROUTE, folder)
    once = processing(study, text)
    model = "none"
    try:
        bundle = bundle_source(parse_config(text)).open(CLASSIFIER)
        load_network(bundle)
        model = f"{bundle.name} {bundle.metadata.osteon.version}, trained on {bundle.model_used.trained_on}"
    except BundleNotFoundError:
        pass
    return repeated(model, time.perf_counter() - begun, repeat, once)


def print_table(costs: list[StudyCost]) -> None:
    """Seconds of the first and of the median later study, the processor's own (others may run beside), and peak memory."""
    names = ("study", "images", "outcome", "load s", "first s (CPU)", "later s (CPU)", "peak MB", "command s (CPU)", "its peak MB")
    table = Table(*names, title=f"One DXA study ({costs[0].warm.name}; {os.cpu_count()} cores)")
    for cost in costs:
        warm, anew = cost.warm, cost.anew
        told = (warm.outcome, f"{warm.load_s:.1f}", warm.first_words, warm.later_words, f"{warm.peak_mb:.0f}")
        table.add_row(cost.study, str(cost.images), *told, anew.first_words, f"{anew.peak_mb:.0f}")
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
