"""``osteon train medconv`` and ``osteon evaluate medconv``."""

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from inference.bundles import Bundle, load_bundle, load_network, shipped_bundle
from inference.ct.crop import CropMask
from inference.ct.segmentation import SEGMENTERS
from inference.ct.segmentation.from_labels import MaskKind
from inference.ct.segmentation.numbering import NUMBERINGS
from inference.windows import WINDOWS
from training import commands
from training.data.manifest import read_manifest
from training.data.splits import SplitOptions
from training.errors import TrainingError
from training.loop import LoopOptions
from training.loop.options import DeviceName
from training.medconv.crops import FULL_CROP, SMALL_CROP, CropOptions, Prepared
from training.medconv.data import DataOptions, ct_rows, describe
from training.medconv.evaluate import Predictions, draw, predictions_of, report
from training.medconv.losses import LossName
from training.medconv.networks import NETWORKS
from training.medconv.options import Augmentation, MedconvOptions, Monitor, paper_loop, quick
from training.medconv.prepare import prepare_manifest, prepare_simulated
from training.medconv.publish import LABELS_OF_METRICS, NAME, publish
from training.medconv.run import Finished, MedconvRun
from training.medconv.simulated import COHORTS_OF_MEDCONV, SimulatedOptions
from training.medconv.task import CLASSES, predict
from training.provenance import command_line
from training.resampling import Weighting

HELD_OUT_SEED = 770
"""Patients to evaluate on come from another seed than those to learn from."""
QUICK_PATIENTS, PAPER_PATIENTS = 120, 389


class CropSize(StrEnum):
    """64 x 64 x 64 voxels of 1 mm, or 32 x 32 x 32 of 2 mm."""

    FULL = "full"
    SMALL = "small"


def train(
    out: Annotated[Path, typer.Option(help="Where prepared cases, split, checkpoint, log, curve, metrics and the bundle go.")],
    data: Annotated[str, typer.Option(help="'simulated', or a manifest (CSV, Parquet).")] = commands.SIMULATED,
    network: Annotated[str, typer.Option(help=f"One of {', '.join(NETWORKS)}.")] = "resnet50",
    width: Annotated[float | None, typer.Option(help="Factor on the channels of every layer; 1 is the paper's size.")] = None,
    small: Annotated[
        bool, typer.Option("--quick", help="Small crops, a narrow network, few patients and epochs: minutes, not a day.")
    ] = False,
    crop: Annotated[CropSize | None, typer.Option(help="64 voxels of 1 mm (full), or 32 of 2 mm (small).")] = None,
    mask: Annotated[CropMask, typer.Option(help="What of the crop is seen.")] = CropMask.BODY,
    segmenter: Annotated[str, typer.Option(help=f"Who finds L1 in the studies of a manifest: {', '.join(SEGMENTERS)}.")] = "both",
    numbering: Annotated[str, typer.Option(help=f"Of a manifest's mask files, for --segmenter masks: {', '.join(NUMBERINGS)}.")] = "verse",
    mask_kind: Annotated[MaskKind, typer.Option(help="Whether those masks are whole vertebrae or bodies.")] = MaskKind.WHOLE,
    totalsegmentator: Annotated[Path | None, typer.Option(help="Its folder of weights, for the segmenter of this name.")] = None,
    windows: Annotated[str, typer.Option(help=f"HU windows, one channel each, as in soft,bone: {', '.join(WINDOWS)}.")] = "trabecular",
    loss: Annotated[LossName, typer.Option(help="Logit-adjusted, inverse-frequency weights (the paper's text), or plain.")] = "balce",
    tau1: Annotated[float, typer.Option(min=0, help="Of the logit-adjusted loss.")] = 1.0,
    tau2: Annotated[float | None, typer.Option(min=0, help="Post-hoc adjustment; 0.5 with --loss balce, else 0, when absent.")] = None,
    tune_tau2: Annotated[bool, typer.Option("--tune-tau2", help="Choose tau2 on the validation part, never on the test part.")] = False,
    augmentation: Annotated[Augmentation, typer.Option(help="'balanced' augments rare classes more.")] = "ct",
    resampling: Annotated[Weighting, typer.Option(help="How often an epoch shows each class.")] = "natural",
    sam: Annotated[float | None, typer.Option(help="Radius of sharpness-aware minimisation, as in 0.05.")] = None,
    schedule_free: Annotated[bool, typer.Option("--schedule-free", help="Averaging instead of the cosine.")] = False,
    weights: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Pretrained weights to begin with.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="200 as in the paper, 20 with --quick, when absent.")] = None,
    learning_rate: Annotated[float, typer.Option(help="The peak.")] = 1e-3,
    monitor: Annotated[Monitor, typer.Option(help="What of the validation part chooses the best epoch.")] = "auc",
    amp: Annotated[bool, typer.Option("--amp", help="Mixed precision.")] = False,
    device: commands.DeviceOption = "auto",
    patients: Annotated[
        int | None, typer.Option(min=10, help="Simulated patients; 389 as in the paper, 120 with --quick, when absent.")
    ] = None,
    cohort: Annotated[str, typer.Option(help=f"Simulated population: {', '.join(COHORTS_OF_MEDCONV)}.")] = "austinspine",
    seed: commands.SeedOption = 40,
    jobs: commands.JobsOption = 1,
    cache: commands.CacheOption = None,
    restart: commands.RestartOption = False,
    progress: commands.ProgressOption = True,
) -> None:
    """Train MedConv and write its bundle to OUT/bundle; the same command goes on after an interruption."""
    found_by = _found_by(segmenter, numbering, mask_kind, totalsegmentator)
    chosen = MedconvOptions(
        network=network,
        width=1.0 if width is None else width,
        crop=replace(SMALL_CROP if crop is CropSize.SMALL else FULL_CROP, mask=mask, **found_by),
        windows=tuple(name.strip() for name in windows.split(",")),
        loss=loss,
        tau1=tau1,
        tau2=None if tune_tau2 else _tau2(loss, tau2),
        augmentation=augmentation,
        resampling=resampling,
        weights=weights,
        seed=seed,
        loop=_loop(paper_loop(epochs or 200, monitor), learning_rate, sam, schedule_free=schedule_free, amp=amp, device=device, seed=seed),
    )
    if small:
        chosen = _kept(quick(chosen), width, crop, epochs)
    count = patients or (QUICK_PATIENTS if small else PAPER_PATIENTS)
    source = DataOptions(source=_source(data, count, seed, cohort), split=SplitOptions(seed=seed), cache=cache, jobs=jobs)
    run = MedconvRun(out=out, options=chosen, data=source, progress=progress)
    _train(run, resume=not restart)


