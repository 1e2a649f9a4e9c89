"""The Attentive Multi-ROI network: regions of one chest radiograph in, bone mineral density of one vertebra out.

Wang et al., Lumbar Bone Mineral Density Estimation from Chest X-ray Images: Anatomy-aware Attentive Multi-ROI Modeling.

Each region goes by itself through a shared backbone and is averaged to a feature f_i. What joins the features is the ``fusion``: attention
(equations 1 to 8), concatenation (the paper's Multi-ROI and Multi-Patch), or nothing (Baseline: one region). A bundle holds several such
networks at once, one for each vertebra and fold. Torch loads here; callers import this module where they need a network.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from inference.networks2d import backbone as make_backbone

Fusion = Literal["attention", "concatenation", "none"]

LAYERS, HEADS = 6, 6
"""L and k of the paper."""


class SelfAttention(nn.Module):
    """Multi-head self-attention, equations 5 to 8.

    512 is not divisible by six: D_h = D // k = 85, so that U_msa maps 510 features back to 512.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim < heads:
            raise ValueError(f"{dim} features cannot be shared out among {heads} heads")
        self.heads = heads
        self.head_dim = dim // heads
        self.qkv = nn.Linear(dim, 3 * heads * self.head_dim, bias=False)
        self.join = nn.Linear(heads * self.head_dim, dim)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, D) to (B, N, D) and the weights A (B, heads, N, N), whose rows sum to one."""
        batch, count, _ = z.shape
        q, k, v = self.qkv(z).view(batch, count, 3, self.heads, self.head_dim).permute(2, 0, 3, 1, 4)  # each (B, heads, N, D_h)
        weights = torch.softmax(q @ k.transpose(-2, -1) / self.head_dim**0.5, dim=-1)
        joined = (weights @ v).transpose(1, 2).reshape(batch, count, self.heads * self.head_dim)
        return self.join(joined), weights


class EncoderLayer(nn.Module):
    """Equations 2 and 3: attention, then two linear layers with a GELU, each after a layer norm and beside a shortcut."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, D) to (B, N, D), and the attention's weights."""
        refined, weights = self.attention(self.norm1(z))
        z = refined + z
        return self.mlp(self.norm2(z)) + z, weights


