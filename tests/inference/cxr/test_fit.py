"""The drawn chest: how it is drawn, that it is found where it is, and that its correlation is the textbook's."""

import numpy as np
import pytest

from inference.cxr.fit import _correlations, _Small, fit_thorax
from inference.cxr.small import area_means, ranked
from inference.cxr.thorax import BOTTOM, SIDE, TOP, Hand, draw
from inference.cxr.turns import Turn
from tests.inference.cxr.films import simulated

pytestmark = pytest.mark.unit


def test_the_drawing_has_dark_lungs_beside_a_bright_column() -> None:
    drawing = draw(67, 112)
    assert drawing.weight.sum() == pytest.approx(1.0, abs=1e-5)
    row = round((0.4 - TOP) / (BOTTOM - TOP) * 67)
    column = [round((u / SIDE + 1) / 2 * 112) for u in (-0.5, 0.0, 0.5)]
    assert [float(drawing.value[row, c]) for c in column] == [0.0, 1.0, 0.0]
    heart = round((0.75 - TOP) / (BOTTOM - TOP) * 67), [round((u / SIDE + 1) / 2 * 112) for u in (-0.36, 0.36)]
    assert drawing.parts["lung_right"][heart[0], heart[1][0]]
    assert not drawing.parts["lung_left"][heart[0], heart[1][1]]  # the heart pushes the left lung outwards


def test_hands_mirror_each_other_and_their_mean_has_none() -> None:
    right, left, neither = (draw(40, 50, hand) for hand in (Hand.RIGHT, Hand.LEFT, Hand.NEITHER))
    assert np.array_equal(left.value, right.value[:, ::-1])
    assert np.array_equal(left.parts["lung_left"], right.parts["lung_left"][:, ::-1])
    assert np.allclose(neither.value, neither.value[:, ::-1])
    assert np.allclose(neither.weight, (right.weight + left.weight) / 2)


def test_correlation_is_the_weighted_one() -> None:
    rng = np.random.default_rng(3)
    ranks = rng.random((30, 26)).astype(np.float32)
    valid = rng.random((30, 26)) > 0.05
    (correlation, size), *_ = _correlations(_Small(ranks=np.where(valid, ranks, 0), valid=valid), [(20, 18)], Hand.RIGHT)
    drawing = draw(*size)
    for top, left in ((0, 0), (7, 5), (10, 8)):
        window = slice(top, top + 20), slice(left, left + 18)
        w = (drawing.weight * valid[window]).ravel().astype(np.float64)
        x, t = ranks[window].ravel(), drawing.value.ravel()
        mean_x, mean_t = np.average(x, weights=w), np.average(t, weights=w)
        covariance = np.average((x - mean_x) * (t - mean_t), weights=w)
        spread = np.sqrt(np.average((x - mean_x) ** 2, weights=w) * np.average((t - mean_t) ** 2, weights=w))
        assert correlation[top, left] == pytest.approx(covariance / spread, abs=1e-4)


def test_a_drawing_is_found_where_it_was_put() -> None:
    film = np.full((56, 56), 0.5, dtype=np.float32)
    drawing = draw(46, 48)
    film[6:52, 3:51] = np.where(drawing.weight > 0, drawing.value, 0.5)
    fit = fit_thorax(film, np.ones(film.shape, dtype=np.bool_))
    assert (fit.best.quarters, fit.best.negative, fit.best.hand) == (0, False, Hand.RIGHT)
    assert fit.best.score > 0.95
    per_row, per_column = 46 / (BOTTOM - TOP), 48 / (2 * SIDE)
    expected = (6 - TOP * per_row, 3 + (SIDE - 1) * per_column, 6 + (1 - TOP) * per_row, 3 + (SIDE + 1) * per_column)
    assert np.array(fit.lungs) * 56 == pytest.approx(expected, abs=2.0)


@pytest.mark.parametrize("kind", ["PA", "AP"])
def test_the_lungs_box_holds_the_true_landmarks(kind: str) -> None:
    film = simulated(kind)
    fit = fit_thorax(film.image.astype(np.float32), np.ones(film.image.shape, dtype=np.bool_))
    top, left, bottom, right = np.array(fit.lungs) * (film.image.shape * 2)
    side = {name: point for name, point in film.landmarks.items() if name.startswith("ribcage")}
    assert len(side) == 8
    width = right - left
    for name, (row, column) in side.items():
        edge = right if name.endswith("left") else left
        assert abs(column - edge) < 0.16 * width, name
        assert top < row < bottom + 0.15 * (bottom - top), name  # the lowest rib reaches below the diaphragm


def test_area_means_follow_a_turn_and_keep_the_mean() -> None:
    rng = np.random.default_rng(1)
    film = rng.random((90, 71)).astype(np.float32)
    small = area_means(film, 30)
    assert small.shape == (30, 24)
    assert small.mean() == pytest.approx(film.mean(), abs=1e-5)
    for quarters in range(4):
        assert np.allclose(area_means(np.rot90(film, quarters), 30), np.rot90(small, quarters), atol=1e-5)
    assert np.array_equal(area_means(film, 200), film)
    assert area_means(np.array([[0.0, 0.0, 3.0, 6.0]]), 2) == pytest.approx(np.array([[0.0, 4.5]]))


def test_ranks_know_no_curve_and_the_negative_is_their_complement() -> None:
    values = np.array([[0.1, 0.7, 0.7], [0.9, 0.2, 5.0]], dtype=np.float32)
    known = np.array([[True, True, True], [True, True, False]])
    ranks = ranked(values, known)
    assert ranks == pytest.approx(np.array([[0.0, 0.625, 0.625], [1.0, 0.25, 0.0]]))
    assert ranked(values**3, known) == pytest.approx(ranks)
    assert ranked(1 - values, known)[known] == pytest.approx(1 - ranks[known])


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_turn_and_its_way_back(quarters: int, mirrored: bool) -> None:
    stored = np.arange(35).reshape(5, 7)
    turn = Turn(quarters=quarters, mirrored=mirrored)
    crop = turn.apply(stored)[1:4, 2:5]
    affine = turn.to_stored((5, 7), (1, 2))
    for row, column in np.ndindex(crop.shape):
        there = affine @ np.array([row, column, 1])
        assert crop[row, column] == stored[int(there[0]), int(there[1])]


def test_a_turn_is_said_and_five_quarters_are_none() -> None:
    assert Turn().said == ""
    assert Turn(quarters=1, mirrored=True).said == "turned by 90° counter-clockwise and mirrored"
    with pytest.raises(ValueError, match="quarter turns"):
        Turn(quarters=5)
