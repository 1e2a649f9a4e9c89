"""Comprehensive 3D SR with TID 1500 "Measurement Report" (PS3.16): the numbers, for machines and for viewers.

Per body two measurement groups with one Tracking UID: TID 1411 points at the segment and holds every number, TID 1410 holds the body's
outline on its middle slice. Viewers that draw need a group with coordinates (OHIF shows nothing at all for a report without one) and
merge the two by Tracking UID.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from highdicom.seg import Segmentation
from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    Comprehensive3DSR,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegment,
    RelationshipTypeValues,
    SourceImageForRegion,
    SourceSeriesForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.sr.codedict import codes as standard
from pydicom.sr.coding import Code

from inference.findings import CtImages, Findings
from inference.rounding import round_hu
from node.results import codes, equipment, wording
from node.results.contours import middle_plane, outlines
from node.results.cxr import cxr_lines
from node.results.density_class import density_class_lines
from node.results.dxa import dxa_lines
from node.results.headline import advice, headline
from node.results.image_library import image_library
from node.results.objects import ResultContext
from node.results.second_reader import second_reader_lines
from node.results.seg import Segment, plan_segments, tracking_identifier, tracking_uid
from node.results.source import Source
from node.results.sr_experts import expert_items, expert_numbers, expert_position
from node.results.sr_items import STATISTIC_CODE, measurements, number, predicted_class, second_level, text_item
from node.results.uids import ResultKey, derived_uid

SERIES_DESCRIPTION: Final = "Osteon bone density SR: research use, does not replace DXA"

_CONTAINS: Final = RelationshipTypeValues.CONTAINS


def build_report(
    findings: Findings, source: Source, segmentation: Segmentation, key: ResultKey, context: ResultContext, series_number: int
) -> Comprehensive3DSR:
    """The structured report of one study.

    Raises
    ------
    ValueError
        ``findings`` has no images, or no body on the source slices.
    """
    images, slices = findings.images, source.images
    if images is None or slices is None:
        raise ValueError("a measurement report needs masks and source slices")
    bodies = [segment for segment in plan_segments(findings, slices) if segment.family == "body"]
    # Viewers open a report on its first group.
    reported = wording.reported_vertebra(findings)
    bodies.sort(key=lambda segment: segment.vertebra is not reported)
    algorithm = equipment.algorithm_identification(findings.models[0], context)
    groups: list[_Group] = []
    for segment in bodies:
        measured = [*measurements(segment.vertebra, findings, context), *expert_numbers(segment.vertebra, findings, context)]
        groups.append(_numbers_group(segment, findings, measured, segmentation, key, algorithm))
        groups.append(_outline_group(segment, images, source, key))
    report = MeasurementReport(
        observation_context=observation_context(findings, context),
        procedure_reported=codes.PROCEDURE[findings.workflow],
        imaging_measurements=groups,
        title=standard.DCM.ImagingMeasurementReport,
    )
    root = report[0].ContentSequence
    root.insert(index_of(root, standard.DCM.ImagingMeasurements), image_library(slices.headers))
    root.extend(_study_containers(findings, context))
    return Comprehensive3DSR(
        evidence=[*slices.headers, segmentation],
        content=report,
        series_instance_uid=key.uid("sr series"),
        series_number=series_number,
        sop_instance_uid=key.uid("sr instance"),
        instance_number=1,
        series_description=SERIES_DESCRIPTION,
        **equipment.document_attributes(findings, context),
    )


def index_of(items: ContentSequence, name: Code) -> int:
    """Where among a container's items the first of this name stands."""
    return next(index for index, item in enumerate(items) if item.name == name)


_Group = VolumetricROIMeasurementsAndQualitativeEvaluations | PlanarROIMeasurementsAndQualitativeEvaluations


def observation_context(findings: Findings, context: ResultContext) -> ObservationContext:
    """TID 1001 with a device as the only observer (TID 1004)."""
    return ObservationContext(
        observer_device_context=ObserverContext(
            observer_type=standard.DCM.Device,
            observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                uid=derived_uid("device", equipment.device_serial_number(context, findings.models)),
                name=equipment.MODEL_NAME,
                manufacturer_name=equipment.MANUFACTURER,
                model_name=f"{equipment.MODEL_NAME} {context.software_version}",
                serial_number=equipment.device_serial_number(context, findings.models),
            ),
        )
    )


def _numbers_group(
    segment: Segment,
    findings: Findings,
    measured: Sequence[Measurement],
    segmentation: Segmentation,
    key: ResultKey,
    algorithm: AlgorithmIdentification,
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    """TID 1411: the segment, every number, whether the level counts and why not."""
    vertebra = segment.vertebra
    group = VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=tracking_uid(key, vertebra), identifier=tracking_identifier(vertebra)),
        referenced_segment=ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=segment.number,
            source_series=SourceSeriesForSegmentation(_source_series(segmentation)),
        ),
        finding_type=codes.BONE,
        finding_sites=[FindingSite(codes.level_code(vertebra.level, vertebra.level_certain))],
        algorithm_id=algorithm,
        measurements=measured,
        qualitative_evaluations=[
            QualitativeEvaluation(name=codes.USE_OF_LEVEL, value=codes.LEVEL_USED if vertebra.used else codes.LEVEL_EXCLUDED),
            *second_level(vertebra),
            *predicted_class(vertebra, findings),
            *expert_position(vertebra, findings),
        ],
    )
    texts = []
    if vertebra.excluded_because is not None:
        texts.append(text_item(codes.REASON, wording.reason_text(vertebra.excluded_because)))
    texts += [text_item(codes.WARNING, wording.notice_text(notice)) for notice in vertebra.warnings]
    group[0].ContentSequence.extend(texts)
    return group


