"""A chest film that a model read, in every object: where it looked on the film as stored, what it estimates, and what it learned from."""

from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from rich.console import Console

from inference.cxr.film import NormalisedFilm
from inference.cxr.recognise import decide_film
from inference.cxr.rois import ROI_NAMES, region_words
from inference.findings import Findings
from inference.reading import InstanceHeader, find_files, read_headers
from inference.workflows import WorkflowOptions, run_workflow
from node.console import outcome_line, print_report
from node.report import Json, study_report
from node.results import WrittenResults, write_results
from node.results.cxr import IMAGE_SIDES, attention_percents, cxr_lines, stored_boxes
from node.results.headline import advice, headline
from node.results.page_cxr import attention_view, draw_cxr_page, film_view
from node.results.page_text import Block
from node.routing import Decision
from tests.inference.cxr.films import dataset, decided, put, simulated, stored
from tests.inference.cxr.made_models import MEMBERS, options, true_landmarks, write_density, write_landmarks
from tests.node.results.complaints import new_complaints, run_peer
from tests.node.results.example import CONTEXT
from tests.node.results.iodcheck import iod_problems
from tests.node.results.test_density_class import code, items, texts
from tests.peers.tools import require_peer

pytestmark = pytest.mark.unit

TRAINED = "model trained on simulated patients"
KINDS = ("seg", "sr", "text", "picture")


@dataclass(frozen=True, kw_only=True)
class Study:
    """One film, what was found, and its objects."""

    headers: tuple[InstanceHeader, ...]
    findings: Findings
    film: NormalisedFilm
    written: WrittenResults
    bundles: Path

    def object(self, kind: str) -> Dataset:
        return pydicom.dcmread(next(item.path for item in self.written.objects if item.kind == kind))


def saved(ds: Dataset, folder: Path) -> Path:
    folder.mkdir()
    ds.StudyInstanceUID, ds.PatientID, ds.PatientName, ds.PatientBirthDate = "1.2.3", "P1", "Doe^Jane", "19500102"
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.save_as(folder / "film.dcm", enforce_file_format=True)
    return folder / "film.dcm"


def study_of(ds: Dataset, folder: Path, *, quarters: int = 0) -> Study:
    """The film written, read by networks that know its true landmarks and say :data:`MEMBERS`, and its objects.

    Parameters
    ----------
    quarters
        How the data set's film was turned from how it was simulated, counter-clockwise.
    """
    path = saved(ds, folder / "in")
    headers, _ = read_headers(find_files([path]))
    film = decide_film(headers[0]).film
    assert film is not None
    assert film.turn.quarters == (-quarters) % 4
    upright = true_landmarks(simulated("PA"), decided_upright())
    bundles = folder / "bundles"
    write_landmarks(bundles / "cxr-landmarks", upright, film.image.shape)
    write_density(bundles / "cxr-bmd")
    findings = run_workflow("cxr", headers, WorkflowOptions(cxr=options(bundles)))
    written = write_results(findings, headers, CONTEXT, folder / "out", KINDS)
    return Study(headers=headers, findings=findings, film=film, written=written, bundles=bundles)


def decided_upright() -> NormalisedFilm:
    found = decided(dataset("PA")).film
    assert found is not None
    return found


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The film as it was taken."""
    return study_of(dataset("PA"), tmp_path_factory.mktemp("upright"))


@pytest.fixture(scope="module")
def lying(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The same film, stored lying on its side."""

    def turn(ds: Dataset) -> None:
        put(ds, np.rot90(stored(ds)), 12)
        ds.PatientOrientation = None

    return study_of(dataset("PA", change=turn), tmp_path_factory.mktemp("lying"), quarters=1)


def json_of(findings: Findings) -> Json:
    decision = Decision(study_instance_uid="1", route="cxr", workflow="cxr", destinations=(), on_refusal="none", considered=(), reason=None)
    return study_report(findings, decision, ())


def numbers(report: Dataset) -> list[tuple[str, str, str, str]]:
    """(code, value, derivation, finding site) of every NUM below the derived measurements."""
    (derived,) = [item for item in report.ContentSequence if code(item) == "126011"]
    found = []
    for item in derived.ContentSequence:
        (site,) = [child for child in item.ContentSequence if code(child) == "363698007"]
        (how,) = [child for child in item.ContentSequence if code(child) == "121401"]
        value = str(item.MeasuredValueSequence[0].NumericValue)
        found.append((code(item), value, how.ConceptCodeSequence[0].CodeMeaning, site.ConceptCodeSequence[0].CodeMeaning))
    return found


