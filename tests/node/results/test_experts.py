"""What the results say of the experts: never a density without its scale and what the model was trained on."""

import io
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from rich.console import Console

from inference.ct.opinions import OpinionSource, compare_opinions
from inference.ct.vertebra_readings import VertebraReadings
from inference.errors import WarningCode
from inference.findings import Band, Findings, Notice
from node.console import print_report
from node.report_experts import experts_report, opinions_report
from node.results import WrittenResults, write_results
from node.results.density_class import density_class_lines
from node.results.experts import expert_cells, experts_lines, opinion_lines, page_lines
from node.results.headline import headline
from node.results.page_opinions import opinion_blocks
from node.results.page_table import table
from node.results.page_text import Row
from node.results.picture import BACKGROUND, INNER, MARGIN, draw_page
from node.results.roles import EXPERTS, role_of
from tests.node.results.example import (
    CONTEXT,
    EXPERTS_MODEL,
    Example,
    level_uncertain,
    with_density_class,
    with_experts,
    with_second_reader,
    without_density_class,
)
from tests.node.results.test_density_class import code, items, report_of, said_on_page, texts

pytestmark = pytest.mark.unit

TRAINED = "model trained on simulated patients"
LINES = [
    "Predicted BMD by vertebra, on the scale of Hologic (the site's choice): L1 0.81 g/cm2 (osteoporosis 30 %), L2 0.74 g/cm2 "
    "(osteoporosis 61 %) (model trained on simulated patients). By vertebra-experts 1.0.0. A prediction, not a DXA result; it changes "
    "no measurement.",
    "Check on the levels: 2 of 3 vertebrae look to the model like what they are called.",
]
AGREED = (
    "All three opinions agree: attenuation low; osteoporosis predicted at L1; osteoporosis predicted at L2. "
    "By the site's setting the measured attenuation leads."
)
OTHERWISE = Notice(
    code=WarningCode.LEVELS_LOOK_OTHERWISE, text="The vertebrae are named 1 level below what they look like to vertebra-experts."
)


@pytest.fixture(scope="module")
def findings(example: Example) -> Findings:
    return with_experts(with_density_class(with_second_reader(example)))


@pytest.fixture(scope="module")
def read(findings: Findings, example: Example, tmp_path_factory: pytest.TempPathFactory) -> WrittenResults:
    out: Path = tmp_path_factory.mktemp("read")
    return write_results(findings, example.headers, CONTEXT, out, ("seg", "sr", "text", "picture"))


def number(item: Dataset) -> str:
    value = item.MeasuredValueSequence[0]
    return f"{value.NumericValue} {value.MeasurementUnitsCodeSequence[0].CodeValue}"


def below(item: Dataset) -> dict[str, str]:
    """What stands below a number, by the meaning of its concept; comments joined."""
    said: dict[str, list[str]] = {}
    for child in item.ContentSequence:
        value = child.ConceptCodeSequence[0].CodeMeaning if child.ValueType == "CODE" else child.TextValue
        said.setdefault(child.ConceptNameCodeSequence[0].CodeMeaning, []).append(value)
    return {name: " | ".join(values) for name, values in said.items()}


def test_densities_stand_with_scale_and_origin(findings: Findings) -> None:
    assert experts_lines(findings) == LINES
    assert opinion_lines(findings) == [AGREED]
    assert [expert_cells(vertebra, findings) for vertebra in findings.vertebrae] == [("-", "-"), ("0.81", "30 %"), ("0.74", "61 %")]


def test_the_check_on_levels_is_told_once(findings: Findings) -> None:
    assert findings.experts is not None
    undecided = replace(findings, experts=replace(findings.experts, shift=None))
    assert experts_lines(undecided)[1] == ("Check on the levels: undecided; 2 of 3 vertebrae look to the model like what they are called.")
    assert experts_lines(replace(findings, experts=replace(findings.experts, shift=1))) == LINES[:1], "the warning says it"


