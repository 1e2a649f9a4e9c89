"""Every coded concept that the results use, in one place.

Standard codes come from SNOMED CT (SCT), DICOM (DCM, PS3.16 Annex D), LOINC (LN), UMLS and UCUM. Where no standard code was found the
private scheme 99OSTEON is used and declared in the Coding Scheme Identification Sequence (PS3.3 C.12.1.1.1).
"""

from typing import Final

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from inference.ct.levels import LEVELS
from inference.ct.opinions import OpinionAgreement, OpinionSource
from inference.findings import Band, ClassAgreement, RoiKind
from node.results.uids import derived_uid

PRIVATE_SCHEME: Final = "99OSTEON"


def _private(value: str, meaning: str) -> Code:
    return Code(value, PRIVATE_SCHEME, meaning)


def _dcm(value: str, meaning: str) -> Code:
    return Code(value, "DCM", meaning)


def _sct(value: str, meaning: str) -> Code:
    return Code(value, "SCT", meaning)


LEVEL: Final[dict[str, Code]] = {level: getattr(codes.SCT, f"{level}Vertebra") for level in LEVELS}
"""T1..T12, L1..L5 (CID 7602)."""

VERTEBRA: Final = _sct("51282000", "Vertebra")
"""A body without a certain name."""
ANATOMICAL_STRUCTURE: Final = _sct("91723000", "Anatomical Structure")
BONE: Final = _sct("272673000", "Bone")
LUMBAR_SPINE: Final = codes.SCT.LumbarSpine
COMPUTED_TOMOGRAPHY: Final = _sct("77477000", "Computed tomography")
PROCEDURE: Final[dict[str, Code]] = {
    "ct": COMPUTED_TOMOGRAPHY,
    "cxr": codes.cid100.XRUnspecifiedBodyRegion,
    "dxa": codes.SCT.DualEnergyXRayPhotonAbsorptiometry,
}
"""By workflow: the imaging procedure that a report is about."""
MODALITY: Final[dict[str, Code]] = {
    "CT": codes.cid29.ComputedTomography,
    "CR": codes.cid29.ComputedRadiography,
    "DX": codes.cid29.DigitalRadiography,
    "BMD": codes.cid29.BoneMineralDensitometry,
}
"""Acquisition modality by Modality (0008,0060)."""
OTHER_MODALITY: Final = _dcm("OT", "Other Modality")

MEAN: Final = _sct("373098007", "Mean")
MEDIAN: Final = _sct("373099004", "Median")
STANDARD_DEVIATION: Final = _sct("386136009", "Standard Deviation")
VOLUME: Final = _sct("118565006", "Volume")
ATTENUATION: Final = _dcm("112031", "Attenuation Coefficient")

HOUNSFIELD: Final = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
MILLIMETRE: Final = Code("mm", "UCUM", "mm")
MILLILITRE: Final = Code("ml", "UCUM", "ml")
MG_PER_CM3: Final = Code("mg/cm3", "UCUM", "mg/cm3")
VOXELS: Final = Code("{voxels}", "UCUM", "voxels")
G_PER_CM2: Final = Code("g/cm2", "UCUM", "g/cm2")
T_SCORE_UNIT: Final = Code("{T-score}", "UCUM", "T-score")

PERCENT: Final = Code("%", "UCUM", "%")
RATIO: Final = Code("{ratio}", "UCUM", "ratio")

SECOND_LEVEL: Final = _private("second-level", "Level according to the second reader")
SECOND_DICE: Final = _private("second-dice", "Dice overlap of the second reader's body with the measured one")
SECOND_DIFFERENCE: Final = _private("second-diff", "Attenuation by the second reader's mask less the measured one")
SECOND_READER: Final = _private("second-reader", "Agreement with the second reader")
NOT_SEEN: Final = _private("second-unseen", "No body seen here")
NOT_NAMED: Final = _private("second-unnamed", "Level not named")

