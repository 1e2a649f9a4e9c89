"""The ISCD's exclusions and the WHO's edges, as tables."""

import pytest

from inference.dxa.patient import LEVELS, judged_levels, one_decimal, patient_level, region_name
from inference.errors import ReasonCode
from inference.who import BoneLabel, who_label

pytestmark = pytest.mark.unit


def scores(*values: float | None) -> dict[str, float]:
    return {level: value for level, value in zip(LEVELS, values, strict=False) if value is not None}


@pytest.mark.parametrize(
    ("values", "used"),
    [
        ((-2.0, -2.1, -1.9, -2.2), "L1 L2 L3 L4"),
        ((-2.0, -1.0, -2.0, -1.0), "L1 L2 L3 L4"),  # exactly 1.0 apart is not more than 1.0
        ((-2.0, -2.0, -0.9, -2.0), "L1 L2 L4"),  # one level denser than both neighbours
        ((-2.0, -2.0, -3.2, -2.0), "L1 L2 L4"),  # one level looser
        ((-2.0, -1.8, -1.9, 0.4), "L1 L2 L3"),  # at the end, where there is one neighbour
        ((0.5, -1.8, -1.9, -2.0), "L2 L3 L4"),
        ((0.0, 0.0, -2.0, -2.0), "L3 L4"),  # two against two: the denser ones are the suspects
        ((-3.0, -1.9, -0.8, 0.3), "L3"),  # each differs from the next: one remains, and one is none
        ((-2.0, -1.1, -0.2, 0.7), "L1 L2 L3 L4"),  # neighbours alone are compared
        ((-2.0, None, -0.5, -0.6), "L3 L4"),  # a gap: the next measured level is the neighbour
        ((-2.0, 0.0), "L1"),
        ((-1.5, -1.4, None, None), "L1 L2"),
    ],
)
def test_levels_far_from_their_neighbours_are_left_out(values: tuple[float | None, ...], used: str) -> None:
    judged = judged_levels({}, scores(*values))
    assert [item.level for item in judged if item.used] == used.split()
    for item in judged:
        assert (item.excluded_because is None) == item.used
        if item.excluded_because is not None:
            assert item.excluded_because.code is ReasonCode.OUTLIER
            assert "more than 1.0" in item.excluded_because.text


def test_a_level_without_a_t_score_is_not_compared_and_not_used() -> None:
    judged = judged_levels({"L1": 0.8, "L2": 0.9, "L3": 0.9}, {"L2": -1.2, "L3": -1.3})
    assert [(item.level, item.used) for item in judged] == [("L1", False), ("L2", True), ("L3", True)]
    assert judged[0].bmd_g_cm2 == 0.8
    assert judged[0].excluded_because is not None
    assert judged[0].excluded_because.code is ReasonCode.NO_USABLE_LEVEL


def test_the_value_is_the_devices_own_where_it_states_the_very_region() -> None:
    t = {**scores(-2.0, -2.1, -1.9, -2.2), "L1-L4": -2.1, "L2-L4": -2.4}
    bmd = {"L1": 0.8, "L2": 0.82, "L3": 0.84, "L4": 0.83, "L1-L4": 0.826}
    found = patient_level(bmd, t)
    assert (found.region, found.bmd_g_cm2, found.t_score, found.category) == ("L1-L4", 0.826, -2.1, BoneLabel.OSTEOPENIA)
    assert "device's own value of L1-L4" in found.because


def test_without_its_region_the_mean_of_the_used_levels_stands_and_says_so() -> None:
    t = {**scores(0.5, -2.4, -2.6, -2.5), "L1-L4": -1.7}
    bmd = {"L1": 1.2, "L2": 0.75, "L3": 0.77, "L4": 0.79, "L1-L4": 0.88}
    found = patient_level(bmd, t)
    assert found.region == "L2-L4"
    assert found.t_score == -2.5
    assert found.bmd_g_cm2 == pytest.approx(0.77)
    assert found.category is BoneLabel.OSTEOPOROSIS
    assert "mean" in found.because
    gap = patient_level({"L1": 0.8}, scores(-2.0, -2.1, -0.4, -2.2))
    assert gap.region == "L1, L2, L4"
    assert gap.bmd_g_cm2 is None
    assert gap.t_score == -2.1


@pytest.mark.parametrize("values", [(-3.0,), (-3.0, -1.0), (-3.0, -1.9, -0.8, 0.3)])
def test_one_vertebra_is_never_a_value(values: tuple[float, ...]) -> None:
    found = patient_level({}, scores(*values))
    assert (found.region, found.t_score, found.bmd_g_cm2, found.category) == (None, None, None, None)
    assert "at least 2" in found.because


def test_a_region_without_single_levels_stands_unchecked() -> None:
    found = patient_level({"L1-L4": 0.81, "L2-L4": 0.8}, {"L1-L4": -2.5})
    assert (found.region, found.t_score, found.category, found.levels) == ("L1-L4", -2.5, BoneLabel.OSTEOPOROSIS, ())
    assert "none could be excluded" in found.because
    only_bmd = patient_level({"L1-L4": 0.81}, {})
    assert (only_bmd.t_score, only_bmd.category, only_bmd.bmd_g_cm2) == (None, None, 0.81)
    assert patient_level({}, {}).region is None


@pytest.mark.parametrize(
    ("t_score", "label"),
    [
        (-0.9, BoneLabel.NORMAL),
        (-1.0, BoneLabel.NORMAL),
        (-1.1, BoneLabel.OSTEOPENIA),
        (-2.4, BoneLabel.OSTEOPENIA),
        (-2.5, BoneLabel.OSTEOPOROSIS),
        (-2.6, BoneLabel.OSTEOPOROSIS),
    ],
)
def test_the_edges_of_the_who(t_score: float, label: BoneLabel) -> None:
    assert who_label(t_score) is label
    assert patient_level({}, {"L1-L4": t_score}).category is label


@pytest.mark.parametrize(("value", "printed"), [(-2.45, -2.5), (-2.44, -2.4), (0.05, 0.1), (-0.04, 0.0), (-1.0, -1.0), (2.34, 2.3)])
def test_a_mean_is_classed_as_it_is_printed(value: float, printed: float) -> None:
    assert one_decimal(value) == printed


def test_a_mean_at_the_edge_is_classed_as_it_is_printed() -> None:
    found = patient_level({}, scores(-2.4, -2.5))
    assert (found.t_score, found.category) == (-2.5, BoneLabel.OSTEOPOROSIS)


@pytest.mark.parametrize(
    ("levels", "name"), [(LEVELS, "L1-L4"), (("L2", "L3"), "L2-L3"), (("L1", "L3", "L4"), "L1, L3, L4"), (("L2",), "L2")]
)
def test_names_of_regions(levels: tuple[str, ...], name: str) -> None:
    assert region_name(levels) == name
