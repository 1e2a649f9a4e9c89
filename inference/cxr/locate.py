"""From a film to its landmarks: the square that the graph network is given, and back from its answer to pixels."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference.cxr.regions import crop_regions
from inference.cxr.rois import LANDMARKS, Floats, Images, mirrored

if TYPE_CHECKING:  # torch takes two seconds to load
    from torch import nn

SIZE = 256
"""Rows and columns of the square: 1.6 mm a pixel on a film of 40 cm."""
TARGETS = tuple(f"{name.lower()}_{axis}_fraction" for name in LANDMARKS for axis in ("row", "column"))
"""The network's outputs, in the order of :data:`inference.cxr.rois.LANDMARKS`."""


def square_box(shape: tuple[int, int]) -> Floats:
    """(4,) top, left, bottom, right of the smallest square about the film's middle that holds it; it reaches beyond the shorter sides."""
    side = float(max(shape))
    top, left = (shape[0] - side) / 2, (shape[1] - side) / 2
    return np.array([top, left, top + side, left + side])


def square(image: NDArray[np.floating], size: int = SIZE) -> Images:
    """The film as the network is given it: float32 (size, size), less its mean, divided by its standard deviation."""
    return standardised(crop_regions(image, square_box((image.shape[0], image.shape[1]))[None], size)[0])


def standardised(image: Images) -> Images:
    """Less its mean, divided by its standard deviation; an image of one grey becomes zeros."""
    spread = float(image.std(dtype=np.float64))
    return np.asarray((image - image.mean(dtype=np.float64)) / (spread if spread > 0 else 1.0), dtype=np.float32)


def to_fractions(landmarks: Floats, shape: tuple[int, int]) -> Floats:
    """(N, 2) pixels of a film as fractions of its square."""
    top, left, bottom, _ = square_box(shape)
    return np.asarray((landmarks + 0.5 - (top, left)) / (bottom - top), dtype=np.float64)


def to_pixels(fractions: Floats, shape: tuple[int, int]) -> Floats:
    """(N, 2) fractions of the square as pixels of the film."""
    top, left, bottom, _ = square_box(shape)
    return np.asarray(fractions * (bottom - top) + (top, left) - 0.5, dtype=np.float64)


def find_landmarks(image: NDArray[np.floating], network: "nn.Module", size: int = SIZE) -> Floats:
    """(16, 2) row and column of each landmark in pixels of the film, in the order of :data:`inference.cxr.rois.LANDMARKS`.

    The mean of what the network says of the film and of its mirror image, in which left and right change names: a film and its mirror image
    give the same places, and errors that the two do not share are halved.

    Parameters
    ----------
    image
        (rows, columns), upright, bone bright.
    network
        A :class:`inference.cxr.landmarks.LandmarkGraph` in evaluation mode.
    """
    import torch

    given = square(image, size)
    pair = torch.from_numpy(np.stack([given, given[:, ::-1]]))[:, None]
    with torch.inference_mode():
        found = network(pair.to(next(network.parameters()).device)).double().cpu().numpy().reshape(2, -1, 2)
    seen, turned = found[0], found[1][list(mirrored(LANDMARKS))] * (1, -1) + (0, 1)
    return to_pixels((seen + turned) / 2, (image.shape[0], image.shape[1]))
