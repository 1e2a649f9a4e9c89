"""What a site may say about segmenters that bring their masks from elsewhere, as plain data."""

from dataclasses import dataclass
from pathlib import Path

from inference.ct.segmentation.from_labels import MaskKind
from inference.ct.segmentation.numbering import NUMBERINGS


@dataclass(frozen=True, kw_only=True)
class MaskOptions:
    """Masks from files.

    Attributes
    ----------
    path
        A mask file, or a folder of them (:func:`inference.ct.segmentation.masks.find_mask`).
    numbering
        A name of :data:`~inference.ct.segmentation.numbering.NUMBERINGS`.
    kind
        Whole vertebrae or bodies alone.

    Raises
    ------
    ValueError
        There is no such numbering.
    """

    path: Path
    numbering: str = "verse"
    kind: MaskKind = MaskKind.WHOLE

    def __post_init__(self) -> None:
        if self.numbering not in NUMBERINGS:
            raise ValueError(f"there is no numbering {self.numbering!r}; known: {', '.join(NUMBERINGS)}")


@dataclass(frozen=True, kw_only=True)
class TotalSegmentatorOptions:
    """The optional package TotalSegmentator.

    Attributes
    ----------
    weights
        Folder with its unpacked weights (``Dataset292_...`` and so on). Nothing is ever downloaded into it.
    task
        A task of the package whose classes are vertebrae, such as ``total``.
    fast
        Its model of 3 mm instead of the models of 1.5 mm.
    device
        ``cpu``, ``gpu`` or ``gpu:N``.
    time_limit_s
        The package is ended after so long.
    """

    weights: Path
    task: str = "total"
    fast: bool = False
    device: str = "cpu"
    time_limit_s: float = 850.0
