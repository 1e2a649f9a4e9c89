"""``osteon train tpswav-pretrain``, ``osteon train tpswav``, and what evaluates each."""

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from inference.ct.crop import CropMask
from inference.ct.segmentation import SEGMENTERS
from inference.ct.vertebra_encoder import SWIN_WINDOW
from training.data.splits import TRAIN
from training.errors import TrainingError
from training.loop import LoopOptions
from training.loop.checkpoint import load_weights
from training.medconv.crops import CropOptions
from training.provenance import command_line
from training.simulation.xray.devices import DEVICES
from training.tpswav.crops import FULL_BOX, SMALL_BOX
from training.tpswav.data import DataOptions, composition, load_parts
from training.tpswav.evaluate import draw, report
from training.tpswav.losses import TaskWeights
from training.tpswav.monitors import monitored
from training.tpswav.networks import BACKBONES, SwavOptions, load_encoder, make_encoder
from training.tpswav.options import QUICK_ATTENTION, ExpertOptions, quick, quick_pretraining
from training.tpswav.options import paper_loop as expert_loop
from training.tpswav.pool import MEMBERS, PoolOptions, TexturePool
from training.tpswav.pretrain_task import Method, PretrainOptions, paper_loop, vectors_of
from training.tpswav.publish import publish
from training.tpswav.run import ExpertRun, PretrainRun, probe_of, with_known_devices
from training.tpswav.simulated import SITES, SimulatedOptions
from training.tpswav.strays import USUAL, Strays
from training.tpswav.task import ExpertsTask, predict

SIMULATED = "simulated"
NAME, PRETRAIN_NAME = "tpswav", "tpswav-pretrain"
QUICK_PATIENTS, PATIENTS = 120, 1200

