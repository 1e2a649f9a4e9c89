"""What the headers of a radiograph or a DXA image tell before any model looks at it."""

from pydicom.uid import (
    DigitalIntraOralXRayImageStorageForProcessing,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalXRayImageStorageForProcessing,
)

from inference.errors import ReasonCode, Refusal
from inference.reading import InstanceHeader

NO_PIXELS = ("1.2.840.10008.5.1.4.1.1.88.", "1.2.840.10008.5.1.4.1.1.11.", "1.2.840.10008.5.1.4.1.1.104.")
"""How the SOP classes of structured reports, presentation states and encapsulated documents begin."""
HUMAN_SPECIES = frozenset({"", "HUMAN", "HOMO SAPIENS"})
FOR_PROCESSING_CLASSES = frozenset(
    {
        DigitalXRayImageStorageForProcessing,
        DigitalMammographyXRayImageStorageForProcessing,
        DigitalIntraOralXRayImageStorageForProcessing,
    }
)


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
