"""Tables 1 to 5 of the TP-SwAV paper, run again: every row by the paper's name, by site, the paper's figure beside ours.

usage: python -m training.tpswav.tables --data simulated|MANIFEST --table 1..5 [--quick] [--out DIR] [--seeds N] [--rows NAME...]

Markdown on stdout; CSV and ROC curves in DIR. What is done is kept there: the same command goes on after an interruption, and rows and
tables that need the same run share it. ``--quick`` is the same code with narrow networks, small crops, few patients and few epochs.
"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from inference.ct.segmentation import SEGMENTERS
from inference.errors import PermanentError
from training.campaign import chosen_rows, weights_of
from training.data.splits import TEST, TRAIN, VALIDATION
from training.errors import TrainingError
from training.metrics.bootstrap import BootstrapOptions, Interval
from training.metrics.table import ResultTable, TableColumn, TableRow
from training.plots.roc import RocSeries, plot_roc
from training.tpswav.cli import PATIENTS, SIMULATED
from training.tpswav.data import composition
from training.tpswav.evaluate import COLUMNS, area, at_site, compared, joined, labelled, of_repeat, patient_scores, vertebra_scores
from training.tpswav.losses import UNKNOWN
from training.tpswav.options import ExpertOptions, quick, quick_pretraining
from training.tpswav.pretrain_task import PretrainOptions
from training.tpswav.simulated import SITES as SIMULATED_SITES
from training.tpswav.simulated import SimulatedOptions
from training.tpswav.tables_paper import COMPOSITION, OURS, TABLES, Row, Table
from training.tpswav.tables_run import Campaign, Runs
from training.tpswav.task import Predictions

QUICK_PATIENTS, QUICK_EPOCHS, QUICK_WIDTH = 48, 4, 0.125
SOURCE = "Huang, Guo et al., Opportunistic Osteoporosis Diagnosis via Texture-Preserving Self-Supervision"
COUNTS = tuple(
    TableColumn(key=key, heading=heading, digits=0, better=None)
    for key, heading in (
        ("patients_train", "patients, train"),
        ("patients_validation", "valid"),
        ("patients_test", "test"),
        ("pretrain", "vertebrae w/o GT, pre-train"),
        ("train", "vertebrae w/ GT, train"),
        ("validation", "valid w/ GT"),
        ("test", "test w/ GT"),
    )
)


def table_1(runs: Runs) -> str:
    """What the tables are trained on, by site, and who was left out and why (Markdown; ``table-1.csv`` in the campaign's folder).

    Raises
    ------
    TrainingError
        The vertebrae cannot be had.
    """
    parts = runs.parts(runs.campaign.seeds[0])
    rows = []
    keys = [column.key for column in COUNTS]
    for site, counts in composition(parts).items():
        ours = [counts.patients[part] for part in (TRAIN, VALIDATION, TEST)]
        ours += [counts.unlabelled, *(counts.labelled[part] for part in (TRAIN, VALIDATION, TEST))]
        device, figures = COMPOSITION.get(site, ("", ()))
        paper = dict(zip(keys, map(float, figures), strict=False))
        name = f"{site} ({', '.join(counts.devices) or device or 'no DXA'})"
        rows.append(TableRow(name=name, ours=dict(zip(keys, map(float, ours), strict=True)), paper=paper))
    table = ResultTable(
        title="Table 1: composition", measured_on=parts.description, source=f"{SOURCE}, Table 1", columns=COUNTS, rows=tuple(rows)
    )
    table.write(runs.campaign.out / "table-1")
    reasons = Counter((one.site, one.why) for one in parts.census.excluded)
    left = [f"| {site} | {why.value} | {count} |" for (site, why), count in sorted(reasons.items())]
    lines = ["Left out (the paper names its reasons and gives no counts):", "", "| site | reason | vertebrae |", "| --- | --- | ---: |"]
    return "\n".join([table.markdown(), *lines, *(left or ["| – | none | 0 |"]), ""])


def run_table(table: Table, runs: Runs, options: BootstrapOptions) -> str:
    """Train what a table needs; Markdown, one part for each site, and CSV in the campaign's folder.

    Raises
    ------
    TrainingError
        The vertebrae cannot be had, or a run cannot be trained. A row of other people's system says why it is left out.
    """
    console = Console(stderr=True, quiet=not runs.campaign.progress)
    found: dict[str, Predictions] = {}
    notes: dict[str, str] = {}
    for row in table.rows:
        notes[row.name] = runs.missing(row.method)
        if notes[row.name]:
            continue
        console.print(f"{row.name} ...", highlight=False)
        found[row.name] = joined([of_repeat(one, seed) for one, seed in zip(runs.results(row.method), runs.campaign.seeds, strict=True)])
    sites = sorted({site for one in found.values() for site, label in zip(one.sites, one.label, strict=True) if label != UNKNOWN})
    told = []
    for site in sites:
        here = {name: labelled(at_site(one, site)) for name, one in found.items() if (at_site(one, site).label >= 0).any()}
        printed = _site_table(table, site, here, notes, runs, options)
        printed.write(runs.campaign.out / f"table-{table.number}-site-{site}")
        told.append(printed.markdown())
        _draw(here, runs.campaign.out / f"table-{table.number}-site-{site}-roc.png", f"site {site}")
    return "\n".join(told)


def _site_table(
    table: Table, site: str, here: Mapping[str, Predictions], notes: Mapping[str, str], runs: Runs, options: BootstrapOptions
) -> ResultTable:
    columns = tuple(column for column in COLUMNS if column.key == "f1" or not table.f1_alone)
    rows = []
    for row in table.rows:
        said = here.get(row.name)
        ours = _scores(said, table, options) if said is not None else {}
        kept = {column.key: ours[column.key] for column in columns if column.key in ours}
        best = here.get(OURS)
        versus = compared(said, best) if said is not None and best is not None and row.name != OURS and table.number == 2 else None
        rows.append(TableRow(name=row.name, ours=kept, paper=_paper(row, site, columns), versus=versus, note=notes[row.name]))
    parts = runs.parts(runs.campaign.seeds[0])
    base = runs.campaign.base
    size = f"crops of {' x '.join(map(str, base.crop.shape))} voxels, width {base.width:g}, {base.loop.epochs} epochs, "
    size += f"{runs.campaign.pretraining.loop.epochs} of pretraining, {len(runs.campaign.seeds)} repeat(s)"
    return ResultTable(
        title=f"{table.title}, site {site}{' (external)' if any(one.site == site for one in parts.external) else ''}",
        measured_on=f"{parts.description}; {size}",
        source=f"{SOURCE}, Table {table.number}",
        columns=columns,
        rows=tuple(rows),
    )


def _scores(said: Predictions, table: Table, options: BootstrapOptions) -> Mapping[str, Interval]:
    return (vertebra_scores if table.level == "vertebra" else patient_scores)(said, options)


def _paper(row: Row, site: str, columns: Sequence[TableColumn]) -> dict[str, float]:
    figures = row.paper.get(site, ())
    return {column.key: value / 100 for column, value in zip(columns, figures, strict=False)}


def _draw(here: Mapping[str, Predictions], path: Path, title: str) -> None:
    """Figure 3: ROC curves of the rows at one site."""
    series = [
        RocSeries(name=name, truth=one.label, scores=one.probability, patients=one.patients)
        for name, one in here.items()
        if area(one.label, one.probability) == area(one.label, one.probability)
    ]
    if series:
        plot_roc(series, path, title=title, options=BootstrapOptions(resamples=100))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.tpswav.tables", description="Tables 1 to 5 of the TP-SwAV paper, run again.")
    parser.add_argument("--data", required=True, help="'simulated', or a manifest (CSV, Parquet)")
    parser.add_argument("--table", required=True, type=int, choices=(1, *sorted(TABLES)))
    parser.add_argument("--quick", action="store_true", help="a few CPU hours become minutes: everything runs, little is learned")
    parser.add_argument("--out", type=Path, default=Path("tpswav-tables"), help="CSV, pictures, prepared vertebrae, encoders, runs")
    parser.add_argument("--seeds", type=int, default=1, help="repeats")
    parser.add_argument("--rows", nargs="+", default=[], metavar="NAME", help="only these rows, by the paper's names")
    parser.add_argument("--weights", nargs="+", default=[], metavar="SYSTEM=FILE", help="encoders of VOCO or SwinMM (safetensors)")
    parser.add_argument("--hold-out", nargs="+", default=[], metavar="SITE", help="sites that are tested alone")
    parser.add_argument("--segmenter", choices=SEGMENTERS, default="both", help="who finds vertebrae in a manifest's studies")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--patients", type=int, help=f"simulated patients ({PATIENTS}, {QUICK_PATIENTS} with --quick)")
    parser.add_argument("--epochs", type=int, help=f"of fine-tuning (400, {QUICK_EPOCHS} with --quick)")
    parser.add_argument("--pretrain-epochs", type=int, help=f"(300, {QUICK_EPOCHS} with --quick)")
    parser.add_argument("--width", type=float, help=f"factor on all channels (1, {QUICK_WIDTH} with --quick)")
    parser.add_argument("--jobs", type=int, default=2, help="processes that prepare vertebrae")
    parser.add_argument("--amp", action="store_true", help="mixed precision")
    return parser


def campaign_of(given: argparse.Namespace) -> Campaign:
    """The campaign that the arguments ask for.

    Raises
    ------
    TrainingError
        They cannot be used together.
    """
    base, before = ExpertOptions(), PretrainOptions()
    if given.quick:
        base, before = quick(base), quick_pretraining(before)
    width = given.width or (QUICK_WIDTH if given.quick else base.width)
    epochs = given.epochs or (QUICK_EPOCHS if given.quick else base.loop.epochs)
    before_epochs = given.pretrain_epochs or (QUICK_EPOCHS if given.quick else before.loop.epochs)
    changes = {"device": given.device, "amp": given.amp}
    loop = replace(base.loop, epochs=epochs, warmup_epochs=min(base.loop.warmup_epochs, epochs), **changes)
    before_loop = replace(before.loop, epochs=before_epochs, warmup_epochs=min(before.loop.warmup_epochs, before_epochs), **changes)
    sites = tuple(given.hold_out)
    if given.data == SIMULATED:
        if unknown := [name for name in sites if name not in SIMULATED_SITES]:
            raise TrainingError(f"--hold-out {', '.join(unknown)}: a simulated cohort has the sites {', '.join(SIMULATED_SITES)}")
        count = given.patients or (QUICK_PATIENTS if given.quick else PATIENTS)
        source: SimulatedOptions | Path = SimulatedOptions(patients=count, held_out=sites, even=given.quick)
    else:
        source = Path(given.data)
    return Campaign(
        source=source,
        hold_out=sites,
        base=replace(base, width=width, crop=replace(base.crop, segmenter=given.segmenter), loop=loop),
        pretraining=replace(before, width=width, loop=before_loop),
        weights=weights_of(given.weights, systems()),
        seeds=tuple(range(given.seeds)),
        out=given.out,
        jobs=given.jobs,
    )


def systems() -> tuple[str, ...]:
    """Other people's pretraining that the tables name, whose encoders must be given."""
    named = {row.method.pretraining for table in TABLES.values() for row in table.rows if row.method.backbone}
    return tuple(sorted(named - {"", "tpswav", "swav", "mae"}))


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
        runs = Runs(campaign_of(given))
        given.out.mkdir(parents=True, exist_ok=True)
        if given.table == 1:
            print(table_1(runs), end="")
            return
        table = TABLES[given.table]
        table = replace(table, rows=chosen_rows(f"Table {table.number}", table.rows, given.rows))
        print(run_table(table, runs, BootstrapOptions(resamples=500 if given.quick else 2000)), end="")
    except PermanentError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
