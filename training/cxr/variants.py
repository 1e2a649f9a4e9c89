"""What the paper compares, by name: which regions of a film a network sees, and what joins their features."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from inference.cxr.network import Fusion
from inference.cxr.regions import crop_regions, patch_boxes, reference_of, with_whole
from inference.cxr.rois import REGION_NAMES, Floats, Images, mirrored, rois_of
from training.cxr.cases import Film
from training.errors import TrainingError

Source = Literal["patches", "rois"]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One of the paper's models.

    Attributes
    ----------
    title
        As the paper's tables call it.
    source, patches
        The fourteen regions of bone and the whole film, or the film cut into ``patches`` rows and columns (1: as it is).
    fusion
        Of :class:`inference.cxr.network.RegionRegression`.
    """

    title: str
    source: Source
    fusion: Fusion
    patches: int = 1

    @property
    def regions(self) -> int:
        """N."""
        return len(REGION_NAMES) if self.source == "rois" else self.patches**2

    @property
    def mirrored(self) -> tuple[int, ...]:
        """Which region each one is on a mirrored film."""
        if self.source == "rois":
            return mirrored(REGION_NAMES)
        return tuple(row * self.patches + (self.patches - 1 - column) for row in range(self.patches) for column in range(self.patches))


VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "baseline": Variant(title="Base", source="patches", fusion="none"),
        "multipatch": Variant(title="MultiPatch", source="patches", fusion="concatenation", patches=3),
        "multipatch-2": Variant(title="MultiPatch, 2 x 2", source="patches", fusion="concatenation", patches=2),
        "multipatch-4": Variant(title="MultiPatch, 4 x 4", source="patches", fusion="concatenation", patches=4),
        "attmultipatch": Variant(title="AttMultiPatch", source="patches", fusion="attention", patches=3),
        "multiroi": Variant(title="MultiROI", source="rois", fusion="concatenation"),
        "proposed": Variant(title="Proposed", source="rois", fusion="attention"),
    }
)


def variant(name: str) -> Variant:
    """A variant by name.

    Raises
    ------
    TrainingError
        There is none of that name.
    """
    if name not in VARIANTS:
        raise TrainingError(f"there is no variant {name!r}; there are {', '.join(VARIANTS)}")
    return VARIANTS[name]


def regions_of(film: Film, chosen: Variant, size: int, landmarks: Floats | None = None) -> Images:
    """What a network sees of a film: float32 (N, size, size).

    Regions of bone are standardised by the chest between the landmarks, a film without landmarks by all of it.

    Parameters
    ----------
    landmarks
        Instead of the film's own ones.

    Raises
    ------
    Refusal
        The landmarks are implausible, or a region lies beyond the film.
    TrainingError
        The film is one grey.
    """
    grey = film.grey
    shape = (grey.shape[0], grey.shape[1])
    if chosen.source == "rois":
        places = film.landmarks if landmarks is None else landmarks
        boxes, reference = with_whole(rois_of(places, shape), shape), reference_of(grey, places)
    else:
        boxes, reference = patch_boxes(shape, chosen.patches), (float(grey.mean(dtype=np.float64)), float(grey.std(dtype=np.float64)))
    try:
        return crop_regions(grey, boxes, size, reference=reference)
    except ValueError as error:
        raise TrainingError(f"{film.patient}: {error}") from None
