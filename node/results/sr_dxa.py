"""The structured report of a densitometry study (TID 1500, PS3.16): where L1 to L4 lie on the image, whose the numbers are.

The groups of TID 1410 hold coordinates alone: L1 to L4 as cropped, then each level between its discs. Viewers print a group's first numbers
over the image, where there is no room to say that the device, or a model trained on simulated patients, gave them. So every number
stands in the Derived Imaging Measurements (TID 1420) with its origin as a property: the densitometer's first, then the model's.
"""

from collections.abc import Sequence

from highdicom.sr import (
    Comprehensive3DSR,
    ContentItem,
    PlanarROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from inference.dxa.crop import SpineRoi
from inference.dxa.findings import DxaFindings
from inference.dxa.patient import LEVELS
from inference.findings import Findings
from node.results import codes, wording
from node.results.density_class import origin
from node.results.dxa import measured_by
from node.results.objects import ResultContext
from node.results.source import Source
from node.results.sr_boxes import ProjectionContent, box_group, projection_report, with_origin
from node.results.sr_items import class_evaluation, number, probability_items
from node.results.uids import ResultKey

_Group = PlanarROIMeasurementsAndQualitativeEvaluations


def build_dxa_report(findings: Findings, source: Source, key: ResultKey, context: ResultContext, series_number: int) -> Comprehensive3DSR:
    """The structured report of one densitometry study with a used image.

    Raises
    ------
    ValueError
        No image is used, or its header is not at hand.
    """
    dxa, image = findings.dxa, source.projection
    roi = dxa.used.roi if dxa is not None and dxa.used is not None else None
    if dxa is None or image is None or roi is None:
        raise ValueError("a report on a densitometry study needs the image that is used")
    content = ProjectionContent(
        groups=[_read_group(findings, roi, image, key), *_level_groups(roi, image, key)],
        numbers=[*_device_numbers(dxa), *_predicted_numbers(findings, context)],
        conclusion=codes.DEVICE_VALUES if dxa.device_sentence else codes.MODEL_ALONE,
    )
    return projection_report(content, findings, source, key, context, series_number)


def _read_group(findings: Findings, roi: SpineRoi, image: Dataset, key: ResultKey) -> _Group:
    """The box of the crop; what the model says of it as a code, with what it was trained on."""
    density = findings.density_class
    read = density is not None and density.model is not None
    said = f"L1-L4, read by a {origin(density.model)}" if density is not None and density.model is not None else "L1-L4, read by no model"
    top, left, bottom, right = roi.box
    group = box_group(key, wording.ascii_text(said), (top, left, bottom, right), codes.LUMBAR_SPINE, image)
    if density is not None and read:
        evaluated = class_evaluation(density, codes.DEVICE_AGREEMENT)
        group[0].ContentSequence.extend(item for evaluation in evaluated for item in evaluation)
    return group


def _level_groups(roi: SpineRoi, image: Dataset, key: ResultKey) -> list[_Group]:
    """Each level between its two discs, over the width of the crop. An uncertain name is marked, and its site is no certain vertebra."""
    _, left, _, right = roi.box
    groups = []
    for level, above, below in zip(LEVELS, roi.discs[:-1], roi.discs[1:], strict=True):
        # Disc rows count from the centre of the first row, coordinates from its upper edge (PS3.3 C.18.6.1.2).
        box = (above + 0.5, left, below + 0.5, right)
        name = level if roi.levels_certain else f"{level}?"
        groups.append(box_group(key, name, box, codes.level_code(level, roi.levels_certain), image))
    return groups


def _device_numbers(dxa: DxaFindings) -> list[ContentItem]:
    """The densitometer's values: of the region that counts, then level by level with why one does not count.

    Where the device states no value of that region, the mean of its levels stands there, and is called a mean.
    """
    patient = dxa.patient
    if dxa.device is None or patient is None:
        return []
    items: list[ContentItem] = []
    if patient.region is not None:
        said = [f"{patient.region}: {patient.because}.", measured_by(dxa)]
        derivation = None if patient.region in {*dxa.device.t_scores, *dxa.device.bmd_g_cm2} else codes.MEAN
        items += _stated(patient.bmd_g_cm2, patient.t_score, codes.LUMBAR_SPINE, said, derivation)
    for level in patient.levels:
        use = "used." if level.excluded_because is None else f"not used: {wording.reason_text(level.excluded_because)}"
        items += _stated(level.bmd_g_cm2, level.t_score, codes.LEVEL[level.level], [f"{level.level}: {use}", measured_by(dxa)])
    return items


def _stated(
    bmd_g_cm2: float | None, t_score: float | None, site: Code, said: Sequence[str], derivation: Code | None = None
) -> list[ContentItem]:
    """Density and score as the device prints them: three decimals and one."""
    items: list[ContentItem] = []
    for name, value, unit, digits in (
        (codes.DEVICE_BMD, bmd_g_cm2, codes.G_PER_CM2, 3),
        (codes.DEVICE_T_SCORE, t_score, codes.T_SCORE_UNIT, 1),
    ):
        if value is not None:
            stated = number(name, value, unit, derivation=derivation)
            stated[0].MeasuredValueSequence[0].NumericValue = f"{value:.{digits}f}"
            items += with_origin(stated, site, said)
    return items


def _predicted_numbers(findings: Findings, context: ResultContext) -> list[ContentItem]:
    """The model's probabilities, each with what it was trained on."""
    density = findings.density_class
    if density is None or density.model is None:
        return []
    return [item for found in probability_items(density, context) for item in with_origin(found, codes.LUMBAR_SPINE, ())]
