"""Signed distances against values worked out by hand."""

import numpy as np
import pytest

from training.simulation.canvas import ANATOMY, Canvas
from training.simulation.shapes import Capsule, ellipse, ellipsoid, smooth_max, smooth_min, squircle, union

pytestmark = pytest.mark.unit


def at(*values: float) -> tuple[np.ndarray, ...]:
    return tuple(np.array([value], dtype=np.float32) for value in values)


@pytest.mark.parametrize(
    ("point", "expected"),
    [((0, 0, 5), -2.0), ((5, 0, 5), 3.0), ((0, 0, 13), 1.0), ((0, 0, -4), 2.0), ((3, 4, 0), 3.0), ((2, 0, 10), 0.0)],
)
def test_distance_to_a_straight_rod_of_radius_two(point: tuple[float, ...], expected: float) -> None:
    rod = Capsule(frame=ANATOMY, start=(0, 0, 0), end=(0, 0, 10), radii=(2, 2))
    assert rod.distance(*at(*point))[0] == pytest.approx(expected, abs=1e-3)


def test_a_tapered_rod_is_thinner_at_its_end() -> None:
    rod = Capsule(frame=ANATOMY, start=(0, 0, 0), end=(0, 0, 10), radii=(4, 2))
    assert rod.distance(*at(5, 0, 0))[0] == pytest.approx(1.0, abs=1e-3)
    assert rod.distance(*at(5, 0, 5))[0] == pytest.approx(2.0, abs=1e-3)


@pytest.mark.parametrize(("point", "inside"), [((0, 5.9, 5), True), ((0, 6.1, 5), False), ((1.9, 0, 5), True), ((2.1, 0, 5), False)])
def test_scale_stretches_the_section_of_a_rod(point: tuple[float, ...], inside: bool) -> None:
    rod = Capsule(frame=ANATOMY, start=(0, 0, 0), end=(0, 0, 10), radii=(2, 2), scale=(1.0, 3.0, 1.0))
    assert (rod.distance(*at(*point))[0] < 0) == inside


def test_ellipse_is_exact_on_its_axes_near_the_surface() -> None:
    first, second = np.array([9.0, 11.0, 0.0, 0.0]), np.array([0.0, 0.0, 4.0, 6.0])
    assert ellipse(first, second, 10.0, 5.0) == pytest.approx([-1, 1, -1, 1], abs=5e-3)


def test_squircle_reaches_further_into_the_corner_than_an_ellipse() -> None:
    corner = np.array([7.8])
    assert ellipse(corner, corner, 10.0, 10.0)[0] > 0
    assert squircle(corner, corner, 10.0, 10.0)[0] < 0


def test_ellipsoid_surface_is_where_it_should_be() -> None:
    distance = ellipsoid(*at(0, 0, 31), (10.0, 20.0, 30.0))
    assert distance[0] == pytest.approx(1.0, abs=5e-3)


def test_smooth_combinations_agree_with_sharp_ones_far_from_the_seam() -> None:
    first, second = np.array([5.0, -5.0, 1.0]), np.array([-5.0, 3.0, 1.0])
    assert smooth_max(first, second, 2.0) == pytest.approx([5.0, 3.0, 1.5])
    assert smooth_min(first, second, 2.0) == pytest.approx([-5.0, -5.0, 0.5])


def test_union_is_the_nearest_of_its_rods_and_none_outside_the_grid() -> None:
    canvas = Canvas((20, 20, 20), np.diag([1.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]], width_mm=1.0)
    rods = [Capsule(frame=ANATOMY, start=(x, 10, 10), end=(x, 10, 10), radii=(3, 3)) for x in (5, 14)]
    found = union(canvas, rods)
    assert found is not None
    box, distance = found
    left, posterior, cranial = canvas.coordinates(ANATOMY, box)
    expected = np.minimum(*(np.sqrt((left - x) ** 2 + (posterior - 10) ** 2 + (cranial - 10) ** 2) - 3 for x in (5, 14)))
    inside = expected < 1
    assert inside.sum() > 200
    assert distance[inside] == pytest.approx(expected[inside], abs=1e-2)
    assert union(canvas, [Capsule(frame=ANATOMY, start=(90, 90, 90), end=(95, 90, 90), radii=(2, 2))]) is None