def test_without_a_model_one_line_says_why_and_without_a_setting_none(example: Example) -> None:
    silent = VertebraReadings(because="there is no bundle 'vertebra-experts'")
    found = replace(example.findings, experts=silent)
    assert experts_lines(found) == ["No density by vertebra is predicted: there is no bundle 'vertebra-experts'."]
    failed = Notice(code=WarningCode.EXPERTS_FAILED, text="The experts' network gave no answer (damaged).")
    assert experts_lines(replace(found, warnings=(failed,))) == [], "the warning says it"
    assert experts_lines(example.findings) == opinion_lines(example.findings) == []
    assert experts_report(None) is None
    assert opinions_report(None) is None
    report = experts_report(silent)
    assert report is not None
    assert (report["model"], report["patient_osteoporosis"], report["vertebrae"]) == (None, None, [])


def test_the_json_holds_positions_and_gate_weights(findings: Findings) -> None:
    report = experts_report(findings.experts)
    assert report is not None
    assert report["vertebrae"][0] == {
        "level": "T12",
        "looks_like": "T12",
        "bmd_g_cm2": None,
        "osteoporosis_probability": None,
        "gate_weights": [0.25, 0.75],
    }
    assert (report["vertebrae"][1]["bmd_g_cm2"], report["vertebrae"][1]["osteoporosis_probability"]) == (0.81, 0.3)
    assert (report["densitometer"], report["patient_osteoporosis"], report["level_shift"]) == ("Hologic", True, 0)
    said = opinions_report(compare_opinions(Band.LOW, None, (), OpinionSource.CLASSIFIER))
    assert said is not None
    assert (said["lead_setting"], said["leading"], said["agreement"]) == ("classifier", None, "one_step_apart")
    assert [one["source"] for one in said["given"]] == ["measurement", "experts"]


def test_the_reader_of_every_vertebra_has_a_role_of_its_own(findings: Findings) -> None:
    assert role_of(EXPERTS_MODEL, findings) == EXPERTS


def test_the_report_reads_back_with_a_prediction_at_every_level_that_was_read(read: WrittenResults) -> None:
    groups = hd.sr.srread(read.objects[1].path).content.get_volumetric_roi_measurement_groups()
    numbers = {
        group.tracking_identifier: [item for item in group[0].ContentSequence if code(item) in ("vx-bmd", "vx-osteoporosis")]
        for group in groups
    }
    assert {name: [number(item) for item in found] for name, found in numbers.items()} == {
        "L1": ["0.81 g/cm2", "30 %"],
        "T12, excluded": [],
        "L2": ["0.74 g/cm2", "61 %"],
    }
    for item in (one for found in numbers.values() for one in found):
        said = below(item)
        assert item.ConceptNameCodeSequence[0].CodingSchemeDesignator == "99OSTEON", "no code of a measurement by DXA"
        assert said["Derivation"] == "Estimated"
        assert said["Algorithm Name"] == "vertebra-experts"
        assert EXPERTS_MODEL.sha256 in said["Algorithm Parameters"]
        assert said["Comment"] == f"{TRAINED} | On the scale of Hologic (the site's choice); not a DXA result."
    positions = {
        group.tracking_identifier: item.ConceptCodeSequence[0].CodeMeaning
        for group in groups
        for item in group[0].ContentSequence
        if code(item) == "vx-position"
    }
    assert positions == {"L1": "L2 vertebra", "T12, excluded": "T12 vertebra", "L2": "L2 vertebra"}


def test_no_viewer_prints_a_prediction_among_the_first_five_numbers(read: WrittenResults) -> None:
    """Over the image there is no room for scale and origin."""
    for group in hd.sr.srread(read.objects[1].path).content.get_volumetric_roi_measurement_groups():
        first = [code(item) for item in group[0].ContentSequence if item.ValueType == "NUM"][:5]
        assert len(first) == 5
        assert not [name for name in first if name.startswith("vx-")]


def test_the_opinions_are_coded_and_told_and_the_models_ones_with_their_origin(read: WrittenResults) -> None:
    found = items(pydicom.dcmread(read.objects[1].path))
    codes = {
        code(item): item.ConceptCodeSequence[0].CodeValue
        for item in found
        if item.get("ValueType") == "CODE" and code(item).startswith("op-")
    }
    assert codes == {"op-agreement": "op-agree", "op-leading": "op-measurement"}
    told = {code(item): item.TextValue for item in found if item.get("ValueType") == "TEXT" and code(item).startswith("op-")}
    assert told == {
        "op-agreement": AGREED,
        "op-measurement": "attenuation low",
        "op-classifier": f"osteoporosis predicted at L1 ({TRAINED})",
        "op-experts": f"osteoporosis predicted at L2 ({TRAINED})",
    }