DataOption = Annotated[str, typer.Option(help="'simulated', or a manifest (CSV, Parquet).")]
OutOption = Annotated[Path, typer.Option(help="Where prepared vertebrae, split, checkpoint, log and results go.")]
PatientsOption = Annotated[int | None, typer.Option(min=4, help=f"Simulated patients; {PATIENTS}, or {QUICK_PATIENTS} with --quick.")]
HoldOutOption = Annotated[str, typer.Option(help="Sites that are tested alone, as in C,D; D of a simulated cohort always is.")]
QuickOption = Annotated[bool, typer.Option("--quick", help="Small crops, a narrow network, few patients and epochs.")]
JobsOption = Annotated[int, typer.Option(min=1, help="Processes that prepare vertebrae.")]
CacheOption = Annotated[Path | None, typer.Option(help="Folder of prepared vertebrae that several runs share.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Settles patients, split, weights, order and views.")]
RestartOption = Annotated[bool, typer.Option("--restart", help="Begin anew instead of going on from the last checkpoint.")]
ProgressOption = Annotated[bool, typer.Option(help="Show progress bars.")]
SegmenterOption = Annotated[str, typer.Option(help=f"Who finds vertebrae in the studies of a manifest: {', '.join(SEGMENTERS)}.")]
WidthOption = Annotated[float | None, typer.Option(help="Factor on the channels of every layer; 1 is the paper's size.")]
EpochsOption = Annotated[int | None, typer.Option(min=1, help="The paper's, or few with --quick, when absent.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


class CropSize(StrEnum):
    """64 x 64 x 64 voxels of 1 mm, or 32 x 32 x 32 of 2 mm."""

    FULL = "full"
    SMALL = "small"


def pretrain(
    out: OutOption,
    data: DataOption = SIMULATED,
    method: Annotated[str, typer.Option(help="tpswav, swav (random crops) or mae (needs --backbone vit).")] = "tpswav",
    backbone: Annotated[str, typer.Option(help=f"One of {', '.join(BACKBONES)}.")] = "resnet34",
    width: WidthOption = None,
    small: QuickOption = False,
    crop: Annotated[CropSize | None, typer.Option(help="64 voxels of 1 mm (full), or 32 of 2 mm (small).")] = None,
    prototypes: Annotated[int, typer.Option(min=2, help="K.")] = SwavOptions.prototypes,
    temperature: Annotated[float, typer.Option(help="tau.")] = SwavOptions.temperature,
    diversity: Annotated[float, typer.Option(min=0, help="Weight of the prototypes' diversity.")] = SwavOptions.diversity,
    queue: Annotated[int, typer.Option(min=0, help="Earlier views beside which a batch is assigned.")] = 0,
    members: Annotated[str, typer.Option(help=f"Of the texture pool, as in image,contrast: {', '.join(MEMBERS)}.")] = ",".join(MEMBERS),
    epochs: EpochsOption = None,
    patients: PatientsOption = None,
    hold_out: HoldOutOption = "",
    segmenter: SegmenterOption = "both",
    device: DeviceOption = "auto",
    amp: Annotated[bool, typer.Option("--amp", help="Mixed precision.")] = False,
    seed: SeedOption = 70,
    jobs: JobsOption = 1,
    cache: CacheOption = None,
    restart: RestartOption = False,
    progress: ProgressOption = True,
) -> None:
    """Pretrain an encoder on every vertebra of the training part, labelled or not, and print where its weights lie."""
    if method not in ("tpswav", "swav", "mae"):
        raise TrainingError(f"--method {method}: known are tpswav, swav and mae")
    chosen: Method = method  # type: ignore[assignment]
    options = PretrainOptions(
        method=chosen,
        backbone=backbone,
        pool=PoolOptions(members=tuple(name.strip() for name in members.split(","))),
        swav=SwavOptions(prototypes=prototypes, temperature=temperature, diversity=diversity, queue=queue),
        seed=seed,
        loop=paper_loop(epochs or 300),
    )
    if small:
        options = quick_pretraining(options)
    loop = _loop(options.loop, epochs, device, amp=amp, seed=seed)
    options = replace(options, width=options.width if width is None else width, loop=loop)
    source = data_of(data, patients, seed, hold_out, jobs, cache, small=small)
    run = PretrainRun(out=out, options=options, crop=crop_of(crop, segmenter, small=small), data=source, progress=progress)
    console = Console(stderr=True)
    console.print(run.parts.census.words(), highlight=False, markup=False)
    fitted = run.train(resume=not restart)
    for name, value in fitted.history[-1].items():
        if name.startswith(("val_", "train_")):
            console.print(f"  {name}: {value:.3f}", highlight=False)
    typer.echo(fitted.weights)


def train(
    out: OutOption,
    data: DataOption = SIMULATED,
    backbone: Annotated[str, typer.Option(help=f"One of {', '.join(BACKBONES)}.")] = "resnet34",
    width: WidthOption = None,
    small: QuickOption = False,
    crop: Annotated[CropSize | None, typer.Option(help="64 voxels of 1 mm (full), or 32 of 2 mm (small).")] = None,
    mask: Annotated[CropMask, typer.Option(help="What of the crop is seen.")] = CropMask.BOX,
    experts: Annotated[int, typer.Option(min=1, help="One is a plain head.")] = 3,
    densitometers: Annotated[str, typer.Option(help="That the gate tells apart; unknown ones are read as the first.")] = ",".join(DEVICES),
    weights: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="A pretrained encoder (tpswav-pretrain).")] = None,
    diagnosis: Annotated[float, typer.Option(min=0, help="Weight of the diagnosis's loss.")] = 1.0,
    bmd: Annotated[float, typer.Option(min=0, help="Weight of the density's loss.")] = 1.0,
    position: Annotated[float, typer.Option(min=0, help="Weight of the position's loss.")] = 0.5,
    epochs: EpochsOption = None,
    stray: Annotated[
        bool, typer.Option("--stray", help="Move crops by up to two voxels and add noise, anew in each epoch (not in the paper).")
    ] = False,
    learning_rate: Annotated[float | None, typer.Option(help="1e-5 as in the paper, 1e-3 with --quick, when absent.")] = None,
    patients: PatientsOption = None,
    hold_out: HoldOutOption = "",
    segmenter: SegmenterOption = "both",
    device: DeviceOption = "auto",
    amp: Annotated[bool, typer.Option("--amp", help="Mixed precision.")] = False,
    seed: SeedOption = 70,
    jobs: JobsOption = 1,
    cache: CacheOption = None,
    restart: RestartOption = False,
    progress: ProgressOption = True,
) -> None:
    """Train the experts with three tasks and write their bundle to OUT/bundle; the same command goes on after an interruption."""
    options = ExpertOptions(
        backbone=backbone,
        experts=experts,
        devices=tuple(name.strip() for name in densitometers.split(",")),
        tasks=TaskWeights(diagnosis=diagnosis, bmd=bmd, position=position),
        strays=USUAL if stray else Strays(),
        weights=weights,
        seed=seed,
        loop=expert_loop(epochs or 400),
    )
    if small:
        options = quick(options)
    loop = _loop(options.loop, epochs, device, amp=amp, seed=seed)
    box = replace(crop_of(crop, segmenter, small=small), mask=mask)
    options = replace(
        options,
        width=options.width if width is None else width,
        crop=box,
        loop=loop if learning_rate is None else replace(loop, learning_rate=learning_rate),
    )
    source = data_of(data, patients, seed, hold_out, jobs, cache, small=small)
    _train(ExpertRun(out=out, options=options, data=source, progress=progress), resume=not restart)


