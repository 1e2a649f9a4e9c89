"""What every vertebral segmenter takes and gives, whatever it is made of."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inference.findings import ModelUsed, Notice
from inference.volume import Volume


@dataclass(frozen=True, kw_only=True)
class VertebralBody:
    """One vertebral body of a segmentation.

    Attributes
    ----------
    label
        Its value in :attr:`Segmentation.bodies`; 1 is the body nearest the head.
    level
        ``"T1"`` .. ``"L5"``; None where no anchor supports a name.
    level_certain
        True only where anchors in the image (sacrum, ribs) settle the name.
    whole
        The body lies entirely inside the field of view.
    centre_lps_mm
        (3,) centre of the body.
    cranial, anterior, left
        (3,) LPS unit vectors of the body's own right-handed frame: along the spine towards the head; towards the front, in the
        body's mid-sagittal plane; towards the patient's left.
    notices
        What the segmenter noticed about this body alone (a weak disc, a merged neighbour).
    """

    label: int
    level: str | None
    level_certain: bool
    whole: bool
    centre_lps_mm: NDArray[np.float64]
    cranial: NDArray[np.float64]
    anterior: NDArray[np.float64]
    left: NDArray[np.float64]
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """Vertebral bodies found in one volume.

    Attributes
    ----------
    bodies
        uint8, the volume's shape: 0 outside, else :attr:`VertebralBody.label`. Bodies only: no arch, no processes, no disc.
    vertebrae
        Head to foot.
    canal_lps_mm
        (N, 3) centre line of the spinal canal, head to foot; None where the method has none.
    level_because
        In words, what the level names rest on ("sacrum: L5/S1 disc", "lowest rib pair on the 3rd body"), or why they stay uncertain.
    notices
        What concerns the whole segmentation.
    model
        What made it.
    """

    bodies: NDArray[np.uint8]
    vertebrae: tuple[VertebralBody, ...]
    canal_lps_mm: NDArray[np.float64] | None
    level_because: str
    notices: tuple[Notice, ...]
    model: ModelUsed


class Segmenter(Protocol):
    """Finds, separates and names vertebral bodies."""

    @property
    def model(self) -> ModelUsed:
        """Name, version and hash of what segments."""
        ...

    def segment(self, volume: Volume) -> Segmentation:
        """Segment every vertebral body of ``volume``.

        Raises
        ------
        Refusal
            ``SPINE_NOT_FOUND``, ``POOR_CONTRAST``, ``SLICES_TOO_THICK``, ``IMPLAUSIBLE_HU`` ... where no mask can be trusted.
        """
        ...
