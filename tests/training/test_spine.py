"""The spine as geometry: order, sizes, curves, lost height."""

from itertools import pairwise

import numpy as np
import pytest

from training.simulation import PatientParameters
from training.simulation.spine import Spine, Vertebra, build_spine

pytestmark = pytest.mark.unit


def spine_of(**changes: object) -> Spine:
    return build_spine(PatientParameters(seed=4, body_scale=1.0, **changes))


def tilt_deg(vertebra: Vertebra) -> float:
    cranial = vertebra.frame.axes[:, 2]
    return float(np.degrees(np.arctan2(-cranial[1], cranial[2])))


def test_levels_stand_on_each_other_head_to_foot() -> None:
    spine = spine_of()
    heights = [vertebra.frame.origin[2] for vertebra in (spine.neck, *spine.vertebrae, *spine.sacrum)]
    assert all(above > below for above, below in pairwise(heights))
    assert [vertebra.name for vertebra in spine.vertebrae[10:14]] == ["T11", "T12", "L1", "L2"]


def test_neighbouring_endplates_are_a_disc_apart() -> None:
    spine = spine_of()
    for above, below in pairwise(spine.vertebrae):
        gap = above.frame.point(0, 0, -above.height_mm / 2) - below.frame.point(0, 0, below.height_mm / 2)
        assert np.linalg.norm(gap) == pytest.approx(above.disc_below_mm, rel=0.05)


@pytest.mark.parametrize(("level", "height", "width", "depth"), [("T10", 23, 37, 32), ("L1", 27, 45, 34), ("L3", 28.5, 49, 36)])
def test_sizes_are_those_of_adults(level: str, height: float, width: float, depth: float) -> None:
    vertebra = spine_of().level(level)
    assert vertebra.height_mm == pytest.approx(height, rel=0.08)
    assert vertebra.width_mm == pytest.approx(width, rel=0.08)
    assert vertebra.depth_mm == pytest.approx(depth, rel=0.08)
    assert vertebra.middle_mm < vertebra.height_mm


@pytest.mark.parametrize("lordosis", [35.0, 52.0, 68.0])
def test_lordosis_is_the_angle_between_l1_and_s1(lordosis: float) -> None:
    spine = spine_of(lordosis_deg=lordosis)
    assert tilt_deg(spine.level("S1")) - tilt_deg(spine.level("L1")) == pytest.approx(lordosis, abs=4.0)


def test_kyphosis_leans_the_upper_thorax_forward() -> None:
    flat, round_ = (spine_of(kyphosis_deg=angle) for angle in (25.0, 55.0))
    assert tilt_deg(round_.level("T4")) - tilt_deg(flat.level("T4")) == pytest.approx(25.0, abs=4.0)


def test_a_wedge_takes_anterior_height_alone_and_bends_the_spine_forward() -> None:
    plain, broken = spine_of(), spine_of(wedge={"L1": 0.4})
    assert broken.level("L1").anterior_mm == pytest.approx(0.6 * plain.level("L1").anterior_mm)
    assert broken.level("L1").posterior_mm == pytest.approx(plain.level("L1").posterior_mm)
    assert tilt_deg(broken.level("T12")) - tilt_deg(plain.level("T12")) > 8
    assert tilt_deg(broken.level("L2")) == pytest.approx(tilt_deg(plain.level("L2")))


def test_a_crush_takes_height_everywhere() -> None:
    plain, broken = spine_of().level("L2"), spine_of(crush={"L2": 0.5}).level("L2")
    assert broken.anterior_mm == pytest.approx(0.5 * plain.anterior_mm)
    assert broken.posterior_mm < 0.7 * plain.posterior_mm
    assert plain.height_mm - plain.middle_mm + 1 < broken.height_mm - broken.middle_mm


@pytest.mark.parametrize("count", [4, 5, 6])
def test_variants_of_the_lumbar_count_keep_l3_at_the_origin(count: int) -> None:
    spine = spine_of(lumbar_count=count)
    assert spine.vertebrae[-1].name == f"L{count}"
    assert spine.level("L3").frame.origin[1:] == pytest.approx([0.0, 0.0])
    assert tilt_deg(spine.level("S1")) > tilt_deg(spine.vertebrae[-1]) > 5


def test_scoliosis_sways_to_one_side_and_comes_back() -> None:
    spine = spine_of(scoliosis_deg=12.0)
    across = np.array([vertebra.frame.origin[0] for vertebra in spine.vertebrae])
    assert np.ptp(across) > 12
    assert abs(across[0]) < 0.5 * np.abs(across).max()
    assert spine.level("S1").frame.origin[0] == pytest.approx(0.0)


def test_trabecular_density_falls_from_thorax_to_lumbar_spine_and_single_levels_can_be_set() -> None:
    spine = spine_of(trabecular_hu=100.0, level_hu={"L4": 37.0})
    assert spine.level("T5").trabecular_hu > spine.level("L1").trabecular_hu + 10
    assert spine.level("L4").trabecular_hu == 37.0


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"sex": "X"}, "sex"),
        ({"lumbar_count": 7}, "lumbar"),
        ({"wedge": {"L1": 0.9}}, "height loss"),
        ({"cement": ("L6",)}, "no level"),
    ],
)
def test_impossible_patients_are_refused(changes: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        PatientParameters(seed=1, **changes)


def test_an_unknown_level_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        spine_of().level("L6")
