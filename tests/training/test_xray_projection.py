"""Line integrals: lengths, masses, magnification, where a point falls."""

from dataclasses import replace

import numpy as np
import pytest

from tests.training.xray_patients import painted_spine, phantom
from training.simulation.xray.attenuation import Material
from training.simulation.xray.composition import BASIS
from training.simulation.xray.projection import Beam, Detector, LineIntegrals, View, axes_mm, line_integrals

pytestmark = pytest.mark.unit

MINERAL = BASIS.index(Material.MINERAL)
PARALLEL = Beam(view=View.PA, centre_mm=(0.0, 0.0), detector_w_mm=-50.0)


def detector(pitch_mm: float = 2.0, count: int = 61) -> Detector:
    first = -(count - 1) / 2 * pitch_mm
    return Detector(first_u_mm=first, first_v_mm=first, pitch_mm=pitch_mm, rows=count, columns=count)


def bead(left: int, posterior: int, cranial: int) -> tuple[np.ndarray, np.ndarray]:
    """One dense voxel in air on a grid of 41."""
    hu = np.full((41, 41, 41), -1000.0, np.float32)
    mineral = np.zeros_like(hu)
    hu[cranial, posterior, left], mineral[cranial, posterior, left] = 1300.0, 1000.0
    return hu, mineral


def test_a_slab_weighs_its_density_times_its_depth() -> None:
    hu = np.full((30, 40, 30), -1000.0, np.float32)
    hu[:, 10:25] = 300.0
    mineral = np.where(hu > 0, np.float32(250.0), np.float32(0))
    integrals = line_integrals(phantom(hu, mineral, 2.0), PARALLEL, detector(2.0, 11))
    assert integrals.mass_g_cm2[MINERAL] == pytest.approx(0.25 * 15 * 0.2, rel=1e-5)


def test_rays_off_the_axis_are_longer() -> None:
    hu = np.full((60, 20, 60), 0.0, np.float32)
    beam = replace(PARALLEL, source_mm=200.0)
    lean = line_integrals(phantom(hu, np.zeros_like(hu), 2.0), beam, detector(2.0, 31)).mass_g_cm2[0]
    assert lean[15, 30] / lean[15, 15] == pytest.approx(np.sqrt(1 + 30.0**2 / 200.0**2), rel=1e-4)


@pytest.mark.parametrize("view", list(View))
def test_a_bead_falls_where_its_ray_meets_the_detector(view: View) -> None:
    hu, mineral = bead(28, 10, 31)
    block = phantom(hu, mineral, 2.0)
    wall = {View.PA: -50.0, View.AP: 50.0, View.LATERAL: 50.0}[view]
    beam = Beam(view=view, centre_mm=(4.0, -6.0), detector_w_mm=wall, source_mm=400.0)
    image = line_integrals(block, beam, detector()).mass_g_cm2[MINERAL]
    row, column = (float((axis * image).sum() / image.sum()) for axis in np.mgrid[: image.shape[0], : image.shape[1]])
    left, posterior, cranial = axes_mm(block)
    expected = beam.project(np.array([[left[28], posterior[10], cranial[31]]]))[0]
    assert (detector().u_mm[0] + 2 * column, detector().v_mm[0] + 2 * row) == pytest.approx(tuple(expected), abs=0.15)


def test_what_is_far_from_the_detector_is_larger() -> None:
    beam = Beam(view=View.PA, centre_mm=(0.0, 0.0), detector_w_mm=-120.0, source_mm=1800.0)
    near, far = beam.magnification(np.array([-120.0, 60.0]))
    assert near == pytest.approx(1.0)
    assert far == pytest.approx(1800 / 1620)


def test_mass_is_kept_by_parallel_rays() -> None:
    """Voxels times their volume: no projection in it."""
    painted = painted_spine()
    left, _, cranial = axes_mm(painted)
    spacing = float(left[1] - left[0])
    whole = Detector(first_u_mm=float(left[0]), first_v_mm=float(cranial[0]), pitch_mm=spacing, rows=len(cranial), columns=len(left))
    image = line_integrals(painted, Beam(view=View.PA, centre_mm=(0.0, 0.0), detector_w_mm=0.0), whole).mass_g_cm2[MINERAL]
    bone = painted.hu < 1900
    expected_g = float(painted.mineral_mg_cm3[bone].sum(dtype=np.float64)) * spacing**3 / 1e6
    assert float(image.sum(dtype=np.float64)) * spacing**2 / 100 == pytest.approx(expected_g, rel=1e-4)


def test_finer_pixels_keep_the_mass() -> None:
    hu, mineral = bead(20, 20, 20)
    coarse = line_integrals(phantom(hu, mineral, 2.0), PARALLEL, detector(2.0, 31))
    fine = coarse.resampled(coarse.detector.with_pitch(0.5))
    assert fine.mass_g_cm2.shape[1:] == (124, 124)
    assert fine.mass_g_cm2[MINERAL].sum() * 0.25 == pytest.approx(coarse.mass_g_cm2[MINERAL].sum() * 4, rel=0.01)


def test_a_body_off_the_axes_is_refused() -> None:
    painted = painted_spine()
    askew = painted.affine.copy()
    askew[0, 1] = 0.3
    with pytest.raises(ValueError, match="paint_anatomy"):
        axes_mm(replace(painted, affine=askew))


def test_the_spline_passes_through_its_pixels_and_between_them_smoothly() -> None:
    coarse = detector(2.0, 21)
    wave = (2 + np.sin(coarse.u_mm / 9)[None, :] * np.cos(coarse.v_mm / 7)[:, None]).astype(np.float32)
    integrals = LineIntegrals(mass_g_cm2=np.stack([wave] * 4), detector=coarse)
    assert integrals.resampled(coarse).mass_g_cm2[0] == pytest.approx(wave, abs=1e-5)
    fine = integrals.resampled(coarse.with_pitch(0.5))
    expected = 2 + np.sin(fine.detector.u_mm / 9)[None, :] * np.cos(fine.detector.v_mm / 7)[:, None]
    assert fine.mass_g_cm2[2][16:-16, 16:-16] == pytest.approx(expected[16:-16, 16:-16], abs=3e-3)
