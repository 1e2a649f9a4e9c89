"""What one study is, from the headers of its images: a CT, chest radiographs, a DXA, several of these, or nothing of interest."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from inference.ct.series import choose_series
from inference.cxr.view import CHEST_WORDS, check_body_part, check_frontal
from inference.errors import Refusal
from inference.header_words import described, words
from inference.reading import InstanceHeader, check_identity
from inference.workflows.radiograph import check_human, check_presentation
from training.pairing.reasons import PairReason, Why
from training.pairing.records import ImageKind, ImageStudy, Person, parse_day, sex_of

FILM_MODALITIES = frozenset({"CR", "DX"})
FILM_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1"})
"""Computed Radiography Image Storage, Digital X-Ray Image Storage - For Presentation."""
FRONTAL_VIEWS = frozenset({"PA", "AP"})
_DXA_WORDS = re.compile(r"\b(DXA|DEXA|BMD|BONE\s*DENSIT\w*|BONE\s*MINERAL\w*|\w*DENSITOMETR\w*|OSTEODENS\w*)\b")
_DXA_MAKERS = re.compile(r"\b(LUNAR|HOLOGIC|MEDILINK|MEDIX|NORLAND|IDXA|PRODIGY)\b")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One instance: its header, and what :class:`~inference.reading.InstanceHeader` does not hold."""

    header: InstanceHeader
    issuer: str = ""


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """``accept_unstated``: films whose headers state neither view nor body part are taken for frontal chest films."""

    kinds: frozenset[ImageKind] = frozenset(ImageKind)
    accept_unstated: bool = False


def is_dxa(header: InstanceHeader) -> bool:
    """Whether an instance is of a DXA, by modality, a word of its descriptions, or a maker of densitometers alone.

    DXA arrives as BMD, OT, CR, DX, SC or SR; a Hologic mammograph is no densitometer, so its maker counts only with modalities that a
    densitometer writes.
    """
    if header.modality == "BMD":
        return True
    if header.modality in {"CT", "MR", "PT", "MG", "US", "NM"}:
        return False
    text = " ".join(
        (header.study_description, header.series_description, header.protocol_name, header.performed_procedure_step_description)
    )
    maker = f"{header.manufacturer} {header.manufacturer_model_name}".upper()
    return names_dxa(text) or bool(header.modality in {"CR", "OT", "SC", "SR"} and _DXA_MAKERS.search(maker))


def names_dxa(description: str) -> bool:
    """Whether a word of a description says DXA."""
    return _DXA_WORDS.search(description.upper()) is not None


def image_studies(seen: Sequence[Seen], options: ImageOptions) -> list[ImageStudy]:
    """The CT and the chest radiographs among the instances of one study: none, one or both, each usable or with the reason against it."""
    ct = [one for one in seen if one.header.modality == "CT"]
    films = [one for one in seen if one.header.modality in FILM_MODALITIES and not is_dxa(one.header)]
    found = []
    for kind, of_kind, judge in ((ImageKind.CT, ct, _judge_ct), (ImageKind.CXR, films, _judge_films)):
        if of_kind and kind in options.kinds:
            # two patients in one study spoil all of it, whichever instances they are in
            why = why_not_one_patient(seen)
            chosen, why = ((), why) if why else judge([one.header for one in of_kind], options)
            found.append(_image_study(of_kind, kind, chosen, why))
    return found


def person_of(seen: Sequence[Seen]) -> Person:
    """The patient of one study; each attribute from the first instance that has it."""
    headers = [one.header for one in seen]
    return Person(
        patient_id=_first(header.patient_id for header in headers),
        issuer=_first(one.issuer for one in seen),
        sex=_first(sex_of(header.patient_sex) for header in headers),
        birth_date=next((day for header in headers if (day := parse_day(header.patient_birth_date))), None),
    )


