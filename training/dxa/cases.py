"""What a network of spine DXA learns from: crops of L1 to L4 with a class, and every study that gave none, with its reason."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from inference.dxa.area import find_area
from inference.dxa.crop import column_of, crop_found
from inference.dxa.pixels import DxaPixels
from inference.errors import ReasonCode, Refusal
from training.data.labels import BoneLabel
from training.preparing import Skipped

CLASSES = ("normal", "osteoporosis")
"""In the order of the network's logits. ``normal`` holds osteopenia, too, where that is not left out."""
OSTEOPOROSIS = 1
SMALL, LARGE = (150, 150), (300, 300)
"""Height and width of the 21-layer network's input, and of its baselines'."""
CROP_VERSION = 2
"""Counted up when the crop changes, so that no cached case is out of date."""

CLASS_OF: Mapping[BoneLabel, int] = MappingProxyType({BoneLabel.NORMAL: 0, BoneLabel.OSTEOPENIA: 0, BoneLabel.OSTEOPOROSIS: OSTEOPOROSIS})

Crop = NDArray[np.float16]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image that can be learned from.

    Attributes
    ----------
    patient
        All images of one patient share it.
    image, large
        float16 (150, 150) and (300, 300), 0 to 1: :attr:`inference.dxa.crop.SpineRoi.image`.
    label
        The WHO's class.
    t_score
        NaN where it is not known.
    device
        Maker of the densitometer; empty where it is not known.
    path
        Where the image was read from; None for one that was painted.
    """

    patient: str
    image: Crop
    large: Crop
    label: BoneLabel
    t_score: float
    device: str
    path: Path | None = None

    @property
    def target(self) -> int:
        """Index into :data:`CLASSES`."""
        return CLASS_OF[self.label]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Every image that was asked for: a case, or a reason."""

    cases: tuple[Case, ...]
    skipped: tuple[Skipped, ...]

    def words(self) -> str:
        """Counts for a person, and each skipped study with its reason."""
        counts = Counter(case.label for case in self.cases)
        classes = ", ".join(f"{counts[label]} {label.value}" for label in BoneLabel)
        head = f"{len(self.cases)} images: {classes}; {len(self.skipped)} skipped"
        return "\n".join([head, *(f"  {one.patient}: {one.because}" for one in self.skipped)])

    def reasons(self) -> str:
        """How many were skipped for what: the reason's code, or its words without numbers."""
        counts = Counter(_kind(one.because) for one in self.skipped)
        return ", ".join(f"{count} {reason}" for reason, count in counts.most_common()) or "none"

    def without_osteopenia(self) -> "Prepared":
        """Normal against osteoporosis alone, as the paper's patients were."""
        left = tuple(case for case in self.cases if case.label is not BoneLabel.OSTEOPENIA)
        gone = tuple(Skipped(patient=case.patient, because="osteopenia, left out as asked") for case in self.cases if case not in left)
        return Prepared(cases=left, skipped=(*self.skipped, *gone))


def _kind(because: str) -> str:
    code, _, text = because.partition(": ")
    return code if code.isupper() else re.sub(r"\s*\d+\s*", " ", text or code).strip()


def crops(pixels: DxaPixels) -> dict[str, NDArray[np.float16]]:
    """Both crops of an image, as the node crops it.

    Returns
    -------
    dict
        ``image`` (150, 150) and ``large`` (300, 300).

    Raises
    ------
    Refusal
        As :func:`inference.dxa.crop.crop_spine`.
    """
    area = find_area(pixels)
    column, turned = column_of(pixels, area)
    if column is None:
        raise Refusal(ReasonCode.SPINE_NOT_FOUND, "No column of vertebrae with soft tissue on both sides runs through the image.")
    made = {name: crop_found(pixels, area, column, size, turned=turned).image for name, size in (("image", SMALL), ("large", LARGE))}
    return {name: image.astype(np.float16) for name, image in made.items()}
