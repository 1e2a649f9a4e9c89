"""MedConv's Tables II to VI, run again: every row by the paper's name, with intervals, the paper's figure beside ours.

usage: python -m training.medconv.tables --data simulated|MANIFEST --table 2..6 [--quick] [--out DIR] [--seeds N] [--rows NAME...]

Markdown on stdout; CSV and pictures in DIR. What is done is kept there: the same command goes on after an interruption, and rows and tables
that need the same run share it. ``--quick`` is the same code with narrow networks, small crops, few patients and few epochs.
"""

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from inference.ct.segmentation import TotalSegmentatorOptions, get_segmenter
from inference.ct.segmentation.from_labels import MaskKind
from inference.ct.segmentation.numbering import NUMBERINGS
from inference.errors import OsteonError, PermanentError
from training.campaign import campaign_bar, chosen_rows, weights_of
from training.commands import SIMULATED
from training.errors import TrainingError
from training.medconv.crops import CropOptions
from training.medconv.networks import NETWORKS
from training.medconv.options import MedconvOptions, quick
from training.medconv.rows import remarks
from training.medconv.simulated import SimulatedOptions
from training.medconv.tables_paper import TABLES, Row, Table
from training.medconv.tables_report import AVERAGES, chosen_tau2, draw_row, draw_sweep, printed, row_of
from training.medconv.tables_run import Campaign, Result, Runs
from training.metrics.bootstrap import BootstrapOptions
from training.metrics.table import TableRow

QUICK_PATIENTS, QUICK_EPOCHS, QUICK_WIDTH = 72, 6, 0.125
SWEEP = 6
"""The table that is one training and several adjustments of it."""
_SEGMENTERS = {"CTspine1K": "masks", "TotalSegmentator": "totalsegmentator", "Osteon": "both"}

Said = Callable[[], None]


def run_table(table: Table, campaign: Campaign, *, resamples: int = 2000, progress: bool = True) -> str:
    """Train what a table needs, write ``table-N.csv``, ``.md`` and pictures to the campaign's folder.

    Returns
    -------
    str
        Markdown.

    Raises
    ------
    TrainingError
        The cases cannot be had, or a run cannot be trained. A row whose input is not to be had says so and is left out.
    """
    runs, options = Runs(campaign), BootstrapOptions(resamples=resamples)
    pictures = campaign.out / f"table-{table.number}"
    rows: list[TableRow] = []
    with campaign_bar("rows", len(table.rows) * len(campaign.seeds), shown=progress) as advance:
        for row in table.rows:
            results, note = results_of(row, runs, partial(advance, row.name))
            rows.append(row_of(row, results, note, options))
            if results and table.number != SWEEP:
                draw_row(row.name, results, pictures / _file_name(row.name))
    if table.number == SWEEP:
        rows.append(_chosen(table, runs, options, pictures))
        draw_sweep([(row.method, found) for row, found in zip(table.rows, rows, strict=False)], pictures / "figure-6.png")
    main, classes = printed(table, rows, measured_on(runs))
    main.write(campaign.out / f"table-{table.number}")
    classes.write(campaign.out / f"table-{table.number}-classes")
    return "\n".join([main.markdown(), AVERAGES, "", classes.markdown()])


def results_of(row: Row, runs: Runs, said: Said) -> tuple[tuple[Result, ...], str]:
    """The results of a row and what must be said beside them; no result, and why, where its input is not to be had."""
    campaign = runs.campaign
    notes = [remarks(row.name, row.method, campaign.weights)]
    if row.segmenter is None:
        return runs.results(row.method, said=said), notes[0]
    found = masks_of(row.segmenter, campaign)
    if isinstance(found, str):
        for _ in campaign.seeds:
            said()
        return (), f"not run: {found}"
    crop, source, told = found
    try:
        for seed in campaign.seeds:
            runs.parts(seed, crop, source)
    except TrainingError as error:
        return (), f"not run: {str(error).splitlines()[0]}"
    return runs.results(row.method, crop, source, said), "; ".join(note for note in (told, *notes) if note)


def masks_of(segmenter: str, campaign: Campaign) -> tuple[CropOptions | None, SimulatedOptions | None, str] | str:
    """Where a row of Table III has its masks from: the crop's options, the simulated patients and a remark, or why there are none."""
    source = campaign.source
    if isinstance(source, SimulatedOptions):
        if segmenter == "CTspine1K":
            return None, replace(source, mask_error_mm=0.0), "the simulation's own masks, without error, stand in for mask files"
        if segmenter == "Osteon":
            return None, source, f"masks that stray by up to {source.mask_error_mm:g} mm stand in for a segmenter's"
        return "crops of simulated patients are painted around L1, without a scan to segment; give a manifest of osteon simulate"
    name, weights = _SEGMENTERS[segmenter], campaign.base.crop.totalsegmentator
    if name == "totalsegmentator":
        if weights is None:
            return "the folder of TotalSegmentator's weights was not given (--totalsegmentator DIR)"
        try:
            get_segmenter(name, totalsegmentator=TotalSegmentatorOptions(weights=weights))
        except OsteonError as error:
            return str(error)
    return replace(campaign.base.crop, segmenter=name), None, ""


