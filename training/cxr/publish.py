"""From finished runs to bundles: landmarks, and the networks of all vertebrae and folds as one ensemble; and what each says of itself."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

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
from inference.cxr.locate import TARGETS, square
from inference.cxr.rois import Floats
from training.cxr.cases import Film, Films
from training.cxr.evaluate import AGREEMENT, AVERAGE
from training.cxr.folds import CrossValidation, Member, ensemble_of
from training.cxr.landmark_task import NEAR_MM, LandmarkOptions
from training.cxr.tables_paper import PAPER
from training.cxr.task import RegionStore
from training.errors import TrainingError
from training.export import Publication, export_bundle
from training.loop import Fitted
from training.metrics.bootstrap import Interval, bootstrap
from training.provenance import noted_commit
from training.publishing import hardware_of, learning_pictures, stated

LANDMARKS_NAME, DENSITY_NAME = "cxr-landmarks", "cxr-bmd"
LANDMARKS_CHANGES = {
    "1.1.0": "Learned for longer, from films on which dense lungs and cables hide bones, too.",
    "1.0.0": "First release.",
}
DENSITY_CHANGES = {"1.0.0": "First release."}
"""What changed in which version of the recipe; the first one is that of the bundles that are made now."""
LANDMARKS_PAPER = "Li et al. 2020, Structured landmark detection via topology-adapting deep graph learning"
DENSITY_PAPER = PAPER

_SIMULATED = (
    "It has never seen a patient: bodies and bone density are simulated. What it says of a real film is no measurement.",
    "Simulated chests look alike: no lung disease, no devices, no arms across the chest, no children.",
)
_LANDMARK_LIMITS = ("Frontal films alone, upright, bone bright; regions that it frames are checked for plausibility, nothing else.",)
_DENSITY_LIMITS = (
    "Patients with implants or fractures were left out, as the paper leaves them out: a film with them is not to be judged.",
    "The estimate is on the scale of the densitometer that was learnt from, and does not replace a densitometry.",
    "Which bone the networks look at is not proven by the attention weights that are shown.",
)
_LABELS = {"r": "Pearson's R", "rmse": "RMSE, g/cm2", "auc": "AUC, T-score <= -2.5"}


def publish_landmarks(fitted: Fitted, options: LandmarkOptions, films: Films, errors_mm: Floats | None, command: str, out: Path) -> Bundle:
    """The bundle of a landmark network, in ``out/bundle``.

    Parameters
    ----------
    errors_mm
        (films, 16) of films that were not learnt from; None where there were none.
    out
        The run's folder, with its log.

    Raises
    ------
    TrainingError
        As :func:`training.export.export_bundle`.
    """
    metadata = OsteonMetadata(
        name=LANDMARKS_NAME,
        version=next(iter(LANDMARKS_CHANGES)),
        kind=Kind.REGRESSION,
        architecture="landmark_graph",
        weights_dtype="float16",
        input=_input((options.size, options.size), channels=1),
        targets=TARGETS,
        trained_on=films.trained_on,
        training=_training(films, fitted.seconds, fitted.model, options.loop.seed, command, out),
        metrics=_landmark_metrics(errors_mm, films.trained_on.words),
        intended_use="Landmarks of clavicles, rib cage, C7 and T12 on a frontal chest film, to cut regions of bone by. Research use.",
        limits=_limits(films, _LANDMARK_LIMITS),
        paper=LANDMARKS_PAPER,
    )
    publication = Publication(
        task="Sixteen bony landmarks of a frontal chest radiograph",
        description=f"A topology-adapting graph network on a {options.backbone} of width {options.width:g}: an affine step, then "
        f"{options.steps} local ones; trained on {films.trained_on.words}.",
        changelog=LANDMARKS_CHANGES,
        pictures=learning_pictures(out, f"Landmarks: learning from {films.trained_on.words}"),
    )
    network = NetworkDefinition(architecture="landmark_graph", arguments=options.network_arguments())
    example = torch.from_numpy(np.stack([square(film.grey, options.size) for film in films.cases[:4]]))[:, None]
    return export_bundle(fitted.model, metadata, network, publication, out / "bundle", example=example)


def publish_density(
    run: CrossValidation, members: Sequence[Member], metrics: Mapping[str, Interval], command: str, pictures: Sequence[Path] = ()
) -> Bundle:
    """The bundle of all networks of a finished cross-validation, in ``run.out/bundle``. A target is called ``l1_fold1_bmd_g_cm2``.

    Raises
    ------
    TrainingError
        As :func:`training.export.export_bundle`, or the variant needs no landmarks: the node cuts regions of bone alone.
    """
    options, films = run.options, run.films
    if options.chosen.source != "rois":
        raise TrainingError(f"no bundle: the node cuts regions of bone, and {options.variant} sees patches")
    seconds = sum(member.fitted.seconds for member in members)
    model = ensemble_of(members, options)
    metadata = OsteonMetadata(
        name=DENSITY_NAME,
        version=next(iter(DENSITY_CHANGES)),
        kind=Kind.REGRESSION,
        architecture="density_ensemble",
        weights_dtype="float16",
        input=_input((options.size, options.size), channels=options.chosen.regions),
        targets=tuple(f"{member.level.lower()}_fold{member.fold + 1}_bmd_g_cm2" for member in members),
        densitometer=films.densitometer,
        trained_on=films.trained_on,
        training=_training(films, seconds, members[0].fitted.model, options.seed, command, run.out),
        metrics=_density_metrics(run, metrics),
        intended_use="Areal bone mineral density of L1 to L4, on a densitometer's scale, from the bones that a frontal chest film shows; a "
        "hint that densitometry may be worth while. Research use.",
        limits=_limits(films, _DENSITY_LIMITS),
        paper=DENSITY_PAPER,
    )
    arguments = {"spatial_dims": 2, "in_channels": options.chosen.regions, "out_channels": len(members), **options.network_arguments()}
    publication = Publication(
        task="Lumbar bone density from a frontal chest radiograph",
        description=f"{options.chosen.title}: {len(members)} networks, one for each vertebra and fold, on {options.backbone} of width "
        f"{options.width:g}; trained on {films.trained_on.words}.",
        changelog=DENSITY_CHANGES,
        pictures={path.name: path for path in pictures},
    )
    store = RegionStore(films.cases, options)
    example = torch.from_numpy(np.stack([store.of(film) for film in films.cases[:2]]))
    network = NetworkDefinition(architecture="density_ensemble", arguments=arguments)
    return export_bundle(model, metadata, network, publication, run.out / "bundle", example=example)


def _input(patch: tuple[int, int], channels: int) -> NetworkInput:
    return NetworkInput(modality="DX", channels=channels, normalisation=Normalisation.ZERO_MEAN_UNIT_SD, patch_size=patch)


def _limits(films: Films, own: tuple[str, ...]) -> tuple[str, ...]:
    return (*_SIMULATED, *own) if films.trained_on is not TrainedOn.PATIENTS else own


def _training(films: Films, seconds: float, model: nn.Module, seed: int, command: str, out: Path) -> TrainingSummary:
    return TrainingSummary(
        cases=len(films.cases),
        data=f"{films.description}; {len(films.skipped)} left out.",
        seed=seed,
        command=command,
        git_commit=noted_commit(out),
        seconds=max(seconds, 1e-3),
        hardware=hardware_of(model),
    )


def landmark_scores(errors_mm: Floats) -> dict[str, Interval]:
    """``error_mm``, the mean radial error over all landmarks, and ``near``, the share under 4 mm, with intervals over films."""
    return bootstrap(
        lambda films: {"error_mm": float(errors_mm[films].mean()), "near": float((errors_mm[films] < NEAR_MM).mean())},
        range(len(errors_mm)),
    )


def _landmark_metrics(errors_mm: Floats | None, words: str) -> tuple[Metric, ...]:
    if errors_mm is None or not len(errors_mm):
        return ()
    found, data = landmark_scores(errors_mm), f"{len(errors_mm)} films of {words} kept aside"
    named = {"error_mm": "Mean radial error, mm", "near": f"Share of landmarks under {NEAR_MM:g} mm"}
    return tuple(stated(named[key], one, len(errors_mm), data) for key, one in found.items())


def _density_metrics(run: CrossValidation, found: Mapping[str, Interval]) -> tuple[Metric, ...]:
    count = len(run.dealt.test)
    data = f"{count} films of {run.films.trained_on.words} of the test part, mean of the folds"
    keys = [(name, level) for level in (*run.options.levels, AVERAGE) for name in AGREEMENT if f"{name}_{level}" in found]
    wanted = [(f"{_LABELS[name]}, {level}", found[f"{name}_{level}"]) for name, level in keys]
    return tuple(stated(name, one, count, data) for name, one in wanted if np.isfinite(one.value))


def known_films(films: Films) -> tuple[Film, ...]:
    """Films whose sixteen landmarks are all known."""
    return tuple(film for film in films.cases if np.isfinite(film.landmarks).all())
