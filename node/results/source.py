"""What the results take from the source files: identity, and the headers of the slices that carry a mask. Nothing is invented."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from inference.dxa.findings import DxaFindings
from inference.errors import PermanentError
from inference.findings import CtImages, Findings
from inference.reading import InstanceHeader
from inference.tolerant import read_dataset
from node.results.attributes import IDENTITY, IMAGE_TAGS, REQUIRED_EMPTY
from node.results.uids import derived_uid

Family = Literal["body", "core", "ellipse"]
"""The three masks of a study."""


@dataclass(frozen=True, kw_only=True)
class SourceImages:
    """Slices that carry a body.

    Attributes
    ----------
    headers
        Data sets without pixels, with UIDs and geometry but without identity, in the order of ``planes``.
    planes
        Their indices on the first axis of the source masks of :class:`~inference.findings.CtImages`.
    present
        Per family (``body``, ``core``, ``ellipse``) the labels that have at least one voxel there.
    """

    headers: tuple[Dataset, ...]
    planes: tuple[int, ...]
    present: Mapping[Family, frozenset[int]]

    def header(self, plane: int) -> Dataset:
        """The header of one plane of the source masks."""
        return self.headers[self.planes.index(plane)]


@dataclass(frozen=True, kw_only=True)
class Source:
    """What the results of one study are made for.

    Attributes
    ----------
    identity
        The attributes of :data:`IDENTITY` of one source file, and its character set.
    reference
        A data set that highdicom's constructors take patient and study from: the study's UID and empty type 2 attributes. The identity
        is copied over it afterwards, so that an odd but valid value of the source is never parsed, changed or rejected.
    input_uids
        SOP Instance UIDs of what was measured; of everything in the study where nothing was.
    next_series_number
        The first series number above those of the source.
    evidence
        SOP class, series and instance UID of the measured instances, or of the study's, for references.
    images
        None where no mask was made.
    projection
        The header of the one image that a projection's result rests on, without identity; None in CT, and where no image is used.
    """

    identity: Dataset
    reference: Dataset
    input_uids: tuple[str, ...]
    next_series_number: int
    evidence: tuple[InstanceHeader, ...]
    images: SourceImages | None
    projection: Dataset | None = None


def read_source(findings: Findings, headers: Sequence[InstanceHeader]) -> Source:
    """Read identity and geometry of the source of ``findings``.

    Raises
    ------
    PermanentError
        No header has a file, or a measured file has no header; as :class:`~inference.errors.Refusal` where a file cannot be read any
        more.
    """
    by_path = {header.path: header for header in headers if header.path is not None}
    if findings.images is not None:
        unknown = [str(path) for path in findings.images.source_paths if path not in by_path]
        if unknown:
            raise PermanentError(f"{len(unknown)} measured files are not among the study's headers, first {unknown[0]}")
        measured = tuple(by_path[path] for path in findings.images.source_paths)
    elif findings.reason is None and findings.dxa is not None:
        measured = _densitometry(findings.dxa, by_path.values())
    elif findings.reason is None and findings.cxr is not None and findings.cxr.used is not None:
        measured = tuple(header for header in by_path.values() if header.sop_instance_uid == findings.cxr.used.sop_instance_uid)
    else:
        same_study = [h for h in by_path.values() if h.study_instance_uid == findings.study_instance_uid]
        measured = tuple(sorted(same_study or by_path.values(), key=lambda h: h.sop_instance_uid))
    if not measured:
        raise PermanentError("no file of the study is left to take the patient's identity from")
    return Source(
        identity=_read_identity(measured[0]),
        reference=_reference(measured[0]),
        input_uids=tuple(header.sop_instance_uid for header in measured),
        next_series_number=_next_series_number(headers),
        evidence=measured,
        images=None if findings.images is None else _read_images(findings.images, by_path),
        projection=_projection(findings, measured[0]),
    )


def _densitometry(dxa: DxaFindings, headers: Iterable[InstanceHeader]) -> tuple[InstanceHeader, ...]:
    """The used image first, then the object that the device's values stand in."""
    wanted = [dxa.used.sop_instance_uid] if dxa.used is not None else []
    wanted += [dxa.device.sop_instance_uid] if dxa.device is not None else []
    by_uid = {header.sop_instance_uid: header for header in headers}
    return tuple(by_uid[uid] for uid in dict.fromkeys(wanted) if uid in by_uid)


def _projection(findings: Findings, header: InstanceHeader) -> Dataset | None:
    """The header of the used image of a densitometry study, or of the film that was read, where there is a result."""
    found = findings.dxa or findings.cxr
    if findings.reason is not None or found is None or found.used is None or found.used.sop_instance_uid != header.sop_instance_uid:
        return None
    return None if header.path is None else _copied_header(read_dataset(header.path, IMAGE_TAGS, stop_before_pixels=True), header)


