"""MobileNetV2 (Sandler et al. 2018) in 3D: inverted residuals with linear bottlenecks, tensors named as torchvision names them."""

from torch import Tensor, nn

SETTINGS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion t, channels c, repeats n and first stride s of each stage (the paper's Table 2)."""
_STEM, _HEAD = 32, 1280
_DROPOUT = 0.2


def divisible_by_8(channels: float) -> int:
    """The nearest multiple of 8 that takes away no more than a tenth, as in the authors' code."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


class MobileNetV2(nn.Module):
    """A 3D MobileNetV2.

    Parameters
    ----------
    classes, channels
        Outputs and input channels.
    width
        The paper's width multiplier; here it narrows the last layer, too.
    """

    def __init__(self, *, classes: int, channels: int, width: float) -> None:
        super().__init__()
        reached, last = divisible_by_8(_STEM * width), divisible_by_8(_HEAD * width)
        features: list[nn.Module] = [_convolution(channels, reached, 3, 2)]
        for expansion, wide, repeats, first_stride in SETTINGS:
            out = divisible_by_8(wide * width)
            for index in range(repeats):
                features.append(InvertedResidual(reached, out, first_stride if index == 0 else 1, expansion))
                reached = out
        self.features = nn.Sequential(*features, _convolution(reached, last, 1, 1))
        self.classifier = nn.Sequential(nn.Dropout(_DROPOUT), nn.Linear(last, classes))
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0.0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, classes) of an image (B, channels, Z, Y, X)."""
        found = self.features(image)  # (B, 1280, Z/32, Y/32, X/32)
        logits: Tensor = self.classifier(found.mean(dim=(2, 3, 4)))
        return logits


class InvertedResidual(nn.Module):
    """Widen, filter each channel by itself, narrow without activation; a shortcut where the shapes agree."""

    def __init__(self, reached: int, out: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = reached * expansion
        layers: list[nn.Module] = [_convolution(reached, wide, 1, 1)] if expansion != 1 else []
        layers += [_convolution(wide, wide, 3, stride, groups=wide), nn.Conv3d(wide, out, 1, bias=False), nn.BatchNorm3d(out)]
        self.conv = nn.Sequential(*layers)
        self.joined = stride == 1 and reached == out

    def forward(self, before: Tensor) -> Tensor:
        after: Tensor = self.conv(before)
        return before + after if self.joined else after


def _convolution(reached: int, out: int, kernel: int, stride: int, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(reached, out, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm3d(out), nn.ReLU6(inplace=True)
    )
