"""The page: true to scale, nothing outside its place, and the same pixels for the same findings."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pydicom
import pytest
from PIL import Image

from inference.errors import ReasonCode, WarningCode
from inference.findings import Band, Findings, Notice, Reason
from node.results import WrittenResults
from node.results.capture import body_part_examined
from node.results.contours import middle_plane, outlines
from node.results.page_table import table
from node.results.page_text import Block, Style, fit, paragraph, total_height, wrap
from node.results.page_views import _dashed, axial_view, draw_view, sagittal_labels, sagittal_view
from node.results.picture import BACKGROUND, HEIGHT, INNER, MARGIN, WIDTH, draw_page, draw_title
from tests.node.results.example import CONTEXT, Example, level_uncertain, refused

pytestmark = pytest.mark.unit


def _pixels(page: Image.Image) -> np.ndarray:
    return np.asarray(page)


def _crowded(findings: Findings, words: int) -> Findings:
    """Seven levels, every one with warnings, and every warning that there is."""
    long = "This sentence is long and is said again and again. " * words
    notices = tuple(Notice(code=code, text=long) for code in WarningCode)
    vertebra = findings.vertebrae[1]
    because = Reason(code=ReasonCode.FRACTURE_SUSPECTED, text=long)
    levels = ("T11", "T12", "L1", "L2", "L3", "L4", "L5")
    vertebrae = tuple(
        replace(vertebra, level=level, used=level == "L1", excluded_because=None if level == "L1" else because, warnings=notices[:2])
        for level in levels
    )
    return replace(findings, vertebrae=vertebrae, warnings=notices)


def test_the_page_has_its_size_and_shades_of_grey_alone(example: Example) -> None:
    page = draw_page(example.findings, CONTEXT)
    assert page.size == (WIDTH, HEIGHT)
    assert page.mode == "L"


@pytest.mark.parametrize("words", [1, 4, 30])
def test_nothing_runs_over_the_margins_however_much_there_is_to_say(example: Example, words: int) -> None:
    pixels = _pixels(draw_page(_crowded(example.findings, words), CONTEXT))
    assert (pixels[:, : MARGIN - 2] == BACKGROUND).all()
    assert (pixels[:, WIDTH - MARGIN + 2 :] == BACKGROUND).all()
    assert (pixels[-20:] == BACKGROUND).all()


def test_blocks_that_do_not_fit_are_cut_and_the_reader_is_told(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    draw = Block.draw
    monkeypatch.setattr(Block, "draw", lambda self, page, x, y: said.extend(t for t, _, _ in self.lines) or draw(self, page, x, y))
    draw_page(_crowded(example.findings, 30), CONTEXT)
    assert "More is said in the text report of this study." in said
    said.clear()
    draw_page(example.findings, CONTEXT)
    assert "More is said in the text report of this study." not in said


def test_what_a_reader_must_see_is_on_the_page(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    draw = Block.draw
    monkeypatch.setattr(Block, "draw", lambda self, page, x, y: said.extend(t for t, _, _ in self.lines) or draw(self, page, x, y))
    draw_page(example.findings, CONTEXT)
    text = " ".join(said)
    for part in (
        "L1: 97 HU - LOW ATTENUATION",
        "Consider DXA.",
        "Research use. Does not replace DXA. A normal result does not rule out osteoporosis.",
        "Pickhardt 2013, L1, more than 90 % specific",
        "! CONTRAST_UNKNOWN: The contrast phase is unknown.",
        "No correction was applied.",
        "120 kVp",
        CONTEXT.config_sha256,
        example.findings.models[0].sha256,
    ):
        assert part in text, part
    assert said[0] == "L1: 97 HU - LOW ATTENUATION"
    for private in ("Müller", "P-1", "NATIVE", "2026"):
        assert private not in text


def test_a_page_without_band_has_no_scale_and_says_why(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    draw = Block.draw
    monkeypatch.setattr(Block, "draw", lambda self, page, x, y: said.extend(t for t, _, _ in self.lines) or draw(self, page, x, y))
    draw_page(level_uncertain(example.findings), CONTEXT)
    assert said[0] == "NO BAND REPORTED: LEVEL_UNCERTAIN"
    assert not any("Pickhardt" in line or "Consider" in line for line in said)


@pytest.mark.parametrize(("value", "band"), [(60.0, Band.LOW), (135.0, Band.INTERMEDIATE), (240.0, Band.ABOVE)])
def test_the_marker_stands_at_the_value(example: Example, value: float, band: Band) -> None:
    assert example.findings.summary is not None

    def title(attenuation_hu: float) -> np.ndarray:
        page = Image.new("L", (WIDTH, 500), BACKGROUND)
        summary = replace(example.findings.summary, attenuation_hu=attenuation_hu, band=band)
        draw_title(page, replace(example.findings, summary=summary))
        return _pixels(page)[225:].astype(int)

    leftmost = np.nonzero((title(value) != title(275.0)).any(axis=0))[0].min()
    assert leftmost == pytest.approx(MARGIN + value / 300 * INNER - 15, abs=3)


def test_a_page_without_bodies_is_an_error(example: Example) -> None:
    with pytest.raises(ValueError, match="at least one body"):
        draw_page(refused(example.findings), CONTEXT)


def test_the_sagittal_view_is_true_to_scale_and_turned_as_radiologists_look(example: Example) -> None:
    images = example.findings.images
    assert images is not None
    view = sagittal_view(images, example.findings.vertebrae, (500, 600))
    assert view.grey.shape == (600, 500)
    assert view.edges == ("A", "P", "H", "F")
    rows, columns = np.nonzero(view.bodies == 2)
    # L1 is 6 slices of 3 mm high and 16 rows of 2 mm deep.
    assert np.ptp(rows) * view.mm_per_pixel == pytest.approx(18.0, abs=1.0)
    assert np.ptp(columns) * view.mm_per_pixel == pytest.approx(32.0, abs=1.0)
    assert np.nonzero(view.bodies == 1)[0].mean() < rows.mean() < np.nonzero(view.bodies == 3)[0].mean()
    # The ellipse lies in the anterior half of the core: on the left.
    assert np.nonzero(view.ellipse == 2)[1].mean() < np.nonzero(view.core == 2)[1].mean()


def test_the_sagittal_view_follows_a_curved_spine(example: Example) -> None:
    images = example.findings.images
    assert images is not None
    shifted = np.roll(images.bodies, 10, axis=2)
    bodies = np.where(images.bodies == 2, 0, images.bodies)
    bodies[shifted == 2] = 2
    moved = tuple(
        replace(v, centre_lps_mm=(v.centre_lps_mm[0] + 25.0, *v.centre_lps_mm[1:])) if v.label == 2 else v
        for v in example.findings.vertebrae
    )
    view = sagittal_view(replace(images, bodies=bodies), moved, (300, 400))
    assert set(np.unique(view.bodies)) == {0, 1, 2, 3}


def test_the_axial_view_has_the_left_of_the_patient_on_the_right(example: Example) -> None:
    images = example.findings.images
    assert images is not None
    marked = images.volume.hu.copy()
    marked[:, :, 40:44] = 3000
    volume = replace(images.volume, hu=marked)
    vertebra = example.findings.vertebrae[1]
    view = axial_view(replace(images, volume=volume), vertebra, (440, 440))
    assert view.edges == ("R", "L", "A", "P")
    # Columns run towards the patient's left, and the bright ones lie left of the body.
    assert np.nonzero(view.grey == 255)[1].mean() > np.nonzero(view.bodies == 2)[1].mean()
    rows, columns = np.nonzero(view.bodies == 2)
    assert np.ptp(columns) * view.mm_per_pixel == pytest.approx(14 * 2.5, abs=1.0)
    assert np.ptp(rows) * view.mm_per_pixel == pytest.approx(16 * 2.0, abs=1.0)


def test_left_stays_left_though_a_body_frame_be_mirrored(example: Example) -> None:
    images = example.findings.images
    assert images is not None
    vertebra = example.findings.vertebrae[1]
    mirrored = replace(vertebra, left=(-1.0, 0.0, 0.0), anterior=(0.0, 1.0, 0.0))
    np.testing.assert_array_equal(axial_view(images, mirrored, (200, 200)).grey, axial_view(images, vertebra, (200, 200)).grey)


def test_what_lies_outside_the_volume_is_black_and_empty(example: Example) -> None:
    images = example.findings.images
    assert images is not None
    vertebra = replace(example.findings.vertebrae[1], centre_lps_mm=(500.0, 500.0, 500.0))
    view = axial_view(images, vertebra, (100, 100))
    assert not view.grey.any()
    assert not view.bodies.any()


def test_an_excluded_body_is_dashed(example: Example) -> None:
    images = example.findings.images
    assert images is not None
    view = sagittal_view(images, example.findings.vertebrae, (500, 600))
    drawn = np.asarray(draw_view(view, example.findings, {}, 3.0))
    edges = {}
    for label in (1, 2):
        rows, columns = np.nonzero(view.bodies == label)
        middle = (columns.min() + columns.max()) // 2
        band = drawn[rows.min() - 3 : rows.min() + 4, middle - 60 : middle + 60].max(axis=0)
        edges[label] = (band > 200).mean()
    assert edges[2] > 0.98
    assert edges[1] < 0.85


def test_a_body_that_is_not_listed_is_not_drawn(example: Example) -> None:
    images = example.findings.images
    assert images is not None
    view = sagittal_view(images, example.findings.vertebrae, (300, 400))
    drawn = {}
    for name, listed in (("all", example.findings.vertebrae), ("without L2", example.findings.vertebrae[:2])):
        drawn[name] = np.asarray(draw_view(view, replace(example.findings, vertebrae=listed), {}, 3.0))
    differing = np.argwhere(drawn["all"] != drawn["without L2"])
    rows = np.nonzero(view.bodies == 3)[0]
    assert differing.size
    assert differing[:, 0].min() >= rows.min() - 16, "only what lies around L2 differs"


def test_dashes_cover_their_share_of_the_line() -> None:
    line = np.array([[0.0, 0.0], [100.0, 0.0]])
    dashes = _dashed(line, (6.0, 4.0))
    assert len(dashes) == 10
    assert sum(np.ptp(dash[:, 0]) for dash in dashes) == pytest.approx(60.0)


def test_sagittal_labels(example: Example) -> None:
    assert sagittal_labels(example.findings) == {1: "T12  excluded", 2: "L1  97", 3: "L2  98"}


def test_outlines_run_between_pixel_centres_and_the_largest_comes_first() -> None:
    mask = np.zeros((8, 9), dtype=bool)
    mask[2:5, 3:7] = True
    mask[7, 8] = True
    large, small = outlines(mask)
    assert large[0].tolist() == large[-1].tolist()
    assert (large.min(axis=0).tolist(), large.max(axis=0).tolist()) == ([2.5, 1.5], [6.5, 4.5])
    assert (small.min(axis=0).tolist(), small.max(axis=0).tolist()) == ([7.5, 6.5], [8.5, 7.5])
    assert outlines(np.zeros((3, 3), dtype=bool)) == []


def test_middle_plane(example: Example) -> None:
    images = example.findings.images
    assert images is not None
    assert middle_plane(images, 2, tuple(range(24))) == 12
    assert middle_plane(images, 9, tuple(range(24))) is None


def test_wrapping_keeps_every_line_within_the_width_and_every_letter() -> None:
    style = Style(size=20)
    text = "some words and " + "f" * 200 + " more"
    lines = wrap(text, style, 300)
    assert all(style.font.getlength(line) <= 300 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert wrap("", style, 300) == [""]


def test_fit_makes_type_smaller_but_not_too_small() -> None:
    style = Style(size=60, bold=True)
    assert fit("L1", style, 800, smallest=20).size == 60
    smaller = fit("A title that is rather long for its place", style, 800, smallest=20)
    assert 20 < smaller.size < 60
    assert smaller.font.getlength("A title that is rather long for its place") <= 800
    assert fit("x" * 500, style, 800, smallest=20).size == 20


def test_a_hanging_paragraph_counts_all_its_lines() -> None:
    block = paragraph("word " * 60, Style(size=20), 300, hanging=24, after=7)
    assert len(block.lines) > 5
    assert {indent for _, _, indent in block.lines[1:]} == {24}
    assert block.height == len(block.lines) * 26 + 7


def test_table_columns_do_not_overlap_and_rows_grow_with_their_text(example: Example) -> None:
    rows = table(example.findings, INNER, 1.0)
    assert len(rows) == 2 + 3
    columns = rows[1].columns
    assert all(left + width <= following for (left, width), (following, _) in pairwise(columns))
    assert columns[-1][0] + columns[-1][1] == INNER
    assert total_height(table(_crowded(example.findings, 2), INNER, 1.0)) > total_height(rows)


def test_the_value_that_carries_the_band_is_marked(example: Example) -> None:
    marked = [(cell.text, row.cells[0].text) for row in table(example.findings, INNER, 1.0) for cell in row.cells if cell.inverse]
    assert marked == [("97", "L1")]
    assert not [c for row in table(level_uncertain(example.findings), INNER, 1.0) for c in row.cells if c.inverse]


def test_a_warning_said_for_the_study_is_only_named_in_the_table(example: Example) -> None:
    notice = Notice(code=WarningCode.WEAK_DISC, text="L2: The disc below is hardly seen.")
    rows = table(replace(example.findings, warnings=(notice,)), INNER, 1.0)
    assert rows[-1].cells[-1].text == "used. ! WEAK_DISC: see below"
    assert table(example.findings, INNER, 1.0)[-1].cells[-1].text == "used. ! WEAK_DISC: The disc below is hardly seen"


def test_the_capture_shows_the_page_and_identifies_nobody_in_its_pixels(written: WrittenResults) -> None:
    capture = pydicom.dcmread(written.objects[3].path)
    assert written.picture_png is not None
    with Image.open(written.picture_png) as page:
        np.testing.assert_array_equal(capture.pixel_array, np.asarray(page))
    assert capture.BurnedInAnnotation == "NO"
    assert capture.PhotometricInterpretation == "MONOCHROME2"
    assert capture.ConversionType == "WSD"
    assert capture["PatientOrientation"].is_empty


@pytest.mark.parametrize(
    ("levels", "part"), [(("L1", "L2"), "LSPINE"), (("T12", "L1"), "TLSPINE"), (("T11", "T12"), "TSPINE"), (("L1", None), "SPINE")]
)
def test_body_part(example: Example, levels: tuple[str | None, ...], part: str) -> None:
    vertebra = example.findings.vertebrae[1]
    shown = tuple(replace(vertebra, level=level, level_certain=level is not None) for level in levels)
    assert body_part_examined(replace(example.findings, vertebrae=shown)) == part
