"""VGG and ResNet for images: one definition for every model that builds on them, with the names of torchvision's state dicts.

Simonyan and Zisserman 2015 (configurations A, B, D, E), and He et al. 2016 in the form that torchvision publishes weights for: a
bottleneck's stride lies in its 3 x 3 convolution. ``width`` scales every channel; at 1 the networks are the published ones, parameter by
parameter.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn

VggDepth = Literal[11, 13, 16, 19]
ResNetDepth = Literal[18, 34, 50]

_VGG_STAGES: Mapping[int, tuple[int, ...]] = MappingProxyType(
    {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
)
"""Convolutions of each stage; a stage ends with a 2 x 2 maximum."""
_VGG_CHANNELS = (64, 128, 256, 512, 512)
_VGG_POOLED = 7
_RESNET_BLOCKS: Mapping[int, tuple[int, int, int, int]] = MappingProxyType({18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)})
_RESNET_CHANNELS = (64, 128, 256, 512)
_BOTTLENECK = 4
"""By how much a bottleneck's last convolution widens."""


def scaled(channels: int, width: float) -> int:
    """Channels times width, at least 1.

    Raises
    ------
    ValueError
        The width is not positive.
    """
    if width <= 0:
        raise ValueError(f"a width is positive, not {width:g}")
    return max(1, round(channels * width))


class Vgg(nn.Module):
    """VGG.

    Parameters
    ----------
    classes
        None leaves the classifier out: the network then gives its last feature map, (B, 512 width, H / 32, W / 32).
    batch_norm
        After each convolution, as torchvision's ``vgg16_bn`` has it.
    dropout
        In the classifier.
    """

    def __init__(
        self,
        depth: VggDepth,
        *,
        in_channels: int = 3,
        classes: int | None = 1000,
        width: float = 1.0,
        batch_norm: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if depth not in _VGG_STAGES:
            raise ValueError(f"there is no VGG-{depth}; there are {', '.join(map(str, _VGG_STAGES))}")
        layers: list[nn.Module] = []
        self._stage_ends: list[int] = []
        channels = in_channels
        for count, full in zip(_VGG_STAGES[depth], _VGG_CHANNELS, strict=True):
            for _ in range(count):
                layers += _vgg_layer(channels, scaled(full, width), batch_norm=batch_norm)
                channels = scaled(full, width)
            self._stage_ends.append(len(layers))
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.out_channels = channels
        self.stage_channels = tuple(scaled(full, width) for full in _VGG_CHANNELS)
        self.classifier: nn.Sequential | None = None
        if classes is not None:
            hidden = scaled(4096, width)
            self.avgpool = nn.AdaptiveAvgPool2d(_VGG_POOLED)
            self.classifier = nn.Sequential(
                nn.Linear(channels * _VGG_POOLED**2, hidden),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout),
                nn.Linear(hidden, hidden),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout),
                nn.Linear(hidden, classes),
            )
        self.apply(_fresh)

    def forward(self, image: Tensor) -> Tensor:
        """(B, in_channels, H, W) to logits (B, classes), or to the feature map where there is no classifier."""
        found: Tensor = self.features(image)
        if self.classifier is None:
            return found
        logits: Tensor = self.classifier(torch.flatten(self.avgpool(found), 1))
        return logits

    def pyramid(self, image: Tensor) -> tuple[Tensor, ...]:
        """The maps before each stage's maximum: strides 1, 2, 4, 8, 16."""
        maps, first = [], 0
        for end in self._stage_ends:
            image = self.features[first:end](image)
            maps.append(image)
            first = end
        return tuple(maps)


def _vgg_layer(inputs: int, outputs: int, *, batch_norm: bool) -> list[nn.Module]:
    norm = [nn.BatchNorm2d(outputs)] if batch_norm else []
    return [nn.Conv2d(inputs, outputs, 3, padding=1), *norm, nn.ReLU(inplace=True)]


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut."""

    widens = 1

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(inputs, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, channels, H / stride, W / stride)."""
        kept = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(x)) + kept)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions and a shortcut."""

    widens = _BOTTLENECK

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        outputs = channels * self.widens
        self.conv1 = nn.Conv2d(inputs, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, 4 channels, H / stride, W / stride)."""
        kept = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return torch.relu(self.bn3(self.conv3(x)) + kept)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    """ResNet.

    Parameters
    ----------
    classes
        None leaves pooling and the last layer out: the network then gives its last feature map, of stride 32.
    """

    def __init__(self, depth: ResNetDepth, *, in_channels: int = 3, classes: int | None = 1000, width: float = 1.0) -> None:
        super().__init__()
        if depth not in _RESNET_BLOCKS:
            raise ValueError(f"there is no ResNet-{depth}; there are {', '.join(map(str, _RESNET_BLOCKS))}")
        block: type[BasicBlock] | type[Bottleneck] = Bottleneck if depth == 50 else BasicBlock
        stem = scaled(_RESNET_CHANNELS[0], width)
        self.conv1 = nn.Conv2d(in_channels, stem, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = stem
        for number, (count, full) in enumerate(zip(_RESNET_BLOCKS[depth], _RESNET_CHANNELS, strict=True), start=1):
            channels, parts = scaled(full, width), []
            for index in range(count):
                parts.append(block(inputs, channels, 2 if number > 1 and index == 0 else 1))
                inputs = channels * block.widens
            setattr(self, f"layer{number}", nn.Sequential(*parts))
        self.out_channels = inputs
        self.stage_channels = tuple(scaled(full, width) * block.widens for full in _RESNET_CHANNELS)
        self.fc = nn.Linear(inputs, classes) if classes is not None else None
        self.apply(_fresh)

    def forward(self, image: Tensor) -> Tensor:
        """(B, in_channels, H, W) to logits (B, classes), or to the feature map where there is no last layer."""
        found = self.pyramid(image)[-1]
        return found if self.fc is None else self.fc(found.mean(dim=(2, 3)))

    def pyramid(self, image: Tensor) -> tuple[Tensor, ...]:
        """The maps of the four stages: strides 4, 8, 16, 32."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(image))))
        maps = []
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
            maps.append(x)
        return tuple(maps)


def _fresh(module: nn.Module) -> None:
    """First weights as torchvision draws them."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.01)
        nn.init.zeros_(module.bias)


BACKBONES = ("vgg13", "vgg16", "vgg19", "resnet18", "resnet34", "resnet50")
"""What :func:`backbone` makes."""


def backbone(name: str, *, in_channels: int = 1, width: float = 1.0, batch_norm: bool = False) -> Vgg | ResNet:
    """A network that ends with its last feature map, of ``out_channels`` channels and stride 32.

    Parameters
    ----------
    batch_norm
        Of a VGG; a ResNet always has it.

    Raises
    ------
    ValueError
        There is none of that name.
    """
    if name not in BACKBONES:
        raise ValueError(f"there is no backbone {name!r}; there are {', '.join(BACKBONES)}")
    if name.startswith("vgg"):
        depth: VggDepth = {"vgg13": 13, "vgg16": 16, "vgg19": 19}[name]  # type: ignore[assignment]
        return Vgg(depth, in_channels=in_channels, classes=None, width=width, batch_norm=batch_norm)
    deep: ResNetDepth = {"resnet18": 18, "resnet34": 34, "resnet50": 50}[name]  # type: ignore[assignment]
    return ResNet(deep, in_channels=in_channels, classes=None, width=width)
