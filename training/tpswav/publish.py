"""Trained experts as a bundle: what they are given, on whose scales they speak, what they learned from and how well they do."""

from collections.abc import Mapping
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
)
from inference.bundles.metadata import Crop
from inference.ct.vertebra_experts import OUTPUTS
from inference.windows import window
from training.errors import TrainingError
from training.export import Publication, export_bundle
from training.metrics.bootstrap import Interval
from training.publishing import hardware_of, learning_pictures, stated
from training.tpswav.evaluate import draw
from training.tpswav.run import ExpertRun, Finished
from training.tpswav.task import batch_of
from training.tpswav.vertebrae import labelled

NAME, VERSION = "vertebra-experts", "1.0.0"
ARCHITECTURE = "vertebra_experts"
PAPER = (
    "Opportunistic Osteoporosis Diagnosis via Texture-Preserving Self-Supervision, Mixture of Experts and Multi-Task Integration "
    "(Huang, Guo et al.); SwAV: Caron et al. 2020"
)
INTENDED_USE = (
    "Areal bone density on the scale of a named densitometer, probability of osteoporosis and position of each vertebra in CT, beside the "
    "measured attenuation and never instead of it. It predicts DXA; it is no DXA. Research use."
)
SIMULATED_LIMITS = (
    "It has never seen a patient. Bone, noise, scanners and densitometers were simulated; on real scans its numbers mean nothing yet.",
    "The simulated density follows the attenuation of a vertebra more closely than a real one, so that the figures flatter it.",
)
LIMITS = (
    "An estimate is on the scale of the densitometer that the network is told of; where none is known, of the first of its list.",
    "Only L1 to L4 had a density to learn from. What it says of other levels was never compared with anything.",
    "Fractured, cemented, instrumented and sclerotic vertebrae were left out, in training and in the figures.",
)


def publish(run: ExpertRun, finished: Finished, command: str, folder: Path) -> Bundle:
    """Write the bundle of a finished run with its curve, log and pictures.

    Raises
    ------
    TrainingError
        The node could not run the network, or as :func:`training.export.export_bundle`.
    """
    if (why := run.options.why_no_bundle()) is not None:
        raise TrainingError(f"no bundle: {why}")
    pictures = learning_pictures(run.out, f"Vertebra experts: learning from {run.parts.trained_on.words}")
    if finished.judged is not None and any(one.labelled for one in run.parts.judged):
        pictures |= {path.name: path for path in draw(finished.judged, run.out, "test part and external sites")}
    options = run.settled
    publication = Publication(
        task="Areal density, osteoporosis and position of each vertebra in CT",
        description=f"A 3-D {options.backbone} of width {options.width:g} with {options.experts} experts behind a gate on image and "
        f"densitometer, trained on {run.parts.trained_on.words}.",
        changelog={VERSION: "First release."},
        pictures=pictures,
    )
    network = NetworkDefinition(architecture=ARCHITECTURE, arguments=options.network_arguments())
    example = batch_of(run.parts.validation[: options.batch], options)["image"]
    return export_bundle(finished.fitted.model, metadata(run, finished, command), network, publication, folder, example=example)


def metadata(run: ExpertRun, finished: Finished, command: str) -> OsteonMetadata:
    """What a site must know of the model."""
    options, crop = run.settled, run.options.crop
    given = window(options.window)
    simulated = run.parts.trained_on is not TrainedOn.PATIENTS
    return OsteonMetadata(
        name=NAME,
        version=VERSION,
        kind=Kind.REGRESSION,
        architecture=ARCHITECTURE,
        weights_dtype="float16",
        input=NetworkInput(
            modality="CT",
            spacing_mm=crop.spacing_mm,
            orientation="SPL",
            window_hu=(given.low_hu, given.high_hu),
            normalisation=Normalisation.WINDOW_TO_ZERO_ONE,
            patch_size=crop.shape,
        ),
        crop=Crop(level=None, mask=crop.mask.value, margin_mm=crop.margin_mm),
        targets=OUTPUTS,
        densitometers=options.devices,
        trained_on=run.parts.trained_on,
        training=TrainingSummary(
            cases=len(run.task.used),
            data=_data(run),
            seed=options.loop.seed,
            command=command,
            git_commit=run.commit,
            seconds=max(finished.fitted.seconds, 1e-3),
            hardware=hardware_of(finished.fitted.model),
        ),
        metrics=_metrics(run, finished.metrics),
        intended_use=INTENDED_USE,
        limits=(*SIMULATED_LIMITS, *LIMITS) if simulated else LIMITS,
        paper=PAPER,
    )


def _data(run: ExpertRun) -> str:
    parts = run.parts
    counts = (("train", parts.train), ("choose the best epoch", parts.validation), ("test", parts.judged))
    sizes = ", ".join(f"{sum(one.labelled for one in part)} of {len(part)} vertebrae with a density to {what}" for what, part in counts)
    return f"{parts.description}; {sizes}, dealt by patient. {parts.census.words()}."


def _metrics(run: ExpertRun, found: Mapping[str, Interval]) -> tuple[Metric, ...]:
    known = labelled(run.parts.judged)
    cases = {"vertebra": len(known), "patient": len({one.patient for one in known})}
    data = f"{run.parts.trained_on.words} of the test part and of external sites"
    told = []
    for name, one in found.items():
        if not np.isfinite(one.value):
            continue
        # a position is known of every vertebra, all else of those that a densitometer measured
        count = len(run.parts.judged) if name.startswith("vertebra_position") else cases[name.partition("_")[0]]
        told.append(stated(name.replace("_", " "), one, count, data))
    return tuple(told)
