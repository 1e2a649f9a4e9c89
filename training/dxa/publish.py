"""A trained 21-layer network as a bundle: what it was given, what it learned from, how well it does on the test part."""

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
from inference.dxa.network import SIZE, Cnn21
from training.dxa.cases import CLASSES
from training.dxa.evaluate import COLUMNS, FURTHER, SOURCE, draw
from training.dxa.options import CNN21
from training.dxa.run import DxaRun, Finished
from training.dxa.task import folded
from training.errors import TrainingError
from training.export import Publication, export_bundle
from training.metrics.bootstrap import Interval
from training.provenance import noted_commit
from training.publishing import hardware_of, learning_pictures, stated

NAME, VERSION = "dxa-cnn21", "1.0.0"
CHANNELS = 3
INTENDED_USE = (
    "Probability of osteoporosis from the crop of L1 to L4 in an AP spine DXA image, beside the densitometer's own values and never "
    "instead of them. Research use."
)
SIMULATED_LIMITS = (
    "It has never seen a patient. Bodies, densitometers, noise and display were simulated, and so were the T-scores; on real images its "
    "probability means nothing yet.",
    "It reads the grey of the image, which in the simulation follows bone density closely; the window of a real export is not calibrated.",
)
LIMITS = (
    "The class 'normal' means that the T-score lies above -2.5, osteopenia included.",
    "It sees one image: no age, no sex, no hip. A densitometer's BMD and T-score are the measurement; this is no measurement.",
    "Trained where the crop of L1 to L4 could be found; images that were refused are in neither training nor figures.",
)


def publish(run: DxaRun, finished: Finished, command: str, folder: Path) -> Bundle:
    """Write the bundle of a finished run with its curve, log and pictures.

    Raises
    ------
    TrainingError
        The node could not run the network, or as :func:`training.export.export_bundle`.
    """
    if (why := why_no_bundle(run)) is not None:
        raise TrainingError(f"no bundle: {why}")
    pictures = learning_pictures(run.out, f"21-layer CNN: learning from {run.dealt.trained_on.words}")
    if finished.test is not None:
        pictures |= {path.name: path for path in draw(finished.test, run.out, "test part")}
    publication = Publication(
        task="Osteoporosis from an AP spine DXA image",
        description=f"The 21-layer CNN at width {run.options.width:g}, which reads the crop of L1 to L4, trained on "
        f"{run.dealt.trained_on.words}.",
        changelog={VERSION: "First release."},
        pictures=pictures,
    )
    network = NetworkDefinition(
        architecture=CNN21, arguments={"spatial_dims": 2, "in_channels": CHANNELS, "classes": len(CLASSES), "width": run.options.width}
    )
    grey = np.stack([case.image.astype(np.float32) for case in run.turn.validation[: run.options.batch]])
    example = torch.from_numpy(grey[:, None]).expand(-1, CHANNELS, -1, -1).contiguous()
    model = finished.fitted.model
    assert isinstance(model, Cnn21)
    return export_bundle(folded(model), metadata(run, finished, command), network, publication, folder, example=example)


def why_no_bundle(run: DxaRun) -> str | None:
    """Why the node could not run the network; None where it can."""
    if run.options.network != CNN21:
        return f"a bundle holds {CNN21}, and baselines stay in training"
    if run.options.output != "softmax":
        return "a bundle's probabilities are a softmax"
    return None


def metadata(run: DxaRun, finished: Finished, command: str) -> OsteonMetadata:
    """What a site must know of the model."""
    simulated = run.dealt.trained_on is not TrainedOn.PATIENTS
    uncalibrated = () if finished.temperature is not None else ("Not calibrated: no temperature fits its validation cases.",)
    return OsteonMetadata(
        name=NAME,
        version=VERSION,
        kind=Kind.CLASSIFICATION,
        architecture=CNN21,
        weights_dtype="float16",
        input=NetworkInput(modality="BMD", channels=CHANNELS, normalisation=Normalisation.ZERO_ONE, patch_size=SIZE),
        classes=CLASSES,
        temperature=finished.temperature,
        trained_on=run.dealt.trained_on,
        training=TrainingSummary(
            cases=len(run.turn.train),
            data=_data(run),
            seed=run.options.loop.seed,
            command=command,
            git_commit=noted_commit(run.out),
            seconds=max(finished.fitted.seconds, 1e-3),
            hardware=hardware_of(finished.fitted.model),
        ),
        metrics=_metrics(run, finished.metrics),
        intended_use=INTENDED_USE,
        limits=(*(SIMULATED_LIMITS if simulated else ()), *_osteopenia(run), *uncalibrated),
        paper=f"{SOURCE}, Table 4",
    )


def _osteopenia(run: DxaRun) -> tuple[str, ...]:
    if run.data.osteopenia:
        return LIMITS
    left_out = "Osteopenia was left out of training and figures: what it says of such a patient is unknown."
    return (left_out, *LIMITS[1:])


def _data(run: DxaRun) -> str:
    dealt, turn = run.dealt, run.turn
    sizes = f"{len(turn.train)} images to train, {len(turn.validation)} to choose the epoch and the temperature, {len(dealt.test)} to test"
    skipped = f"{len(dealt.prepared.skipped)} skipped ({dealt.prepared.reasons()})"
    return f"{dealt.description}; {sizes}, dealt by patient; {skipped}."


def _metrics(run: DxaRun, found: Mapping[str, Interval]) -> tuple[Metric, ...]:
    count = len(run.dealt.test)
    data = f"{count} images of {run.dealt.trained_on.words}, the test part"
    names = {column.key: column.heading for column in (*COLUMNS, *FURTHER)}
    shown = {name: one for name, one in found.items() if np.isfinite(one.value)}
    return tuple(stated(names[name][0].upper() + names[name][1:], one, count, data) for name, one in shown.items())
