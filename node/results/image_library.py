"""Image Library (TID 1600, PS3.16): which images the report rests on.

What all slices share stands once in the group (TID 1601 row 2); highdicom's own library repeats 18 items for every slice, which for
300 slices costs seconds and megabytes.
"""

from collections.abc import Sequence

from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    NumContentItem,
    RelationshipTypeValues,
    UIDRefContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as standard
from pydicom.sr.coding import Code

from node.results import codes

_CONTEXT = RelationshipTypeValues.HAS_ACQ_CONTEXT
_CONTAINS = RelationshipTypeValues.CONTAINS


def image_library(headers: Sequence[Dataset]) -> ContainerContentItem:
    """The library of images of one series.

    Parameters
    ----------
    headers
        At least one; they share modality, matrix and, where they have any, spacing and frame of reference.
    """
    first = headers[0]
    group = ContainerContentItem(name=standard.DCM.ImageLibraryGroup, relationship_type=_CONTAINS)
    group.ContentSequence = ContentSequence([*_shared(first), *(_entry(header) for header in headers)])
    library = ContainerContentItem(name=standard.DCM.ImageLibrary, relationship_type=_CONTAINS)
    library.ContentSequence = ContentSequence([group])
    return library


def _shared(header: Dataset) -> list[ContentItem]:
    """Descriptors of TID 1602 and TID 1604 that hold for every image; what the header does not say is left out."""
    pixels = CodedConcept("{pixels}", "UCUM", "Pixels")
    numbers: list[tuple[Code, float, Code | CodedConcept]] = [
        (standard.DCM.PixelDataRows, int(header.Rows), pixels),
        (standard.DCM.PixelDataColumns, int(header.Columns), pixels),
    ]
    spacing = [float(value) for value in header.get("PixelSpacing") or ()]
    if len(spacing) == 2 and min(spacing) > 0:  # densitometers write none, or zeros
        numbers.append((standard.DCM.HorizontalPixelSpacing, spacing[1], codes.MILLIMETRE))
        numbers.append((standard.DCM.VerticalPixelSpacing, spacing[0], codes.MILLIMETRE))
    if header.get("SliceThickness"):
        numbers.append((standard.DCM.SliceThickness, float(header.SliceThickness), codes.MILLIMETRE))
    modality = codes.MODALITY.get(str(header.Modality), codes.OTHER_MODALITY)
    items: list[ContentItem] = [CodeContentItem(name=standard.DCM.Modality, value=modality, relationship_type=_CONTEXT)]
    if header.get("FrameOfReferenceUID"):
        frame = header.FrameOfReferenceUID
        items.append(UIDRefContentItem(name=standard.DCM.FrameOfReferenceUID, value=frame, relationship_type=_CONTEXT))
    return items + [NumContentItem(name=name, value=value, unit=unit, relationship_type=_CONTEXT) for name, value, unit in numbers]


def _entry(header: Dataset) -> ImageContentItem:
    return ImageContentItem(
        name=CodedConcept("260753009", "SCT", "Source"),
        referenced_sop_class_uid=header.SOPClassUID,
        referenced_sop_instance_uid=header.SOPInstanceUID,
        relationship_type=_CONTAINS,
    )
