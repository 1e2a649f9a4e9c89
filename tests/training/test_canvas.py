"""Painting: partial volume is analytic, whatever the grid."""

import numpy as np
import pytest

from training.simulation.canvas import AIR_HU, ANATOMY, Canvas, Frame, Region
from training.simulation.spine import rotation

pytestmark = pytest.mark.unit

XYZ = np.eye(4)[[2, 1, 0, 3]]
"""(slice, row, column) to (x, y, z) at 1 mm."""


def canvas_of(spacing: float, voxels: int = 16) -> Canvas:
    affine = XYZ @ np.diag([spacing, spacing, spacing, 1.0])
    return Canvas((voxels, voxels, voxels), affine, width_mm=spacing)


@pytest.mark.parametrize("spacing", [0.5, 1.0, 3.0])
def test_a_thin_plate_keeps_its_mass_on_any_grid(spacing: float) -> None:
    canvas = canvas_of(spacing, voxels=round(30 / spacing))

    def plate(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> list[tuple[np.ndarray, float]]:
        distance = np.abs(x - np.float32(14.2)) - 5 + 0 * (y + z)
        return [(distance, 1000.0), (distance + 1, 200.0)]

    canvas.paint(Region(frame=ANATOMY, low=(0, 0, 0), high=(30, 30, 30)), plate)
    line = canvas.hu[3, 3] - AIR_HU
    assert line.sum() * spacing == pytest.approx(2 * 2000 + 8 * 1200, rel=1e-3)


def test_nested_surfaces_never_let_the_background_through() -> None:
    canvas = canvas_of(4.0)
    canvas.hu[:] = -1000
    box = (slice(0, 1), slice(0, 1), slice(0, 3))
    distance = np.array([[[-4.0, -2.0, 0.0]]], dtype=np.float32)
    canvas.blend(box, [(distance, 800.0), (distance + 1, 100.0)], label=3)
    # 4 mm inside: all interior; 2 mm inside: a quarter cortex; on the surface: a quarter cortex, a quarter interior, half air
    assert canvas.hu[0, 0, :3] == pytest.approx([100.0, 0.25 * 800 + 0.75 * 100, -500 + 200 + 25])
    assert canvas.labels[0, 0, :3].tolist() == [3, 3, 0]


def test_shells_paint_what_blend_paints() -> None:
    rng = np.random.default_rng(0)
    first, second = canvas_of(1.0, 8), canvas_of(1.0, 8)
    box = (slice(0, 8), slice(0, 8), slice(0, 8))
    distance = rng.uniform(-3, 3, (8, 8, 8)).astype(np.float32)
    first.blend(box, [(distance, 700.0), (distance + 1.2, 150.0)])
    second.blend_shells(box, distance, [(0.0, 700.0), (1.2, 150.0)])
    assert second.hu == pytest.approx(first.hu, abs=1e-3)
    assert first.hu.max() > 600


def test_coordinates_follow_rotated_frames_and_sheared_grids() -> None:
    affine = XYZ.copy()
    affine[2, 1] = 0.2
    canvas = Canvas((6, 7, 8), affine, width_mm=1.0)
    frame = Frame(origin=np.array([1.0, 2.0, 3.0]), axes=rotation(20.0, 10.0, -15.0))
    box = (slice(1, 5), slice(0, 7), slice(2, 8))
    local = np.stack(np.broadcast_arrays(*canvas.coordinates(frame, box)), axis=-1)
    world = affine[:3, :3] @ np.array([4, 6, 7]) + affine[:3, 3]
    assert local[3, 6, 5] == pytest.approx(frame.axes.T @ (world - frame.origin), abs=1e-4)


def test_a_region_outside_the_grid_has_no_box() -> None:
    assert canvas_of(1.0).box(Region(frame=ANATOMY, low=(50, 50, 50), high=(60, 60, 60))) is None


def test_painting_in_slabs_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def ball(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> list[tuple[np.ndarray, float]]:
        return [(np.sqrt((x - 8.3) ** 2 + (y - 7.6) ** 2 + (z - 8.1) ** 2) - 5, 40.0)]

    region = Region(frame=ANATOMY, low=(3, 3, 3), high=(13, 13, 13))
    whole, pieces = canvas_of(1.0), canvas_of(1.0)
    whole.paint(region, ball, label=1)
    monkeypatch.setattr("training.simulation.canvas.SLAB_VOXELS", 300)
    pieces.paint(region, ball, label=1)
    assert np.array_equal(whole.hu, pieces.hu)
    assert whole.labels.sum() == pytest.approx(4 / 3 * np.pi * 125, rel=0.05)