def _source_series(segmentation: Segmentation) -> str:
    return str(segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID)


def _outline_group(segment: Segment, images: CtImages, source: Source, key: ResultKey) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    """TID 1410: the body's outline on its middle slice, without numbers."""
    slices = source.images
    plane = None if slices is None else middle_plane(images, segment.label, slices.planes)
    if slices is None or plane is None:
        raise ValueError(f"body {segment.label} lies on no source slice")
    header = slices.header(plane)
    # The centre of the first pixel is (0.5, 0.5) here: coordinates count from its upper left corner (PS3.3 C.18.6.1.2).
    outline = outlines(images.source_bodies[plane] == segment.label)[0] + 0.5
    limit = np.array([int(header.Columns), int(header.Rows)], dtype=np.float64)
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=tracking_uid(key, segment.vertebra), identifier=tracking_identifier(segment.vertebra)),
        referenced_region=ImageRegion(
            graphic_type=GraphicTypeValues.POLYLINE,
            graphic_data=np.clip(outline, 0.0, limit),
            source_image=SourceImageForRegion(
                referenced_sop_class_uid=header.SOPClassUID, referenced_sop_instance_uid=header.SOPInstanceUID
            ),
        ),
        finding_type=codes.BONE,
        finding_sites=[FindingSite(codes.level_code(segment.vertebra.level, segment.vertebra.level_certain))],
    )


def _study_containers(findings: Findings, context: ResultContext) -> list[ContentItem]:
    """What concerns the whole study: the derived number (TID 1420), then conclusion, warnings and notice."""
    containers: list[ContentItem] = []
    derived = _derived_measurements(findings)
    if derived:
        containers.append(container(codes.DERIVED_MEASUREMENTS, derived))
    band = findings.summary.band if findings.summary is not None and findings.reason is None else None
    conclusion = codes.BAND[band] if band else codes.NO_BAND
    containers.append(container(codes.QUALITATIVE_EVALUATIONS, evaluations(findings, conclusion, context)))
    return containers


def _derived_measurements(findings: Findings) -> list[ContentItem]:
    summary = findings.summary
    if findings.reason is not None or summary is None or summary.attenuation_hu is None:
        return []
    vertebra = wording.reported_vertebra(findings)
    site = codes.level_code(summary.level, vertebra.level_certain if vertebra is not None else False)
    statistic = wording.reported_statistic(findings)
    how = STATISTIC_CODE[statistic] if statistic is not None else None
    measured = number(codes.ATTENUATION, round_hu(summary.attenuation_hu), codes.HOUNSFIELD, codes.ROI[summary.roi_kind], how)
    measured[0].ContentSequence.append(FindingSite(site))
    items: list[ContentItem] = [*measured]
    for correction in summary.corrections:
        corrected = number(codes.CORRECTED_ATTENUATION, round_hu(correction.corrected_hu), codes.HOUNSFIELD)
        comment = text_item(codes.COMMENT, wording.correction_line(correction), RelationshipTypeValues.HAS_PROPERTIES)
        corrected[0].ContentSequence = ContentSequence([FindingSite(site), comment])
        items.extend([*corrected])
    return items


def evaluations(findings: Findings, conclusion: Code, context: ResultContext) -> list[ContentItem]:
    """The conclusion as code and sentence, the notice, and everything else that is said in words."""
    head = headline(findings)
    items: list[ContentItem] = [
        CodeContentItem(name=codes.CONCLUSION, value=codes.concept(conclusion), relationship_type=_CONTAINS),
        text_item(codes.CONCLUSION, f"{head.title}. {head.detail}"),
        text_item(codes.COMMENT, wording.research_notice()),
    ]
    return items + study_texts(findings, context)


def study_texts(findings: Findings, context: ResultContext) -> list[ContentItem]:
    """Recommendation, thresholds, corrections, warnings, acquisition and provenance as text items."""
    advised = advice(findings)
    items: list[ContentItem] = [text_item(codes.RECOMMENDATION, advised)] if advised else []
    items += [text_item(codes.THRESHOLD, line) for line in wording.threshold_lines(findings)]
    items += [text_item(codes.COMMENT, line) for line in wording.correction_lines(findings)]
    items += [text_item(codes.COMMENT, line) for line in dxa_lines(findings)]
    items += [text_item(codes.COMMENT, line) for line in cxr_lines(findings)]
    items += [text_item(codes.DENSITY_CLASS, line) for line in density_class_lines(findings)]
    items += expert_items(findings)
    items += [text_item(codes.WARNING, wording.notice_text(notice)) for notice in findings.warnings]
    items += [text_item(codes.SECOND_READER, line) for line in second_reader_lines(findings)]
    if findings.acquisition is not None:
        items.append(text_item(codes.PROCEDURE_DESCRIPTION, wording.acquisition_text(findings.acquisition)))
    if findings.level_because:
        items.append(text_item(codes.COMMENT, wording.ascii_text(f"Levels named by: {findings.level_because}")))
    items += [text_item(codes.PROVENANCE, line) for line in wording.provenance_lines(findings, context)]
    return items


def container(name: Code, items: Sequence[ContentItem]) -> ContainerContentItem:
    """Items under a heading, for whatever of a report highdicom has no class for."""
    heading = ContainerContentItem(name=name, relationship_type=_CONTAINS)
    heading.ContentSequence = ContentSequence(items)
    return heading
