"""What a received instance says it is, from its bytes; pixel data are not looked at."""

import io

from pydicom import dcmread

from inference.errors import ReasonCode, Refusal
from inference.reading import HEADER_KEYWORDS, InstanceHeader, header_of
from inference.tolerant import READ_ERRORS, tolerant


def header_of_part10(part10: bytes) -> InstanceHeader:
    """The header of a received instance; pixel data are not looked at.

    Raises
    ------
    Refusal
        ``UNREADABLE_FILE``, or as :func:`inference.reading.header_of`.
    """
    try:
        with tolerant():
            dataset = dcmread(io.BytesIO(part10), stop_before_pixels=True, specific_tags=list(HEADER_KEYWORDS))
    except READ_ERRORS as error:
        raise Refusal(ReasonCode.UNREADABLE_FILE, f"the data set cannot be parsed: {error}") from error
    return header_of(dataset)


def identified(part10: bytes, sop_class_uid: str, sop_instance_uid: str) -> InstanceHeader:
    """The header of an instance that is what the command announced, and that says where it belongs.

    Raises
    ------
    Refusal
        As :func:`header_of_part10`, and ``IDENTITY_MISSING`` or ``IDENTITY_CONFLICT``.
    """
    header = header_of_part10(part10)
    if header.uids_derived:
        text = "Study, Series or SOP Instance UID is empty: what it belongs to would be a guess"
        raise Refusal(ReasonCode.IDENTITY_MISSING, text)
    if header.sop_instance_uid != sop_instance_uid:
        text = f"the command announced SOP Instance UID {sop_instance_uid}, the data set has {header.sop_instance_uid}"
        raise Refusal(ReasonCode.IDENTITY_CONFLICT, text)
    if header.sop_class_uid != sop_class_uid:
        text = f"the command announced SOP Class UID {sop_class_uid}, the data set has {header.sop_class_uid}"
        raise Refusal(ReasonCode.IDENTITY_CONFLICT, text)
    return header
