"""Regions of interest and heights, on bodies whose numbers are known."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from inference.ct.heights import body_heights
from inference.ct.measure import measure_bodies
from inference.ct.options import CtOptions
from inference.ct.segmentation.base import Segmentation
from inference.ct.trabecular import BodyCrop, body_extents, core_mask, crop_body, ellipse_mask, measure_roi
from inference.findings import RoiKind
from inference.volume import Volume
from tests.inference.ct.phantom import DEPTH_MM, HEIGHT_MM, WIDTH_MM, spine

pytestmark = pytest.mark.unit


def crop(volume: Volume, segmentation: Segmentation, index: int = 1) -> BodyCrop:
    vertebra = segmentation.vertebrae[index]
    return crop_body(volume, segmentation.bodies, vertebra, ndimage.find_objects(segmentation.bodies)[vertebra.label - 1])


@pytest.mark.parametrize("spacing_mm", [(3.0, 3.0, 3.0), (1.0, 0.75, 0.75), (5.0, 0.9, 0.9), (0.8, 0.8, 0.8)])
@pytest.mark.parametrize("pitch_deg", [0.0, 20.0])
def test_both_regions_hold_trabecular_bone_alone(spacing_mm: tuple[float, float, float], pitch_deg: float) -> None:
    volume, segmentation = spine(spacing_mm=spacing_mm, pitch_deg=pitch_deg)
    body = crop(volume, segmentation)
    for kind, mask in ((RoiKind.CORE, core_mask(body, 6.0)), (RoiKind.ELLIPSE, ellipse_mask(body))):
        roi = measure_roi(body, mask, kind)
        assert roi is not None
        assert roi.attenuation.mean_hu == 130  # the cortex (400 HU) and the fat (-90 HU) would show at once
        assert roi.attenuation.median_hu == 130
        assert roi.attenuation.sd_hu == 0
        assert roi.volume_ml == pytest.approx(roi.voxels * np.prod(spacing_mm) / 1000)


def test_core_is_the_body_eroded_by_true_millimetres() -> None:
    volume, segmentation = spine(spacing_mm=(1.0, 0.5, 0.5))
    body = crop(volume, segmentation)
    expected_ml = np.pi / 4 * (DEPTH_MM - 12) * (WIDTH_MM - 12) * (HEIGHT_MM - 12) / 1000  # 7.0 ml
    eroded_ml = core_mask(body, 6.0).sum() * body.voxel_ml
    assert eroded_ml == pytest.approx(expected_ml, rel=0.15)
    assert core_mask(body, 3.0).sum() > core_mask(body, 6.0).sum() > core_mask(body, 9.0).sum() > 0


def test_erosion_matches_brute_force_on_anisotropic_voxels() -> None:
    volume, segmentation = spine(("L1",), spacing_mm=(4.0, 2.0, 3.0), trabecular_hu=(100,))
    body = crop(volume, segmentation, 0)
    outside = np.argwhere(~body.mask) * np.array([4.0, 2.0, 3.0])
    for voxel in np.argwhere(body.mask)[::37]:
        nearest = np.sqrt(((outside - voxel * np.array([4.0, 2.0, 3.0])) ** 2).sum(axis=1).min())
        assert core_mask(body, 6.0)[tuple(voxel)] == (nearest > 6.001)


def test_a_body_at_the_border_of_the_volume_is_eroded_there_too() -> None:
    volume, segmentation = spine(("L1",), trabecular_hu=(100,), spacing_mm=(2.0, 2.0, 2.0))
    bodies = segmentation.bodies
    low = int(np.argwhere(bodies)[:, 0].min())
    cut_at = low + 4
    affine = volume.affine.copy()
    affine[:3, 3] += cut_at * affine[:3, 0]
    cut = Volume(hu=volume.hu[cut_at:], affine=affine)
    cut_segmentation = dataclasses.replace(segmentation, bodies=bodies[cut_at:])
    body = crop(cut, cut_segmentation, 0)
    kept = np.argwhere(core_mask(body, 6.0))[:, 0].min() + body.origin[0]
    assert kept == 3  # 3 slices of 2 mm: the centre of the first slice is 2 mm from the outside, the fourth is 8 mm


def test_a_neighbour_that_touches_counts_as_outside() -> None:
    volume, segmentation = spine(("L1", "L2"), trabecular_hu=(100, 200), spacing_mm=(1.0, 1.0, 1.0))
    bodies = segmentation.bodies.copy()
    middle = bodies.shape[0] // 2
    bodies[middle:][ndimage.binary_dilation(bodies == 1, iterations=5)[middle:] & (bodies[middle:] == 0)] = 1
    bodies[:middle][ndimage.binary_dilation(bodies == 2, iterations=5)[:middle] & (bodies[:middle] == 0)] = 2
    touching = dataclasses.replace(segmentation, bodies=bodies)
    body = crop(volume, touching, 0)
    assert np.argwhere(core_mask(body, 6.0))[:, 0].min() + body.origin[0] >= middle + 6


def test_ellipse_lies_in_the_anterior_half_of_the_middle() -> None:
    volume, segmentation = spine(spacing_mm=(1.0, 0.8, 0.8), pitch_deg=15.0)
    body = crop(volume, segmentation)
    anterior, left, cranial = body.frame_mm[ellipse_mask(body)[body.mask]].T
    assert abs(left.mean()) < 0.5
    assert abs(cranial.mean()) < 0.5
    assert anterior.mean() == pytest.approx(0.125 * DEPTH_MM, abs=1.0)
    assert np.ptp(cranial) == pytest.approx(0.4 * HEIGHT_MM, abs=1.5)
    assert np.ptp(left) == pytest.approx(0.6 * WIDTH_MM, rel=0.1)
    # The basivertebral vein enters in the posterior third
    assert anterior.min() > -DEPTH_MM / 2 + DEPTH_MM / 3 - 1.0


def test_a_dark_vein_and_a_dense_rim_do_not_reach_the_ellipse() -> None:
    volume, segmentation = spine(spacing_mm=(1.0, 0.8, 0.8))
    hu = volume.hu.copy()
    vertebra = segmentation.vertebrae[1]
    points = volume.to_lps_mm(np.argwhere(segmentation.bodies == 2)) - vertebra.centre_lps_mm
    inside = np.argwhere(segmentation.bodies == 2)
    vein = inside[(points @ vertebra.anterior < -DEPTH_MM * 0.2) & (np.abs(points @ vertebra.left) < 5)]
    hu[tuple(vein.T)] = 0
    body = crop(dataclasses.replace(volume, hu=hu), segmentation)
    ellipse = measure_roi(body, ellipse_mask(body), RoiKind.ELLIPSE)
    core = measure_roi(body, core_mask(body, 6.0), RoiKind.CORE)
    assert ellipse is not None
    assert core is not None
    assert ellipse.attenuation.mean_hu == 130
    assert core.attenuation.mean_hu < 127
    assert core.attenuation.median_hu == 130


def test_an_empty_region_gives_no_number() -> None:
    """Trap in peers: an empty eroded mask was reported as 0 HU and flagged low."""
    volume, segmentation = spine()
    body = crop(volume, segmentation)
    nothing = np.zeros_like(body.mask)
    assert measure_roi(body, nothing, RoiKind.CORE) is None
    assert measure_roi(body, core_mask(body, 30.0), RoiKind.CORE) is None


def test_a_small_region_gives_no_number() -> None:
    volume, segmentation = spine()
    body = crop(volume, segmentation)
    small = np.zeros_like(body.mask)
    voxels = np.argwhere(core_mask(body, 6.0))
    small[tuple(voxels[:900].T)] = True  # 1.8 ml
    assert measure_roi(body, small, RoiKind.CORE) is None
    small[tuple(voxels[:1100].T)] = True  # 2.2 ml
    assert measure_roi(body, small, RoiKind.CORE) is not None


def test_a_sliver_of_a_body_has_neither_ellipse_nor_heights() -> None:
    volume, segmentation = spine()
    bodies = np.zeros_like(segmentation.bodies)
    bodies[tuple(np.argwhere(segmentation.bodies == 2)[:40].T)] = 2
    body = crop(volume, dataclasses.replace(segmentation, bodies=bodies))
    assert body_extents(body) is None
    assert not ellipse_mask(body).any()
    assert body_heights(body) is None


@pytest.mark.parametrize("spacing_mm", [(3.0, 3.0, 3.0), (1.0, 0.7, 0.7), (2.5, 0.9, 0.9)])
@pytest.mark.parametrize("pitch_deg", [0.0, 12.0, 25.0])
def test_heights_of_a_block_are_its_height(spacing_mm: tuple[float, float, float], pitch_deg: float) -> None:
    volume, segmentation = spine(spacing_mm=spacing_mm, pitch_deg=pitch_deg)
    heights = body_heights(crop(volume, segmentation))
    assert heights is not None
    for value in (heights.anterior_mm, heights.middle_mm, heights.posterior_mm):
        assert value == pytest.approx(HEIGHT_MM, abs=max(1.0, 0.75 * spacing_mm[0]))  # what the mask allows


def test_heights_of_a_wedge() -> None:
    volume, segmentation = spine(spacing_mm=(1.0, 0.8, 0.8))
    vertebra = segmentation.vertebrae[1]
    inside = np.argwhere(segmentation.bodies == 2)
    points = volume.to_lps_mm(inside) - vertebra.centre_lps_mm
    fraction = (points @ vertebra.anterior) / DEPTH_MM + 0.5  # 0 at the back, 1 at the front
    roof = HEIGHT_MM / 2 - 0.4 * HEIGHT_MM * fraction  # the front has lost 40 %
    bodies = segmentation.bodies.copy()
    bodies[tuple(inside[points @ vertebra.cranial > roof].T)] = 0
    heights = body_heights(crop(volume, dataclasses.replace(segmentation, bodies=bodies)))
    assert heights is not None
    assert heights.anterior_mm == pytest.approx(HEIGHT_MM * (1 - 0.4 * 0.8), abs=0.8)
    assert heights.middle_mm == pytest.approx(HEIGHT_MM * 0.8, abs=0.8)
    assert heights.posterior_mm == pytest.approx(HEIGHT_MM * (1 - 0.4 * 0.2), abs=0.8)


def test_measure_bodies_labels_its_masks_and_passes_over_what_has_no_voxels() -> None:
    volume, segmentation = spine()
    bodies = np.where(segmentation.bodies == 3, 0, segmentation.bodies).astype(np.uint8)
    measured = measure_bodies(volume, dataclasses.replace(segmentation, bodies=bodies), CtOptions())
    assert [body.vertebra.level for body in measured.bodies] == ["T12", "L1"]
    assert set(np.unique(measured.core)) == set(np.unique(measured.ellipse)) == {0, 1, 2}
    assert (measured.core[measured.core > 0] == bodies[measured.core > 0]).all()
    for body in measured.bodies:
        for mask, kind in ((measured.core, RoiKind.CORE), (measured.ellipse, RoiKind.ELLIPSE)):
            roi = next(roi for roi in body.rois if roi.kind is kind)
            values = volume.hu[mask == body.vertebra.label]
            assert roi.voxels == values.size
            assert roi.attenuation.mean_hu == pytest.approx(values.mean())


def test_what_quality_needs_is_seen_inside_and_near_the_body_only() -> None:
    volume, segmentation = spine(("T12", "L1", "L2"), spacing_mm=(2.0, 1.0, 1.0))
    hu = volume.hu.copy()
    hu[:, :4, :4] = 3000  # metal in a far corner: a hip, an arm
    inside = np.argwhere(segmentation.bodies == 2)
    centre = inside.mean(axis=0)
    blob = inside[(((inside - centre) * np.array([2.0, 1.0, 1.0])) ** 2).sum(axis=1) < 36]
    hu[tuple(blob.T)] = 1400  # cement in L1
    above, cemented, below = measure_bodies(dataclasses.replace(volume, hu=hu), segmentation, CtOptions()).bodies
    assert cemented.cement_ml > 0.5
    assert cemented.dense_fraction > 0.05
    assert above.cement_ml == below.cement_ml == 0
    assert above.metal_ml == cemented.metal_ml == below.metal_ml == 0
    hu[tuple((blob + np.array([0, -22, 0])).T)] = 3000  # a screw just in front of L1
    screwed = measure_bodies(dataclasses.replace(volume, hu=hu), segmentation, CtOptions()).bodies[1]
    assert screwed.metal_ml > 0.5


def test_a_whole_body_that_touches_the_border_is_not_whole() -> None:
    volume, segmentation = spine(margin_mm=0.0)
    assert [body.whole for body in measure_bodies(volume, segmentation, CtOptions()).bodies] == [False, True, False]
