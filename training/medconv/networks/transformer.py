"""ViT (Dosovitskiy et al. 2021) in 3D, and JointViT (Zhang et al. 2024): a ViT whose second head regresses what the classes are cut from.

At full size ViT-B/16: 12 layers of 12 heads on 768 channels, patches of 16 voxels; a crop of 64 voxels makes 64 tokens and the class
token. Smaller crops are cut into as many, smaller patches. Tensors are named as timm names them. Defined here because MONAI's ViT needs
einops, which Osteon does not install.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.errors import TrainingError

_LAYERS, _HEADS, _HEAD_CHANNELS, _MLP = 12, 12, 64, 4
_PATCH, _PATCHES = 16, 4
_STANDARD_DEVIATION = 0.02
_EPSILON = 1e-6

Shape = tuple[int, int, int]


class VisionTransformer(nn.Module):
    """A 3D ViT.

    Parameters
    ----------
    classes, channels
        Outputs and input channels.
    width
        Factor on the number of attention heads, whose size stays.
    size
        Voxels (z, y, x): multiples of 16 from 64 on, else of 4.

    Raises
    ------
    TrainingError
        The size cannot be cut into patches.
    """

    def __init__(self, *, classes: int, channels: int, width: float, size: Shape) -> None:
        super().__init__()
        heads = max(1, round(_HEADS * width))
        hidden, patch = heads * _HEAD_CHANNELS, patch_shape(size)
        self.patch_embed = _Patches(channels, hidden, patch)
        count = (size[0] // patch[0]) * (size[1] // patch[1]) * (size[2] // patch[2])
        self.cls_token = _drawn(1, 1, hidden)
        self.pos_embed = _drawn(1, 1 + count, hidden)
        self.blocks = nn.Sequential(*(_Block(hidden, heads) for _ in range(_LAYERS)))
        self.norm = nn.LayerNorm(hidden, eps=_EPSILON)
        self.head = nn.Linear(hidden, classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=_STANDARD_DEVIATION)
                nn.init.zeros_(module.bias)

    def token(self, image: Tensor) -> Tensor:
        """The class token (B, hidden) behind the last layer."""
        patches = self.patch_embed(image)  # (B, patches, hidden)
        tokens = functional.pad(patches, (0, 0, 1, 0)) + self.pos_embed + functional.pad(self.cls_token, (0, 0, 0, patches.shape[1]))
        first: Tensor = self.norm(self.blocks(tokens))[:, 0]
        return first

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Logits (B, classes) of an image (B, channels, Z, Y, X)."""
        logits: Tensor = self.head(self.token(image))
        return logits


class JointViT(VisionTransformer):
    """A ViT with joint supervision: one head for the class, one for the value (the T-score) that the classes are cut from."""

    def __init__(self, *, classes: int, channels: int, width: float, size: Shape) -> None:
        super().__init__(classes=classes, channels=channels, width=width, size=size)
        self.value_head = nn.Linear(self.head.in_features, 1)

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """In training mode logits (B, classes) and value (B,), else logits alone."""
        token = self.token(image)
        logits: Tensor = self.head(token)
        return (logits, self.value_head(token)[:, 0]) if self.training else logits


class _Patches(nn.Module):
    """Equal boxes of the image, each projected to a token."""

    def __init__(self, channels: int, hidden: int, patch: Shape) -> None:
        super().__init__()
        self.proj = nn.Conv3d(channels, hidden, patch, patch)

    def forward(self, image: Tensor) -> Tensor:
        tokens: Tensor = self.proj(image).flatten(2).transpose(1, 2)
        return tokens


class _Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.proj = nn.Linear(hidden, hidden)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, count, hidden = tokens.shape
        query, key, value = self.qkv(tokens).reshape(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # each (B, heads, N, 64)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, count, hidden))
        return out


class _Perceptron(nn.Module):
    """Two layers that treat each token by itself."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(hidden, _MLP * hidden)
        self.fc2 = nn.Linear(_MLP * hidden, hidden)

    def forward(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.fc2(functional.gelu(self.fc1(tokens)))
        return out


class _Block(nn.Module):
    """Attention, then a perceptron, each behind a norm and beside a shortcut."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(hidden, eps=_EPSILON)
        self.attn = _Attention(hidden, heads)
        self.norm2 = nn.LayerNorm(hidden, eps=_EPSILON)
        self.mlp = _Perceptron(hidden)

    def forward(self, tokens: Tensor) -> Tensor:
        mixed = tokens + self.attn(self.norm1(tokens))
        out: Tensor = mixed + self.mlp(self.norm2(mixed))
        return out


def patch_shape(size: Shape) -> Shape:
    """Voxels (z, y, x) of a patch.

    Raises
    ------
    TrainingError
        The size is no multiple of it.
    """
    z, y, x = (_PATCH if side >= _PATCH * _PATCHES else side // _PATCHES for side in size)
    if any(side % patch for side, patch in zip(size, (z, y, x), strict=True)):
        raise TrainingError(f"a ViT takes sides of 4 equal patches, or multiples of {_PATCH} voxels from 64 on, not {size}")
    return z, y, x


def _drawn(*shape: int) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(shape), std=_STANDARD_DEVIATION))
