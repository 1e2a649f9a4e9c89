"""The steps of the classical method on data whose answer is known."""

import numpy as np
import pytest

from inference.ct.segmentation.bodies import lies_whole, to_native
from inference.ct.segmentation.canal import Corridor, canal_score, enclosure, longest_valid, viterbi_path
from inference.ct.segmentation.centreline import Curve, axes_across, resample_curve, tangents_of
from inference.ct.segmentation.classical import broken_spaces, change_from_neighbours
from inference.ct.segmentation.discs import Disc, baseline_hu, chain_of_discs, find_discs
from inference.ct.segmentation.endplates import find_endplate, lattice, robust_quadratic
from inference.ct.segmentation.ribs import RibStatus, Root, is_rib, rib_statuses, slots, status_of
from inference.ct.segmentation.sacrum import disc_at_top, find_sacrum, top_of_ala
from inference.ct.segmentation.straighten import HALF_WIDTH_MM, StraightSpine
from inference.ct.segmentation.surroundings import Surroundings, beside, edge_of
from inference.ct.segmentation.wall import ANGLES, closed_contours, find_wall, radii_mm

pytestmark = pytest.mark.unit


def straight_curve(planes: int, radius_mm: float) -> Curve:
    """A vertical centre line at frame (z, 0, 0), one plane per mm."""
    ones = np.ones(planes)
    return Curve(
        points_mm=np.column_stack([np.arange(planes), 0 * ones, 0 * ones]).astype(float),
        tangent=np.tile([1.0, 0.0, 0.0], (planes, 1)),
        anterior=np.tile([0.0, -1.0, 0.0], (planes, 1)),
        left=np.tile([0.0, 0.0, 1.0], (planes, 1)),
        radius_mm=radius_mm * ones,
        depth_ratio=0.8 * ones,
        step_mm=1.0,
    )


def straight_spine(planes: int = 150, pitch: int = 36, disc_mm: int = 8, first: int = 20, marrow_hu: float = 120.0) -> StraightSpine:
    """Elliptical bodies (half-width 24, depth ratio 0.8) with 2 mm of cortex, discs of 80 HU, in muscle of 50 HU."""
    line = np.arange(-HALF_WIDTH_MM, HALF_WIDTH_MM + 1, dtype=float)
    ahead, left = np.meshgrid(line, line, indexing="ij")
    rho = np.hypot(ahead / (24 * 0.8), left / 24)
    hu = np.full((planes, line.size, line.size), 50.0, dtype=np.float32)
    for plane in range(planes):
        phase = (plane - first + pitch / 2) % pitch - pitch / 2  # distance from the nearest disc's middle
        if abs(phase) <= disc_mm / 2:
            hu[plane][rho <= 1] = 80
        else:
            hu[plane][rho <= 1] = 280 if abs(phase) <= disc_mm / 2 + 2 else marrow_hu
            hu[plane][(rho <= 1) & (rho > 0.9)] = 300
    return StraightSpine(hu=hu, curve=straight_curve(planes, 24.0))


@pytest.mark.parametrize("marrow_hu", [35.0, 120.0, 260.0])
def test_discs_endplates_and_walls_of_a_straight_spine(marrow_hu: float) -> None:
    spine = straight_spine(marrow_hu=marrow_hu)
    discs = find_discs(spine)
    assert [disc.along for disc in discs] == pytest.approx([20, 56, 92, 128], abs=1.5)
    assert all(disc.score > 60 and abs(disc.sagittal_slope) < 0.12 for disc in discs)
    upper = find_endplate(spine, discs[2], -1, 36.0)
    assert upper.along(np.array([0.0]), np.array([0.0]))[0] == pytest.approx(92 - 4.5, abs=1.2)
    lower = find_endplate(spine, discs[1], +1, 36.0)
    assert lower.along(np.array([5.0]), np.array([-5.0]))[0] == pytest.approx(56 + 4.5, abs=1.2)
    canal = np.column_stack([np.arange(150.0), np.full(150, 28.0), np.zeros(150)])
    wall = find_wall(spine, canal)
    assert wall.at(np.array([74.0]), np.array([np.pi / 2]))[0] == pytest.approx(24.0, abs=1.5)
    assert wall.at(np.array([74.0]), np.array([0.0]))[0] == pytest.approx(19.2, abs=1.5)
    assert float(np.median(wall.contrast_hu[64:84])) > 100


