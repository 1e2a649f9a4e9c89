"""``osteon train dxa`` and ``osteon evaluate dxa``."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from inference.bundles import Bundle, load_bundle, load_network, shipped_bundle
from inference.dxa.network import SIZE, Output
from training import commands
from training.data.splits import TEST
from training.dxa.cases import CLASSES, Prepared
from training.dxa.data import DataOptions
from training.dxa.evaluate import COLUMNS, Predictions, draw, predictions_of, report
from training.dxa.losses import LossName
from training.dxa.options import CNN21, NETWORKS, Augmentation, DxaOptions, First, Transfer, paper_loop
from training.dxa.publish import NAME, publish, why_no_bundle
from training.dxa.run import DxaRun, Finished
from training.dxa.simulated import COHORTS_OF_DXA, PAPER_PATIENTS, SimulatedOptions, prepare_simulated
from training.dxa.sources import prepare_rows, read_source
from training.dxa.task import Images, predict
from training.errors import TrainingError
from training.provenance import command_line
from training.resampling import Weighting

HELD_OUT_SEED = 880
"""Patients to evaluate on come from another seed than those to learn from."""
DataOption = Annotated[str, typer.Option(help="'simulated', a manifest (CSV, Parquet), or a folder of pictures with its table.")]


def train(
    out: Annotated[Path, typer.Option(help="Where prepared cases, split, checkpoint, log, curve, metrics and the bundle go.")],
    data: DataOption = commands.SIMULATED,
    network: Annotated[str, typer.Option(help=f"One of {', '.join(NETWORKS)}.")] = CNN21,
    width: Annotated[float, typer.Option(help="Factor on the filters of the 21-layer network; 1 is the paper's.")] = 1.0,
    first: Annotated[First, typer.Option(help="First weights: the paper's (keras), or data for narrow networks.")] = "keras",
    output: Annotated[Output, typer.Option(help="softmax (the paper's text) or sigmoid (its Table 4).")] = "softmax",
    transfer: Annotated[Transfer, typer.Option(help="What of a baseline is trained: last layer, last block, all.")] = "head",
    weights: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="A baseline's published state dict.")] = None,
    loss: Annotated[LossName, typer.Option(help="Cross-entropy, focal, or attention loss.")] = "ce",
    class_weights: Annotated[bool, typer.Option(help="The rarer class weighs more.")] = True,
    resampling: Annotated[Weighting, typer.Option(help="'balanced' oversamples the rarer class.")] = "natural",
    augmentation: Annotated[Augmentation, typer.Option(help="The paper's, one for crops that stand upright already, or none.")] = "paper",
    shift: Annotated[float, typer.Option(min=0, max=0.9, help="Of the paper's augmentation, as a fraction of the image.")] = 0.2,
    copies: Annotated[int, typer.Option(min=0, help="Augmented copies of each training image before a frozen baseline.")] = 0,
    l2: Annotated[float, typer.Option("--l2", min=0, help="L2 penalty.")] = 1e-4,
    epochs: Annotated[int, typer.Option(min=1, help="At most; 10 without a better validation loss end it earlier.")] = 50,
    learning_rate: Annotated[float, typer.Option(help="Of Adam.")] = 1e-3,
    batch: Annotated[int, typer.Option(min=2, help="Images of a step.")] = 16,
    device: commands.DeviceOption = "auto",
    patients: Annotated[int, typer.Option(min=10, help="Simulated patients.")] = PAPER_PATIENTS,
    cohort: Annotated[str, typer.Option(help=f"Simulated population: {', '.join(COHORTS_OF_DXA)}.")] = "clinic",
    osteopenia: Annotated[bool, typer.Option(help="Osteopenia counts as normal; otherwise it is left out.")] = True,
    fold: Annotated[int, typer.Option(min=1, help="Which of the five folds validates.")] = 1,
    seed: commands.SeedOption = 50,
    jobs: commands.JobsOption = 1,
    cache: commands.CacheOption = None,
    restart: commands.RestartOption = False,
    progress: commands.ProgressOption = True,
) -> None:
    """Train the 21-layer CNN or a baseline; the CNN's bundle goes to OUT/bundle. The same command goes on after an interruption."""
    loop = replace(paper_loop(epochs), learning_rate=learning_rate, weight_decay=l2, seed=seed, device=device)
    options = DxaOptions(
        network=network,
        width=width,
        first=first,
        output=output,
        transfer=transfer,
        weights=weights,
        loss=loss,
        class_weights=class_weights,
        resampling=resampling,
        augmentation=augmentation,
        shift=shift,
        copies=copies,
        batch=batch,
        seed=seed,
        loop=loop,
    )
    source = source_of(data, patients, seed, cohort)
    run = DxaRun(
        out=out,
        options=options,
        data=DataOptions(source=source, seed=seed, osteopenia=osteopenia, cache=cache, jobs=jobs),
        fold=fold,
        progress=progress,
    )
    _train(run, resume=not restart)


