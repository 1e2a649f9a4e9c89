"""Image studies and DXA examinations in a folder of DICOM files."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from inference.errors import ReasonCode, Refusal
from inference.findings import Reason, SkippedFile
from inference.reading import HEADER_KEYWORDS, InstanceHeader, find_files, header_from_json, header_of
from inference.tolerant import read_dataset, text_of, tolerant
from training.data.values import known_device
from training.errors import TrainingError
from training.pairing.journal import Journal
from training.pairing.records import DxaExam, ImageStudy, parse_day
from training.pairing.sr import read_values
from training.pairing.studies import ImageOptions, Seen, image_studies, is_dxa, person_of, why_not_one_patient

Progress = Callable[[int, int], None]
"""Called with how many are done, of how many."""

_KEYWORDS = (*HEADER_KEYWORDS, "IssuerOfPatientID")


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What a folder holds. ``other_studies`` are neither CT nor radiograph nor DXA."""

    images: tuple[ImageStudy, ...]
    exams: tuple[DxaExam, ...]
    skipped: tuple[SkippedFile, ...]
    files: int
    studies: int
    other_studies: int


def scan_folders(folders: Sequence[Path], options: ImageOptions, journal: Journal, progress: Progress) -> Scan:
    """Read every header under these folders and judge each study.

    Unreadable files and copies of an instance already read are listed, not fatal.

    Raises
    ------
    TrainingError
        A folder does not exist.
    """
    try:
        paths = find_files(folders)
    except FileNotFoundError as error:
        raise TrainingError(f"There is no folder {error}; --images takes folders of DICOM files.") from None
    studies, skipped = _read(paths, journal, progress)
    images: list[ImageStudy] = []
    exams: list[DxaExam] = []
    others = 0
    for seen in studies.values():
        of_images = image_studies(seen, options)
        of_dxa = [one for one in seen if is_dxa(one.header)]
        images.extend(of_images)
        if of_dxa:
            exams.append(_exam(seen, of_dxa))
        others += not of_images and not of_dxa
    return Scan(
        images=tuple(images),
        exams=tuple(exams),
        skipped=tuple(skipped),
        files=len(paths),
        studies=len(studies),
        other_studies=others,
    )


def _read(paths: Sequence[Path], journal: Journal, progress: Progress) -> tuple[dict[str, list[Seen]], list[SkippedFile]]:
    studies: dict[str, list[Seen]] = {}
    first_of: dict[str, Path] = {}
    skipped: list[SkippedFile] = []
    shared: dict[Any, Any] = {}
    for done, path in enumerate(paths, start=1):
        try:
            one = _read_one(path, journal)
        except Refusal as refusal:
            skipped.append(SkippedFile(path=str(path), reason=Reason(code=refusal.code, text=refusal.text)))
        else:
            first = first_of.setdefault(one.header.sop_instance_uid, path)
            if first is path:
                studies.setdefault(one.header.study_instance_uid, []).append(_sharing(one, shared))
            else:
                text = f"SOP Instance UID {one.header.sop_instance_uid} was already read from {first}."
                skipped.append(SkippedFile(path=str(path), reason=Reason(code=ReasonCode.DUPLICATE_INSTANCE, text=text)))
        progress(done, len(paths))
    return studies, skipped


def _read_one(path: Path, journal: Journal) -> Seen:
    stat = path.stat()
    key = f"{path.absolute()}|{stat.st_size}|{stat.st_mtime_ns}"
    known = journal.get(key)
    if known is not None:
        if "refused" in known:
            raise Refusal(ReasonCode(known["refused"]), known["text"])
        return Seen(header=header_from_json(known["header"], path), issuer=known["issuer"])
    try:
        dataset = read_dataset(path, _KEYWORDS, stop_before_pixels=True)
        header = header_of(dataset, path)
    except Refusal as refusal:
        journal.put(key, {"refused": refusal.code, "text": refusal.text})
        raise
    with tolerant():
        issuer = text_of(dataset, "IssuerOfPatientID")
    journal.put(key, {"header": {**asdict(header), "path": None}, "issuer": issuer})
    return Seen(header=header, issuer=issuer)


def _sharing(one: Seen, shared: dict[Any, Any]) -> Seen:
    """The same with equal texts and tuples held once: the slices of a series repeat nearly everything, and archives hold millions."""
    values = {field.name: getattr(one.header, field.name) for field in fields(one.header)}
    kept = {name: shared.setdefault(value, value) for name, value in values.items() if isinstance(value, str | tuple)}
    return Seen(header=replace(one.header, **kept), issuer=shared.setdefault(one.issuer, one.issuer))


def _exam(seen: Sequence[Seen], of_dxa: Sequence[Seen]) -> DxaExam:
    """A DXA study; with values where one of its objects is a structured report that holds some."""
    first = of_dxa[0].header
    exam = DxaExam(
        person=person_of(of_dxa),
        exam_date=next((day for one in of_dxa if (day := parse_day(one.header.study_date))), None),
        source=f"study {first.study_instance_uid}",
        device=next((name for one in of_dxa if (name := device_of(one.header))), ""),
        study_instance_uid=first.study_instance_uid,
        excluded=why_not_one_patient(seen),
    )
    reports = [one.header.path for one in of_dxa if one.header.modality == "SR" and one.header.path is not None]
    for path in reports:
        values = read_values(path)
        if values is not None:
            return replace(exam, bmd_g_cm2=values.bmd_g_cm2, t_scores=values.t_scores, t_score=values.t_score)
    return exam


def device_of(header: InstanceHeader) -> str:
    """The maker of a densitometer as the manifest names it; the header's own words where it is none of those known."""
    said = " ".join(part for part in (header.manufacturer, header.manufacturer_model_name) if part)
    return known_device(said, {}) or said