def test_straight_coordinates_lead_back_to_the_frame() -> None:
    spine = straight_spine(planes=40)
    point = spine.to_frame_mm(np.array([10.5]), np.array([7.0]), np.array([-3.0]))
    np.testing.assert_allclose(point, [[10.5, -7.0, -3.0]])
    assert spine.sample(np.array([38.0]), np.array([0.0]), np.array([0.0]))[0] == spine.hu[38, 44, 44]


def test_the_chain_keeps_regular_discs_and_leaves_out_an_echo() -> None:
    score = np.full(200, -20.0)
    score[[20, 56, 92, 128, 164]] = 60.0
    score[74] = 30.0  # inside a body
    assert chain_of_discs(score, np.full(200, 24.0), 1.0) == [20, 56, 92, 128, 164]


def test_the_chain_passes_a_crushed_body() -> None:
    score = np.full(200, -20.0)
    score[[20, 56, 78, 112, 148]] = 60.0
    assert chain_of_discs(score, np.full(200, 24.0), 1.0) == [20, 56, 78, 112, 148]


def test_no_disc_no_chain_and_one_disc_is_no_pair() -> None:
    assert chain_of_discs(np.full(100, -5.0), np.full(100, 20.0), 1.0) == []
    single = np.full(100, -50.0)
    single[40] = 30.0
    assert chain_of_discs(single, np.full(100, 20.0), 1.0) == [40]


def test_the_baseline_bends() -> None:
    np.testing.assert_allclose(baseline_hu(np.array([0, 40, 60, 100], dtype=np.float32)), [9, 18, 27, 39])


def test_a_quadratic_surface_ignores_an_outlier() -> None:
    ahead, left = lattice()
    surface = 2.0 + 0.05 * ahead + 0.002 * left**2
    noisy = surface.copy()
    noisy[15:18, 15:18] += 12.0
    fitted = robust_quadratic(noisy, np.full(surface.shape, 50.0))
    assert np.abs(fitted - surface)[8:27, 8:27].max() < 1.0


def test_a_closed_contour_follows_a_ring_across_the_seam() -> None:
    radius = 20.0 + 3.0 * np.cos(np.arange(ANGLES) * 2 * np.pi / ANGLES)
    gain = -np.abs(radii_mm()[None, None] - radius[None, :, None]) * np.ones((2, 1, 1))
    found = radii_mm()[closed_contours(gain.astype(np.float32))]
    np.testing.assert_allclose(found, np.tile(radius, (2, 1)), atol=0.5)


def test_enclosure_knows_a_ring_of_bone() -> None:
    y, x = np.mgrid[:41, :41] - 20
    ring = (np.abs(np.hypot(y, x) - 7) < 1)[None].repeat(2, axis=0)
    around, behind, roomy = enclosure(ring, 1.5)
    assert around[0, 20, 20] == 1.0
    assert behind[0, 20, 20] == 1.0
    assert roomy[0, 20, 20] == 1.0
    assert around[0, 0, 0] < 0.3


def test_the_canal_scores_higher_than_a_vessel_in_fat() -> None:
    y, x = np.mgrid[:80, :60]
    hu = np.full((3, 80, 60), -100.0, dtype=np.float32)
    hu[:, (y - 50) ** 2 + (x - 30) ** 2 < 121] = 400
    hu[:, (y - 50) ** 2 + (x - 30) ** 2 < 49] = 30
    hu[:, (y - 30) ** 2 + (x - 30) ** 2 < 144] = 200
    hu[:, (y - 60) ** 2 + (x - 8) ** 2 < 36] = 30
    corridor = Corridor(hu=hu, first_yx=(0, 0), spacing_mm=1.5, midline_mm=np.full(3, 45.0))
    score = canal_score(corridor, 140.0)
    assert score[1, 50, 30] > 0.5
    assert score[1, 60, 8] < 0.02


def test_viterbi_follows_a_slanting_path_and_does_not_jump() -> None:
    score = np.zeros((30, 40, 20), dtype=np.float32)
    for plane in range(30):
        score[plane, 5 + plane, 10] = 1.0
    score[15, 2, 2] = 5.0  # a bright distraction too far away
    path = viterbi_path(score)
    np.testing.assert_array_equal(path[:, 0], 5 + np.arange(30))
    assert set(path[:, 1]) == {10}


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([0.0] * 40, (0, 0)), ([0.5] * 40, (0, 40)), ([0.5] * 30 + [0.0] * 40 + [0.5] * 10, (0, 30)), ([0.05] * 10 + [0.5] * 30, (10, 40))],
)
def test_the_longest_valid_stretch(scores: list[float], expected: tuple[int, int]) -> None:
    assert longest_valid(np.array(scores, dtype=np.float32), 1.5) == expected