def test_every_object_says_that_the_model_was_trained_on_simulated_patients(read: WrittenResults) -> None:
    for result in read.objects:
        dataset = pydicom.dcmread(result.path)
        equipment = {item.ManufacturerModelName: item.ContributionDescription for item in dataset.ContributingEquipmentSequence}
        assert equipment["vertebra-experts"] == (
            "Reader of every vertebra: predicted density and position beside the measurement, measured nothing. "
            "Trained on: simulated patients"
        )
        if result.kind in ("sr", "text"):
            said = texts(dataset)
            assert [line for line in said if line in (*LINES, AGREED)] == ([*LINES, AGREED] if result.kind == "sr" else [AGREED, *LINES])
            assert all(TRAINED in line for line in said if "g/cm2" in line)
            each = f"Osteoporosis by vertebra, predicted by a model: osteoporosis predicted at L2 ({TRAINED})."
            assert said.count(each) == (result.kind == "text")
        if result.kind == "picture":
            assert dataset.ImageComments.endswith(
                "Class probabilities: model trained on simulated patients. Density by vertebra: model trained on simulated patients."
            )


def test_names_that_look_wrong_are_a_warning_in_every_object(example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = with_experts(example.findings)
    found = replace(found, warnings=(*found.warnings, OTHERWISE))
    line = f"LEVELS_LOOK_OTHERWISE: {OTHERWISE.text}"
    for result in write_results(found, example.headers, CONTEXT, tmp_path, ("sr", "text")).objects:
        assert line in [item.TextValue for item in items(pydicom.dcmread(result.path)) if code(item) == "warning"]
    assert f"! {line}" in said_on_page(found, monkeypatch)
    assert "! LEVELS" not in said_on_page(with_experts(example.findings), monkeypatch)


def test_the_page_has_predictions_in_the_table_and_opinions_side_by_side(findings: Findings, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = table(findings, INNER, 1.0)
    heads = [cell.text for cell in rows[0].cells]
    assert heads[-1] == f"PREDICTED on the scale of Hologic, {TRAINED}"
    cells = [[cell.text for cell in row.cells] for row in rows[2:]]
    assert [row[-3:-1] for row in cells] == [["-", "-"], ["0.81", "30 %"], ["0.74", "61 %"]]
    columns = rows[1].columns
    assert all(left + width <= other for (left, width), (other, _) in pairwise(columns))
    assert columns[-1][0] + columns[-1][1] == INNER
    text = said_on_page(findings, monkeypatch)
    assert "All three opinions agree." in text
    assert (
        "Predicted class by medconv 1.0.0, read from the body of L1 and 2 mm around it, in a box of 64 x 64 x 64 mm; "
        "BMD and osteoporosis by vertebra-experts 1.0.0, on the scale of Hologic (the site's choice). "
        "Predictions, not DXA results; they change no measurement. "
        f"{LINES[1]}"
    ) in text
    boxes = [cell.text for block in opinion_blocks(findings, INNER, 1.0) if isinstance(block, Row) for cell in block.cells]
    assert boxes[3:] == [
        "attenuation low",
        f"osteoporosis predicted at L1: normal 12 %, osteopenia 22 %, osteoporosis 66 % ({TRAINED})",
        f"osteoporosis predicted at L2 ({TRAINED})",
    ]


def test_without_boxes_the_page_says_of_each_model_what_the_text_says(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    classed = with_density_class(example.findings)
    silent = replace(classed, experts=VertebraReadings(because="there is no bundle 'vertebra-experts'"))
    assert page_lines(silent) == [
        *density_class_lines(classed),
        "No density by vertebra is predicted: there is no bundle 'vertebra-experts'.",
    ]
    unclassed = page_lines(with_experts(without_density_class(example.findings)))
    assert unclassed[0] == "No density class is predicted: there is no bundle 'medconv'."
    assert unclassed[1].startswith("Predicted BMD and osteoporosis by vertebra-experts 1.0.0, on the scale of Hologic")
    assert "no bundle 'vertebra-experts'" in said_on_page(silent, monkeypatch)


def test_the_leading_opinion_is_marked_and_alone(example: Example) -> None:
    for lead, marked in (
        (OpinionSource.MEASUREMENT, "MEASURED ATTENUATION - LEADS"),
        (OpinionSource.CLASSIFIER, "L1, BY A CLASSIFIER - LEADS"),
        (OpinionSource.EXPERTS, "EVERY VERTEBRA, BY A MODEL - LEADS"),
    ):
        blocks = opinion_blocks(with_experts(with_density_class(example.findings), lead=lead), INNER, 1.0)
        heads, said = (block for block in blocks if isinstance(block, Row))
        assert [cell.text for cell in heads.cells if cell.inverse] == [marked]
        assert [cell.style.bold for cell in said.cells] == [cell.inverse for cell in heads.cells]
    absent = with_experts(example.findings, lead=OpinionSource.CLASSIFIER)
    heads = next(block for block in opinion_blocks(absent, INNER, 1.0) if isinstance(block, Row))
    assert [cell.inverse for cell in heads.cells] == [False, False]
    assert absent.opinions is not None
    assert absent.opinions.lead_sentence == (
        "By the site's setting the classifier at L1 leads; it was not given, and no other takes its place."
    )
    assert opinion_blocks(example.findings, INNER, 1.0) == []


def test_what_leads_does_not_stand_out_of_the_margin(findings: Findings) -> None:
    pixels = np.asarray(draw_page(findings, CONTEXT))
    assert (pixels[:, : MARGIN - 2] == BACKGROUND).all()
    assert (pixels[:, INNER + MARGIN + 2 :] == BACKGROUND).all()


def test_the_headline_is_the_leading_opinions_with_the_measurement_beside_it(example: Example) -> None:
    plain = headline(example.findings)
    assert headline(with_experts(example.findings)) == plain
    led = headline(with_experts(example.findings, lead=OpinionSource.EXPERTS))
    assert led.title == "OSTEOPOROSIS PREDICTED AT L2 - BY A MODEL"
    assert led.detail == (
        "Leads by the site's setting; by a model trained on simulated patients, no DXA result. "
        f"Measured: L1: 97 HU - LOW ATTENUATION. {plain.detail}"
    )
    assert headline(with_experts(example.findings, lead=OpinionSource.CLASSIFIER)) == plain, "nobody leads in another's place"
    classed = headline(with_experts(with_density_class(example.findings), lead=OpinionSource.CLASSIFIER))
    assert classed.title == "OSTEOPOROSIS PREDICTED AT L1 - BY A MODEL"


def test_a_study_without_a_band_says_that_nobody_takes_the_measurements_place(
    example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for lead in (OpinionSource.MEASUREMENT, OpinionSource.EXPERTS):
        found = with_experts(level_uncertain(example.findings), lead=lead)
        assert headline(found).title == "NO BAND REPORTED: LEVEL_UNCERTAIN"
    found = with_experts(level_uncertain(example.findings))
    (line,) = opinion_lines(found)
    assert line == (
        "Only the reading of every vertebra was given: osteoporosis predicted at L2. "
        "By the site's setting the measured attenuation leads; it was not given, and no other takes its place."
    )
    assert line.split(": ")[0] in said_on_page(found, monkeypatch)
    (report,) = write_results(found, example.headers, CONTEXT, tmp_path, ("sr",)).objects
    coded = [item for item in items(pydicom.dcmread(report.path)) if item.get("ValueType") == "CODE" and code(item).startswith("op-")]
    assert [item.ConceptCodeSequence[0].CodeValue for item in coded] == ["op-not-compared", "op-none"]


def test_the_console_prints_predictions_and_opinions(findings: Findings, example: Example) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=80)
    print_report(console, report_of(findings))
    said = " ".join(stream.getvalue().split())
    assert (
        "every vertebra: BMD (osteoporosis) L1 0.81 g/cm2 (30 %), L2 0.74 g/cm2 (61 %); scale of Hologic; vertebra-experts, "
        "trained on simulated patients"
    ) in said
    assert AGREED.split(" By the")[0] in said
    assert "the measured attenuation leads" in said
    assert max(map(len, stream.getvalue().splitlines())) <= 80
    print_report(console, report_of(replace(example.findings, experts=VertebraReadings(because="there is no bundle 'made'"))))
    assert "every vertebra: none: there is no bundle 'made'" in " ".join(stream.getvalue().split())
