"""The column on pictures whose centre line, width and discs are known because they were drawn."""

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.dxa.column import Column, find_column
from inference.dxa.crop import lumbar_levels
from inference.dxa.discs import find_crest, find_discs
from inference.errors import ReasonCode, Refusal
from tests.inference.dxa.scans import bordered, regions
from tests.training.xray_patients import dxa

pytestmark = pytest.mark.unit

Picture = NDArray[np.float32]


def drawn(width: int = 50, lean: float = 0.0, pitch: int = 42, rows: int = 400, columns: int = 240) -> Picture:
    """A bright column on dark, with a dark disc of six rows every ``pitch`` rows."""
    picture = np.full((rows, columns), 0.2, dtype=np.float32)
    centre = columns / 2 + lean * (np.arange(rows) - rows / 2)
    inside = np.abs(np.arange(columns)[None, :] - centre[:, None]) <= width / 2
    disc = (np.arange(rows) - 30) % pitch < 6
    picture[inside] = 0.7
    picture[inside & disc[:, None]] = 0.45
    return picture


def found(picture: Picture) -> Column:
    column = find_column(picture, np.ones(picture.shape, dtype=np.bool_), (0, 0, *picture.shape))
    assert column is not None
    return column


@pytest.mark.parametrize("lean", [0.0, 0.08, -0.12])
@pytest.mark.parametrize("width", [36, 50, 64])
def test_centre_width_and_discs_of_a_drawn_column(lean: float, width: int) -> None:
    column = found(drawn(width=width, lean=lean, pitch=round(0.84 * width)))
    truth = 120 + lean * (np.arange(400) - 200)
    assert np.abs(column.centre - truth)[40:-40].max() < 4
    assert column.width == pytest.approx(width, abs=0.12 * width)
    assert column.contrast == pytest.approx(0.5, abs=0.06)
    expected = np.arange(32.5 % round(0.84 * width), 400, round(0.84 * width))
    assert all(min(abs(disc - expected)) < 3 for disc in column.discs)
    assert len(column.discs) >= len(expected) - 2
    assert column.crest is None


def test_nothing_is_found_where_nothing_is() -> None:
    flat = np.full((300, 200), 0.3, dtype=np.float32)
    assert find_column(flat, np.ones(flat.shape, dtype=np.bool_), (0, 0, 300, 200)) is None
    tiny = drawn(rows=20, columns=20)
    assert find_column(tiny, np.ones(tiny.shape, dtype=np.bool_), (0, 0, 20, 20)) is None


def test_discs_keep_their_distance() -> None:
    profile = np.full(300, 0.8)
    true = [30, 75, 121, 168, 216]
    for row in true:
        profile[row - 2 : row + 3] -= 0.3
    profile[97:100] -= 0.12  # a vessel in a body is shallower than a disc and stands at the wrong distance
    discs, depth = find_discs(profile, 54.0, 0.5)
    assert np.abs(np.array(discs) - true).max() <= 1
    assert depth == pytest.approx(0.6, abs=0.15)
    assert find_discs(np.full(300, 0.8), 54.0, 0.5) == ((), 0.0)


def test_crests_begin_where_both_flanks_do() -> None:
    picture = drawn().astype(np.float64)
    picture[320:, 40:80] = picture[320:, 160:200] = 0.6
    centres = np.full(400, 119.5)
    assert find_crest(picture, centres, 50.0, 0.5) == pytest.approx(320, abs=4)
    picture[320:, 40:80] = 0.2  # on one side alone it is bowel
    assert find_crest(picture, centres, 50.0, 0.5) is None


def with_discs(*discs: float, crest: float | None) -> Column:
    return Column(centre=np.full(500, 100.0), width=60.0, contrast=0.4, share_of_rows=1.0, discs=discs, disc_depth=0.5, crest=crest)


def test_the_last_disc_above_the_crests_is_l4_l5() -> None:
    every = (20.0, 70.0, 121.0, 173.0, 226.0, 280.0, 335.0)
    levels = lumbar_levels(with_discs(*every, crest=300.0))
    assert levels.certain
    assert levels.discs == every[1:6]
    assert lumbar_levels(with_discs(*every, crest=278.0)).discs == every[1:6]  # a little above the disc still is beside it
    assert lumbar_levels(with_discs(*every, crest=270.0)).discs == every[0:5]


def test_without_crests_the_lowest_disc_is_left_out_and_nothing_is_certain() -> None:
    levels = lumbar_levels(with_discs(20.0, 70.0, 121.0, 173.0, 226.0, 280.0, crest=None))
    assert (levels.certain, levels.discs) == (False, (20.0, 70.0, 121.0, 173.0, 226.0))
    assert lumbar_levels(with_discs(20.0, 70.0, 121.0, 173.0, 226.0, crest=None)).discs == (20.0, 70.0, 121.0, 173.0, 226.0)


def test_unseen_discs_are_placed_by_the_crests_and_that_is_said() -> None:
    levels = lumbar_levels(with_discs(70.0, 121.0, crest=330.0))
    assert not levels.certain
    assert len(levels.discs) == 5
    assert np.allclose(np.diff(levels.discs), 0.92 * 60)
    assert levels.discs[-1] == pytest.approx(330 - 0.6 * 60)
    assert "by proportion" in levels.because


@pytest.mark.parametrize("column", [with_discs(20.0, 70.0, crest=None), with_discs(200.0, 250.0, 300.0, 350.0, 400.0, crest=260.0)])
def test_too_few_bodies_are_refused(column: Column) -> None:
    with pytest.raises(Refusal) as refused:
        lumbar_levels(column)
    assert refused.value.code is ReasonCode.L1_NOT_IN_VIEW


def test_no_other_region_has_a_column_of_a_spines_width() -> None:
    for name, scan in regions().items():
        picture = scan.image.astype(np.float32) / np.float32(255)
        column = find_column(picture, np.ones(picture.shape, dtype=np.bool_), (0, 0, *picture.shape))
        if column is not None and name != "LVA":
            assert len(column.discs) < 5 or column.width < 0.12 * picture.shape[1], name


def test_a_scanned_spines_column_lies_on_its_levels() -> None:
    scan = dxa("GE Lunar")
    picture = bordered("GE Lunar").astype(np.float32) / np.float32(255)
    column = find_column(picture, picture < 0.99, (0, 0, *picture.shape))
    assert column is not None
    for level in scan.levels:
        top, left, bottom, right = level.box
        assert column.centre[(top + bottom) // 2] == pytest.approx((left + right) / 2, abs=0.08 * (right - left))