def why_not_one_patient(seen: Sequence[Seen]) -> Why | None:
    """The reason against a study whose instances name two patients: by ID, birth date, name, issuer or sex; else None."""
    try:
        check_identity([one.header for one in seen])
    except Refusal as refusal:
        return Why(code=refusal.code, text=refusal.text)
    for name, values in (
        ("Issuers of Patient ID", {" ".join(one.issuer.upper().split()) for one in seen}),
        ("Patient's Sexes", {sex_of(one.header.patient_sex) for one in seen}),
    ):
        if len(values - {""}) > 1:
            return Why(code="IDENTITY_CONFLICT", text=f"The study holds images with {len(values - {''})} different {name}.")
    return None


def _image_study(seen: Sequence[Seen], kind: ImageKind, chosen: Sequence[InstanceHeader], why: Why | None) -> ImageStudy:
    headers = [one.header for one in seen]
    day = next((found for header in headers if (found := parse_day(header.study_date))), None)
    if why is None and len({parse_day(header.study_date) for header in headers} - {None}) > 1:
        chosen, why = (), Why(code=PairReason.DATE_MISSING, text="Its images carry different Study Dates.")
    return ImageStudy(
        person=person_of(seen),
        kind=kind,
        study_date=day,
        study_instance_uid=headers[0].study_instance_uid,
        series_instance_uid=chosen[0].series_instance_uid if chosen else "",
        paths=tuple(header.path for header in chosen if header.path is not None),
        accession_number=_first(header.accession_number for header in headers),
        excluded=why,
    )


Judged = tuple[tuple[InstanceHeader, ...], Why | None]


def _judge_ct(headers: Sequence[InstanceHeader], options: ImageOptions) -> Judged:
    """The series that inference would measure first."""
    del options
    choice = choose_series(headers)
    if choice.candidates:
        return choice.candidates[0].headers, None
    refusal = choice.refusal()
    return (), Why(code=refusal.code, text=refusal.text)


def _judge_films(headers: Sequence[InstanceHeader], options: ImageOptions) -> Judged:
    """One frontal chest film: PA before AP, then the larger matrix, then the lower Instance Number."""
    usable: list[InstanceHeader] = []
    reasons: list[Why] = []
    for header in headers:
        why = why_no_frontal_chest(header, options)
        if why is None:
            usable.append(header)
        else:
            reasons.append(why)
    if not usable:
        return (), min(reasons, key=lambda why: _TELLING.get(why.code, 0))
    return (min(usable, key=_film_rank),), None


_TELLING: Mapping[str, int] = {PairReason.VIEW_NOT_STATED: -2, PairReason.BODY_PART_NOT_STATED: -1}
"""Which of several films' reasons is told: one that the person can settle first (``--accept-unstated``)."""


def why_no_frontal_chest(header: InstanceHeader, options: ImageOptions) -> Why | None:
    """Why a radiograph is no frontal film of a human chest for presentation, or None."""
    try:
        for check in (check_human, check_presentation, check_body_part, check_frontal):
            check(header)
    except Refusal as refusal:
        return Why(code=refusal.code, text=refusal.text)
    if header.sop_class_uid not in FILM_CLASSES or "SECONDARY" in header.image_type[1:2]:
        return Why(code="DERIVED_IMAGE", text="No radiograph as it was taken: Secondary Capture, or SECONDARY by its Image Type.")
    if options.accept_unstated:
        return None
    said = {*words(header.view_position), *described(header)}
    if not FRONTAL_VIEWS & said:
        return Why(code=PairReason.VIEW_NOT_STATED, text="Neither View Position nor a description says PA or AP.")
    if not CHEST_WORDS & {*words(header.body_part_examined, header.study_description), *described(header)}:
        return Why(code=PairReason.BODY_PART_NOT_STATED, text="Neither Body Part Examined nor a description names the chest.")
    return None


def _film_rank(header: InstanceHeader) -> tuple[bool, int, int, str]:
    frontal = "PA" in {*words(header.view_position), *described(header)}
    return (not frontal, -(header.rows or 0) * (header.columns or 0), header.instance_number or 0, header.sop_instance_uid)


def _first(values: Iterable[str]) -> str:
    return next((value for value in values if value), "")
