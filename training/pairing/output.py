"""What a run writes: the manifest, a report of every candidate, a summary, and what is to be retrieved or linked."""

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from training.data.labels import BoneLabel, who_label
from training.data.manifest import ManifestRow, Modality, Sex
from training.errors import TrainingError
from training.pairing.flow import Flow
from training.pairing.identity import IdRules
from training.pairing.match import Candidate
from training.pairing.pseudonyms import Pseudonyms
from training.pairing.records import DxaExam, ImageStudy, Person

REPORT_COLUMNS = (
    "patient_id", "modality", "study_date", "study_uid", "series_uid", "dxa_date", "dxa_source", "device", "days", "outcome", "text",
)  # fmt: skip
RETRIEVE_COLUMNS = ("study_instance_uid", "series_instance_uid", "modality", "path")
_ROW = re.compile(r"row \d+$")


@dataclass(frozen=True, kw_only=True)
class Names:
    """How patients, studies and dates are written: as they are, or by pseudonyms.

    A patient is written by the form in which IDs were compared, with the issuer where several hospitals use the same ID: one person
    always has one name, so that splits by patient hold.
    """

    ids: IdRules
    shared_ids: frozenset[str] = frozenset()
    pseudonyms: Pseudonyms | None = None

    def key(self, person: Person) -> str:
        """What tells this patient from every other."""
        key = self.ids.key(person.patient_id)
        issuer = " ".join(person.issuer.upper().split())
        return f"{key}@{issuer}" if key in self.shared_ids and issuer else key

    def patient(self, person: Person) -> str:
        """The patient as written."""
        key = self.key(person)
        return self.pseudonyms.patient(key) if self.pseudonyms and key else key

    def day(self, person: Person, day: date | None) -> date | None:
        """A date of the patient as written."""
        return self.pseudonyms.day(self.key(person), day) if self.pseudonyms and day else day

    def uid(self, uid: str) -> str:
        """A UID as written."""
        return self.pseudonyms.uid(uid) if self.pseudonyms else uid

    def source(self, exam: DxaExam) -> str:
        """Where an examination was read, as written: with pseudonyms, the row of the table alone, or a UID."""
        if self.pseudonyms is None:
            return exam.source
        row = _ROW.search(exam.source)
        return row[0] if row else f"study {self.uid(exam.study_instance_uid)}"


def names_for(candidates: Sequence[Candidate], ids: IdRules, pseudonyms: Pseudonyms | None) -> Names:
    """Names that tell patients of two issuers apart where these use the same Patient ID."""
    issuers: dict[str, set[str]] = {}
    for candidate in candidates:
        for record in (candidate.image, candidate.exam):
            if record is not None and record.person.issuer:
                issuers.setdefault(ids.key(record.person.patient_id), set()).add(" ".join(record.person.issuer.upper().split()))
    shared = frozenset(key for key, found in issuers.items() if len(found) > 1)
    return Names(ids=ids, shared_ids=shared, pseudonyms=pseudonyms)


def manifest_row(candidate: Candidate, names: Names, path: Path) -> ManifestRow:
    """A pair as a row of the manifest: the images' date and UIDs, the DXA's values.

    Raises
    ------
    ValueError
        The candidate is no pair.
    """
    image, exam = candidate.image, candidate.exam
    if image is None or exam is None or not candidate.paired:
        raise ValueError("only pairs are rows of a manifest")
    person = _joined(image, exam)
    return ManifestRow(
        patient_id=names.patient(person),
        modality=Modality(image.kind.value),
        path=path,
        study_date=names.day(person, image.study_date),
        study_uid=names.uid(image.study_instance_uid) or None,
        series_uid=names.uid(image.series_instance_uid) or None,
        label=_label(exam),
        t_score=exam.t_score if exam.t_score != exam.t_scores.get("L1-L4") else None,
        t_scores=exam.t_scores,
        bmd_g_cm2=exam.bmd_g_cm2,
        dxa_date=names.day(person, exam.exam_date),
        device=exam.device or None,
        site=exam.site or None,
        sex=Sex(person.sex) if person.sex else None,
        age=_age_years(person, image.study_date),
        excluded_because=None if exam.has_values else "the values of the DXA are not known",
    )


def _joined(image: ImageStudy, exam: DxaExam) -> Person:
    one, other = image.person, exam.person
    return Person(
        patient_id=one.patient_id,
        issuer=one.issuer or other.issuer,
        sex=one.sex or other.sex,
        birth_date=one.birth_date or other.birth_date,
        age_years=other.age_years,
    )