def source_of(data: str, patients: int, seed: int, cohort: str) -> SimulatedOptions | Path:
    """A simulated cohort, or the user's path.

    Raises
    ------
    TrainingError
        There is no such cohort.
    """
    if data != commands.SIMULATED:
        return Path(data)
    return SimulatedOptions(patients=patients, seed=seed, cohort=commands.cohort_named(cohort, COHORTS_OF_DXA))


def _train(run: DxaRun, *, resume: bool) -> None:
    console = Console(stderr=True)
    target = commands.bundle_target(run.out)
    console.print(run.dealt.prepared.words(), highlight=False, markup=False)
    finished = run.train(resume=resume)
    _say(console, finished)
    if (why := why_no_bundle(run)) is not None:
        console.print(f"no bundle is written: {why}", highlight=False)
        typer.echo(finished.fitted.weights)
        return
    typer.echo(publish(run, finished, command_line("dxa"), target).folder)


def _say(console: Console, finished: Finished) -> None:
    fitted = finished.fitted
    warm = "not calibrated" if finished.temperature is None else f"temperature {finished.temperature:.2f}"
    epochs = f"epoch {fitted.best_epoch} of {len(fitted.history)}"
    console.print(f"{epochs}, {fitted.seconds / 60:.0f} min, {warm}; test part:", highlight=False)
    for column in COLUMNS:
        if column.key in finished.metrics:
            one = finished.metrics[column.key]
            console.print(f"  {column.heading}: {one.value:.3f} ({one.low:.3f} to {one.high:.3f})", highlight=False)


def evaluate(
    bundle: Annotated[Path | None, typer.Option(help="A bundle's folder; the shipped one when absent.")] = None,
    data: DataOption = commands.SIMULATED,
    patients: Annotated[int, typer.Option(min=10, help="Simulated patients.")] = 100,
    cohort: Annotated[str, typer.Option(help=f"Simulated population: {', '.join(COHORTS_OF_DXA)}.")] = "clinic",
    seed: commands.OtherSeedOption = HELD_OUT_SEED,
    part: Annotated[str | None, typer.Option(help=f"Only patients whose column 'split' says this, as in {TEST}.")] = None,
    osteopenia: Annotated[bool, typer.Option(help="Osteopenia counts as normal; otherwise it is left out.")] = True,
    out: Annotated[Path | None, typer.Option(help="Where plots and prepared cases go.")] = None,
    jobs: commands.JobsOption = 1,
    cache: commands.CacheOption = None,
    progress: commands.ProgressOption = True,
) -> None:
    """Classify images with a bundle and print how well (Markdown on stdout): metrics with intervals, confusion, calibration."""
    found = shipped_bundle(NAME) if bundle is None else load_bundle(bundle)
    folder = cache or (out / "cases" if out is not None else Path(".osteon-cases"))
    source = source_of(data, patients, seed, cohort)
    if isinstance(source, SimulatedOptions):
        prepared, words = prepare_simulated(source, folder, jobs=jobs, progress=progress), source.words()
    else:
        rows = [row for row in read_source(source).rows if part is None or row.split == part]
        prepared, words = prepare_rows(rows, folder, jobs=jobs, progress=progress), f"DXA images of {source.name}"
    prepared = prepared if osteopenia else prepared.without_osteopenia()
    Console(stderr=True).print(prepared.words(), highlight=False, markup=False)
    predictions = classify(found, prepared)
    typer.echo(report(predictions, f"{found.name} {found.metadata.version}", words))
    if out is not None:
        draw(predictions, out, f"{found.name} {found.metadata.version}")


def classify(bundle: Bundle, prepared: Prepared) -> Predictions:
    """What a bundle's network says of prepared cases.

    Raises
    ------
    TrainingError
        There is no case, or the bundle does not classify crops of DXA images.
    """
    if not prepared.cases:
        raise TrainingError("there is no image to classify")
    osteon = bundle.metadata.osteon
    if osteon.architecture != CNN21 or osteon.classes != CLASSES or osteon.input.patch_size != SIZE:
        raise TrainingError(f"{bundle.folder} holds no classifier of the crop of L1 to L4 in DXA images")
    examples = Images(prepared.cases, DxaOptions(augmentation="none"), raw=True)
    return predictions_of(prepared.cases, predict(load_network(bundle), examples, 16), osteon.temperature or 1.0)
