from dataclasses import replace

import numpy as np
import pytest

from inference.ct.series.geometry import plane_axes, stack_geometry
from inference.errors import ReasonCode, Refusal
from inference.reading import InstanceHeader
from tests.inference.headers import ct_stack, evenly

pytestmark = pytest.mark.unit


def refusal_of(headers: tuple[InstanceHeader, ...]) -> Refusal:
    with pytest.raises(Refusal) as refused:
        stack_geometry(headers)
    return refused.value


def tilted(degrees: float, count: int = 20, step_mm: float = 3.0, wobble_mm: float = 0.0) -> tuple[InstanceHeader, ...]:
    """Images whose rows tilt about x while the table moves along z; every second one off by ``wobble_mm`` in y."""
    cos, sin = float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))
    orientation = (1.0, 0.0, 0.0, 0.0, cos, -sin)
    return tuple(
        replace(header, image_orientation=orientation, image_position=(-180.0, -180.0 + wobble_mm * (i % 2), header.image_position[2]))
        for i, header in enumerate(ct_stack(evenly(count, step_mm)))
    )


def test_regular_stack_in_any_order_of_files() -> None:
    headers = ct_stack(evenly(5, 3.0, -10.0))
    shuffled = tuple(headers[i] for i in (3, 0, 4, 2, 1))
    geometry = stack_geometry(shuffled)
    assert geometry.layers == ((1,), (4,), (3,), (0,), (2,))
    assert geometry.spacing_mm == pytest.approx(3.0)
    assert geometry.coverage_mm == pytest.approx(15.0)
    assert geometry.tilt_deg == 0.0
    expected = [[0, 0, 0.7, -180], [0, 0.7, 0, -180], [3, 0, 0, -10], [0, 0, 0, 1]]
    np.testing.assert_allclose(geometry.affine, expected, atol=1e-12)


def test_feet_first_changes_nothing_but_instance_numbers() -> None:
    """Feet first, the table moves the other way: numbers fall towards the head, positions are patient coordinates all the same."""
    headers = ct_stack(evenly(6, -2.0, 50.0))
    geometry = stack_geometry(headers)
    assert geometry.layers[0] == (5,)
    np.testing.assert_allclose(geometry.affine[:3, 0], (0, 0, 2))
    np.testing.assert_allclose(geometry.affine[:3, 3], (-180, -180, 40))


def test_prone_images_keep_their_place_in_the_patient() -> None:
    headers = tuple(
        replace(h, image_orientation=(-1.0, 0.0, 0.0, 0.0, -1.0, 0.0), image_position=(180.0, 180.0, h.image_position[2]))
        for h in ct_stack(evenly(5))
    )
    affine = stack_geometry(headers).affine
    np.testing.assert_allclose(affine @ [1, 10, 20, 1], (180 - 14, 180 - 7, 3, 1))


def test_slices_ascend_to_the_head_when_the_normal_points_to_the_feet() -> None:
    headers = tuple(replace(h, image_orientation=(1.0, 0.0, 0.0, 0.0, -1.0, 0.0)) for h in ct_stack(evenly(5)))
    geometry = stack_geometry(headers)
    assert geometry.layers[0] == (0,)
    np.testing.assert_allclose(geometry.affine[:3, 0], (0, 0, 3))
    assert geometry.spacing_mm == pytest.approx(3.0)


def test_non_square_pixels_keep_row_and_column_apart() -> None:
    geometry = stack_geometry(ct_stack(evenly(4), pixel_spacing_mm=(0.9, 0.5)))
    np.testing.assert_allclose(np.linalg.norm(geometry.affine[:3, :3], axis=0), (3.0, 0.9, 0.5))


def test_rounded_positions_do_not_add_up_to_a_wrong_length() -> None:
    """0.625 mm written with one decimal: the median step is 0.6 or 0.7, the stack is 0.625 all the same."""
    headers = ct_stack([round(0.625 * index, 1) for index in range(401)])
    assert stack_geometry(headers).spacing_mm == pytest.approx(0.625, abs=1e-4)


def test_missing_slice_is_located() -> None:
    refusal = refusal_of(ct_stack([0, 5, 10, 20, 25, 40]))
    assert refusal.code is ReasonCode.MISSING_SLICES
    assert "3 slice(s) missing at 5.00 mm" in refusal.text
    assert "10.0 and 20.0 mm" in refusal.text
    assert "25.0 and 40.0 mm" in refusal.text


def test_most_slices_missing_is_told_by_instance_numbers() -> None:
    heights = [2.5 * n for n in (0, 19, 32, 78, 81, 124)]
    headers = tuple(replace(h, instance_number=round(h.image_position[2] / 2.5) + 2) for h in ct_stack(heights))
    refusal = refusal_of(headers)
    assert refusal.code is ReasonCode.MISSING_SLICES
    assert "119 of 125 slices missing" in refusal.text


@pytest.mark.parametrize("heights", [[0, 1.1, 4, 8, 12, 19], [0, 3, 6, 10.5, 13.5, 16.5], [0, 3, 6, 7, 10, 13]])
def test_varying_steps_are_irregular(heights: list[float]) -> None:
    refusal = refusal_of(ct_stack(heights))
    assert refusal.code is ReasonCode.IRREGULAR_SPACING


