"""The trained second reader as a bundle: what it is, what it learned from, how well it does on simulated scans it never saw."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inference.bundles import (
    Bundle,
    Kind,
    Metric,
    NetworkDefinition,
    NetworkInput,
    Normalisation,
    OsteonMetadata,
    TrainedOn,
    TrainingSummary,
    load_bundle,
)
from training.export import Publication, export_bundle
from training.loop import Fitted
from training.loop.journal import FILE as LOG
from training.provenance import noted_commit
from training.publishing import CURVE, hardware_of, learning_pictures
from training.vertebrae.options import SPACING_MM, STRUCTURES, WINDOW_HU
from training.vertebrae.runs import VertebraRun
from training.vertebrae.task import dice_of

NAME, VERSION = "vertebrae", "1.0.0"
DATA = (
    "Simulated patients that follow no population (training/vertebrae/anatomy.py), each patch randomised anew "
    "(training/vertebrae/randomise.py). No patient's data, neither to train nor to choose."
)
INTENDED_USE = (
    "Second reader of vertebral bodies in CT beside the analytic segmenter. It finds the column and tells body, posterior elements, disc, "
    "sacrum, rib and pelvis apart; it measures nothing and decides no level alone. Research use."
)
LIMITS = (
    "It has never seen a patient: it learned from simulated anatomy alone. Real scans find errors that simulated ones do not show.",
    "At 3 mm it draws bodies less exactly than the analytic segmenter; attenuation is measured in the analytic masks where there are any.",
    "Cervical vertebrae, children, tumours, infection, fused segments and severe scoliosis were not simulated.",
    "Cement and screws were simulated crudely; bodies with them are not to be trusted.",
)


def publish(run: VertebraRun, fitted: Fitted, command: str, folder: Path) -> Bundle:
    """Write the bundle of a finished run, with its learning curve and log.

    Raises
    ------
    TrainingError
        As :func:`training.export.export_bundle`.
    """
    pictures = learning_pictures(run.out, "Second reader of vertebrae: learning from simulated anatomy")
    publication = Publication(
        task="Segmentation of the spine in CT as a second reader",
        description="A small 3-D UNet at 3 mm that was trained on simulated anatomy with domain randomisation, and on nothing else.",
        changelog={VERSION: "First release."},
        pictures=pictures | _pictures_of_start(run),
    )
    network = NetworkDefinition(architecture="unet", arguments=run.options.network_arguments())
    return export_bundle(fitted.model, _metadata(run, fitted, command), network, publication, folder)


def _metadata(run: VertebraRun, fitted: Fitted, command: str) -> OsteonMetadata:
    multiple = 2 ** (len(run.options.channels) - 1)
    return OsteonMetadata(
        name=NAME,
        version=VERSION,
        kind=Kind.SEGMENTATION,
        architecture="unet",
        weights_dtype="float16",
        input=NetworkInput(
            modality="CT",
            spacing_mm=(SPACING_MM,) * 3,
            orientation="SPL",
            window_hu=WINDOW_HU,
            normalisation=Normalisation.WINDOW_TO_MINUS_ONE_ONE,
            patch_size=run.options.patch,
            multiple_of=multiple,
        ),
        classes=STRUCTURES,
        trained_on=TrainedOn.SIMULATED_ANATOMY,
        training=TrainingSummary(
            cases=run.options.pool,
            data=DATA + _started(run),
            seed=run.options.seed,
            command=command,
            git_commit=noted_commit(run.out),
            seconds=max(fitted.seconds, 1e-3),
            hardware=hardware_of(fitted.model),
        ),
        metrics=tuple(_metrics(run, fitted)),
        intended_use=INTENDED_USE,
        limits=LIMITS,
    )


def _metrics(run: VertebraRun, fitted: Fitted) -> Sequence[Metric]:
    """Dice over the randomised patches of the patients kept aside, with a bootstrap interval over the batches."""
    task = run.task
    per_batch = task.overlaps(fitted.model)
    rng = np.random.default_rng(run.options.seed)
    draws = [dice_of(per_batch[rng.integers(0, len(per_batch), len(per_batch))].sum(axis=0)) for _ in range(1000)]
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    value = dice_of(per_batch.sum(axis=0))
    data = f"randomised patches of {run.options.validation} simulated patients kept aside"
    return [
        Metric(
            name=f"Dice, {name.replace('_', ' ')}",
            value=round(float(value[n]), 4),
            low=round(min(float(low[n]), float(value[n])), 4),
            high=round(max(float(high[n]), float(value[n])), 4),
            cases=run.options.validation,
            data=data,
        )
        for n, name in enumerate(STRUCTURES)
        if n
    ]


def _pictures_of_start(run: VertebraRun) -> dict[str, Path]:
    """Curve and log of the run that this one began with."""
    if run.options.start_from is None:
        return {}
    docs = run.options.start_from[0] / "docs"
    return {f"start-{name}": docs / name for name in (CURVE, LOG) if (docs / name).exists()}


def _started(run: VertebraRun) -> str:
    """How the bundle to start from was made, in words; empty without one."""
    if run.options.start_from is None:
        return ""
    before = load_bundle(*run.options.start_from)
    training = before.metadata.osteon.training
    made = f"`{training.command}` on {training.cases} such patients, commit {training.git_commit or 'unknown'}"
    return f" It began with the weights of an earlier run: {made}."
