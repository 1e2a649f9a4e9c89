"""L1 to L4 are found, everything else is blanked, and no printed word changes what a network sees."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from inference.dxa.crop import KEPT, crop_spine
from inference.dxa.pixels import DxaPixels
from inference.errors import ReasonCode, Refusal
from tests.inference.dxa.scans import DEVICES, Picture, bordered, pixels, printed, true_discs
from tests.training.xray_patients import dxa

pytestmark = pytest.mark.unit

CLASS = "OSTEOPOROSIS T -3.1"
SIZE = (150, 150)


@pytest.mark.parametrize("device", DEVICES)
def test_l1_to_l4_lie_where_the_device_measured_them(device: str) -> None:
    scan = dxa(device)
    found = crop_spine(pixels(bordered(device)), SIZE)
    body = float(np.mean([level.box[3] - level.box[1] for level in scan.levels]))
    assert np.abs(np.array(found.discs) - true_discs(scan)).max() < 0.08 * body
    assert found.levels_certain
    assert not found.inverted
    top, left, bottom, right = found.box
    for level in scan.levels:
        assert top <= level.box[0] + 0.03 * body
        assert bottom >= level.box[2] - 0.03 * body
        assert left <= level.box[1]
        assert right >= level.box[3]
    assert right - left < 1.6 * body


@pytest.mark.parametrize("size", [(150, 150), (300, 300), (96, 224)])
def test_the_crop_has_the_size_asked_for_and_keeps_the_aspect(size: tuple[int, int]) -> None:
    picture = bordered("Hologic")
    found = crop_spine(pixels(picture), size)
    assert found.image.shape == size
    assert found.image.dtype == np.float32
    assert found.image.min() >= 0.0
    assert found.image.max() <= 1.0
    top, left, bottom, right = found.box
    scale = max((bottom - top) / size[0], (right - left) / size[1])
    rows, columns = np.nonzero(np.abs(found.image - found.fill) > 1e-6)
    assert np.ptp(columns) == pytest.approx((right - left) / scale, abs=3)
    assert np.ptp(rows) == pytest.approx((bottom - top) / scale, abs=3)
    middle = round((size[0] - 1) / 2), round((size[1] - 1) / 2)
    at = (middle[0] - (size[0] - 1) / 2) * scale + (bottom - top - 1) / 2, (middle[1] - (size[1] - 1) / 2) * scale + (right - left - 1) / 2
    assert found.image[middle] == pytest.approx(picture[round(top + at[0]), round(left + at[1])] / 255, abs=0.1)


def test_beside_the_column_there_is_one_grey_value_and_it_is_that_of_soft_tissue() -> None:
    scan = dxa("Hologic")
    found = crop_spine(pixels(scan.image), (300, 300))
    assert np.ptp(found.image[:, :40]) == 0.0
    assert np.ptp(found.image[:, -40:]) == 0.0
    box = scan.levels[1].box
    beside = scan.image[box[0] : box[2], box[3] + 15 : box[3] + 30] / 255
    assert found.fill == pytest.approx(float(np.median(beside)), abs=0.1)
    assert KEPT > 0.5


PLACES = {"corner": ("OSTEO\nPOROSIS\nT -3.1", (2, 2)), "soft tissue": ("T -3.1", (2, 130)), "bottom": ("LOW BMD\nT -3.1", (2, -28))}


@pytest.mark.parametrize("fill", [255, 0])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("device", DEVICES)
def test_a_class_printed_beside_the_spine_changes_nothing(device: str, place: str, fill: int) -> None:
    picture = bordered(device)
    text, (column, row) = PLACES[place]
    marked = printed(picture, text, (column, row % picture.shape[0]), size=10, fill=fill)
    assert (marked != picture).any()
    before, after = crop_spine(pixels(picture), SIZE), crop_spine(pixels(marked), SIZE)
    assert np.array_equal(before.image, after.image)
    assert after.box == before.box


@pytest.mark.parametrize("device", ["Hologic", "MEDIX"])
def test_a_class_printed_on_the_page_around_the_scan_changes_nothing(device: str) -> None:
    scan = bordered(device)
    plain = np.full((scan.shape[0] + 300, scan.shape[1] + 260, 3), 255, dtype=np.uint8)
    plain[60 : 60 + scan.shape[0], 30 : 30 + scan.shape[1]] = scan[..., None]
    page = printed(plain, f"Result: {CLASS}", (30, 12), size=22, fill="black")
    page = printed(page, "T-score\n-3.1\n-2.9", (scan.shape[1] + 60, 120), size=18, fill="red")
    bare, on_page = crop_spine(pixels(scan), SIZE), crop_spine(pixels(page), SIZE)
    assert np.array_equal(crop_spine(pixels(plain), SIZE).image, on_page.image)
    assert np.allclose(bare.image, on_page.image, atol=1e-6)


def test_a_class_printed_on_the_white_border_changes_nothing() -> None:
    picture = bordered("GE Lunar").copy()
    picture[:, :40] = 255
    picture[:, -40:] = 255
    marked = printed(picture, "T -3.1", (2, 200), size=11, fill=0)
    marked = printed(marked, "LOW", (picture.shape[1] - 36, 90), size=12, fill=0)
    assert np.array_equal(crop_spine(pixels(picture), SIZE).image, crop_spine(pixels(marked), SIZE).image)


@pytest.mark.parametrize("text", [CLASS, "T -3.1", "-2.7"])
@pytest.mark.parametrize("fill", [255, 0])
def test_a_class_printed_on_the_bones_refuses_the_image(text: str, fill: int) -> None:
    scan = dxa("Hologic")
    box = scan.levels[2].box
    marked = printed(scan.image, text, (box[1], (box[0] + box[2]) // 2), size=16, fill=fill)
    with pytest.raises(Refusal) as refused:
        crop_spine(pixels(marked), SIZE)
    assert refused.value.code is ReasonCode.BURNED_IN_TEXT


def test_coloured_lines_around_the_levels_are_bridged_and_coloured_letters_refused() -> None:
    scan = dxa("Hologic")
    rgb = np.repeat(scan.image[..., None], 3, axis=-1)
    lined = rgb.copy()
    for level in scan.levels:
        top, left, bottom, right = level.box
        lined[top, left:right] = lined[bottom, left:right] = (250, 220, 80)
        lined[top:bottom, left] = lined[top:bottom, right] = (250, 220, 80)
    plain, bridged = crop_spine(pixels(rgb), SIZE), crop_spine(pixels(lined), SIZE)
    assert np.abs(np.array(plain.discs) - bridged.discs).max() < 3
    assert float(np.abs(plain.image - bridged.image).mean()) < 0.01
    box = scan.levels[1].box
    lettered = printed(rgb, "-3.1", (box[1] + 10, (box[0] + box[2]) // 2), size=18, fill=(255, 60, 60))
    with pytest.raises(Refusal) as refused:
        crop_spine(pixels(lettered), SIZE)
    assert refused.value.code is ReasonCode.BURNED_IN_TEXT


def test_a_header_that_lies_about_its_polarity_is_found_out() -> None:
    scan = dxa("Hologic")
    right, wrong = crop_spine(pixels(scan.image), SIZE), crop_spine(pixels(255 - scan.image), SIZE)
    assert wrong.inverted
    assert "polarity" in wrong.because
    assert np.allclose(right.image, wrong.image, atol=1e-5)


@pytest.mark.parametrize(("factor", "worst"), [(0.6, 0.06), (2.6, 0.05)])
def test_coarse_and_fine_pixels_give_the_same_levels(factor: float, worst: float) -> None:
    scan = dxa("GE Lunar")
    shape = (round(scan.image.shape[1] * factor), round(scan.image.shape[0] * factor))
    other = np.asarray(Image.fromarray(scan.image).resize(shape, Image.Resampling.BICUBIC), dtype=np.uint8)
    found = crop_spine(pixels(other), SIZE)
    rows = other.shape[0]
    assert np.abs(np.array(found.discs) / rows - np.array(true_discs(scan)) / scan.image.shape[0]).max() < worst * 0.5
    assert float(np.abs(found.image - crop_spine(pixels(scan.image), SIZE).image).mean()) < worst


def test_deep_pixels_are_scaled_by_the_column_and_not_by_a_printed_letter() -> None:
    scan = dxa("Hologic")
    none = np.zeros(scan.image.shape, dtype=np.bool_)
    deep = DxaPixels(grey=scan.image.astype(np.float32) / 255, coloured=none, said="", relative=True)
    lettered = replace(deep, grey=np.where(printed(scan.image * 0, "T -3.1", (2, 2), 10) > 128, np.float32(1), deep.grey * np.float32(0.7)))
    found, other = crop_spine(deep, SIZE), crop_spine(lettered, SIZE)
    assert float(np.ptp(found.image)) == pytest.approx(1.0, abs=0.02)
    assert np.allclose(other.discs, found.discs, atol=1.5)
    assert float(np.abs(found.image - other.image).mean()) < 0.02


def blank(rows: int = 400, columns: int = 280) -> Picture:
    return np.random.default_rng(0).normal(70, 3, (rows, columns)).astype(np.uint8)


def test_a_picture_without_a_spine_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        crop_spine(pixels(blank()), SIZE)
    assert refused.value.code is ReasonCode.SPINE_NOT_FOUND


def test_a_scan_that_begins_below_l1_is_refused() -> None:
    scan = dxa("Hologic")
    cut = scan.image[scan.levels[1].box[0] + 8 :]
    with pytest.raises(Refusal) as refused:
        crop_spine(pixels(cut), SIZE)
    assert refused.value.code in {ReasonCode.L1_NOT_IN_VIEW, ReasonCode.SPINE_NOT_FOUND}


def test_a_spine_of_too_few_pixels_is_refused() -> None:
    scan = dxa("MEDIX")
    small = np.asarray(Image.fromarray(scan.image).resize((64, round(64 * scan.image.shape[0] / scan.image.shape[1]))), dtype=np.uint8)
    with pytest.raises(Refusal) as refused:
        crop_spine(pixels(small), SIZE)
    assert refused.value.code in {ReasonCode.ROI_TOO_SMALL, ReasonCode.L1_NOT_IN_VIEW}


def test_without_crests_the_levels_are_not_certain() -> None:
    scan = dxa("Hologic")
    cut = scan.image[: scan.levels[3].box[2] + 6]
    found = crop_spine(pixels(cut), SIZE)
    assert not found.levels_certain
    assert "no iliac crest" in found.because
