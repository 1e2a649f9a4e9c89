"""Classifiers of DXA images that tests make: the 21-layer CNN, narrow, with weights that nothing was taught."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from inference.bundles import Bundle, Kind, NetworkDefinition, NetworkInput, Normalisation, TrainedOn
from tests.training.bundle_example import PUBLICATION, metadata
from training.export import export_bundle

CNN21 = NetworkDefinition(architecture="cnn21", arguments={"spatial_dims": 2, "in_channels": 3, "classes": 2, "width": 0.125})
TEMPERATURE = 1.6


def spine_input(**changes: Any) -> NetworkInput:
    """The crop of the paper."""
    values: dict[str, Any] = {"modality": "BMD", "channels": 3, "normalisation": Normalisation.ZERO_ONE, "patch_size": (150, 150)}
    return NetworkInput(**(values | changes))


def write_spine_classifier(folder: Path, logits: Sequence[float] | None = None, **changes: Any) -> Bundle:
    """Export a classifier; one with ``logits`` says the same of every image, another has random weights and looks at it."""
    values: dict[str, Any] = {
        "name": "dxa-cnn21",
        "kind": Kind.CLASSIFICATION,
        "architecture": "cnn21",
        "input": spine_input(),
        "classes": ("normal", "osteoporosis"),
        "temperature": TEMPERATURE,
        "trained_on": TrainedOn.SIMULATED_PATIENTS,
        "metrics": (),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = CNN21.build().eval()
    head = network.get_submodule("head")
    with torch.no_grad():
        if logits is not None:
            head.get_parameter("weight").zero_()
            head.get_parameter("bias").copy_(torch.tensor(logits, dtype=torch.float32))
        else:
            head.get_parameter("weight").mul_(4000.0)  # so that images differ by whole per cents
    return export_bundle(network, metadata(**(values | changes)), CNN21, PUBLICATION, folder)
