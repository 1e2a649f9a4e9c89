"""One image of a densitometry study: is it an AP spine, why, and where is L1 to L4.

The header speaks first, the image where the header is silent; an image that the header calls an AP spine must still look like one.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom import Dataset

from inference.dxa.area import find_area
from inference.dxa.crop import SpineRoi, column_of, crop_found
from inference.dxa.image_check import check_image
from inference.dxa.pixels import DxaPixels, GreyArray, read_pixels
from inference.dxa.regions import REFUSED_AS, SHOWN, HeaderRegion, Region, Said, region_of
from inference.errors import ReasonCode, Refusal
from inference.findings import Reason
from inference.reading import InstanceHeader
from inference.tolerant import read_dataset, text_of, tolerant, value_of

ROI_SIZE = (150, 150)
"""Of the crop that is looked at where no network asks for another: the input of the 21-layer network."""

_TEXTS = (
    ("Protocol Name", "ProtocolName"),
    ("Performed Procedure Step Description", "PerformedProcedureStepDescription"),
    ("Image Comments", "ImageComments"),
    ("Acquisition Protocol Description", "AcquisitionProtocolDescription"),
    ("View Position", "ViewPosition"),
    ("Series Description", "SeriesDescription"),
    ("Derivation Description", "DerivationDescription"),
    ("Image Type", "ImageType"),
)
_SEQUENCES = (
    ("Primary Anatomic Structure", "PrimaryAnatomicStructureSequence"),
    ("Anatomic Region", "AnatomicRegionSequence"),
    ("View Code", "ViewCodeSequence"),
)
_LAST = (("Body Part Examined", "BodyPartExamined"),)
_SCALE = ("PixelSpacing", "ImagerPixelSpacing", "ExposedArea")
KEYWORDS = (*(keyword for _, keyword in (*_TEXTS, *_SEQUENCES, *_LAST)), *_SCALE)
_TRUSTED_AGAINST_IMAGE = 2
"""A header that names the AP spine outweighs fewer doubts of the image than this."""


@dataclass(frozen=True, kw_only=True)
class ImageDecision:
    """What became of one image.

    Attributes
    ----------
    sop_instance_uid, path
        Which one.
    region
        What it shows.
    used
        Whether it is an AP spine that can be measured.
    because
        The decision in words.
    reason
        Why it is not used; None where it is.
    roi
        L1 to L4; None where it is not used.
    scale
        What is known of the size of a pixel, in words.
    scan
        The picture, bone bright, for whoever shows where L1 to L4 lie: page, border, drawing and the print that was found are black.
        None where it is not used.
    """

    sop_instance_uid: str
    path: Path | None
    region: Region
    used: bool
    because: str
    reason: Reason | None
    roi: SpineRoi | None = None
    scale: str = ""
    scan: GreyArray | None = None


def decide_image(header: InstanceHeader, size: tuple[int, int] = ROI_SIZE) -> ImageDecision:
    """Decide on one image. Never raises a refusal: it is the decision."""
    try:
        dataset = None if header.path is None else read_dataset(header.path, KEYWORDS, stop_before_pixels=True)
        named = region_of(said_of(header, dataset))
        if named.region not in (Region.AP_SPINE, Region.UNKNOWN):
            text = f"The image shows {SHOWN[named.region]}, not the AP spine: {named.because}."
            return _refused(header, named.region, REFUSED_AS[named.region], text)
        if header.path is None:
            return _refused(header, named.region, ReasonCode.UNREADABLE_PIXELS, "The image itself is not at hand.")
        decided = decide_pixels(header, named, read_pixels(header.path), size)
    except Refusal as refusal:
        return _refused(header, Region.UNKNOWN, refusal.code, refusal.text)
    return replace(decided, scale=scale_of(dataset, header) if decided.used else "")


def decide_pixels(header: InstanceHeader, named: HeaderRegion, pixels: DxaPixels, size: tuple[int, int] = ROI_SIZE) -> ImageDecision:
    """Decide on an image that the header calls an AP spine, or nothing."""
    area = find_area(pixels)
    if area.is_page:
        text = f"The image is a report page, by its looks ({100 * area.uniform_share:.0f} % paper or background; {named.because})."
        return _refused(header, Region.REPORT_PAGE, ReasonCode.REPORT_PAGE, text)
    column, turned = column_of(pixels, area)
    shown = pixels.inverted() if turned else pixels
    check = check_image(shown, area, column)
    if named.region is Region.UNKNOWN and (check.doubts or column is None or turned):
        doubts = "; ".join(check.doubts) or "only its negative does, and nothing in the header says what it is"
        text = f"The image does not look like an AP spine: {doubts}. By the header: {named.because}."
        return _refused(header, Region.UNKNOWN, ReasonCode.WRONG_BODY_PART, text)
    if column is None or len(check.doubts) > _TRUSTED_AGAINST_IMAGE:
        text = f"The header says AP spine ({named.because}), but {'; '.join(check.doubts)}."
        return _refused(header, Region.AP_SPINE, ReasonCode.SPINE_NOT_FOUND, text)
    try:
        roi = crop_found(pixels, area, column, size, turned=turned)
    except Refusal as refusal:
        return _refused(header, Region.AP_SPINE, refusal.code, refusal.text)
    looks = f"the image shows {check.seen}" if not check.doubts else f"though {'; '.join(check.doubts)}"
    return ImageDecision(
        sop_instance_uid=header.sop_instance_uid,
        path=header.path,
        region=Region.AP_SPINE,
        used=True,
        because=f"AP spine: {named.because}; {looks}; {roi.because}.",
        reason=None,
        roi=roi,
        scan=np.where(area.inside & ~area.printed & ~area.drawn, shown.grey, np.float32(0)),
    )


def said_of(header: InstanceHeader, dataset: Dataset | None) -> tuple[Said, ...]:
    """What the attributes say that may name a region, the most telling first.

    The study's own description is left out: it names what was ordered, not what one image shows.
    """
    if dataset is None:
        known = {
            "ProtocolName": header.protocol_name,
            "PerformedProcedureStepDescription": header.performed_procedure_step_description,
            "ViewPosition": header.view_position,
            "SeriesDescription": header.series_description,
            "ImageType": "\\".join(header.image_type),
            "BodyPartExamined": header.body_part_examined,
        }
        return tuple(Said(attribute=name, value=known[key]) for name, key in (*_TEXTS, *_LAST) if known.get(key))
    with tolerant():
        texts = [Said(attribute=name, value=text_of(dataset, key)) for name, key in _TEXTS]
        coded = [Said(attribute=name, value=_meanings(dataset, key)) for name, key in _SEQUENCES]
        last = [Said(attribute=name, value=text_of(dataset, key)) for name, key in _LAST]
    return tuple(item for item in (*texts, *coded, *last) if item.value)


def scale_of(dataset: Dataset | None, header: InstanceHeader) -> str:
    """The size of a pixel as far as it is known. It is said, never used: the crop measures in widths of the column."""
    if dataset is None:
        return "unknown"
    with tolerant():
        for name, keyword in (("Pixel Spacing", "PixelSpacing"), ("Imager Pixel Spacing", "ImagerPixelSpacing")):
            text = text_of(dataset, keyword)
            if text and text.strip("0.\\ "):
                return f"{name} {text.replace(chr(92), ' x ')} mm"
        exposed = text_of(dataset, "ExposedArea").split("\\")
    try:
        width_mm = float(exposed[0])
    except ValueError:
        return "no pixel spacing in the header"
    if not header.columns or width_mm <= 0:
        return "no pixel spacing in the header"
    return f"no pixel spacing; Exposed Area hints at {width_mm / header.columns:.2f} mm, if it is in mm and spans the image"


def _meanings(dataset: Dataset, keyword: str) -> str:
    items = value_of(dataset, keyword)
    found = [text_of(item, "CodeMeaning") for item in items] if isinstance(items, (list, tuple)) or hasattr(items, "__iter__") else []
    return " ".join(found)


def _refused(header: InstanceHeader, region: Region, code: ReasonCode, text: str) -> ImageDecision:
    return ImageDecision(
        sop_instance_uid=header.sop_instance_uid,
        path=header.path,
        region=region,
        used=False,
        because=text,
        reason=Reason(code=code, text=text),
    )
