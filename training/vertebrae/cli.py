"""``osteon train vertebrae`` and ``osteon evaluate vertebrae``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown

from inference.bundles import load_bundle, shipped_bundle
from inference.ct.segmentation.network import NetworkSegmenter
from training.commands import ProgressOption, RestartOption, bundle_target
from training.vertebrae.evaluate import SEED, score_cohort, table
from training.vertebrae.options import VertebraOptions
from training.vertebrae.publish import NAME, publish
from training.vertebrae.runs import VertebraRun, full_size, quick, refined


def train(
    out: Annotated[Path, typer.Option(help="Where checkpoints, log, curve, painted patients and the bundle go.")],
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of 100 batches.")] = 42,
    patients: Annotated[int, typer.Option(min=1, help="Simulated patients to learn from.")] = 240,
    seed: Annotated[int, typer.Option(min=0, help="Settles the simulated patients.")] = 20,
    start: Annotated[Path | None, typer.Option(help="A bundle whose weights the run begins with, at a lower rate.")] = None,
    small: Annotated[bool, typer.Option("--quick", help="A minute's run of a tiny network, to see that everything works.")] = False,
    restart: RestartOption = False,
    progress: ProgressOption = True,
) -> None:
    """Train the second reader on simulated anatomy and write its bundle to OUT/bundle."""
    if small:
        options = quick()
    elif start is not None:
        options = refined(load_bundle(start), epochs, patients, seed)
    else:
        options = full_size(epochs, patients, seed)
    run = VertebraRun(out=out, options=options)
    target = bundle_target(out)
    fitted = run.train(resume=not restart, progress=progress)
    bundle = publish(run, fitted, _command(options, small=small), target)
    console = Console(stderr=True)
    console.print(f"{bundle.parameters:,} parameters, epoch {fitted.best_epoch} of {len(fitted.history)}, {fitted.seconds / 60:.0f} min")
    for metric in bundle.metadata.osteon.metrics:
        console.print(f"  {metric.name}: {metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f})")
    typer.echo(target)


def _command(options: VertebraOptions, *, small: bool) -> str:
    """The command that makes the run again."""
    if small:
        return "osteon train vertebrae --quick"
    start = " --start BUNDLE" if options.start_from else ""
    return f"osteon train vertebrae --epochs {options.loop.epochs} --patients {options.pool} --seed {options.seed}{start}"


def evaluate(
    bundle: Annotated[Path | None, typer.Option(help="A bundle's folder; the shipped one when absent.")] = None,
    patients: Annotated[int, typer.Option(min=1, help="Simulated abdomens, and as many chests.")] = 10,
    seed: Annotated[int, typer.Option(help="Another seed, other patients.")] = SEED,
) -> None:
    """Segment simulated scans that no training run draws, and print how well (Markdown on stdout)."""
    found = shipped_bundle(NAME) if bundle is None else load_bundle(bundle)
    text = table(score_cohort(NetworkSegmenter(bundle=found), patients, seed))
    if typer.get_text_stream("stdout").isatty():
        Console().print(Markdown(text))
    else:
        typer.echo(text)
