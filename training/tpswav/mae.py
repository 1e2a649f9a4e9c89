"""Masked autoencoder (He et al. 2022) of volumes, the baseline for a ViT: three quarters of the patches are hidden and painted again."""

import torch
from torch import Tensor, nn

from training.errors import TrainingError
from training.medconv.networks.transformer import patch_shape
from training.tpswav.glcm import Triple
from training.tpswav.networks import VitEncoder

HIDDEN_SHARE = 0.75
_DECODER_LAYERS, _DECODER_CHANNELS, _DECODER_HEADS = 8, 512, 16
_SMALL_VARIANCE = 1e-6


class MaskedAutoencoder(nn.Module):
    """A ViT that sees a quarter of the patches, and a decoder that paints the rest.

    Parameters
    ----------
    encoder
        A ViT; what it learns is what is kept.
    size
        Voxels (z, y, x) of the image.
    width
        Factor on the decoder's channels; 1 is the original's (8 layers of 512 channels).
    """

    def __init__(self, encoder: VitEncoder, size: Triple, *, width: float = 1.0) -> None:
        super().__init__()
        self.encoder = encoder
        self.patch = patch_shape(size)
        count = (size[0] // self.patch[0]) * (size[1] // self.patch[1]) * (size[2] // self.patch[2])
        heads = max(1, round(_DECODER_HEADS * width))
        channels = heads * (_DECODER_CHANNELS // _DECODER_HEADS)
        self.entry = nn.Linear(encoder.features, channels)
        self.hidden = nn.Parameter(torch.zeros(1, 1, channels))
        self.places = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1 + count, channels), std=0.02))
        layer = nn.TransformerEncoderLayer(channels, heads, 4 * channels, 0.0, "gelu", batch_first=True, norm_first=True)
        self.decoder = nn.TransformerEncoder(layer, _DECODER_LAYERS, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(channels)
        self.exit = nn.Linear(channels, self.patch[0] * self.patch[1] * self.patch[2])

    def forward(self, image: Tensor, order: Tensor) -> Tensor:
        """Painted patches (B, N, voxels) of images (B, 1, Z, Y, X).

        Parameters
        ----------
        order
            (B, N): places of the patches, the ones that are seen first.
        """
        seen = order[:, : seen_count(order.shape[1])]
        body = self.encoder.body
        tokens = body.patch_embed(image) + body.pos_embed[:, 1:]  # (B, N, C)
        kept = torch.gather(tokens, 1, seen[:, :, None].expand(-1, -1, tokens.shape[2]))
        first = (body.cls_token + body.pos_embed[:, :1]).expand(image.shape[0], -1, -1)
        inside = self.entry(body.norm(body.blocks(torch.cat([first, kept], dim=1))))
        spread = self.hidden.expand(image.shape[0], order.shape[1], -1).scatter(
            1, seen[:, :, None].expand(-1, -1, inside.shape[2]), inside[:, 1:].to(self.hidden.dtype)
        )
        everything = torch.cat([inside[:, :1], spread], dim=1) + self.places
        painted: Tensor = self.exit(self.norm(self.decoder(everything)))[:, 1:]
        return painted


def seen_count(patches: int) -> int:
    """Patches that the encoder sees."""
    return max(1, round(patches * (1 - HIDDEN_SHARE)))


def patches_of(image: Tensor, patch: Triple) -> Tensor:
    """(B, 1, Z, Y, X) to (B, N, voxels of a patch), in the order of the ViT's tokens.

    Raises
    ------
    TrainingError
        The image is no multiple of the patch.
    """
    batch, _, *size = image.shape
    if any(side % step for side, step in zip(size, patch, strict=True)):
        raise TrainingError(f"an image of {tuple(size)} voxels cannot be cut into patches of {patch}")
    (z, y, x), (pz, py, px) = (side // step for side, step in zip(size, patch, strict=True)), patch
    boxes = image.reshape(batch, z, pz, y, py, x, px).permute(0, 1, 3, 5, 2, 4, 6)
    return boxes.reshape(batch, z * y * x, pz * py * px)


def painting_loss(painted: Tensor, image: Tensor, order: Tensor, patch: Triple) -> Tensor:
    """Mean squared error of the hidden patches, each true patch first brought to mean 0 and deviation 1."""
    truth = patches_of(image, patch)
    mean, variance = truth.mean(dim=2, keepdim=True), truth.var(dim=2, keepdim=True)
    wanted = (truth - mean) / (variance + _SMALL_VARIANCE).sqrt()
    error = (painted - wanted).square().mean(dim=2)  # (B, N)
    return torch.gather(error, 1, order[:, seen_count(order.shape[1]) :]).mean()
