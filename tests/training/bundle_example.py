"""A tiny network and its metadata, for every test about bundles."""

from pathlib import Path
from typing import Any

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
from training.export import Publication, export_bundle

UNET = NetworkDefinition(
    architecture="unet",
    arguments={"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "channels": [4, 8, 8], "strides": [2, 2], "num_res_units": 1},
)
CT_INPUT = NetworkInput(
    modality="CT",
    spacing_mm=(3.0, 3.0, 3.0),
    orientation="SPL",
    window_hu=(-200.0, 800.0),
    normalisation=Normalisation.WINDOW_TO_MINUS_ONE_ONE,
    patch_size=(16, 16, 16),
    multiple_of=4,
)
PUBLICATION = Publication(task="Test", description="A network for tests.", changelog={"1.0.0": "First."})


def metadata(**changes: Any) -> OsteonMetadata:
    """Metadata of the tiny UNet."""
    values: dict[str, Any] = {
        "name": "tiny",
        "version": "1.0.0",
        "kind": Kind.SEGMENTATION,
        "architecture": "unet",
        "input": CT_INPUT,
        "classes": ("background", "body", "disc"),
        "trained_on": TrainedOn.SIMULATED_ANATOMY,
        "training": TrainingSummary(cases=3, data="Nothing real.", seed=1, command="osteon train tiny"),
        "metrics": (Metric(name="Dice", value=0.5, low=0.4, high=0.6, cases=3, data="three simulated scans"),),
        "intended_use": "Tests.",
        "limits": ("Not trained at all.",),
    }
    return OsteonMetadata(**(values | changes))


def tiny_network(seed: int = 0) -> nn.Module:
    """The tiny UNet with seeded weights, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UNET.build().eval()


def write_bundle(folder: Path, **changes: Any) -> Bundle:
    """Export the tiny UNet into ``folder``."""
    return export_bundle(tiny_network(), metadata(**changes), UNET, PUBLICATION, folder)
