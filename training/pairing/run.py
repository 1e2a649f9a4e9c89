"""One run of ``osteon pair``: sources in, files out."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from inference.findings import SkippedFile
from training.data.manifest import ReadOptions, write_manifest
from training.pairing.archive import Archive
from training.pairing.choices import AskBy, TableFormat
from training.pairing.exams import ExamTable, read_exams
from training.pairing.flow import Flow, flow_of
from training.pairing.identity import merged_ids
from training.pairing.journal import Journal
from training.pairing.match import Candidate, Direction, PairingOptions, out_of_time, pair
from training.pairing.months import add_months, earliest_within
from training.pairing.output import (
    REPORT_COLUMNS,
    RETRIEVE_COLUMNS,
    Names,
    common_path,
    flow_json,
    link_images,
    manifest_row,
    names_for,
    place_of,
    report_rows,
    retrieve_rows,
    write_json,
    write_rows,
)
from training.pairing.pseudonyms import Pseudonyms
from training.pairing.records import DxaExam, ImageStudy
from training.pairing.remote import PatientDays, Request, remote_studies
from training.pairing.scan import scan_folders
from training.pairing.studies import ImageOptions

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many of it are done, and of how many."""


@dataclass(frozen=True, kw_only=True)
class DxaTable:
    """A table of DXA results, how to read it, and whose Patient IDs it holds."""

    path: Path
    options: ReadOptions = field(default_factory=ReadOptions)
    issuer: str = ""


