"""Label masks out of files: NIfTI in a numbering that is named, and DICOM Segmentation (PS3.3 A.51), whose segments name themselves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.codedict import codes

from inference.ct.segmentation.from_labels import Labels, touching_edge
from inference.ct.segmentation.numbering import USUAL, VERSE, Numbering, level_of
from inference.errors import ReasonCode, Refusal
from inference.pixels import stored_pixels
from inference.preprocessing import read_label_image, resample_mask_nearest
from inference.tolerant import READ_ERRORS, read_dataset, text_of, tolerant
from inference.volume import SeriesReference, Volume

NIFTI_SUFFIXES = (".nii", ".nii.gz")
SEGMENTATION_STORAGE = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
"""Segmentation Storage and Label Map Segmentation Storage (PS3.4 B.5)."""
MIN_INSIDE = 0.05
"""Part of the vertebrae's voxels that must lie inside the images; how well they fit there is another question."""
VERTEBRA_CODES: Mapping[str, str] = {getattr(codes.SCT, f"{name}Vertebra").value: name for name in USUAL}
"""Names by SNOMED CT code (CID 7602)."""
SACRUM_CODE = codes.SCT.Sacrum.value
_LABEL = {name: label for label, name in VERSE.vertebrae.items()}
_STEP_TOLERANCE = 0.05