def _chosen(table: Table, runs: Runs, options: BootstrapOptions, pictures: Path) -> TableRow:
    """The run of Table VI with the tau2 of its validation part."""
    found, values = chosen_tau2(runs.results(table.rows[0].method))
    name = f"chosen on the validation part: {', '.join(f'{tau2:g}' for tau2 in values)}"
    draw_row(name, found, pictures / "chosen")
    return row_of(replace(table.rows[0], name=name, paper={}), found, "never chosen on the test part, which the paper's sweep did", options)


def measured_on(runs: Runs) -> str:
    """What our figures come from, in words."""
    campaign = runs.campaign
    parts = [runs.parts(seed) for seed in campaign.seeds]
    base, first = campaign.base, parts[0]
    sizes = f"{len(first.train)} patients to train on, {len(first.validation)} to choose the epoch by, {len(first.test)} to test"
    z, y, x = base.crop.shape
    size = f"crops of {z} x {y} x {x} voxels, width {base.width:g}, {base.loop.epochs} epochs"
    repeats = (
        f"{len(parts)} repeats with other splits and first weights, test parts pooled" if len(parts) > 1 else "one split, one training"
    )
    return f"{first.description}; {sizes}; {size}; {repeats}"


def _file_name(row: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", row.replace("w/o", "without").replace("w/", "with")).strip("-")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.medconv.tables", description="MedConv's Tables II to VI, run again.")
    parser.add_argument("--data", required=True, help="'simulated', or a manifest (CSV, Parquet)")
    parser.add_argument("--table", required=True, type=int, choices=sorted(TABLES))
    parser.add_argument("--quick", action="store_true", help="minutes on two CPU cores: everything runs, little is learned")
    parser.add_argument("--out", type=Path, default=Path("medconv-tables"), help="CSV, pictures, prepared cases, runs")
    parser.add_argument("--seeds", type=int, default=1, help="repeats")
    parser.add_argument("--rows", nargs="+", default=[], metavar="NAME", help="only these rows, by the paper's names")
    parser.add_argument("--weights", nargs="+", default=[], metavar="NETWORK=FILE", help="pretrained weights")
    parser.add_argument("--numbering", choices=sorted(NUMBERINGS), default="ctspine1k", help="of a manifest's mask files (Table III)")
    parser.add_argument("--mask-kind", choices=[kind.value for kind in MaskKind], default=MaskKind.WHOLE.value, help="of those masks")
    parser.add_argument("--totalsegmentator", type=Path, metavar="DIR", help="its folder of weights (Table III)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--patients", type=int, help=f"simulated patients (389, {QUICK_PATIENTS} with --quick)")
    parser.add_argument("--epochs", type=int, help=f"(200, {QUICK_EPOCHS} with --quick)")
    parser.add_argument("--width", type=float, help=f"factor on all channels (1, {QUICK_WIDTH} with --quick)")
    parser.add_argument("--jobs", type=int, default=2, help="processes that prepare cases")
    parser.add_argument("--amp", action="store_true", help="mixed precision")
    return parser


def campaign_of(given: argparse.Namespace) -> Campaign:
    """The campaign that the arguments ask for.

    Raises
    ------
    TrainingError
        They cannot be used together.
    """
    base = MedconvOptions()
    epochs = given.epochs or (QUICK_EPOCHS if given.quick else base.loop.epochs)
    if given.quick:
        base = replace(quick(base), width=QUICK_WIDTH)
    width = given.width or base.width
    warmup = min(base.loop.warmup_epochs, epochs)
    crop = replace(base.crop, numbering=given.numbering, mask_kind=given.mask_kind, totalsegmentator=given.totalsegmentator)
    base = replace(
        base, crop=crop, width=width, loop=replace(base.loop, epochs=epochs, warmup_epochs=warmup, device=given.device, amp=given.amp)
    )
    if given.data == SIMULATED:
        wanted = given.patients or (QUICK_PATIENTS if given.quick else SimulatedOptions().patients)
        source: SimulatedOptions | Path = SimulatedOptions(patients=wanted)
    else:
        source = Path(given.data)
    return Campaign(
        source=source,
        base=base,
        weights=weights_of(given.weights, NETWORKS),
        seeds=tuple(range(given.seeds)),
        out=given.out,
        jobs=given.jobs,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table as Markdown on stdout.

    Raises
    ------
    SystemExit
        2: the arguments or the data cannot be used.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        table = TABLES[given.table]
        table = replace(table, rows=chosen_rows(f"Table {table.roman}", table.rows, given.rows))
        print(run_table(table, campaign_of(given), resamples=1000 if given.quick else 2000), end="")
    except PermanentError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
