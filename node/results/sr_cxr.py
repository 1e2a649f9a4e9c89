"""The structured report of a chest film (TID 1500, PS3.16): where the networks looked, and what they estimate.

The groups of TID 1410 hold coordinates alone: the film as it was read, then the fourteen regions of bone. Every number stands in the
Derived Imaging Measurements (TID 1420) with what made it as a property: density and T-score of L1 to L4 with their spread, then each
region's attention.
"""

import numpy as np
from highdicom.sr import Comprehensive3DSR, ContentItem, FindingSite, PlanarROIMeasurementsAndQualitativeEvaluations
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from inference.cxr.film import NormalisedFilm
from inference.cxr.findings import CxrMeasurement
from inference.cxr.regions import whole_box
from inference.cxr.rois import REGION_NAMES, SIDES, WHOLE, region_words
from inference.cxr.words import LevelReading
from inference.findings import Findings
from node.results import codes, equipment
from node.results.cxr import attention_percents, scale_line, sides_of, stored_boxes
from node.results.density_class import origin
from node.results.objects import ResultContext
from node.results.source import Source
from node.results.sr_boxes import ProjectionContent, box_group, projection_report, with_origin
from node.results.sr_items import number
from node.results.uids import ResultKey

_SITES = {
    "clavicle": codes.CLAVICLE,
    "ribcage": codes.RIB,
    "cervical": codes.CERVICAL_SPINE,
    "lumbar": codes.LUMBAR_SPINE,
    WHOLE: codes.THORAX,
}


def build_cxr_report(findings: Findings, source: Source, key: ResultKey, context: ResultContext, series_number: int) -> Comprehensive3DSR:
    """The structured report of a study whose film was read.

    Raises
    ------
    ValueError
        No film was read, or its header is not at hand.
    """
    cxr, image = findings.cxr, source.projection
    film = cxr.used.film if cxr is not None and cxr.used is not None else None
    if cxr is None or cxr.measurement is None or film is None or image is None:
        raise ValueError("a report on a chest film needs the film that was read")
    measurement = cxr.measurement
    content = ProjectionContent(
        groups=region_groups(measurement, film, image, key),
        numbers=[*density_numbers(measurement, context), *attention_numbers(measurement, film, context)],
        conclusion={True: codes.CXR_LOW, False: codes.CXR_ABOVE, None: codes.CXR_NONE}[measurement.reading.low],
    )
    return projection_report(content, findings, source, key, context, series_number)


def region_groups(
    measurement: CxrMeasurement, film: NormalisedFilm, image: Dataset, key: ResultKey
) -> list[PlanarROIMeasurementsAndQualitativeEvaluations]:
    """The film as it was read, with what read it; then each region of bone, on the stored image."""
    boxes = np.concatenate([whole_box((film.image.shape[0], film.image.shape[1])), measurement.estimate.rois.boxes])
    stored = [tuple(float(edge) for edge in box) for box in stored_boxes(film, boxes)]
    first = f"Chest film, read by a {origin(measurement.density_model)}"
    sides = sides_of(film)
    names = [first, *(region_words(name, sides=sides) for name in REGION_NAMES if name != WHOLE)]
    sites = [site_of(name, film) for name in (WHOLE, *(name for name in REGION_NAMES if name != WHOLE))]
    return [
        box_group(key, name, (box[0], box[1], box[2], box[3]), site, image) for name, box, site in zip(names, stored, sites, strict=True)
    ]


def site_of(region: str, film: NormalisedFilm) -> FindingSite:
    """The bone of a region; with its side where the film tells it."""
    bone, _, side = region.partition("_")
    laterality = codes.SIDE[side.rpartition("_")[2]] if film.side_certain and side.rpartition("_")[2] in SIDES else None
    return FindingSite(_SITES[bone], laterality=laterality)


def density_numbers(measurement: CxrMeasurement, context: ResultContext) -> list[ContentItem]:
    """Density and T-score of each level, and how far the networks disagree, each with its model and what that was trained on."""
    return [item for reading in measurement.reading.levels for item in _level_numbers(reading, measurement, context)]


def _level_numbers(reading: LevelReading, measurement: CxrMeasurement, context: ResultContext) -> list[ContentItem]:
    algorithm = equipment.algorithm_identification(measurement.density_model, context)
    values: tuple[tuple[Code, float | None, Code, int, Code], ...] = (
        (codes.CXR_BMD, reading.bmd_g_cm2, codes.G_PER_CM2, 2, codes.MEAN),
        (codes.CXR_BMD, reading.spread_g_cm2, codes.G_PER_CM2, 2, codes.STANDARD_DEVIATION),
        (codes.CXR_T_SCORE, reading.t_score, codes.T_SCORE_UNIT, 1, codes.MEAN),
        (codes.CXR_T_SCORE, reading.t_spread, codes.T_SCORE_UNIT, 1, codes.STANDARD_DEVIATION),
    )
    items: list[ContentItem] = []
    for name, value, unit, digits, derivation in values:
        if value is None:
            continue
        stated = number(name, value, unit, derivation=derivation, algorithm=algorithm)
        stated[0].MeasuredValueSequence[0].NumericValue = f"{value + 0.0:.{digits}f}"
        about = f"{reading.level}: {reading.because}." if name == codes.CXR_T_SCORE else scale_line(measurement)
        items += with_origin(stated, codes.LEVEL[reading.level], [origin(measurement.density_model), about])
    return items


def attention_numbers(measurement: CxrMeasurement, film: NormalisedFilm, context: ResultContext) -> list[ContentItem]:
    """What share of the networks' attention each region takes; nothing of networks that do not attend."""
    algorithm = equipment.algorithm_identification(measurement.density_model, context)
    items: list[ContentItem] = []
    for name, percent in attention_percents(measurement).items():
        share = number(codes.ATTENTION, percent, codes.PERCENT, derivation=codes.MEAN, algorithm=algorithm)
        said = [region_words(name, sides=sides_of(film)), origin(measurement.density_model)]
        items += with_origin(share, site_of(name, film), said)
    return items
