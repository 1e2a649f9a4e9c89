"""Regions by hand, against the true place of the bones, and what is refused."""

from functools import cache

import numpy as np
import pytest

from inference.cxr.regions import crop_regions, patch_boxes, reference_of, whole_box, with_whole
from inference.cxr.rois import LANDMARKS, ROI_NAMES, Floats, bone_boxes, implausible_because, landmark, mirrored, rois_of
from inference.errors import ReasonCode, Refusal
from tests.inference.cxr.bones import bone_points, contained
from tests.inference.cxr.chest import SHAPE, landmarks
from training.simulation.cohort import sample_cohort
from training.simulation.population import COHORTS
from training.simulation.xray.film import ChestFilmParameters, FilmSetUp, portable, set_up
from training.simulation.xray.landmarks import chest_landmarks

pytestmark = pytest.mark.unit


def test_boxes_by_hand() -> None:
    rois = rois_of(landmarks(), SHAPE)
    half = 0.5  # from the centre of a pixel to its edge
    assert rois.box("clavicle_medial_left") == pytest.approx((100 - 24 + half, 240 - 24 + half, 120 + 24 + half, 300 + 24 + half))
    assert rois.box("clavicle_lateral_right") == pytest.approx((90 - 24 + half, 50 - 24 + half, 100 + 24 + half, 120 + 24 + half))
    assert rois.box("ribcage_1_left") == pytest.approx((125 + half, 320 - 78 + half, 195 + half, 320 + 18 + half))
    assert rois.box("ribcage_4_right") == pytest.approx((315 + half, 70 - 18 + half, 365 + half, 70 + 78 + half))
    assert rois.box("cervical") == pytest.approx((60 - 39 + half, 210 - 48 + half, 60 + 39 + half, 210 + 48 + half))
    assert rois.box("lumbar") == pytest.approx((360 - 27 + half, 210 - 48 + half, 360 + 54 + half, 210 + 48 + half))
    assert (rois.inside == 1).all()


def test_a_mirrored_chest_has_mirrored_boxes() -> None:
    given = landmarks(clavicle_middle_left=(97.0, 305.0), ribcage_2_right=(236.0, 75.0), C7=(60.0, 206.0))
    swapped = given[list(mirrored(LANDMARKS))] * (1, -1) + (0, SHAPE[1] - 1)
    there = bone_boxes(swapped)[list(mirrored(ROI_NAMES))]
    expected = bone_boxes(given)[:, [0, 3, 2, 1]] * (1, -1, 1, -1) + (0, SHAPE[1], 0, SHAPE[1])
    np.testing.assert_allclose(there, expected)
    assert [ROI_NAMES[index] for index in mirrored(ROI_NAMES)][:3] == [
        "clavicle_medial_right",
        "clavicle_lateral_right",
        "clavicle_medial_left",
    ]


@cache
def scenes() -> tuple[tuple[FilmSetUp, Floats], ...]:
    """Two standing patients and one in bed."""
    coarse = {"paint_spacing_mm": 4.0, "pixel_spacing_mm": 1.0}
    found = []
    for person, bedside in zip(sample_cohort(3, 17, COHORTS["balanced"]), (False, False, True), strict=True):
        scene = set_up(person.patient, portable(**coarse) if bedside else ChestFilmParameters(**coarse))
        points = chest_landmarks(scene.painted)
        found.append((scene, scene.on_image(np.array([points[name] for name in LANDMARKS]))))
    return tuple(found)


def test_regions_contain_their_bone() -> None:
    for scene, places in scenes():
        shares = contained(rois_of(places, (scene.detector.rows, scene.detector.columns)), bone_points(scene))
        assert set(shares) == set(ROI_NAMES)
        assert min(shares.values()) > 0.95, shares


def test_bones_are_not_contained_where_the_landmarks_are_wrong() -> None:
    scene, places = scenes()[0]
    shape = (scene.detector.rows, scene.detector.columns)
    points = bone_points(scene)
    wrong = places.copy()
    wrong[LANDMARKS.index("T12")] -= (60, 0)
    wrong[LANDMARKS.index("clavicle_lateral_left")] -= (0, 60)
    shares = contained(rois_of(wrong, shape), points)
    assert shares["lumbar"] < 0.9
    assert shares["clavicle_lateral_left"] < 0.9


@pytest.mark.parametrize(
    ("moved", "why"),
    [
        ({"T12": (50.0, 210.0)}, "T12 does not lie below C7"),
        ({"T12": (200.0, 350.0)}, "the spine does not run downwards"),
        ({"ribcage_2_left": (345.0, 340.0)}, "the points of the left rib cage do not follow"),
        ({"ribcage_3_right": (290.0, 330.0)}, "the right rib cage lies on the other side of the spine"),
        ({f"ribcage_{n}_left": (100.0 + 60 * n, 216.0) for n in (1, 2, 3, 4)}, "wide as C7 and T12 are apart|much wider than the other"),
        ({"clavicle_middle_right": (100.0, 10.0)}, "the points of the right clavicle do not follow"),
        ({"clavicle_medial_left": (120.0, 290.0), "clavicle_lateral_left": (120.0, 310.0)}, "the left clavicle is"),
        ({"clavicle_lateral_left": (300.0, 330.0)}, "the left clavicle (is|does not lie)"),
        ({"C7": (float("nan"), 3.0)}, "has no place"),
    ],
)
def test_a_chest_that_cannot_be_is_refused(moved: dict[str, tuple[float, float]], why: str) -> None:
    with pytest.raises(Refusal, match=why) as refusal:
        rois_of(landmarks(**moved), SHAPE)
    assert refusal.value.code is ReasonCode.LANDMARKS_IMPLAUSIBLE


