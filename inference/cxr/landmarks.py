"""Landmarks of a chest radiograph by a topology-adapting graph network (Li et al. 2020, Deep Adaptive Graph).

A graph's nodes are the landmarks; every node is joined to every other, and how strongly is learnt. A node's signal is what the image shows
where the landmark is thought to be, and how the others lie from there. It begins with the mean shape: a global step moves the whole shape
by one affine map, then local steps move each landmark, looking again after each. Torch loads here.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from inference.networks2d import backbone as make_backbone

STEPS = 3
"""T of the paper: local steps, which share their weights."""


class FeaturePyramid(nn.Module):
    """One map of a backbone's finest used stage that has seen the coarser ones (Lin et al. 2017): 1 x 1 convolutions, summed upwards."""

    def __init__(self, name: str, *, in_channels: int, width: float, channels: int) -> None:
        super().__init__()
        self.backbone = make_backbone(name, in_channels=in_channels, width=width, batch_norm=True)
        # A VGG begins at full resolution, where a map costs most and says least: its last three stages have the strides 4, 8 and 16.
        self._first = 2 if name.startswith("vgg") else 0
        self.lateral = nn.ModuleList(nn.Conv2d(inputs, channels, 1) for inputs in self.backbone.stage_channels[self._first :])
        self.smooth = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W) to (B, channels, H / 4, W / 4)."""
        stages = self.backbone.pyramid(image)[self._first :]
        maps = [convolve(stage) for convolve, stage in zip(self.lateral, stages, strict=True)]
        found: Tensor = maps[-1]
        for finer in reversed(maps[:-1]):
            found = finer + functional.interpolate(found, size=finer.shape[-2:], mode="bilinear", align_corners=False)
        smoothed: Tensor = self.smooth(torch.relu(found))
        return smoothed


class GraphLayer(nn.Module):
    """f_i <- W1 f_i + sum_j e_ij W2 f_j (Li et al. 2020), with edges e_ij that are learnt and belong to no image."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.own = nn.Linear(inputs, outputs)
        self.others = nn.Linear(inputs, outputs, bias=False)

    def forward(self, signal: Tensor, edges: Tensor) -> Tensor:
        """(B, N, inputs) and (N, N) to (B, N, outputs)."""
        found: Tensor = self.own(signal) + edges @ self.others(signal)
        return found


class GraphNetwork(nn.Module):
    """Graph layers with a ReLU between them, and a last linear one."""

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int) -> None:
        super().__init__()
        sizes = (inputs, *hidden)
        self.layers = nn.ModuleList(GraphLayer(a, b) for a, b in pairwise(sizes))
        self.last = nn.Linear(sizes[-1], outputs)
        # The first answer is "stay where you are": the mean shape, as it is.
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, signal: Tensor, edges: Tensor, *, pooled: bool = False) -> Tensor:
        """(B, N, inputs) to (B, N, outputs), or to (B, outputs) of the mean over the nodes."""
        for layer in self.layers:
            signal = torch.relu(layer(signal, edges))
        found: Tensor = self.last(signal.mean(dim=1) if pooled else signal)
        return found


class LandmarkGraph(nn.Module):
    """The detector.

    Parameters
    ----------
    out_channels
        Twice the number of landmarks N.
    backbone, width
        Of :func:`inference.networks2d.backbone`. The paper's is HRNet-18, which keeps a fine map while it looks at coarse ones; a ResNet
        with a feature pyramid does so, too.
    embedding
        What a node keeps of the image at its place.
    hidden
        Sizes of the graph layers.
    """

    def __init__(
        self,
        *,
        spatial_dims: int = 2,
        in_channels: int = 1,
        out_channels: int = 32,
        backbone: str = "resnet18",
        width: float = 1.0,
        pyramid: int = 64,
        embedding: int = 32,
        hidden: Sequence[int] = (64, 16),
        steps: int = STEPS,
    ) -> None:
        super().__init__()
        if spatial_dims != 2 or out_channels < 4 or out_channels % 2 or steps < 1 or not hidden:
            raise ValueError("landmarks lie in two dimensions, there are at least two, and a graph has at least one layer and one step")
        count = out_channels // 2
        self.steps = steps
        self.maps = FeaturePyramid(backbone, in_channels=in_channels, width=width, channels=pyramid)
        self.look = nn.Linear(pyramid, embedding)
        self.edges = nn.Parameter(torch.full((count, count), 1.0 / count))
        self.whole = GraphNetwork(embedding + 2 * count, hidden, 6)
        self.local = GraphNetwork(embedding + 2 * count, hidden, 2)
        self.register_buffer("initial", torch.rand(count, 2, generator=torch.Generator().manual_seed(0)))

    initial: Tensor

    def set_initial(self, shape: Tensor) -> None:
        """Begin with the mean shape of the training films: (N, 2) row and column as fractions of the image."""
        self.initial.copy_(shape)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 2N): row and column of each landmark in turn, as fractions of the image's height and width."""
        return self.path(image)[-1].flatten(1)

    def path(self, image: Tensor) -> tuple[Tensor, ...]:
        """The shapes (B, N, 2) after the global step and after each local one."""
        features = self.maps(image)
        shape = self.initial.expand(image.shape[0], -1, -1)
        found = [moved(shape, self.whole(self.signal(features, shape), self.edges, pooled=True))]
        for _ in range(self.steps):
            # Each step learns from its own error: what came before is taken as given.
            shape = found[-1].detach()
            found.append(shape + self.local(self.signal(features, shape), self.edges))
        return tuple(found)

    def signal(self, features: Tensor, shape: Tensor) -> Tensor:
        """What each node knows, (B, N, embedding + 2N): the map at its place, and the way to all others.

        Parameters
        ----------
        features
            (B, F, H, W).
        shape
            (B, N, 2) fractions.
        """
        places = (2 * shape.flip(-1) - 1).unsqueeze(2)  # grid_sample wants (x, y) from -1 to 1
        seen = functional.grid_sample(features, places, padding_mode="border", align_corners=False)  # (B, F, N, 1)
        ways = shape.unsqueeze(1) - shape.unsqueeze(2)  # (B, N, N, 2): to the node of the third axis
        return torch.cat([self.look(seen.squeeze(-1).transpose(1, 2)), ways.flatten(2)], dim=2)


def moved(shape: Tensor, change: Tensor) -> Tensor:
    """An affine map of (B, N, 2) about its centre: ``change`` (B, 6) is what the map differs by from staying, rows of (2, 3)."""
    matrix = change.view(-1, 2, 3)
    middle = shape.mean(dim=1, keepdim=True)
    away = shape - middle
    return shape + away @ matrix[:, :, :2].transpose(1, 2) + matrix[:, :, 2].unsqueeze(1)
