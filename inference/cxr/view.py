"""What the header of a film says: body part, species, view, and to which side its rows run."""

from dataclasses import dataclass
from enum import StrEnum

from pydicom import Dataset

from inference.errors import ReasonCode, Refusal
from inference.header_words import LATERAL_WORDS, described, words
from inference.reading import InstanceHeader
from inference.tolerant import text_of, tolerant, value_of, vector_of

KEYWORDS = (
    "ViewCodeSequence",
    "PatientOrientation",
    "AcquisitionDeviceProcessingDescription",
    "PatientBreedDescription",
    "PatientSexNeutered",
    "ImagerPixelSpacing",
    "PixelSpacing",
)
FILM_MODALITIES = frozenset({"CR", "DX", "RG"})
CHEST_WORDS = frozenset({"CHEST", "THORAX", "LUNG", "LUNGS", "RIB", "RIBS", "THORACIC", "STERNUM"})
ANIMAL_WORDS = frozenset({"CANINE", "FELINE", "EQUINE", "BOVINE", "VETERINARY", "DOG"})
OBLIQUE_WORDS = frozenset({"OBLIQUE", "LAO", "RAO", "LPO", "RPO", "DECUBITUS", "LORDOTIC"})
_VIEWS = (("POSTERO", "ANTERIOR"), ("ANTERO", "POSTERIOR"))


class View(StrEnum):
    """Of a film that may be used."""

    PA = "PA"
    AP = "AP"
    FRONTAL = "frontal"
    """Either: the image shows a frontal chest, the header does not say which way the beam went."""


@dataclass(frozen=True, kw_only=True)
class HeaderView:
    """What the header says.

    Attributes
    ----------
    view
        None where it is silent.
    because
        Which attribute says it.
    chest
        Whether it names the chest.
    rows_run_left
        Patient Orientation: True where the rows run to the patient's left, as films are shown; False for the right; None unknown.
    spacing_mm
        Between rows and columns at the detector or the patient; None where absent or zero.
    """

    view: View | None
    because: str
    chest: bool
    rows_run_left: bool | None
    spacing_mm: tuple[float, float] | None


def header_view(header: InstanceHeader, dataset: Dataset | None) -> HeaderView:
    """Read the header of a film; what it cannot be is refused.

    Raises
    ------
    Refusal
        ``LOCALIZER``, ``WRONG_MODALITY``, ``NOT_HUMAN``, ``WRONG_BODY_PART`` or ``NOT_FRONTAL``.
    """
    with tolerant():
        codes = _meanings(dataset, "ViewCodeSequence")
        orientation = "" if dataset is None else text_of(dataset, "PatientOrientation")
        processing = "" if dataset is None else text_of(dataset, "AcquisitionDeviceProcessingDescription")
        breed = "" if dataset is None else text_of(dataset, "PatientBreedDescription") + text_of(dataset, "PatientSexNeutered")
        spacing = _spacing(header, dataset)
    check_modality(header)
    check_animal(header, processing, breed)
    check_body_part(header)
    check_frontal(header, codes, orientation, processing)
    view, because = _view(header, codes)
    sides = orientation.split("\\")[0].upper()
    rows_run_left = True if sides.startswith("L") else False if sides.startswith("R") else None
    chest = bool(CHEST_WORDS & {*words(header.body_part_examined, header.study_description), *described(header)})
    return HeaderView(view=view, because=because, chest=chest, rows_run_left=rows_run_left, spacing_mm=spacing)


def check_modality(header: InstanceHeader) -> None:
    """Refuse what is no projection film: a CT's scout, a CT, a photograph.

    Raises
    ------
    Refusal
        ``LOCALIZER``, ``WRONG_MODALITY``.
    """
    if "LOCALIZER" in (part.upper() for part in header.image_type):
        raise Refusal(ReasonCode.LOCALIZER, "The image is a localizer of another examination, not a chest radiograph.")
    if header.modality.strip().upper() not in FILM_MODALITIES:
        text = f"The modality is {header.modality!r}; a chest radiograph is CR or DX."
        raise Refusal(ReasonCode.WRONG_MODALITY, text)


