"""A small CT study with three block-shaped bodies, and the findings that belong to it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from inference.ct.opinions import OpinionSource, compare_opinions
from inference.ct.vertebra_readings import VertebraReading, VertebraReadings
from inference.errors import ReasonCode, WarningCode
from inference.findings import (
    Acquisition,
    Agreement,
    Attenuation,
    Band,
    BodyHeights,
    ClassAgreement,
    CtImages,
    CtSummary,
    DensityClass,
    Findings,
    LevelAgreement,
    ModelUsed,
    Notice,
    Outcome,
    Reason,
    RoiKind,
    RoiMeasurement,
    SecondReader,
    SkippedFile,
    Threshold,
    VertebraFinding,
)
from inference.reading import InstanceHeader, read_header
from inference.volume import Volume
from node.results import ResultContext

STUDY_UID = "1.2.826.0.1.3680043.8.498.1"
SERIES_UID = "1.2.826.0.1.3680043.8.498.1.2"
SHAPE = (24, 60, 62)
"""Slices, Rows, Columns: 60 * 62 is no multiple of 8, so that frames do not end on a byte."""
SPACING_MM = (3.0, 2.0, 2.5)
ORIGIN_LPS_MM = (-77.5, -60.0, 100.0)
CONTEXT = ResultContext(software_version="0.1.0", config_sha256="0123456789abcdef" * 4)
MODEL = ModelUsed(name="classical", version="1", sha256="fedcba9876543210" * 4, trained_on="not trained: analytic method")
SECOND_MODEL = ModelUsed(name="vertebrae", version="1.0.0", sha256="13579bdf02468ace" * 4, trained_on="simulated anatomy")
CLASS_MODEL = ModelUsed(name="medconv", version="1.0.0", sha256="02468ace13579bdf" * 4, trained_on="simulated patients")
EXPERTS_MODEL = ModelUsed(name="vertebra-experts", version="1.0.0", sha256="c0ffee0123456789" * 4, trained_on="simulated patients")
THRESHOLDS = (
    Threshold(name="high specificity", hu=110, source="Pickhardt 2013, L1, more than 90 % specific"),
    Threshold(name="high sensitivity", hu=160, source="Pickhardt 2013, L1, 90 % sensitive for DXA osteoporosis"),
)
# First and last slice of each body, feet first: label 3 is L2, label 2 is L1, label 1 is T12.
_SLICES = {3: (1, 7), 2: (9, 15), 1: (17, 23)}
LEVELS = {1: "T12", 2: "L1", 3: "L2"}

Edit = Callable[[Dataset, int], None]


@dataclass(frozen=True, kw_only=True)
class Example:
    """A study on disk with its findings."""

    findings: Findings
    headers: tuple[InstanceHeader, ...]
    folder: Path


def make_example(folder: Path, *, edit: Edit | None = None, shape: tuple[int, int, int] = SHAPE) -> Example:
    """Write the study and describe it; ``edit`` may change every data set before it is written."""
    bodies, core, ellipse = make_masks(shape)
    volume = make_volume(bodies)
    paths = write_slices(volume, folder, edit)
    headers = tuple(read_header(path) for path in paths)
    images = CtImages(
        volume=volume,
        bodies=bodies,
        core=core,
        ellipse=ellipse,
        source_paths=tuple(paths),
        source_bodies=bodies,
        source_core=core,
        source_ellipse=ellipse,
    )
    return Example(findings=make_findings(images, headers[0]), headers=headers, folder=folder)


def make_masks(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bodies 16 rows by 14 columns, cores two voxels inside them, ellipses the anterior half of the core's middle slices."""
    bodies, core, ellipse = (np.zeros(shape, dtype=np.uint8) for _ in range(3))
    for label, (first, last) in _SLICES.items():
        bodies[first:last, 22:38, 24:38] = label
        core[first + 1 : last - 1, 24:36, 26:36] = label
        ellipse[first + 2 : last - 2, 24:31, 27:35] = label
    return bodies, core, ellipse


def make_volume(bodies: np.ndarray) -> Volume:
    """Soft tissue of 40 HU with bodies of 300 HU whose cores have 100 HU."""
    hu = np.where(bodies > 0, 300, 40).astype(np.int16)
    hu[:, 24:36, 26:36][bodies[:, 24:36, 26:36] > 0] = 100
    affine = np.eye(4)
    affine[:3, :3] = [[0, 0, SPACING_MM[2]], [0, SPACING_MM[1], 0], [SPACING_MM[0], 0, 0]]
    affine[:3, 3] = ORIGIN_LPS_MM
    return Volume(hu=hu, affine=affine)