DENSITY_CLASS: Final = _private("dc-predicted", "Density class predicted by a model, not measured by DXA")
PREDICTED_CLASS: Final[dict[str, Code]] = {
    "normal": _private("dc-normal", "Class normal, predicted"),
    "osteopenia": _private("dc-osteopenia", "Class osteopenia, predicted"),
    "osteoporosis": _private("dc-osteoporosis", "Class osteoporosis, predicted"),
    "not osteoporosis": _private("dc-other", "Class not osteoporosis, predicted"),
}
"""No SNOMED CT codes of disorders: a machine must not take a prediction for a diagnosis."""
CLASS_PROBABILITY: Final[dict[str, Code]] = {
    "normal": _private("dcp-normal", "Probability of class normal, predicted by a model"),
    "osteopenia": _private("dcp-osteopenia", "Probability of class osteopenia, predicted by a model"),
    "osteoporosis": _private("dcp-osteoporosis", "Probability of class osteoporosis, predicted by a model"),
    "not osteoporosis": _private("dcp-other", "Probability of class not osteoporosis, predicted by a model"),
}
CLASS_AGREEMENT: Final = _private("dc-agreement", "Predicted class against the band of the attenuation")
DEVICE_AGREEMENT: Final = _private("dc-device", "Predicted class against the densitometer's own T-score")
AGREEMENT: Final[dict[ClassAgreement, Code]] = {
    ClassAgreement.AGREES: _private("dc-agrees", "Agrees"),
    ClassAgreement.ONE_STEP_APART: _private("dc-one-step", "One step apart"),
    ClassAgreement.CONTRADICTS: _private("dc-contradicts", "Contradicts"),
}
EXPERTS_BMD: Final = _private("vx-bmd", "Areal BMD predicted from CT by a model, not measured by DXA")
EXPERTS_PROBABILITY: Final = _private("vx-osteoporosis", "Probability of osteoporosis, predicted from CT by a model")
EXPERTS_POSITION: Final = _private("vx-position", "Level that the vertebra looks like to a model")
EXPERTS: Final = _private("vx-readings", "Density by vertebra, predicted by a model, not by DXA")
SIXTH_LUMBAR: Final = _private("level-l6", "Sixth lumbar vertebra")
ESTIMATED: Final = codes.DCM.Estimated
OPINIONS: Final = _private("op-agreement", "How far the opinions on bone density agree")
OPINION_AGREEMENT: Final[dict[OpinionAgreement, Code]] = {
    OpinionAgreement.AGREE: _private("op-agree", "The opinions agree"),
    OpinionAgreement.ONE_STEP_APART: _private("op-one-step", "The opinions lie one class apart"),
    OpinionAgreement.CONTRADICT: _private("op-contradict", "The opinions contradict each other"),
    OpinionAgreement.NOT_COMPARED: _private("op-not-compared", "Fewer than two opinions"),
}
OPINION_LEADING: Final = _private("op-leading", "Opinion that leads by the site's setting")
OPINION: Final[dict[OpinionSource, Code]] = {
    OpinionSource.MEASUREMENT: _private("op-measurement", "Measured attenuation"),
    OpinionSource.CLASSIFIER: _private("op-classifier", "Class at L1, predicted by a model"),
    OpinionSource.EXPERTS: _private("op-experts", "Osteoporosis by vertebra, predicted by a model"),
}
NO_OPINION: Final = _private("op-none", "None: the one that would lead was not given")
VOXEL_COUNT: Final = _private("voxels", "Number of voxels")
HEIGHT_ANTERIOR: Final = _private("height-ant", "Anterior height of vertebral body")
HEIGHT_MIDDLE: Final = _private("height-mid", "Middle height of vertebral body")
HEIGHT_POSTERIOR: Final = _private("height-post", "Posterior height of vertebral body")
VBMD: Final = _private("vbmd-ct", "Volumetric bone mineral density by CT (not DXA)")
CORRECTED_ATTENUATION: Final = _private("att-corrected", "Corrected attenuation, for comparison only")

ROI: Final[dict[RoiKind, Code]] = {
    RoiKind.CORE: _private("roi-core", "Trabecular core: whole body, eroded"),
    RoiKind.ELLIPSE: _private("roi-ellipse", "Anterior-central ellipse at mid-height"),
}
"""Measurement method: which region of the body was measured."""
CORE_SEGMENT: Final = _private("core", "Trabecular core of vertebral body")
ELLIPSE_SEGMENT: Final = _private("ellipse", "Trabecular ellipse of vertebral body")

