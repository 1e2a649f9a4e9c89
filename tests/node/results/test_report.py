"""The structured report: its shape, its numbers, and what it says of excluded levels and refusals."""

from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from inference.findings import Correction
from node.results import WrittenResults, write_results
from tests.node.results.example import CONTEXT, Example, level_uncertain

pytestmark = pytest.mark.unit

NOTICE = "Research use. Does not replace DXA. A normal result does not rule out osteoporosis."


@pytest.fixture(scope="module")
def report(written: WrittenResults) -> hd.sr.Comprehensive3DSR:
    return hd.sr.srread(written.objects[1].path)


def _children(item: Dataset, meaning: str) -> list[Dataset]:
    return [child for child in item.ContentSequence if child.ConceptNameCodeSequence[0].CodeMeaning == meaning]


def _texts(item: Dataset, meaning: str) -> list[str]:
    return [child.TextValue for child in _children(item, meaning) if child.ValueType == "TEXT"]


def _numbers(group: Dataset) -> list[tuple[str, str, str]]:
    """(name, value with unit, derivation) of every NUM in order."""
    numbers = []
    for item in group.ContentSequence:
        if item.ValueType == "NUM":
            value = item.MeasuredValueSequence[0]
            derivations = _children(item, "Derivation") if "ContentSequence" in item else []
            derivation = derivations[0].ConceptCodeSequence[0].CodeMeaning if derivations else ""
            name = item.ConceptNameCodeSequence[0].CodeMeaning
            numbers.append((name, f"{value.NumericValue} {value.MeasurementUnitsCodeSequence[0].CodeValue}", derivation))
    return numbers


def test_every_body_has_numbers_and_an_outline_under_one_tracking_uid(report: hd.sr.Comprehensive3DSR, written: WrittenResults) -> None:
    numbers = report.content.get_volumetric_roi_measurement_groups()
    drawn = report.content.get_planar_roi_measurement_groups()
    segmentation = hd.seg.segread(written.objects[0].path)
    assert [g.tracking_identifier for g in numbers] == ["L1", "T12, excluded", "L2"], "the level that carries the band comes first"
    assert [g.tracking_uid for g in numbers] == [g.tracking_uid for g in drawn]
    described = [segmentation.SegmentSequence[index] for index in (1, 0, 2)]
    assert [g.tracking_uid for g in numbers] == [d.TrackingUID for d in described]
    for group, description in zip(numbers, described, strict=True):
        reference = _children(group[0], "Referenced Segment")[0].ReferencedSOPSequence[0]
        assert reference.ReferencedSOPInstanceUID == segmentation.SOPInstanceUID
        assert reference.ReferencedSegmentNumber == description.SegmentNumber
    assert all(not group.get_measurements() for group in drawn)


def test_the_reported_number_comes_first_and_no_digit_is_made_up(report: hd.sr.Comprehensive3DSR) -> None:
    group = report.content.get_volumetric_roi_measurement_groups()[0][0]
    attenuation = "Attenuation Coefficient"
    assert _numbers(group) == [
        (attenuation, "97 [hnsf'U]", "Median"),
        ("Anterior height of vertebral body", "23.1 mm", ""),
        ("Middle height of vertebral body", "24.6 mm", ""),
        ("Posterior height of vertebral body", "28.7 mm", ""),
        ("Number of voxels", "480 {voxels}", ""),
        ("Volume", "7.2 ml", ""),
        ("Number of voxels", "112 {voxels}", ""),
        ("Volume", "1.7 ml", ""),
        (attenuation, "114 [hnsf'U]", "Mean"),
        (attenuation, "22 [hnsf'U]", "Standard Deviation"),
        (attenuation, "102 [hnsf'U]", "Median"),
        (attenuation, "104 [hnsf'U]", "Mean"),
        (attenuation, "18 [hnsf'U]", "Standard Deviation"),
    ]


def test_an_excluded_level_says_why_and_hides_its_attenuation_from_overlays(report: hd.sr.Comprehensive3DSR) -> None:
    group = report.content.get_volumetric_roi_measurement_groups()[1][0]
    assert _children(group, "Use of this level")[0].ConceptCodeSequence[0].CodeMeaning == "Measured but excluded"
    assert _texts(group, "Reason") == ["NOT_WHOLE: The body is cut by the upper border."]
    names = [name for name, _, _ in _numbers(group)]
    assert "Attenuation Coefficient" not in names[:5]
    assert names.count("Attenuation Coefficient") == 6


def test_a_warning_stands_in_the_group_of_its_number(report: hd.sr.Comprehensive3DSR) -> None:
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert _texts(groups[2][0], "Warning") == ["WEAK_DISC: The disc below is hardly seen."]
    assert _texts(groups[0][0], "Warning") == []


def test_the_outline_runs_around_the_body_on_its_middle_slice(example: Example, report: hd.sr.Comprehensive3DSR) -> None:
    group = report.content.get_planar_roi_measurement_groups()[0]
    region = group.roi
    assert region is not None
    assert region.graphic_type is hd.sr.GraphicTypeValues.POLYLINE
    outline = region.value
    np.testing.assert_array_equal(outline[0], outline[-1])
    # L1 covers columns 24 to 37 and rows 22 to 37; pixel centres lie at half numbers, so its edges lie at 24..38 and 22..38.
    assert outline.min(axis=0).tolist() == [24.0, 22.0]
    assert outline.max(axis=0).tolist() == [38.0, 38.0]
    selected = region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert selected == example.headers[12].sop_instance_uid


