"""What every object says of a predicted density class, and that its model was trained on simulated patients."""

import io
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import pydicom
import pytest
from pydicom.dataset import Dataset
from rich.console import Console

from inference.errors import WarningCode
from inference.findings import Findings, Notice
from node.console import print_report
from node.report import study_report
from node.results import WrittenResults, write_results
from node.results.density_class import density_class_lines, simulated_notice
from node.results.page_text import Block
from node.results.picture import draw_page
from node.routing import Decision
from tests.node.results.example import (
    CLASS_MODEL,
    CONTEXT,
    Example,
    refused,
    with_density_class,
    with_second_reader,
    without_density_class,
)

pytestmark = pytest.mark.unit

TRAINED = "model trained on simulated patients"
LINE = (
    "Predicted density class of L1: OSTEOPOROSIS - normal 12 %, osteopenia 22 %, osteoporosis 66 % (model trained on simulated patients)."
    " Agrees with the measured attenuation (low)."
    " By medconv 1.0.0, read from the body of L1 and 2 mm around it, in a box of 64 x 64 x 64 mm."
    " A prediction, not a DXA result; it changes no measurement."
)
NONE = "No density class is predicted: there is no bundle 'medconv'."
PROBABILITIES = {
    "dcp-normal": ("12", "Probability of class normal, predicted by a model"),
    "dcp-osteopenia": ("22", "Probability of class osteopenia, predicted by a model"),
    "dcp-osteoporosis": ("66", "Probability of class osteoporosis, predicted by a model"),
}


@pytest.fixture(scope="module")
def findings(example: Example) -> Findings:
    return with_density_class(with_second_reader(example))


@pytest.fixture(scope="module")
def predicted(findings: Findings, example: Example, tmp_path_factory: pytest.TempPathFactory) -> WrittenResults:
    out: Path = tmp_path_factory.mktemp("predicted")
    return write_results(findings, example.headers, CONTEXT, out, ("seg", "sr", "text", "picture"))


def report_of(findings: Findings) -> dict[str, object]:
    decision = Decision(
        study_instance_uid=findings.study_instance_uid,
        route="ct",
        workflow="ct",
        destinations=(),
        on_refusal="none",
        considered=(),
        reason=None,
    )
    return study_report(findings, decision, ())


def said_on_page(findings: Findings, monkeypatch: pytest.MonkeyPatch) -> str:
    said: list[str] = []
    draw = Block.draw
    monkeypatch.setattr(Block, "draw", lambda self, page, x, y: said.extend(t for t, _, _ in self.lines) or draw(self, page, x, y))
    draw_page(findings, CONTEXT)
    return " ".join(said)


def texts(item: Dataset) -> list[str]:
    """Every text below a content item."""
    own = [item.TextValue] if item.get("ValueType") == "TEXT" else []
    return own + [text for child in item.get("ContentSequence", []) for text in texts(child)]


def items(item: Dataset) -> list[Dataset]:
    """A content item and all below it."""
    return [item, *(below for child in item.get("ContentSequence", []) for below in items(child))]


def code(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue) if "ConceptNameCodeSequence" in item else ""


def test_the_line_has_whole_percents_the_training_beside_them_and_the_agreement(example: Example) -> None:
    assert density_class_lines(with_density_class(example.findings)) == [LINE]
    apart = density_class_lines(with_density_class(example.findings, predicted="osteopenia"))[0]
    assert (
        "OSTEOPENIA - normal 12 %, osteopenia 66 %, osteoporosis 22 % (model trained on simulated patients). One step apart from the"
        in apart
    )
    against = density_class_lines(with_density_class(example.findings, predicted="normal"))[0]
    assert "NORMAL - normal 66 %" in against
    assert "CONTRADICTS the measured attenuation (low)." in against
    real = density_class_lines(with_density_class(example.findings, trained_on="patients"))[0]
    assert "66 % (model trained on patients)" in real
    assert "simulated" not in real


def test_a_study_without_a_class_says_why_once(example: Example) -> None:
    assert density_class_lines(example.findings) == [], "no classifier is configured"
    none = without_density_class(example.findings)
    assert density_class_lines(none) == [NONE]
    assert density_class_lines(refused(none)) == []
    failed = Notice(code=WarningCode.CLASSIFIER_FAILED, text="The density classifier gave no answer (damaged).")
    assert density_class_lines(replace(none, warnings=(failed,))) == []


def test_the_json_has_class_probabilities_and_model(findings: Findings) -> None:
    report = report_of(findings)
    shares = {"normal": 0.12, "osteopenia": 0.22, "osteoporosis": 0.66}
    assert report["summary"] == {
        **report["summary"],
        "attenuation_hu": 97.0,
        "t_score": None,
        "who_category": "osteoporosis",
        "who_category_by": "model medconv 1.0.0, trained on simulated patients",
        "probabilities": shares,
    }
    model = {"name": "medconv", "version": "1.0.0", "sha256": CLASS_MODEL.sha256, "trained_on": "simulated patients"}
    assert report["density_class"] == {
        "level": "L1",
        "predicted": "osteoporosis",
        "probabilities": shares,
        "band_agreement": "agrees",
        "model": model,
        "because": "read from the body of L1 and 2 mm around it, in a box of 64 x 64 x 64 mm",
    }
    assert report["models"][-1] == model
    assert [item["name"] for item in report["models"]] == ["classical", "vertebrae", "medconv"]


def test_the_json_says_why_there_is_no_class(example: Example) -> None:
    report = report_of(without_density_class(example.findings))
    empty = dict.fromkeys(("who_category", "who_category_by", "probabilities", "t_score"))
    assert report["summary"] == {**report["summary"], **empty}
    assert report["density_class"] == {
        **dict.fromkeys(("predicted", "probabilities", "band_agreement", "model")),
        "level": "L1",
        "because": "there is no bundle 'medconv'",
    }
    assert report_of(example.findings)["density_class"] is None
    assert [item["name"] for item in report["models"]] == ["classical"]