def _next_series_number(headers: Sequence[InstanceHeader]) -> int:
    """Above every series of the study, and still an IS (PS3.5 6.2: below 2 to the 31st) with the few that are added to it."""
    highest = max((header.series_number or 0 for header in headers), default=0)
    return min(max(highest, 0) + 1, 2**31 - 100)


def evidence_of(source: Source) -> list[Dataset]:
    """References to the instances that a report speaks of, as highdicom takes them."""
    evidence = []
    for header in source.evidence:
        item = copy.deepcopy(source.reference)
        item.SOPClassUID = header.sop_class_uid
        item.SOPInstanceUID = header.sop_instance_uid
        item.SeriesInstanceUID = header.series_instance_uid
        evidence.append(item)
    return evidence


def stamp_identity(target: Dataset, identity: Dataset) -> None:
    """Copy patient and study attributes of the source over those of ``target``, unparsed."""
    for keyword in (*IDENTITY, "SpecificCharacterSet"):
        if keyword in identity:
            target[keyword] = copy.deepcopy(identity[keyword])


def _read_identity(header: InstanceHeader) -> Dataset:
    if header.path is None:
        raise PermanentError("no file of the study is left to take the patient's identity from")
    read = read_dataset(header.path, (*IDENTITY, "SpecificCharacterSet"), stop_before_pixels=True)
    identity = Dataset()
    for keyword in (*IDENTITY, "SpecificCharacterSet"):
        if keyword in read:
            identity[keyword] = read[keyword]
    for keyword in REQUIRED_EMPTY:
        if keyword not in identity:
            setattr(identity, keyword, None)
    return identity


def _reference(header: InstanceHeader) -> Dataset:
    reference = Dataset()
    for keyword in REQUIRED_EMPTY:
        setattr(reference, keyword, None)
    reference.StudyInstanceUID = header.study_instance_uid
    reference.SeriesInstanceUID = header.series_instance_uid
    reference.SOPClassUID = header.sop_class_uid
    reference.SOPInstanceUID = header.sop_instance_uid
    return reference


def source_masks(images: CtImages) -> dict[Family, NDArray[np.uint8]]:
    """The masks on the source grid, shape (files, Rows, Columns), by family."""
    return {"body": images.source_bodies, "core": images.source_core, "ellipse": images.source_ellipse}


def _read_images(images: CtImages, by_path: dict[Path, InstanceHeader]) -> SourceImages:
    masks = source_masks(images)
    occupied = np.zeros(images.source_bodies.shape[0], dtype=bool)
    for mask in masks.values():
        occupied |= mask.any(axis=(1, 2))
    planes = tuple(int(plane) for plane in np.flatnonzero(occupied))
    headers = []
    for plane in planes:
        path = images.source_paths[plane]
        headers.append(_image_header(read_dataset(path, IMAGE_TAGS, stop_before_pixels=True), by_path[path]))
    for header in headers[1:]:
        # One frame a series (PS3.3 C.7.4.1). Anonymisers give each slice its own, though the positions still stack: the first one stands.
        header.FrameOfReferenceUID = headers[0].FrameOfReferenceUID
    present = {family: _labels(mask, planes) for family, mask in masks.items()}
    return SourceImages(headers=tuple(headers), planes=planes, present=present)


def _labels(mask: NDArray[np.uint8], planes: Sequence[int]) -> frozenset[int]:
    """Labels with a voxel on the planes. Slice by slice: counting the whole mask at once would take eight times its memory."""
    counts = np.zeros(256, dtype=np.int64)
    for plane in planes:
        counts += np.bincount(mask[plane].ravel(), minlength=256)
    return frozenset(int(label) for label in np.flatnonzero(counts) if label)


def _image_header(read: Dataset, header: InstanceHeader) -> Dataset:
    """One slice's geometry, which names a frame of reference."""
    image = _copied_header(read, header)
    if "FrameOfReferenceUID" not in image:
        # The slices share one patient coordinate system, which the file forgot to name: highdicom and the SEG need a name for it.
        image.FrameOfReferenceUID = derived_uid("frame of reference", header.series_instance_uid)
    return image


def _copied_header(read: Dataset, header: InstanceHeader) -> Dataset:
    """One image's geometry with the UIDs of its header: derived ones where the file has none."""
    image = _reference(header)
    for keyword in IMAGE_TAGS:
        if keyword in read and not read[keyword].is_empty:
            setattr(image, keyword, read[keyword].value)
    image.SOPClassUID = header.sop_class_uid
    image.SOPInstanceUID = header.sop_instance_uid
    image.Modality = header.modality
    return image
