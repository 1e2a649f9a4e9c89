"""Residual networks that MONAI has not: ResNeXt (Xie et al. 2017), and timm's ResNets with a tiered stem (``resnet10t``, ``resnet14t``).

Tensors are named as torchvision and timm name them, so that their weights, inflated to 3D, find their places.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from training.errors import TrainingError

_STEM_CHANNELS = 64
_GROUP_CHANNELS = 4
_EXPANSION = 4


@dataclass(frozen=True, kw_only=True)
class ResidualPlan:
    """What tells one residual network from another.

    Attributes
    ----------
    blocks
        In each of the four stages.
    bottleneck
        Blocks of three convolutions that widen fourfold at the end, else of two.
    cardinality
        Groups of the middle convolution, of four channels each in the first stage; 1 is a plain ResNet.
    tiered
        A stem of three 3 x 3 x 3 convolutions with 24, 32 and 64 channels instead of one of 7 x 7 x 7, and shortcuts that average before
        they project (He et al. 2019, Bag of tricks, ResNet-C and -D).
    """

    blocks: tuple[int, int, int, int]
    bottleneck: bool
    cardinality: int = 1
    tiered: bool = False


class ResidualNetwork(nn.Module):
    """A 3D residual network.

    Parameters
    ----------
    plan
        Its blocks.
    classes, channels
        Outputs and input channels.
    width
        Factor on all channels; of a ResNeXt also on the number of groups, whose size stays.

    Raises
    ------
    TrainingError
        The width leaves no channel.
    """

    def __init__(self, plan: ResidualPlan, *, classes: int, channels: int, width: float) -> None:
        super().__init__()
        planes = round(_STEM_CHANNELS * width)
        groups = max(1, round(plan.cardinality * width))
        if planes < 4:
            raise TrainingError(f"a residual network needs four channels in its first layer; a width of {width} leaves {planes}")
        self.conv1 = _tiered_stem(channels, planes, width) if plan.tiered else nn.Conv3d(channels, planes, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm3d(planes)
        self.act = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d(3, 2, 1)
        reached = planes
        for stage, count in enumerate(plan.blocks):
            wide = planes * 2**stage
            inner = groups * _GROUP_CHANNELS * 2**stage if plan.cardinality > 1 else wide
            layers = []
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                layers.append(_Block(plan, reached, wide, inner, groups, stride))
                reached = wide * _EXPANSION if plan.bottleneck else wide
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.avgpool = nn.AdaptiveAvgPool3d(1)
        self.fc = nn.Linear(reached, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, classes) of an image (B, channels, Z, Y, X)."""
        found = self.maxpool(self.act(self.bn1(self.conv1(image))))  # (B, 64, Z/4, Y/4, X/4)
        for stage in range(1, 5):
            found = self.get_submodule(f"layer{stage}")(found)
        logits: Tensor = self.fc(self.avgpool(found).flatten(1))
        return logits


class _Block(nn.Module):
    """Two convolutions of 3 x 3 x 3, or 1, 3 and 1 of them, and a shortcut around."""

    def __init__(self, plan: ResidualPlan, reached: int, wide: int, inner: int, groups: int, stride: int) -> None:
        super().__init__()
        out = wide * _EXPANSION if plan.bottleneck else wide
        if plan.bottleneck:
            self.conv1 = nn.Conv3d(reached, inner, 1, bias=False)
            self.conv2 = nn.Conv3d(inner, inner, 3, stride, 1, groups=groups if plan.cardinality > 1 else 1, bias=False)
            self.conv3 = nn.Conv3d(inner, out, 1, bias=False)
            self.bn3 = nn.BatchNorm3d(out)
        else:
            self.conv1 = nn.Conv3d(reached, inner, 3, stride, 1, bias=False)
            self.conv2 = nn.Conv3d(inner, out, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(inner)
        self.bn2 = nn.BatchNorm3d(self.conv2.out_channels)
        self.act = nn.ReLU(inplace=True)
        self.downsample = _shortcut(reached, out, stride, averaged=plan.tiered) if stride != 1 or reached != out else None

    def forward(self, before: Tensor) -> Tensor:
        found = self.act(self.bn1(self.conv1(before)))
        found = self.bn2(self.conv2(found))
        if hasattr(self, "conv3"):
            found = self.bn3(self.conv3(self.act(found)))
        found = found + (before if self.downsample is None else self.downsample(before))
        after: Tensor = self.act(found)
        return after


def _shortcut(reached: int, out: int, stride: int, *, averaged: bool) -> nn.Sequential:
    if not averaged:
        return nn.Sequential(nn.Conv3d(reached, out, 1, stride, bias=False), nn.BatchNorm3d(out))
    pool = nn.Identity() if stride == 1 else nn.AvgPool3d(2, stride, ceil_mode=True, count_include_pad=False)
    return nn.Sequential(pool, nn.Conv3d(reached, out, 1, bias=False), nn.BatchNorm3d(out))


def _tiered_stem(channels: int, planes: int, width: float) -> nn.Sequential:
    first, second = max(1, round(24 * width)), max(1, round(32 * width))
    return nn.Sequential(
        nn.Conv3d(channels, first, 3, 2, 1, bias=False),
        nn.BatchNorm3d(first),
        nn.ReLU(inplace=True),
        nn.Conv3d(first, second, 3, 1, 1, bias=False),
        nn.BatchNorm3d(second),
        nn.ReLU(inplace=True),
        nn.Conv3d(second, planes, 3, 1, 1, bias=False),
    )
