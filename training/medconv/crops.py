"""The crop around L1 of one study, from DICOM by any segmenter; and what became of every study that was asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.ct.crop import CropMask, Shape, Spacing, crop_around
from inference.ct.segmentation import MaskOptions, Segmentation, Segmenter, TotalSegmentatorOptions, get_segmenter
from inference.ct.segmentation.from_labels import MaskKind
from inference.ct.series import LoadedSeries, choose_series, load_series
from inference.errors import Refusal
from inference.reading import find_files, group_studies, read_headers
from inference.volume import Volume
from training.data.rows import ManifestRow
from training.errors import TrainingError
from training.preparing import Skipped

VERSION = 1
"""Counted up when the code of a crop changes, so that no cached crop is out of date."""


@dataclass(frozen=True, kw_only=True)
class CropOptions:
    """What of a scan becomes a case.

    Attributes
    ----------
    shape, spacing_mm
        Voxels (z, y, x) of the box, and their size.
    mask, margin_mm
        What is left in the box, dilated by the margin (:class:`inference.ct.crop.CropMask`).
    level
        The vertebra.
    segmenter
        Who finds it in a study: a name of :data:`inference.ct.segmentation.SEGMENTERS`. Simulated patients know where it is.
    numbering, mask_kind
        Of the mask files that a manifest names, for the segmenter ``masks`` (:class:`inference.ct.segmentation.MaskOptions`).
    totalsegmentator
        Folder of its weights, for the segmenter of this name.
    """

    shape: Shape = (64, 64, 64)
    spacing_mm: Spacing = (1.0, 1.0, 1.0)
    mask: CropMask = CropMask.BODY
    margin_mm: float = 2.0
    level: str = "L1"
    segmenter: str = "both"
    numbering: str = "verse"
    mask_kind: str = "whole"
    totalsegmentator: Path | None = None

    def __post_init__(self) -> None:
        if min(self.shape) < 8 or min(self.spacing_mm) <= 0 or self.margin_mm < 0:
            raise TrainingError("a crop has at least 8 voxels a side, a positive spacing, and a margin that is not negative")

    def box(self) -> dict[str, Any]:
        """What settles the crop once the vertebra is found, for the key of a cached crop."""
        box = {"shape": list(self.shape), "spacing_mm": list(self.spacing_mm), "mask": self.mask.value, "margin_mm": self.margin_mm}
        return {**box, "level": self.level, "version": VERSION}

    def plain(self) -> dict[str, Any]:
        """All that settles the crop of a study, for the key of a cached one."""
        if self.segmenter != "masks":
            return {**self.box(), "segmenter": self.segmenter}
        return {**self.box(), "segmenter": self.segmenter, "numbering": self.numbering, "mask_kind": self.mask_kind}


FULL_CROP = CropOptions()
"""64 mm at 1 mm."""
SMALL_CROP = CropOptions(shape=(32, 32, 32), spacing_mm=(2.0, 2.0, 2.0))
"""The same 64 mm at 2 mm: an eighth of the work."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One study that can be learned from.

    Attributes
    ----------
    hu
        int16 (z, y, x), the crop of :func:`inference.ct.crop.crop_around`.
    label
        Class index, in the order of :data:`training.data.labels.LABELS`.
    t_score
        NaN where it is not known.
    """

    patient: str
    hu: NDArray[np.int16]
    label: int
    t_score: float


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Every study that was asked for: a case, or a reason."""

    cases: tuple[Case, ...]
    skipped: tuple[Skipped, ...]

    @property
    def counts(self) -> tuple[int, int, int]:
        """Cases of each class."""
        found = np.bincount([case.label for case in self.cases], minlength=3)
        return int(found[0]), int(found[1]), int(found[2])

    def words(self) -> str:
        """Counts for a person, and each skipped study with its reason."""
        normal, osteopenia, osteoporosis = self.counts
        head = (
            f"{len(self.cases)} cases: {normal} normal, {osteopenia} osteopenia, {osteoporosis} osteoporosis; {len(self.skipped)} skipped"
        )
        return "\n".join([head, *(f"  {one.patient}: {one.because}" for one in self.skipped)])