def test_curves_have_even_steps_and_right_handed_frames() -> None:
    points, lengths = resample_curve(np.array([[0.0, 0, 0], [10, 0, 0], [10, 10, 0]]), 2.5)
    assert lengths[-1] == 20
    np.testing.assert_allclose(np.linalg.norm(np.diff(points, axis=0), axis=1), 2.5, atol=1e-9)
    tangent = tangents_of(np.column_stack([np.arange(60.0), 0.5 * np.arange(60.0), np.zeros(60)]), 3.0)
    np.testing.assert_allclose(tangent[30], np.array([2, 1, 0]) / np.sqrt(5), atol=1e-6)
    anterior, left = axes_across(np.array([[1.0, 0, 0]]), np.array([[0.4, -1.0, 0]]))
    np.testing.assert_allclose(anterior, [[0, -1, 0]])
    np.testing.assert_allclose(left, [[0, 0, 1]], atol=1e-12)


def test_interpolation_to_native_voxels_is_linear() -> None:
    z, y, x = np.meshgrid(*[np.arange(n) * 1.25 for n in (8, 9, 10)], indexing="ij")
    fine = to_native((z + 2 * y - x).astype(np.float32), np.array([4, 11, 6]), np.array([2.0, 0.7, 1.1]))
    assert fine.shape == (4, 11, 6)
    assert fine[3, 10, 5] == pytest.approx(6 + 14 - 5.5, abs=1e-4)


@pytest.mark.parametrize(("first", "whole"), [((5, 5, 5), True), ((0, 5, 5), False), ((5, 1, 5), False), ((5, 5, 16), False)])
def test_a_body_near_the_border_is_not_whole(first: tuple[int, int, int], whole: bool) -> None:
    voxels = np.ones((3, 3, 3), dtype=bool)
    assert lies_whole(voxels, np.array(first), np.array([20, 20, 20])) is whole
    assert not lies_whole(np.zeros((3, 3, 3), dtype=bool), np.array(first), np.array([20, 20, 20]))


def test_sizes_are_compared_with_the_neighbours() -> None:
    assert change_from_neighbours([30.0, 15.0, 30.0], 1) == pytest.approx(-0.5)
    assert change_from_neighbours([30.0, 24.0], 0) == pytest.approx(0.25)
    assert change_from_neighbours([30.0], 0) == 0.0
    assert broken_spaces([0, 35, 70, 140, 175]) == (False, False, False, True, False, False)
    assert broken_spaces([0, 35]) == (False, False, False)


def around_with(bones: list[tuple[float, float, float, float, float, float]], value: float = 400.0) -> Surroundings:
    """Soft tissue with boxes (along from, to; ahead from, to; left from, to) of bone with a marrow of 150 HU."""
    along, ahead, left = np.arange(0, 200, 2.0), np.arange(-70, 51, 2.0), np.arange(-150, 151, 2.0)
    hu = np.full((along.size, ahead.size, left.size), 40.0, dtype=np.float32)
    for s0, s1, a0, a1, l0, l1 in bones:
        for margin, filled in ((0.0, value), (3.0, 150.0)):
            rows = (along >= s0 + margin) & (along <= s1 - margin)
            depth = (ahead >= a0 + margin) & (ahead <= a1 - margin)
            columns = (left >= l0 + margin) & (left <= l1 - margin)
            hu[np.ix_(rows, depth, columns)] = filled
    seen = np.ones(hu.shape, dtype=bool)
    radius = np.full(along.size, 22.0)
    return Surroundings(hu=hu, seen=seen, edge=edge_of(seen), along=along, ahead_mm=ahead, left_mm=left, radius_mm=radius)


def discs_at(*along: float, score: float = 80.0) -> list[Disc]:
    """Level discs of one score."""
    return [Disc(along=at, sagittal_slope=0.0, coronal_slope=0.0, score=score) for at in along]


PELVIS = [(10.0, 60.0, -20.0, 20.0, 22.0, 100.0), (10.0, 60.0, -20.0, 20.0, -100.0, -22.0)]


def test_two_alae_make_the_disc_above_them_the_last_one() -> None:
    anchor = find_sacrum(around_with(PELVIS), discs_at(62, 98, 134))
    assert (anchor.disc, anchor.seen, anchor.doubtful) == (0, True, False)
    below = find_sacrum(around_with(PELVIS), discs_at(25, 62, 98, 134))
    assert (below.disc, below.doubtful) == (1, True)


