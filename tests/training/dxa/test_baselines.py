"""The four baselines: published sizes and names, where each is cut, weights from a file, features computed once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from inference.networks2d import ResNet, Vgg
from tests.training.dxa.made import cases, options
from training.dxa import baselines
from training.dxa.baselines import NETWORKS, Baseline, load_published, parted
from training.dxa.features import FrozenFeatures
from training.dxa.inception import Inception3
from training.dxa.learner import Learner
from training.dxa.options import BASELINES, Transfer
from training.errors import TrainingError

pytestmark = pytest.mark.unit

# Table 1 of Szegedy et al. 2016, for 299 x 299: rows (= columns) and channels.
INCEPTION_MAPS = {
    "Conv2d_1a_3x3": (32, 149),
    "Conv2d_2a_3x3": (32, 147),
    "Conv2d_2b_3x3": (64, 147),
    "maxpool1": (64, 73),
    "Conv2d_4a_3x3": (192, 71),
    "maxpool2": (192, 35),
    "Mixed_5d": (288, 35),
    "Mixed_6e": (768, 17),
    "Mixed_7c": (2048, 8),
}


@pytest.mark.parametrize("name", BASELINES)
def test_each_has_the_published_number_of_parameters(name: str) -> None:
    with torch.device("meta"):
        network = NETWORKS[name].make()
    assert sum(one.numel() for one in network.parameters()) == NETWORKS[name].parameters


def test_the_published_numbers() -> None:
    assert {name: one.parameters for name, one in NETWORKS.items()} == {
        "vgg16": 138_357_544,
        "vgg19": 143_667_240,
        "resnet50": 25_557_032,
        "inception3": 27_161_264,
    }


def test_inception_s_maps_and_names_are_the_published_ones() -> None:
    with torch.device("meta"):
        network = Inception3().eval()
        found: dict[str, tuple[int, int]] = {}
        for name in INCEPTION_MAPS:
            network.get_submodule(name).register_forward_hook(
                lambda _layer, _given, out, name=name: found.update({name: (out.shape[1], out.shape[2])})
            )
        assert network(torch.empty(1, 3, 299, 299)).shape == (1, 1000)
        state = network.state_dict()
    assert found == INCEPTION_MAPS
    assert state["Mixed_6c.branch7x7dbl_3.conv.weight"].shape == (160, 160, 1, 7)
    assert state["Mixed_7b.branch3x3dbl_3b.conv.weight"].shape == (384, 384, 3, 1)
    assert state["AuxLogits.conv1.conv.weight"].shape == (768, 128, 5, 5)
    assert sum(one.numel() for one in network.AuxLogits.parameters()) == 27_161_264 - 23_834_568  # torchvision's without it


def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same definitions, paths and cuts at a width for tests."""

    def narrow(name: str, make: Callable[[], nn.Module]) -> Baseline:
        return replace(NETWORKS[name], make=make)

    known = {
        "vgg16": narrow("vgg16", lambda: Vgg(16, width=0.0625, classes=10)),
        "vgg19": narrow("vgg19", lambda: Vgg(19, width=0.0625, classes=10)),
        "resnet50": narrow("resnet50", lambda: ResNet(50, width=0.125, classes=10)),
        "inception3": narrow("inception3", lambda: Inception3(10)),
    }
    monkeypatch.setattr(baselines, "NETWORKS", MappingProxyType(known))


CUTS = [(name, transfer) for name in ("vgg16", "vgg19", "resnet50") for transfer in ("head", "block", "all")]