def _train(run: MedconvRun, *, resume: bool) -> None:
    console = Console(stderr=True)
    target = commands.bundle_target(run.out)
    console.print(run.parts.prepared.words(), highlight=False, markup=False)
    finished = run.train(resume=resume)
    _say(console, finished)
    if (why := run.options.why_no_bundle()) is not None:
        console.print(f"no bundle is written: {why}", highlight=False)
        typer.echo(finished.fitted.weights)
        return
    typer.echo(publish(run, finished, command_line(NAME), target).folder)


def _say(console: Console, finished: Finished) -> None:
    fitted = finished.fitted
    epochs = f"epoch {fitted.best_epoch} of {len(fitted.history)}"
    console.print(f"{epochs}, {fitted.seconds / 60:.0f} min, tau2 {finished.tau2:g}; test part:", highlight=False)
    for name, one in finished.metrics.items():
        console.print(f"  {LABELS_OF_METRICS[name]}: {one.value:.3f} ({one.low:.3f} to {one.high:.3f})", highlight=False)


def _tau2(loss: str, tau2: float | None) -> float:
    if tau2 is not None:
        return tau2
    return 0.5 if loss == "balce" else 0.0


def _loop(
    paper: LoopOptions, learning_rate: float, sam: float | None, *, schedule_free: bool, amp: bool, device: DeviceName, seed: int
) -> LoopOptions:
    loop = replace(paper, learning_rate=learning_rate, sam_rho=sam, amp=amp, device=device, seed=seed)
    return replace(loop, schedule_free=True, schedule="constant") if schedule_free else loop


def _kept(options: MedconvOptions, width: float | None, crop: CropSize | None, epochs: int | None) -> MedconvOptions:
    """The quick size, but for what was asked for by name."""
    full = replace(options.crop, shape=FULL_CROP.shape, spacing_mm=FULL_CROP.spacing_mm)
    box = full if crop is CropSize.FULL else options.crop
    loop = options.loop if epochs is None else replace(options.loop, epochs=epochs, warmup_epochs=min(options.loop.warmup_epochs, epochs))
    return replace(options, width=options.width if width is None else width, crop=box, loop=loop)


def _found_by(segmenter: str, numbering: str, mask_kind: MaskKind, totalsegmentator: Path | None) -> dict[str, Any]:
    """Who finds the vertebra, as options of the crop.

    Raises
    ------
    TrainingError
        There is no such segmenter or numbering.
    """
    for what, given, known in (("segmenter", segmenter, SEGMENTERS), ("numbering", numbering, tuple(NUMBERINGS))):
        if given not in known:
            raise TrainingError(f"--{what} {given}: known are {', '.join(known)}")
    return {"segmenter": segmenter, "numbering": numbering, "mask_kind": mask_kind.value, "totalsegmentator": totalsegmentator}


