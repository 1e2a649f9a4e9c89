"""Image studies of an archive: found by date or by patient, and those that may have a DXA in time looked into."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial

from pydicom import Dataset
from pydicom.uid import ComputedRadiographyImageStorage, CTImageStorage, DigitalXRayImageStorageForPresentation

from inference.ct.series.stacks import MIN_SLICES
from inference.ct.series.words import derived_word, localizer_word, other_body_part
from inference.errors import ReasonCode, Refusal
from inference.reading import InstanceHeader, header_of
from inference.tolerant import integer_of, text_of, tolerant
from training.errors import TrainingError
from training.pairing.archive import Answer, Archive, Window, find_studies, months_between
from training.pairing.journal import Journal
from training.pairing.reasons import PairReason, Why
from training.pairing.records import ImageKind, ImageStudy, Person, parse_day, sex_of
from training.pairing.studies import FILM_MODALITIES, ImageOptions, Seen, image_studies, is_dxa, names_dxa

MODALITIES = {ImageKind.CT: frozenset({"CT"}), ImageKind.CXR: FILM_MODALITIES}
_CLASSES = {"CT": CTImageStorage, "CR": ComputedRadiographyImageStorage, "DX": DigitalXRayImageStorageForPresentation}
_WILDCARDS = re.compile(r"[*?\\]")

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many of it are done, and of how many."""


