"""What the headers of a radiograph or a DXA image tell before any model looks at it."""

from collections.abc import Callable, Sequence

from pydicom.uid import (
    DigitalIntraOralXRayImageStorageForProcessing,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalXRayImageStorageForProcessing,
)

from inference.errors import ReasonCode, Refusal
from inference.findings import Findings, Notice, Outcome, Reason, SkippedFile
from inference.header_words import LATERAL_WORDS, described, words
from inference.identity import check_identity
from inference.reading import InstanceHeader

__all__ = [
    "LATERAL_WORDS",
    "HeaderCheck",
    "check_human",
    "check_presentation",
    "described",
    "refused_study",
    "words",
]

HUMAN_SPECIES = frozenset({"", "HUMAN", "HOMO SAPIENS"})
FOR_PROCESSING_CLASSES = frozenset(
    {
        DigitalXRayImageStorageForProcessing,
        DigitalMammographyXRayImageStorageForProcessing,
        DigitalIntraOralXRayImageStorageForProcessing,
    }
)

HeaderCheck = Callable[[InstanceHeader], None]


def check_human(header: InstanceHeader) -> None:
    """Refuse an image whose Patient Species Description (0010,2201) names an animal.

    Raises
    ------
    Refusal
        ``NOT_HUMAN``.
    """
    species = header.patient_species.strip()
    if species.upper() not in HUMAN_SPECIES:
        raise Refusal(ReasonCode.NOT_HUMAN, f"The patient's species is {species!r}.")


def check_presentation(header: InstanceHeader) -> None:
    """Refuse an image For Processing (PS3.3 C.8.11.1.1.4): its grey values are the detector's, not what a model was trained on.

    Raises
    ------
    Refusal
        ``FOR_PROCESSING``.
    """
    if header.presentation_intent_type.strip().upper() == "FOR PROCESSING" or header.sop_class_uid in FOR_PROCESSING_CLASSES:
        raise Refusal(ReasonCode.FOR_PROCESSING, "The image is For Processing; send the one For Presentation.")


def refused_study(headers: Sequence[InstanceHeader], workflow: str, checks: Sequence[HeaderCheck], no_model: str) -> Findings:
    """A refused study: the images' own reason where every one has one, else ``NO_TRAINED_MODEL`` with the text ``no_model``."""
    notices: tuple[Notice, ...] = ()
    skipped: list[SkippedFile] = []
    reason: Reason | None = None
    try:
        notices = check_identity(headers)
    except Refusal as refusal:
        reason = Reason(code=refusal.code, text=refusal.text)
    if reason is None:
        skipped = [found for header in headers if (found := _unsuitable(header, checks)) is not None]
        reason = Reason(code=ReasonCode.NO_TRAINED_MODEL, text=no_model) if len(skipped) < len(headers) else skipped[0].reason
    return Findings(
        study_instance_uid=headers[0].study_instance_uid,
        workflow=workflow,
        outcome=Outcome.REFUSED,
        reason=reason,
        warnings=notices,
        skipped=tuple(skipped),
        timings_s={"total": 0.0},
    )


def _unsuitable(header: InstanceHeader, checks: Sequence[HeaderCheck]) -> SkippedFile | None:
    for check in checks:
        try:
            check(header)
        except Refusal as refusal:
            path = str(header.path) if header.path else f"instance {header.sop_instance_uid}"
            return SkippedFile(path=path, reason=Reason(code=refusal.code, text=refusal.text))
    return None