@dataclass(frozen=True, kw_only=True)
class LabelMap:
    """Labels on a grid of their own.

    Attributes
    ----------
    labels
        uint8 (slices, rows, columns).
    affine
        (4, 4) from these indices to LPS mm.
    numbering
        What the labels mean.
    """

    labels: Labels
    affine: NDArray[np.float64]
    numbering: Numbering

    def on_volume(self, volume: Volume) -> tuple[Labels, frozenset[int]]:
        """The labels on the volume's grid, nearest neighbour, and those that reach the edge of their own.

        Raises
        ------
        Refusal
            ``SPINE_NOT_FOUND``: no vertebra is labelled. ``MASK_MISMATCH``: the vertebrae lie elsewhere than the images.
        """
        bone = np.argwhere(np.isin(self.labels, list(self.numbering.vertebrae)))
        if len(bone) == 0:
            raise Refusal(ReasonCode.SPINE_NOT_FOUND, f"the mask labels no vertebra in the numbering {self.numbering.name}")
        points = bone[:: max(1, len(bone) // 100_000)] @ self.affine[:3, :3].T + self.affine[:3, 3]
        indices = volume.to_indices(points)
        inside = float(np.mean(np.all((indices > -0.5) & (indices < np.array(volume.hu.shape) - 0.5), axis=1)))
        if inside < MIN_INSIDE:
            text = f"{inside:.0%} of the mask's vertebrae lie inside the images: it is of another place, frame of reference or patient"
            raise Refusal(ReasonCode.MASK_MISMATCH, text)
        return resample_mask_nearest(self.labels, self.affine, volume.affine, _shape(volume)), touching_edge(self.labels)


def _shape(volume: Volume) -> tuple[int, int, int]:
    slices, rows, columns = volume.hu.shape
    return (slices, rows, columns)


def is_nifti(path: Path) -> bool:
    """By its name."""
    return path.name.lower().endswith(NIFTI_SUFFIXES)


def read_nifti_labels(path: Path, numbering: Numbering) -> LabelMap:
    """A NIfTI mask.

    Raises
    ------
    Refusal
        ``MASK_UNREADABLE``.
    """
    labels, affine = read_label_image(path)
    return LabelMap(labels=labels, affine=affine, numbering=numbering)


def read_parts(paths: Sequence[Path], numbering: Numbering) -> LabelMap:
    """Binary masks named by what they show (``vertebrae_L1.nii.gz``), which is how TotalSegmentator writes them.

    Raises
    ------
    Refusal
        ``MASK_UNREADABLE``: one cannot be read, or they lie on different grids.
    """
    label_of = {name: label for label, name in numbering.vertebrae.items()}
    combined: LabelMap | None = None
    for path in paths:
        name = level_of(path.name.split(".")[0])
        if name is None or name not in label_of:
            continue
        mask, affine = read_label_image(path)
        if combined is None:
            combined = LabelMap(labels=np.zeros_like(mask), affine=affine, numbering=numbering)
        if mask.shape != combined.labels.shape or not np.allclose(affine, combined.affine, atol=1e-3):
            raise Refusal(ReasonCode.MASK_UNREADABLE, f"{path.name} lies on another grid than the other files of its folder")
        combined.labels[mask > 0] = label_of[name]
    if combined is None:
        raise Refusal(ReasonCode.MASK_UNREADABLE, "no file of the folder is named after a vertebra")
    return combined


def read_segmentation(path: Path, series: SeriesReference | None) -> LabelMap:
    """A DICOM Segmentation, binary or label map. Its segments name their vertebrae by SNOMED CT code, or else by their labels.

    Parameters
    ----------
    series
        The series that it must be of; None leaves that to the place alone.

    Raises
    ------
    Refusal
        ``MASK_MISMATCH``: it is of another patient, frame of reference or series. ``MASK_UNREADABLE``: no segmentation, a fractional one,
        or no segment is a vertebra. As :func:`inference.tolerant.read_dataset` and :func:`inference.pixels.stored_pixels` besides.
    """
    dataset = read_dataset(path)
    with tolerant():
        if text_of(dataset, "SOPClassUID") not in SEGMENTATION_STORAGE or text_of(dataset, "SegmentationType") == "FRACTIONAL":
            raise Refusal(ReasonCode.MASK_UNREADABLE, f"{path.name} is no binary or label map segmentation object")
        if series is not None:
            check_reference(dataset, series, path.name)
        labels = segment_labels(dataset)
        if not set(labels.values()) & set(VERSE.vertebrae):
            raise Refusal(ReasonCode.MASK_UNREADABLE, f"no segment of {path.name} is named as a vertebra, by code or by label")
        frames = np.atleast_3d(stored_pixels(dataset, path.name))
        try:
            return _stack(dataset, frames.reshape(-1, dataset.Rows, dataset.Columns), labels)
        except READ_ERRORS as error:
            raise Refusal(ReasonCode.MASK_UNREADABLE, f"the frames of {path.name} do not stack: {error}") from error


def referenced_series(dataset: Dataset) -> frozenset[str]:
    """Series Instance UIDs that a segmentation refers to (PS3.3 C.12.1.1.1.1)."""
    return frozenset(text_of(item, "SeriesInstanceUID") for item in dataset.get("ReferencedSeriesSequence") or ())


def check_reference(dataset: Dataset, series: SeriesReference, name: str) -> None:
    """Refuse a segmentation of another patient, frame of reference, or series of the same study; what is absent is no contradiction.

    Raises
    ------
    Refusal
        ``MASK_MISMATCH``.
    """
    for keyword, ours, what in (
        ("PatientID", series.patient_id, "patient"),
        ("FrameOfReferenceUID", series.frame_of_reference_uid, "frame of reference"),
    ):
        theirs = text_of(dataset, keyword)
        if theirs and ours and theirs != ours:
            raise Refusal(ReasonCode.MASK_MISMATCH, f"{name} is of another {what} than the images")
    referenced = referenced_series(dataset)
    if referenced and not series.frame_of_reference_uid and series.series_instance_uid not in referenced:
        raise Refusal(ReasonCode.MASK_MISMATCH, f"{name} refers to another series than the images, which name no frame of reference")


def segment_labels(dataset: Dataset) -> dict[int, int]:
    """VerSe labels by segment number, of the segments that are vertebrae or the sacrum (PS3.3 C.8.20.4)."""
    found: dict[int, int] = {}
    for segment in dataset.get("SegmentSequence") or ():
        code = next((text_of(item, "CodeValue") for item in segment.get("SegmentedPropertyTypeCodeSequence") or ()), "")
        name = VERTEBRA_CODES.get(code) or level_of(text_of(segment, "SegmentLabel"))
        if name is not None:
            found[int(segment.SegmentNumber)] = _LABEL[name]
        elif code == SACRUM_CODE:
            found[int(segment.SegmentNumber)] = min(VERSE.sacrum)
    return found


def _stack(dataset: Dataset, frames: NDArray[np.integer], labels: Mapping[int, int]) -> LabelMap:
    """Frames put where they lie (PS3.3 C.7.6.16.2.3).

    Raises
    ------
    ValueError
        The frames are not parallel planes at even steps.
    """
    shared = dataset.SharedFunctionalGroupsSequence[0]
    groups = list(dataset.PerFrameFunctionalGroupsSequence)
    orientation = {tuple(map(float, _group(g, shared, "PlaneOrientationSequence").ImageOrientationPatient)) for g in groups}
    measures = _group(groups[0], shared, "PixelMeasuresSequence")
    if len(orientation) != 1 or len(groups) != len(frames):
        raise ValueError("several orientations")
    direction = np.array(next(iter(orientation)))
    row, column = direction[:3], direction[3:]
    normal = np.cross(row, column)
    positions = np.array([_group(g, shared, "PlanePositionSequence").ImagePositionPatient for g in groups], dtype=float)
    along = positions @ normal
    step = _step_mm(along, measures)
    layers = np.rint((along - along.min()) / step).astype(int)
    if np.abs(along - along.min() - layers * step).max() > _STEP_TOLERANCE * step:
        raise ValueError("uneven steps")
    stacked = np.zeros((int(layers.max()) + 1, *frames.shape[1:]), dtype=np.uint8)
    lookup = np.zeros(max(256, 1 + max(labels)), dtype=np.uint8)
    lookup[list(labels)] = list(labels.values())
    binary = dataset.SegmentationType == "BINARY"
    for group, frame, layer in zip(groups, frames, layers, strict=True):
        if binary:
            number = int(_group(group, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber)
            stacked[layer][frame > 0] = lookup[number] or stacked[layer][frame > 0]
        else:
            stacked[layer] = lookup[frame]
    rows_mm, columns_mm = (float(value) for value in measures.PixelSpacing)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = normal * step, column * rows_mm, row * columns_mm
    affine[:3, 3] = positions[int(np.argmin(along))]
    return LabelMap(labels=stacked, affine=affine, numbering=VERSE)


def _step_mm(along: NDArray[np.float64], measures: Dataset) -> float:
    """Distance of neighbouring planes: what the object says, else the smallest that occurs."""
    stated = measures.get("SpacingBetweenSlices")
    if stated:
        return float(stated)
    steps = np.diff(np.unique(np.round(along, 3)))
    return float(steps.min()) if steps.size else float(measures.SliceThickness)


def _group(frame: Dataset, shared: Dataset, keyword: str) -> Dataset:
    """A functional group of a frame, or the shared one."""
    items: Iterable[Dataset] = frame.get(keyword) or shared.get(keyword) or ()
    for item in items:
        return item
    raise ValueError(f"no {keyword}")