def test_the_study_number_stands_in_derived_measurements(report: hd.sr.Comprehensive3DSR) -> None:
    container = _children(report, "Derived Imaging Measurements")[0]
    assert _numbers(container) == [("Attenuation Coefficient", "97 [hnsf'U]", "Median")]
    number = container.ContentSequence[0]
    assert _children(number, "Finding Site")[0].ConceptCodeSequence[0].CodeMeaning == "L1 vertebra"
    assert _children(number, "Measurement Method")[0].ConceptCodeSequence[0].CodeValue == "roi-core"


def test_the_conclusion_holds_band_notice_thresholds_and_provenance(example: Example, report: hd.sr.Comprehensive3DSR) -> None:
    container = _children(report, "Qualitative Evaluations")[0]
    conclusions = _children(container, "Conclusion")
    assert conclusions[0].ConceptCodeSequence[0].CodeMeaning == "Low attenuation"
    assert conclusions[1].TextValue.startswith("L1: 97 HU - LOW ATTENUATION.")
    assert _texts(container, "Comment")[0] == NOTICE
    assert _texts(container, "Recommendation") == ["Consider DXA."]
    assert len(_texts(container, "Threshold and its source")) == 2
    assert _texts(container, "Warning") == ["CONTRAST_UNKNOWN: The contrast phase is unknown."]
    provenance = " ".join(_texts(container, "How this was made"))
    assert CONTEXT.config_sha256 in provenance
    assert example.findings.models[0].sha256 in provenance


def test_the_report_is_preliminary_and_names_procedure_device_and_sources(report: hd.sr.Comprehensive3DSR) -> None:
    assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")
    assert report.SeriesDescription.endswith("research use, does not replace DXA")
    assert _children(report, "Procedure reported")[0].ConceptCodeSequence[0].CodeValue == "77477000"
    library = _children(_children(report, "Image Library")[0], "Image Library Group")[0]
    assert len(_children(library, "Source")) == 18
    assert _children(library, "Modality")[0].ConceptCodeSequence[0].CodeValue == "CT"
    evidence = {instance for _, _, instance, _ in report.get_evidence()}
    assert len(evidence) == 19
    schemes = [item.CodingSchemeDesignator for item in report.CodingSchemeIdentificationSequence]
    assert schemes == ["99OSTEON"]


def test_every_algorithm_is_contributing_equipment(example: Example, report: hd.sr.Comprehensive3DSR) -> None:
    items = [item for item in report.ContributingEquipmentSequence if item.Manufacturer == "Osteon"]
    assert [item.ManufacturerModelName for item in items] == ["classical"]
    assert items[0].DeviceSerialNumber == example.findings.models[0].sha256
    assert items[0].DeviceUID.startswith("2.25.")
    assert items[0].PurposeOfReferenceCodeSequence[0].CodeValue == codes.DCM.ProcessingEquipment.value


def test_unnamed_bodies_are_measured_but_nothing_is_concluded(example: Example, tmp_path: Path) -> None:
    written = write_results(level_uncertain(example.findings), example.headers, CONTEXT, tmp_path, ("seg", "sr"))
    report = hd.sr.srread(written.objects[1].path)
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert len(groups) == 3
    assert all(site.value.meaning == "Vertebra" for group in groups for site in group.finding_sites)
    assert any(name == "Attenuation Coefficient" for name, _, _ in _numbers(groups[0][0]))
    assert _children(report, "Derived Imaging Measurements") == []
    container = _children(report, "Qualitative Evaluations")[0]
    assert _children(container, "Conclusion")[0].ConceptCodeSequence[0].CodeMeaning == "Not reported"
    assert _texts(container, "Conclusion")[0].startswith("NO BAND REPORTED: LEVEL_UNCERTAIN")
    assert _texts(container, "Threshold and its source") == []
    assert _texts(container, "Recommendation") == []


def test_corrections_and_densities_stand_beside_the_measured_value(example: Example, tmp_path: Path) -> None:
    findings = example.findings
    assert findings.summary is not None
    correction = Correction(name="venous contrast", measured_hu=97.0, corrected_hu=75.2, source="Pompe 2015")
    roi = replace(findings.vertebrae[1].rois[0], vbmd_mg_cm3=101.26, vbmd_calibration="K2HPO4, phantom A")
    vertebra = replace(findings.vertebrae[1], rois=(roi,))
    summary = replace(findings.summary, corrections=(correction,))
    findings = replace(findings, vertebrae=(findings.vertebrae[0], vertebra), summary=summary)
    written = write_results(findings, example.headers, CONTEXT, tmp_path, ("sr",))
    report = hd.sr.srread(written.objects[0].path)
    derived = _children(report, "Derived Imaging Measurements")[0]
    assert [value for _, value, _ in _numbers(derived)] == ["97 [hnsf'U]", "75 [hnsf'U]"]
    assert "the band uses the measured value" in _texts(derived.ContentSequence[1], "Comment")[0]
    group = report.content.get_volumetric_roi_measurement_groups()[0][0]
    density = _children(group, "Volumetric bone mineral density by CT (not DXA)")[0]
    assert density.MeasuredValueSequence[0].NumericValue == 101
    assert _texts(density, "Comment") == ["vBMD 101 mg/cm3 (K2HPO4, phantom A)"]
