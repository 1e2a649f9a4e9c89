"""A densitometry study with a model, in every object: whose each number is, where it was read, and what the model learned from."""

import dataclasses
from io import StringIO
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from rich.console import Console

from inference.bundles import BundleSource
from inference.dxa.options import DxaOptions
from inference.findings import Findings
from inference.reading import InstanceHeader, find_files, read_headers
from inference.workflows import WorkflowOptions, run_workflow
from node.console import density_class_line, outcome_line, print_report
from node.report import Json, study_report
from node.results import WrittenResults, write_results
from node.results.density_class import density_class_lines
from node.results.headline import headline
from node.results.page_dxa import crop_view, draw_dxa_page, scan_view
from node.results.page_text import Block
from node.routing import Decision
from tests.inference.dxa.made_classifier import write_spine_classifier
from tests.inference.dxa.scans import bordered, printed
from tests.node.results.complaints import new_complaints, run_peer
from tests.node.results.example import CONTEXT
from tests.node.results.iodcheck import iod_problems
from tests.node.results.test_density_class import code, items, texts
from tests.node.results.test_dxa_results import with_report
from tests.peers.tools import require_peer
from tests.training.xray_patients import dxa
from training.simulation.xray.dxa_dicom import AP_SPINE, write_dxa

pytestmark = pytest.mark.unit

TRAINED = "model trained on simulated patients"
KINDS = ("seg", "sr", "text", "picture")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """One study, what was found, and its objects."""

    headers: tuple[InstanceHeader, ...]
    findings: Findings
    written: WrittenResults

    def object(self, kind: str) -> Dataset:
        return pydicom.dcmread(next(item.path for item in self.written.objects if item.kind == kind))


def found_in(folder: Path, bundles: Path, *, allowed: bool = True) -> tuple[tuple[InstanceHeader, ...], Findings]:
    headers, _ = read_headers(find_files([folder]))
    options = DxaOptions(bundles=BundleSource(folder=bundles, shipped=bundles / "none", allow_simulated=allowed))
    return headers, run_workflow("dxa", headers, WorkflowOptions(dxa=options))


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site's folder with a classifier that gives everybody 22 % and 78 %."""
    folder: Path = tmp_path_factory.mktemp("site")
    write_spine_classifier(folder / "dxa-cnn21", (0.0, 2.0))
    return folder


