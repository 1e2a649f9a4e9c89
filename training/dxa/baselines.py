"""The four baselines at 300 x 300: what of each is frozen and what is trained, and weights from a file that the user has.

Frozen but for the last layer (``head``), as the paper's transfer learning; with the last block (``block``): the convolutions of VGG's fifth
stage, ResNet's ``layer4``, Inception's ``Mixed_7c``, and what follows; or all. The frozen part is in evaluation mode, running statistics
included, so that its features of an image are always the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn

from inference.networks2d import ResNet, Vgg
from training.dxa.cases import CLASSES
from training.dxa.inception import Inception3
from training.dxa.options import Transfer
from training.errors import TrainingError
from training.medconv.pretrained import read_state

_MEAN, _SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's images, 0 to 1, red, green and blue: what published weights expect to be taken off."""
_SKIPPED = "AuxLogits."
"""Inception's auxiliary head takes no part here; a file may lack it."""


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """One of the four.

    Attributes
    ----------
    make
        The published network with its 1000 classes.
    parameters
        How many it has, as torchvision publishes it.
    last
        Name of its last layer, which is replaced.
    path
        Its layers from image to logits; :attr:`block` is the index of the first of its last block.
    """

    make: Callable[[], nn.Module]
    parameters: int
    last: str
    path: Callable[[nn.Module], tuple[nn.Module, ...]]
    block: int


class _Mean(nn.Module):
    """(B, C, H, W) to (B, C)."""

    def forward(self, image: Tensor) -> Tensor:
        return image.mean(dim=(2, 3))


class _Relu(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return torch.relu(image)


def _vgg_path(network: nn.Module) -> tuple[nn.Module, ...]:
    features, classifier = network.get_submodule("features"), network.get_submodule("classifier")
    return (*features.children(), network.get_submodule("avgpool"), nn.Flatten(), *classifier.children())


def _resnet_path(network: nn.Module) -> tuple[nn.Module, ...]:
    stem = (network.get_submodule("conv1"), network.get_submodule("bn1"), _Relu(), network.get_submodule("maxpool"))
    return (*stem, *(network.get_submodule(f"layer{number}") for number in range(1, 5)), _Mean(), network.get_submodule("fc"))


def _inception_path(network: nn.Module) -> tuple[nn.Module, ...]:
    assert isinstance(network, Inception3)
    return network.path()


NETWORKS: Mapping[str, Baseline] = MappingProxyType(
    {
        "vgg16": Baseline(make=lambda: Vgg(16), parameters=138_357_544, last="classifier.6", path=_vgg_path, block=24),
        "vgg19": Baseline(make=lambda: Vgg(19), parameters=143_667_240, last="classifier.6", path=_vgg_path, block=28),
        "resnet50": Baseline(make=lambda: ResNet(50), parameters=25_557_032, last="fc", path=_resnet_path, block=7),
        "inception3": Baseline(make=Inception3, parameters=27_161_264, last="fc", path=_inception_path, block=17),
    }
)
"""By name."""


class _Normalised(nn.Module):
    """Grey 0 to 1 in three channels, as networks of ImageNet expect it."""

    mean: Tensor
    sd: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1))
        self.register_buffer("sd", torch.tensor(_SD).view(3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.sd


@dataclass(frozen=True)
class Parted:
    """A baseline in two: ``trunk`` is frozen and in evaluation mode; ``tail`` ends in logits of :data:`~training.dxa.cases.CLASSES`."""

    trunk: nn.Module
    tail: nn.Module


def parted(name: str, transfer: Transfer, weights: Path | None, seed: int) -> Parted:
    """A baseline with a fresh last layer, cut where training begins.

    Parameters
    ----------
    weights
        A state dict, as torchvision publishes it; None draws weights from ``seed``.

    Raises
    ------
    TrainingError
        The file is no state dict of this network.
    """
    baseline = NETWORKS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = baseline.make()
        if weights is not None:
            load_published(network, name, weights)
        replaced = network.get_submodule(baseline.last)
        assert isinstance(replaced, nn.Linear)
        parent, _, key = baseline.last.rpartition(".")
        network.get_submodule(parent).register_module(key, nn.Linear(replaced.in_features, len(CLASSES)))
    path = baseline.path(network)
    cut = {"head": len(path) - 1, "block": baseline.block, "all": 0}[transfer]
    trunk = nn.Sequential(_Normalised(), *path[:cut]).requires_grad_(requires_grad=False).eval()
    return Parted(trunk=trunk, tail=nn.Sequential(*path[cut:]))


def load_published(network: nn.Module, name: str, path: Path) -> None:
    """Give a network of 1000 classes a published state dict, whole but for Inception's auxiliary head.

    Raises
    ------
    TrainingError
        A tensor is missing, unknown or of another shape: it is named.
    """
    theirs, ours = read_state(path), network.state_dict()
    for key in sorted(theirs.keys() ^ ours.keys()):
        if not key.startswith(_SKIPPED) and not key.endswith("num_batches_tracked"):
            raise TrainingError(f"{path}: the tensor {key} " + (f"has no place in {name}" if key in theirs else f"of {name} is missing"))
    for key, tensor in theirs.items():
        if key in ours and tensor.shape != ours[key].shape:
            raise TrainingError(f"{path}: the tensor {key} has shape {tuple(tensor.shape)}, that of {name} {tuple(ours[key].shape)}")
    network.load_state_dict({**ours, **{key: tensor for key, tensor in theirs.items() if key in ours}})