@dataclass(frozen=True, kw_only=True)
class PatientDays:
    """One patient of whom studies between two days may have a DXA in time. ``patient_id`` as the DXA's source writes it."""

    patient_id: str
    first: date
    last: date


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of an archive.

    Attributes
    ----------
    patients
        Whose studies matter, and when.
    by_patient
        Ask for each patient instead of for each month; finds only Patient IDs that are written as in the DXA's source.
    wanted
        Whether a study of this Patient ID and date is worth looking into; others stay as they were found.
    result_limit
        An answer of so many studies or more may have been cut short by the server, and is asked for again in halves.
    deep
        Ask for every CT slice, so that the series is chosen as inference would; else after retrieval.
    """

    patients: tuple[PatientDays, ...]
    wanted: Callable[[str, date | None], bool]
    by_patient: bool = False
    result_limit: int = 100
    deep: bool = False
    images: ImageOptions = field(default_factory=ImageOptions)


@dataclass(frozen=True, kw_only=True)
class RemoteStudies:
    """What an archive holds. ``uncertain`` names the windows in which it may hold more than it told."""

    images: tuple[ImageStudy, ...]
    studies: int
    uncertain: tuple[str, ...]


def remote_studies(archive: Archive, request: Request, journal: Journal, progress: Progress) -> RemoteStudies:
    """Find the studies that hold CT or radiographs, and look into those that may have a DXA in time.

    Raises
    ------
    ArchiveError
        The archive cannot be asked now. What it had answered is in the journal; the same command goes on from there.
    TrainingError
        It will never answer this, or a Patient ID holds a wildcard.
    """
    asker = _Asker(archive=archive, journal=journal, uncertain=[])
    studies: dict[str, Dataset] = {}
    queries = _queries(request)
    for done, (patient_id, window) in enumerate(queries, start=1):
        found = find_studies(partial(asker.studies, patient_id), [window], request.result_limit)
        asker.uncertain.extend(found.uncertain)
        studies.update({uid: study for uid, study in found.studies.items() if _kinds(study, request.images.kinds)})
        progress("asking for studies", done, len(queries))
    images: list[ImageStudy] = []
    for done, uid in enumerate(sorted(studies), start=1):
        images.extend(_of_study(asker, studies[uid], request))
        progress("looking into studies", done, len(studies))
    return RemoteStudies(images=tuple(images), studies=len(studies), uncertain=tuple(asker.uncertain))


def _queries(request: Request) -> list[tuple[str, Window]]:
    """Every question on the study level: by month, or by patient."""
    if not request.patients:
        return []
    if not request.by_patient:
        first, last = min(one.first for one in request.patients), max(one.last for one in request.patients)
        return [("", window) for window in months_between(first, last)]
    for patient in request.patients:
        if _WILDCARDS.search(patient.patient_id):
            raise TrainingError(f"The Patient ID {patient.patient_id!r} holds a wildcard (* ? \\) and cannot be asked for; use --by dates.")
    return [(patient.patient_id, Window(first=patient.first, last=patient.last)) for patient in request.patients]


def _kinds(study: Dataset, wanted: frozenset[ImageKind]) -> frozenset[ImageKind]:
    """What the study may hold, as far as Modalities in Study says; where the server leaves it empty, any of what is wanted."""
    said = set(text_of(study, "ModalitiesInStudy").split("\\")) - {""}
    kinds = frozenset(kind for kind in wanted if not said or said & MODALITIES[kind])
    return kinds - {ImageKind.CXR} if names_dxa(text_of(study, "StudyDescription")) else kinds


@dataclass(frozen=True, kw_only=True)
class _Asker:
    """The archive, asked once for each thing: what it answered is in the journal. ``uncertain`` collects where it may have told less."""

    archive: Archive
    journal: Journal
    uncertain: list[str]

    def studies(self, patient_id: str, window: Window) -> Answer:
        return self._ask(f"studies|{window}|{patient_id}", lambda: self.archive.studies(window, patient_id))

    def series(self, study: Dataset) -> Answer:
        uid = text_of(study, "StudyInstanceUID")
        answer = self._ask(f"series|{uid}", lambda: self.archive.series(study))
        self._count(answer, integer_of(study, "NumberOfStudyRelatedSeries"), f"study {uid}")
        return answer

    def instances(self, study: Dataset, series: Dataset) -> Answer:
        uid = text_of(series, "SeriesInstanceUID")
        answer = self._ask(f"instances|{uid}", lambda: self.archive.instances(study, series))
        self._count(answer, integer_of(series, "NumberOfSeriesRelatedInstances"), f"series {uid}")
        return answer

    def _count(self, answer: Answer, expected: int | None, what: str) -> None:
        if answer.cut or len(answer.rows) < (expected or 0):
            self.uncertain.append(what)

    def _ask(self, key: str, ask: Callable[[], Answer]) -> Answer:
        key = f"{self.archive.name}|{key}"
        known = self.journal.get(key)
        if known is None:
            answer = ask()
            with tolerant():
                known = {"cut": answer.cut, "rows": [row.to_json_dict(suppress_invalid_tags=True) for row in answer.rows]}
            self.journal.put(key, known)
        with tolerant():
            return Answer(rows=tuple(Dataset.from_json(row) for row in known["rows"]), cut=known["cut"])


def _of_study(asker: _Asker, study: Dataset, request: Request) -> list[ImageStudy]:
    day = parse_day(text_of(study, "StudyDate"))
    kinds = _kinds(study, request.images.kinds)
    certain = bool(text_of(study, "ModalitiesInStudy"))
    if not request.wanted(text_of(study, "PatientID"), day):
        return [_plain(study, kind, day) for kind in ImageKind if kind in kinds] if certain else []
    series = [_merged(study, one) for one in asker.series(study).rows]
    found: list[ImageStudy] = []
    for kind, of_kind in ((ImageKind.CT, _ct), (ImageKind.CXR, _films)):
        held = [one for one in series if text_of(one, "Modality") in MODALITIES[kind]]
        if kind in kinds and (held or certain):
            found.extend(of_kind(asker, study, held, _plain(study, kind, day), request))
    return found


def _plain(study: Dataset, kind: ImageKind, day: date | None) -> ImageStudy:
    return ImageStudy(
        person=Person(
            patient_id=text_of(study, "PatientID"),
            issuer=text_of(study, "IssuerOfPatientID"),
            sex=sex_of(text_of(study, "PatientSex")),
            birth_date=parse_day(text_of(study, "PatientBirthDate")),
        ),
        kind=kind,
        study_date=day,
        study_instance_uid=text_of(study, "StudyInstanceUID"),
        accession_number=text_of(study, "AccessionNumber"),
    )


def _ct(asker: _Asker, study: Dataset, series: Sequence[Dataset], known: ImageStudy, request: Request) -> list[ImageStudy]:
    """The CT of a study: the series that may be used, or, asked slice by slice, the one that is."""
    usable: list[Dataset] = []
    reasons: list[Why] = []
    for one in series:
        why = why_no_ct_series(_standing_for(one), integer_of(one, "NumberOfSeriesRelatedInstances"))
        if why is None:
            usable.append(one)
        else:
            reasons.append(why)
    if not usable:
        return [replace(known, excluded=_best_reason(reasons, "CT"))]
    if request.deep:
        seen = [one for row in usable for one in _instances(asker, study, row)]
        if any(one.header.image_position for one in seen):
            return _listed(image_studies(seen, replace(request.images, kinds=frozenset({ImageKind.CT}))))
    return [replace(known, series_listed=tuple(text_of(one, "SeriesInstanceUID") for one in usable))]


def why_no_ct_series(header: InstanceHeader, instances: int | None) -> Why | None:
    """Why a series' own attributes speak against it, by the words that inference goes by; None where they do not."""
    word = localizer_word(header)
    if word:
        return Why(code=ReasonCode.LOCALIZER, text=f"Localizer ({word}).")
    word = derived_word(header)
    if word:
        return Why(code=ReasonCode.DERIVED_IMAGE, text=f"Derived image ({word}).")
    part = other_body_part(header)
    if part:
        return Why(code=ReasonCode.WRONG_BODY_PART, text=f"The header names {part}, which holds no lumbar spine.")
    if instances is not None and instances < MIN_SLICES:
        return Why(code=ReasonCode.TOO_FEW_SLICES, text=f"Only {instances} slice(s).")
    return None


