"""The text report: the answer first, and the way a refusal is told."""

from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from inference.errors import ReasonCode
from inference.findings import Reason, SkippedFile
from node.results import WrittenResults, write_results
from tests.node.results.example import CONTEXT, SERIES_UID, Example, refused

pytestmark = pytest.mark.unit


def _sections(report: Dataset) -> dict[str, list[str]]:
    return {
        item.ConceptNameCodeSequence[0].CodeMeaning: [line.TextValue for line in item.ContentSequence]
        for item in report.ContentSequence
        if item.ValueType == "CONTAINER"
    }


def test_the_text_begins_with_the_answer_and_has_every_level(written: WrittenResults) -> None:
    sections = _sections(pydicom.dcmread(written.objects[2].path))
    assert list(sections) == [
        "Conclusions",
        "Findings",
        "Warnings",
        "Current Procedure Descriptions",
        "Files and series that were not used",
        "How this was made",
    ]
    assert sections["Conclusions"][:3] == [
        "L1: 97 HU - LOW ATTENUATION. Median attenuation of the trabecular core; at or below 110 HU.",
        "Research use. Does not replace DXA. A normal result does not rule out osteoporosis.",
        "Consider DXA.",
    ]
    assert [line.split(":")[0] for line in sections["Findings"]] == ["T12", "L1", "L2"]
    assert sections["Files and series that were not used"] == ["LOCALIZER: A scout."]
    assert CONTEXT.config_sha256 in sections["How this was made"][0]


def test_it_is_a_basic_text_sr(written: WrittenResults) -> None:
    report = pydicom.dcmread(written.objects[2].path)
    assert report.SOPClassUID == report.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.88.11"
    assert report.ConceptNameCodeSequence[0].CodeValue == "18748-4"
    evidence = [*report.get("CurrentRequestedProcedureEvidenceSequence", []), *report.get("PertinentOtherEvidenceSequence", [])]
    series = [item for study in evidence for item in study.ReferencedSeriesSequence]
    assert [item.SeriesInstanceUID for item in series] == [SERIES_UID]
    assert {item.ReferencedSOPInstanceUID for item in series[0].ReferencedSOPSequence} == {f"{SERIES_UID}.{n}" for n in range(1, 25)}
    assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")


def test_a_refusal_is_a_short_text(example: Example, tmp_path: Path) -> None:
    skipped = tuple(
        SkippedFile(path=f"/spool/{n}", reason=Reason(code=ReasonCode.LOCALIZER, text="A localizer is no volume.")) for n in range(3)
    )
    findings = replace(refused(example.findings), skipped=skipped)
    written = write_results(findings, example.headers, CONTEXT, tmp_path, ("seg", "sr", "text", "picture"))
    assert [o.kind for o in written.objects] == ["text"]
    assert written.picture_png is None
    assert [path.name for path in tmp_path.iterdir()] == ["text.dcm"]
    report = pydicom.dcmread(written.objects[0].path)
    sections = _sections(report)
    assert list(sections) == ["Conclusions", "Files and series that were not used", "How this was made"]
    assert sections["Conclusions"][0] == "NOT MEASURED: L1_NOT_IN_VIEW. Only T3 to T9 are in view."
    assert sections["Conclusions"][1].startswith("Research use.")
    assert len(sections["Conclusions"]) == 2
    assert sections["Files and series that were not used"] == ["3 x LOCALIZER: A localizer is no volume."]
    assert report.PatientID == "P-1"
