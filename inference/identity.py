"""Whose study is it: UIDs that are derived where the sender left them empty, and patients that must not be mixed."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from inference.errors import ReasonCode, Refusal, WarningCode
from inference.findings import Notice

if TYPE_CHECKING:
    from inference.reading import InstanceHeader

STUDY_IDENTITY = ("PatientID", "StudyDate", "StudyID", "AccessionNumber", "FrameOfReferenceUID")
"""What a missing Study Instance UID is derived from."""
SERIES_IDENTITY = ("Modality", "SeriesNumber", "SeriesDescription", "SeriesTime", "AcquisitionNumber", "ImageOrientationPatient")
"""What, with the Study Instance UID, a missing Series Instance UID is derived from."""


def derived_uid(kind: str, values: Mapping[str, str]) -> str:
    """A UID under 2.25 (PS3.5 B.2) that is the same whenever the values are the same, whatever machine derives it."""
    text = "\x1f".join([kind, *(f"{key}={values[key]}" for key in sorted(values))])
    return f"2.25.{int.from_bytes(sha256(text.encode()).digest()[:16], 'big')}"


def derived_study_uid(values: Mapping[str, str]) -> str:
    """Study Instance UID from :data:`STUDY_IDENTITY`.

    Raises
    ------
    Refusal
        ``IDENTITY_MISSING`` where so little is left that two patients could fall into one study: a date alone names nobody.
    """
    if not any(values[key] for key in STUDY_IDENTITY if key != "StudyDate"):
        raise Refusal(
            ReasonCode.IDENTITY_MISSING,
            "Study Instance UID is empty, and so are Patient ID, Study ID, Accession Number and Frame of Reference UID: "
            "the study cannot be told from another patient's.",
        )
    return derived_uid("study", {key: values[key] for key in STUDY_IDENTITY})


def check_identity(headers: Sequence["InstanceHeader"]) -> tuple[Notice, ...]:
    """Make sure that one study holds one patient.

    Patient IDs are compared without surrounding spaces and case; names without case, padding and component order, and an initial or a
    missing middle name is no difference.

    Returns
    -------
    tuple of Notice
        ``IDENTITY_INCOMPLETE`` where Patient ID is empty, ``UIDS_DERIVED`` where a UID had to be derived.

    Raises
    ------
    Refusal
        ``IDENTITY_CONFLICT`` where the instances name two patients.
    """
    ids = sorted({_plain(header.patient_id) for header in headers} - {""})
    if len(ids) > 1:
        raise Refusal(ReasonCode.IDENTITY_CONFLICT, f"The study holds images of {len(ids)} Patient IDs; one study must hold one patient.")
    dates = {header.patient_birth_date.strip() for header in headers} - {""}
    if len(dates) > 1:
        raise Refusal(ReasonCode.IDENTITY_CONFLICT, f"The study holds images with {len(dates)} different Patient's Birth Dates.")
    names = sorted({header.patient_name for header in headers} - {""})
    if any(_names_differ(names[0], other) for other in names[1:]):
        raise Refusal(ReasonCode.IDENTITY_CONFLICT, f"The study holds images with {len(names)} clearly different Patient's Names.")
    notices = []
    without = sum(not header.patient_id.strip() for header in headers)
    if without:
        text = f"Patient ID is empty in {without} of {len(headers)} instances; results cannot be filed by patient."
        notices.append(Notice(code=WarningCode.IDENTITY_INCOMPLETE, text=text))
    if any(header.uids_derived for header in headers):
        text = "The sender left UIDs empty; Osteon derived them, so results may not join the original study in the archive."
        notices.append(Notice(code=WarningCode.UIDS_DERIVED, text=text))
    return tuple(notices)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _names_differ(one: str, other: str) -> bool:
    """Whether two PN values name different people: in every representation both have (PS3.5 6.2.1), neither's words cover the other's."""
    pairs = [(_words(a), _words(b)) for a, b in zip(one.split("="), other.split("="), strict=False)]
    compared = [(a, b) for a, b in pairs if a and b]
    return any(not _covers(a, b) and not _covers(b, a) for a, b in compared)


def _words(name: str) -> tuple[str, ...]:
    return tuple(_plain(name.replace("^", " ").replace(",", " ").replace(".", " ")).split())


def _covers(longer: Sequence[str], shorter: Sequence[str]) -> bool:
    """Whether each word of the shorter name is a word of the longer one, or the initial of one."""
    return all(any(a == b or (len(b) == 1 and a.startswith(b)) or (len(a) == 1 and b.startswith(a)) for a in longer) for b in shorter)