@pytest.mark.parametrize(("name", "transfer"), [*CUTS, ("inception3", "block")])
def test_trunk_and_tail_are_the_network(name: str, transfer: Transfer, monkeypatch: pytest.MonkeyPatch) -> None:
    _small(monkeypatch)
    parts = parted(name, transfer, None, 7)
    image = torch.rand(1, 3, 96, 96)
    whole = baselines.NETWORKS[name].make().eval()
    last = baselines.NETWORKS[name].last
    parent, _, key = last.rpartition(".")
    whole.get_submodule(parent).register_module(key, nn.Linear(whole.get_submodule(last).in_features, 2))  # type: ignore[arg-type]
    given = [one for part in (parts.trunk, parts.tail) for one in part.state_dict().items()]
    own = [key for key in whole.state_dict() if not key.startswith("AuxLogits")]
    values = [value for key, value in given if key not in ("0.mean", "0.sd")]
    assert len(values) == len(own)
    whole.load_state_dict(dict(zip(own, values, strict=True)), strict=False)
    normal = (image - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.inference_mode():
        torch.testing.assert_close(parts.tail.eval()(parts.trunk(image)), whole(normal), rtol=1e-4, atol=1e-5)
    assert not any(one.requires_grad for one in parts.trunk.parameters())
    assert all(one.requires_grad for one in parts.tail.parameters())


def test_what_is_trained_is_the_last_layer_or_the_last_block(monkeypatch: pytest.MonkeyPatch) -> None:
    _small(monkeypatch)

    def first(name: str, transfer: Transfer) -> str:
        return type(next(parted(name, transfer, None, 0).tail.children())).__name__

    kinds = {name: (first(name, "head"), first(name, "block")) for name in ("vgg16", "vgg19", "resnet50")}
    assert kinds == {"vgg16": ("Linear", "Conv2d"), "vgg19": ("Linear", "Conv2d"), "resnet50": ("Linear", "Sequential")}
    fifth = [one for one in parted("vgg19", "block", None, 0).tail.children() if isinstance(one, nn.Conv2d)]
    assert len(fifth) == 4  # the fifth stage of VGG-19


def test_published_weights_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _small(monkeypatch)
    torch.manual_seed(1)
    published = baselines.NETWORKS["vgg16"].make()
    save_file({key: value.clone() for key, value in published.state_dict().items()}, tmp_path / "vgg16.safetensors")
    one, other = (parted("vgg16", "head", tmp_path / "vgg16.safetensors", seed) for seed in (0, 1))
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(one.trunk(image), other.trunk(image))
        assert not torch.equal(parted("vgg16", "head", None, 0).trunk(image), one.trunk(image))
    assert one.tail.get_submodule("0").get_parameter("weight").shape[0] == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("features.0.weight"), r"features\.0\.weight of vgg16 is missing"),
        (lambda state: state.update({"more": torch.zeros(1)}), "more has no place"),
        (lambda state: state.update({"features.0.bias": torch.zeros(3)}), r"shape \(3,\), that of vgg16 \(4,\)"),
    ],
)
def test_a_file_of_another_network_is_refused(
    change: Callable[[dict[str, torch.Tensor]], object], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _small(monkeypatch)
    network = baselines.NETWORKS["vgg16"].make()
    state = {key: value.clone() for key, value in network.state_dict().items()}
    change(state)
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(TrainingError, match=said):
        load_published(network, "vgg16", tmp_path / "other.safetensors")


def test_inception_may_lack_its_auxiliary_head(tmp_path: Path) -> None:
    with torch.device("meta"):
        network = Inception3(10)
    network = network.to_empty(device="cpu")
    for value in network.state_dict().values():
        value.zero_()
    torch.nn.init.ones_(network.Mixed_7c.branch1x1.conv.weight)
    torch.save({key: value for key, value in network.state_dict().items() if not key.startswith("AuxLogits")}, tmp_path / "inception.pth")
    with torch.device("meta"):
        empty = Inception3(10)
    other = empty.to_empty(device="cpu")
    load_published(other, "inception3", tmp_path / "inception.pth")
    assert torch.equal(other.Mixed_7c.branch1x1.conv.weight, network.Mixed_7c.branch1x1.conv.weight)


def test_features_are_computed_once_and_are_those_of_the_trunk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _small(monkeypatch)
    given = options(network="vgg16", width=1.0, augmentation="paper", copies=2)
    found = cases([-3.0, -1.0])
    features = FrozenFeatures(given, found, tmp_path)
    made = features.of(found, copies=True)
    parts = parted("vgg16", "head", None, given.seed)
    image = torch.from_numpy(found[1].large[None].astype(np.float32)).expand(3, -1, -1)[None]
    with torch.inference_mode():
        torch.testing.assert_close(made.plain(1)[None], parts.trunk(image), rtol=2e-3, atol=1e-4)
    copies = {tuple(made.drawn(0, seed)[:8].tolist()) for seed in range(3)}
    assert len(copies) == 3
    assert len(features.of(found, copies=False)._values[0]) == 1

    def never(*_: object) -> nn.Module:
        raise AssertionError("computed again")

    monkeypatch.setattr(FrozenFeatures, "_frozen", never)
    again = FrozenFeatures(given, found, tmp_path).of(found, copies=True)
    assert torch.equal(again.plain(0), made.plain(0))


def test_a_random_trunk_with_batch_statistics_takes_them_from_training_images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _small(monkeypatch)
    given = options(network="resnet50", width=1.0)
    found = cases([-3.0, -1.0, -2.0, -0.5])
    values = FrozenFeatures(given, found, tmp_path).of(found, copies=False).plain(0)
    image = torch.from_numpy(found[0].large[None].astype(np.float32)).expand(3, -1, -1)[None]
    with torch.inference_mode():
        wild = parted("resnet50", "head", None, given.seed).trunk(image)
    assert float(values.abs().mean()) < 0.2 * float(wild.abs().mean())


def test_a_tail_learns_from_features(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _small(monkeypatch)
    given = options(network="resnet50", width=1.0, transfer="block")
    learner = Learner(given, cases([-3.0, -1.0]), tmp_path)
    torch.manual_seed(0)
    tail = learner.make(())
    assert any(isinstance(one, nn.BatchNorm2d) for one in tail.modules())
    assert tail.eval()(learner.examples(cases([-3.0])).plain(0)[None]).shape == (1, 2)
