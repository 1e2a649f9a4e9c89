"""What every object says of a second reader, and that it was trained on simulated anatomy."""

import io
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from rich.console import Console

from inference.errors import ReasonCode
from inference.findings import Agreement, Findings, LevelAgreement, Reason, SecondReader
from node.console import print_report
from node.report import study_report
from node.results import WrittenResults, write_results
from node.results.page_table import table
from node.results.page_text import Block, Row
from node.results.page_views import axial_view, draw_view, sagittal_view
from node.results.picture import INNER, draw_page
from node.results.second_reader import second_cells, second_reader_lines, second_reader_text
from node.routing import Decision
from tests.node.results.example import CONTEXT, SECOND_MODEL, Example, with_second_reader

pytestmark = pytest.mark.unit

LINE = (
    "Second reader (network vertebrae, trained on simulated anatomy; it measures nothing): sees 2 of 3 bodies and 1 more;"
    " median Dice 0.83; core median differs by 1 HU (median over bodies); it places the levels alike."
)


@pytest.fixture(scope="module")
def findings(example: Example) -> Findings:
    return with_second_reader(example)


@pytest.fixture(scope="module")
def twice(findings: Findings, example: Example, tmp_path_factory: pytest.TempPathFactory) -> WrittenResults:
    out: Path = tmp_path_factory.mktemp("twice")
    return write_results(findings, example.headers, CONTEXT, out, ("seg", "sr", "text", "picture"))


def _decision(findings: Findings) -> Decision:
    return Decision(
        study_instance_uid=findings.study_instance_uid,
        route="ct",
        workflow="ct",
        destinations=(),
        on_refusal="none",
        considered=(),
        reason=None,
    )


def _texts(item: Dataset) -> list[str]:
    """Every text below a content item."""
    own = [item.TextValue] if item.get("ValueType") == "TEXT" else []
    return own + [text for child in item.get("ContentSequence", []) for text in _texts(child)]


def _items(item: Dataset) -> list[Dataset]:
    """A content item and all below it."""
    return [item, *(below for child in item.get("ContentSequence", []) for below in _items(child))]


def test_the_report_carries_each_body_and_the_study(findings: Findings) -> None:
    report = study_report(findings, _decision(findings), ())
    assert [item["second_reader"] for item in report["vertebrae"]] == [
        {"level": None, "level_certain": False, "dice": 0.0, "attenuation_hu_difference": None},
        {"level": "L1", "level_certain": True, "dice": 0.833, "attenuation_hu_difference": {"mean": -2.4, "median": -1.6}},
        {"level": None, "level_certain": False, "dice": 0.833, "attenuation_hu_difference": {"mean": 0.2, "median": 0.2}},
    ]
    assert report["second_reader"] == {
        "name": "vertebrae",
        "trained_on": "simulated anatomy",
        "compared": 2,
        "only_first": 1,
        "only_second": 1,
        "median_dice": 0.833,
        "median_attenuation_hu_difference": 0.9,
        "levels": "agree",
    }
    assert [(model["name"], model["trained_on"]) for model in report["models"]] == [
        ("classical", "not trained: analytic method"),
        ("vertebrae", "simulated anatomy"),
    ]


def test_the_command_prints_it(findings: Findings) -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    print_report(console, study_report(findings, _decision(findings), ()))
    said = console.export_text()
    assert "second reader: vertebrae (trained on simulated anatomy), 2 bodies in common; median Dice 0.83; 1 HU apart; levels agree" in said


def test_without_a_second_reader_the_report_says_none(example: Example) -> None:
    report = study_report(example.findings, _decision(example.findings), ())
    assert report["second_reader"] is None
    assert {item["second_reader"] for item in report["vertebrae"]} == {None}
    assert second_reader_lines(example.findings) == []
    assert second_reader_text(example.findings.vertebrae[0]) == "no second reader"


def test_a_bodys_line_says_name_overlap_and_difference(findings: Findings) -> None:
    assert [second_reader_text(vertebra) for vertebra in findings.vertebrae] == [
        "second reader: sees no body here",
        "second reader: same level, Dice 0.83, -2 HU",
        "second reader: names no level, Dice 0.83, 0 HU",
    ]
    unnamed = replace(findings.vertebrae[1], level=None, level_certain=False)
    assert second_reader_text(unnamed).startswith("second reader: level L1, ")
    small = replace(unnamed, second_reader=SecondReader(level=None, level_certain=False, dice=0.9))
    assert second_reader_text(small) == "second reader: names no level, Dice 0.90"
    assert second_cells(small) == ("0.90", "-")


@pytest.mark.parametrize(
    ("levels", "said"),
    [(LevelAgreement.DIFFER, "IT PLACES LEVELS DIFFERENTLY"), (LevelAgreement.NOT_COMPARED, "it names no level that could be compared")],
)
def test_the_studys_line(findings: Findings, levels: LevelAgreement, said: str) -> None:
    assert second_reader_lines(findings) == [LINE]
    nothing = Agreement(
        model=SECOND_MODEL, compared=0, only_first=3, only_second=0, median_dice=None, median_difference_hu=None, levels=levels
    )
    (line,) = second_reader_lines(replace(findings, second_reader=nothing))
    assert line.endswith(f"it measures nothing): sees 0 of 3 bodies; {said}.")


