"""Pixel data as stored, whatever the transfer syntax, or a refusal that names it. The door to pydicom's decoders."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from inference.errors import ReasonCode, Refusal
from inference.tolerant import READ_ERRORS, read_dataset, text_of, tolerant

PIXEL_KEYWORDS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "ModalityLUTSequence",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
    "PixelData",
    "FloatPixelData",
    "DoubleFloatPixelData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
)
"""Attributes of the Image Pixel, Modality LUT and padding attributes (PS3.3 C.7.6.3, C.11.1, C.7.5.1.1.2)."""

LOSSY_SYNTAXES = frozenset(
    "1.2.840.10008.1.2.4." + tail for tail in ("50", "51", "53", "55", "81", "91", "93", "100", "101", "102", "103", "112", "203")
)

_JPEG_LS = frozenset({"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"})
_END_OF_IMAGE = b"\xff\xd9"


def read_with_pixels(path: Path, keywords: tuple[str, ...] = PIXEL_KEYWORDS) -> Dataset:
    """Read a file with its (still encoded) pixel data.

    Raises
    ------
    Refusal
        As :func:`inference.tolerant.read_dataset`.
    """
    return read_dataset(path, keywords)


def stored_pixels(dataset: Dataset, name: str) -> NDArray[Any]:
    """Decoded pixel data, before any rescale: shape (Rows, Columns), with frames in front and samples behind where there are several.

    Raises
    ------
    Refusal
        ``NOT_AN_IMAGE`` without pixel data; ``UNREADABLE_PIXELS`` where they are cut short, damaged, or in a transfer syntax that no
        installed decoder reads. The transfer syntax is named.
    """
    with tolerant():
        return _stored_pixels(dataset, name)


def _stored_pixels(dataset: Dataset, name: str) -> NDArray[Any]:
    if not any(keyword in dataset for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        if "Rows" in dataset or "SOPClassUID" not in dataset:  # pydicom drops what precedes an encapsulated frame that is cut short
            raise Refusal(ReasonCode.UNREADABLE_PIXELS, f"{name} holds no complete pixel data: the file was cut short.")
        raise Refusal(ReasonCode.NOT_AN_IMAGE, f"{name} has no pixel data.")
    syntax = transfer_syntax(dataset)
    said = f"{syntax.name} ({syntax})" if syntax else "no transfer syntax stated"
    try:
        _check_length(dataset, syntax, name)
        if not getattr(dataset.file_meta, "TransferSyntaxUID", None):
            dataset.file_meta.TransferSyntaxUID = syntax
        return pixel_array(dataset, raw=True)
    except READ_ERRORS as error:
        first_line = str(error).splitlines()[0].rstrip(".: ") if str(error) else type(error).__name__
        raise Refusal(ReasonCode.UNREADABLE_PIXELS, f"The pixel data of {name} cannot be decoded ({said}): {first_line}.") from error


def transfer_syntax(dataset: Dataset) -> UID:
    """The transfer syntax of the File Meta Information, or, without one, that which the data set was parsed as."""
    with tolerant():
        stated = text_of(dataset.file_meta, "TransferSyntaxUID") if hasattr(dataset, "file_meta") else ""
        if stated:
            return UID(stated)
    implicit, little = dataset.original_encoding
    if implicit:
        return UID("1.2.840.10008.1.2")
    return UID("1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2")


def is_lossy(dataset: Dataset) -> bool:
    """Whether the image was ever compressed with loss (PS3.3 C.7.6.1.1.5): stated in the data set, or by its transfer syntax."""
    with tolerant():
        return text_of(dataset, "LossyImageCompression") == "01" or str(transfer_syntax(dataset)) in LOSSY_SYNTAXES


def _check_length(dataset: Dataset, syntax: UID, name: str) -> None:
    """Native pixel data must be as long as the matrix says (pydicom pads or raises, by its settings); JPEG-LS must end."""
    if syntax in _JPEG_LS and _END_OF_IMAGE not in dataset.PixelData[-64:]:  # the decoder would find out too, after ten seconds
        raise Refusal(ReasonCode.UNREADABLE_PIXELS, f"The pixel data of {name} are truncated: the last frame ({syntax.name}) has no end.")
    if syntax.is_encapsulated or "PixelData" not in dataset:
        return
    count = (
        int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("SamplesPerPixel", 1) or 1) * int(dataset.get("NumberOfFrames", 1) or 1)
    )
    expected = (count * int(dataset.BitsAllocated) + 7) // 8
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        expected = expected // 3 * 2
    if len(dataset.PixelData) < expected:
        raise Refusal(
            ReasonCode.UNREADABLE_PIXELS, f"The pixel data of {name} are truncated: {len(dataset.PixelData)} of {expected} bytes."
        )
