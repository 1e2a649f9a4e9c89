"""Attentive Multi-ROI on simulated chest films: do regions of bone help, does attention, and how far off are the landmarks?

usage: python -m benchmarks.cxr [--out DIR] [--cache DIR] [--patients N] [--seeds N] [--levels L1 ...] [--folds N] [--epochs N]
                                [--batch N] [--learning-rate F] [--size N] [--width F] [--variants NAME ...] [--landmark-bundle DIR]

Prints Markdown. The five variants of Table I are trained on the same films and folds (``training.cxr.tables`` at a size between its quick
and its full one), and each is set beside its neighbour by what one thing changes: paired differences of R over the same test patients,
with intervals. With a landmark bundle: its errors on other simulated films, landmark by landmark. What is trained is kept in DIR.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from inference.bundles import load_bundle, load_network
from training.cxr.cases import LEVELS
from training.cxr.estimates import Estimates
from training.cxr.evaluate import levels_of, measured
from training.cxr.film_options import HELD_OUT_SEED
from training.cxr.folds import comparable
from training.cxr.landmark_cli import report
from training.cxr.landmark_task import radial_errors_mm
from training.cxr.options import DensityOptions, quick
from training.cxr.simulated import COHORTS_OF_CXR, SimulatedOptions, prepare_simulated
from training.cxr.tables import PROPOSED, measured_on, notes
from training.cxr.tables_paper import COMPARISONS
from training.cxr.tables_report import comparison_tables, patient_table, pooled, vertebra_table
from training.cxr.tables_run import Campaign, Runs
from training.metrics.agreement import pearson_r
from training.metrics.bootstrap import BootstrapOptions, Indices, Interval, bootstrap
from training.metrics.table import ResultTable

VARIANTS = tuple(row.variant for row in COMPARISONS["1"].rows)
QUESTIONS: tuple[tuple[str, str, str], ...] = (
    ("does attention help over concatenation, on patches?", "multipatch", "attmultipatch"),
    ("does attention help over concatenation, on regions of bone?", "multiroi", "proposed"),
    ("do regions of bone help over patches, concatenated?", "multipatch", "multiroi"),
    ("do regions of bone help over patches, with attention?", "attmultipatch", "proposed"),
    ("does all of it help over the whole film alone?", "baseline", "proposed"),
)


def rise(before: Estimates, after: Estimates, options: BootstrapOptions | None = None) -> Interval:
    """By how much R, averaged over the levels, rises from one variant to another on the same test patients.

    Raises
    ------
    ValueError
        The two were not tested on the same patients.
    """
    if before.patients != after.patients:
        raise ValueError("two variants are compared on the same patients")
    levels = levels_of(before)

    def statistic(indices: Indices) -> dict[str, float]:
        found = [np.mean([pearson_r(*measured(one, level, indices)[:2]) for level in levels]) for one in (before, after)]
        return {"rise": float(found[1] - found[0])}

    return bootstrap(statistic, before.patients, options)["rise"]


def answers(found: Mapping[str, Estimates], options: BootstrapOptions | None = None) -> list[str]:
    """The questions as lines of a Markdown table; a difference whose interval holds 0 answers nothing."""
    lines = ["| question | rise of R (95 % interval) | answer here |", "| --- | ---: | --- |"]
    for question, before, after in QUESTIONS:
        if before not in found or after not in found:
            continue
        value = rise(found[before], found[after], options)
        said = "not settled" if value.low <= 0 <= value.high else "yes" if value.value > 0 else "no, it is worse"
        lines.append(f"| {question} | {value.value:+.3f} ({value.low:+.3f} to {value.high:+.3f}) | {said} |")
    return lines


def tables(campaign: Campaign, variants: Sequence[str], options: BootstrapOptions) -> tuple[list[ResultTable], dict[str, Estimates]]:
    """Tables I to III, and what each variant said; only Table I where the proposed one was not asked for."""
    runs = Runs(campaign)
    table = replace(COMPARISONS["1"], rows=tuple(row for row in COMPARISONS["1"].rows if row.variant in variants))
    found = [pooled(row, runs.results(row.variant, row.backbone)) for row in table.rows]
    said = {one.row.variant: one.test for one in found}
    words = measured_on(campaign)
    made = comparison_tables(table, found, words, options)
    if (proposed := said.get(PROPOSED.variant)) is not None:
        made.append(vertebra_table(proposed, words, options))
        if levels_of(proposed) == LEVELS:
            made.append(patient_table(proposed, words, options))
    return made, said


def landmarks(folder: Path, cache: Path, patients: int, jobs: int) -> str:
    """How far off a landmark bundle is on simulated patients that it has not seen."""
    bundle = load_bundle(folder)
    source = SimulatedOptions(
        patients=patients, seed=HELD_OUT_SEED, cohort=COHORTS_OF_CXR["checkup"], paint_spacing_mm=3.0, pixel_spacing_mm=1.0
    )
    films = prepare_simulated(source, cache, jobs=jobs)
    errors = radial_errors_mm(load_network(bundle), films.cases, bundle.metadata.osteon.input.patch_size[0])
    return report(errors, f"{bundle.name} {bundle.metadata.version} on {len(films.cases)} films of {films.description}")


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cxr", description="Attentive Multi-ROI on simulated chest films.")
    parser.add_argument("--out", type=Path, default=Path("cxr-benchmark"))
    parser.add_argument("--cache", type=Path, help="folder of painted films (OUT/films)")
    parser.add_argument("--patients", type=int, default=240)
    parser.add_argument("--seed", type=int, default=60, help="of the patients")
    parser.add_argument("--cohort", choices=tuple(COHORTS_OF_CXR), default="spread")
    parser.add_argument("--seeds", type=int, default=3, help="repeats with other parts and first weights")
    parser.add_argument("--levels", nargs="+", default=list(LEVELS), choices=LEVELS)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--width", type=float, default=0.125)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS, help="rows of Table I")
    parser.add_argument("--landmark-bundle", type=Path)
    parser.add_argument("--landmark-patients", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the benchmark."""
    given = _arguments(arguments)
    cache = given.cache or given.out / "films"
    source = SimulatedOptions(
        patients=given.patients, seed=given.seed, cohort=COHORTS_OF_CXR[given.cohort], paint_spacing_mm=3.0, pixel_spacing_mm=1.0
    )
    films = prepare_simulated(source, cache, jobs=given.jobs)
    base = quick(DensityOptions(levels=tuple(level for level in LEVELS if level in given.levels)))
    loop = replace(base.loop, epochs=given.epochs, warmup_epochs=min(1, given.epochs), learning_rate=given.learning_rate, device="cpu")
    base = replace(base, size=given.size, width=given.width, folds=given.folds, batch=given.batch, loop=loop)
    campaign = Campaign(films=comparable(films, base), base=base, seeds=tuple(range(given.seeds)), out=given.out)
    made, said = tables(campaign, given.variants, BootstrapOptions())
    print(*(table.markdown() for table in made), sep="\n")
    print(notes(campaign), *answers(said), sep="\n")
    if given.landmark_bundle is not None:
        print("", landmarks(given.landmark_bundle, cache, given.landmark_patients, given.jobs), sep="\n")


if __name__ == "__main__":
    main()
