"""Tables 5 and 6 of the 21-layer CNN's paper, run again, with Figures 5 to 7: the paper's figure beside ours, with intervals.

usage: python -m training.dxa.tables --data simulated|MANIFEST|FOLDER --table 5|6 [--quick] [--out DIR] [--rows NAME...]

Markdown on stdout; CSV and pictures in DIR. 30 % of the patients test and are never augmented; the others are dealt into five folds, each
of which validates once. What is done is kept in DIR: the same command goes on after an interruption. ``--quick`` is the same code with a
narrower network, few simulated patients and few epochs.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from inference.bundles import TrainedOn
from inference.errors import PermanentError
from training.campaign import campaign_bar, weights_of
from training.commands import SIMULATED
from training.dxa.crossval import CrossValidation, FoldResult
from training.dxa.data import DataOptions, Dealt, load
from training.dxa.evaluate import COLUMNS, pooled, scores
from training.dxa.options import BASELINES, CNN21, GRID, NETWORKS, DxaOptions, paper_loop
from training.dxa.simulated import COHORTS_OF_DXA, PAPER_PATIENTS, SimulatedOptions
from training.dxa.tables_report import AUC_COLUMN, TABLE_5, TABLE_6, draw_row, draw_together, folds_table, further_table, row_of
from training.metrics.bootstrap import BootstrapOptions
from training.metrics.table import ResultTable, TableRow

QUICK_PATIENTS, QUICK_EPOCHS, QUICK_WIDTH, QUICK_SCANS = 40, 8, 0.125, 1
TABLES = (5, 6)


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """What all rows of a table share.

    Attributes
    ----------
    data
        Cases and split.
    base
        Options of the 21-layer network; baselines take loss, schedule, batch and seed from it, as the paper assigned all the same.
    weights
        Published state dicts of baselines, by name.
    grid
        Learning rates to search on the folds; empty: the base's.
    folds
        Which folds are run; all when empty.
    """

    data: DataOptions
    base: DxaOptions
    weights: Mapping[str, Path]
    out: Path
    grid: tuple[float, ...] = ()
    folds: tuple[int, ...] = ()
    progress: bool = True

    def options(self, network: str) -> DxaOptions:
        """The options of one row."""
        if network == CNN21:
            return self.base
        return replace(self.base, network=network, width=1.0, weights=self.weights.get(network))


class Rows:
    """Trains rows; tables that ask for the same ones share them.

    Parameters
    ----------
    campaign
        What they share.
    """

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.dealt: Dealt = load(campaign.data, campaign.out, progress=campaign.progress)
        cache = (campaign.data.cache or campaign.out / "cases") / "features"
        self._validation = CrossValidation(self.dealt, campaign.out / "runs", cache, progress=campaign.progress)

    def results(self, network: str, said: Callable[[], None]) -> tuple[tuple[FoldResult, ...], str]:
        """One result per fold, and what must be said beside them."""
        options, notes = self.campaign.options(network), []
        if self.campaign.grid:
            rate, losses = self._validation.best_rate(options, self.campaign.grid, self.campaign.folds)
            options = options.with_rate(rate)
            notes.append(f"learning rate {rate:g} by validation loss ({', '.join(f'{one:g}: {loss:.3f}' for one, loss in losses.items())})")
        if network != CNN21:
            notes.append(self._about(options))
        return self._validation.folds(options, said, self.campaign.folds), "; ".join(notes)

    @staticmethod
    def _about(options: DxaOptions) -> str:
        what = {"head": "frozen but for the last layer", "block": "last block trained", "all": "all trained"}[options.transfer]
        if options.weights is None:
            return f"{what}; RANDOM weights: no published file was given, so this is no transfer learning"
        return f"{what}; weights {options.weights.name}"


def run_table(number: int, campaign: Campaign, networks: Sequence[str], *, resamples: int = 2000) -> str:
    """Train what a table needs; write CSV, Markdown and pictures to the campaign's folder.

    Returns
    -------
    str
        Markdown.

    Raises
    ------
    TrainingError
        The cases cannot be had, or a run cannot be trained.
    """
    rows, options = Rows(campaign), BootstrapOptions(resamples=resamples)
    found: dict[str, tuple[FoldResult, ...]] = {}
    notes: dict[str, str] = {}
    chosen = tuple(networks) if number == 5 else (CNN21,)
    folds = len(campaign.folds) or rows.dealt.folds
    with campaign_bar("folds", len(chosen) * folds, shown=campaign.progress) as advance:
        for network in chosen:
            found[network], notes[network] = rows.results(network, partial(advance, network))
    pictures = campaign.out / f"table-{number}"
    for network, results in found.items():
        draw_row(network, results, pictures)
    draw_together(found, pictures)
    words = measured_on(rows, campaign)
    text = _table_5(found, notes, words, campaign, options) if number == 5 else _table_6(found[CNN21], words, campaign, options)
    return text + "\n" + _warnings(rows)


def _table_5(
    found: Mapping[str, tuple[FoldResult, ...]], notes: Mapping[str, str], words: str, campaign: Campaign, options: BootstrapOptions
) -> str:
    rows = [row_of(name, results, found.get(CNN21), notes[name], options) for name, results in found.items()]
    table = ResultTable(
        title="Table 5: the 21-layer CNN and its baselines", measured_on=words, source=TABLE_5, columns=COLUMNS, rows=tuple(rows)
    )
    table.write(campaign.out / "table-5")
    return "\n".join([table.markdown(), folds_table(found), "", further_table(found, options)])


def _table_6(results: Sequence[FoldResult], words: str, campaign: Campaign, options: BootstrapOptions) -> str:
    area = scores(pooled([one.test for one in results]), options)["auc"]
    ours = TableRow(name="21-layer CNN", ours={"auc": area}, paper={"auc": TABLE_6["21-layer CNN"]}, note="run here")
    others = [
        TableRow(name=name, paper={"auc": value}, note="as the paper prints it; another system on other images, not run here")
        for name, value in TABLE_6.items()
        if name != "21-layer CNN"
    ]
    table = ResultTable(
        title="Table 6: beside other studies", measured_on=words, source="Table 6", columns=(AUC_COLUMN,), rows=(ours, *others)
    )
    table.write(campaign.out / "table-6")
    return table.markdown()


def measured_on(rows: Rows, campaign: Campaign) -> str:
    """What our figures come from, in words."""
    dealt, base = rows.dealt, campaign.base
    patients = len({case.patient for case in dealt.test})
    sizes = f"{len(dealt.training)} images in {dealt.folds} folds to learn from, {len(dealt.test)} of {patients} patients to test"
    size = f"width {base.width:g}, at most {base.loop.epochs} epochs, augmentation '{base.augmentation}' of the training part alone"
    return f"{dealt.description}; {sizes}; {size}; the test part is spoken of by the network of each fold, pooled"


def _warnings(rows: Rows) -> str:
    lines = [
        "The paper's test part of 105 and 105 images exceeds its 174: it was augmented. Here no test image is, and nobody is in two parts."
    ]
    if rows.dealt.trained_on is TrainedOn.SIMULATED_PATIENTS:
        lines.append("Simulated patients: the figures say that the method runs and learns, and nothing about real images.")
    skipped = rows.dealt.prepared
    lines.append(f"Skipped: {len(skipped.skipped)} ({skipped.reasons()}).")
    return "\n".join(lines) + "\n"


def parser(program: str = "python -m training.dxa.tables") -> argparse.ArgumentParser:
    """The arguments."""
    found = argparse.ArgumentParser(prog=program, description="Tables 5 and 6 of the 21-layer CNN's paper, run again.")
    found.add_argument("--data", required=True, help="'simulated', a manifest (CSV, Parquet), or a folder of pictures with its table")
    found.add_argument("--table", required=True, type=int, choices=TABLES)
    found.add_argument("--quick", action="store_true", help="minutes on two CPU cores: everything runs, little is learned")
    found.add_argument("--out", type=Path, default=Path("dxa-tables"), help="CSV, pictures, prepared cases, runs")
    found.add_argument("--cache", type=Path, help="folder of prepared cases that several runs share (OUT/cases)")
    found.add_argument("--rows", nargs="+", default=[], choices=NETWORKS, metavar="NAME", help=f"of Table 5: {', '.join(NETWORKS)}")
    found.add_argument("--weights", nargs="+", default=[], metavar="NETWORK=FILE", help="published state dicts of baselines")
    found.add_argument("--transfer", choices=("head", "block", "all"), default="head", help="what of a baseline is trained")
    found.add_argument("--copies", type=int, help="augmented copies of a training image before a frozen baseline (4; 0 with --quick)")
    found.add_argument("--grid", action="store_true", help=f"search the learning rate among {', '.join(f'{rate:g}' for rate in GRID)}")
    found.add_argument("--first", choices=("keras", "data"), help="first weights of the 21-layer network (keras; data with --quick)")
    found.add_argument("--output", choices=("softmax", "sigmoid"), default="softmax")
    found.add_argument("--loss", choices=("ce", "focal", "attention"), default="ce")
    found.add_argument("--resampling", choices=("natural", "square-root", "balanced"), default="natural")
    found.add_argument("--augmentation", choices=("paper", "upright", "none"), help="of training images (paper; upright with --quick)")
    found.add_argument("--without-osteopenia", action="store_true", help="normal against osteoporosis alone, as the paper's patients")
    found.add_argument("--cohort", choices=sorted(COHORTS_OF_DXA), default="clinic", help="simulated population")
    found.add_argument("--patients", type=int, help=f"simulated ({PAPER_PATIENTS}; {QUICK_PATIENTS} with --quick)")
    found.add_argument("--scans", type=int, help="devices that scan each simulated patient (3; 1 with --quick)")
    found.add_argument("--epochs", type=int, help=f"(50; {QUICK_EPOCHS} with --quick)")
    found.add_argument("--learning-rate", type=float, default=paper_loop().learning_rate)
    found.add_argument("--width", type=float, help=f"of the 21-layer network (1; {QUICK_WIDTH} with --quick)")
    found.add_argument("--seed", type=int, default=50)
    found.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    found.add_argument("--jobs", type=int, default=2, help="processes that prepare cases")
    return found


def campaign_of(given: argparse.Namespace) -> Campaign:
    """The campaign that the arguments ask for.

    Raises
    ------
    TrainingError
        They cannot be used together.
    """
    quick = given.quick
    epochs = given.epochs or (QUICK_EPOCHS if quick else 50)
    base = DxaOptions(
        width=given.width or (QUICK_WIDTH if quick else 1.0),
        first=given.first or ("data" if quick else "keras"),
        output=given.output,
        transfer=given.transfer,
        loss=given.loss,
        resampling=given.resampling,
        augmentation=given.augmentation or ("upright" if quick else "paper"),
        copies=(0 if quick else 4) if given.copies is None else given.copies,
        seed=given.seed,
        loop=replace(paper_loop(epochs), learning_rate=given.learning_rate, device=given.device, seed=given.seed),
    )
    source: SimulatedOptions | Path = Path(given.data)
    if given.data == SIMULATED:
        source = SimulatedOptions(
            patients=given.patients or (QUICK_PATIENTS if quick else PAPER_PATIENTS),
            seed=given.seed,
            cohort=COHORTS_OF_DXA[given.cohort],
            scans=given.scans or (QUICK_SCANS if quick else SimulatedOptions().scans),
        )
    data = DataOptions(source=source, seed=given.seed, osteopenia=not given.without_osteopenia, cache=given.cache, jobs=given.jobs)
    return Campaign(
        data=data, base=base, weights=weights_of(given.weights, BASELINES), out=given.out, grid=GRID if given.grid else (), progress=True
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table as Markdown on stdout.

    Raises
    ------
    SystemExit
        2: the arguments or the data cannot be used.
    """
    reader = parser()
    given = reader.parse_args(arguments)
    try:
        print(run_table(given.table, campaign_of(given), given.rows or NETWORKS, resamples=1000 if given.quick else 2000), end="")
    except PermanentError as error:
        reader.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