def outlines(report: Dataset) -> dict[str, tuple[float, float, float, float]]:
    """Top, left, bottom, right by tracking identifier."""
    content = hd.sr.Comprehensive3DSR.from_dataset(report).content
    found = {}
    for group in content.get_planar_roi_measurement_groups():
        points = group.roi.value
        found[group.tracking_identifier] = (points[:, 1].min(), points[:, 0].min(), points[:, 1].max(), points[:, 0].max())
    return found


def test_all_kinds_but_the_segmentation_are_written(study: Study) -> None:
    assert [item.kind for item in study.written.objects] == ["sr", "text", "picture"]
    assert study.findings.reason is None
    again = write_results(study.findings, study.headers, CONTEXT, study.bundles.parent / "again", KINDS)
    assert [item.sop_instance_uid for item in again.objects] == [item.sop_instance_uid for item in study.written.objects]


def test_fourteen_regions_lie_on_the_film(study: Study) -> None:
    found = outlines(study.object("sr"))
    first = f"Chest film, read by a {TRAINED}"
    assert list(found) == [first, *(region_words(name) for name in ROI_NAMES)]
    assert study.findings.cxr is not None
    assert study.findings.cxr.measurement is not None
    places = np.array([simulated("PA").landmarks[name] for name in ("C7", "T12")]) + 0.5
    unit = float(np.linalg.norm(places[1] - places[0]))
    top, left, bottom, right = found["C7"]
    assert ((top + bottom) / 2, (left + right) / 2) == pytest.approx(tuple(places[0]), abs=0.2)
    assert (bottom - top, right - left) == pytest.approx((0.26 * unit, 0.32 * unit), rel=0.01)
    top, left, bottom, right = found["T12 and L1"]
    assert (top, bottom) == pytest.approx((places[1][0] - 0.09 * unit, places[1][0] + 0.18 * unit), abs=0.5)


def test_on_a_film_that_lies_on_its_side_the_regions_lie_on_theirs(study: Study, lying: Study) -> None:
    upright, turned = outlines(study.object("sr")), outlines(lying.object("sr"))
    columns = dataset("PA").Columns
    for name in ("left clavicle, medial half", "C7", "T12 and L1"):
        top, left, bottom, right = upright[name]
        # np.rot90: what was at (row, column) is at (columns - column, row), counted from edges
        assert turned[name] == pytest.approx((columns - right, top, columns - left, bottom), abs=0.6)


def test_regions_are_bone_with_its_side_and_hold_no_number(study: Study) -> None:
    groups = [item for item in items(study.object("sr")) if code(item) == "125007"]
    sites = []
    for group in groups:
        (site,) = [child for child in group.ContentSequence if code(child) == "363698007"]
        sides = [child.ConceptCodeSequence[0].CodeMeaning for child in site.get("ContentSequence", ())]
        sites.append((site.ConceptCodeSequence[0].CodeMeaning, *sides))
    left, right = ([("Clavicle", side)] * 2 for side in ("Left", "Right"))
    ribs = [("Rib", "Left")] * 4 + [("Rib", "Right")] * 4
    assert sites == [("Thorax",), *left, *right, *ribs, ("Cervical spine",), ("Lumbar spine",)]
    assert not [child for group in groups for child in items(group) if child.get("ValueType") == "NUM"], "viewers print them over the film"


def test_densities_t_scores_and_attention_stand_with_their_origin(study: Study) -> None:
    found = numbers(study.object("sr"))
    assert found[:4] == [
        ("cxr-bmd", "0.72", "Mean", "L1 vertebra"),
        ("cxr-bmd", "0.03", "Standard Deviation", "L1 vertebra"),
        ("cxr-t", "-2.8", "Mean", "L1 vertebra"),
        ("cxr-t", "0.2", "Standard Deviation", "L1 vertebra"),
    ]
    assert [(value, site) for name, value, how, site in found if name == "cxr-t" and how == "Mean"] == [
        ("-2.8", "L1 vertebra"),
        ("-2.2", "L2 vertebra"),
        ("-1.2", "L3 vertebra"),
        ("-0.3", "L4 vertebra"),
    ]
    shares = [int(value) for name, value, _, _ in found if name == "cxr-attention"]
    assert (len(shares), sum(shares)) == (15, 100)
    assert study.findings.cxr is not None
    assert study.findings.cxr.measurement is not None
    assert shares == list(attention_percents(study.findings.cxr.measurement).values())
    for item in items(study.object("sr")):
        if item.get("ValueType") == "NUM" and code(item).startswith("cxr-"):
            said = texts(item)
            assert TRAINED in said
            assert "cxr-bmd" in said
            assert code(item) != "cxr-bmd" or any("on the scale of Hologic, not measured by DXA" in line for line in said)
            assert code(item) != "cxr-t" or any("NHANES 2005-2014" in line for line in said)