def test_every_object_names_the_second_reader_and_what_it_was_trained_on(twice: WrittenResults) -> None:
    for result in twice.objects:
        dataset = pydicom.dcmread(result.path, stop_before_pixels=True)
        items = {item.ManufacturerModelName: item for item in dataset.ContributingEquipmentSequence if item.Manufacturer == "Osteon"}
        assert set(items) == {"classical", "vertebrae"}, result.kind
        assert items["vertebrae"].ContributionDescription == (
            "Second reader: compared with the measurement, measured nothing. Trained on: simulated anatomy"
        )
        assert items["vertebrae"].DeviceSerialNumber == SECOND_MODEL.sha256
        assert items["classical"].ContributionDescription.startswith("Processing algorithm.")
        if result.kind in ("sr", "text"):
            texts = _texts(dataset)
            assert LINE in texts
            assert any(text.startswith("Second reader vertebrae 1.0.0, sha256 13579bdf") for text in texts)


def test_numbers_that_the_second_reader_has_a_part_in_name_it(twice: WrittenResults) -> None:
    report = pydicom.dcmread(twice.objects[1].path)
    named: dict[str, set[str]] = {}
    for dataset in _items(report):
        if dataset.get("ValueType") == "NUM":
            code = dataset.ConceptNameCodeSequence[0].CodeValue
            named.setdefault(code, set()).update(
                child.TextValue
                for child in dataset.get("ContentSequence", [])
                if child.ConceptNameCodeSequence[0].CodeMeaning == "Algorithm Name"
            )
    assert named["second-dice"] == named["second-diff"] == {"vertebrae"}
    assert named["112031"] == named["voxels"] == set()


def test_the_text_says_it_beside_each_level(twice: WrittenResults) -> None:
    texts = _texts(pydicom.dcmread(twice.objects[2].path))
    assert any(text.startswith("L1: used") and text.endswith("| second reader: same level, Dice 0.83, -2 HU") for text in texts)


def test_the_measuring_algorithm_stays_the_segments_own(twice: WrittenResults) -> None:
    segmentation = pydicom.dcmread(twice.objects[0].path, stop_before_pixels=True)
    names = {item.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName for item in segmentation.SegmentSequence}
    assert names == {"classical"}


def test_another_second_reader_gives_other_objects(
    findings: Findings, example: Example, twice: WrittenResults, written: WrittenResults, tmp_path: Path
) -> None:
    other = replace(findings, models=(findings.models[0], replace(SECOND_MODEL, sha256="0" * 64)))
    again = write_results(other, example.headers, CONTEXT, tmp_path, ("text",))
    uids = {again.objects[0].sop_instance_uid, twice.objects[2].sop_instance_uid, written.objects[2].sop_instance_uid}
    assert len(uids) == 3


def test_the_pages_table_has_its_columns(findings: Findings, example: Example) -> None:
    rows = [row for row in table(findings, INNER, 1.0) if isinstance(row, Row)]
    assert [cell.text for cell in rows[0].cells] == ["", "core, HU", "ellipse, HU", "height, mm", "2nd reader"]
    cells = [tuple(cell.text for cell in row.cells[10:12]) for row in rows[1:]]
    assert cells == [
        ("Dice", "HU"),
        ("-", "-"),
        ("0.83", "-2"),
        ("0.83", "0"),
    ]
    assert all(left + width <= following for (left, width), (following, _) in pairwise(rows[1].columns))
    assert rows[1].columns[-1][0] + rows[1].columns[-1][1] == INNER
    alone = table(example.findings, INNER, 1.0)[1]
    assert isinstance(alone, Row)
    assert len(alone.cells) == len(rows[1].cells) - 2


def test_a_warning_that_is_the_very_reason_is_said_once(findings: Findings) -> None:
    first = findings.vertebrae[0]
    because = Reason(code=ReasonCode.LEVEL_UNCERTAIN, text=first.warnings[0].text)
    doubted = replace(findings, vertebrae=(replace(first, excluded_because=because),))
    row = table(doubted, INNER, 1.0)[-1]
    assert isinstance(row, Row)
    assert row.cells[-1].text == "EXCLUDED. LEVEL_UNCERTAIN: The second reader sees no body here"


def test_the_page_says_it(findings: Findings, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    draw = Block.draw
    monkeypatch.setattr(Block, "draw", lambda self, page, x, y: said.extend(t for t, _, _ in self.lines) or draw(self, page, x, y))
    draw_page(findings, CONTEXT)
    text = " ".join(said)
    assert LINE in text
    assert text.count("Fine dashes: second reader.") == 2


def test_the_second_readers_outline_is_drawn_where_its_bodies_lie(findings: Findings, example: Example) -> None:
    assert findings.images is not None
    view = sagittal_view(findings.images, findings.vertebrae, (500, 600))
    assert set(np.unique(view.second)) == {0, 2, 3, 4}
    alone = draw_view(replace(view, second=np.zeros_like(view.second)), findings, {}, 3.0)
    differing = np.asarray(alone) != np.asarray(draw_view(view, findings, {}, 3.0))
    above = np.nonzero(view.second == 4)
    assert differing[above[0].min() - 6 : above[0].max() + 6, above[1].min() - 6 : above[1].max() + 6].any(), "a body of its own"
    top = np.nonzero(view.second == 2)[0].min()
    assert differing[top - 4 : top + 5].any()
    assert example.findings.images is not None
    assert not axial_view(example.findings.images, findings.vertebrae[1], (200, 200)).second.any()


def test_a_second_reading_of_a_body_that_is_not_listed_is_not_drawn(findings: Findings) -> None:
    assert findings.images is not None
    view = sagittal_view(findings.images, findings.vertebrae, (300, 400))
    listed = replace(findings, vertebrae=findings.vertebrae[:2])
    without = np.where(view.second == 3, 0, view.second)
    np.testing.assert_array_equal(
        np.asarray(draw_view(view, listed, {}, 3.0)), np.asarray(draw_view(replace(view, second=without), listed, {}, 3.0))
    )
