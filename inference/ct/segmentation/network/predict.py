"""The network over a whole scan: attenuation on the working grid in, structures out."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference.ct.segmentation.grid import Floats, WorkGrid
from inference.ct.segmentation.network.intensity import normalised

if TYPE_CHECKING:  # torch loads when the first scan is segmented
    from torch import nn

CLASSES = ("background", "body", "posterior_elements", "disc", "sacrum", "rib", "pelvis")
"""What the network's channels mean; a bundle with other classes is refused."""
BACKGROUND, BODY, POSTERIOR, DISC, SACRUM, RIB, PELVIS = range(len(CLASSES))
MULTIPLE = 16
CHUNK_VOXELS = 800_000
"""Larger scans go through the network in pieces along the spine: memory stays under a gigabyte."""
OVERLAP = 32
"""Planes (96 mm) that neighbouring pieces share; half of them are thrown away on each side."""
PATIENT_HU = -300.0
ASIDE_MM, FROM_BACK_MM = 140.0, 300.0
"""How far to the sides of the patient's middle, and from the patient's back or the couch to the front, the network looks."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the network says, on the whole working grid (z, y, x).

    Attributes
    ----------
    structures
        uint8, the most probable structure.
    margin
        float32, probability of a vertebral body minus that of the likeliest other structure: positive inside, -1 where nothing was asked.
    """

    structures: NDArray[np.uint8]
    margin: Floats
    spacing_mm: float


def predict(network: "nn.Module", grid: WorkGrid, window_hu: tuple[float, float]) -> Prediction:
    """Run the network over the part of the grid that the patient fills.

    Parameters
    ----------
    network
        In evaluation mode: (1, 1, Z, Y, X) normalised attenuation to (1, 7, Z, Y, X) scores.
    """
    structures = np.zeros(grid.hu.shape, dtype=np.uint8)
    margin = np.full(grid.hu.shape, -1.0, dtype=np.float32)
    box = spine_box(grid.hu, grid.spacing_mm)
    part = normalised(grid.hu[box], window_hu)
    for inside, kept in pieces(part.shape):
        labels, difference = _run(network, part[inside])
        target = slice(inside.start + kept.start, inside.start + kept.stop)
        structures[box][target] = labels[kept]
        margin[box][target] = difference[kept]
    return Prediction(structures=structures, margin=margin, spacing_mm=grid.spacing_mm)


def spine_box(hu: Floats, spacing_mm: float) -> tuple[slice, slice, slice]:
    """The box (z, y, x) that holds the spine, its ribs and the pelvis: all planes, the patient's back and middle; all where nothing is."""
    dense = hu > PATIENT_HU
    y, x = (np.flatnonzero(dense.mean(axis=axes) > 0.005) for axes in ((0, 2), (0, 1)))
    if y.size == 0 or x.size == 0:
        return (slice(0, hu.shape[0]), slice(0, hu.shape[1]), slice(0, hu.shape[2]))
    columns = dense.sum(axis=(0, 1)).cumsum()
    middle = int(np.searchsorted(columns, columns[-1] / 2))
    aside = round(ASIDE_MM / spacing_mm)
    front = max(int(y[0]), int(y[-1]) + 1 - round(FROM_BACK_MM / spacing_mm))
    return (
        slice(0, hu.shape[0]),
        slice(front, int(y[-1]) + 1),
        slice(max(int(x[0]), middle - aside), min(int(x[-1]) + 1, middle + aside + 1)),
    )


def pieces(shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """Overlapping pieces along the first axis, and of each the part that is kept, relative to the piece."""
    per_plane = shape[1] * shape[2]
    length = max(2 * OVERLAP, int(CHUNK_VOXELS / max(per_plane, 1)))
    if shape[0] <= length:
        return [(slice(0, shape[0]), slice(0, shape[0]))]
    out = []
    step = length - OVERLAP
    for start in range(0, shape[0] - OVERLAP, step):
        stop = min(start + length, shape[0])
        first = 0 if start == 0 else OVERLAP // 2
        last = stop - start if stop == shape[0] else length - OVERLAP // 2
        out.append((slice(start, stop), slice(first, last)))
    return out


def _run(network: "nn.Module", image: Floats) -> tuple[NDArray[np.uint8], Floats]:
    """Structures and margin of one piece, padded with air to what the network can halve; read twice, once mirrored, and averaged."""
    import torch

    pads = [(-size) % MULTIPLE for size in image.shape]
    padded = np.pad(image, [(0, pad) for pad in pads], constant_values=-1.0)
    with torch.inference_mode():
        given = torch.from_numpy(padded)[None, None]
        probabilities = torch.softmax(network(given), dim=1)[0]
        probabilities += torch.softmax(network(given.flip(-1)), dim=1)[0].flip(-1)
        probabilities /= 2
        body = probabilities[BODY].clone()
        labels = probabilities.argmax(dim=0).to(torch.uint8)
        probabilities[BODY] = 0
        difference = body - probabilities.amax(dim=0)
    keep = tuple(slice(0, size) for size in image.shape)
    return labels.numpy()[keep], difference.numpy()[keep]