class Encoder(nn.Module):
    """Equations 1 and 4: the bmd token and N features with learnt positions, L layers, and the mean of the N refined features.

    The token takes part in the attention and is left out of the mean.
    """

    def __init__(self, regions: int, dim: int, *, layers: int = LAYERS, heads: int = HEADS) -> None:
        super().__init__()
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.positions = nn.Parameter(0.02 * torch.randn(1, regions + 1, dim))
        self.layers = nn.ModuleList(EncoderLayer(dim, heads, max(1, dim // 2)) for _ in range(layers))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, D) to (B, D) and the weights of all layers (B, L, heads, N + 1, N + 1)."""
        z = torch.cat([self.token.expand(features.shape[0], -1, -1), features], dim=1) + self.positions
        found = []
        for layer in self.layers:
            z, weights = layer(z)
            found.append(weights)
        return z[:, 1:].mean(dim=1), torch.stack(found, dim=1)


def _regressor(inputs: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, 1))


def taken_from(weights: Tensor) -> Tensor:
    """How much regions take from each region: the weights (B, L, heads, N + 1, N + 1) of an encoder to (B, N), rows sum to one."""
    taken = weights[..., 1:, 1:].mean(dim=(1, 2, 3))
    shares: Tensor = taken / taken.sum(dim=1, keepdim=True)
    return shares


class RegionRegression(nn.Module):
    """One vertebra's density from the regions of a film.

    Parameters
    ----------
    regions
        N: 15 of the paper's proposed network, 14 of bone and the whole film.
    backbone, width, batch_norm
        Of :func:`inference.networks2d.backbone`; D, the size of a feature, is what it ends with (512 for a VGG at width 1). The layers that
        follow have the sizes with which the paper's parameters add up: D / 2 between the two layers of a regressor and of the MLP.
    local
        A regressor for each region beside the global one. They serve training alone; a bundle leaves them out.
    """

    def __init__(
        self,
        regions: int,
        *,
        backbone: str = "vgg16",
        fusion: Fusion = "attention",
        width: float = 1.0,
        batch_norm: bool = False,
        layers: int = LAYERS,
        heads: int = HEADS,
        local: bool = True,
    ) -> None:
        super().__init__()
        if fusion not in ("attention", "concatenation", "none"):
            raise ValueError(f"there is no fusion {fusion!r}; there are attention, concatenation and none")
        if regions < 1 or (fusion == "none" and regions != 1):
            raise ValueError(f"a network without fusion sees one region, others at least one; not {regions}")
        self.regions = regions
        self.backbone = make_backbone(backbone, in_channels=1, width=width, batch_norm=batch_norm)
        dim = self.backbone.out_channels
        self.encoder = Encoder(regions, dim, layers=layers, heads=heads) if fusion == "attention" else None
        self.overall = _regressor(dim * regions if fusion == "concatenation" else dim, max(1, dim // 2))
        with_local = local and fusion != "none"
        self.local = nn.ModuleList(_regressor(dim, max(1, dim // 2)) for _ in range(regions)) if with_local else None
        self.register_buffer("scale", torch.tensor([0.0, 1.0]))

    scale: Tensor

    def set_scale(self, mean: float, sd: float) -> None:
        """Let an output of 0 mean ``mean`` g/cm² and one of 1 ``sd`` more: what is learnt is then of the order of one."""
        self.scale.copy_(torch.tensor([mean, sd]))

    def features(self, regions: Tensor) -> Tensor:
        """(B, N, H, W) to f (B, N, D)."""
        batch, count, height, width = regions.shape
        maps = self.backbone(regions.reshape(batch * count, 1, height, width))
        found: Tensor = maps.mean(dim=(2, 3)).view(batch, count, -1)
        return found

    def forward(self, regions: Tensor) -> Tensor:
        """(B, N, H, W) to (B, 1), g/cm²: the global regressor's."""
        return self._in_unit(self._overall(self.features(regions)))

    def with_local(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """The global (B, 1) and the local (B, N) estimates, g/cm²; (B, 0) where there are no local regressors."""
        f = self.features(regions)
        overall = self._in_unit(self._overall(f))
        if self.local is None:
            return overall, f.new_zeros((f.shape[0], 0))
        parts = [regress(f[:, index]) for index, regress in enumerate(self.local)]
        return overall, self._in_unit(torch.cat(parts, dim=1))

    def attention(self, regions: Tensor) -> Tensor:
        """How much the other features take from each region: (B, N), rows sum to one.

        The mean of A over layers, heads and the N regions that look; what goes to the bmd token is left out.

        Raises
        ------
        ValueError
            The network has another fusion.
        """
        if self.encoder is None:
            raise ValueError("a network that does not attend has no attention to show")
        return taken_from(self.encoder(self.features(regions))[1])

    def with_attention(self, regions: Tensor) -> tuple[Tensor, Tensor | None]:
        """:meth:`forward` and :meth:`attention` with one look at the regions; None in place of the latter where nothing attends."""
        f = self.features(regions)
        if self.encoder is None:
            return self._in_unit(self._overall(f)), None
        joined, weights = self.encoder(f)
        return self._in_unit(self.overall(joined)), taken_from(weights)

    def _overall(self, f: Tensor) -> Tensor:
        joined: Tensor = self.encoder(f)[0] if self.encoder is not None else f.flatten(1)
        found: Tensor = self.overall(joined)
        return found

    def _in_unit(self, value: Tensor) -> Tensor:
        return self.scale[0] + self.scale[1] * value


class DensityEnsemble(nn.Module):
    """Networks side by side that see the same regions: what a bundle holds.

    Parameters
    ----------
    in_channels
        Regions.
    out_channels
        Networks; the bundle's targets say which vertebra and fold each is.
    """

    def __init__(
        self,
        *,
        spatial_dims: int = 2,
        in_channels: int = 15,
        out_channels: int = 1,
        backbone: str = "vgg16",
        fusion: Fusion = "attention",
        width: float = 1.0,
        batch_norm: bool = False,
        layers: int = LAYERS,
        heads: int = HEADS,
    ) -> None:
        super().__init__()
        if spatial_dims != 2 or out_channels < 1:
            raise ValueError(f"films have two axes, and there is at least one network; not {spatial_dims} and {out_channels}")
        given = {"backbone": backbone, "width": width, "batch_norm": batch_norm, "layers": layers, "heads": heads}
        self.members = nn.ModuleList(
            RegionRegression(in_channels, fusion=fusion, local=False, **given)  # type: ignore[arg-type]
            for _ in range(out_channels)
        )

    def forward(self, regions: Tensor) -> Tensor:
        """(B, N, H, W) to (B, networks), g/cm²."""
        return torch.cat([member(regions) for member in self.members], dim=1)

    def attention(self, regions: Tensor) -> Tensor:
        """:meth:`RegionRegression.attention` of all networks, (B, networks, N)."""
        found = [member.attention(regions) for member in self.members if isinstance(member, RegionRegression)]
        return torch.stack(found, dim=1)

    def with_attention(self, regions: Tensor) -> tuple[Tensor, Tensor | None]:
        """:meth:`forward` and :meth:`attention` of all networks, each of which looks once; None where they do not attend."""
        said: list[Tensor] = []
        shares: list[Tensor] = []
        for member in self.members:
            if isinstance(member, RegionRegression):
                value, taken = member.with_attention(regions)
                said.append(value)
                shares += [] if taken is None else [taken]
        return torch.cat(said, dim=1), torch.stack(shares, dim=1) if shares else None
