"""Density classifiers that tests make: MedConv's architecture, narrow, with weights that nothing was taught."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from inference.bundles import Bundle, Crop, Kind, NetworkDefinition, NetworkInput, Normalisation, TrainedOn
from tests.training.bundle_example import PUBLICATION, metadata
from training.export import export_bundle

PRIORS = (0.6, 0.3, 0.1)
SIZE = 16
RESNET50 = NetworkDefinition(
    architecture="resnet50", arguments={"spatial_dims": 3, "n_input_channels": 1, "num_classes": 3, "widen_factor": 0.125}
)


def classifier_input(**changes: Any) -> NetworkInput:
    """A cube of 48 mm in voxels of 3 mm."""
    values: dict[str, Any] = {
        "modality": "CT",
        "spacing_mm": (3.0, 3.0, 3.0),
        "orientation": "SPL",
        "window_hu": (-100.0, 500.0),
        "normalisation": Normalisation.WINDOW_TO_ZERO_ONE,
        "patch_size": (SIZE, SIZE, SIZE),
    }
    return NetworkInput(**(values | changes))


def write_classifier(folder: Path, logits: Sequence[float] | None = None, **changes: Any) -> Bundle:
    """Export a classifier; one with ``logits`` says the same of every image, another has random weights and looks at it."""
    values: dict[str, Any] = {
        "name": "medconv",
        "kind": Kind.CLASSIFICATION,
        "architecture": "resnet50",
        "input": classifier_input(),
        "crop": Crop(level="L1", mask="body", margin_mm=2.0),
        "classes": ("normal", "osteopenia", "osteoporosis"),
        "priors": PRIORS,
        "tau1": 1.0,
        "tau2": 0.5,
        "trained_on": TrainedOn.SIMULATED_PATIENTS,
        "metrics": (),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = RESNET50.build().eval()
    if logits is not None:
        head = network.get_submodule("fc")
        state = {"weight": torch.zeros_like(head.get_parameter("weight")), "bias": torch.tensor(logits, dtype=torch.float32)}
        head.load_state_dict(state)
    return export_bundle(network, metadata(**(values | changes)), RESNET50, PUBLICATION, folder)