USE_OF_LEVEL: Final = _private("use", "Use of this level")
LEVEL_USED: Final = _private("use-yes", "Used")
LEVEL_EXCLUDED: Final = _private("use-no", "Measured but excluded")
REASON: Final = _private("reason", "Reason")
WARNING: Final = _private("warning", "Warning")
THRESHOLD: Final = _private("threshold", "Threshold and its source")
WARNINGS: Final = _private("warnings", "Warnings")
SKIPPED: Final = _private("skipped", "Not used")
SKIPPED_FILES: Final = _private("skipped-files", "Files and series that were not used")

BAND: Final[dict[Band, Code]] = {
    Band.LOW: _private("band-low", "Low attenuation"),
    Band.INTERMEDIATE: _private("band-between", "Attenuation between the thresholds"),
    Band.ABOVE: _private("band-above", "Attenuation above both thresholds"),
}
NO_BAND: Final = _private("band-none", "Not reported")

DEVICE_BMD: Final = _private("dev-bmd", "Areal BMD by the densitometer")
DEVICE_T_SCORE: Final = _private("dev-t", "T-score by the densitometer")
DEVICE_VALUES: Final = _private("dev-values", "Values of the densitometer, carried")
CXR_BMD: Final = _private("cxr-bmd", "Areal BMD estimated from chest radiograph, not measured by DXA")
CXR_T_SCORE: Final = _private("cxr-t", "T-score of areal BMD estimated from chest radiograph, not DXA")
ATTENTION: Final = _private("cxr-attention", "Share of the networks' attention that a region of film takes")
CXR_LOW: Final = _private("cxr-low", "Estimated T-score at or below the threshold of a level")
CXR_ABOVE: Final = _private("cxr-above", "Estimated T-scores above thresholds, osteoporosis not ruled out")
CXR_NONE: Final = _private("cxr-none", "Estimated areal BMD without a T-score")
CLAVICLE: Final = codes.SCT.Clavicle
RIB: Final = codes.SCT.Rib
CERVICAL_SPINE: Final = codes.SCT.CervicalSpine
THORAX: Final = codes.SCT.Thorax
SIDE: Final[dict[str, Code]] = {"left": codes.SCT.Left, "right": codes.SCT.Right}
MODEL_ALONE: Final = _private("dev-none", "Prediction of a model, no value of the densitometer")

QUALITATIVE_EVALUATIONS: Final = Code("C0034375", "UMLS", "Qualitative Evaluations")
DERIVED_MEASUREMENTS: Final = _dcm("126011", "Derived Imaging Measurements")
CONCLUSION: Final = _dcm("121077", "Conclusion")
CONCLUSIONS: Final = _dcm("121076", "Conclusions")
COMMENT: Final = _dcm("121106", "Comment")
FINDING: Final = _dcm("121071", "Finding")
FINDINGS: Final = _dcm("121070", "Findings")
RECOMMENDATION: Final = _dcm("121075", "Recommendation")
PROCEDURE_DESCRIPTION: Final = _dcm("121065", "Procedure Description")
CURRENT_PROCEDURE: Final = _dcm("121064", "Current Procedure Descriptions")
PROVENANCE: Final = _private("provenance", "How this was made")
DIAGNOSTIC_IMAGING_REPORT: Final = Code("18748-4", "LN", "Diagnostic Imaging Report")
ARTIFICIAL_INTELLIGENCE: Final = _dcm("123110", "Artificial Intelligence")


def level_code(level: str | None, certain: bool) -> Code:
    """The code of a level; the generic vertebra where its name is not certain."""
    return LEVEL[level] if level is not None and certain else VERTEBRA


def coding_schemes() -> list[CodingSchemeIdentificationItem]:
    """The declaration of the private scheme, for every object that uses a private code."""
    return [
        CodingSchemeIdentificationItem(
            designator=PRIVATE_SCHEME,
            name="Osteon private coding scheme",
            uid=derived_uid("coding scheme", PRIVATE_SCHEME),
            responsible_organization="Osteon",
        )
    ]


def concept(code: Code) -> CodedConcept:
    """A code as an item of a code sequence."""
    return CodedConcept.from_code(code)
