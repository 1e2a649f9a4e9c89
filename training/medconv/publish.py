"""A trained MedConv as a bundle: what it was given, what it learned from, how well it does on the test part."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

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
)
from inference.bundles.metadata import Crop
from inference.windows import window, windowed
from training.errors import TrainingError
from training.export import Publication, export_bundle
from training.medconv.evaluate import draw
from training.medconv.run import Finished, MedconvRun
from training.medconv.task import CLASSES
from training.metrics.bootstrap import Interval
from training.provenance import noted_commit
from training.publishing import hardware_of, learning_pictures, stated

NAME, VERSION = "medconv", "1.0.0"
PAPER = "MedConv, arXiv 2502.00631; loss and adjustment: Menon et al. 2021, Long-tail learning via logit adjustment"
INTENDED_USE = (
    "Probability of normal density, osteopenia and osteoporosis from the body of L1 in CT, beside the measured attenuation and never "
    "instead of it. It predicts the class of a DXA T-score; it is no DXA. Research use."
)
SIMULATED_LIMITS = (
    "It has never seen a patient. Bone, contrast, noise and scanners were simulated, and so were the T-scores; on real scans its "
    "probabilities mean nothing yet.",
    "The simulated T-score follows the attenuation of L1 more closely than a real one, so that the figures of the test part flatter it.",
)
LIMITS = (
    "Fractured, cemented, instrumented and sclerotic L1 were left out, in training and in the figures.",
    "Tube voltage and contrast phase are not told to it; they move the attenuation that it reads.",
)
LABELS_OF_METRICS = {
    "accuracy": "Accuracy",
    "sensitivity_macro": "Sensitivity, macro",
    "specificity_macro": "Specificity, macro",
    "f1_weighted": "F1, weighted",
    "auc": "AUC, one against the rest",
    **{f"sensitivity_{name}": f"Sensitivity, {name}" for name in CLASSES},
    "clear_accuracy": "Accuracy, T-score more than 0.5 from both cuts",
    "ece": "Expected calibration error",
    "brier": "Brier score",
}


def publish(run: MedconvRun, finished: Finished, command: str, folder: Path) -> Bundle:
    """Write the bundle of a finished run with its curve, log and pictures.

    Raises
    ------
    TrainingError
        The node could not run the network, or as :func:`training.export.export_bundle`.
    """
    if (why := run.options.why_no_bundle()) is not None:
        raise TrainingError(f"no bundle: {why}")
    pictures = learning_pictures(run.out, f"MedConv: learning from {run.parts.trained_on.words}")
    if finished.test is not None:
        pictures |= {path.name: path for path in draw(finished.test, run.out, "test part")}
    publication = Publication(
        task="Density class (WHO) from the first lumbar vertebra in CT",
        description=f"A 3-D {run.options.network} of width {run.options.width:g} that reads the crop around L1, as MedConv does, "
        f"trained on {run.parts.trained_on.words}.",
        changelog={VERSION: "First release."},
        pictures=pictures,
    )
    network = NetworkDefinition(architecture=run.options.network, arguments=run.options.network_arguments())
    cases = run.parts.validation[: run.options.batch]
    example = torch.from_numpy(np.stack([windowed(case.hu, run.options.windows) for case in cases]))
    return export_bundle(finished.fitted.model, metadata(run, finished, command), network, publication, folder, example=example)


def metadata(run: MedconvRun, finished: Finished, command: str) -> OsteonMetadata:
    """What a site must know of the model."""
    options, crop = run.options, run.options.crop
    given = window(options.windows[0])
    simulated = run.parts.trained_on is not TrainedOn.PATIENTS
    return OsteonMetadata(
        name=NAME,
        version=VERSION,
        kind=Kind.CLASSIFICATION,
        architecture=options.network,
        weights_dtype="float16",
        input=NetworkInput(
            modality="CT",
            spacing_mm=crop.spacing_mm,
            orientation="SPL",
            window_hu=(given.low_hu, given.high_hu),
            normalisation=Normalisation.WINDOW_TO_ZERO_ONE,
            patch_size=crop.shape,
        ),
        crop=Crop(level=crop.level, mask=crop.mask.value, margin_mm=crop.margin_mm),
        classes=CLASSES,
        priors=finished.priors,
        tau1=options.tau1 if options.loss == "balce" else 0.0,
        tau2=finished.tau2,
        trained_on=run.parts.trained_on,
        training=TrainingSummary(
            cases=len(run.parts.train),
            data=_data(run),
            seed=options.loop.seed,
            command=command,
            git_commit=noted_commit(run.out),
            seconds=max(finished.fitted.seconds, 1e-3),
            hardware=hardware_of(finished.fitted.model),
        ),
        metrics=_metrics(run, finished.metrics),
        intended_use=INTENDED_USE,
        limits=(*SIMULATED_LIMITS, *LIMITS) if simulated else LIMITS,
        paper=PAPER,
    )


def _data(run: MedconvRun) -> str:
    parts = run.parts
    sizes = f"{len(parts.train)} to train, {len(parts.validation)} to choose the best epoch, {len(parts.test)} to test, dealt by patient"
    return f"{parts.description}; {sizes}; {len(parts.prepared.skipped)} skipped (L1 altered, not in view, or not certain)."


def _metrics(run: MedconvRun, found: Mapping[str, Interval]) -> tuple[Metric, ...]:
    data = f"{len(run.parts.test)} {run.parts.trained_on.words} of the test part"
    return tuple(stated(LABELS_OF_METRICS[name], one, len(run.parts.test), data) for name, one in found.items() if np.isfinite(one.value))
