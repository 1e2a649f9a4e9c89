"""Scan, border, page and print are told apart."""

import numpy as np
import pytest

from inference.dxa.area import find_area, find_print
from inference.dxa.pixels import DxaPixels
from tests.inference.dxa.scans import DEVICES, bordered, pixels, printed
from tests.training.xray_patients import dxa
from training.simulation.xray.dxa_page import report_page, with_border_polygons

pytestmark = pytest.mark.unit


def test_white_polygons_at_both_sides_are_no_scan() -> None:
    scan = dxa("GE Lunar").image
    polygons = (with_border_polygons(scan, 5) == 255) & (scan < 250)
    area = find_area(pixels(bordered("GE Lunar")))
    assert not (area.inside & polygons).any()
    assert area.inside[~polygons].mean() > 0.95
    assert not area.is_page
    assert area.uniform_share == pytest.approx(polygons.mean(), abs=0.02)


@pytest.mark.parametrize("device", ["Hologic", "MEDIX"])
def test_a_report_page_is_a_page_and_its_scan_is_found_on_it(device: str) -> None:
    area = find_area(pixels(report_page(dxa(device))))
    assert area.is_page
    top, left, bottom, right = area.box
    assert top == pytest.approx(130, abs=3)  # where the page's writer puts it
    assert left == pytest.approx(40, abs=3)
    assert right - left <= 345
    assert bottom - top <= 515
    assert (bottom - top) / (right - left) == pytest.approx(dxa(device).image.shape[0] / dxa(device).image.shape[1], rel=0.03)


@pytest.mark.parametrize("device", DEVICES)
def test_a_scan_without_print_has_none(device: str) -> None:
    area = find_area(pixels(bordered(device)))
    assert not area.is_page
    assert not (area.printed & area.inside).any()


def test_a_chart_is_a_page_by_its_colours() -> None:
    rgb = np.repeat(dxa("Hologic").image[..., None], 3, axis=-1)
    rgb[200:260] = (200, 40, 40)
    assert find_area(pixels(rgb)).is_page


@pytest.mark.parametrize("size", [10, 12, 16, 24, 36])
@pytest.mark.parametrize("text", ["-3.1", "T -3.1", "OSTEOPOROSIS"])
@pytest.mark.parametrize(("paper", "ink"), [(60, 255), (140, 255), (130, 0), (60, 200)])
def test_a_line_of_letters_is_found_whole(size: int, text: str, paper: int, ink: int) -> None:
    plain = np.full((430, 420), paper, dtype=np.uint8)
    marked = printed(plain, text, (40, 100), size, ink)
    grey = marked.astype(np.float32) / np.float32(255)
    found = find_print(grey) | find_print(1 - grey)
    letters = np.abs(marked.astype(int) - paper) > 25
    assert found[letters].mean() > 0.95
    assert found.mean() < 0.2


def test_one_letter_is_no_line() -> None:
    grey = printed(np.full((430, 300), 60, dtype=np.uint8), "L", (40, 100), 20).astype(np.float32) / np.float32(255)
    assert not find_print(grey).any()


def test_strokes_stand_out_from_the_noise_and_are_no_metal() -> None:
    noise = np.random.default_rng(3).normal(0.5, 0.06, (300, 220)).astype(np.float32)
    assert find_print(noise).any()
    assert not find_print(noise, 0.06).any()
    quiet = np.random.default_rng(3).normal(75, 5, (300, 220)).astype(np.uint8)
    lettered = pixels(printed(quiet, "T -3.1", (40, 100), 16, 255)).grey
    assert find_print(lettered, 0.02)[103:115, 42:75].mean() > 0.6
    hidden = np.zeros(lettered.shape, dtype=np.bool_)
    hidden[95:120] = True
    assert not find_print(lettered, 0.02, hidden).any()


def test_a_picture_of_one_grey_value_is_all_scan() -> None:
    flat = DxaPixels(grey=np.full((80, 60), 0.4, dtype=np.float32), coloured=np.zeros((80, 60), dtype=np.bool_), said="")
    area = find_area(flat)
    assert area.box == (0, 0, 80, 60)
    assert area.inside.all()
