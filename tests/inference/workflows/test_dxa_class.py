"""The DXA workflow with a model: beside the device's values, alone, and where it may not or cannot run."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from inference.bundles import BundleSource, NetworkDefinition
from inference.dxa.options import DxaOptions
from inference.dxa.patient import NOT_OSTEOPOROSIS, OSTEOPOROSIS
from inference.errors import ReasonCode, WarningCode
from inference.findings import ClassAgreement, Findings, Outcome
from inference.reading import InstanceHeader, read_headers
from inference.workflows import WorkflowOptions, run_workflow
from tests.inference.dxa.made_classifier import spine_input, write_spine_classifier
from tests.inference.dxa.objects import ENHANCED_SR, container, level_item, report
from tests.inference.dxa.test_device_values import stored
from tests.inference.workflows.test_dxa import BMD, T, of_study
from tests.training.bundle_example import PUBLICATION, metadata
from tests.training.xray_patients import dxa
from training.export import export_bundle
from training.simulation.xray.dxa_dicom import AP_SPINE, write_dxa
from training.simulation.xray.dxa_dicom import DxaOptions as WriteOptions

pytestmark = pytest.mark.unit

SAYS_SICK, SAYS_WELL = (0.0, 2.0), (2.0, 0.0)


@pytest.fixture(scope="module")
def spine(tmp_path_factory: pytest.TempPathFactory) -> InstanceHeader:
    folder: Path = tmp_path_factory.mktemp("images")
    (header,), _ = read_headers([write_dxa(dxa("GE Lunar"), folder)[AP_SPINE]])
    return header


@pytest.fixture
def values(spine: InstanceHeader, tmp_path: Path) -> InstanceHeader:
    """The densitometer's report in the same study: L1-L3 at a T-score of -2.5."""
    content = container("AP Spine", [level_item(level, BMD[level], T[level]) for level in BMD])
    return of_study(stored(tmp_path, report(content), ENHANCED_SR, 7), spine)


def run(folder: Path, *headers: InstanceHeader, **options: Any) -> Findings:
    source = BundleSource(folder=folder, shipped=folder / "none", **{"allow_simulated": True, **options})
    return run_workflow("dxa", headers, WorkflowOptions(dxa=DxaOptions(bundles=source)))


def test_a_probability_alone_is_a_result_by_its_model(spine: InstanceHeader, tmp_path: Path) -> None:
    bundle = write_spine_classifier(tmp_path / "dxa-cnn21", SAYS_SICK)
    found = run(tmp_path, spine)
    assert (found.outcome, found.reason, found.warnings) == (Outcome.RESULT, None, ())
    assert found.density_class is not None
    assert found.density_class.level == "L1-L4"
    assert found.density_class.percentages == {NOT_OSTEOPOROSIS: 22, OSTEOPOROSIS: 78}, "2 over a temperature of 1.6"
    assert found.density_class.agreement is None
    assert found.models == (bundle.model_used,)
    assert found.models[0].trained_on == "simulated patients"
    assert found.dxa is not None
    assert found.dxa.device_sentence is None
    assert found.dxa.densitometer is not None
    assert found.dxa.densitometer.model_name == "Simulated densitometer (iDXA style)"
    assert 0 < found.timings_s["classification"] < found.timings_s["total"]


def test_the_devices_values_stay_the_result_and_a_contradiction_is_a_warning(
    spine: InstanceHeader, values: InstanceHeader, tmp_path: Path
) -> None:
    write_spine_classifier(tmp_path / "well" / "dxa-cnn21", SAYS_WELL)
    write_spine_classifier(tmp_path / "sick" / "dxa-cnn21", SAYS_SICK)
    against, agreeing = run(tmp_path / "well", spine, values), run(tmp_path / "sick", spine, values)
    for found, agreement in ((against, ClassAgreement.CONTRADICTS), (agreeing, ClassAgreement.AGREES)):
        assert found.dxa is not None
        assert found.dxa.patient is not None
        assert (found.dxa.patient.region, found.dxa.patient.t_score) == ("L1-L3", -2.5)
        assert found.density_class is not None
        assert found.density_class.agreement is agreement
    assert against.outcome is Outcome.RESULT_WITH_WARNINGS
    assert [notice.code for notice in against.warnings] == [WarningCode.CLASS_CONTRADICTS_DEVICE]
    assert (agreeing.outcome, agreeing.warnings) == (Outcome.RESULT, ())


