"""The experts' reading in the CT workflow: who is read, on whose scale, when nobody may say anything, and the check on levels."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from inference.bundles import Bundle, BundleError, BundleSource, Crop, Kind, NetworkDefinition, NetworkInput, Normalisation, TrainedOn
from inference.bundles.layout import WEIGHTS
from inference.ct.measure import measure_bodies
from inference.ct.options import CtOptions
from inference.ct.quality import assess
from inference.ct.segmentation.base import Segmentation
from inference.ct.vertebra_density import Read, check_experts, densitometer_of, read_vertebrae
from inference.ct.vertebra_experts import OUTPUTS, POSITIONS, VertebraExperts
from inference.errors import PermanentError, WarningCode
from inference.volume import Volume
from tests.inference.ct.phantom import spine
from tests.training.bundle_example import PUBLICATION, metadata
from training.export import export_bundle

pytestmark = pytest.mark.unit

NETWORK = NetworkDefinition(
    architecture="vertebra_experts",
    arguments={
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": len(OUTPUTS),
        "backbone": "resnet18",
        "width": 0.03125,
        "experts": 2,
        "devices": 2,
    },
)
INPUT = NetworkInput(
    modality="CT",
    spacing_mm=(3.0, 3.0, 3.0),
    orientation="SPL",
    window_hu=(-100.0, 500.0),
    normalisation=Normalisation.WINDOW_TO_ZERO_ONE,
    patch_size=(16, 16, 16),
)


def write_experts(folder: Path, *, bmd: Sequence[float] = (0.8, 1.0), odds: float = 1.0, looks_like: str = "L1", **changes: Any) -> Bundle:
    """Experts that say the same of every image: expert i the density ``bmd[i]``; the gate sends device i to expert i."""
    values: dict[str, Any] = {
        "name": "vertebra-experts",
        "kind": Kind.REGRESSION,
        "architecture": "vertebra_experts",
        "input": INPUT,
        "crop": Crop(level=None, mask="box", margin_mm=2.0),
        "classes": (),
        "targets": OUTPUTS,
        "densitometers": ("Hologic", "GE Lunar"),
        "trained_on": TrainedOn.SIMULATED_PATIENTS,
        "metrics": (),
    }
    network = NETWORK.build().eval()
    assert isinstance(network, VertebraExperts)
    mixture = network.mixture
    with torch.no_grad():
        for expert, value in zip(mixture.experts, bmd, strict=True):
            expert.weight.zero_()  # type: ignore[union-attr, operator]
            said = torch.zeros(len(OUTPUTS))
            said[1], said[2], said[3 + POSITIONS.index(looks_like)] = odds, value - 1.0, 9.0  # mean and deviation of density are 1
            expert.bias.copy_(said)  # type: ignore[union-attr, operator]
        first, last = mixture.gate[0], mixture.gate[2]
        mixture.devices.weight.zero_()
        mixture.devices.weight[1, 0] = 1000.0
        first.weight.zero_()
        first.bias.zero_()
        first.weight[0, 0] = 1.0  # reads the device's first channel, beside an embedding that is small
        last.weight.zero_()
        last.weight[1, 0], last.bias[0], last.bias[1] = 1.0, 100.0, 0.0
    told = metadata(**(values | changes))
    return export_bundle(network, told, NETWORK, PUBLICATION, folder / told.name)


@pytest.fixture(scope="module")
def made() -> tuple[Volume, Segmentation]:
    return spine(("T12", "L1", "L2", "L3"), spacing_mm=(2.5, 2.0, 2.0), trabecular_hu=(140, 130, 120, 115))


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    write_experts(folder)
    return folder


def read(made: tuple[Volume, Segmentation], shipped: Path, changes: Mapping[str, Any] | None = None, *, allow: bool = True) -> Read:
    volume, segmentation = made
    source = BundleSource(shipped=shipped, allow_simulated=allow)
    given: dict[str, Any] = {"experts": "vertebra-experts", "bundles": source}
    options = CtOptions(**(given | dict(changes or {})))
    vertebrae = assess(measure_bodies(volume, segmentation, options).bodies, options)
    return read_vertebrae(volume, segmentation, vertebrae, options)


def test_every_vertebra_is_read_and_density_is_said_of_l1_to_l4(made: tuple[Volume, Segmentation], shipped: Path) -> None:
    found = read(made, shipped).readings
    assert found is not None
    assert [one.level for one in found.readings] == ["T12", "L1", "L2", "L3"]
    assert [one.bmd_g_cm2 is not None for one in found.readings] == [False, True, True, True]
    assert found.readings[1].bmd_g_cm2 == pytest.approx(0.8, abs=1e-4)
    assert found.readings[1].probability == pytest.approx(0.7311, abs=1e-4)
    assert sum(found.readings[0].gates) == pytest.approx(1.0)
    assert found.densitometer == "Hologic"
    assert "the site names none" in found.because
    assert found.osteoporotic_levels == ("L1", "L2", "L3")
    assert found.model is not None
    assert found.model.trained_on == "simulated patients"


def test_density_is_on_the_scale_that_the_site_names(made: tuple[Volume, Segmentation], shipped: Path) -> None:
    found = read(made, shipped, {"densitometer": "GE Lunar"}).readings
    assert found is not None
    assert found.readings[1].bmd_g_cm2 == pytest.approx(1.0, abs=1e-3)
    assert found.readings[1].gates[1] > 0.99
    assert found.because == "on the scale of GE Lunar (the site's choice)"
    wrong = read(made, shipped, {"densitometer": "Norland"})
    assert wrong.readings is not None
    assert wrong.readings.readings == ()
    assert "speaks the scales of Hologic, GE Lunar, not of Norland" in wrong.readings.because
    assert [one.code for one in wrong.warnings] == [WarningCode.EXPERTS_FAILED]


def test_vertebrae_that_do_not_count_have_no_density(made: tuple[Volume, Segmentation], shipped: Path) -> None:
    volume, segmentation = made
    metal = volume.hu.copy()
    where = segmentation.bodies == segmentation.vertebrae[1].label
    metal[where] = 2500
    found = read((dataclasses.replace(volume, hu=metal), segmentation), shipped).readings
    assert found is not None
    level = next(one for one in found.readings if one.level == "L1")
    assert (level.bmd_g_cm2, level.probability) == (None, None)


def test_nobody_speaks_unasked_or_unallowed(made: tuple[Volume, Segmentation], shipped: Path, tmp_path: Path) -> None:
    assert read(made, shipped, {"experts": None}) == Read()
    silent = read(made, shipped, allow=False)
    assert silent.readings is not None
    assert silent.readings.model is None
    assert silent.readings.osteoporotic_levels is None
    assert "simulated patients" in silent.readings.because
    assert silent.warnings == ()
    absent = read(made, shipped, {"experts": "other"})
    assert absent.readings is not None
    assert "other" in absent.readings.because
    write_experts(tmp_path)
    (tmp_path / "vertebra-experts" / WEIGHTS).write_bytes(b"damaged")
    broken = read(made, tmp_path)
    assert [one.code for one in broken.warnings] == [WarningCode.EXPERTS_FAILED]
    assert "the attenuation stands without it" in broken.warnings[0].text


def test_levels_that_look_otherwise_are_a_warning_and_stay(made: tuple[Volume, Segmentation], tmp_path: Path) -> None:
    """One head that calls everything L1 is of no mind; one whose answers all lie one level above is."""
    volume, segmentation = made
    write_experts(tmp_path / "same")
    assert read(made, tmp_path / "same").readings.shift is None  # type: ignore[union-attr]
    alike = dataclasses.replace(segmentation, vertebrae=tuple(dataclasses.replace(body, level="L2") for body in segmentation.vertebrae))
    found = read((volume, alike), tmp_path / "same")
    assert found.readings is not None
    assert found.readings.shift == 1
    (warning,) = found.warnings
    assert warning.code is WarningCode.LEVELS_LOOK_OTHERWISE
    assert "named 1 level below what they look like" in warning.text
    assert "L2 like L1" in warning.text
    assert "trained on simulated patients" in warning.text
    assert {one.level for one in found.readings.readings} == {"L2"}


def test_a_bundle_that_is_no_reader_of_vertebrae_is_refused(tmp_path: Path) -> None:
    good = write_experts(tmp_path / "good")
    check_experts(good)
    assert densitometer_of(good, None) == (0, "Hologic")
    assert densitometer_of(good, "GE Lunar") == (1, "GE Lunar")
    with pytest.raises(PermanentError):
        densitometer_of(good, "MEDIX")
    for name, changes, said in (
        ("l1", {"crop": Crop(level="L1", mask="box", margin_mm=2.0)}, "level of the crop is L1"),
        ("one", {"densitometers": ("Hologic",)}, "densitometers is Hologic"),
        ("none", {"densitometers": ()}, "densitometers is missing"),
    ):
        with pytest.raises(BundleError, match=said):
            check_experts(write_experts(tmp_path / name, **changes))
