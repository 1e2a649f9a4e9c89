"""What turns the crop of one vertebra into a vector: 3D ResNets and Swin transformers, of MONAI's layers.

torch and MONAI load with this module; the CT workflow imports it when a bundle is opened.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from monai.networks.blocks.patchembedding import PatchEmbed
from monai.networks.blocks.unetr_block import UnetrBasicBlock
from monai.networks.nets import resnet
from monai.networks.nets.swin_unetr import PatchMerging, SwinTransformerBlock, compute_mask, get_window_size
from torch import Tensor, nn
from torch.nn import functional

from inference.errors import PermanentError

_SWIN_CHANNELS, _SWIN_HEADS, _SWIN_DEPTHS = 48, (3, 6, 12, 24), (2, 2, 2, 2)
SWIN_WINDOW = 7
"""Cells of the grid along each side of an attention window, as in Swin-UNETR."""
_SWIN_PATCH = 2
_CHANNEL_STEP = 12
"""Channels of the first stage are a multiple: three heads of an even number of channels each."""


class SwinEncoder(nn.Module):
    """A 3D Swin transformer (Liu et al. 2021), the encoder of Swin-UNETR: four stages, each of which halves the grid, then a mean.

    MONAI's ``SwinTransformer`` with the same blocks, which moves its axes with einops; Osteon does without that library.

    Parameters
    ----------
    in_channels
        Of the image.
    width
        Factor on the 48 channels of the first stage.
    residual
        Behind the last stage the residual convolutions of Swin-UNETR's bottleneck.
    window
        Side of an attention window in cells. Memory and time of the first stage grow with its sixth power.
    """

    def __init__(self, *, in_channels: int, width: float, residual: bool = False, window: int = SWIN_WINDOW) -> None:
        super().__init__()
        channels = max(1, round(_SWIN_CHANNELS * width / _CHANNEL_STEP)) * _CHANNEL_STEP
        self.patch_embed = PatchEmbed(patch_size=_SWIN_PATCH, in_chans=in_channels, embed_dim=channels, norm_layer=None, spatial_dims=3)  # type: ignore[arg-type]
        self.stages = nn.ModuleList(
            _SwinStage(channels * 2**number, depth, heads, window)
            for number, (depth, heads) in enumerate(zip(_SWIN_DEPTHS, _SWIN_HEADS, strict=True))
        )
        self.features = channels * 2 ** len(_SWIN_DEPTHS)
        self.bottleneck: nn.Module = nn.Identity()
        if residual:
            self.bottleneck = UnetrBasicBlock(3, self.features, self.features, kernel_size=3, stride=1, norm_name="batch", res_block=True)

    def forward(self, image: Tensor) -> Tensor:
        """(B, channels, Z, Y, X) to (B, features)."""
        grid = self.patch_embed(image)  # (B, C, Z/2, Y/2, X/2)
        for stage in self.stages:
            grid = stage(grid)
        last = functional.layer_norm(grid.movedim(1, -1), [self.features]).movedim(-1, 1)  # as Swin-UNETR's proj_out
        vector: Tensor = self.bottleneck(last).mean(dim=(2, 3, 4))
        return vector


class _SwinStage(nn.Module):
    """Blocks with windows in place and shifted by half in turn, then a merging of 2 x 2 x 2 places: (B, C, ...) to (B, 2C, half)."""

    def __init__(self, channels: int, depth: int, heads: int, window: int) -> None:
        super().__init__()
        self.window, self.shift = (window,) * 3, (window // 2,) * 3
        self.blocks = nn.ModuleList(
            SwinTransformerBlock(
                dim=channels, num_heads=heads, window_size=self.window, shift_size=self.shift if number % 2 else (0, 0, 0), qkv_bias=True
            )
            for number in range(depth)
        )
        self.merge = PatchMerging(dim=channels, norm_layer=nn.LayerNorm, spatial_dims=3)

    def forward(self, grid: Tensor) -> Tensor:
        batch, _, *size = grid.shape
        window, shift = get_window_size(tuple(size), self.window, self.shift)  # type: ignore[no-untyped-call]
        padded = [-(-side // step) * step for side, step in zip(size, window, strict=True)]
        mask = compute_mask(padded, window, shift, grid.device)  # type: ignore[no-untyped-call]
        tokens = grid.movedim(1, -1).contiguous()  # (B, Z, Y, X, C)
        for block in self.blocks:
            tokens = block(tokens, mask)
        merged: Tensor = self.merge(tokens.view(batch, *size, -1)).movedim(-1, 1).contiguous()
        return merged


class ResNetEncoder(nn.Module):
    """MONAI's 3D ResNet without its last layer, with the stem of the 2D original (He et al. 2016): 7 x 7 x 7 in steps of 2, a max pool."""

    def __init__(self, make: Callable[..., nn.Module], *, in_channels: int, width: float) -> None:
        super().__init__()
        plain: dict[str, Any] = {"spatial_dims": 3, "conv1_t_size": 7, "conv1_t_stride": 2, "shortcut_type": "B", "bias_downsample": False}
        self.body = make(**plain, n_input_channels=in_channels, widen_factor=width, feed_forward=False)
        self.features = int(512 * width)

    def forward(self, image: Tensor) -> Tensor:
        """(B, channels, Z, Y, X) to (B, features)."""
        vector: Tensor = self.body(image)
        return vector


def _resnet18(channels: int, width: float, _: int) -> nn.Module:
    return ResNetEncoder(resnet.resnet18, in_channels=channels, width=width)


def _resnet34(channels: int, width: float, _: int) -> nn.Module:
    return ResNetEncoder(resnet.resnet34, in_channels=channels, width=width)


def _swint(channels: int, width: float, window: int) -> nn.Module:
    return SwinEncoder(in_channels=channels, width=width, window=window)


def _swin_unetr(channels: int, width: float, window: int) -> nn.Module:
    return SwinEncoder(in_channels=channels, width=width, residual=True, window=window)


ENCODERS: Mapping[str, Callable[[int, float, int], nn.Module]] = MappingProxyType(
    {"resnet18": _resnet18, "resnet34": _resnet34, "swint": _swint, "swin_unetr": _swin_unetr}
)
"""By name: (input channels, width, attention window) to a module from (B, channels, Z, Y, X) to (B, features), which has ``features``."""


def build_encoder(name: str, *, in_channels: int = 1, width: float = 1.0, attention_window: int = SWIN_WINDOW) -> nn.Module:
    """An encoder with fresh weights.

    Parameters
    ----------
    name
        One of :data:`ENCODERS`.
    width
        Factor on the channels of every layer; 1 is the original.
    attention_window
        Of a Swin transformer; nothing to others.

    Raises
    ------
    PermanentError
        There is no such encoder, the width leaves it no channel, or the window is none.
    """
    if name not in ENCODERS:
        raise PermanentError(f"there is no encoder {name!r} of a vertebra; there are {', '.join(ENCODERS)}")
    if in_channels < 1 or not 1 / 64 <= width <= 4:
        raise PermanentError(f"an encoder takes at least one channel and a width of 1/64 to 4, not {in_channels} and {width:g}")
    if not 2 <= attention_window <= 16:
        raise PermanentError(f"an attention window has 2 to 16 cells along a side, not {attention_window}")
    return ENCODERS[name](in_channels, width, attention_window)