def test_a_mirrored_or_turned_film_is_not_a_plausible_chest() -> None:
    given = landmarks()
    assert implausible_because(given) is None
    assert implausible_because(given * (1, -1) + (0, SHAPE[1])) is not None
    assert implausible_because(given * (-1, 1) + (SHAPE[0], 0)) is not None
    assert implausible_because(given[:, ::-1]) is not None
    with pytest.raises(ValueError, match=r"\(16, 2\)"):
        implausible_because(given[:5])


def test_the_simulated_films_are_plausible() -> None:
    assert [implausible_because(places) for _, places in scenes()] == [None, None, None]


def test_a_region_beyond_the_film_is_refused_and_named() -> None:
    with pytest.raises(Refusal, match=r"lumbar \(\d+% on the film\)") as refusal:
        rois_of(landmarks(), (370, 420))
    assert refusal.value.code is ReasonCode.ROI_OUTSIDE_FILM
    assert rois_of(landmarks(), (410, 420)).inside[ROI_NAMES.index("lumbar")] == pytest.approx((410 - 333.5) / 81)


def test_crops_average_what_they_hold() -> None:
    rows, columns = np.mgrid[0:60, 0:80].astype(np.float32)
    ramp = 2 * rows + 3 * columns
    found = crop_regions(ramp, np.array([[10.0, 20.0, 50.0, 60.0]]), 8)[0]
    centre = (np.arange(8) + 0.5) * 5 - 0.5  # the centres of 5 x 5 pixels
    np.testing.assert_allclose(found, 2 * (10 + centre)[:, None] + 3 * (20 + centre)[None, :], atol=1e-3)
    finer = crop_regions(ramp, np.array([[10.0, 20.0, 14.0, 24.0]]), 8)[0]
    quarter = (np.arange(8) + 0.5) / 2 - 0.5
    np.testing.assert_allclose(finer, 2 * (10 + quarter)[:, None] + 3 * (20 + quarter)[None, :], atol=1e-3)


def test_texture_is_averaged_and_not_folded() -> None:
    stripes = np.tile(np.array([0.0, 1.0], dtype=np.float32), (64, 32))
    assert np.abs(crop_regions(stripes, np.array([[8.0, 8.0, 56.0, 56.0]]), 8) - 0.5).max() < 0.05


def test_beyond_the_film_its_edge_is_repeated() -> None:
    image = np.full((20, 20), 3.0, dtype=np.float32)
    image[:, -1] = 9.0
    found = crop_regions(image, np.array([[-10.0, 10.0, 30.0, 50.0]]), 16)[0]
    np.testing.assert_allclose(found[:, 8:], 9.0, atol=1e-5)
    np.testing.assert_allclose(found[:, :2], 3.0, atol=1e-5)


def test_regions_do_not_depend_on_gain_and_offset_of_the_film() -> None:
    rng = np.random.default_rng(3)
    image = rng.random((460, 420)).astype(np.float32)
    places = landmarks()
    boxes = with_whole(rois_of(places, image.shape), image.shape)
    assert boxes.shape == (15, 4)
    np.testing.assert_array_equal(boxes[-1], (0, 0, 460, 420))
    one = crop_regions(image, boxes, 16, reference=reference_of(image, places))
    other = crop_regions(3 * image + 7, boxes, 16, reference=reference_of(3 * image + 7, places))
    np.testing.assert_allclose(one, other, atol=1e-4)
    chest = image[60:361, 50:371]
    assert reference_of(image, places) == pytest.approx((float(chest.mean()), float(chest.std())), abs=1e-6)


def test_patches_tile_the_film() -> None:
    boxes = patch_boxes((90, 60), 3)
    assert boxes.shape == (9, 4)
    np.testing.assert_array_equal(boxes[5], (30, 40, 60, 60))
    assert ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sum() == 90 * 60
    np.testing.assert_array_equal(patch_boxes((90, 60), 1), whole_box((90, 60)))
    with pytest.raises(ValueError, match="at least one patch"):
        patch_boxes((90, 60), 0)
    with pytest.raises(ValueError, match="ends below"):
        crop_regions(np.zeros((4, 4)), np.array([[1.0, 1.0, 1.0, 3.0]]), 4)
    with pytest.raises(ValueError, match="one grey"):
        crop_regions(np.zeros((4, 4)), whole_box((4, 4)), 4, reference=(0.0, 0.0))


def test_a_landmark_by_name() -> None:
    np.testing.assert_array_equal(landmark(landmarks(), "T12"), (360, 210))
