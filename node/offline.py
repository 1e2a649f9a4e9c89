"""Studies from disk instead of from a peer: what ``osteon process`` and ``osteon route`` do."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inference.errors import ReasonCode, Refusal
from inference.findings import Findings, Outcome, Reason, SkippedFile
from inference.reading import InstanceHeader, find_files, group_studies, read_headers
from node.config import Config
from node.errors import ExitCode
from node.pipeline import ProcessedStudy, process_study
from node.report import Json, study_report
from node.routing import Decision, decide

log = logging.getLogger(__name__)

REPORT_NAME = "report.json"


@dataclass(frozen=True, kw_only=True)
class OfflineStudies:
    """What a set of paths holds: headers by Study Instance UID, and the files that belong to no study."""

    studies: dict[str, tuple[InstanceHeader, ...]]
    skipped: tuple[SkippedFile, ...]


def find_studies(paths: Sequence[Path]) -> OfflineStudies:
    """Read every header under these files and folders."""
    headers, skipped = read_headers(find_files(paths))
    return OfflineStudies(studies=group_studies(headers), skipped=skipped)


def route_studies(found: OfflineStudies, config: Config) -> tuple[Decision, ...]:
    """The decision for each study, nothing processed."""
    return tuple(decide(headers, config.routes) for headers in found.studies.values())


def process_studies(
    found: OfflineStudies, config: Config, out_dir: Path, done: Callable[[str], None] = lambda _: None
) -> tuple[tuple[Json, ExitCode], ...]:
    """Process each study and write its report and result objects.

    One study is written into ``out_dir`` itself, several into one folder each, named by Study Instance UID. Files that belong to no
    study are listed in every report; where there is no study at all, one report says so.

    Parameters
    ----------
    found
        From :func:`find_studies`.
    config
        Routes and workflow parameters; nothing is delivered.
    out_dir
        Made when missing.
    done
        Called with each Study Instance UID as it is finished.

    Returns
    -------
    tuple
        Report and exit code (result, refused, or unexpected where Osteon itself failed), one pair a study.
    """
    if not found.studies:
        return ((_nothing_found(found.skipped, out_dir), ExitCode.REFUSED),)
    results = []
    for uid, headers in found.studies.items():
        folder = out_dir if len(found.studies) == 1 else out_dir / uid
        results.append(_process_one(headers, found.skipped, config, folder))
        done(uid)
    return tuple(results)


def _process_one(
    headers: tuple[InstanceHeader, ...], skipped: tuple[SkippedFile, ...], config: Config, folder: Path
) -> tuple[Json, ExitCode]:
    folder.mkdir(parents=True, exist_ok=True)
    decision = replace(decide(headers, config.routes), on_refusal="text")  # on disk nothing stays silent
    try:
        processed = process_study(headers, decision, config, folder)
        code = ExitCode.REFUSED if processed.findings.outcome is Outcome.REFUSED else ExitCode.RESULT
    except Refusal as refusal:  # a file that was readable no longer is
        processed = _refused(decision, Reason(code=refusal.code, text=refusal.text))
        code = ExitCode.REFUSED
    except Exception as error:  # the command's edge: a defect costs one study, visibly, and not those after it
        log.exception("study %s", decision.study_instance_uid)
        processed = _refused(decision, Reason(code=ReasonCode.INTERNAL_ERROR, text=f"{type(error).__name__}: {error}"))
        code = ExitCode.UNEXPECTED
    findings = replace(processed.findings, skipped=(*skipped, *processed.findings.skipped))
    picture = str(processed.picture_png) if processed.picture_png is not None else None
    report = study_report(findings, decision, processed.objects, picture)
    _write(report, folder)
    return report, code


def _refused(decision: Decision, reason: Reason) -> ProcessedStudy:
    """A study that gave nothing, for a reason that the workflow did not foresee."""
    findings = Findings(
        study_instance_uid=decision.study_instance_uid, workflow=decision.workflow or "", outcome=Outcome.REFUSED, reason=reason
    )
    return ProcessedStudy(decision=decision, findings=findings, objects=(), picture_png=None)


def _nothing_found(skipped: tuple[SkippedFile, ...], out_dir: Path) -> Json:
    """The report of paths without a single readable instance."""
    if len(skipped) == 1:
        reason = skipped[0].reason
    else:
        text = f"None of the {len(skipped)} files is a readable DICOM instance." if skipped else "There is no file under these paths."
        reason = Reason(code=ReasonCode.NOT_DICOM, text=text)
    decision = Decision(study_instance_uid="", route=None, workflow=None, destinations=(), on_refusal="text", considered=(), reason=reason)
    findings = Findings(study_instance_uid="", workflow="", outcome=Outcome.REFUSED, reason=reason, skipped=skipped)
    report = study_report(findings, decision, ()) | {"study_uid": None}
    out_dir.mkdir(parents=True, exist_ok=True)
    _write(report, out_dir)
    return report


def _write(report: Json, folder: Path) -> None:
    (folder / REPORT_NAME).write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