def test_one_ala_an_even_organ_or_no_disc_make_no_sacrum() -> None:
    assert not find_sacrum(around_with(PELVIS[:1]), discs_at(62, 98)).seen
    assert not find_sacrum(around_with(PELVIS, value=200.0), discs_at(62, 98)).seen
    assert not find_sacrum(around_with(PELVIS), []).seen
    assert find_sacrum(around_with(PELVIS), discs_at(84, 120)).disc is None


def test_alae_that_end_at_different_heights_settle_nothing() -> None:
    uneven = [(10.0, 60.0, -20.0, 20.0, 22.0, 100.0), (10.0, 95.0, -20.0, 20.0, -100.0, -22.0)]
    anchor = find_sacrum(around_with(uneven), discs_at(62, 98, 134))
    assert anchor.seen
    assert anchor.disc is None


def test_the_top_of_an_ala_needs_bone_beneath_it() -> None:
    profile = np.zeros(80, dtype=np.float32)
    profile[10:40] = 200
    assert top_of_ala(profile, 2.0) == pytest.approx(39, abs=1)
    assert top_of_ala(profile[36:], 2.0) is None
    assert top_of_ala(profile[:0], 2.0) is None


def test_the_upper_part_of_an_ala_may_hold_less_than_half_of_its_peak() -> None:
    profile = np.zeros(80, dtype=np.float32)
    profile[:10] = 330
    profile[10:40] = 130
    assert top_of_ala(profile, 2.0) == pytest.approx(39, abs=1)
    profile[40:50] = 20  # a thin process that touches the pelvis is none of its top
    assert top_of_ala(profile, 2.0) == pytest.approx(39, abs=1)
    assert top_of_ala(np.full(80, 30.0, dtype=np.float32), 2.0) is None


@pytest.mark.parametrize(("top", "disc"), [(60.0, 0), (50.0, 0), (46.0, 0), (44.0, None), (74.0, 0), (90.0, 1), (78.0, None)])
def test_which_disc_fits_the_top(top: float, disc: int | None) -> None:
    assert disc_at_top(top, discs_at(62, 98)) == disc


def test_ribs_are_long_and_transverse_processes_are_not() -> None:
    bones = []
    for side in (1, -1):
        bones += [
            (120.0, 132.0, -30.0, -20.0, *sorted((side * 24.0, side * 110.0))),
            (80.0, 92.0, -30.0, -20.0, *sorted((side * 24.0, side * 42.0))),
        ]
    statuses = rib_statuses(around_with(bones), discs_at(30, 66, 102, 138))
    assert [(right.status, left.status) for right, left in statuses[1:4]] == [
        (RibStatus.NONE, RibStatus.NONE),
        (RibStatus.NONE, RibStatus.NONE),
        (RibStatus.RIB, RibStatus.RIB),
    ]
    assert statuses[3][0].reach_mm == pytest.approx(110, abs=3)
    assert not statuses[3][1].cut
    assert statuses[0][0].status is RibStatus.UNSEEN


def test_a_stump_a_blob_and_a_hidden_side_are_not_called_rib_free() -> None:
    def root(reach: float, *, thin: bool = True) -> Root:
        return Root(along=50.0, reach_mm=reach, length_mm=reach - 20, thin=thin)

    def status(levels: list[list[Root]], *, bounded: bool = True, seen: bool = True) -> RibStatus:
        return status_of(levels, 30.0, 66.0, bounded=bounded, seen=seen).status

    assert status([[], [root(45)]]) is RibStatus.NONE
    assert status([[root(52)], []]) is RibStatus.SHORT
    assert status([[root(90, thin=False)], []]) is RibStatus.NONE
    assert status([[root(90, thin=False)]]) is RibStatus.UNSEEN
    assert status([[]], seen=False) is RibStatus.UNSEEN
    assert status([[]], bounded=False) is RibStatus.UNSEEN
    assert status([[], [root(90)]], seen=False) is RibStatus.RIB
    assert not is_rib(root(90, thin=False))


def test_spaces_lie_between_and_beyond_the_discs() -> None:
    assert slots(discs_at(20, 50), 81) == [(0.0, 20, False), (20, 50, True), (50, 80.0, False)]


def test_beside_and_edge() -> None:
    around = around_with([])
    assert beside(around, 1, 4.0)[0, 0, around.left_mm > 26].all()
    assert not beside(around, 1, 4.0)[0, 0, around.left_mm <= 26].any()
    seen = np.ones((9, 9, 9), dtype=bool)
    seen[:, 0] = False
    edge = edge_of(seen)
    assert edge[4, 2, 4]
    assert not edge[4, 4, 4]
