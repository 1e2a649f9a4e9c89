"""The 21-layer CNN of Naeem et al. 2025 (Front. Comput. Neurosci. 19:1712896), Table 4: a crop of a spine DXA image to two logits.

Importing this module loads torch; nothing that the receiver imports may do so. The network ends in logits; :func:`probabilities` gives
the softmax of the paper's text or the sigmoid of its table.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from inference.errors import OsteonError

Output = Literal["softmax", "sigmoid"]

SIZE = (150, 150)
"""Height and width of its input."""
FILTERS = (32, 64, 128, 64, 128, 512, 512)
"""Of the seven convolutions at width 1."""
UNITS = 64
"""Of the first dense layer at width 1."""
POOLED = (2, 3, 4, 5, 6)
"""Convolutions that a pooling layer follows, from 0: the first three stand together."""
DROPOUT = 0.2
_FLAT = 4
"""Pixels that are left of 150 x 150: 2 x 2."""


class Cnn21(nn.Module):
    """Table 4: seven convolutions of 3 x 3 without padding, five poolings, six dropouts, flattening, two dense layers.

    First weights are Keras' (Glorot uniform, biases 0), as the paper says, and the last map is flattened in Keras' order (rows, columns,
    filters), so that a network trained there can be taken over by transposing its kernels.

    Parameters
    ----------
    spatial_dims
        2; the images have two axes.
    in_channels
        3 in the paper: grey repeated.
    classes
        Logits: normal, osteoporosis.
    width
        Factor on all filters and on the first dense layer's units; 1 is the paper's 3,322,306 parameters.

    Raises
    ------
    ValueError
        Another number of axes, no channel or class, or a width that leaves no filter.
    """

    def __init__(self, *, spatial_dims: int = 2, in_channels: int = 3, classes: int = 2, width: float = 1.0) -> None:
        super().__init__()
        if spatial_dims != len(SIZE):
            raise ValueError(f"the 21-layer CNN takes images of two axes, not of {spatial_dims}")
        filters, units = [round(width * count) for count in FILTERS], round(width * UNITS)
        if in_channels < 1 or classes < 2 or min(*filters, units) < 1:
            raise ValueError(f"{in_channels} channels, {classes} classes and a width of {width} make no network")
        layers: list[nn.Module] = []
        reached = in_channels
        for number, count in enumerate(filters):
            layers += [nn.Conv2d(reached, count, 3), nn.ReLU()]
            if number in POOLED:
                layers += [nn.MaxPool2d(2), nn.Dropout(DROPOUT)]
            reached = count
        self.features = nn.Sequential(*layers)
        self.dense = nn.Linear(_FLAT * reached, units)
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(units, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, classes) of an image (B, channels, 150, 150)."""
        logits: Tensor = self.head(self.dropout(torch.relu(self.dense(self.flat(image)))))
        return logits

    def flat(self, image: Tensor) -> Tensor:
        """The last map (B, 2, 2, filters) as a vector (B, 4 * filters)."""
        found: Tensor = self.features(image)
        return found.permute(0, 2, 3, 1).flatten(1)


def probabilities(logits: Tensor, temperature: float = 1.0, output: Output = "softmax") -> Tensor:
    """Probabilities (B, classes) of logits (B, classes), calibrated by a temperature (Guo et al. 2017).

    ``softmax`` is the paper's text; ``sigmoid`` its Table 4: each class by itself, here divided by their sum so that they add to 1.

    Raises
    ------
    OsteonError
        The temperature is not positive.
    """
    if not temperature > 0:
        raise OsteonError(f"a temperature is positive, not {temperature}")
    scaled = logits / temperature
    if output == "softmax":
        return torch.softmax(scaled, dim=1)
    alone = torch.sigmoid(scaled)
    return alone / alone.sum(dim=1, keepdim=True)
