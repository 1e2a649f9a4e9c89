"""The networks of MedConv's tables by name: an image (B, channels, Z, Y, X) in, logits (B, classes) out.

All are 3D. ResNets and EfficientNet-B0 are MONAI's; MobileNetV2, ResNeXt, ViT and the ResNets with a tiered stem are defined here after
their 2D originals. ``width`` narrows a network for small machines: 1 is the size of the paper.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import nn

from training.errors import TrainingError
from training.medconv.networks.efficientnet import efficientnet_b0
from training.medconv.networks.mobilenet import MobileNetV2
from training.medconv.networks.residual import ResidualNetwork, ResidualPlan
from training.medconv.networks.resnet import monai_resnet, resnet_arguments
from training.medconv.networks.transformer import JointViT, VisionTransformer

__all__ = ["NETWORKS", "JointViT", "Shape", "VisionTransformer", "build", "resnet_arguments"]

Shape = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What every network is built for.

    Attributes
    ----------
    classes, channels
        Outputs, and input channels (one for each HU window).
    width
        Factor on the channels of every layer.
    size
        Voxels (z, y, x) of the image.
    """

    classes: int
    channels: int
    width: float
    size: Shape


def _resnet(name: str) -> Callable[[Wanted], nn.Module]:
    return lambda wanted: monai_resnet(name, classes=wanted.classes, channels=wanted.channels, width=wanted.width)


def _residual(plan: ResidualPlan) -> Callable[[Wanted], nn.Module]:
    return lambda wanted: ResidualNetwork(plan, classes=wanted.classes, channels=wanted.channels, width=wanted.width)


def _mobilenet(wanted: Wanted) -> nn.Module:
    return MobileNetV2(classes=wanted.classes, channels=wanted.channels, width=wanted.width)


def _efficientnet(wanted: Wanted) -> nn.Module:
    return efficientnet_b0(classes=wanted.classes, channels=wanted.channels, width=wanted.width, size=wanted.size)


def _vit(wanted: Wanted) -> nn.Module:
    return VisionTransformer(classes=wanted.classes, channels=wanted.channels, width=wanted.width, size=wanted.size)


def _jointvit(wanted: Wanted) -> nn.Module:
    return JointViT(classes=wanted.classes, channels=wanted.channels, width=wanted.width, size=wanted.size)


NETWORKS: Mapping[str, Callable[[Wanted], nn.Module]] = MappingProxyType(
    {
        "resnet10t": _residual(ResidualPlan(blocks=(1, 1, 1, 1), bottleneck=False, tiered=True)),
        "resnet14t": _residual(ResidualPlan(blocks=(1, 1, 1, 1), bottleneck=True, tiered=True)),
        "resnet18": _resnet("resnet18"),
        "resnet34": _resnet("resnet34"),
        "resnet50": _resnet("resnet50"),
        "resnet101": _resnet("resnet101"),
        "resnet152": _resnet("resnet152"),
        "mobilenetv2": _mobilenet,
        "efficientnet_b0": _efficientnet,
        "resnext50": _residual(ResidualPlan(blocks=(3, 4, 6, 3), bottleneck=True, cardinality=32)),
        "vit": _vit,
        "jointvit": _jointvit,
    }
)
"""Builders by name."""


def build(name: str, *, classes: int = 3, width: float = 1.0, size: Shape = (64, 64, 64), channels: int = 1) -> nn.Module:
    """A network with fresh weights.

    Parameters
    ----------
    name
        One of :data:`NETWORKS`.
    classes
        Logits.
    width
        Factor on the channels of every layer; 1 is the original.
    size
        Voxels (z, y, x) of the image. ViTs and EfficientNet are made for one size.
    channels
        Of the image: one for each HU window.

    Returns
    -------
    nn.Module
        Image (B, channels, Z, Y, X) to logits (B, classes). ``jointvit`` gives ``(logits, value)`` in training mode, value (B,).

    Raises
    ------
    TrainingError
        There is no such network, or it cannot be made of this width or for this size.
    """
    if name not in NETWORKS:
        raise TrainingError(f"there is no network {name!r}; there are {', '.join(NETWORKS)}")
    if classes < 2 or channels < 1 or not 0 < width <= 4 or min(size) < 16:
        raise TrainingError(
            f"a network needs 2 classes, 1 channel, a width in 0 .. 4 and 16 voxels a side; given: {classes}, {channels}, {width}, {size}"
        )
    return NETWORKS[name](Wanted(classes=classes, channels=channels, width=width, size=size))
