"""Image Library (TID 1600, PS3.16): which slices the report rests on.

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
    """The library of slices of one series.

    Parameters
    ----------
    headers
        At least one; they share modality, matrix, spacing and frame of reference.
    """
    first = headers[0]
    group = ContainerContentItem(name=standard.DCM.ImageLibraryGroup, relationship_type=_CONTAINS)
    group.ContentSequence = ContentSequence([*_shared(first), *(_entry(header) for header in headers)])
    library = ContainerContentItem(name=standard.DCM.ImageLibrary, relationship_type=_CONTAINS)
    library.ContentSequence = ContentSequence([group])
    return library


def _shared(header: Dataset) -> list[ContentItem]:
    """Descriptors of TID 1602 and TID 1604 that hold for every slice."""
    pixels = CodedConcept("{pixels}", "UCUM", "Pixels")
    spacing = header.PixelSpacing
    numbers: list[tuple[Code, float, Code | CodedConcept]] = [
        (standard.DCM.PixelDataRows, int(header.Rows), pixels),
        (standard.DCM.PixelDataColumns, int(header.Columns), pixels),
        (standard.DCM.HorizontalPixelSpacing, float(spacing[1]), codes.MILLIMETRE),
        (standard.DCM.VerticalPixelSpacing, float(spacing[0]), codes.MILLIMETRE),
    ]
    if header.get("SliceThickness"):
        numbers.append((standard.DCM.SliceThickness, float(header.SliceThickness), codes.MILLIMETRE))
    return [
        CodeContentItem(name=standard.DCM.Modality, value=standard.cid29.ComputedTomography, relationship_type=_CONTEXT),
        UIDRefContentItem(name=standard.DCM.FrameOfReferenceUID, value=header.FrameOfReferenceUID, relationship_type=_CONTEXT),
        *(NumContentItem(name=name, value=value, unit=unit, relationship_type=_CONTEXT) for name, value, unit in numbers),
    ]


def _entry(header: Dataset) -> ImageContentItem:
    return ImageContentItem(
        name=CodedConcept("260753009", "SCT", "Source"),
        referenced_sop_class_uid=header.SOPClassUID,
        referenced_sop_instance_uid=header.SOPInstanceUID,
        relationship_type=_CONTAINS,
    )
