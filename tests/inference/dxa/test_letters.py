"""Letters on bone are found by sharpness and by ink of one value; bone, noise, metal and clipped tissue are not letters."""

import numpy as np
import pytest

from inference.dxa.area import find_area
from inference.dxa.letters import find_letters, metal, noise_of, of_one_value, sharp_both_ways
from tests.inference.dxa.scans import DEVICES, Picture, bordered, pixels, printed
from tests.training.xray_patients import dxa

pytestmark = pytest.mark.unit

ALL = np.ones((240, 180), dtype=np.bool_)


def noisy(sd: float, seed: int = 0, grey: float = 150.0) -> Picture:
    """A field that brightens slowly, with noise of ``sd`` levels of 255."""
    slope = np.linspace(-20, 20, ALL.shape[1])[None, :]
    return np.clip(np.rint(np.random.default_rng(seed).normal(grey + slope, sd, ALL.shape)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("sd", [2.0, 5.0, 10.0, 20.0])
def test_noise_is_measured_and_is_no_print(sd: float) -> None:
    grey = pixels(noisy(sd)).grey
    assert float(np.median(noise_of(grey, ALL))) * 255 == pytest.approx(sd, rel=0.12)
    assert not find_letters(grey, ALL).any()


def test_clipping_hides_no_noise() -> None:
    bright = noisy(8.0, grey=200.0)
    bright[60:180, 40:140] = 255
    assert float(noise_of(pixels(bright).grey, ALL)[120, 90]) * 255 == pytest.approx(8.0, rel=0.25)


@pytest.mark.parametrize("ink", [0, 60, 255])
@pytest.mark.parametrize("size", [9, 12, 16, 24])
def test_small_letters_are_sharp_across_and_down(size: int, ink: int) -> None:
    plain = noisy(5.0)
    marked = printed(plain, "T -3.1", (40, 100), size, ink)
    grey = pixels(marked).grey
    found = sharp_both_ways(grey, noise_of(grey, ALL), ALL)
    rows, columns = np.nonzero(np.abs(marked.astype(int) - plain) > 30)
    assert found[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].mean() > 0.12
    assert not found[:80].any()
    assert not found[140:].any()


def test_an_end_plate_is_sharp_down_alone() -> None:
    plate = noisy(3.0)
    plate[100:102, 30:150] = 250
    grey = pixels(plate).grey
    assert not sharp_both_ways(grey, noise_of(grey, ALL), ALL)[90:112, 45:135].any()


@pytest.mark.parametrize("ink", [140, 150, 165])
def test_ink_as_bright_as_the_bone_is_told_by_its_one_value(ink: int) -> None:
    plain = noisy(8.0)
    marked = printed(plain, "OSTEOPOROSIS", (10, 100), 22, ink)
    found = of_one_value(pixels(marked).grey, ALL)
    assert found.sum() > 30
    assert (marked[found] == ink).mean() > 0.99
    assert not of_one_value(pixels(plain).grey, ALL).any()


def test_neither_a_plateau_nor_a_doubled_level_of_a_display_window_is_ink() -> None:
    blanked = noisy(6.0)
    blanked[80:140, 60:120] = 150
    assert not of_one_value(pixels(blanked).grey, ALL).any()
    narrowed = np.rint(noisy(6.0) * 0.93).astype(np.uint8)  # every fourteenth level holds two
    assert not of_one_value(pixels(narrowed).grey, ALL).any()


def test_a_rod_is_metal_and_a_white_letter_is_not() -> None:
    rod = noisy(5.0)
    rod[60:160, 80:88] = 255
    assert metal(pixels(rod).grey, ALL)[55:165, 76:92].mean() > 0.9
    assert not find_letters(pixels(rod).grey, ALL).any()
    lettered = printed(rod, "T -3.1", (110, 100), 14, 255)
    found = find_letters(pixels(lettered).grey, ALL)
    assert found[100:115, 110:150].mean() > 0.5
    assert not found[:, :75].any()


def test_a_short_screw_beside_a_rod_is_metal_too() -> None:
    screw = noisy(5.0)
    screw[60:160, 80:88] = 255
    screw[90:100, 90:104] = 255  # two pixels apart
    assert metal(pixels(screw).grey, ALL)[90:100, 90:104].all()
    alone = noisy(5.0)
    alone[90:100, 90:104] = 255
    assert not metal(pixels(alone).grey, ALL).any()


def test_black_letters_on_metal_or_clipped_bone_are_read() -> None:
    dense = noisy(5.0)
    dense[60:180, 20:160] = 255
    assert not find_letters(pixels(dense).grey, ALL).any()
    found = find_letters(pixels(printed(dense, "T -3.1", (60, 110), 12, 0)).grey, ALL)
    assert found[110:124, 60:95].mean() > 0.3


def test_pale_letters_in_much_noise_are_found_along_their_strokes() -> None:
    plain = noisy(12.0)
    marked = printed(plain, "OSTEOPOROSIS", (10, 100), 16, 30)
    grey = pixels(marked).grey
    found = sharp_both_ways(grey, noise_of(grey, ALL), ALL)
    assert found[100:116, 15:130].mean() > 0.1
    assert not sharp_both_ways(pixels(plain).grey, noise_of(pixels(plain).grey, ALL), ALL).any()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("ink", [0, 200, 255])
def test_letters_on_a_vertebra_are_found_and_a_plain_scan_has_none(device: str, ink: int) -> None:
    scan = dxa(device)
    inside = find_area(pixels(bordered(device))).inside
    assert not find_letters(pixels(bordered(device)).grey, inside).any()
    box = scan.levels[2].box
    marked = printed(bordered(device), "T -3.1", (box[1], (box[0] + box[2]) // 2), 16, ink)
    found = find_letters(pixels(marked).grey, inside)
    rows = np.flatnonzero(found.any(axis=1))
    assert found.any()
    assert box[0] - 12 <= rows.min() <= rows.max() <= box[2] + 24
    assert found[np.abs(marked.astype(int) - bordered(device)) > 60].mean() > (0.5 if ink != 200 else 0.2)


def test_outside_the_scan_nothing_is_looked_for() -> None:
    marked = printed(noisy(4.0), "T -3.1", (40, 100), 16, 0)
    inside = ALL.copy()
    inside[:140] = False
    assert not find_letters(pixels(marked).grey, inside).any()
    assert not find_letters(pixels(marked).grey, np.zeros_like(ALL)).any()
