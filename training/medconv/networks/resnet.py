"""3D ResNets as MONAI builds them, with the stem of their 2D originals (He et al. 2016): 7 x 7 x 7 in steps of two, then a max pool."""

from typing import Any

from monai.networks.nets import resnet
from torch import nn

from training.errors import TrainingError

_FACTORIES = {
    "resnet18": resnet.resnet18,
    "resnet34": resnet.resnet34,
    "resnet50": resnet.resnet50,
    "resnet101": resnet.resnet101,
    "resnet152": resnet.resnet152,
}


def resnet_arguments(*, classes: int = 3, channels: int = 1, width: float = 1.0) -> dict[str, Any]:
    """Arguments of ``monai.networks.nets.resnet50`` and its sisters, in plain values, as a bundle's ``network_def`` writes them.

    Convolution shortcuts (type B) without bias: the tensors are those of torchvision and MedicalNet, one depth more.
    """
    return {
        "spatial_dims": 3,
        "n_input_channels": channels,
        "num_classes": classes,
        "conv1_t_size": 7,
        "conv1_t_stride": 2,
        "shortcut_type": "B",
        "widen_factor": width,
        "bias_downsample": False,
    }


def monai_resnet(name: str, *, classes: int, channels: int, width: float) -> nn.Module:
    """A ResNet of 18, 34, 50, 101 or 152 layers.

    Raises
    ------
    TrainingError
        The width leaves no channel.
    """
    if int(64 * width) < 1:
        raise TrainingError(f"{name} has 64 channels in its first layer; a width of {width} leaves none")
    made: nn.Module = _FACTORIES[name](**resnet_arguments(classes=classes, channels=channels, width=width))
    return made
