"""``osteon train cxr-landmarks`` and ``osteon evaluate cxr-landmarks``."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from inference.bundles import load_bundle, load_network
from inference.cxr.rois import LANDMARKS, Floats
from training import commands
from training.cxr import film_options
from training.cxr.cases import Film, Films
from training.cxr.landmark_task import NEAR_MM, LandmarkOptions, LandmarkTask, landmark_loop, quick_landmarks, radial_errors_mm
from training.cxr.manifest import prepare_labelled
from training.cxr.publish import LANDMARKS_NAME, known_films, landmark_scores, publish_landmarks
from training.cxr.simulated import COHORTS_OF_CXR, SimulatedOptions, prepare_simulated
from training.data.rows import ManifestRow, manifest_of
from training.data.splits import TEST, SplitOptions, make_split
from training.data.values import Modality
from training.errors import TrainingError
from training.loop import fit
from training.provenance import command_line, note_commit


def train(
    out: Annotated[Path, typer.Option(help="Where prepared films, checkpoint, log, curve and the bundle go.")],
    data: Annotated[str, typer.Option(help="'simulated', or a CSV of landmarks: image, landmark, row, column.")] = commands.SIMULATED,
    small: Annotated[bool, typer.Option("--quick", help="Squares of 128 pixels, an eighth of the width, few epochs: minutes.")] = False,
    backbone: Annotated[str, typer.Option(help="Of the image's features.")] = "resnet18",
    width: Annotated[float | None, typer.Option(help="Factor on the channels of every layer.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of the square that the network is given, pixels.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="60, or 12 with --quick, when absent.")] = None,
    learning_rate: Annotated[float, typer.Option(help="The peak.")] = 1e-3,
    test: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the patients that is kept aside to be judged by.")] = 0.1,
    patients: Annotated[int, typer.Option(min=10, help="Simulated patients; the paper marked 1000 films.")] = 400,
    cohort: film_options.CohortOption = "spread",
    seed: commands.SeedOption = 60,
    paint_spacing_mm: film_options.PaintSpacingOption = 3.0,
    pixel_spacing_mm: film_options.PixelSpacingOption = 1.0,
    device: commands.DeviceOption = "auto",
    jobs: film_options.FilmJobsOption = 1,
    cache: film_options.FilmCacheOption = None,
    restart: commands.RestartOption = False,
    progress: commands.ProgressOption = True,
) -> None:
    """Train the landmark network and write its bundle to OUT/bundle; the same command goes on after an interruption."""
    commands.bundle_target(out)
    options = LandmarkOptions(backbone=backbone, seed=seed)
    options = quick_landmarks(options) if small else options
    loop = replace(landmark_loop(epochs or options.loop.epochs), learning_rate=learning_rate, seed=seed, device=device)
    loop = replace(loop, warmup_epochs=min(loop.warmup_epochs, loop.epochs))
    options = replace(options, width=width or options.width, size=size or options.size, loop=loop)
    simulated = SimulatedOptions(
        patients=patients,
        seed=seed,
        cohort=commands.cohort_named(cohort, COHORTS_OF_CXR),
        paint_spacing_mm=paint_spacing_mm,
        pixel_spacing_mm=pixel_spacing_mm,
    )
    films = _films(data, simulated, cache or out / "films", jobs, progress=progress)
    console = Console(stderr=True)
    console.print(films.words(), highlight=False, markup=False)
    learnt, judged = _dealt(films, test, seed)
    note_commit(out)
    task = LandmarkTask(options, learnt, tuple(film for film in judged if np.isfinite(film.spacing_mm)))
    fitted = fit(task, options.loop, out, resume=not restart, progress=progress)
    sized = tuple(film for film in judged if np.isfinite(film.spacing_mm))
    errors = radial_errors_mm(fitted.model, sized, options.size) if sized else None
    if errors is not None:
        console.print(report(errors, f"{len(sized)} films kept aside"), highlight=False, markup=False)
    typer.echo(publish_landmarks(fitted, options, replace(films, cases=learnt), errors, command_line(LANDMARKS_NAME), out).folder)


def evaluate(
    bundle: Annotated[Path, typer.Option(help="A bundle's folder.")],
    data: Annotated[str, typer.Option(help="'simulated', or a CSV of landmarks.")] = commands.SIMULATED,
    patients: Annotated[int, typer.Option(min=2, help="Simulated patients.")] = 60,
    cohort: film_options.CohortOption = "checkup",
    seed: commands.OtherSeedOption = film_options.HELD_OUT_SEED,
    paint_spacing_mm: film_options.PaintSpacingOption = 3.0,
    pixel_spacing_mm: film_options.PixelSpacingOption = 1.0,
    jobs: film_options.FilmJobsOption = 1,
    cache: film_options.KeptFilmsOption = film_options.KEPT_FILMS,
    progress: commands.ProgressOption = True,
) -> None:
    """Find landmarks with a bundle and print how far off they are (Markdown on stdout)."""
    found = load_bundle(bundle)
    if found.network.architecture != "landmark_graph":
        raise TrainingError(f"{bundle} holds no landmark network")
    simulated = SimulatedOptions(
        patients=patients,
        seed=seed,
        cohort=commands.cohort_named(cohort, COHORTS_OF_CXR),
        paint_spacing_mm=paint_spacing_mm,
        pixel_spacing_mm=pixel_spacing_mm,
    )
    films = _films(data, simulated, cache, jobs, progress=progress)
    Console(stderr=True).print(films.words(), highlight=False, markup=False)
    sized = tuple(film for film in known_films(films) if np.isfinite(film.spacing_mm))
    if not sized:
        raise TrainingError("there is no film with all landmarks and a known size of its pixels")
    errors = radial_errors_mm(load_network(found), sized, found.metadata.osteon.input.patch_size[0])
    typer.echo(report(errors, f"{found.name} {found.metadata.version} on {len(sized)} of {films.description}"))


def report(errors_mm: Floats, words: str) -> str:
    """Markdown: mean radial error and share under 4 mm of each kind of landmark, and over all with intervals over films."""
    groups = {
        "clavicles": [index for index, name in enumerate(LANDMARKS) if name.startswith("clavicle")],
        "rib cage": [index for index, name in enumerate(LANDMARKS) if name.startswith("ribcage")],
        "C7": [LANDMARKS.index("C7")],
        "T12": [LANDMARKS.index("T12")],
    }
    lines = [words, "", f"| landmarks | mean radial error, mm | under {NEAR_MM:g} mm | worst, mm |", "| --- | ---: | ---: | ---: |"]
    for name, columns in groups.items():
        chosen = errors_mm[:, columns]
        lines.append(f"| {name} | {chosen.mean():.1f} | {100 * (chosen < NEAR_MM).mean():.0f} % | {chosen.max():.1f} |")
    found = landmark_scores(errors_mm)
    mean, near = found["error_mm"], found["near"]
    cells = (
        f"{mean.value:.1f} ({mean.low:.1f} to {mean.high:.1f}) | {100 * near.value:.0f} % ({100 * near.low:.0f} to {100 * near.high:.0f})"
    )
    return "\n".join([*lines, f"| all | {cells} | {errors_mm.max():.1f} |"])


def _films(data: str, simulated: SimulatedOptions, cache: Path, jobs: int, *, progress: bool) -> Films:
    if data == commands.SIMULATED:
        return prepare_simulated(simulated, cache, jobs=jobs, progress=progress)
    return prepare_labelled(Path(data), cache, jobs=jobs, progress=progress)


def _dealt(films: Films, test: float, seed: int) -> tuple[tuple[Film, ...], tuple[Film, ...]]:
    """Films to learn from, and films of other patients to judge by."""
    known = known_films(films)
    if not test:
        return known, ()
    rows = [ManifestRow(patient_id=film.patient, modality=Modality.CXR) for film in known]
    if not rows:
        raise TrainingError(f"no film has all its landmarks\n{films.words()}")
    split = make_split(manifest_of(rows), SplitOptions(seed=seed, test=test, validation=0.0))
    parts = [split.part_of(row) for row in rows]
    learnt = tuple(film for film, part in zip(known, parts, strict=True) if part != TEST)
    return learnt, tuple(film for film, part in zip(known, parts, strict=True) if part == TEST)