@dataclass(frozen=True, kw_only=True)
class ArchiveOptions:
    """How an archive is asked. ``first`` and ``last`` narrow the days that the DXA and the months ask for."""

    by: AskBy = AskBy.DATES
    first: date | None = None
    last: date | None = None
    result_limit: int = 100
    deep: bool = False
    images: ImageOptions = field(default_factory=ImageOptions)


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where and how results are written.

    Attributes
    ----------
    links
        Make a folder of links for each series, so that a path of the manifest holds this series and nothing else.
    retrieve_list
        Where the list of what is to be retrieved from an archive goes; ``retrieve.csv`` in ``out`` where None.
    """

    out: Path
    table_format: TableFormat = TableFormat.CSV
    links: bool = False
    pseudonyms: Pseudonyms | None = None
    retrieve_list: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """Everything that the sources hold, and what a person should know of how they were read."""

    images: tuple[ImageStudy, ...]
    exams: tuple[DxaExam, ...]
    skipped: tuple[SkippedFile, ...] = ()
    notices: tuple[str, ...] = ()
    counts: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Paired:
    """The outcome of a run. ``manifest`` is None where there is no pair: an empty manifest trains nothing."""

    candidates: tuple[Candidate, ...]
    flow: Flow
    notices: tuple[str, ...]
    manifest: Path | None
    report: Path


def from_folders(folders: Sequence[Path], table: DxaTable | None, options: ImageOptions, journal: Journal, progress: Progress) -> Gathered:
    """Images, and DXA studies, in folders; with a table, its examinations as well.

    Raises
    ------
    TrainingError
        A folder is absent, or the table cannot be read.
    """
    read = read_exams(table.path, table.options, table.issuer) if table is not None else ExamTable(exams=(), notices=())
    scan = scan_folders(folders, options, journal, lambda done, total: progress("reading headers", done, total))
    counts = (("files", scan.files), ("files_skipped", len(scan.skipped)), ("studies", scan.studies), ("other_studies", scan.other_studies))
    return Gathered(images=scan.images, exams=(*read.exams, *scan.exams), skipped=scan.skipped, notices=read.notices, counts=counts)


def from_archive(
    archive: Archive, table: DxaTable, pairing: PairingOptions, options: ArchiveOptions, journal: Journal, progress: Progress
) -> Gathered:
    """Images in an archive around the examinations of a table.

    Raises
    ------
    ArchiveError
        The archive cannot be asked now; what it has answered is in the journal.
    TrainingError
        It will never answer this, or the table cannot be read.
    """
    read = read_exams(table.path, table.options, table.issuer)
    usable = [exam for exam in read.exams if exam.excluded is None and pairing.ids.key(exam.person.patient_id)]
    days: dict[str, list[date]] = {}
    for exam in usable:
        if exam.exam_date is not None:
            days.setdefault(pairing.ids.key(exam.person.patient_id), []).append(exam.exam_date)

    def wanted(patient_id: str, day: date | None) -> bool:
        return day is not None and any(out_of_time(day, exam, pairing) is None for exam in days.get(pairing.ids.key(patient_id), ()))

    request = Request(
        patients=_windows(usable, pairing, options),
        wanted=wanted,
        by_patient=options.by is AskBy.PATIENTS,
        result_limit=options.result_limit,
        deep=options.deep,
        images=options.images,
    )
    found = remote_studies(archive, request, journal, progress)
    notices = list(read.notices)
    if options.by is AskBy.PATIENTS and (pairing.ids.strip_zeros or pairing.ids.prefixes):
        notices.append("asked by patients, an archive finds only Patient IDs that it writes as the DXA table does; --by dates finds all")
    if found.uncertain:
        listed = "; ".join(found.uncertain[:5]) + (" ..." if len(found.uncertain) > 5 else "")
        notices.append(f"{archive.name} may hold more studies than it told, in {len(found.uncertain)} windows: {listed}")
    return Gathered(images=found.images, exams=read.exams, notices=tuple(notices), counts=(("studies", found.studies),))


def _windows(exams: Sequence[DxaExam], pairing: PairingOptions, options: ArchiveOptions) -> tuple[PatientDays, ...]:
    """For each Patient ID as written, the days in which images may be paired."""
    found: dict[str, tuple[date, date]] = {}
    for exam in exams:
        day = exam.exam_date
        if day is None:
            continue
        first = day if pairing.direction is Direction.AFTER else earliest_within(day, pairing.months)
        last = day if pairing.direction is Direction.BEFORE else add_months(day, pairing.months)
        known = found.get(exam.person.patient_id, (first, last))
        found[exam.person.patient_id] = min(first, known[0]), max(last, known[1])
    windows = []
    for patient_id, (first, last) in sorted(found.items()):
        first, last = max(first, options.first or first), min(last, options.last or last)
        if first <= last:
            windows.append(PatientDays(patient_id=patient_id, first=first, last=last))
    return tuple(windows)


def run(gathered: Gathered, pairing: PairingOptions, target: Target) -> Paired:
    """Pair, and write the report, the summary, what is to be retrieved or linked, and, last, the manifest.

    A manifest that an earlier run left in ``out`` goes first, so that whatever manifest is there belongs to the report beside it.

    Raises
    ------
    TrainingError
        ``out`` cannot be written to.
    """
    candidates = pair(gathered.images, gathered.exams, pairing)
    names = names_for(candidates, pairing.ids, target.pseudonyms)
    flow = flow_of(candidates, [names.key(candidate.person) for candidate in candidates], pairing.months)
    notices = (*gathered.notices, *_merged_notices(gathered, pairing))
    for suffix in TableFormat:
        (target.out / f"manifest.{suffix}").unlink(missing_ok=True)
    report = target.out / "pairs-report.csv"
    write_rows(report_rows(candidates, names), REPORT_COLUMNS, report)
    write_json(_summary(gathered, pairing, flow, notices, target), target.out / "pairs-summary.json")
    pairs = [candidate for candidate in candidates if candidate.paired]
    manifest = None
    if pairs:
        rows = [
            manifest_row(candidate, names, path)
            for candidate, path in zip(pairs, _placed(pairs, names, target, _shared_folders(gathered)), strict=True)
        ]
        manifest = target.out / f"manifest.{target.table_format}"
        write_manifest(rows, manifest)
    return Paired(candidates=candidates, flow=flow, notices=notices, manifest=manifest, report=report)


def _placed(pairs: Sequence[Candidate], names: Names, target: Target, shared: frozenset[Path]) -> list[Path]:
    """The path of each pair's images, which are linked or listed for retrieval on the way.

    A series that shares its folder with another study is linked in any case: a manifest's folder must be of one patient.
    """
    images = {(one.kind, one.study_instance_uid): one for candidate in pairs if (one := candidate.image) is not None}
    paths: dict[object, Path] = {}
    remote = []
    for key, image in images.items():
        place = target.out / place_of(image, names)
        if not image.paths:
            remote.append(image)
            paths[key] = place
        elif target.links or (len(image.paths) > 1 and common_path(image.paths) in shared):
            link_images(image, place)
            paths[key] = place
        else:
            paths[key] = common_path(image.paths)
    if remote:
        private = target.pseudonyms is not None
        write_rows(retrieve_rows(remote, names), RETRIEVE_COLUMNS, target.retrieve_list or target.out / "retrieve.csv", private=private)
    return [paths[one.kind, one.study_instance_uid] for candidate in pairs if (one := candidate.image) is not None]


def _merged_notices(gathered: Gathered, pairing: PairingOptions) -> list[str]:
    """Patient IDs of one source that only the options made equal: they had better be one patient's."""
    notices = []
    for what, records in (("images", gathered.images), ("DXA", gathered.exams)):
        merged = merged_ids((record.person for record in records), pairing.ids)
        if merged:
            listed = "; ".join(" = ".join(ids) for ids in list(merged.values())[:5]) + (" ..." if len(merged) > 5 else "")
            notices.append(f"{len(merged)} Patient IDs of the {what} were written in several ways and are taken for one each: {listed}")
    return notices


def _shared_folders(gathered: Gathered) -> frozenset[Path]:
    """Folders below which files of several image studies lie."""
    holds: dict[Path, set[str]] = {}
    for image in gathered.images:
        for folder in {path.absolute().parent for path in image.paths}:
            for above in (folder, *folder.parents):
                holds.setdefault(above, set()).add(image.study_instance_uid)
    return frozenset(folder for folder, studies in holds.items() if len(studies) > 1)


def _summary(gathered: Gathered, pairing: PairingOptions, flow: Flow, notices: Sequence[str], target: Target) -> dict[str, object]:
    skipped = Counter(str(one.reason.code) for one in gathered.skipped)
    secret = target.pseudonyms is not None
    return {
        "months": pairing.months,
        "direction": pairing.direction,
        "matching": pairing.matching,
        "strip_zeros": pairing.ids.strip_zeros,
        "prefixes": list(pairing.ids.prefixes),
        "pseudonymised": secret,
        "counts": dict(gathered.counts),
        "flow": flow_json(flow),
        "skipped": dict(skipped),
        # paths, notices and texts quote headers and tables
        "notices": [] if secret else list(notices),
        "skipped_files": []
        if secret
        else [{"path": one.path, "code": one.reason.code, "text": one.reason.text} for one in gathered.skipped],
    }
