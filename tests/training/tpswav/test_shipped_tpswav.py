"""The shipped experts: small, honest about what they learned from, and not blind."""

import numpy as np
import pytest
import torch

from inference.bundles import TrainedOn, load_network, shipped_bundle
from inference.bundles.bundle import SHIPPED
from inference.ct.level_check import level_shift
from inference.ct.vertebra_density import check_experts
from inference.ct.vertebra_experts import POSITIONS, Reading, VertebraExperts
from inference.windows import window
from training.simulation.xray.devices import DEVICES
from training.tpswav.crops import SMALL_BOX
from training.tpswav.publish import NAME
from training.tpswav.simulated import SimulatedOptions, paint_vertebrae
from training.transforms.cache import Arrays

pytestmark = pytest.mark.unit


def test_they_are_small_and_say_what_they_learned_from() -> None:
    bundle = shipped_bundle(NAME)
    check_experts(bundle)
    osteon = bundle.metadata.osteon
    assert sum(path.stat().st_size for path in (SHIPPED / NAME).rglob("*")) <= 4 << 20
    assert osteon.trained_on is TrainedOn.SIMULATED_PATIENTS
    assert any("never seen a patient" in limit for limit in osteon.limits)
    assert osteon.densitometers == tuple(DEVICES)
    assert osteon.training.git_commit is not None
    assert osteon.training.command.startswith("osteon train tpswav ")
    found = {metric.name: metric for metric in osteon.metrics}
    assert (found["vertebra auc"].low or 0) > 0.85
    assert (found["vertebra bmd mae"].high or 1) < 0.1
    assert (found["vertebra position"].low or 0) > 0.5


@pytest.fixture(scope="module")
def painted() -> Arrays:
    """A simulated patient of a seed that no training draws, all levels."""
    return paint_vertebrae(SimulatedOptions(patients=4, seed=991, even=True).people()[0][1], SMALL_BOX)


def read(painted: Arrays, make: str) -> Reading:
    """What is said on the scale of a densitometer."""
    bundle = shipped_bundle(NAME)
    network = load_network(bundle)
    assert isinstance(network, VertebraExperts)
    images = torch.from_numpy(window("trabecular").apply(painted["hu"])[:, None])
    device = bundle.metadata.osteon.densitometers.index(make)
    with torch.inference_mode():
        return network.read(images, torch.full((len(images),), device))


def test_wrong_names_are_told_from_right_ones(painted: Arrays) -> None:
    looks_like = read(painted, "Hologic").position.argmax(dim=1).tolist()
    stated = painted["position"].tolist()
    assert [POSITIONS[place] for place in stated][-2:] == ["L4", "L5"]
    assert level_shift(stated, looks_like) == 0
    for shift in (1, -1):
        assert level_shift([place + shift for place in stated], looks_like) == shift


def test_each_densitometer_has_a_scale_of_its_own(painted: Arrays) -> None:
    known = np.isfinite(painted["true_g_cm2"])
    true = painted["true_g_cm2"][known]
    said = {make: read(painted, make).bmd_g_cm2.double().numpy()[known] for make in DEVICES}
    for make, densities in said.items():
        expected = np.array([DEVICES[make].reading(float(one)) for one in true])
        assert np.abs(densities - expected).mean() < 0.12, make
    assert (said["GE Lunar"] - said["Hologic"]).mean() > 0.04  # the scales lie 0.11 to 0.13 apart
