"""The published networks, parameter by parameter, and their maps."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from inference.networks2d import BACKBONES, ResNet, Vgg, backbone, scaled

pytestmark = pytest.mark.unit


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("make", "published"),
    [
        (lambda: Vgg(11), 132_863_336),
        (lambda: Vgg(13), 133_047_848),
        (lambda: Vgg(16), 138_357_544),
        (lambda: Vgg(19), 143_667_240),
        (lambda: Vgg(16, batch_norm=True), 138_365_992),
        (lambda: ResNet(18), 11_689_512),
        (lambda: ResNet(34), 21_797_672),
        (lambda: ResNet(50), 25_557_032),
    ],
)
def test_parameters_are_those_that_torchvision_publishes(make: object, published: int) -> None:
    with torch.device("meta"):
        assert count(make()) == published  # type: ignore[operator]


def test_names_are_torchvision_s() -> None:
    with torch.device("meta"):
        vgg, resnet = Vgg(16).state_dict(), ResNet(50).state_dict()
    assert {"features.0.weight", "features.28.bias", "classifier.0.weight", "classifier.3.weight", "classifier.6.bias"} <= vgg.keys()
    assert vgg["features.28.weight"].shape == (512, 512, 3, 3)
    assert {"conv1.weight", "bn1.running_var", "layer1.0.downsample.0.weight", "layer4.2.bn3.bias", "fc.weight"} <= resnet.keys()
    assert resnet["layer3.0.downsample.0.weight"].shape == (1024, 512, 1, 1)
    assert not any(name.startswith("layer1.1.downsample") for name in resnet)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_ends_with_a_map_of_stride_32(name: str) -> None:
    network = backbone(name, width=0.0625).eval()
    with torch.inference_mode():
        found = network(torch.rand(2, 1, 64, 96))
        maps = network.pyramid(torch.rand(2, 1, 64, 96))
    assert found.shape == (2, network.out_channels, 2, 3)
    assert tuple(part.shape[1] for part in maps) == network.stage_channels
    assert maps[-1].shape[2] == (4 if name.startswith("vgg") else 2)


def test_a_vgg_computes_what_its_kernels_say() -> None:
    torch.manual_seed(0)
    network = Vgg(13, in_channels=1, classes=None, width=0.03125).eval()
    image = torch.rand(1, 1, 32, 32)
    x = image
    convolutions = [layer for layer in network.features if isinstance(layer, nn.Conv2d)]
    with torch.no_grad():
        for index, layer in enumerate(convolutions):
            x = functional.conv2d(functional.pad(x, (1, 1, 1, 1)), layer.weight, layer.bias).clamp(min=0)
            if index % 2:  # VGG-13: two convolutions a stage
                x = x.unfold(2, 2, 2).unfold(3, 2, 2).amax(dim=(-2, -1))
        assert torch.allclose(network(image), x, atol=1e-6)
    assert x.shape == (1, 16, 1, 1)


def test_width_scales_channels_and_unknown_sizes_are_refused() -> None:
    assert [scaled(512, width) for width in (1.0, 0.125, 0.0001)] == [512, 64, 1]
    assert ResNet(50, classes=None, width=0.125).out_channels == 256
    for make in (lambda: Vgg(12), lambda: ResNet(20), lambda: backbone("vit"), lambda: scaled(64, 0)):  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"there is no|positive"):
            make()