def _train(run: ExpertRun, *, resume: bool) -> None:
    console = Console(stderr=True)
    target = run.out / "bundle"
    if target.exists():
        raise TrainingError(f"{target} exists; bundles are never overwritten: delete it or choose another --out")
    console.print(run.parts.census.words(), highlight=False, markup=False)
    for site, counts in composition(run.parts).items():
        told = f"{counts.patients[TRAIN]} patients to train, {counts.unlabelled} vertebrae without and {counts.labelled[TRAIN]} with truth"
        console.print(f"  site {site} ({', '.join(counts.devices) or 'no DXA'}): {told}", highlight=False, markup=False)
    finished = run.train(resume=resume)
    for name, one in finished.metrics.items():
        console.print(f"  {name.replace('_', ' ')}: {one.value:.3f} ({one.low:.3f} to {one.high:.3f})", highlight=False)
    if (why := run.options.why_no_bundle()) is not None:
        console.print(f"no bundle is written: {why}", highlight=False)
        typer.echo(finished.fitted.weights)
        return
    typer.echo(publish(run, finished, command_line(NAME), target).folder)


def evaluate_pretraining(
    weights: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="What tpswav-pretrain wrote.")],
    out: OutOption,
    data: DataOption = SIMULATED,
    backbone: Annotated[str, typer.Option(help="As in pretraining.")] = "resnet34",
    width: WidthOption = None,
    small: QuickOption = False,
    patients: PatientsOption = None,
    segmenter: SegmenterOption = "both",
    seed: SeedOption = 70,
    jobs: JobsOption = 1,
    cache: CacheOption = None,
    progress: ProgressOption = True,
) -> None:
    """Print what a linear probe and nearest neighbours find in the vectors of an encoder."""
    box = crop_of(None, segmenter, small=small)
    out.mkdir(parents=True, exist_ok=True)
    parts = load_parts(data_of(data, patients, seed, "", jobs, cache, small=small), box, out, progress=progress)
    probe = probe_of(parts)
    if probe is None:
        raise TrainingError("a probe needs vertebrae with and without osteoporosis in the training and the validation part")
    wide = (0.25 if small else 1.0) if width is None else width
    encoder = make_encoder(backbone, width=wide, size=box.shape, attention_window=QUICK_ATTENTION if small else SWIN_WINDOW)
    load_encoder(encoder, weights)
    pool = TexturePool(PoolOptions())
    train_part, validation = (vectors_of(encoder.eval(), part, pool, 32) for part in probe)
    for name, value in monitored(train_part, validation).items():
        typer.echo(f"{name} {value:.3f}")


