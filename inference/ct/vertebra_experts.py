"""A mixture of device experts with three tasks, for one vertebra (Opportunistic osteoporosis diagnosis ..., TP-SwAV paper, section 2.2).

Each expert reads the image's embedding P and says three things: osteoporosis or not, areal density, and the vertebra's position. A gate
weighs the experts by the image and by the densitometer whose scale is wanted, alpha = softmax(f_g(P + D)) (equation 2), and the output is
the weighted sum of what they say (equation 3). The densitometer's embedding D acts through the gate alone.

What the paper leaves open: an expert is one linear layer for each task, so that one expert is a plain head; the gate has one hidden layer;
density is learned in standard deviations of the training part, and said in g/cm2 by a mean and a deviation that travel with the weights.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from inference.ct.vertebra_encoder import SWIN_WINDOW, build_encoder
from inference.errors import PermanentError

POSITIONS = (*(f"T{n}" for n in range(1, 13)), *(f"L{n}" for n in range(1, 7)))
"""The 18 classes of the position head, head to foot."""
NEGATIVE, POSITIVE = 0, 1
"""Indices of the diagnosis's two logits."""
OUTPUTS = ("not_osteoporosis_logit", "osteoporosis_logit", "bmd_g_cm2", *(f"position_{level.lower()}_logit" for level in POSITIONS))
"""The flat output, in order: two logits, the density, 18 logits."""
_BMD = 2
_GATE_PART = 4
"""The gate's hidden layer has this part of the embedding's channels."""


class Reading(NamedTuple):
    """What is said of a batch of vertebrae: logits (B, 2), g/cm2 (B,), logits (B, 18), and the experts' weights (B, experts)."""

    diagnosis: Tensor
    bmd_g_cm2: Tensor
    position: Tensor
    gates: Tensor


class DeviceExperts(nn.Module):
    """Gate and experts behind an encoder.

    Parameters
    ----------
    features
        Channels of the embedding.
    outputs
        Of each expert.
    experts
        One is a plain head: its weight is 1, whatever the gate says.
    devices
        Densitometers that the gate can tell apart.
    """

    def __init__(self, features: int, outputs: int, *, experts: int, devices: int) -> None:
        super().__init__()
        hidden = max(1, features // _GATE_PART)
        self.devices = nn.Embedding(devices, features)
        self.gate = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, experts))
        self.experts = nn.ModuleList(nn.Linear(features, outputs) for _ in range(experts))

    def weights(self, embedding: Tensor, device: Tensor) -> Tensor:
        """(B, experts), each row summing to 1, of embeddings (B, features) and device indices (B,). Equation 2."""
        return torch.softmax(self.gate(embedding + self.devices(device)), dim=1)

    def forward(self, embedding: Tensor, device: Tensor) -> tuple[Tensor, Tensor]:
        """(B, outputs), the weighted sum of the experts, and their weights (B, experts). Equation 3."""
        gates = self.weights(embedding, device)
        said = torch.stack([expert(embedding) for expert in self.experts], dim=1)  # (B, experts, outputs)
        return (gates[:, :, None] * said).sum(dim=1), gates


class VertebraExperts(nn.Module):
    """Encoder, gate and experts.

    Parameters
    ----------
    spatial_dims, out_channels
        3, and the length of :data:`OUTPUTS`; they stand in a bundle's definition and are checked.
    in_channels
        Of the image.
    backbone, width
        Of :data:`inference.ct.vertebra_encoder.ENCODERS`.
    experts, devices
        The paper has three of each.
    attention_window
        Of a Swin backbone (:func:`inference.ct.vertebra_encoder.build_encoder`).
    encoder
        In the place of the backbone: a module from (B, channels, Z, Y, X) to (B, features) with ``features`` as an attribute. A bundle
        cannot give one.

    Raises
    ------
    PermanentError
        The arguments ask for another network than this is.
    """

    def __init__(
        self,
        *,
        spatial_dims: int = 3,
        in_channels: int = 1,
        out_channels: int = len(OUTPUTS),
        backbone: str = "resnet34",
        width: float = 1.0,
        experts: int = 3,
        devices: int = 3,
        attention_window: int = SWIN_WINDOW,
        encoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if spatial_dims != 3 or out_channels != len(OUTPUTS):
            raise PermanentError(f"the experts read volumes and say {len(OUTPUTS)} numbers, not {out_channels} of {spatial_dims} axes")
        if experts < 1 or devices < 1:
            raise PermanentError("there is at least one expert and one densitometer")
        if encoder is None:
            encoder = build_encoder(backbone, in_channels=in_channels, width=width, attention_window=attention_window)
        self.encoder = encoder
        self.mixture = DeviceExperts(int(self.encoder.features), len(OUTPUTS), experts=experts, devices=devices)  # type: ignore[arg-type]
        self.bmd_mean: Tensor
        self.bmd_sd: Tensor
        self.register_buffer("bmd_mean", torch.tensor(1.0))
        self.register_buffer("bmd_sd", torch.tensor(1.0))

    def read(self, image: Tensor, device: Tensor | None = None) -> Reading:
        """What is said of vertebrae (B, channels, Z, Y, X) on the scale of densitometers by index (B,).

        None takes the first densitometer for all: an estimate is always on the scale of one, and whoever reports it must name it.
        """
        embedding = self.encoder(image)  # (B, features)
        if device is None:
            device = torch.zeros(image.shape[0], dtype=torch.long, device=image.device)
        flat, gates = self.mixture(embedding, device)
        bmd = self.bmd_mean + self.bmd_sd * flat[:, _BMD]
        return Reading(diagnosis=flat[:, :_BMD], bmd_g_cm2=bmd, position=flat[:, _BMD + 1 :], gates=gates)

    def forward(self, image: Tensor, device: Tensor | None = None) -> Tensor:
        """The numbers of :data:`OUTPUTS`, (B, 21)."""
        said = self.read(image, device)
        return torch.cat([said.diagnosis, said.bmd_g_cm2[:, None], said.position], dim=1)
