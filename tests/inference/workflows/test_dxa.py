"""The DXA workflow: the right image of a study, the others' reasons, and the device's own values."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from inference.errors import ReasonCode, WarningCode
from inference.findings import Findings, Outcome
from inference.reading import InstanceHeader, read_headers
from inference.who import BoneLabel
from inference.workflows import WorkflowOptions, run_workflow
from tests.inference.dxa.objects import ENHANCED_SR, container, level_item, report
from tests.inference.dxa.scans import regions
from tests.inference.dxa.test_device_values import stored
from tests.inference.headers import PLAIN
from tests.training.xray_patients import dxa
from training.simulation.xray.dxa_dicom import AP_SPINE, REPORT, DxaOptions, write_dxa

pytestmark = pytest.mark.unit

BMD = {"L1": 0.812, "L2": 0.86, "L3": 0.9, "L4": 1.21}
T = {"L1": -2.6, "L2": -2.5, "L3": -2.4, "L4": 0.3}


def image(**changes: Any) -> InstanceHeader:
    plain = dataclasses.replace(
        PLAIN, modality="CR", sop_class_uid="1.2.840.10008.5.1.4.1.1.1", body_part_examined="", series_description="", image_type=()
    )
    return dataclasses.replace(plain, **changes)


def run(*headers: InstanceHeader) -> Findings:
    """With the shipped bundles and a site that allows no simulated patients, as Osteon comes."""
    return run_workflow("dxa", headers, WorkflowOptions())


def of_study(header: InstanceHeader, study: InstanceHeader) -> InstanceHeader:
    """The same instance in another study of another patient."""
    names = ("study_instance_uid", "patient_id", "patient_name", "patient_birth_date", "patient_sex")
    return dataclasses.replace(header, **{name: getattr(study, name) for name in names})


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"protocol_name": "Left Femur"}, ReasonCode.WRONG_BODY_PART),
        ({"protocol_name": "Bilateral hip"}, ReasonCode.WRONG_BODY_PART),
        ({"performed_procedure_step_description": "LVA"}, ReasonCode.WRONG_BODY_PART),
        ({"protocol_name": "Left Ortho Knee"}, ReasonCode.WRONG_BODY_PART),
        ({"protocol_name": "Total Body"}, ReasonCode.WRONG_BODY_PART),
        ({"series_description": "Whole_Body composition"}, ReasonCode.WRONG_BODY_PART),
        ({"series_description": "TOTALBODY"}, ReasonCode.WRONG_BODY_PART),
        ({"protocol_name": "Left Forearm"}, ReasonCode.WRONG_BODY_PART),
        ({"protocol_name": "Lateral spine"}, ReasonCode.WRONG_BODY_PART),
        ({"series_description": "DXA report"}, ReasonCode.REPORT_PAGE),
        ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, ReasonCode.LOCALIZER),
        ({"patient_species": "Felis catus"}, ReasonCode.NOT_HUMAN),
        ({"presentation_intent_type": "FOR PROCESSING"}, ReasonCode.FOR_PROCESSING),
    ],
)
@pytest.mark.parametrize("modality", ["BMD", "OT", "CR", "DX", "SC"])
def test_headers_alone_refuse(changes: dict[str, Any], code: ReasonCode, modality: str) -> None:
    found = run(image(modality=modality, **changes))
    assert found.outcome is Outcome.REFUSED
    assert found.reason is not None
    assert found.reason.code is code
    assert [item.reason for item in found.skipped] == [found.reason]


@pytest.mark.parametrize("device", ["Hologic", "GE Lunar", "MEDIX"])
def test_the_spine_of_a_whole_export_is_used_and_every_other_image_has_its_reason(tmp_path: Path, device: str) -> None:
    files = write_dxa(dxa(device), tmp_path, DxaOptions(others=tuple(regions().values())))
    headers, unread = read_headers(files.values())
    assert unread == ()
    found = run(*headers)
    assert found.outcome is Outcome.REFUSED
    assert found.reason is not None
    assert found.reason.code is ReasonCode.NO_TRAINED_MODEL
    assert found.dxa is not None
    assert found.dxa.used is not None
    assert found.dxa.used.path == files[AP_SPINE]
    assert found.dxa.used.roi is not None
    assert found.dxa.used.roi.image.shape == (150, 150)
    assert {item.path for item in found.skipped} == {str(path) for name, path in files.items() if name != AP_SPINE}
    codes = {item.path: item.reason.code for item in found.skipped}
    if REPORT in files:
        assert codes[str(files[REPORT])] is ReasonCode.REPORT_PAGE
    assert codes[str(files["Left Femur"])] is ReasonCode.WRONG_BODY_PART
    assert found.dxa.device is None
    assert found.dxa.patient is None
    assert found.dxa.device_sentence is None
    assert found.timings_s["total"] > 0


def test_the_devices_own_values_are_a_result_marked_as_its_own(tmp_path: Path) -> None:
    files = write_dxa(dxa("GE Lunar"), tmp_path / "images")
    (spine,), _ = read_headers(files.values())
    content = container("AP Spine", [level_item(level, BMD[level], T[level]) for level in BMD])
    sr = of_study(stored(tmp_path, report(content), ENHANCED_SR, 7), spine)
    found = run(spine, sr)
    assert found.outcome is Outcome.RESULT
    assert found.reason is None
    assert found.skipped == ()
    assert found.models == ()
    assert found.dxa is not None
    assert found.dxa.patient is not None
    assert (found.dxa.patient.region, found.dxa.patient.t_score) == ("L1-L3", -2.5)
    assert found.dxa.patient.category is BoneLabel.OSTEOPOROSIS
    assert [item.used for item in found.dxa.patient.levels] == [True, True, True, False]
    assert found.dxa.used is not None
    sentence = found.dxa.device_sentence
    assert sentence == (
        "L1-L3: BMD 0.857 g/cm2, T-score -2.5 (osteoporosis by the WHO's limits); "
        "measured by GE Healthcare Lunar iDXA, not estimated by Osteon"
    )


def test_values_of_one_level_are_told_but_are_no_result(tmp_path: Path) -> None:
    (spine,), _ = read_headers(write_dxa(dxa("GE Lunar"), tmp_path / "images").values())
    sr = of_study(stored(tmp_path, report(container("AP Spine", [level_item("L2", 0.9, -1.2)])), ENHANCED_SR, 7), spine)
    found = run(spine, sr)
    assert found.reason is not None
    assert found.reason.code is ReasonCode.NO_TRAINED_MODEL
    assert found.dxa is not None
    assert found.dxa.device is not None
    assert found.dxa.patient is not None
    assert found.dxa.patient.region is None


def test_a_report_without_values_is_skipped_as_no_image(tmp_path: Path) -> None:
    (spine,), _ = read_headers(write_dxa(dxa("GE Lunar"), tmp_path / "images").values())
    sr = of_study(stored(tmp_path, report(container("Left Femur", [level_item("Neck", 0.7, -2.0)])), ENHANCED_SR, 7), spine)
    found = run(spine, sr)
    assert [item.reason.code for item in found.skipped] == [ReasonCode.NOT_AN_IMAGE]


def test_of_two_spines_the_finer_one_is_used(tmp_path: Path) -> None:
    fine, _ = read_headers(write_dxa(dxa("GE Lunar"), tmp_path / "fine").values())
    coarse, _ = read_headers(write_dxa(dxa("MEDIX"), tmp_path / "coarse", DxaOptions(report_page=False)).values())
    found = run(of_study(coarse[0], fine[0]), fine[0])
    assert found.dxa is not None
    assert found.dxa.used is not None
    assert found.dxa.used.sop_instance_uid == fine[0].sop_instance_uid
    assert [item.reason.code for item in found.skipped] == [ReasonCode.OTHER_SERIES_PREFERRED]


def test_a_spine_that_cannot_be_read_gives_the_studys_reason() -> None:
    found = run(image(protocol_name="Left Femur", sop_instance_uid="1.2.9"), image(protocol_name="AP Spine"))
    assert found.reason is not None
    assert found.reason.code is ReasonCode.UNREADABLE_PIXELS


def test_a_study_of_documents_alone_has_no_image() -> None:
    found = run(image(sop_class_uid=ENHANCED_SR, modality="SR"))
    assert found.reason is not None
    assert found.reason.code is ReasonCode.NO_SUITABLE_SERIES


def test_identity_comes_first_and_what_is_missing_is_a_warning() -> None:
    found = run(image(protocol_name="AP Spine"), image(patient_id="SOMEBODY ELSE"))
    assert found.reason is not None
    assert found.reason.code is ReasonCode.IDENTITY_CONFLICT
    incomplete = run(image(patient_id="", protocol_name="LVA"))
    assert [notice.code for notice in incomplete.warnings] == [WarningCode.IDENTITY_INCOMPLETE]
