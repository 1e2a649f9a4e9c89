"""The results of a real abdomen, from the expert masks that come with it."""

from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from PIL import Image
from scipy import ndimage

from inference.errors import ReasonCode
from inference.findings import (
    Attenuation,
    Band,
    CtImages,
    CtSummary,
    Findings,
    Outcome,
    Reason,
    RoiKind,
    RoiMeasurement,
    VertebraFinding,
)
from inference.reading import InstanceHeader, read_header
from node.results import WrittenResults, write_results
from tests.node.results.example import CONTEXT, MODEL, THRESHOLDS, refused
from tests.paths import real_image
from tests.real.studies import labels_on_volume, nifti_to_dicom, volume_from_nifti

pytestmark = pytest.mark.real

LEVELS = {32: "T12", 31: "L1", 30: "L2", 29: "L3", 28: "L4", 27: "L5"}
"""Labels of the vertebrae in ``vertebrae.nii.gz``, head to foot."""


@pytest.fixture(scope="module")
def headers(tmp_path_factory: pytest.TempPathFactory) -> tuple[InstanceHeader, ...]:
    folder = nifti_to_dicom(real_image("ct/abdomen_native_3mm/ct.nii.gz"), tmp_path_factory.mktemp("abdomen"))
    return tuple(read_header(path) for path in sorted(folder.iterdir()))


@pytest.fixture(scope="module")
def findings(headers: tuple[InstanceHeader, ...]) -> Findings:
    """Bodies and 6 mm cores of the expert masks; T12 is cut by the border."""
    volume = volume_from_nifti(real_image("ct/abdomen_native_3mm/ct.nii.gz"))
    vertebrae = labels_on_volume(real_image("ct/abdomen_native_3mm/vertebrae.nii.gz"), volume)
    inside = labels_on_volume(real_image("ct/abdomen_native_3mm/vertebral_bodies.nii.gz"), volume) == 1
    bodies, core = np.zeros(volume.hu.shape, dtype=np.uint8), np.zeros(volume.hu.shape, dtype=np.uint8)
    found = []
    for label, (value, level) in enumerate(LEVELS.items(), start=1):
        body = (vertebrae == value) & inside
        bodies[body] = label
        core[ndimage.distance_transform_edt(body, sampling=volume.spacing_mm) > 6.0] = label
        found.append(_vertebra(label, level, volume.to_lps_mm(np.argwhere(body)), volume.hu[core == label]))
    paths = tuple(header.path for header in headers if header.path is not None)
    images = CtImages(
        volume=volume,
        bodies=bodies,
        core=core,
        ellipse=np.zeros_like(core),
        source_paths=paths,
        source_bodies=bodies,
        source_core=core,
        source_ellipse=np.zeros_like(core),
    )
    carried = next(v for v in found if v.level == "L1").rois[0].attenuation.median_hu
    return Findings(
        study_instance_uid=headers[0].study_instance_uid,
        workflow="ct",
        outcome=Outcome.RESULT,
        reason=None,
        vertebrae=tuple(found),
        summary=CtSummary(
            level="L1", roi_kind=RoiKind.CORE, attenuation_hu=carried, band=Band.LOW, thresholds=THRESHOLDS, recommendation="Consider DXA."
        ),
        models=(MODEL,),
        images=images,
    )


def _vertebra(label: int, level: str, points_mm: np.ndarray, core_hu: np.ndarray) -> VertebraFinding:
    centre = points_mm.mean(axis=0)
    attenuation = Attenuation(mean_hu=float(core_hu.mean()), median_hu=float(np.median(core_hu)), sd_hu=float(core_hu.std()))
    cut = level == "T12"
    return VertebraFinding(
        label=label,
        level=level,
        level_certain=True,
        used=not cut,
        excluded_because=Reason(code=ReasonCode.NOT_WHOLE, text="Cut by the border.") if cut else None,
        rois=(RoiMeasurement(kind=RoiKind.CORE, attenuation=attenuation, voxels=core_hu.size, volume_ml=core_hu.size * 0.027),),
        heights=None,
        centre_lps_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
        cranial=(0.0, 0.0, 1.0),
        anterior=(0.0, -1.0, 0.0),
        left=(1.0, 0.0, 0.0),
    )