def write_slices(volume: Volume, folder: Path, edit: Edit | None) -> list[Path]:
    """One CT Image Storage instance per slice, feet first."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, plane in enumerate(volume.hu):
        dataset = _slice(plane, index)
        if edit is not None:
            edit(dataset, index)
        paths.append(folder / f"{index:03d}.dcm")
        dataset.preamble = b"\0" * 128
        dataset.save_as(paths[-1], implicit_vr=False, little_endian=True)
    return paths


def _slice(plane: np.ndarray, index: int) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = f"{SERIES_UID}.{index + 1}"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY_UID, SERIES_UID
    dataset.FrameOfReferenceUID = f"{STUDY_UID}.9"
    dataset.PositionReferenceIndicator = ""
    dataset.PatientName, dataset.PatientID, dataset.IssuerOfPatientID = "Müller^Jörg", "P-1", "HOSPITAL"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "", "M", "055Y"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20260102", "101500", "S1"
    dataset.AccessionNumber, dataset.ReferringPhysicianName, dataset.StudyDescription = "A1", "Weiß^Eva", "CT ABDOMEN"
    dataset.Modality, dataset.Manufacturer, dataset.ManufacturerModelName = "CT", "ACME", "Scan 1"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SeriesNumber, dataset.InstanceNumber, dataset.AcquisitionNumber = 4, index + 1, 1
    dataset.SeriesDescription, dataset.PatientPosition, dataset.KVP = "NATIVE", "HFS", "120"
    x, y, z = ORIGIN_LPS_MM
    dataset.ImagePositionPatient = [x, y, z + SPACING_MM[0] * index]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness = [SPACING_MM[1], SPACING_MM[2]], SPACING_MM[0]
    dataset.Rows, dataset.Columns = plane.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "HU"
    dataset.PixelData = plane.astype("<i2").tobytes()
    return dataset


def make_findings(images: CtImages, first: InstanceHeader) -> Findings:
    """L1 with 97.4 HU is low, T12 is cut off and excluded, L2 has a warning."""
    vertebrae = tuple(_vertebra(label, images) for label in sorted(LEVELS))
    return Findings(
        study_instance_uid=first.study_instance_uid,
        workflow="ct",
        outcome=Outcome.RESULT_WITH_WARNINGS,
        reason=None,
        warnings=(Notice(code=WarningCode.CONTRAST_UNKNOWN, text="The contrast phase is unknown."),),
        acquisition=Acquisition(
            series_instance_uid=first.series_instance_uid,
            series_description="NATIVE",
            manufacturer="ACME",
            model_name="Scan 1",
            kvp=120.0,
            convolution_kernel=None,
            slice_spacing_mm=3.0,
            slice_thickness_mm=3.0,
            pixel_spacing_mm=(2.0, 2.5),
            slices=24,
            contrast_header=None,
            contrast_phase="unknown",
            contrast_because="aorta 62 HU",
        ),
        vertebrae=vertebrae,
        summary=CtSummary(
            level="L1",
            roi_kind=RoiKind.CORE,
            attenuation_hu=97.0,
            band=Band.LOW,
            thresholds=THRESHOLDS,
            recommendation="Consider DXA.",
        ),
        level_because="sacrum: L5/S1 disc",
        skipped=(SkippedFile(path="/somewhere/Doe_Jane/scout.dcm", reason=Reason(code=ReasonCode.LOCALIZER, text="A scout.")),),
        models=(MODEL,),
        images=images,
    )


def _vertebra(label: int, images: CtImages) -> VertebraFinding:
    where = np.argwhere(images.bodies == label)
    centre = images.volume.to_lps_mm(where.mean(axis=0)[None])[0]
    excluded = Reason(code=ReasonCode.NOT_WHOLE, text="The body is cut by the upper border.") if label == 1 else None
    warned = (Notice(code=WarningCode.WEAK_DISC, text="The disc below is hardly seen."),) if label == 3 else ()
    return VertebraFinding(
        label=label,
        level=LEVELS[label],
        level_certain=True,
        used=label != 1,
        excluded_because=excluded,
        rois=(
            _roi(RoiKind.CORE, 112.4 + label, 95.4 + label, 21.5, int((images.core == label).sum())),
            _roi(RoiKind.ELLIPSE, 101.6 + label, 99.5 + label, 18.2, int((images.ellipse == label).sum())),
        ),
        heights=BodyHeights(anterior_mm=23.14, middle_mm=24.56, posterior_mm=28.65),
        centre_lps_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
        cranial=(0.0, 0.0, 1.0),
        anterior=(0.0, -1.0, 0.0),
        left=(1.0, 0.0, 0.0),
        warnings=warned,
    )


def _roi(kind: RoiKind, mean: float, median: float, sd: float, voxels: int) -> RoiMeasurement:
    volume_ml = voxels * float(np.prod(SPACING_MM)) / 1000
    return RoiMeasurement(kind=kind, attenuation=Attenuation(mean_hu=mean, median_hu=median, sd_hu=sd), voxels=voxels, volume_ml=volume_ml)


def with_second_reader(example: Example) -> Findings:
    """The same findings beside a second reader whose bodies lie one slice higher; it sees T12 not at all, and one more above L1."""
    findings, images = example.findings, example.findings.images
    if images is None:
        raise ValueError("the example has images")
    second = np.roll(np.where(images.bodies == 1, 0, images.bodies), 1, axis=0)
    second[20:22, 26:36, 28:36] = 4
    readings = (
        SecondReader(level=None, level_certain=False, dice=0.0),
        SecondReader(level="L1", level_certain=True, dice=0.8333, mean_difference_hu=-2.4, median_difference_hu=-1.6),
        SecondReader(level=None, level_certain=False, dice=0.8333, mean_difference_hu=0.2, median_difference_hu=0.2),
    )
    unseen = Notice(code=WarningCode.READERS_DISAGREE_SHAPE, text="The second reader sees no body here.")
    vertebrae = tuple(replace(v, second_reader=reading) for v, reading in zip(findings.vertebrae, readings, strict=True))
    agreement = Agreement(
        model=SECOND_MODEL,
        compared=2,
        only_first=1,
        only_second=1,
        median_dice=0.8333,
        median_difference_hu=0.9,
        levels=LevelAgreement.AGREE,
    )
    return replace(
        findings,
        vertebrae=(replace(vertebrae[0], warnings=(unseen,)), *vertebrae[1:]),
        models=(MODEL, SECOND_MODEL),
        second_reader=agreement,
        images=replace(images, second_bodies=second),
    )


def with_density_class(findings: Findings, *, predicted: str = "osteoporosis", trained_on: str = "simulated patients") -> Findings:
    """The same findings with what a model predicts at L1, whose attenuation is low; a contradiction has its warning."""
    shares = {"normal": 0.1154, "osteopenia": 0.2253, "osteoporosis": 0.6593}
    others = sorted(shares, key=lambda name: name == predicted)
    probabilities = {name: sorted(shares.values())[others.index(name)] for name in shares}
    model = replace(CLASS_MODEL, trained_on=trained_on)
    agreement = {"osteoporosis": ClassAgreement.AGREES, "osteopenia": ClassAgreement.ONE_STEP_APART, "normal": ClassAgreement.CONTRADICTS}[
        predicted
    ]
    warning = Notice(code=WarningCode.CLASS_CONTRADICTS_BAND, text=f"The model medconv (trained on {trained_on}) predicts normal at L1.")
    return replace(
        findings,
        warnings=(*findings.warnings, *((warning,) if agreement is ClassAgreement.CONTRADICTS else ())),
        models=(*findings.models, model),
        density_class=DensityClass(
            level="L1",
            probabilities=probabilities,
            predicted=predicted,
            agreement=agreement,
            model=model,
            because="read from the body of L1 and 2 mm around it, in a box of 64 x 64 x 64 mm",
        ),
    )


def without_density_class(findings: Findings, because: str = "there is no bundle 'medconv'") -> Findings:
    """The same findings where a classifier was asked for and gave nothing."""
    none = DensityClass(level="L1", probabilities=None, predicted=None, agreement=None, model=None, because=because)
    return replace(findings, density_class=none)


def with_experts(
    findings: Findings, *, lead: OpinionSource = OpinionSource.MEASUREMENT, trained_on: str = "simulated patients"
) -> Findings:
    """The same findings with what experts read: T12 (excluded) and L2 look like what they are called, L1 like L2, L2 is osteoporotic."""
    model = replace(EXPERTS_MODEL, trained_on=trained_on)
    said = ((1, "T12", "T12", None, None), (2, "L1", "L2", 0.8149, 0.304), (3, "L2", "L2", 0.7361, 0.614))
    readings = VertebraReadings(
        readings=tuple(
            VertebraReading(label=label, level=level, looks_like=like, bmd_g_cm2=bmd, probability=share, gates=(0.25, 0.75))
            for label, level, like, bmd, share in said
        ),
        densitometer="Hologic",
        model=model,
        because="on the scale of Hologic (the site's choice)",
        shift=0,
    )
    predicted = findings.density_class.predicted if findings.density_class is not None else None
    band = findings.summary.band if findings.summary is not None else None
    return replace(
        findings,
        models=(*findings.models, model),
        experts=readings,
        opinions=compare_opinions(band, predicted, readings.osteoporotic_levels, lead),
    )


def refused(findings: Findings, *, code: ReasonCode = ReasonCode.L1_NOT_IN_VIEW, text: str = "Only T3 to T9 are in view.") -> Findings:
    """The same study refused before anything was measured."""
    return replace(
        findings,
        outcome=Outcome.REFUSED,
        reason=Reason(code=code, text=text),
        acquisition=None,
        vertebrae=(),
        summary=None,
        images=None,
        models=(),
        warnings=(),
        level_because="",
    )


def level_uncertain(findings: Findings) -> Findings:
    """The same bodies measured, but nobody knows which they are."""
    because = Reason(code=ReasonCode.LEVEL_UNCERTAIN, text="No anchor settles which vertebra this is.")
    unnamed = tuple(replace(v, level=None, level_certain=False, used=False, excluded_because=because) for v in findings.vertebrae)
    return replace(
        findings,
        outcome=Outcome.REFUSED,
        reason=Reason(code=ReasonCode.LEVEL_UNCERTAIN, text="No anchor (sacrum, last rib) settles the levels."),
        vertebrae=unnamed,
        summary=CtSummary(
            level=None, roi_kind=RoiKind.CORE, attenuation_hu=None, band=None, thresholds=THRESHOLDS, recommendation="Consider DXA."
        ),
    )