def _label(exam: DxaExam) -> BoneLabel | None:
    """The class the source names, else by the WHO's edges from the examination's T-score; never from one level's."""
    if exam.label is not None:
        return BoneLabel(exam.label)
    score = exam.t_score if exam.t_score is not None else exam.t_scores.get("L1-L4")
    return who_label(score) if score is not None else None


def _age_years(person: Person, day: date | None) -> float | None:
    """Whole years on the day of the images, or as the DXA's source states it."""
    if person.birth_date is None or day is None:
        return person.age_years
    born = person.birth_date
    years = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    return float(years) if 0 <= years <= 120 else None


def report_rows(candidates: Iterable[Candidate], names: Names) -> list[dict[str, object]]:
    """Every candidate, as written. With pseudonyms the free text is left out: it quotes headers."""
    rows: list[dict[str, object]] = []
    for candidate in candidates:
        image, exam = candidate.image, candidate.exam
        person = candidate.person
        rows.append(
            {
                "patient_id": names.patient(person),
                "modality": image.kind.value if image else "",
                "study_date": names.day(person, image.study_date) if image else None,
                "study_uid": names.uid(image.study_instance_uid) if image else "",
                "series_uid": names.uid(image.series_instance_uid) if image else "",
                "dxa_date": names.day(person, exam.exam_date) if exam else None,
                "dxa_source": names.source(exam) if exam else "",
                "device": exam.device if exam else "",
                "days": candidate.days,
                "outcome": str(candidate.why.code),
                "text": "" if names.pseudonyms else candidate.why.text,
            }
        )
    return rows


def flow_json(flow: Flow) -> dict[str, object]:
    """The flow as plain JSON values."""
    return {
        "images": {str(kind): [_step(asdict(step)) for step in steps] for kind, steps in flow.images},
        "dxa": [_step(asdict(step)) for step in flow.exams],
        "pairs": flow.pairs,
        "patients": flow.patients,
    }


def _step(step: Mapping[str, object]) -> dict[str, object]:
    return {"text": step["text"], "left": step["left"], "out": {str(code): count for code, count in step["out"]}}  # type: ignore[attr-defined]


def place_of(image: ImageStudy, names: Names) -> Path:
    """Where the images of a study are linked or retrieved to, relative to the output folder."""
    folder = Path("images") / names.uid(image.study_instance_uid)
    return folder / names.uid(image.series_instance_uid) if image.series_instance_uid else folder


def common_path(paths: Sequence[Path]) -> Path:
    """The file, or the folder that holds all of them; the manifest's series UID tells which of its files are meant."""
    if len(paths) == 1:
        return paths[0].absolute()
    return Path(os.path.commonpath([path.absolute().parent for path in paths]))


def link_images(image: ImageStudy, folder: Path) -> None:
    """A folder with a symbolic link to each file to be used, and nothing else; links of an earlier run are replaced.

    Raises
    ------
    TrainingError
        The folder cannot be written to, or holds something that is no link of this command.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if not old.is_symlink():
                raise TrainingError(f"{folder} holds {old.name}, which this command did not make; choose another --out.")
            old.unlink()
        for number, path in enumerate(image.paths, start=1):
            (folder / f"{number:05d}.dcm").symlink_to(path.absolute())
    except OSError as error:
        raise TrainingError(f"Links cannot be made in {folder}: {error.strerror or error}.") from error


def retrieve_rows(images: Iterable[ImageStudy], names: Names) -> list[dict[str, object]]:
    """What is to be retrieved from the archive, one row a series (or a study), and where to. UIDs are the archive's own."""
    rows: list[dict[str, object]] = []
    for image in images:
        for series in image.series_listed or ("",):
            place = place_of(image, names)
            path = place if image.series_instance_uid or not series else place / names.uid(series)
            values = (image.study_instance_uid, series, image.kind.value, path.as_posix())
            rows.append(dict(zip(RETRIEVE_COLUMNS, values, strict=True)))
    return rows


def write_rows(rows: Iterable[Mapping[str, object]], columns: Sequence[str], path: Path, *, private: bool = False) -> None:
    """A CSV file (UTF-8, commas), whole or not at all. ``private`` files can be read by their owner alone."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if row[column] is None else row[column] for column in columns] for row in rows)
    write_text(out.getvalue(), path, private=private)


def write_json(value: object, path: Path) -> None:
    """A JSON file, whole or not at all."""
    write_text(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n", path)


def write_text(text: str, path: Path, *, private: bool = False) -> None:
    """Write beside the target, then rename.

    Raises
    ------
    TrainingError
        The folder cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(mode=0o600 if private else 0o666)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise TrainingError(f"{path} cannot be written: {error.strerror or error}.") from error
