"""Both bundles of the chest workflow as tests make them: the real architectures, narrow, with answers that are known."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from inference.bundles import Bundle, BundleSource, Kind, NetworkDefinition, NetworkInput, Normalisation, TrainedOn
from inference.cxr.film import NormalisedFilm
from inference.cxr.landmarks import LandmarkGraph
from inference.cxr.locate import TARGETS, to_fractions
from inference.cxr.network import DensityEnsemble, RegionRegression
from inference.cxr.options import CxrOptions
from inference.cxr.rois import LANDMARKS, Floats
from tests.training.bundle_example import PUBLICATION, metadata
from training.cxr.cases import on_film
from training.export import export_bundle
from training.simulation.xray.film import SimulatedFilm

LANDMARK_SIZE, REGION_SIZE = 64, 32
MEMBERS: Mapping[str, tuple[float, ...]] = {"L1": (0.70, 0.74), "L2": (0.80, 0.80), "L3": (0.90, 0.94), "L4": (1.00, 1.06)}
"""g/cm2 that the two networks of each level say of every film: T-scores -2.8, -2.2, -1.2 and -0.3 by the shipped reference."""


def true_landmarks(simulated: SimulatedFilm, film: NormalisedFilm) -> Floats:
    """(16, 2) in pixels of the film in its one form."""
    return on_film(np.array([simulated.landmarks[name] for name in LANDMARKS], dtype=np.float64), film.to_stored)


def write_landmarks(folder: Path, places: Floats, shape: tuple[int, int], **changes: Any) -> Bundle:
    """A landmark network that was taught nothing: a fresh one answers with the shape that it begins with."""
    arguments = {"spatial_dims": 2, "in_channels": 1, "out_channels": 32, "backbone": "resnet18", "width": 0.0625, "pyramid": 8}
    network = NetworkDefinition(architecture="landmark_graph", arguments={**arguments, "embedding": 8, "hidden": [8], "steps": 1})
    made = network.build().eval()
    assert isinstance(made, LandmarkGraph)
    made.set_initial(torch.from_numpy(to_fractions(places, shape)).float())
    values: dict[str, Any] = {
        "name": "cxr-landmarks",
        "kind": Kind.REGRESSION,
        "architecture": "landmark_graph",
        "input": _input(LANDMARK_SIZE, 1),
        "classes": (),
        "targets": TARGETS,
        "trained_on": TrainedOn.SIMULATED_PATIENTS,
        "metrics": (),
    }
    return export_bundle(made, metadata(**(values | changes)), network, PUBLICATION, folder)


def write_density(folder: Path, members: Mapping[str, Sequence[float]] = MEMBERS, *, sd: float = 0.0, **changes: Any) -> Bundle:
    """An ensemble whose networks say ``members`` of every film; with ``sd`` they look at it, with random weights."""
    flat = [(level, fold, value) for level, values in members.items() for fold, value in enumerate(values, start=1)]
    size = {"backbone": "vgg16", "fusion": changes.pop("fusion", "attention"), "width": 0.0625, "batch_norm": True, "layers": 1}
    arguments = {"spatial_dims": 2, "in_channels": 15, "out_channels": len(flat), **size}
    network = NetworkDefinition(architecture="density_ensemble", arguments=arguments)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        made = network.build().eval()
    assert isinstance(made, DensityEnsemble)
    for member, (_, _, value) in zip(made.members, flat, strict=True):
        assert isinstance(member, RegionRegression)
        member.set_scale(value, sd)
    values: dict[str, Any] = {
        "name": "cxr-bmd",
        "kind": Kind.REGRESSION,
        "architecture": "density_ensemble",
        "input": _input(REGION_SIZE, 15),
        "classes": (),
        "targets": tuple(f"{level.lower()}_fold{fold}_bmd_g_cm2" for level, fold, _ in flat),
        "densitometer": "Hologic",
        "trained_on": TrainedOn.SIMULATED_PATIENTS,
        "metrics": (),
    }
    return export_bundle(made, metadata(**(values | changes)), network, PUBLICATION, folder)


def _input(size: int, channels: int) -> NetworkInput:
    return NetworkInput(modality="DX", channels=channels, normalisation=Normalisation.ZERO_MEAN_UNIT_SD, patch_size=(size, size))


def options(folder: Path, **changes: Any) -> CxrOptions:
    """A site whose own folder holds the bundles, and which allows what learned from simulated patients."""
    allowed = changes.pop("allow_simulated", True)
    source = BundleSource(folder=folder, shipped=folder / "none", allow_simulated=allowed, pinned=changes.pop("pinned", {}))
    return CxrOptions(bundles=source, **changes)