def test_steps_that_creep_are_irregular() -> None:
    """Each step is within tolerance of the median; the positions leave the regular grid all the same."""
    heights = np.concatenate([[0], np.cumsum([2.75] * 30 + [3.25] * 30)])
    refusal = refusal_of(ct_stack([float(z) for z in heights]))
    assert refusal.code is ReasonCode.IRREGULAR_SPACING


def test_images_at_one_position_share_a_layer() -> None:
    geometry = stack_geometry(ct_stack([0, 3, 3.004, 6]))
    assert geometry.layers == ((0,), (1, 2), (3,))
    assert geometry.has_duplicates


def test_one_position_is_no_volume() -> None:
    assert refusal_of(ct_stack([7.0] * 4)).code is ReasonCode.NOT_A_VOLUME


def test_duplicates_beside_gaps_are_mentioned() -> None:
    refusal = refusal_of(ct_stack([0, 3, 3, 9, 12]))
    assert refusal.code is ReasonCode.MISSING_SLICES
    assert "1 position(s) hold several images" in refusal.text


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"image_orientation": ()}, ReasonCode.ORIENTATION_MISSING),
        ({"image_orientation": (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)}, ReasonCode.ORIENTATION_MISSING),
        ({"image_orientation": (1.0, 0.0, 0.0, 0.0, 0.9, 0.0)}, ReasonCode.ORIENTATION_MISSING),
        ({"image_orientation": (0.0,) * 6}, ReasonCode.ORIENTATION_MISSING),
        ({"image_orientation": (1.0, 0.0, 0.0, 0.1, 0.995, 0.0)}, ReasonCode.ORIENTATION_MISSING),
        ({"pixel_spacing_mm": ()}, ReasonCode.SPACING_MISSING),
        ({"pixel_spacing_mm": (0.0, 0.0)}, ReasonCode.SPACING_MISSING),
        ({"pixel_spacing_mm": (0.7, -0.7)}, ReasonCode.SPACING_MISSING),
    ],
)
def test_missing_geometry_is_never_guessed(changes: dict[str, tuple[float, ...]], code: ReasonCode) -> None:
    headers = tuple(replace(header, **changes) for header in ct_stack(evenly(5)))
    assert refusal_of(headers).code is code


def test_one_missing_position_refuses_the_stack() -> None:
    headers = ct_stack(evenly(5))
    refusal = refusal_of((*headers[:4], replace(headers[4], image_position=())))
    assert refusal.code is ReasonCode.ORIENTATION_MISSING
    assert "1 of 5" in refusal.text


@pytest.mark.parametrize("degrees", [-20.0, 1.0, 14.0])
def test_regular_tilt_is_measured_and_kept_as_shear(degrees: float) -> None:
    geometry = stack_geometry(tilted(degrees))
    assert geometry.tilt_deg == pytest.approx(abs(degrees), abs=1e-6)
    np.testing.assert_allclose(geometry.affine[:3, 0], (0, 0, 3), atol=1e-9)
    assert geometry.spacing_mm == pytest.approx(3.0 * np.cos(np.radians(degrees)))


def test_a_shear_of_rounded_headers_is_no_tilt() -> None:
    geometry = stack_geometry(tilted(0.3))
    assert geometry.tilt_deg == 0.0
    steps = geometry.affine[:3, :3] / np.linalg.norm(geometry.affine[:3, :3], axis=0)
    np.testing.assert_allclose(steps.T @ steps, np.eye(3), atol=1e-9)


def test_oblique_reformat_without_shear_is_no_tilt() -> None:
    """Images parallel to a disc, stacked along their own normal."""
    angle = np.radians(12.0)
    normal = np.array([0, np.sin(angle), np.cos(angle)])
    headers = tuple(
        replace(
            header,
            image_orientation=(1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(-np.sin(angle))),
            image_position=tuple(float(value) for value in normal * 3 * index),
        )
        for index, header in enumerate(ct_stack(evenly(10)))
    )
    geometry = stack_geometry(headers)
    assert geometry.tilt_deg == 0.0
    assert geometry.spacing_mm == pytest.approx(3.0)


@pytest.mark.parametrize(
    "headers",
    [
        tilted(21.0),
        tilted(10.0, wobble_mm=1.5),
        tuple(header for index, header in enumerate(tilted(10.0)) if index != 4),
    ],
    ids=["large", "uneven", "with a gap"],
)
def test_large_or_irregular_tilt_is_refused(headers: tuple[InstanceHeader, ...]) -> None:
    assert refusal_of(headers).code is ReasonCode.GANTRY_TILT


def test_images_shifted_within_their_plane_are_no_volume() -> None:
    headers = list(ct_stack(evenly(10)))
    headers[4] = replace(headers[4], image_position=(-150.0, -180.0, 12.0))
    refusal = refusal_of(tuple(headers))
    assert refusal.code is ReasonCode.NOT_A_VOLUME
    assert "30.0 mm" in refusal.text


def test_plane_axes_are_orthonormal_after_rounding() -> None:
    axes = plane_axes((0.9999, 0.0, 0.0, 0.0005, 0.9272, -0.3746))
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert axes[2] @ [0, 0.3746, 0.9272] == pytest.approx(1.0, abs=1e-3)