def test_a_damaged_bundle_refuses_for_its_own_reason_but_never_the_devices_values(
    spine: InstanceHeader, values: InstanceHeader, tmp_path: Path
) -> None:
    bundle = write_spine_classifier(tmp_path / "b" / "dxa-cnn21", SAYS_SICK)
    bundle.weights_path.write_bytes(bundle.weights_path.read_bytes()[:-1])
    alone, beside = run(tmp_path / "b", spine), run(tmp_path / "b", spine, values)
    assert alone.reason is not None
    assert alone.reason.code is ReasonCode.BUNDLE_INVALID
    assert beside.outcome is Outcome.RESULT_WITH_WARNINGS
    assert [notice.code for notice in beside.warnings] == [WarningCode.CLASSIFIER_FAILED]
    assert beside.models == ()


def test_what_the_site_does_not_allow_is_told_in_one_line(spine: InstanceHeader, values: InstanceHeader, tmp_path: Path) -> None:
    bundle = write_spine_classifier(tmp_path / "dxa-cnn21", SAYS_SICK)
    alone, beside = run(tmp_path, spine, allow_simulated=False), run(tmp_path, spine, values, allow_simulated=False)
    assert alone.reason is not None
    assert alone.reason.code is ReasonCode.NO_TRAINED_MODEL
    assert "was trained on simulated patients, not on patients" in alone.reason.text
    assert (beside.outcome, beside.warnings, beside.models) == (Outcome.RESULT, (), ())
    assert beside.density_class is not None
    assert "was trained on simulated patients" in beside.density_class.because
    pinned = run(tmp_path, spine, pinned={"dxa-cnn21": "0" * 64})
    assert pinned.reason is not None
    assert pinned.reason.code is ReasonCode.BUNDLE_NOT_ALLOWED
    assert run(tmp_path, spine, pinned={"dxa-cnn21": bundle.sha256}).reason is None


def test_a_site_without_a_classifier_is_told_so(spine: InstanceHeader, values: InstanceHeader) -> None:
    options = WorkflowOptions(dxa=DxaOptions(classifier=None))
    alone, beside = (run_workflow("dxa", headers, options) for headers in ((spine,), (spine, values)))
    assert alone.reason is not None
    assert "no classifier of DXA images is configured" in alone.reason.text
    assert (beside.outcome, beside.density_class) == (Outcome.RESULT, None)


def test_values_without_an_image_say_that_none_could_be_read(values: InstanceHeader, spine: InstanceHeader, tmp_path: Path) -> None:
    write_spine_classifier(tmp_path / "dxa-cnn21", SAYS_SICK)
    hip = dataclasses.replace(spine, protocol_name="Left Femur", path=None, sop_instance_uid="2.25.5")
    found = run(tmp_path, hip, values)
    assert found.outcome is Outcome.RESULT
    assert found.density_class is not None
    assert found.density_class.because == "no image of the study can be used as an AP spine"
    assert run(tmp_path, hip).density_class is None


def test_a_page_whose_image_is_refused_never_reaches_the_model(tmp_path: Path) -> None:
    write_spine_classifier(tmp_path / "b" / "dxa-cnn21", SAYS_SICK)
    files = write_dxa(dxa("Hologic"), tmp_path / "images", WriteOptions(report_page=True))
    (page,), _ = read_headers([files["Report"]])
    found = run(tmp_path / "b", page)
    assert found.reason is not None
    assert found.reason.code is ReasonCode.REPORT_PAGE
    assert (found.models, found.density_class) == ((), None)


def test_the_crop_has_the_size_that_the_bundle_asks_for(spine: InstanceHeader, tmp_path: Path) -> None:
    network = NetworkDefinition(
        architecture="resnet18", arguments={"spatial_dims": 2, "n_input_channels": 1, "num_classes": 2, "widen_factor": 0.125}
    )
    osteon = metadata(
        name="dxa-cnn21",
        kind="classification",
        architecture="resnet18",
        input=spine_input(channels=1, patch_size=(96, 64)),
        classes=("normal", "osteoporosis"),
        trained_on="simulated_patients",
        metrics=(),
    )
    export_bundle(network.build().eval(), osteon, network, PUBLICATION, tmp_path / "dxa-cnn21")
    found = run(tmp_path, spine)
    assert found.reason is None
    assert found.dxa is not None
    assert found.dxa.used is not None
    assert found.dxa.used.roi is not None
    assert found.dxa.used.roi.image.shape == (96, 64)