def test_the_conclusion_follows_the_threshold(study: Study, tmp_path: Path) -> None:
    conclusions = [item for item in items(study.object("sr")) if code(item) == "121077" and item.ValueType == "CODE"]
    assert [item.ConceptCodeSequence[0].CodeValue for item in conclusions] == ["cxr-low"]
    assert headline(study.findings).title == "DXA RECOMMENDED - ESTIMATED T-SCORE AT OR BELOW -2.5"
    assert f"by a {TRAINED}, not measured: L1 0.72 g/cm2 (T -2.8), L2 0.80 g/cm2 (T -2.2)" in headline(study.findings).detail
    assert advice(study.findings) in texts(study.object("sr"))
    (tmp_path / "cxr-landmarks").symlink_to(study.bundles / "cxr-landmarks")
    write_density(tmp_path / "cxr-bmd", {**MEMBERS, "L1": (0.9, 0.9)})
    above = run_workflow("cxr", study.headers, WorkflowOptions(cxr=options(tmp_path)))
    report = pydicom.dcmread(write_results(above, study.headers, CONTEXT, tmp_path / "out", ("sr",)).objects[0].path)
    conclusions = [item for item in items(report) if code(item) == "121077" and item.ValueType == "CODE"]
    assert [item.ConceptCodeSequence[0].CodeValue for item in conclusions] == ["cxr-above"]
    assert "does not rule out osteoporosis" in (advice(above) or "")
    assert not [line for line in texts(report) if "diagnos" in line.lower()]


def test_every_object_says_what_the_models_learned_from(study: Study) -> None:
    for item in study.written.objects:
        ds = pydicom.dcmread(item.path)
        made = {part.ManufacturerModelName: part for part in ds.ContributingEquipmentSequence}
        for name in ("cxr-bmd", "cxr-landmarks"):
            assert made[name].ContributionDescription.endswith("Trained on: simulated patients")
        assert made["cxr-landmarks"].ContributionDescription.startswith("Finder of landmarks")
        assert "does not replace DXA" in ds.SeriesDescription
        assert (ds.PatientID, ds.StudyInstanceUID) == ("P1", "1.2.3")
    for kind in ("sr", "text"):
        said = texts(study.object(kind))
        assert all(line in said for line in cxr_lines(study.findings))
        assert any(line.startswith("L1: estimated bone density 0.72") and line.endswith(f"By a {TRAINED}.") for line in said)
    picture = study.object("picture")
    assert picture.ImageComments.endswith(f"Bone density: {TRAINED}; regions: {TRAINED}.")
    assert (picture.BodyPartExamined, "BurnedInAnnotation" in picture) == ("CHEST", False)


def test_json_and_console_tell_the_same(study: Study) -> None:
    report = json_of(study.findings)
    first = report["estimates"][0]
    assert (first["level"], first["bmd_g_cm2"], first["bmd_spread_g_cm2"], first["t_score"], first["low"]) == ("L1", 0.72, 0.03, -2.8, True)
    assert (first["members_low"], first["members"], first["by"]) == (2, 2, "model cxr-bmd 1.0.0, trained on simulated patients")
    read = report["cxr"]["measurement"]
    assert (read["low"], read["densitometer"], read["thresholds"]) == (True, "Hologic", "-2.5")
    assert len(read["landmarks"]) == 16
    assert read["landmarks"]["T12"]["row"] == pytest.approx(simulated("PA").landmarks["T12"][0], abs=0.3)
    boxes = outlines(study.object("sr"))
    lumbar = next(item for item in read["regions"] if item["name"] == "lumbar")
    assert (lumbar["top"], lumbar["left"], lumbar["bottom"], lumbar["right"]) == pytest.approx(boxes["T12 and L1"], abs=0.06)
    assert sum(read["attention"].values()) == pytest.approx(1.0)
    assert {item["name"] for item in report["models"]} == {"cxr-bmd", "cxr-landmarks"}
    assert outcome_line(report).startswith("L1 0.72 g/cm2 (T -2.8), L2 0.80 g/cm2 (T -2.2)")
    assert "estimated by model cxr-bmd 1.0.0, trained on simulated patients: DXA recommended" in outcome_line(report)
    stream = StringIO()
    print_report(Console(file=stream, width=400), report)
    assert "L1: 0.72 g/cm2 (SD 0.03 of 2 networks), T-score -2.8, threshold -2.5; NHANES" in stream.getvalue()