def crop_volume(volume: Volume, mask: NDArray[np.bool_], options: CropOptions) -> NDArray[np.int16]:
    """The crop of one vertebra in whole HU, as it is cached.

    Raises
    ------
    TrainingError
        The mask is empty.
    """
    masked = options.mask is not CropMask.BOX
    try:
        hu = crop_around(volume, mask, options.shape, options.spacing_mm, margin_mm=options.margin_mm, masked=masked)
    except ValueError as error:
        raise TrainingError(f"{options.level}: {error}") from None
    return np.clip(np.rint(hu), -1024, 3071).astype(np.int16)


def level_mask(segmentation: Segmentation, options: CropOptions) -> NDArray[np.bool_]:
    """The vertebra, or its body, that is to be cropped.

    Raises
    ------
    TrainingError
        It was not found or is not certain, the scan cuts it, or only bodies are known where whole vertebrae are wanted.
    """
    found = next((body for body in segmentation.vertebrae if body.level == options.level), None)
    if found is None:
        raise TrainingError(f"no vertebra is called {options.level} ({segmentation.level_because})")
    if not found.level_certain:
        raise TrainingError(f"{options.level} is not certain ({found.uncertain_because or segmentation.level_because})")
    if not found.whole:
        raise TrainingError(f"{options.level} is cut by the edge of the scan")
    if options.mask is CropMask.VERTEBRA:
        if segmentation.whole is None:
            raise TrainingError(f"the segmenter {segmentation.model.name} gives bodies alone; choose --mask body or another segmenter")
        return np.asarray(segmentation.whole == found.label)
    return np.asarray(segmentation.bodies == found.label)


def crop_study(row: ManifestRow, options: CropOptions) -> NDArray[np.int16]:
    """The crop of one study of a manifest.

    Raises
    ------
    TrainingError, Refusal
        Why there is none.
    """
    series = load_study(row)
    segmentation = segmenter_of(row, options).segment(series.volume)
    return crop_volume(series.volume, level_mask(segmentation, options), options)


def load_study(row: ManifestRow) -> LoadedSeries:
    """The series of a study that the CT workflow would measure, or the one that the manifest names.

    Raises
    ------
    TrainingError
        There is no path, no DICOM, or several studies behind it.
    Refusal
        No series can be read as a volume.
    """
    headers, _ = read_headers(study_files(row))
    studies = group_studies(headers)
    if len(studies) != 1:
        raise TrainingError(f"{row.path} holds {len(studies) or 'no'} DICOM studies, and one is wanted")
    study = next(iter(studies.values()))
    if row.series_uid is not None:
        study = tuple(header for header in study if header.series_instance_uid == row.series_uid) or study
    reasons: list[str] = []
    for candidate in choose_series(study).candidates:
        try:
            return load_series(candidate)
        except Refusal as refusal:
            reasons.append(refusal.text)
    raise TrainingError("; ".join(reasons) or f"{row.path} holds no series that can be measured")


def study_files(row: ManifestRow) -> Sequence[Path]:
    """The files of a study.

    Raises
    ------
    TrainingError
        The row names none, or they are gone.
    """
    if row.path is None:
        raise TrainingError(f"patient {row.patient_id} has no path to images")
    if not row.path.exists():
        raise TrainingError(f"{row.path} does not exist")
    return find_files([row.path])


def segmenter_of(row: ManifestRow, options: CropOptions) -> Segmenter:
    """Who finds the vertebra in a study.

    Raises
    ------
    TrainingError
        Masks are wanted, and the row names none.
    Refusal
        The segmenter is not installed, or lacks its weights.
    """
    if options.segmenter == "masks":
        if row.mask is None:
            raise TrainingError("the manifest names no mask file beside the study")
        masks = MaskOptions(path=row.mask, numbering=options.numbering, kind=MaskKind(options.mask_kind))
        return get_segmenter("masks", masks=masks)
    if options.segmenter == "totalsegmentator" and options.totalsegmentator is not None:
        return get_segmenter("totalsegmentator", totalsegmentator=TotalSegmentatorOptions(weights=options.totalsegmentator))
    return _built_in(options.segmenter)


@lru_cache(maxsize=2)
def _built_in(name: str) -> Segmenter:
    """One segmenter a process: a network loads once."""
    return get_segmenter(name)
