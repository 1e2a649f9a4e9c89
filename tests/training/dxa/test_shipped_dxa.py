"""The shipped bundle: small, honest about what it learned from, and not blind."""

import numpy as np
import pytest
import torch

from inference.bundles import TrainedOn, load_network, shipped_bundle
from inference.bundles.bundle import SHIPPED
from inference.dxa.crop import crop_spine
from inference.dxa.network import Cnn21, probabilities
from tests.inference.dxa.scans import bordered, pixels
from tests.training.xray_patients import dxa
from training.dxa.publish import NAME

pytestmark = pytest.mark.unit


def test_it_is_small_and_says_what_it_learned_from() -> None:
    bundle = shipped_bundle(NAME)
    osteon = bundle.metadata.osteon
    assert sum(path.stat().st_size for path in (SHIPPED / NAME).rglob("*")) <= 4 << 20
    assert osteon.trained_on is TrainedOn.SIMULATED_PATIENTS
    assert any("never seen a patient" in limit for limit in osteon.limits)
    assert osteon.training.git_commit is not None
    assert osteon.training.command.startswith("osteon train dxa ")
    assert osteon.temperature is not None
    found = {metric.name: metric for metric in osteon.metrics}
    assert found["AUC"].low is not None
    assert found["AUC"].low > 0.85


@pytest.mark.parametrize("device", ["Hologic", "GE Lunar"])
def test_thin_bone_is_more_probably_osteoporotic_than_dense_bone(device: str) -> None:
    bundle = shipped_bundle(NAME)
    network = load_network(bundle)
    assert isinstance(network, Cnn21)
    said = []
    for hounsfield in (20.0, 120.0, 240.0):
        scan = dxa(device, hounsfield).image if hounsfield != 120.0 else bordered(device)
        crop = crop_spine(pixels(scan), (150, 150)).image
        image = torch.from_numpy(crop.astype(np.float32))[None, None].expand(-1, 3, -1, -1)
        with torch.inference_mode():
            said.append(float(probabilities(network(image), bundle.metadata.osteon.temperature or 1.0)[0, 1]))
    assert said[0] > 0.8
    assert said[2] < 0.2
    assert said[0] > said[1] > said[2]