def _source(data: str, patients: int, seed: int, cohort: str) -> SimulatedOptions | Path:
    if data != commands.SIMULATED:
        return Path(data)
    return SimulatedOptions(patients=patients, seed=seed, cohort=commands.cohort_named(cohort, COHORTS_OF_MEDCONV))


def evaluate(
    bundle: Annotated[Path | None, typer.Option(help="A bundle's folder; the shipped one when absent.")] = None,
    data: Annotated[str, typer.Option(help="'simulated', or a manifest (CSV, Parquet).")] = commands.SIMULATED,
    patients: Annotated[int, typer.Option(min=10, help="Simulated patients.")] = 100,
    cohort: Annotated[str, typer.Option(help=f"Simulated population: {', '.join(COHORTS_OF_MEDCONV)}.")] = "austinspine",
    seed: commands.OtherSeedOption = HELD_OUT_SEED,
    segmenter: Annotated[str, typer.Option(help=f"Who finds L1 in the studies of a manifest: {', '.join(SEGMENTERS)}.")] = "both",
    numbering: Annotated[str, typer.Option(help=f"Of a manifest's mask files, for --segmenter masks: {', '.join(NUMBERINGS)}.")] = "verse",
    mask_kind: Annotated[MaskKind, typer.Option(help="Whether those masks are whole vertebrae or bodies.")] = MaskKind.WHOLE,
    totalsegmentator: Annotated[Path | None, typer.Option(help="Its folder of weights, for the segmenter of this name.")] = None,
    part: Annotated[str | None, typer.Option(help="Only patients whose column 'split' says this, as in test.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where plots, predictions and prepared cases go.")] = None,
    jobs: commands.JobsOption = 1,
    cache: commands.CacheOption = None,
    progress: commands.ProgressOption = True,
) -> None:
    """Classify cases with a bundle and print how well (Markdown on stdout): metrics with intervals, confusion, calibration."""
    found = shipped_bundle(NAME) if bundle is None else load_bundle(bundle)
    crop = replace(crop_of(found), **_found_by(segmenter, numbering, mask_kind, totalsegmentator))
    folder = cache or (out / "cases" if out is not None else Path(".osteon-cases"))
    source = _source(data, patients, seed, cohort)
    if isinstance(source, SimulatedOptions):
        prepared, words = prepare_simulated(source, crop, folder, jobs=jobs, progress=progress), describe(source)
    else:
        rows = [row for row in ct_rows(read_manifest(source)).rows if part is None or row.split == part]
        if not rows:
            raise TrainingError(f"no CT study of the manifest has the part {part!r} in its column 'split'")
        prepared, words = prepare_manifest(rows, crop, folder, jobs=jobs, progress=progress), f"CT studies of the manifest {source.name}"
    Console(stderr=True).print(prepared.words(), highlight=False, markup=False)
    predictions = classify(found, prepared, crop)
    typer.echo(report(predictions, f"{found.name} {found.metadata.version}", words))
    if out is not None:
        draw(predictions, out, f"{found.name} {found.metadata.version}")


def crop_of(bundle: Bundle) -> CropOptions:
    """The crop that a bundle's network is given.

    Raises
    ------
    TrainingError
        The bundle does not classify a crop of CT.
    """
    osteon = bundle.metadata.osteon
    if osteon.crop is None or len(osteon.input.patch_size) != 3 or osteon.classes != CLASSES or osteon.priors is None:
        raise TrainingError(f"{bundle.folder} holds no classifier of the crop around a vertebra")
    (depth, height, across), (z_mm, y_mm, x_mm) = osteon.input.patch_size, osteon.input.spacing_mm
    return CropOptions(
        shape=(depth, height, across),
        spacing_mm=(z_mm, y_mm, x_mm),
        mask=CropMask(osteon.crop.mask),
        margin_mm=osteon.crop.margin_mm,
        level=osteon.crop.level or "L1",
    )


def classify(bundle: Bundle, prepared: Prepared, crop: CropOptions) -> Predictions:
    """What a bundle's network says of prepared cases.

    Raises
    ------
    TrainingError
        There is no case, or the bundle's window is none of :data:`inference.windows.WINDOWS`.
    """
    if not prepared.cases:
        raise TrainingError("there is no case to classify")
    osteon = bundle.metadata.osteon
    name = next((name for name, one in WINDOWS.items() if (one.low_hu, one.high_hu) == osteon.input.window_hu), None)
    if name is None or osteon.priors is None:
        raise TrainingError(f"the window {osteon.input.window_hu} of the bundle is none of {', '.join(WINDOWS)}")
    logits = predict(load_network(bundle), prepared.cases, MedconvOptions(crop=crop, windows=(name,)))
    return predictions_of(prepared.cases, logits, osteon.priors, osteon.tau2 or 0.0)
