"""InceptionV3 (Szegedy et al. 2016) for images, with torchvision's names and size: 27,161,264 parameters, auxiliary head included.

The VGGs and ResNet-50 are :mod:`inference.networks2d`'s.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

_EPS = 0.001
"""Of the batch normalisations, as in the published weights."""


class BasicConv2d(nn.Module):
    """A convolution without bias, batch normalisation, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, padding: int | tuple[int, int] = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=_EPS)

    def forward(self, image: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H', W')."""
        return functional.relu(self.bn(self.conv(image)), inplace=True)


def _pooled(image: Tensor) -> Tensor:
    return functional.avg_pool2d(image, 3, stride=1, padding=1)


class InceptionA(nn.Module):
    """Mixed_5b to 5d: 1 x 1, 5 x 5, two 3 x 3, and pooling."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = BasicConv2d(inputs, 64, 1)
        self.branch5x5_1 = BasicConv2d(inputs, 48, 1)
        self.branch5x5_2 = BasicConv2d(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = BasicConv2d(inputs, 64, 1)
        self.branch3x3dbl_2 = BasicConv2d(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, 3, padding=1)
        self.branch_pool = BasicConv2d(inputs, pooled, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, 224 + pooled, H, W)."""
        five = self.branch5x5_2(self.branch5x5_1(image))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(image)))
        return torch.cat([self.branch1x1(image), five, three, self.branch_pool(_pooled(image))], dim=1)


class InceptionB(nn.Module):
    """Mixed_6a: halves the grid."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = BasicConv2d(inputs, 384, 3, stride=2)
        self.branch3x3dbl_1 = BasicConv2d(inputs, 64, 1)
        self.branch3x3dbl_2 = BasicConv2d(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, 3, stride=2)

    def forward(self, image: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, 480 + inputs, H / 2, W / 2)."""
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(image)))
        return torch.cat([self.branch3x3(image), three, functional.max_pool2d(image, 3, stride=2)], dim=1)


class InceptionC(nn.Module):
    """Mixed_6b to 6e: 7 x 7 in two strips, once and twice."""

    def __init__(self, inputs: int, inner: int) -> None:
        super().__init__()
        across: tuple[int, int] = (1, 7)
        down: tuple[int, int] = (7, 1)
        self.branch1x1 = BasicConv2d(inputs, 192, 1)
        self.branch7x7_1 = BasicConv2d(inputs, inner, 1)
        self.branch7x7_2 = BasicConv2d(inner, inner, across, padding=(0, 3))
        self.branch7x7_3 = BasicConv2d(inner, 192, down, padding=(3, 0))
        self.branch7x7dbl_1 = BasicConv2d(inputs, inner, 1)
        self.branch7x7dbl_2 = BasicConv2d(inner, inner, down, padding=(3, 0))
        self.branch7x7dbl_3 = BasicConv2d(inner, inner, across, padding=(0, 3))
        self.branch7x7dbl_4 = BasicConv2d(inner, inner, down, padding=(3, 0))
        self.branch7x7dbl_5 = BasicConv2d(inner, 192, across, padding=(0, 3))
        self.branch_pool = BasicConv2d(inputs, 192, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, 768, H, W)."""
        once = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(image)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(image)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        return torch.cat([self.branch1x1(image), once, twice, self.branch_pool(_pooled(image))], dim=1)


class InceptionD(nn.Module):
    """Mixed_7a: halves the grid."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3_1 = BasicConv2d(inputs, 192, 1)
        self.branch3x3_2 = BasicConv2d(192, 320, 3, stride=2)
        self.branch7x7x3_1 = BasicConv2d(inputs, 192, 1)
        self.branch7x7x3_2 = BasicConv2d(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = BasicConv2d(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = BasicConv2d(192, 192, 3, stride=2)

    def forward(self, image: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, 512 + inputs, H / 2, W / 2)."""
        three = self.branch3x3_2(self.branch3x3_1(image))
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(image))))
        return torch.cat([three, seven, functional.max_pool2d(image, 3, stride=2)], dim=1)


class InceptionE(nn.Module):
    """Mixed_7b and 7c: the last, widened maps."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch1x1 = BasicConv2d(inputs, 320, 1)
        self.branch3x3_1 = BasicConv2d(inputs, 384, 1)
        self.branch3x3_2a = BasicConv2d(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = BasicConv2d(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = BasicConv2d(inputs, 448, 1)
        self.branch3x3dbl_2 = BasicConv2d(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = BasicConv2d(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = BasicConv2d(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = BasicConv2d(inputs, 192, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, 2048, H, W)."""
        once = self.branch3x3_1(image)
        twice = self.branch3x3dbl_2(self.branch3x3dbl_1(image))
        parts = [self.branch1x1(image), self.branch3x3_2a(once), self.branch3x3_2b(once)]
        parts += [self.branch3x3dbl_3a(twice), self.branch3x3dbl_3b(twice), self.branch_pool(_pooled(image))]
        return torch.cat(parts, dim=1)


class InceptionAux(nn.Module):
    """The auxiliary classifier of training on ImageNet; here only so that its published weights have a place."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.conv0 = BasicConv2d(inputs, 128, 1)
        self.conv1 = BasicConv2d(128, 768, 5)
        self.fc = nn.Linear(768, classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, classes) of Mixed_6e's map."""
        found = self.conv1(self.conv0(functional.avg_pool2d(image, 5, stride=3)))
        logits: Tensor = self.fc(functional.adaptive_avg_pool2d(found, 1).flatten(1))
        return logits


class Inception3(nn.Module):
    """InceptionV3; images of at least 75 x 75 pixels."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = BasicConv2d(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = BasicConv2d(32, 32, 3)
        self.Conv2d_2b_3x3 = BasicConv2d(32, 64, 3, padding=1)
        self.maxpool1 = nn.MaxPool2d(3, 2)
        self.Conv2d_3b_1x1 = BasicConv2d(64, 80, 1)
        self.Conv2d_4a_3x3 = BasicConv2d(80, 192, 3)
        self.maxpool2 = nn.MaxPool2d(3, 2)
        self.Mixed_5b = InceptionA(192, 32)
        self.Mixed_5c = InceptionA(256, 64)
        self.Mixed_5d = InceptionA(288, 64)
        self.Mixed_6a = InceptionB(288)
        self.Mixed_6b = InceptionC(768, 128)
        self.Mixed_6c = InceptionC(768, 160)
        self.Mixed_6d = InceptionC(768, 160)
        self.Mixed_6e = InceptionC(768, 192)
        self.AuxLogits = InceptionAux(768, classes)
        self.Mixed_7a = InceptionD(768)
        self.Mixed_7b = InceptionE(1280)
        self.Mixed_7c = InceptionE(2048)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(2048, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.1, a=-0.2, b=0.2)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, classes) of an image (B, 3, H, W); the auxiliary head takes no part."""
        found = image
        for layer in self.path():
            found = layer(found)
        return found

    def path(self) -> tuple[nn.Module, ...]:
        """The layers from image to logits, in order, without the auxiliary head."""
        names = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2")
        mixed = (*(f"Mixed_{name}" for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")), "avgpool")
        return (*(self.get_submodule(name) for name in (*names, *mixed)), nn.Flatten(), self.dropout, self.fc)
