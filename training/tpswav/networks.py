"""The networks of pretraining: an encoder with SwAV's projection, prototypes and queue; and what takes pretrained encoders up."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from inference.ct.vertebra_encoder import ENCODERS, SWIN_WINDOW, build_encoder
from training.errors import TrainingError
from training.loop.checkpoint import load_weights
from training.medconv.networks.transformer import VisionTransformer
from training.tpswav.glcm import Triple

VIT = "vit"
BACKBONES = (*ENCODERS, VIT)
"""What can be pretrained and fine-tuned; the node runs all but the ViT, which is a baseline."""
SWIN = ("swint", "swin_unetr")
"""Those of them that attend in windows."""
ENCODER_PREFIX = "encoder."


class VitEncoder(nn.Module):
    """The class token of a 3D ViT as the vertebra's vector: (B, channels, Z, Y, X) to (B, features)."""

    def __init__(self, *, in_channels: int, width: float, size: Triple) -> None:
        super().__init__()
        self.body = VisionTransformer(classes=1, channels=in_channels, width=width, size=size)
        self.features = self.body.head.in_features
        self.body.head = nn.Identity()  # type: ignore[assignment]

    def forward(self, image: Tensor) -> Tensor:
        return self.body.token(image)


def make_encoder(name: str, *, width: float, size: Triple, in_channels: int = 1, attention_window: int = SWIN_WINDOW) -> nn.Module:
    """An encoder by name of :data:`BACKBONES`, with its ``features`` as an attribute.

    Raises
    ------
    TrainingError
        There is no such encoder.
    PermanentError
        The width leaves it no channel.
    """
    if name not in BACKBONES:
        raise TrainingError(f"there is no backbone {name!r}; there are {', '.join(BACKBONES)}")
    if name == VIT:
        return VitEncoder(in_channels=in_channels, width=width, size=size)
    return build_encoder(name, in_channels=in_channels, width=width, attention_window=attention_window)


@dataclass(frozen=True, kw_only=True)
class SwavOptions:
    """SwAV's own knobs. Those that the paper does not give are SwAV's, but for fewer prototypes: a batch has 32 vertebrae, not 4096 images.

    Attributes
    ----------
    prototypes, projection
        K, and the length of a projected view.
    temperature, epsilon, iterations
        tau of the loss; smoothness and rounds of Sinkhorn-Knopp.
    diversity
        Weight of the prototypes' diversity.
    queue
        Earlier views beside which a batch is assigned, once there are so many; 0 for none. They are never predicted.
    """

    prototypes: int = 64
    projection: int = 128
    temperature: float = 0.1
    epsilon: float = 0.05
    iterations: int = 3
    diversity: float = 0.1
    queue: int = 0

    def __post_init__(self) -> None:
        if self.prototypes < 2 or self.projection < 2 or self.queue < 0 or self.diversity < 0:
            raise TrainingError("SwAV needs two prototypes, two projected channels, and no negative queue or weight")
        if min(self.temperature, self.epsilon) <= 0 or self.iterations < 1:
            raise TrainingError("temperature and epsilon are positive, and Sinkhorn-Knopp has at least one round")


class SwavNetwork(nn.Module):
    """Encoder, projection (two layers, then unit length), prototypes of unit length, and the queue, which a checkpoint then holds too.

    Parameters
    ----------
    encoder
        (B, 1, Z, Y, X) to (B, features).
    """

    def __init__(self, encoder: nn.Module, options: SwavOptions) -> None:
        super().__init__()
        self.encoder = encoder
        features = int(encoder.features)  # type: ignore[arg-type]
        self.projection = nn.Sequential(
            nn.Linear(features, features), nn.BatchNorm1d(features), nn.ReLU(), nn.Linear(features, options.projection)
        )
        self.prototypes = nn.Parameter(functional.normalize(torch.randn(options.prototypes, options.projection), dim=1))
        self.queue: Tensor
        self.queued: Tensor
        self.register_buffer("queue", torch.zeros(2, options.queue, options.projection))
        self.register_buffer("queued", torch.zeros((), dtype=torch.long))

    def project(self, view: Tensor) -> Tensor:
        """Projected views (B, D) of unit length of views (B, 1, Z, Y, X)."""
        return functional.normalize(self.projection(self.encoder(view)), dim=1)

    def scores(self, projected: Tensor) -> Tensor:
        """Similarities (B, K) of projected views (B, D) and prototypes, in -1 .. 1."""
        return projected @ functional.normalize(self.prototypes, dim=1).T

    @property
    def queue_is_full(self) -> bool:
        """Whether earlier views fill the queue."""
        return self.queue.shape[1] > 0 and int(self.queued) >= self.queue.shape[1]

    @torch.no_grad()
    def remember(self, first: Tensor, second: Tensor) -> None:
        """Put the projected views (B, D) of a batch before those that are queued; the oldest fall out."""
        size = self.queue.shape[1]
        if size == 0:
            return
        for row, views in enumerate((first, second)):
            self.queue[row] = torch.cat([views.detach(), self.queue[row]])[:size]
        self.queued += first.shape[0]

    def forward(self, view: Tensor) -> Tensor:
        """Similarities (B, K) of views (B, 1, Z, Y, X)."""
        return self.scores(self.project(view))


def load_encoder(encoder: nn.Module, weights: Path) -> None:
    """Give an encoder the weights that pretraining left in a file.

    Raises
    ------
    TrainingError
        The file cannot be read, or holds no encoder of these layers.
    """
    state = {name.removeprefix(ENCODER_PREFIX): tensor for name, tensor in load_weights(weights).items() if name.startswith(ENCODER_PREFIX)}
    try:
        encoder.load_state_dict(state)
    except RuntimeError as error:
        told = str(error).splitlines()[0]
        raise TrainingError(f"{weights} does not hold the encoder that is wanted ({told}); backbone and width must be the same") from error
