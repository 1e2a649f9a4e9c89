"""What reports on projections share: boxes drawn on the one image, and numbers that carry their origin as a property.

Viewers print a group's first numbers over the image, where there is no room to say whose they are. So a group of TID 1410 holds coordinates
alone, and every number stands in the Derived Imaging Measurements (TID 1420) with its origin below it.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from highdicom.sr import (
    CodeContentItem,
    ContentItem,
    ContentSequence,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    RelationshipTypeValues,
    SourceImageForRegion,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from node.results import codes, wording
from node.results.sr_items import text_item
from node.results.uids import ResultKey

Box = tuple[float, float, float, float]
"""Top, left, bottom, right, counted from the upper left corner of the first pixel."""
_PROPERTY: Final = RelationshipTypeValues.HAS_PROPERTIES


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
