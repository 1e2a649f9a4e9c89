"""Tables I to III of Attentive Multi-ROI and its two ablations, run again, with intervals, the paper's figure beside ours.

usage: python -m training.cxr.tables --data simulated|MANIFEST --table 1|2|3|backbones|splits [--quick] [--out DIR] [--seeds N]

Markdown on stdout; CSV, pictures and what the networks said in DIR. What is done is kept there: the same command goes on after an
interruption, and tables that need the same run share it. ``--quick`` is the same code with narrow networks, small regions, few patients
and epochs: everything runs, little is learnt.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console

from inference.bundles import TrainedOn
from inference.errors import PermanentError
from training.campaign import campaign_bar, chosen_rows
from training.commands import SIMULATED
from training.cxr.cases import LEVELS, Films
from training.cxr.folds import comparable
from training.cxr.manifest import ManifestOptions, prepare_manifest
from training.cxr.options import DensityOptions, quick
from training.cxr.simulated import COHORTS_OF_CXR, SimulatedOptions, prepare_simulated
from training.cxr.tables_paper import COMPARISONS, Row
from training.cxr.tables_report import POOLED, UNIFORM, Found, comparison_tables, draw_found, patient_table, pooled, vertebra_table
from training.cxr.tables_run import Campaign, Runs
from training.metrics.bootstrap import BootstrapOptions
from training.metrics.table import ResultTable

QUICK_PATIENTS, QUICK_EPOCHS = 60, 5
PATIENTS = 400
TABLES = (*COMPARISONS, "2", "3")
PROPOSED = Row(name="Proposed", variant="proposed")


def run_table(name: str, campaign: Campaign, *, rows: Sequence[str] = (), resamples: int = 2000, progress: bool = True) -> str:
    """Train what a table needs, write ``table-NAME-*.csv``, ``.md`` and pictures to the campaign's folder.

    Parameters
    ----------
    rows
        Only these of a comparison, by the paper's names; all when empty.

    Returns
    -------
    str
        Markdown.

    Raises
    ------
    TrainingError
        There is no such row, or a run cannot be trained.
    """
    runs, options = Runs(campaign), BootstrapOptions(resamples=resamples)
    if name in COMPARISONS:
        table = COMPARISONS[name]
        table = replace(table, rows=chosen_rows(table.title, table.rows, rows))
        found = _found(table.rows, runs, progress=progress)
        tables = comparison_tables(table, found, measured_on(campaign), options)
    else:
        found = _found((PROPOSED,), runs, progress=progress)
        make = vertebra_table if name == "2" else patient_table
        tables = [make(found[0].test, measured_on(campaign), options)]
    draw_found(found, campaign.out / f"table-{name}", min(resamples, 200))
    return "\n".join([*(_written(table, campaign.out, name) for table in tables), notes(campaign), ""])


def _found(rows: Sequence[Row], runs: Runs, *, progress: bool) -> list[Found]:
    campaign = runs.campaign
    each = len(campaign.seeds) * campaign.base.folds * len(campaign.base.levels)
    with campaign_bar("networks", len(rows) * each, shown=progress) as advance:
        return [pooled(row, runs.results(row.variant, row.backbone, partial(advance, row.name))) for row in rows]


def _written(table: ResultTable, out: Path, name: str) -> str:
    metric = table.title.rpartition(":")[2].strip().partition(",")[0].lower() if name in COMPARISONS else ""
    table.write(out / "-".join(part for part in ("table", name, metric) if part))
    return table.markdown()


def measured_on(campaign: Campaign) -> str:
    """What our figures come from, in words."""
    base, films = campaign.base, campaign.films
    size = f"regions of {base.size} x {base.size}, width {base.width:g}, {base.layers} layers of attention"
    schedule = f"{base.loop.epochs} epochs of {base.loop.optimiser} at {base.loop.learning_rate:g}"
    repeats = f"{len(campaign.seeds)} repeats with other parts and first weights" if len(campaign.seeds) > 1 else "one repeat"
    return (
        f"{films.description}; {len(films.cases)} films ({len(films.skipped)} left out), {base.test:.0%} of the patients kept aside to "
        f"test; the mean of {base.folds} folds' networks for each vertebra; {size}, {schedule}; {repeats}"
    )


def notes(campaign: Campaign) -> str:
    """What must be known to read the figures."""
    return f"{POOLED} {UNIFORM}" if campaign.films.trained_on is not TrainedOn.PATIENTS else POOLED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.cxr.tables", description="Attentive Multi-ROI's tables, run again.")
    parser.add_argument("--data", required=True, help="'simulated', or a manifest (CSV, Parquet)")
    parser.add_argument("--table", required=True, choices=TABLES)
    parser.add_argument("--quick", action="store_true", help="minutes on two CPU cores: everything runs, little is learnt")
    parser.add_argument("--out", type=Path, default=Path("cxr-tables"), help="CSV, pictures, prepared films, runs")
    parser.add_argument("--cache", type=Path, help="folder of prepared films (OUT/films)")
    parser.add_argument("--seeds", type=int, default=1, help="repeats")
    parser.add_argument("--rows", nargs="+", default=[], metavar="NAME", help="only these rows, by the paper's names")
    parser.add_argument("--levels", nargs="+", default=list(LEVELS), choices=LEVELS, help="only these vertebrae (Table III needs all)")
    parser.add_argument("--cohort", choices=tuple(COHORTS_OF_CXR), default="checkup")
    parser.add_argument("--patients", type=int, help=f"simulated patients ({PATIENTS}, {QUICK_PATIENTS} with --quick)")
    parser.add_argument("--landmark-bundle", type=Path, help="finds the landmarks of a manifest's films")
    parser.add_argument("--landmarks", type=Path, help="a CSV of a manifest's landmarks, instead of a bundle")
    parser.add_argument("--epochs", type=int, help=f"(100, {QUICK_EPOCHS} with --quick)")
    parser.add_argument("--width", type=float, help="factor on all channels")
    parser.add_argument("--size", type=int, help="pixels of a region's side (256, 32 with --quick)")
    parser.add_argument("--learning-rate", type=float, help="(1e-4, 1e-3 with --quick)")
    parser.add_argument("--batch-norm", action="store_true", help="in a VGG that begins with fresh weights; always with --quick")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--jobs", type=int, default=2, help="processes that prepare films")
    return parser


def campaign_of(given: argparse.Namespace) -> Campaign:
    """The campaign that the arguments ask for; films are prepared.

    Raises
    ------
    TrainingError
        They cannot be used together, or no film can be used.
    """
    base = DensityOptions(levels=tuple(level for level in LEVELS if level in given.levels), batch_norm=given.batch_norm)
    if given.quick:
        base = quick(base)
        base = replace(base, loop=replace(base.loop, epochs=QUICK_EPOCHS))
    epochs = given.epochs or base.loop.epochs
    rate = given.learning_rate or base.loop.learning_rate
    warmup = min(base.loop.warmup_epochs, epochs)
    loop = replace(base.loop, epochs=epochs, learning_rate=rate, warmup_epochs=warmup, device=given.device)
    base = replace(base, width=given.width or base.width, size=given.size or base.size, loop=loop)
    return Campaign(films=comparable(_films(given), base), base=base, seeds=tuple(range(given.seeds)), out=given.out)


def _films(given: argparse.Namespace) -> Films:
    cache = given.cache or given.out / "films"
    if given.data == SIMULATED:
        patients = given.patients or (QUICK_PATIENTS if given.quick else PATIENTS)
        source = SimulatedOptions(patients=patients, cohort=COHORTS_OF_CXR[given.cohort])
        if given.quick:
            source = replace(source, paint_spacing_mm=3.0, pixel_spacing_mm=1.0)
        return prepare_simulated(source, cache, jobs=given.jobs)
    options = ManifestOptions(manifest=Path(given.data), landmarks=given.landmarks, bundle=given.landmark_bundle)
    return prepare_manifest(options, cache, jobs=given.jobs)


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
        campaign = campaign_of(given)
        Console(stderr=True).print(campaign.films.words(), highlight=False, markup=False)
        print(run_table(given.table, campaign, rows=given.rows, resamples=1000 if given.quick else 2000), end="")
    except PermanentError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
