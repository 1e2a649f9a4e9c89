"""One CT from disk, in a process of its own: seconds and peak memory of the whole run, or of a reader alone.

usage: python -m benchmarks.ct_offline STUDY [--segmenter both] [--alone]
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.cost import ROOT, in_a_process
from inference.ct.segmentation import BUILT_IN
from inference.reading import read_header
from training.memory import peak_mib


def main() -> None:
    """Print one measurement as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ct_offline", description="One CT from disk.")
    parser.add_argument("study", type=Path, help="folder of one series")
    parser.add_argument("--segmenter", choices=BUILT_IN, default="both")
    parser.add_argument("--alone", action="store_true", help="the reader, and nothing after it")
    given = parser.parse_args()
    measure = measure_reader if given.alone else measure_offline
    print(json.dumps(measure(given.study, given.segmenter)))


def offline_in_a_process(folder: Path, segmenter: str = "both", *, alone: bool = False) -> dict[str, float]:
    """:func:`measure_offline` or :func:`measure_reader` in a process of its own, so that its peak memory is its own."""
    started = time.monotonic()
    found = in_a_process("benchmarks.ct_offline", str(folder), "--segmenter", segmenter, *(["--alone"] if alone else []))
    return {**found, "process": time.monotonic() - started}


def measure_offline(folder: Path, segmenter: str) -> dict[str, float]:
    """Seconds per step and peak resident memory of one study from disk."""
    from node.config_file import load_config
    from node.offline import find_studies, process_studies

    config = load_config(ROOT / "config.yaml")
    ct = config.workflows.ct.model_copy(update={"segmenter": segmenter})
    config = config.model_copy(update={"workflows": config.workflows.model_copy(update={"ct": ct})})
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as out:
        ((report, _),) = process_studies(find_studies([folder]), config, Path(out))
    total_s = time.monotonic() - started
    return {**report["timings_s"], "all": total_s, "peak_mb": peak_mib()}


def measure_reader(folder: Path, segmenter: str) -> dict[str, float]:
    """Seconds of one reader on one study, loaded and ready, and peak resident memory of the process with the images."""
    from inference.ct.segmentation import get_segmenter
    from inference.ct.series import choose_series, load_series

    candidate = choose_series([read_header(path) for path in sorted(folder.iterdir())]).candidates[0]
    volume = load_series(candidate).volume
    reader = get_segmenter(segmenter)
    started = time.monotonic()
    reader.segment(volume)
    return {"segmentation": time.monotonic() - started, "peak_mb": peak_mib()}


def print_readers(console: Console, slices: int, alone: dict[str, dict[str, float]], costs: dict[str, dict[str, float]]) -> None:
    """What each reader costs; a process counts from its start, with imports."""
    load = os.getloadavg()[0]
    table = Table(
        "reader",
        "reader\nalone, s",
        "peak\nMB",
        "disk to\nresults, s",
        "whole\nprocess, s",
        "its peak\nMB",
        title=f"512 x 512 x {slices}, each reader in a process of its own ({os.cpu_count()} cores, load {load:.1f})",
    )
    for reader, cost in costs.items():
        own = alone[reader]
        table.add_row(
            reader,
            f"{own['segmentation']:.1f}",
            f"{own['peak_mb']:.0f}",
            f"{cost['all']:.1f}",
            f"{cost['process']:.1f}",
            f"{cost['peak_mb']:.0f}",
        )
    console.print(table)


def print_scaling(console: Console, rows: list[tuple[int, dict[str, float]]]) -> None:
    """Cost against the number of slices."""
    table = Table(
        "slices", "reading s", "segmentation s", "all s", "ms a slice", "peak MB", title="One study from disk, each in its own process"
    )
    for slices, cost in rows:
        table.add_row(
            str(slices),
            f"{cost.get('reading', 0):.1f}",
            f"{cost.get('segmentation', 0):.1f}",
            f"{cost['all']:.1f}",
            f"{1000 * cost['all'] / slices:.0f}",
            f"{cost['peak_mb']:.0f}",
        )
    console.print(table)


if __name__ == "__main__":
    main()
