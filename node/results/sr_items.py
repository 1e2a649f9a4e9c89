"""Content items of the structured report that stand for a number or a name of one body."""

from typing import Final

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ContentSequence,
    Measurement,
    QualitativeEvaluation,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.sr.coding import Code

from inference.findings import DensityClass, Findings, RoiKind, RoiMeasurement, VertebraFinding
from inference.rounding import round_hu
from node.results import codes, wording
from node.results.density_class import origin
from node.results.equipment import algorithm_identification
from node.results.objects import ResultContext

STATISTIC_CODE: Final = {"mean": codes.MEAN, "median": codes.MEDIAN, "sd": codes.STANDARD_DEVIATION}


def number(
    name: Code,
    value: float,
    unit: Code,
    method: Code | None = None,
    derivation: Code | None = None,
    algorithm: AlgorithmIdentification | None = None,
) -> Measurement:
    """TID 300 with the value as it is written: ``113``, not ``113.0``. ``algorithm`` where it is another than the group's."""
    measurement = Measurement(name=name, value=value, unit=unit, method=method, derivation=derivation, algorithm_id=algorithm)
    if isinstance(value, int):
        measurement[0].MeasuredValueSequence[0].NumericValue = str(value)
    return measurement


def measurements(vertebra: VertebraFinding, findings: Findings, context: ResultContext) -> list[Measurement]:
    """Every number of a body; those of the second reader and of the classifier name it as their algorithm (TID 4019).

    Viewers print the first five over the image, without their derivation. So one attenuation alone stands among them, the one that the
    headline repeats, and of an excluded body none: sizes come first there.
    """
    first_kind, statistic = wording.shown_statistic(findings)
    rois = sorted(vertebra.rois, key=lambda roi: roi.kind is not first_kind)
    attenuation = [measurement for roi in rois for measurement in _attenuation(roi, statistic)]
    sizes = _heights(vertebra) + [measurement for roi in rois for measurement in _sizes(roi)]
    agreement = findings.second_reader
    second = [] if agreement is None else _second_reader(vertebra, algorithm_identification(agreement.model, context))
    others = second + _probabilities(vertebra, findings, context)
    if not vertebra.used:
        return sizes + attenuation + others
    return attenuation[:1] + sizes + attenuation[1:] + others


def _second_reader(vertebra: VertebraFinding, algorithm: AlgorithmIdentification) -> list[Measurement]:
    """How far the second reader's body is the measured one; nothing where it sees none, which is said in words."""
    reading = vertebra.second_reader
    if reading is None or not reading.found:
        return []
    numbers = [number(codes.SECOND_DICE, round(reading.dice, 2), codes.RATIO, algorithm=algorithm)]
    if reading.median_difference_hu is not None:
        difference = round_hu(reading.median_difference_hu)
        numbers.append(number(codes.SECOND_DIFFERENCE, difference, codes.HOUNSFIELD, codes.ROI[RoiKind.CORE], codes.MEDIAN, algorithm))
    return numbers


def _probabilities(vertebra: VertebraFinding, findings: Findings, context: ResultContext) -> list[Measurement]:
    """Whole per cent of each class at the level that was read."""
    density = read_here(vertebra, findings)
    return [] if density is None else probability_items(density, context)


def probability_items(density: DensityClass, context: ResultContext) -> list[Measurement]:
    """Whole per cent of each class with its algorithm, and what that was trained on; empty without probabilities."""
    if density.model is None:
        return []
    algorithm = algorithm_identification(density.model, context)
    items = []
    for name, percent in density.percentages.items():
        item = number(codes.CLASS_PROBABILITY[name], percent, codes.PERCENT, algorithm=algorithm)
        item[0].ContentSequence.append(text_item(codes.COMMENT, origin(density.model), RelationshipTypeValues.HAS_PROPERTIES))
        items.append(item)
    return items


def read_here(vertebra: VertebraFinding, findings: Findings) -> DensityClass | None:
    """The predicted density class, if this is the body that it was read from."""
    density = findings.density_class
    if density is None or density.model is None or not vertebra.level_certain or vertebra.level != density.level:
        return None
    return density


def predicted_class(vertebra: VertebraFinding, findings: Findings) -> list[QualitativeEvaluation]:
    """The class that a model predicts of the body that it read, and how it stands to the band."""
    density = read_here(vertebra, findings)
    return [] if density is None else class_evaluation(density, codes.CLASS_AGREEMENT)


def class_evaluation(density: DensityClass, against: Code) -> list[QualitativeEvaluation]:
    """The class that a model predicts, with what that was trained on, and its agreement; ``against`` names with what."""
    if density.model is None or density.predicted is None:
        return []
    predicted = QualitativeEvaluation(name=codes.DENSITY_CLASS, value=codes.PREDICTED_CLASS[density.predicted])
    comment = text_item(codes.COMMENT, origin(density.model), RelationshipTypeValues.HAS_PROPERTIES)
    predicted[0].ContentSequence = ContentSequence([comment])
    if density.agreement is None:
        return [predicted]
    return [predicted, QualitativeEvaluation(name=against, value=codes.AGREEMENT[density.agreement])]


def second_level(vertebra: VertebraFinding) -> list[QualitativeEvaluation]:
    """What the second reader calls the body."""
    reading = vertebra.second_reader
    if reading is None:
        return []
    named = codes.level_code(reading.level, certain=True) if reading.level_certain else codes.NOT_NAMED
    return [QualitativeEvaluation(name=codes.SECOND_LEVEL, value=named if reading.found else codes.NOT_SEEN)]


def _heights(vertebra: VertebraFinding) -> list[Measurement]:
    if vertebra.heights is None:
        return []
    heights = (
        (codes.HEIGHT_ANTERIOR, vertebra.heights.anterior_mm),
        (codes.HEIGHT_MIDDLE, vertebra.heights.middle_mm),
        (codes.HEIGHT_POSTERIOR, vertebra.heights.posterior_mm),
    )
    return [number(name, wording.one_decimal(value_mm), codes.MILLIMETRE) for name, value_mm in heights]


def _attenuation(roi: RoiMeasurement, first: str) -> list[Measurement]:
    values = {"mean": roi.attenuation.mean_hu, "median": roi.attenuation.median_hu, "sd": roi.attenuation.sd_hu}
    method = codes.ROI[roi.kind]
    return [
        number(codes.ATTENUATION, round_hu(values[name]), codes.HOUNSFIELD, method, STATISTIC_CODE[name])
        for name in sorted(values, key=lambda name: name != first)
    ]


def _sizes(roi: RoiMeasurement) -> list[Measurement]:
    method = codes.ROI[roi.kind]
    sizes = [
        number(codes.VOXEL_COUNT, roi.voxels, codes.VOXELS, method),
        number(codes.VOLUME, wording.one_decimal(roi.volume_ml), codes.MILLILITRE, method),
    ]
    if roi.vbmd_mg_cm3 is not None:
        density = number(codes.VBMD, round_hu(roi.vbmd_mg_cm3), codes.MG_PER_CM3, method)
        density[0].ContentSequence.append(text_item(codes.COMMENT, wording.density_text(roi), RelationshipTypeValues.HAS_PROPERTIES))
        sizes.append(density)
    return sizes


def text_item(
    name: Code | CodedConcept, value: str, relationship: RelationshipTypeValues = RelationshipTypeValues.CONTAINS
) -> TextContentItem:
    """A TEXT item."""
    return TextContentItem(name=name, value=value, relationship_type=relationship)
