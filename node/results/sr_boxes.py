"""What reports on projections share: their order, boxes drawn on the one image, and numbers that carry their origin as a property.

Viewers print a group's first numbers over the image, where there is no room to say whose they are. So a group of TID 1410 holds coordinates
alone, and every number stands in the Derived Imaging Measurements (TID 1420) with its origin below it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from highdicom.sr import (
    CodeContentItem,
    Comprehensive3DSR,
    ContentItem,
    ContentSequence,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    MeasurementReport,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    RelationshipTypeValues,
    SourceImageForRegion,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as standard
from pydicom.sr.coding import Code

from inference.findings import Findings
from node.results import codes, equipment, wording
from node.results.image_library import image_library
from node.results.objects import ResultContext
from node.results.source import Source, evidence_of
from node.results.sr import SERIES_DESCRIPTION, container, evaluations, index_of, observation_context
from node.results.sr_items import text_item
from node.results.uids import ResultKey

Box = tuple[float, float, float, float]
"""Top, left, bottom, right, counted from the upper left corner of the first pixel."""
_PROPERTY: Final = RelationshipTypeValues.HAS_PROPERTIES


@dataclass(frozen=True, kw_only=True)
class ProjectionContent:
    """What a report on a projection says of its own.

    Attributes
    ----------
    groups
        TID 1410, coordinates alone (:func:`box_group`).
    numbers
        TID 1420, each with its origin (:func:`with_origin`); no container where there are none.
    """

    groups: Sequence[PlanarROIMeasurementsAndQualitativeEvaluations]
    numbers: Sequence[ContentItem]
    conclusion: Code


def projection_report(
    content: ProjectionContent, findings: Findings, source: Source, key: ResultKey, context: ResultContext, series_number: int
) -> Comprehensive3DSR:
    """TID 1500: the image, the groups on it, the numbers, what is said in words.

    Raises
    ------
    ValueError
        The header of the image is not at hand.
    """
    image = source.projection
    if image is None:
        raise ValueError("a report on a projection needs the image that was read")
    report = MeasurementReport(
        observation_context=observation_context(findings, context),
        procedure_reported=codes.PROCEDURE[findings.workflow],
        imaging_measurements=content.groups,
        title=standard.DCM.ImagingMeasurementReport,
    )
    root = report[0].ContentSequence
    root.insert(index_of(root, standard.DCM.ImagingMeasurements), image_library([image]))
    if content.numbers:
        root.append(container(codes.DERIVED_MEASUREMENTS, content.numbers))
    root.append(container(codes.QUALITATIVE_EVALUATIONS, evaluations(findings, content.conclusion, context)))
    return Comprehensive3DSR(
        evidence=[image, *(item for item in evidence_of(source) if item.SOPInstanceUID != image.SOPInstanceUID)],
        content=report,
        series_instance_uid=key.uid("sr series"),
        series_number=series_number,
        sop_instance_uid=key.uid("sr instance"),
        instance_number=1,
        series_description=SERIES_DESCRIPTION,
        **equipment.document_attributes(findings, context),
    )


def box_group(
    key: ResultKey, name: str, box: Box, site: Code | FindingSite, image: Dataset
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    """TID 1410 without numbers: a closed outline on the image."""
    top, left, bottom, right = box
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], dtype=np.float64)
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=key.uid(f"tracking {name}"), identifier=name),
        referenced_region=ImageRegion(
            graphic_type=GraphicTypeValues.POLYLINE,
            graphic_data=np.clip(corners, 0.0, (float(image.Columns), float(image.Rows))),
            source_image=SourceImageForRegion(referenced_sop_class_uid=image.SOPClassUID, referenced_sop_instance_uid=image.SOPInstanceUID),
        ),
        finding_type=codes.BONE,
        finding_sites=[site if isinstance(site, FindingSite) else FindingSite(site)],
    )


def with_origin(measurement: Measurement, site: Code | FindingSite, said: Sequence[str]) -> list[CodeContentItem | ContentItem]:
    """A number with its finding site and, as comments, what must be read beside it."""
    item = measurement[0]
    children = list(item.get("ContentSequence") or ())
    comments = [text_item(codes.COMMENT, wording.ascii_text(line), _PROPERTY) for line in said]
    item.ContentSequence = ContentSequence([*children, site if isinstance(site, FindingSite) else FindingSite(site), *comments])
    return [*measurement]
