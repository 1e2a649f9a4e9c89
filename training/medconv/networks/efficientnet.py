"""EfficientNet-B0 (Tan and Le 2019) in 3D, MONAI's, which can be made narrower than B0 here."""

from monai.networks.nets.efficientnet import EfficientNet
from torch import nn

from training.errors import TrainingError

_BLOCKS = (
    "r1_k3_s11_e1_i32_o16_se0.25",
    "r2_k3_s22_e6_i16_o24_se0.25",
    "r2_k5_s22_e6_i24_o40_se0.25",
    "r3_k3_s22_e6_i40_o80_se0.25",
    "r3_k5_s11_e6_i80_o112_se0.25",
    "r4_k5_s22_e6_i112_o192_se0.25",
    "r1_k3_s11_e6_i192_o320_se0.25",
)
"""Of ``monai.networks.nets.EfficientNetBN("efficientnet-b0")``, which takes no width of its own."""


def efficientnet_b0(*, classes: int, channels: int, width: float, size: tuple[int, int, int]) -> nn.Module:
    """EfficientNet-B0 for a cube.

    Raises
    ------
    TrainingError
        The image is not a cube: MONAI's padding is settled for one side.
    """
    if len(set(size)) != 1:
        raise TrainingError(f"EfficientNet-B0 takes cubes, not images of {size} voxels")
    return EfficientNet(
        blocks_args_str=list(_BLOCKS),
        spatial_dims=3,
        in_channels=channels,
        num_classes=classes,
        width_coefficient=width,
        depth_coefficient=1.0,
        dropout_rate=0.2,
        image_size=size[0],
        drop_connect_rate=0.2,
    )
