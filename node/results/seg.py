"""Segmentation (PS3.3 A.51): every body and its regions of interest, BINARY, on the pixel grid of the source slices.

Region and body overlap, and highdicom takes overlapping segments only as one (frames, Rows, Columns, segments) array: 1.4 GB for an
abdomen of 1 mm. So each family (bodies, cores, ellipses) is encoded alone as a label map, and the three are put together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from highdicom import PixelMeasuresSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from inference.findings import Findings, ModelUsed, VertebraFinding
from node.results import codes, equipment
from node.results.objects import ResultContext
from node.results.source import Family, Source, SourceImages, source_masks
from node.results.uids import ResultKey
from node.results.wording import ascii_text, level_name

SERIES_DESCRIPTION: Final = "Osteon vertebral bodies: research use, does not replace DXA"

# CIELab, chosen apart in lightness as well as in hue, so that neighbours differ on a grey-scale monitor too.
_BODY_COLOURS: Final = (
    (82.0, -20.0, 60.0),
    (55.0, 60.0, 40.0),
    (70.0, -45.0, -15.0),
    (45.0, 25.0, -60.0),
    (88.0, 5.0, 25.0),
    (60.0, 45.0, -35.0),
)
_REGION_COLOURS: Final = {"core": (95.0, 0.0, 0.0), "ellipse": (35.0, 0.0, 0.0)}


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One segment, before encoding. ``family`` is ``body``, ``core`` or ``ellipse``; ``label`` its value in that family's mask."""

    number: int
    family: Family
    label: int
    vertebra: VertebraFinding


def tracking_uid(key: ResultKey, vertebra: VertebraFinding) -> str:
    """The Tracking UID that a body's segment shares with its two measurement groups."""
    return key.uid(f"tracking body {vertebra.label}")


def tracking_identifier(vertebra: VertebraFinding) -> str:
    """The Tracking ID shared likewise, which is also the segment's label: it says where a body does not count."""
    return level_name(vertebra) if vertebra.used else f"{level_name(vertebra)}, excluded"


def plan_segments(findings: Findings, slices: SourceImages) -> tuple[Segment, ...]:
    """Which segments there are, and their numbers: all bodies head to foot, then all cores, then all ellipses; empty ones are absent."""
    segments: list[Segment] = []
    for family, present in slices.present.items():
        for vertebra in findings.vertebrae:
            if vertebra.label in present:
                segments.append(Segment(number=len(segments) + 1, family=family, label=vertebra.label, vertebra=vertebra))
    return tuple(segments)


def build_segmentation(findings: Findings, source: Source, key: ResultKey, context: ResultContext, series_number: int) -> Segmentation:
    """The segmentation of one study.

    Raises
    ------
    ValueError
        ``findings`` has no images, no algorithm, or no body on the source grid.
    """
    images, slices = findings.images, source.images
    if images is None or slices is None or not findings.models:
        raise ValueError("a segmentation needs masks, source slices and the algorithm that made them")
    segments = plan_segments(findings, slices)
    if not segments:
        raise ValueError("no body lies on the source slices")
    parts = []
    for family, mask in source_masks(images).items():
        members = [segment for segment in segments if segment.family == family]
        if members:
            parts.append(_encode(mask, members, slices, (findings, key, context, series_number)))
    return _merge(parts, slices, key)


def _encode(
    mask: NDArray[np.uint8],
    segments: Sequence[Segment],
    slices: SourceImages,
    made_by: tuple[Findings, ResultKey, ResultContext, int],
) -> Segmentation:
    """One family of segments as a Segmentation of its own, numbered from 1."""
    findings, key, context, series_number = made_by
    numbers = np.zeros(256, dtype=np.uint8)
    for position, segment in enumerate(segments, start=1):
        numbers[segment.label] = position
    pixels = np.empty((len(slices.planes), *mask.shape[1:]), np.uint8)
    for out, plane in zip(pixels, slices.planes, strict=True):  # not mask[planes]: one copy of the volume is enough
        out[:] = numbers[mask[plane]]
    first = slices.headers[0]
    acquisition = findings.acquisition
    return Segmentation(
        source_images=slices.headers,
        pixel_array=pixels,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_describe(s, n, findings.models[0], key) for n, s in enumerate(segments, start=1)],
        series_instance_uid=key.uid("seg series"),
        series_number=series_number,
        sop_instance_uid=key.uid("seg instance"),
        instance_number=1,
        manufacturer=equipment.MANUFACTURER,
        manufacturer_model_name=equipment.MODEL_NAME,
        software_versions=equipment.software_versions(context)[0],
        device_serial_number=equipment.device_serial_number(context, findings.models),
        content_label="VERTEBRAL_BODIES",
        content_description="Vertebral bodies and regions measured. Research use."[:64],
        pixel_measures=PixelMeasuresSequence(
            pixel_spacing=first.PixelSpacing,
            slice_thickness=_slice_thickness(first, acquisition.slice_spacing_mm if acquisition is not None else None),
        ),
        series_description=SERIES_DESCRIPTION,
        contributing_equipment=equipment.contributing_equipment(findings, context),
        coding_schemes=codes.coding_schemes(),
    )


