"""``osteon train cxr`` and ``osteon evaluate cxr``."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from inference.bundles import Bundle, load_bundle, load_network
from inference.cxr.estimate import estimate_density
from inference.cxr.locate import find_landmarks
from inference.cxr.network import DensityEnsemble
from inference.cxr.rois import Floats
from inference.errors import Refusal
from inference.networks2d import BACKBONES
from training import commands
from training.cxr import film_options
from training.cxr.cases import LEVELS, Film, Films
from training.cxr.estimates import Estimates, estimates_of, write_estimates
from training.cxr.evaluate import AGREEMENT, agreement, draw, levels_of, summary
from training.cxr.folds import CrossValidation
from training.cxr.manifest import ManifestOptions, prepare_manifest
from training.cxr.options import DensityOptions, paper_loop, quick
from training.cxr.publish import publish_density
from training.cxr.simulated import COHORTS_OF_CXR, LUNAR, SimulatedOptions, prepare_simulated
from training.cxr.variants import VARIANTS
from training.errors import TrainingError
from training.preparing import Skipped
from training.provenance import command_line, note_commit
from training.simulation.xray.devices import DEVICES

ESTIMATES = "estimates.csv"
_DIGITS = {"r": 3, "rmse": 3, "auc": 3}


def train(
    out: Annotated[Path, typer.Option(help="Where prepared films, runs, estimates, pictures and the bundle go.")],
    data: Annotated[str, typer.Option(help="'simulated', or a manifest (CSV, Parquet).")] = commands.SIMULATED,
    variant: Annotated[str, typer.Option(help=f"One of {', '.join(VARIANTS)}.")] = "proposed",
    backbone: Annotated[str, typer.Option(help=f"One of {', '.join(BACKBONES)}.")] = "vgg16",
    small: Annotated[bool, typer.Option("--quick", help="Regions of 32 pixels, an eighth of the width, few epochs: minutes.")] = False,
    width: Annotated[float | None, typer.Option(help="Factor on the channels of every layer; 1 is the paper's size.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of a region, pixels; 256 in the paper.")] = None,
    batch_norm: Annotated[bool, typer.Option("--batch-norm", help="In a VGG that begins with fresh weights.")] = False,
    layers: Annotated[int | None, typer.Option(min=1, help="Of attention; 6 in the paper.")] = None,
    folds: Annotated[int, typer.Option(min=2, help="Of the cross-validation.")] = 4,
    batch: Annotated[int | None, typer.Option(min=2, help="Films at once; 16, or 8 with --quick, when absent.")] = None,
    level: Annotated[list[str] | None, typer.Option(help="Only this vertebra; may be given several times.")] = None,
    test: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the patients that no network sees.")] = 0.2,
    epochs: Annotated[int | None, typer.Option(min=1, help="100 as in the paper, 8 with --quick, when absent.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="1e-4 as in the paper, 1e-3 with --quick, when absent.")] = None,
    landmarks: Annotated[Path | None, typer.Option(help="A CSV of a manifest's landmarks.")] = None,
    landmark_bundle: Annotated[Path | None, typer.Option(help="Finds the landmarks of a manifest's films.")] = None,
    patients: Annotated[int, typer.Option(min=10, help="Simulated patients.")] = 400,
    cohort: film_options.CohortOption = "checkup",
    seed: commands.SeedOption = 60,
    paint_spacing_mm: film_options.PaintSpacingOption = 3.0,
    pixel_spacing_mm: film_options.PixelSpacingOption = 1.0,
    densitometer: Annotated[str, typer.Option(help=f"On whose scale simulated density is told: {', '.join(DEVICES)}.")] = LUNAR,
    device: commands.DeviceOption = "auto",
    jobs: film_options.FilmJobsOption = 1,
    cache: film_options.FilmCacheOption = None,
    restart: commands.RestartOption = False,
    progress: commands.ProgressOption = True,
) -> None:
    """Train a network for each vertebra and fold and write their bundle to OUT/bundle; the same command goes on where it stopped."""
    commands.bundle_target(out)
    options = DensityOptions(
        variant=variant,
        backbone=backbone,
        batch_norm=batch_norm,
        folds=folds,
        test=test,
        seed=seed,
        levels=tuple(level) if level else LEVELS,
    )
    options = quick(options) if small else options
    rate = learning_rate or (options.loop.learning_rate if small else paper_loop().learning_rate)
    loop = replace(options.loop, epochs=epochs or options.loop.epochs, learning_rate=rate, device=device)
    loop = replace(loop, warmup_epochs=min(loop.warmup_epochs, loop.epochs))
    options = replace(options, width=width or options.width, size=size or options.size, layers=layers or options.layers, loop=loop)
    options = replace(options, batch=batch or options.batch)
    simulated = SimulatedOptions(
        patients=patients,
        seed=seed,
        cohort=commands.cohort_named(cohort, COHORTS_OF_CXR),
        paint_spacing_mm=paint_spacing_mm,
        pixel_spacing_mm=pixel_spacing_mm,
        densitometer=densitometer,
    )
    given = ManifestOptions(manifest=Path(data), landmarks=landmarks, bundle=landmark_bundle)
    films = _films(simulated if data == commands.SIMULATED else given, cache or out / "films", jobs, progress=progress)
    _train(CrossValidation(films, options, out, progress=progress), resume=not restart)


def _train(run: CrossValidation, *, resume: bool) -> None:
    console = Console(stderr=True)
    console.print(run.films.words(), highlight=False, markup=False)
    note_commit(run.out)
    members = run.train(resume=resume, said=lambda level, fold: console.print(f"{level}, fold {fold} is done", highlight=False))
    found = run.estimates(members)
    write_estimates(found, run.out / ESTIMATES)
    values = agreement(found)
    for name in AGREEMENT:
        console.print(f"{name}: {summary(values, run.options.levels, name, _DIGITS[name])}", highlight=False)
    pictures = draw(found, run.out / "pictures", run.options.chosen.title)
    if run.options.chosen.source != "rois":
        console.print("no bundle is written: the node cuts regions of bone, and this variant sees patches", highlight=False)
        typer.echo(run.out / ESTIMATES)
        return
    typer.echo(publish_density(run, members, values, command_line("cxr"), pictures).folder)


def evaluate(
    bundle: Annotated[Path, typer.Option(help="A bundle's folder.")],
    landmark_bundle: Annotated[Path | None, typer.Option(help="Finds the landmarks; the true ones are taken when absent.")] = None,
    data: Annotated[str, typer.Option(help="'simulated', or a manifest (CSV, Parquet).")] = commands.SIMULATED,
    landmarks: Annotated[Path | None, typer.Option(help="A CSV of a manifest's landmarks.")] = None,
    patients: Annotated[int, typer.Option(min=2, help="Simulated patients.")] = 100,
    cohort: film_options.CohortOption = "checkup",
    seed: commands.OtherSeedOption = film_options.HELD_OUT_SEED,
    paint_spacing_mm: film_options.PaintSpacingOption = 3.0,
    pixel_spacing_mm: film_options.PixelSpacingOption = 1.0,
    out: Annotated[Path | None, typer.Option(help="Where pictures and estimates go.")] = None,
    jobs: film_options.FilmJobsOption = 1,
    cache: film_options.KeptFilmsOption = film_options.KEPT_FILMS,
    progress: commands.ProgressOption = True,
) -> None:
    """Estimate density with a bundle, as the node does, and print how well (Markdown on stdout)."""
    found = load_bundle(bundle)
    if found.network.architecture != "density_ensemble":
        raise TrainingError(f"{bundle} holds no ensemble that estimates density")
    simulated = SimulatedOptions(
        patients=patients,
        seed=seed,
        cohort=commands.cohort_named(cohort, COHORTS_OF_CXR),
        paint_spacing_mm=paint_spacing_mm,
        pixel_spacing_mm=pixel_spacing_mm,
        densitometer=found.metadata.osteon.densitometer or LUNAR,
    )
    given = ManifestOptions(manifest=Path(data), landmarks=landmarks, bundle=landmark_bundle)
    films = _films(simulated if data == commands.SIMULATED else given, cache, jobs, progress=progress)
    finder = load_bundle(landmark_bundle) if landmark_bundle is not None else None
    said, films = estimated(films, found, finder if data == commands.SIMULATED else None)
    console = Console(stderr=True)
    console.print(films.words(), highlight=False, markup=False)
    typer.echo(report(said, f"{found.name} {found.metadata.version} on {films.description}"))
    if out is not None:
        write_estimates(said, out / ESTIMATES)
        draw(said, out, f"{found.name} {found.metadata.version}")


def estimated(films: Films, bundle: Bundle, finder: Bundle | None) -> tuple[Estimates, Films]:
    """What a bundle says of films, one by one as the node estimates, and the films that it could be asked of.

    Parameters
    ----------
    finder
        A bundle that finds the landmarks anew; None takes the films' own.

    Raises
    ------
    TrainingError
        Every film is refused.
    """
    network = load_network(bundle)
    if not isinstance(network, DensityEnsemble):
        raise TrainingError(f"{bundle.folder} holds no ensemble that estimates density")
    osteon = bundle.metadata.osteon
    used: list[Film] = []
    gone = list(films.skipped)
    said: dict[str, list[Floats]] = {}
    for film in films.cases:
        places = film.landmarks if finder is None else _found(film, finder)
        try:
            found = estimate_density(film.grey, places, network, osteon.targets, osteon.input.patch_size[0])
        except Refusal as refusal:
            gone.append(Skipped(patient=film.patient, because=str(refusal)))
            continue
        used.append(film)
        for one in found.levels:
            said.setdefault(one.level, []).append(one.members_g_cm2)
    if not used:
        raise TrainingError(f"no film can be estimated\n{replace(films, cases=(), skipped=tuple(gone)).words()}")
    by_fold = {level: list(np.stack(rows).T) for level, rows in said.items()}
    return estimates_of(used, by_fold), replace(films, cases=tuple(used), skipped=tuple(gone))


def _found(film: Film, finder: Bundle) -> Floats:
    """The landmarks that a bundle finds."""
    if finder.network.architecture != "landmark_graph":
        raise TrainingError(f"{finder.folder} holds no landmark network")
    return find_landmarks(film.grey, load_network(finder), finder.metadata.osteon.input.patch_size[0])


def report(found: Estimates, words: str) -> str:
    """Markdown: R, RMSE and AUC of each level and on average, with intervals over patients."""
    values, levels = agreement(found), levels_of(found)
    lines = [words, "", f"| | average (95 % interval; {', '.join(levels)}) |", "| --- | --- |"]
    headings = {"r": "R", "rmse": "RMSE, g/cm²", "auc": "AUC, T-score <= -2.5"}
    lines += [f"| {headings[name]} | {summary(values, levels, name, _DIGITS[name])} |" for name in AGREEMENT]
    spread = float(np.mean([found.spread[:, LEVELS.index(level)].mean() for level in levels]))
    return "\n".join([*lines, f"| spread of the folds, g/cm² | {spread:.3f} |"])


def _films(source: SimulatedOptions | ManifestOptions, cache: Path, jobs: int, *, progress: bool) -> Films:
    if isinstance(source, SimulatedOptions):
        return prepare_simulated(source, cache, jobs=jobs, progress=progress)
    return prepare_manifest(source, cache, jobs=jobs, progress=progress)