def test_the_console_prints_it(findings: Findings, example: Example) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=300)
    print_report(console, report_of(findings))
    print_report(console, report_of(without_density_class(example.findings)))
    shares = "normal 12 %, osteopenia 22 %, osteoporosis 66 %"
    assert f"density class: osteoporosis, agrees with the band ({shares}; medconv, trained on simulated patients)" in stream.getvalue()
    assert "density class: none: there is no bundle 'medconv'" in stream.getvalue()


def test_the_report_reads_back_with_the_class_at_its_level_alone(predicted: WrittenResults) -> None:
    report = hd.sr.srread(predicted.objects[1].path)
    for group in report.content.get_volumetric_roi_measurement_groups():
        numbers = {code(item): item for item in group[0].ContentSequence if code(item).startswith("dcp-")}
        classes = {code(item): item for item in group[0].ContentSequence if code(item) in ("dc-predicted", "dc-agreement")}
        if group.tracking_identifier != "L1":
            assert not numbers
            assert not classes
            continue
        assert {
            name: (str(item.MeasuredValueSequence[0].NumericValue), item.ConceptNameCodeSequence[0].CodeMeaning)
            for name, item in numbers.items()
        } == PROBABILITIES
        for item in numbers.values():
            assert item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue == "%"
            assert item.ConceptNameCodeSequence[0].CodingSchemeDesignator == "99OSTEON"
            algorithm = next(
                child.TextValue for child in item.ContentSequence if child.ConceptNameCodeSequence[0].CodeMeaning == "Algorithm Name"
            )
            assert algorithm == "medconv"
        assert classes["dc-predicted"].ConceptCodeSequence[0].CodeValue == "dc-osteoporosis"
        assert classes["dc-agreement"].ConceptCodeSequence[0].CodeValue == "dc-agrees"


def test_no_viewer_prints_a_probability_among_the_first_five_numbers(predicted: WrittenResults) -> None:
    """Over the image there is no room for what the model was trained on."""
    for group in hd.sr.srread(predicted.objects[1].path).content.get_volumetric_roi_measurement_groups():
        first = [code(item) for item in group[0].ContentSequence if item.ValueType == "NUM"][:5]
        assert len(first) == 5
        assert not [name for name in first if name.startswith("dcp-")]


def test_every_object_says_that_the_model_was_trained_on_simulated_patients(predicted: WrittenResults, findings: Findings) -> None:
    """Wherever a probability stands, so does that its model never saw a patient."""
    assert [item.kind for item in predicted.objects] == ["seg", "sr", "text", "picture"]
    for result in predicted.objects:
        dataset = pydicom.dcmread(result.path)
        equipment = {item.ManufacturerModelName: item for item in dataset.ContributingEquipmentSequence}
        assert equipment["medconv"].ContributionDescription == (
            "Density classifier: predicted a class beside the measurement, measured nothing. Trained on: simulated patients"
        )
        assert equipment["medconv"].DeviceSerialNumber == CLASS_MODEL.sha256
        if result.kind in ("sr", "text"):
            said = texts(dataset)
            assert LINE in said
            assert any(line.startswith("Density classifier medconv 1.0.0, sha256 02468ace") for line in said)
            assert all(TRAINED in line for line in said if "osteoporosis 66 %" in line)
        if result.kind == "sr":
            carrying = [item for item in items(dataset) if code(item).startswith("dcp-") or code(item) == "dc-predicted"]
            coded = [item for item in carrying if item.ValueType in ("NUM", "CODE")]
            assert len(coded) == 4
            assert all(TRAINED in texts(item) for item in coded)
        if result.kind == "picture":
            assert dataset.ImageComments.endswith("Class probabilities: model trained on simulated patients.")
    assert simulated_notice(with_density_class(findings, trained_on="patients")) is None


def test_the_page_says_it_and_fits(findings: Findings, example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    text = said_on_page(findings, monkeypatch)
    assert LINE in text
    assert "Density classifier medconv 1.0.0" in text
    assert NONE in said_on_page(without_density_class(example.findings), monkeypatch)
    against = said_on_page(with_density_class(example.findings, predicted="normal"), monkeypatch)
    assert "! CLASS_CONTRADICTS_BAND: The model medconv (trained on simulated patients) predicts normal at L1." in against


def test_objects_without_a_class_say_why_and_name_no_model(example: Example, tmp_path: Path) -> None:
    written = write_results(without_density_class(example.findings), example.headers, CONTEXT, tmp_path, ("sr", "text", "picture"))
    for result in written.objects:
        dataset = pydicom.dcmread(result.path)
        assert [item.ManufacturerModelName for item in dataset.ContributingEquipmentSequence if item.Manufacturer == "Osteon"] == [
            "classical"
        ]
        if result.kind in ("sr", "text"):
            assert NONE in texts(dataset)
            assert not [item for item in items(dataset) if code(item).startswith("dcp-")]


def test_what_is_said_of_the_class_makes_other_objects(
    example: Example, predicted: WrittenResults, written: WrittenResults, tmp_path: Path
) -> None:
    others = (
        with_second_reader(example),
        without_density_class(example.findings),
        without_density_class(example.findings, "medconv 1.0.0 was trained on simulated patients"),
        with_density_class(example.findings),
    )
    uids = {predicted.objects[2].sop_instance_uid, written.objects[2].sop_instance_uid}
    for number, other in enumerate(others):
        uids.add(write_results(other, example.headers, CONTEXT, tmp_path / str(number), ("text",)).objects[0].sop_instance_uid)
    assert len(uids) == 6