def test_where_the_side_is_not_known_no_side_is_named(study: Study) -> None:
    assert study.findings.cxr is not None
    used = study.findings.cxr.used
    assert used is not None
    blind = replace(used, film=replace(study.film, side_certain=False))
    findings = replace(study.findings, cxr=replace(study.findings.cxr, films=(blind,)))
    out = study.bundles.parent / "blind"
    report = pydicom.dcmread(write_results(findings, study.headers, CONTEXT, out, ("sr",)).objects[0].path)
    names = list(outlines(report))
    assert region_words("clavicle_medial_left", sides=IMAGE_SIDES) in names
    assert not [name for name in names if name.startswith(("left ", "right "))]
    assert not [item for item in items(report) if code(item) == "272741003"], "no laterality"


def test_boxes_go_with_the_film_to_its_file() -> None:
    film = decided_upright()
    whole = np.array([[0.0, 0.0, *film.image.shape]])
    (box,) = stored_boxes(film, whole)
    shift = film.to_stored[:, 2]
    assert tuple(box) == pytest.approx((shift[0], shift[1], shift[0] + film.image.shape[0], shift[1] + film.image.shape[1]))


def test_the_page_shows_film_regions_levels_and_attention(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    assert study.findings.cxr is not None
    measurement = study.findings.cxr.measurement
    assert measurement is not None
    rows, columns = study.film.image.shape
    shown = np.asarray(film_view(study.film, measurement, (2 * columns, 2 * rows)))
    assert shown.shape == (2 * rows, 2 * columns)
    top, left, _, right = (2 * edge for edge in measurement.estimate.rois.box("lumbar"))
    assert (shown[round(top) : round(top) + 2, round(left) + 40 : round(right) - 10] == 255).all(axis=1).any(), "the box's upper edge"
    for row, column in 2 * (measurement.estimate.landmarks + 0.5):
        assert shown[round(row), round(column)] == 255
    percents = attention_percents(measurement)
    bars = np.asarray(attention_view(percents, study.film, (430, 900)))
    assert (bars[:, 300] > 100).any(), "the longest bar spans the picture"
    even = round((430 - 60) * (100 / 15) / max(percents.values()))
    marked = np.flatnonzero((bars[:, even - 3 : even + 4] == 255).any(axis=1)) % 60  # each of 15 regions has 60 rows: its name, its bar
    assert marked.size > 0
    assert marked.min() >= 20, "the mark of an even share leaves the regions' names alone"
    said: list[str] = []
    draw = Block.draw
    monkeypatch.setattr(Block, "draw", lambda self, page, x, y: said.extend(t for t, _, _ in self.lines) or draw(self, page, x, y))
    first, second = draw_cxr_page(study.findings, CONTEXT), draw_cxr_page(study.findings, CONTEXT)
    assert first.tobytes() == second.tobytes()
    text = " ".join(said)
    assert "DXA RECOMMENDED" in text
    assert TRAINED in text
    assert "View Position" not in text, "free text of the header may name a person"
    assert (first.mode, first.size) == ("L", (1600, 2000))


def test_other_peoples_programs_read_every_object(study: Study, lying: Study) -> None:
    require_peer("dciodvfy")
    require_peer("dsrdump")
    for item in (*study.written.objects, *lying.written.objects):
        assert iod_problems(pydicom.dcmread(item.path)) == []
        assert new_complaints(item.path) == [], item
        if item.kind != "picture":
            assert run_peer("dsrdump", "-Ee", str(item.path)).returncode == 0