def evaluate(
    run: Annotated[Path, typer.Option(help="The folder of a training run, whose best weights are judged.", exists=True, file_okay=False)],
    data: DataOption = SIMULATED,
    backbone: Annotated[str, typer.Option(help="As in training.")] = "resnet34",
    width: WidthOption = None,
    small: QuickOption = False,
    experts: Annotated[int, typer.Option(min=1, help="As in training.")] = 3,
    densitometers: Annotated[str, typer.Option(help="As in training.")] = ",".join(DEVICES),
    patients: PatientsOption = None,
    hold_out: HoldOutOption = "",
    segmenter: SegmenterOption = "both",
    seed: SeedOption = 70,
    out: Annotated[Path | None, typer.Option(help="Where pictures go.")] = None,
    jobs: JobsOption = 1,
    cache: CacheOption = None,
    progress: ProgressOption = True,
) -> None:
    """Print how well the weights of a run read its test part and the external sites (Markdown on stdout)."""
    options = ExpertOptions(backbone=backbone, experts=experts, devices=tuple(name.strip() for name in densitometers.split(",")))
    options = quick(options) if small else options
    options = replace(
        options, width=options.width if width is None else width, crop=replace(options.crop, segmenter=segmenter_named(segmenter))
    )
    best = sorted(run.glob("weights-epoch-*.safetensors"))
    if not best:
        raise TrainingError(f"{run} holds no weights of a training run")
    source = data_of(data, patients, seed, hold_out, jobs, cache, small=small)
    parts = load_parts(source, options.crop, run, progress=progress)
    options = with_known_devices(options, parts.train)
    model = ExpertsTask(options, parts.train, parts.validation).build()
    try:
        model.load_state_dict(load_weights(best[-1]))
    except RuntimeError as error:
        raise TrainingError(f"{best[-1].name} is of another network; give the options of its training") from error
    found = predict(model.eval(), parts.judged, options)
    typer.echo(report(found, f"{backbone}, {experts} experts", parts.description))
    if out is not None:
        draw(found, out, f"{backbone}, {experts} experts")


def crop_of(crop: CropSize | None, segmenter: str, *, small: bool) -> CropOptions:
    """The box that is cut out.

    Raises
    ------
    TrainingError
        There is no such segmenter.
    """
    wanted = crop or (CropSize.SMALL if small else CropSize.FULL)
    return replace(SMALL_BOX if wanted is CropSize.SMALL else FULL_BOX, segmenter=segmenter_named(segmenter))


def segmenter_named(segmenter: str) -> str:
    """The name, if it is a segmenter's.

    Raises
    ------
    TrainingError
        It is none.
    """
    if segmenter not in SEGMENTERS:
        raise TrainingError(f"--segmenter {segmenter}: known are {', '.join(SEGMENTERS)}")
    return segmenter


def data_of(data: str, patients: int | None, seed: int, hold_out: str, jobs: int, cache: Path | None, *, small: bool) -> DataOptions:
    """Where vertebrae come from.

    Raises
    ------
    TrainingError
        A simulated cohort has no such site.
    """
    sites = tuple(name.strip() for name in hold_out.split(",") if name.strip())
    if data != SIMULATED:
        return DataOptions(source=Path(data), seed=seed, hold_out=sites, cache=cache, jobs=jobs)
    if unknown := [name for name in sites if name not in SITES]:
        raise TrainingError(f"--hold-out {', '.join(unknown)}: a simulated cohort has the sites {', '.join(SITES)}")
    count = patients or (QUICK_PATIENTS if small else PATIENTS)
    source = SimulatedOptions(patients=count, seed=seed, held_out=sites, even=small)
    return DataOptions(source=source, seed=seed, cache=cache, jobs=jobs)


def _loop(loop: LoopOptions, epochs: int | None, device: str, *, amp: bool, seed: int) -> LoopOptions:
    if device not in ("auto", "cpu", "cuda"):
        raise TrainingError(f"--device is auto, cpu or cuda, not {device}")
    if epochs is not None:
        loop = replace(loop, epochs=epochs, warmup_epochs=min(loop.warmup_epochs, epochs))
    return replace(loop, device=device, amp=amp, seed=seed)  # type: ignore[arg-type]