def _slice_thickness(header: Dataset, spacing_mm: float | None) -> float | None:
    """Thickness of the source; its spacing where the header has none, since every frame stands for the slab around its slice."""
    stated = header.get("SliceThickness")
    return float(stated) if stated else spacing_mm


def _describe(segment: Segment, number: int, model: ModelUsed, key: ResultKey) -> SegmentDescription:
    own = segment.family == "body"
    name = tracking_identifier(segment.vertebra) if own else f"{level_name(segment.vertebra)} {segment.family}"
    region = codes.level_code(segment.vertebra.level, segment.vertebra.level_certain)
    colour = _BODY_COLOURS[(segment.label - 1) % len(_BODY_COLOURS)] if own else _REGION_COLOURS[segment.family]
    return SegmentDescription(
        segment_number=number,
        segment_label=ascii_text(name)[:64],
        segmented_property_category=codes.ANATOMICAL_STRUCTURE,
        segmented_property_type={"body": region, "core": codes.CORE_SEGMENT, "ellipse": codes.ELLIPSE_SEGMENT}[segment.family],
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=equipment.segmentation_algorithm(model),
        tracking_uid=tracking_uid(key, segment.vertebra) if own else key.uid(f"tracking {segment.family} {segment.label}"),
        tracking_id=name,
        anatomic_regions=[region],
        display_color=CIELabColor(*colour),
    )


def _merge(parts: Sequence[Segmentation], slices: SourceImages, key: ResultKey) -> Segmentation:
    """Put families together: segments renumbered in order, frames appended, position indices counted over all frames."""
    descriptions: list[SegmentDescription] = []
    frames: list[Dataset] = []
    for part in parts:
        offset = len(descriptions)
        for frame in part.PerFrameFunctionalGroupsSequence:
            # A family of one segment names it in the shared functional groups, where it would hold for the other families too.
            number = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber if "SegmentIdentificationSequence" in frame else 1
            frame.SegmentIdentificationSequence = [_segment_identification(int(number) + offset)]
            frames.append(frame)
        for description in part.SegmentSequence:
            description.SegmentNumber = int(description.SegmentNumber) + offset
            descriptions.append(description)
    _index_frames(frames, slices)
    pixel_data = _join_bits(parts)
    merged = parts[0]
    merged.SegmentSequence = descriptions
    merged.PerFrameFunctionalGroupsSequence = frames
    merged.NumberOfFrames = len(frames)
    merged.SegmentsOverlap = "YES" if len(parts) > 1 else "NO"
    merged.PixelData = pixel_data
    merged.SharedFunctionalGroupsSequence[0].pop("SegmentIdentificationSequence", None)
    merged.pop("DimensionOrganizationType", None)
    # highdicom draws this one by chance; a second try must give the same object.
    for item in (*merged.DimensionOrganizationSequence, *merged.DimensionIndexSequence):
        item.DimensionOrganizationUID = key.uid("seg dimensions")
    return merged


def _segment_identification(number: int) -> Dataset:
    item = Dataset()
    item.ReferencedSegmentNumber = number
    return item


def _index_frames(frames: Sequence[Dataset], slices: SourceImages) -> None:
    """Dimension indices (segment, rank of the position along the normal) over the frames of all families."""
    orientation = np.asarray(slices.headers[0].ImageOrientationPatient, dtype=np.float64)
    normal = np.cross(orientation[:3], orientation[3:])
    along = [round(float(np.dot(normal, _position(frame))), 4) for frame in frames]
    rank = {distance: index for index, distance in enumerate(sorted(set(along)), start=1)}
    for frame, distance in zip(frames, along, strict=True):
        segment = int(frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        frame.FrameContentSequence[0].DimensionIndexValues = [segment, rank[distance]]


def _position(frame: Dataset) -> NDArray[np.float64]:
    return np.asarray(frame.PlanePositionSequence[0].ImagePositionPatient, dtype=np.float64)


def _join_bits(parts: Sequence[Segmentation]) -> bytes:
    """Pixel data of all parts, one bit per voxel, without the padding between them (PS3.5 8.1.1)."""
    counts = [int(part.NumberOfFrames) * int(part.Rows) * int(part.Columns) for part in parts]
    if all(count % 8 == 0 for count in counts):
        joined = b"".join(part.PixelData[: count // 8] for part, count in zip(parts, counts, strict=True))
    else:
        packed = [np.frombuffer(part.PixelData, dtype=np.uint8) for part in parts]
        bits = [np.unpackbits(data, count=count, bitorder="little") for data, count in zip(packed, counts, strict=True)]
        joined = np.packbits(np.concatenate(bits), bitorder="little").tobytes()
    return joined + b"\0" * (len(joined) % 2)