def _films(asker: _Asker, study: Dataset, series: Sequence[Dataset], known: ImageStudy, request: Request) -> list[ImageStudy]:
    """The radiographs of a study, instance by instance: view and presentation are attributes of instances."""
    films = [one for one in series if not is_dxa(_standing_for(one))]
    if series and not films:
        return []  # a DXA that was sent as CR
    seen = [one for row in films for one in _instances(asker, study, row)]
    if not seen:
        return [replace(known, excluded=_best_reason([], "radiograph"))]
    return _listed(image_studies(seen, replace(request.images, kinds=frozenset({ImageKind.CXR}))))


def _listed(judged: Sequence[ImageStudy]) -> list[ImageStudy]:
    """The same, with the chosen series as the one to be retrieved."""
    return [replace(one, series_listed=(one.series_instance_uid,) if one.series_instance_uid else ()) for one in judged]


def _best_reason(reasons: Sequence[Why], what: str) -> Why:
    """The one reason of all series, or all of them."""
    codes = {why.code for why in reasons}
    if not reasons:
        return Why(code=PairReason.NO_INSTANCES_LISTED, text=f"The archive lists no {what} instance of this study.")
    if len(codes) == 1:
        return reasons[0]
    return Why(code=ReasonCode.NO_SUITABLE_SERIES, text="No series can be used: " + " ".join(why.text for why in reasons))


def _instances(asker: _Asker, study: Dataset, series: Dataset) -> list[Seen]:
    found = []
    for row in asker.instances(study, series).rows:
        header = _header(_merged(series, row))
        if header is not None:
            found.append(Seen(header=header, issuer=text_of(series, "IssuerOfPatientID")))
    return found


def _standing_for(series: Dataset) -> InstanceHeader:
    """A header of what all instances of a CT or film series share, for checks that go by words."""
    stand_in = Dataset()
    stand_in.SOPInstanceUID = text_of(series, "SeriesInstanceUID") or "2.25.0"
    stand_in.SOPClassUID = _CLASSES[text_of(series, "Modality")]
    return header_of(_merged(series, stand_in))


def _header(row: Dataset) -> InstanceHeader | None:
    """The header of an instance; the usual SOP class of its modality where the server gives none."""
    if not text_of(row, "SOPClassUID"):
        row.SOPClassUID = _CLASSES[text_of(row, "Modality")]
    try:
        return header_of(row)
    except Refusal:
        return None


def _merged(above: Dataset, below: Dataset) -> Dataset:
    """Attributes of a level and of the levels above it; an empty one below hides none above."""
    whole = Dataset()
    whole.update(above)
    for element in below:
        if not element.is_empty or element.tag not in whole:
            whole.add(element)
    return whole
