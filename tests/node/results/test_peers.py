"""Other people's programs read the results without complaint: dicom3tools, DCMTK, dcmqi, and the tables of PS3.3."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813 - the name that SimpleITK's own documentation uses

from inference.findings import Correction
from node.results import ResultObject, WrittenResults, write_results
from tests.node.results.complaints import new_complaints, run_peer
from tests.node.results.example import CONTEXT, Example, level_uncertain, refused, with_density_class, with_experts, with_second_reader
from tests.node.results.iodcheck import iod_problems
from tests.peers.tools import require_peer

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def every_object(example: Example, written: WrittenResults, tmp_path_factory: pytest.TempPathFactory) -> tuple[ResultObject, ...]:
    """All kinds of a result, of a refusal with bodies, of a plain refusal, and of a result with corrections and densities."""
    findings = example.findings
    assert findings.summary is not None
    roi = replace(findings.vertebrae[1].rois[0], vbmd_mg_cm3=101.26, vbmd_calibration="K2HPO4, phantom A")
    correction = Correction(name="venous contrast", measured_hu=97.0, corrected_hu=75.2, source="Pompe 2015")
    calibrated = replace(
        findings,
        vertebrae=(
            findings.vertebrae[0],
            replace(findings.vertebrae[1], rois=(roi,)),
            replace(findings.vertebrae[2], rois=(), heights=None),
        ),
        summary=replace(findings.summary, corrections=(correction,)),
    )
    objects = list(written.objects)
    variants = {
        "unnamed": level_uncertain(findings),
        "refused": refused(findings),
        "calibrated": calibrated,
        "second reader": with_second_reader(example),
        "density class": with_density_class(with_second_reader(example)),
        "experts": with_experts(with_density_class(with_second_reader(example))),
    }
    for name, variant in variants.items():
        folder = tmp_path_factory.mktemp(name)
        objects += write_results(variant, example.headers, CONTEXT, folder, ("seg", "sr", "text", "picture")).objects
    assert len(objects) == 25
    return tuple(objects)


def test_dciodvfy_has_no_new_complaint(every_object: tuple[ResultObject, ...]) -> None:
    require_peer("dciodvfy")
    for result in every_object:
        assert new_complaints(result.path) == [], result


def test_dcmtk_reads_every_report(every_object: tuple[ResultObject, ...]) -> None:
    require_peer("dsrdump")
    reports = [result for result in every_object if result.kind in ("sr", "text")]
    assert len(reports) == 13
    for result in reports:
        done = run_peer("dsrdump", "-Ee", "+Pl", str(result.path))
        assert done.returncode == 0, done.stderr
        assert "UNVERIFIED" in done.stdout
    first = run_peer("dsrdump", "+Pl", str(reports[1].path)).stdout
    assert "L1: 97 HU - LOW ATTENUATION" in first


def test_no_mandatory_attribute_is_missing_and_none_is_astray(every_object: tuple[ResultObject, ...]) -> None:
    for result in every_object:
        assert iod_problems(pydicom.dcmread(result.path)) == [], result


def test_the_iod_check_notices_a_missing_an_empty_and_a_stray_attribute(written: WrittenResults) -> None:
    dataset = pydicom.dcmread(written.objects[1].path)
    del dataset.CompletionFlag
    dataset.Modality = ""
    dataset.KVP = "120"
    problems = iod_problems(dataset)
    assert any("CompletionFlag is missing" in problem for problem in problems)
    assert any("type 1 Modality is empty" in problem for problem in problems)
    assert "in no module: KVP" in problems


def test_dcmqi_reads_the_report(written: WrittenResults, tmp_path: Path) -> None:
    require_peer("tid1500reader")
    out = tmp_path / "report.json"
    done = run_peer("tid1500reader", "--inputDICOM", str(written.objects[1].path), "--outputMetadata", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    groups = json.loads(out.read_text())["Measurements"]
    numbered = {group["TrackingIdentifier"]: group for group in groups if group.get("measurementItems")}
    assert set(numbered) == {"T12, excluded", "L1", "L2"}
    first = numbered["L1"]["measurementItems"][0]
    assert (first["value"], first["units"]["CodeValue"]) == ("97", "[hnsf'U]")
    assert numbered["L1"]["ReferencedSegment"] == 2
    algorithm = numbered["L1"]["measurementAlgorithmIdentification"]
    assert CONTEXT.config_sha256 in algorithm["AlgorithmParameters"][0]


def test_dcmqi_reads_the_second_readers_numbers(example: Example, tmp_path: Path) -> None:
    require_peer("tid1500reader")
    out = tmp_path / "report.json"
    (report,) = write_results(with_second_reader(example), example.headers, CONTEXT, tmp_path, ("sr",)).objects
    done = run_peer("tid1500reader", "--inputDICOM", str(report.path), "--outputMetadata", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    groups = {group["TrackingIdentifier"]: group for group in json.loads(out.read_text())["Measurements"] if group.get("measurementItems")}
    items = {item["quantity"]["CodeValue"]: (item["value"], item["units"]["CodeValue"]) for item in groups["L1"]["measurementItems"]}
    assert items["second-dice"] == ("0.83", "{ratio}")
    assert items["second-diff"] == ("-2", "[hnsf'U]")
    levels = {
        name: item["conceptValue"]["CodeMeaning"]
        for name, group in groups.items()
        for item in group["qualitativeEvaluations"]
        if item["conceptCode"]["CodeValue"] == "second-level"
    }
    assert levels == {"L1": "L1 vertebra", "T12, excluded": "No body seen here", "L2": "Level not named"}


def test_dcmqi_reads_what_the_experts_predict(example: Example, tmp_path: Path) -> None:
    require_peer("tid1500reader")
    out = tmp_path / "report.json"
    (report,) = write_results(with_experts(with_density_class(example.findings)), example.headers, CONTEXT, tmp_path, ("sr",)).objects
    done = run_peer("tid1500reader", "--inputDICOM", str(report.path), "--outputMetadata", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    groups = {group["TrackingIdentifier"]: group for group in json.loads(out.read_text())["Measurements"] if group.get("measurementItems")}
    predicted = {
        name: {
            item["quantity"]["CodeValue"]: (item["value"], item["units"]["CodeValue"], item["derivationModifier"]["CodeMeaning"])
            for item in group["measurementItems"]
            if item["quantity"]["CodeValue"].startswith("vx-")
        }
        for name, group in groups.items()
    }
    assert predicted == {
        "L1": {"vx-bmd": ("0.81", "g/cm2", "Estimated"), "vx-osteoporosis": ("30", "%", "Estimated")},
        "L2": {"vx-bmd": ("0.74", "g/cm2", "Estimated"), "vx-osteoporosis": ("61", "%", "Estimated")},
        "T12, excluded": {},
    }


def test_dcmqi_puts_every_segment_where_the_body_is(example: Example, written: WrittenResults, tmp_path: Path) -> None:
    require_peer("segimage2itkimage")
    done = run_peer("segimage2itkimage", "--inputDICOM", str(written.objects[0].path), "--outputDirectory", str(tmp_path), "-t", "nrrd")
    assert done.returncode == 0, done.stdout + done.stderr
    images = example.findings.images
    assert images is not None
    volume = images.volume
    masks = {1: images.bodies == 1, 2: images.bodies == 2, 5: images.core == 2, 9: images.ellipse == 3}
    for number, mask in masks.items():
        segment = sitk.ReadImage(str(tmp_path / f"{number}.nrrd"))
        array = sitk.GetArrayFromImage(segment) > 0
        assert array.sum() == mask.sum()
        points = np.array([segment.TransformIndexToPhysicalPoint([int(i) for i in index[::-1]]) for index in np.argwhere(array)])
        back = np.rint(volume.to_indices(points)).astype(int)
        assert mask[tuple(back.T)].all(), number
