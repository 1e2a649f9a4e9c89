"""Masks from files as a segmenter: somebody else has drawn the vertebrae, Osteon measures."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from inference.ct.segmentation.base import Segmentation
from inference.ct.segmentation.from_labels import segmentation_from_labels
from inference.ct.segmentation.mask_files import (
    SEGMENTATION_STORAGE,
    LabelMap,
    is_nifti,
    read_nifti_labels,
    read_parts,
    read_segmentation,
    referenced_series,
)
from inference.ct.segmentation.numbering import NUMBERINGS, TOTALSEGMENTATOR, level_of
from inference.ct.segmentation.options import MaskOptions
from inference.errors import ReasonCode, Refusal
from inference.findings import ModelUsed
from inference.tolerant import read_dataset, text_of, tolerant
from inference.volume import SeriesReference, Volume


@dataclass(frozen=True, kw_only=True)
class MaskSegmenter:
    """Reads masks from files; see :class:`inference.ct.segmentation.base.Segmenter`.

    Attributes
    ----------
    max_slice_spacing_mm
        Coarser scans are refused.
    """

    options: MaskOptions
    max_slice_spacing_mm: float = 5.0

    @property
    def model(self) -> ModelUsed:
        """The numbering, and a hash over every file that may be read."""
        path = self.options.path
        return self._made_by(tuple(sorted(file for file in path.rglob("*") if file.is_file())) if path.is_dir() else (path,))

    def segment(self, volume: Volume) -> Segmentation:
        """The bodies of the mask of this volume.

        Raises
        ------
        Refusal
            ``SLICES_TOO_THICK``, ``MASK_MISSING``, ``MASK_UNREADABLE``, ``MASK_MISMATCH``, ``SPINE_NOT_FOUND``, or that a file cannot be
            read.
        """
        spacing = max(volume.spacing_mm)
        if spacing > self.max_slice_spacing_mm + 1e-3:
            text = f"slices lie {spacing:.1f} mm apart; at most {self.max_slice_spacing_mm:.1f} mm can be measured"
            raise Refusal(ReasonCode.SLICES_TOO_THICK, text)
        files = find_mask(self.options.path, volume.series)
        read = self.read(files, volume.series)
        labels, cut_off = read.on_volume(volume)
        return segmentation_from_labels(
            volume,
            labels,
            read.numbering,
            model=self._made_by(files),
            kind=self.options.kind,
            by_program=read.numbering.name == TOTALSEGMENTATOR.name,
            cut_off=cut_off,
        )

    def read(self, files: tuple[Path, ...], series: SeriesReference | None) -> LabelMap:
        """The labels of the files of one series.

        Raises
        ------
        Refusal
            As :mod:`inference.ct.segmentation.mask_files`.
        """
        numbering = NUMBERINGS[self.options.numbering]
        if len(files) > 1 or (is_nifti(files[0]) and level_of(files[0].name.split(".")[0]) is not None):
            return read_parts(files, numbering)
        return read_nifti_labels(files[0], numbering) if is_nifti(files[0]) else read_segmentation(files[0], series)

    def _made_by(self, files: tuple[Path, ...]) -> ModelUsed:
        digest = hashlib.sha256(f"{self.options.numbering} {self.options.kind}".encode())
        for file in files:
            digest.update(file.read_bytes() if file.is_file() else b"")
        trained_on = "not trained by Osteon: masks from a file, whose maker it does not know"
        return ModelUsed(name=f"masks-{self.options.numbering}", version="1", sha256=digest.hexdigest(), trained_on=trained_on)


def find_mask(path: Path, series: SeriesReference | None) -> tuple[Path, ...]:
    """The files that hold the mask of a series.

    ``path`` may be the file itself; a folder of binary masks named after vertebrae; or a folder with a file, or such a folder, named by the
    Series or else by the Study Instance UID (``UID.nii.gz``, ``UID_mask.nii.gz``); or a folder with segmentation objects that refer to the
    series.

    Raises
    ------
    Refusal
        ``MASK_MISSING``, also where several are candidates.
    """
    if path.is_file():
        return (path,)
    if not path.is_dir():
        raise Refusal(ReasonCode.MASK_MISSING, f"there is no mask file or folder {path.name}")
    parts = _parts(path)
    if parts:
        return parts
    found: list[tuple[Path, ...]] = []
    if series is not None:
        found = _named(path, series.series_instance_uid) or _named(path, series.study_instance_uid) or _referring(path, series)
    if len(found) == 1:
        return found[0]
    known = "the images are no DICOM series" if series is None else f"series {series.series_instance_uid}"
    text = f"{len(found) or 'no'} mask files in the folder {path.name} are of these images ({known}); there must be one"
    raise Refusal(ReasonCode.MASK_MISSING, text)


def _parts(folder: Path) -> tuple[Path, ...]:
    """Binary masks named after vertebrae."""
    return tuple(sorted(file for file in folder.iterdir() if is_nifti(file) and level_of(file.name.split(".")[0]) is not None))


def _named(folder: Path, uid: str) -> list[tuple[Path, ...]]:
    """What is named by a UID: masks, or folders of binary masks."""
    if not uid:
        return []
    entries = [
        entry for entry in sorted(folder.iterdir()) if entry.name == uid or entry.name.startswith((f"{uid}.nii", f"{uid}.dcm", f"{uid}_"))
    ]
    return [files for entry in entries if (files := _parts(entry) if entry.is_dir() else (entry,))]


def _referring(folder: Path, series: SeriesReference) -> list[tuple[Path, ...]]:
    """Segmentation objects in a folder that refer to the series."""
    found: list[tuple[Path, ...]] = []
    for file in sorted(folder.iterdir()):
        if not file.is_file() or is_nifti(file):
            continue
        try:
            dataset = read_dataset(file, ("SOPClassUID", "ReferencedSeriesSequence"), stop_before_pixels=True)
        except Refusal:  # a folder may hold other files
            continue
        with tolerant():
            if text_of(dataset, "SOPClassUID") in SEGMENTATION_STORAGE and series.series_instance_uid in referenced_series(dataset):
                found.append((file,))
    return found
