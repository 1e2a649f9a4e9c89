"""Film, border and print on a chest film."""

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.cxr.area import FilmArea, fill_print, find_area
from inference.dxa.area import _quartiles
from inference.radiograph_pixels import RadiographPixels
from tests.inference.cxr.films import simulated, with_text

pytestmark = pytest.mark.unit


def area_of(stored: NDArray[np.uint16], known: NDArray[np.bool_] | None = None) -> FilmArea:
    grey = np.asarray(stored / 4095, dtype=np.float32)
    seen = np.ones(grey.shape, dtype=np.bool_) if known is None else known
    return find_area(RadiographPixels(grey=grey, known=seen, coloured=np.zeros(grey.shape, dtype=np.bool_), said=""))


def filled_film() -> NDArray[np.uint16]:
    """A film without bare air: its middle part."""
    return np.ascontiguousarray(simulated().image[30:300, 70:250])


def test_a_film_without_a_border_stays_whole() -> None:
    area = area_of(filled_film())
    assert area.box == (0, 0, 270, 180)
    assert not area.cropped
    assert area.shown.all()
    assert area.print_boxes == ()


@pytest.mark.parametrize("value", [0, 4095])
@pytest.mark.parametrize("edges", [((0, 0), (40, 0)), ((25, 0), (0, 33)), ((12, 20), (30, 40))])
def test_a_black_or_white_border_is_cut_off(edges: tuple[tuple[int, int], tuple[int, int]], value: int) -> None:
    above, left = edges[0][0], edges[1][0]
    area = area_of(np.pad(filled_film(), edges, constant_values=value))
    expected = (above, left, above + 270, left + 180)
    assert area.cropped
    assert np.abs(np.array(area.box) - expected).max() <= 2
    assert area.shown.sum() == (area.box[2] - area.box[0]) * (area.box[3] - area.box[1])


def test_a_number_in_the_border_does_not_keep_it() -> None:
    whole = np.pad(filled_film(), ((0, 40), (0, 0)), constant_values=0)
    area = area_of(with_text(whole, "ID 0815-4711", (20, 282)))
    assert area.box[2] == pytest.approx(270, abs=2)
    assert len(area.print_boxes) >= 1


def test_padding_counts_as_border_whatever_its_grey() -> None:
    film = np.pad(filled_film(), ((0, 0), (50, 0)), mode="reflect")
    known = np.ones(film.shape, dtype=np.bool_)
    known[:, :50] = False
    area = area_of(film, known)
    assert area.box[1] == pytest.approx(50, abs=2)
    assert not area.shown[:, :50].any()


def test_a_film_that_is_all_border_is_not_cropped_away() -> None:
    assert area_of(np.zeros((60, 60), dtype=np.uint16)).box == (0, 0, 60, 60)


def test_level_and_upright_print_is_found_where_it_stands() -> None:
    printed = with_text(simulated().image, "12:45:30 ID77", (60, 100))
    (box,) = area_of(printed).print_boxes
    assert box[0] <= 104 <= box[2] <= 120
    assert box[1] <= 62 <= box[3]
    upright = area_of(np.ascontiguousarray(np.rot90(printed)))
    assert len(upright.print_boxes) == 1
    assert upright.print_boxes[0][1] == pytest.approx(box[0], abs=3)


def test_print_is_filled_from_beside_it() -> None:
    grey = np.tile(np.linspace(0, 1, 40, dtype=np.float32), (30, 1))
    marked, printed = grey.copy(), np.zeros(grey.shape, dtype=np.bool_)
    printed[10:14, 20:24] = True
    marked[printed] = 1.0
    fill_print(marked, printed)
    assert np.abs(marked - grey).max() <= 3 / 39
    assert np.array_equal(marked[~printed], grey[~printed])


def test_quartiles_of_labels_are_numpys() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 6, size=(40, 30)).astype(np.int32)
    values = rng.random((40, 30)).astype(np.float32)
    found = _quartiles(values, labels, 5)
    assert found == pytest.approx([np.percentile(values[labels == index], 75) for index in range(1, 6)])