@pytest.fixture(scope="module")
def written(findings: Findings, headers: tuple[InstanceHeader, ...], tmp_path_factory: pytest.TempPathFactory) -> WrittenResults:
    return write_results(findings, headers, CONTEXT, tmp_path_factory.mktemp("out"), ("seg", "sr", "text", "picture"))


def test_the_numbers_of_the_report_are_those_of_the_voxels_under_its_segments(
    headers: tuple[InstanceHeader, ...], written: WrittenResults
) -> None:
    """SEG and SR agree on the images as stored: decode the segment, look up the pixels, take the median."""
    segmentation = hd.seg.segread(written.objects[0].path)
    report = hd.sr.srread(written.objects[1].path)
    stored = np.stack([hd.imread(header.path).get_frame(1, dtype=np.float64) for header in headers])
    pixels = segmentation.get_pixels_by_source_instance([h.sop_instance_uid for h in headers], assert_missing_frames_are_empty=True)
    by_label = {d.SegmentLabel: pixels[..., n].astype(bool) for n, d in enumerate(segmentation.SegmentSequence)}
    groups = {g.tracking_identifier: g for g in report.content.get_volumetric_roi_measurement_groups()}
    for level in ("L1", "L2", "L3", "L4", "L5"):
        median = float(np.median(stored[by_label[f"{level} core"]]))
        assert abs(groups[level].get_measurements()[0].value - median) <= 0.5, level
    assert list(groups) == ["L1", "T12, excluded", "L2", "L3", "L4", "L5"]


def test_the_outline_encloses_the_body_on_its_slice(
    findings: Findings, headers: tuple[InstanceHeader, ...], written: WrittenResults
) -> None:
    images = findings.images
    assert images is not None
    planes = {header.sop_instance_uid: plane for plane, header in enumerate(headers)}
    groups = hd.sr.srread(written.objects[1].path).content.get_planar_roi_measurement_groups()
    assert len(groups) == 6
    for group in groups:
        vertebra = next(v for v in findings.vertebrae if v.level == str(group.tracking_identifier).removesuffix(", excluded"))
        region = group.roi
        assert region is not None
        plane = planes[region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID]
        rows, columns = np.nonzero(images.source_bodies[plane] == vertebra.label)
        centre = region.value.mean(axis=0) - 0.5
        assert abs(centre[0] - columns.mean()) < 3
        assert abs(centre[1] - rows.mean()) < 3


def test_the_page_shows_bone_inside_the_outlines(written: WrittenResults) -> None:
    assert written.picture_png is not None
    with Image.open(written.picture_png) as page:
        pixels = np.asarray(page)
    assert pixels.shape == (2000, 1600)
    assert 30 < pixels.mean() < 120


def test_files_without_uids_can_be_refused_in_words(tmp_path: Path, findings: Findings) -> None:
    """A Siemens thorax, JPEG 2000, with empty Study, Series and SOP Instance UIDs."""
    folder = real_image("ct/thorax_siemens_dicom")
    headers = [read_header(path) for path in sorted(folder.iterdir()) if path.is_file()]
    assert headers[0].uids_derived
    told = replace(refused(findings), study_instance_uid=headers[0].study_instance_uid)
    written = write_results(told, headers, CONTEXT, tmp_path, ("seg", "sr", "text", "picture"))
    assert [o.kind for o in written.objects] == ["text"]
    report = pydicom.dcmread(written.objects[0].path)
    assert report.StudyInstanceUID == headers[0].study_instance_uid
    evidence = report.PertinentOtherEvidenceSequence if "PertinentOtherEvidenceSequence" in report else []
    current = report.CurrentRequestedProcedureEvidenceSequence if "CurrentRequestedProcedureEvidenceSequence" in report else []
    referenced = {
        item.ReferencedSOPInstanceUID
        for study in (*evidence, *current)
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert referenced == {header.sop_instance_uid for header in headers}