@pytest.fixture(scope="module")
def beside(bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The device's structured report says L1-L3 -2.5, L4 excluded; the model agrees."""
    folder: Path = tmp_path_factory.mktemp("beside")
    headers, findings = found_in(with_report(folder / "in"), bundles)
    return Study(headers=headers, findings=findings, written=write_results(findings, headers, CONTEXT, folder / "out", KINDS))


@pytest.fixture(scope="module")
def alone(bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A Secondary Capture and its report page, and no value of the device."""
    folder: Path = tmp_path_factory.mktemp("alone")
    write_dxa(dxa("Hologic"), folder / "in")
    headers, findings = found_in(folder / "in", bundles)
    return Study(headers=headers, findings=findings, written=write_results(findings, headers, CONTEXT, folder / "out", KINDS))


def json_of(findings: Findings) -> Json:
    decision = Decision(study_instance_uid="1", route="dxa", workflow="dxa", destinations=(), on_refusal="none", considered=(), reason=None)
    return study_report(findings, decision, ())


def numbers(report: Dataset) -> list[tuple[str, str, str, str]]:
    """(code, value, unit, finding site) of every NUM below the derived measurements."""
    (derived,) = [item for item in report.ContentSequence if code(item) == "126011"]
    found = []
    for item in derived.ContentSequence:
        value = item.MeasuredValueSequence[0]
        (site,) = [child for child in item.ContentSequence if code(child) == "363698007"]
        unit = value.MeasurementUnitsCodeSequence[0].CodeValue
        found.append((code(item), str(value.NumericValue), unit, site.ConceptCodeSequence[0].CodeMeaning))
    return found


def outlines(report: Dataset) -> dict[str, np.ndarray]:
    """Corner points by tracking identifier."""
    content = hd.sr.Comprehensive3DSR.from_dataset(report).content
    return {group.tracking_identifier: group.roi.value for group in content.get_planar_roi_measurement_groups()}


def test_all_kinds_but_the_segmentation_are_written(beside: Study, alone: Study) -> None:
    for study in (beside, alone):
        assert [item.kind for item in study.written.objects] == ["sr", "text", "picture"]
        assert study.written.picture_png is not None


def test_the_box_and_every_level_lie_on_the_image_that_was_used(beside: Study) -> None:
    assert beside.findings.dxa is not None
    used = beside.findings.dxa.used
    assert used is not None
    assert used.roi is not None
    report = beside.object("sr")
    found = outlines(report)
    assert list(found) == [f"L1-L4, read by a {TRAINED}", "L1", "L2", "L3", "L4"]
    top, left, bottom, right = used.roi.box
    box = found[f"L1-L4, read by a {TRAINED}"]
    assert np.array_equal(box[0], box[-1])
    assert (box[:, 0].min(), box[:, 1].min(), box[:, 0].max(), box[:, 1].max()) == (left, top, right, bottom)
    for number, level in enumerate(("L1", "L2", "L3", "L4")):
        assert found[level][:, 1].min() == pytest.approx(used.roi.discs[number] + 0.5)
        assert found[level][:, 1].max() == pytest.approx(used.roi.discs[number + 1] + 0.5)
    groups = [item for item in items(report) if code(item) == "125007"]
    sources = {
        child.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in groups
        for child in items(item)
        if "ReferencedSOPSequence" in child
    }
    assert sources == {used.sop_instance_uid}
    assert not [child for item in groups for child in items(item) if child.get("ValueType") == "NUM"], "viewers print them over the image"


def test_the_devices_numbers_come_first_and_are_told_from_the_models(beside: Study) -> None:
    assert numbers(beside.object("sr")) == [
        ("dev-bmd", "0.857", "g/cm2", "Lumbar spine"),
        ("dev-t", "-2.5", "{T-score}", "Lumbar spine"),
        ("dev-bmd", "0.812", "g/cm2", "L1 vertebra"),
        ("dev-t", "-2.6", "{T-score}", "L1 vertebra"),
        ("dev-bmd", "0.860", "g/cm2", "L2 vertebra"),
        ("dev-t", "-2.5", "{T-score}", "L2 vertebra"),
        ("dev-bmd", "0.900", "g/cm2", "L3 vertebra"),
        ("dev-t", "-2.4", "{T-score}", "L3 vertebra"),
        ("dev-bmd", "1.210", "g/cm2", "L4 vertebra"),
        ("dev-t", "0.3", "{T-score}", "L4 vertebra"),
        ("dcp-other", "22", "%", "Lumbar spine"),
        ("dcp-osteoporosis", "78", "%", "Lumbar spine"),
    ]
    carrying = [item for item in items(beside.object("sr")) if item.get("ValueType") == "NUM"]
    for item in carrying[2:]:
        if code(item).startswith("dev-"):
            assert any(line.startswith("Measured by GE Healthcare Lunar iDXA, not estimated by Osteon") for line in texts(item))
        elif code(item).startswith("dcp-"):
            assert TRAINED in texts(item)
            assert "dxa-cnn21" in texts(item)
    outlier = next(item for item in carrying if code(item) == "dev-t" and item.MeasuredValueSequence[0].NumericValue == 0.3)
    assert any(line.startswith("L4: not used: OUTLIER: ") for line in texts(outlier))
    mean = next(item for item in carrying if code(item) == "dev-t")
    assert [child.ConceptCodeSequence[0].CodeMeaning for child in mean.ContentSequence if code(child) == "121401"] == ["Mean"]


def test_a_prediction_alone_concludes_nothing_of_the_device(alone: Study) -> None:
    report = alone.object("sr")
    assert [row[0] for row in numbers(report)] == ["dcp-other", "dcp-osteoporosis"]
    (group, *_) = [item for item in items(report) if code(item) == "125007"]
    classes = {code(item): item.ConceptCodeSequence[0].CodeValue for item in group.ContentSequence if item.ValueType == "CODE"}
    assert classes["dc-predicted"] == "dc-osteoporosis"
    assert "dc-device" not in classes
    conclusions = [item for item in items(report) if code(item) == "121077" and item.ValueType == "CODE"]
    assert [item.ConceptCodeSequence[0].CodeValue for item in conclusions] == ["dev-none"]
    procedure = next(item for item in report.ContentSequence if code(item) == "121058")
    assert procedure.ConceptCodeSequence[0].CodeValue == "241686001"
    assert any(
        "OSTEOPOROSIS 78 % - PREDICTED BY A MODEL. Probability by a model trained on simulated patients" in line for line in texts(report)
    )


def test_how_the_class_stands_to_the_device_is_coded(beside: Study) -> None:
    (group, *_) = [item for item in items(beside.object("sr")) if code(item) == "125007"]
    classes = {code(item): item.ConceptCodeSequence[0].CodeValue for item in group.ContentSequence if item.ValueType == "CODE"}
    assert (classes["dc-predicted"], classes["dc-device"]) == ("dc-osteoporosis", "dc-agrees")
    evidence = {instance for _, _, instance, _ in hd.sr.Comprehensive3DSR.from_dataset(beside.object("sr")).get_evidence()}
    assert evidence == {header.sop_instance_uid for header in beside.headers}, "the image and the device's own report"


def test_every_object_says_what_the_model_learned_from(beside: Study, alone: Study) -> None:
    for study in (beside, alone):
        sha256 = study.findings.models[0].sha256
        for item in study.written.objects:
            dataset = pydicom.dcmread(item.path)
            made = {part.ManufacturerModelName: part for part in dataset.ContributingEquipmentSequence}["dxa-cnn21"]
            assert (made.DeviceSerialNumber, made.ContributionDescription.endswith("Trained on: simulated patients")) == (sha256, True)
            assert "does not replace DXA" in dataset.SeriesDescription
        for kind in ("sr", "text"):
            said = texts(study.object(kind))
            assert density_class_lines(study.findings)[0] in said
            assert all(TRAINED in line or "trained on" in line for line in said if "78 %" in line)
            assert any(sha256 in line for line in said)
        picture = study.object("picture")
        assert picture.ImageComments.endswith(f"Class probabilities: {TRAINED}.")
        assert picture.DerivationDescription == "Page drawn from a DXA image by Osteon"
        assert "BurnedInAnnotation" not in picture


def test_the_line_says_how_it_stands_to_the_device_and_that_it_is_none(beside: Study, alone: Study) -> None:
    first = (
        "Predicted from the image of L1-L4: OSTEOPOROSIS - not osteoporosis 22 %, osteoporosis 78 % (model trained on simulated patients). "
    )
    last = (
        "By dxa-cnn21 1.0.0, read from the crop of L1 to L4 (150 x 150 pixels), calibrated on validation cases (temperature 1.60). "
        "A prediction: no bone density and no T-score, and it changes no value of the device."
    )
    assert density_class_lines(beside.findings) == [f"{first}Agrees with the densitometer's own T-score of L1-L3 (-2.5). {last}"]
    assert density_class_lines(alone.findings) == [f"{first}The densitometer states no T-score to compare with. {last}"]
    assert headline(beside.findings).title == "VALUES OF THE DENSITOMETER"
    assert headline(alone.findings).title == "OSTEOPOROSIS 78 % - PREDICTED BY A MODEL"


def test_json_and_console_keep_device_and_model_apart(beside: Study, alone: Study) -> None:
    report = json_of(beside.findings)
    by = "model dxa-cnn21 1.0.0, trained on simulated patients"
    estimate = {"level": "L1-L4", "bmd_g_cm2": None, "t_score": None, "probability_osteoporosis": 0.78, "by": by}
    assert report["estimates"] == [estimate]
    assert report["density_class"]["probabilities"] == {"not_osteoporosis": 0.22, "osteoporosis": 0.78}
    assert report["density_class"]["device_agreement"] == "agrees"
    assert report["dxa"]["device_values"]["t_score"] == -2.5
    assert report["dxa"]["densitometer"]["software_versions"] == ["1"]
    assert outcome_line(report) == "L1-L3 by the densitometer: BMD 0.857 g/cm2, T-score -2.5, osteoporosis \\[result]"
    report["dxa"]["device_values"]["bmd_g_cm2"] = None
    assert outcome_line(report) == "L1-L3 by the densitometer: T-score -2.5, osteoporosis \\[result]"
    shares = "not osteoporosis 22 %, osteoporosis 78 %; dxa-cnn21, trained on simulated patients"
    assert density_class_line(report["density_class"]) == f"osteoporosis, agrees with the densitometer ({shares})"
    only = json_of(alone.findings)
    assert outcome_line(only) == f"L1-L4 osteoporosis 78 %, predicted by {by} \\[result]"
    assert "nothing of the densitometer to compare with" in density_class_line(only["density_class"])
    stream = StringIO()
    print_report(Console(file=stream, width=400), only)
    assert "device: Osteon simulation Simulated densitometer (APEX style), software 1" in stream.getvalue()


def test_a_study_without_its_model_says_why_beside_the_devices_values(bundles: Path, beside: Study, tmp_path: Path) -> None:
    headers = beside.headers
    options = DxaOptions(bundles=BundleSource(folder=bundles, shipped=bundles / "none"))
    findings = run_workflow("dxa", headers, WorkflowOptions(dxa=options))
    written = write_results(findings, headers, CONTEXT, tmp_path, KINDS)
    assert [item.kind for item in written.objects] == ["sr", "text", "picture"]
    why = "No probability of osteoporosis is predicted: dxa-cnn21 1.0.0 was trained on simulated patients, not on patients"
    for item in written.objects[:2]:
        said = texts(pydicom.dcmread(item.path))
        assert [line for line in said if line.startswith(why)]
        assert not [line for line in said if "78 %" in line]
    report = pydicom.dcmread(written.objects[0].path)
    assert next(iter(outlines(report))) == "L1-L4, read by no model"
    assert {row[0] for row in numbers(report)} == {"dev-bmd", "dev-t"}
    assert {item.sop_instance_uid for item in written.objects}.isdisjoint(item.sop_instance_uid for item in beside.written.objects)


def test_the_same_study_gives_the_same_objects(beside: Study, tmp_path: Path) -> None:
    again = write_results(beside.findings, beside.headers, CONTEXT, tmp_path, KINDS)
    assert [item.sop_instance_uid for item in again.objects] == [item.sop_instance_uid for item in beside.written.objects]


def test_doubted_levels_are_marked_on_the_image(beside: Study, tmp_path: Path) -> None:
    dxa_findings = beside.findings.dxa
    assert dxa_findings is not None
    assert dxa_findings.used is not None
    assert dxa_findings.used.roi is not None
    used = dataclasses.replace(dxa_findings.used, roi=dataclasses.replace(dxa_findings.used.roi, levels_certain=False))
    doubted = dataclasses.replace(beside.findings, dxa=dataclasses.replace(dxa_findings, images=(used,)))
    (result,) = write_results(doubted, beside.headers, CONTEXT, tmp_path, ("sr",)).objects
    report = pydicom.dcmread(result.path)
    assert list(outlines(report))[1:] == ["L1?", "L2?", "L3?", "L4?"]
    sites = [
        child.ConceptCodeSequence[0].CodeMeaning
        for item in items(report)
        if code(item) == "125007"
        for child in item.ContentSequence
        if code(child) == "363698007"
    ]
    assert sites == ["Lumbar spine", *["Vertebra"] * 4]


def test_the_page_shows_scan_box_and_crop(beside: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    assert beside.findings.dxa is not None
    used = beside.findings.dxa.used
    assert used is not None
    assert used.roi is not None
    assert used.scan is not None
    rows, columns = used.scan.shape
    shown = np.asarray(scan_view(used.scan, used.roi, (2 * columns, 2 * rows)))
    assert shown.shape == (2 * rows, 2 * columns)
    top, left, bottom, right = (2 * edge for edge in used.roi.box)
    assert (shown[top + 1, left + 10 : right - 10] == 255).all(), "the box's upper edge"
    assert (shown[top + 10 : bottom - 10, left + 1] == 255).all()
    for disc in used.roi.discs:
        row = round(2 * (disc + 0.5))
        assert (shown[row - 2 : row + 3, left + 10 : right - 10].max(axis=0) == 255).all()
    crop = np.asarray(crop_view(used.roi, (300, 400)))
    assert crop.shape == (300, 300)
    assert np.array_equal(crop[::2, ::2], np.rint(used.roi.image * 255).astype(np.uint8))
    said: list[str] = []
    draw = Block.draw
    monkeypatch.setattr(Block, "draw", lambda self, page, x, y: said.extend(t for t, _, _ in self.lines) or draw(self, page, x, y))
    first, second = draw_dxa_page(beside.findings, CONTEXT), draw_dxa_page(beside.findings, CONTEXT)
    assert first.tobytes() == second.tobytes()
    text = " ".join(said)
    assert density_class_lines(beside.findings)[0] in text
    assert f"read by a {TRAINED}" in text
    assert "L4 (device): BMD 1.210 g/cm2, T-score 0.3; not used" in text
    assert "Protocol Name" not in text, "free text of the header may name a person"


def test_print_on_the_scan_is_not_on_the_page(bundles: Path, tmp_path: Path) -> None:
    path = write_dxa(dxa("GE Lunar"), tmp_path / "in")[AP_SPINE]
    dataset: Any = pydicom.dcmread(path)
    plain = bordered("GE Lunar")
    marked = printed(plain, "DOE JANE\n1950-01-02", (4, 4), size=12, fill=255)
    dataset.PixelData = np.ascontiguousarray(marked[:, : dataset.Columns]).tobytes()
    dataset.save_as(path)
    _, findings = found_in(tmp_path / "in", bundles)
    assert findings.dxa is not None
    assert findings.dxa.used is not None
    assert findings.dxa.used.scan is not None
    letters = (marked != plain)[:, : dataset.Columns]
    assert letters.sum() > 100
    assert not findings.dxa.used.scan[letters].any()


def test_other_peoples_programs_read_every_object(beside: Study, alone: Study) -> None:
    require_peer("dciodvfy")
    require_peer("dsrdump")
    for item in (*beside.written.objects, *alone.written.objects):
        assert iod_problems(pydicom.dcmread(item.path)) == []
        assert new_complaints(item.path) == [], item
        if item.kind != "picture":
            assert run_peer("dsrdump", "-Ee", str(item.path)).returncode == 0
