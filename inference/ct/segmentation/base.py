"""What every vertebral segmenter takes and gives, whatever it is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inference.findings import Agreement, ModelUsed, Notice, SecondReader
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
    uncertain_because
        One sentence where the name is not certain for another reason than that no anchor settles it; else empty.
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
    uncertain_because: str = ""


@dataclass(frozen=True, kw_only=True)
class SecondReading:
    """What a second reader says of a segmentation.

    Attributes
    ----------
    bodies
        uint8, the volume's shape: the second reader's bodies. One that both see has the label of the first reader's, one that the second
        reader alone sees a label above the first reader's highest.
    per_body
        By label, for every body of the first reader.
    agreement
        Over all bodies.
    """

    bodies: NDArray[np.uint8]
    per_body: Mapping[int, SecondReader]
    agreement: Agreement


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
    second
        What a second reader says of it; None without one.
    timings_s
        Seconds per reader, where several read.
    whole
        uint8, as ``bodies``, with arches and processes; None where the method gives bodies alone.
    """

    bodies: NDArray[np.uint8]
    vertebrae: tuple[VertebralBody, ...]
    canal_lps_mm: NDArray[np.float64] | None
    level_because: str
    notices: tuple[Notice, ...]
    model: ModelUsed
    second: SecondReading | None = None
    timings_s: Mapping[str, float] = field(default_factory=dict)
    whole: NDArray[np.uint8] | None = None


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