def check_animal(header: InstanceHeader, processing: str, breed: str) -> None:
    """Refuse an animal that a header names elsewhere than in Patient Species Description.

    Raises
    ------
    Refusal
        ``NOT_HUMAN``.
    """
    said = {*words(processing, header.study_description), *described(header)}
    if ANIMAL_WORDS & said:
        named = processing.strip() or header.series_description.strip() or header.study_description.strip()
        raise Refusal(ReasonCode.NOT_HUMAN, f"The image was processed or described as an animal's ({named!r}).")
    if breed.strip():
        raise Refusal(ReasonCode.NOT_HUMAN, "The header gives a breed or whether the patient is neutered: an animal.")


def check_body_part(header: InstanceHeader) -> None:
    """Refuse an image of another body part. A blank Body Part Examined says nothing.

    Raises
    ------
    Refusal
        ``WRONG_BODY_PART``.
    """
    part = header.body_part_examined.strip()
    if part and not CHEST_WORDS & set(words(part)):
        raise Refusal(ReasonCode.WRONG_BODY_PART, f"Body Part Examined is {part!r}, not the chest.")


def check_frontal(header: InstanceHeader, codes: str = "", orientation: str = "", processing: str = "") -> None:
    """Refuse a lateral or oblique view, by View Position or, where that is blank, by what else names one as a whole word.

    Raises
    ------
    Refusal
        ``NOT_FRONTAL``.
    """
    position = words(header.view_position)
    said = set(position or (*words(codes), *described(header), *words(processing)))
    if (LATERAL_WORDS | OBLIQUE_WORDS) & said and not {View.PA.value, View.AP.value} & said:
        parts = (header.view_position, codes, header.series_description, header.protocol_name, processing)
        named = next((part.strip() for part in parts if (LATERAL_WORDS | OBLIQUE_WORDS) & set(words(part))), " ".join(sorted(said)))
        raise Refusal(ReasonCode.NOT_FRONTAL, f"The view is {named!r}; a frontal one (PA, AP) is needed.")
    sides = {part.strip().upper()[:1] for part in orientation.split("\\")} - {""}
    if not position and sides & {"A", "P"}:
        said_as = orientation.replace(chr(92), "/")
        raise Refusal(ReasonCode.NOT_FRONTAL, f"Patient Orientation is {said_as!r}: the film shows front and back, so it is lateral.")


def _view(header: InstanceHeader, codes: str) -> tuple[View | None, str]:
    """PA or AP, and which attribute says so."""
    coded = words(codes)
    by_code = [view for view, pair in zip((View.PA, View.AP), _VIEWS, strict=True) if all(part in coded for part in pair)]
    for said, name in ((words(header.view_position), "View Position"), (coded, "View Code"), (described(header), "its description")):
        named = [view for view in (View.PA, View.AP) if view.value in said]
        found = named or (by_code if name == "View Code" else [])
        if len(found) == 1:
            return found[0], f"{name} says {found[0].value}"
    return None, "the header does not say the view"


def _spacing(header: InstanceHeader, dataset: Dataset | None) -> tuple[float, float] | None:
    """Pixel Spacing, else Imager Pixel Spacing; zero and negative values are none."""
    found = [header.pixel_spacing_mm]
    if dataset is not None:
        found += [vector_of(dataset, "PixelSpacing", 2), vector_of(dataset, "ImagerPixelSpacing", 2)]
    return next(((pair[0], pair[1]) for pair in found if len(pair) == 2 and min(pair) > 0), None)


def _meanings(dataset: Dataset | None, keyword: str) -> str:
    items = None if dataset is None else value_of(dataset, keyword)
    return " ".join(text_of(item, "CodeMeaning") for item in items) if items and hasattr(items, "__iter__") else ""
