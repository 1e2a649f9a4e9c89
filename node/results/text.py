"""Basic Text SR (PS3.3 A.35.1): the same words as the page, for every viewer that shows text. Also how a refusal is told."""

from collections.abc import Iterable
from typing import Final

from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    EnhancedSR,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.sr.codedict import codes as standard
from pydicom.sr.coding import Code
from pydicom.uid import UID, BasicTextSRStorage

from inference.findings import Findings, VertebraFinding
from node.results import codes, equipment, wording
from node.results.cxr import cxr_lines
from node.results.density_class import density_class_lines
from node.results.dxa import dxa_lines
from node.results.experts import experts_lines, opinion_lines, opinion_text
from node.results.headline import advice, headline
from node.results.objects import ResultContext
from node.results.second_reader import second_reader_lines, second_reader_text
from node.results.source import Source, evidence_of
from node.results.sr import observation_context
from node.results.uids import ResultKey

SERIES_DESCRIPTION: Final = "Osteon bone density text: research use, does not replace DXA"


def build_text(findings: Findings, source: Source, key: ResultKey, context: ResultContext, series_number: int) -> EnhancedSR:
    """The report as headed lines of text, the answer first.

    highdicom has no class for Basic Text SR; an Enhanced SR without numbers is one but for its SOP Class UID.
    """
    sections = [
        _section(codes.CONCLUSIONS, codes.CONCLUSION, _conclusion(findings)),
        _section(codes.OPINIONS, codes.COMMENT, _opinions(findings)),
        _section(codes.DENSITY_CLASS, codes.COMMENT, density_class_lines(findings)),
        _section(codes.EXPERTS, codes.COMMENT, experts_lines(findings)),
        _section(
            codes.FINDINGS,
            codes.FINDING,
            [*(_sentence(v, findings) for v in findings.vertebrae), *dxa_lines(findings), *cxr_lines(findings)],
        ),
        _section(codes.SECOND_READER, codes.COMMENT, second_reader_lines(findings)),
        _section(codes.WARNINGS, codes.WARNING, [wording.notice_text(notice) for notice in findings.warnings]),
        _section(codes.CURRENT_PROCEDURE, codes.PROCEDURE_DESCRIPTION, _acquisition(findings)),
        _section(codes.SKIPPED_FILES, codes.SKIPPED, wording.skipped_lines(findings)),
        _section(codes.PROVENANCE, codes.COMMENT, wording.provenance_lines(findings, context)),
    ]
    root = ContainerContentItem(name=codes.DIAGNOSTIC_IMAGING_REPORT)
    procedure = CodeContentItem(
        name=standard.DCM.ProcedureReported,
        value=codes.PROCEDURE[findings.workflow],
        relationship_type=RelationshipTypeValues.HAS_CONCEPT_MOD,
    )
    language = CodeContentItem(
        name=standard.DCM.LanguageOfContentItemAndDescendants,
        value=CodedConcept("en-US", "RFC5646", "English (United States)"),
        relationship_type=RelationshipTypeValues.HAS_CONCEPT_MOD,
    )
    present = [section for section in sections if section is not None]
    root.ContentSequence = ContentSequence([language, *observation_context(findings, context), procedure, *present])
    report = EnhancedSR(
        evidence=evidence_of(source),
        content=root,
        series_instance_uid=key.uid("text series"),
        series_number=series_number,
        sop_instance_uid=key.uid("text instance"),
        instance_number=1,
        series_description=SERIES_DESCRIPTION,
        **equipment.document_attributes(findings, context),
    )
    report.SOPClassUID = BasicTextSRStorage
    report.file_meta.MediaStorageSOPClassUID = UID(BasicTextSRStorage)
    return report


def _conclusion(findings: Findings) -> list[str]:
    head = headline(findings)
    lines = [f"{head.title}. {head.detail}", wording.research_notice()]
    advised = advice(findings)
    lines += [advised] if advised else []
    lines += [f"Threshold {line}" for line in wording.threshold_lines(findings)]
    lines += wording.correction_lines(findings)
    return lines


def _opinions(findings: Findings) -> list[str]:
    """How far they agree, then one by one."""
    given = findings.opinions.given if findings.opinions is not None else ()
    return opinion_lines(findings) + [f"{codes.OPINION[one.source].meaning}: {opinion_text(one, findings)}." for one in given]


def _sentence(vertebra: VertebraFinding, findings: Findings) -> str:
    sentence = wording.level_sentence(vertebra, findings)
    return sentence if vertebra.second_reader is None else f"{sentence} | {second_reader_text(vertebra)}"


def _acquisition(findings: Findings) -> list[str]:
    lines = [wording.acquisition_text(findings.acquisition)] if findings.acquisition is not None else []
    return lines + ([wording.ascii_text(f"Levels named by: {findings.level_because}")] if findings.level_because else [])


def _section(title: Code, name: Code, lines: Iterable[str]) -> ContainerContentItem | None:
    """A headed list of lines; None without lines."""
    items: list[ContentItem] = [TextContentItem(name=name, value=line, relationship_type=RelationshipTypeValues.CONTAINS) for line in lines]
    if not items:
        return None
    section = ContainerContentItem(name=title, relationship_type=RelationshipTypeValues.CONTAINS)
    section.ContentSequence = ContentSequence(items)
    return section
