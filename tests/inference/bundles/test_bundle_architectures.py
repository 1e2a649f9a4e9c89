"""Every network on the list can be made, packed and loaded; verifying one needs neither torch nor monai."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from inference.bundles import ARCHITECTURES, BundleError, Kind, NetworkDefinition, NetworkInput, Normalisation, load_network
from inference.ct.vertebra_experts import OUTPUTS as VERTEBRA_OUTPUTS
from tests.training.bundle_example import PUBLICATION, metadata, write_bundle
from training.export import export_bundle

pytestmark = pytest.mark.unit

PLANE = NetworkInput(modality="DX", normalisation=Normalisation.MIN_MAX, patch_size=(32, 32))
SPINE = NetworkInput(modality="BMD", normalisation=Normalisation.ZERO_ONE, patch_size=(150, 150))
VERTEBRA = NetworkInput(
    modality="CT",
    spacing_mm=(2, 2, 2),
    orientation="SPL",
    normalisation=Normalisation.WINDOW_TO_ZERO_ONE,
    window_hu=(-100, 500),
    patch_size=(16, 16, 16),
)
INPUTS = {"cnn21": SPINE, "vertebra_experts": VERTEBRA}
SMALL: dict[str, dict[str, Any]] = {
    "unet": {
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 3,
        "channels": [2, 4],
        "strides": [2],
        "norm": ["GROUP", {"num_groups": 2}],
    },
    "segresnet": {"spatial_dims": 2, "in_channels": 1, "out_channels": 3, "init_filters": 8, "blocks_down": [1, 1], "blocks_up": [1]},
    "resnet18": {"spatial_dims": 2, "n_input_channels": 1, "num_classes": 3, "widen_factor": 0.125},
    "resnet34": {"spatial_dims": 2, "n_input_channels": 1, "num_classes": 3, "widen_factor": 0.125},
    "resnet50": {"spatial_dims": 2, "n_input_channels": 1, "num_classes": 3, "widen_factor": 0.125},
    "densenet121": {"spatial_dims": 2, "in_channels": 1, "out_channels": 3, "init_features": 4, "growth_rate": 2, "block_config": [1, 1]},
    "cnn21": {"spatial_dims": 2, "in_channels": 1, "classes": 3, "width": 0.0625},
    "density_ensemble": {"spatial_dims": 2, "in_channels": 1, "out_channels": 3, "backbone": "vgg13", "width": 0.03125, "layers": 1},
    "landmark_graph": {"spatial_dims": 2, "in_channels": 1, "out_channels": 4, "backbone": "resnet18", "width": 0.0625, "hidden": [8]},
    "vertebra_experts": {"spatial_dims": 3, "in_channels": 1, "out_channels": 21, "backbone": "resnet18", "width": 0.0625},
}
OUTPUTS = {
    "landmark_graph": ("one_row", "one_column", "other_row", "other_column"),
    "vertebra_experts": VERTEBRA_OUTPUTS,
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_architecture_goes_through_a_bundle_unchanged(name: str, tmp_path: Path) -> None:
    network = NetworkDefinition(architecture=name, arguments=SMALL[name])
    model = network.build().eval()
    given = INPUTS.get(name, PLANE)
    changes = {"classes": OUTPUTS[name]} if name in OUTPUTS else {}
    about = metadata(architecture=name, input=given, kind=Kind.CLASSIFICATION, **changes)
    bundle = export_bundle(model, about, network, PUBLICATION, tmp_path / name)
    loaded = load_network(bundle)
    trained, found = model.state_dict(), loaded.state_dict()
    assert trained.keys() == found.keys()
    assert all(torch.equal(trained[key], found[key]) and trained[key].dtype == found[key].dtype for key in trained)
    image = torch.rand(2, 1, *given.patch_size)
    with torch.inference_mode():
        assert torch.equal(loaded(image), model(image))


def test_an_architecture_that_is_not_listed_is_refused() -> None:
    with pytest.raises(BundleError, match="'vit' is not one that Osteon builds; known: unet, segresnet"):
        NetworkDefinition(architecture="vit", arguments={})


def test_verifying_imports_neither_torch_nor_monai(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "tiny").folder
    code = f"""
import sys
import node.bundles_cli
from pathlib import Path
from inference.bundles import BundleSource, load_bundle
load_bundle(Path({str(folder)!r}))
assert BundleSource(folder=Path({str(tmp_path)!r})).open("tiny").name == "tiny"
print(sorted({{"torch", "monai", "safetensors", "SimpleITK"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert done.stdout.strip() == "[]"
