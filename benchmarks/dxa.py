"""The 21-layer CNN and its baselines on simulated DXA, and how the CNN does on a maker that it never saw.

usage: python -m benchmarks.dxa [--out DIR] [--cache DIR] [--patients N] [--epochs N] [--patience N] [--width F] [...]

Three simulated densitometers scan every patient: scoliosis, fractures, implants, noise. First five folds and a test part of 30 % of the
patients, as in Table 5. Then one maker tests and the two others teach, patients apart. Prints Markdown; what is trained is kept in DIR,
and the same command goes on from there.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from training.campaign import weights_of
from training.dxa.crossval import CrossValidation, FoldResult
from training.dxa.data import DataOptions, Dealt, without_device
from training.dxa.evaluate import COLUMNS, Predictions, pooled, scores
from training.dxa.options import BASELINES, NETWORKS, DxaOptions, paper_loop
from training.dxa.simulated import SimulatedOptions
from training.dxa.tables import Campaign, Rows
from training.dxa.tables_report import NAMES, folds_table
from training.errors import TrainingError
from training.metrics.table import TableColumn
from training.simulation.xray.devices import DEVICES

SHOWN = (
    *(column for column in COLUMNS if column.key in ("accuracy", "recall", "auc")),
    TableColumn(key="specificity", heading="specificity", percent=True),
    TableColumn(key="clear_accuracy", heading="accuracy, T-score > 0.5 from -2.5", percent=True),
)


def cells(found: Predictions) -> list[str]:
    """Values of :data:`SHOWN` with intervals over patients."""
    values = scores(found)
    pairs = [(column, values[column.key]) for column in SHOWN]
    return [f"{column.shown(one.value)} ({column.shown(one.low)} to {column.shown(one.high)})" for column, one in pairs]


def table(rows: Mapping[str, Predictions], first: str) -> list[str]:
    """Markdown lines, one row each."""
    head = [first, "images", *(column.heading + (" %" if column.percent else "") for column in SHOWN)]
    lines = [f"| {' | '.join(head)} |", f"| --- | {' | '.join('---:' for _ in head[1:])} |"]
    return lines + [f"| {name} | {found.truth.size} | {' | '.join(cells(found))} |" for name, found in rows.items()]


def across_makers(dealt: Dealt, base: DxaOptions, out: Path, makers: Sequence[str]) -> Mapping[str, Predictions]:
    """The CNN on each maker's images of the test part: taught by the two others, and taught by all three.

    One fold validates; the networks learn from the same patients.
    """
    every = CrossValidation(dealt, out / "runs", out / "features", progress=False).folds(base, only=[1])[0].test
    found: dict[str, Predictions] = {}
    for device in makers:
        unseen = CrossValidation(without_device(dealt, device), out / "runs", out / "features", progress=False)
        found[f"{device}, never seen"] = unseen.folds(base, only=[1])[0].test
        found[f"{device}, seen beside the others"] = of_device(every, device)
    return found


def of_device(found: Predictions, device: str) -> Predictions:
    """What was said of one maker's images."""
    places = [place for place, one in enumerate(found.devices) if one == device]
    return Predictions(
        patients=tuple(found.patients[place] for place in places),
        devices=(device,) * len(places),
        truth=found.truth[places],
        t_scores=found.t_scores[places],
        logits=found.logits[places],
        temperature=found.temperature[places],
        network=found.network[places],
        output=found.output,
    )


def cohort(dealt: Dealt) -> str:
    """Counts of images by maker and class."""
    cases = dealt.prepared.cases
    devices = sorted({case.device for case in cases})
    counts = ", ".join(f"{device} {sum(case.device == device for case in cases)}" for device in devices)
    ill = sum(case.target for case in cases)
    skipped = dealt.prepared
    return (
        f"{len(cases)} images ({counts}) of {len({case.patient for case in cases})} patients, {ill} with osteoporosis; "
        f"{len(dealt.training)} in five folds, {len(dealt.test)} to test; {len(skipped.skipped)} skipped ({skipped.reasons()})"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dxa", description="The 21-layer CNN and its baselines on simulated DXA.")
    parser.add_argument("--out", type=Path, default=Path("dxa-benchmark"))
    parser.add_argument("--cache", type=Path, help="folder of painted patients (OUT/cases)")
    parser.add_argument("--patients", type=int, default=60)
    parser.add_argument("--scans", type=int, default=len(DEVICES), help="devices that scan each patient")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--patience", type=int, default=30, help="epochs without a better validation loss; a narrow network begins slowly")
    parser.add_argument("--width", type=float, default=0.125)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--augmentation", choices=("paper", "upright", "none"), default="upright")
    parser.add_argument("--rows", nargs="*", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--weights", nargs="+", default=[], metavar="NETWORK=FILE", help="published state dicts of baselines")
    parser.add_argument("--makers", nargs="*", default=list(DEVICES), choices=DEVICES, help="left out of learning in turn")
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


def main() -> None:
    """Print the benchmark."""
    given = _arguments()
    source = SimulatedOptions(patients=given.patients, scans=given.scans)
    loop = replace(paper_loop(given.epochs), patience=given.patience, learning_rate=given.learning_rate, device="cpu", seed=source.seed)
    base = DxaOptions(width=given.width, first="data", augmentation=given.augmentation, batch=given.batch, seed=source.seed, loop=loop)
    data = DataOptions(source=source, seed=source.seed, cache=given.cache or given.out / "cases", jobs=given.jobs)
    rows = Rows(Campaign(data=data, base=base, weights=weights_of(given.weights, BASELINES), out=given.out, progress=False))
    print(f"{rows.dealt.description}. {cohort(rows.dealt)}.\n")
    if given.rows:
        _print_folds(given, {name: rows.results(name, lambda: None)[0] for name in given.rows})
    if given.makers:
        print(f"\n## A maker that was never seen (21-layer CNN, at most {given.epochs} epochs)\n")
        print("\n".join(table(across_makers(rows.dealt, base, given.out, given.makers), "tested on")))


def _print_folds(given: argparse.Namespace, found: Mapping[str, Sequence[FoldResult]]) -> None:
    weights = ", ".join(given.weights) or "RANDOM weights (no published file given: no transfer learning)"
    print(
        f"The CNN at width {given.width:g}, at most {given.epochs} epochs at {given.learning_rate:g}, batches of {given.batch}; "
        f"baselines frozen but for the last layer, without augmented copies, on {weights}.\n"
    )
    print("## Five folds, each validates once\n")
    print("\n".join(table({NAMES[name]: pooled([one.validation for one in results]) for name, results in found.items()}, "network")))
    print("\n" + folds_table(found))
    print("\n## The test part, spoken of by each fold's network\n")
    print("\n".join(table({NAMES[name]: pooled([one.test for one in results]) for name, results in found.items()}, "network")))


if __name__ == "__main__":
    try:
        main()
    except TrainingError as problem:
        sys.exit(str(problem))
