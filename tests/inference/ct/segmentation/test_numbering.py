"""The numberings against what their publishers write."""

import pytest

from inference.ct.segmentation.numbering import (
    CTSPINE1K,
    NUMBERINGS,
    SPINE,
    TOTALSEGMENTATOR,
    VERSE,
    Numbering,
    level_of,
    numbering_from_names,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("numbering", "labels"),
    [
        (VERSE, {1: "C1", 7: "C7", 8: "T1", 19: "T12", 20: "L1", 24: "L5", 25: "L6", 28: "T13"}),
        (CTSPINE1K, {1: "C1", 8: "T1", 19: "T12", 20: "L1", 24: "L5", 25: "L6"}),
        (TOTALSEGMENTATOR, {27: "L5", 28: "L4", 31: "L1", 32: "T12", 33: "T11", 43: "T1", 44: "C7", 50: "C1"}),
    ],
)
def test_labels_mean_what_their_publishers_say(numbering: Numbering, labels: dict[int, str]) -> None:
    assert {label: numbering.vertebrae[label] for label in labels} == labels
    assert NUMBERINGS[numbering.name] is numbering


def test_what_is_no_vertebra() -> None:
    assert VERSE.sacrum == {26}
    assert VERSE.known == set(range(1, 29))
    assert CTSPINE1K.known == set(range(1, 26))
    assert TOTALSEGMENTATOR.sacrum == {25, 26}
    assert TOTALSEGMENTATOR.cord == 79
    assert TOTALSEGMENTATOR.twelfth_ribs == {103, 115}
    assert TOTALSEGMENTATOR.known == set(range(1, 118))


def test_vertebrae_run_head_to_foot() -> None:
    assert SPINE[0] == "C1"
    assert SPINE[-1] == "L6"
    assert SPINE.index("T13") == SPINE.index("T12") + 1 == SPINE.index("L1") - 1
    assert len(SPINE) == len(set(SPINE)) == 26


@pytest.mark.parametrize(
    ("text", "level"),
    [("L1", "L1"), ("vertebrae_T12", "T12"), ("L1 vertebra", "L1"), ("vertebra t9", "T9"), ("L7", None), ("T14", None), ("L1 core", None)],
)
def test_names_of_vertebrae(text: str, level: str | None) -> None:
    assert level_of(text) == level


def test_a_label_map_by_names() -> None:
    numbering = numbering_from_names(
        "made", {1: "sacrum", 2: "vertebrae_L5", 3: "liver", 4: "spinal_cord", 5: "rib_left_12", 6: "rib_left_11"}
    )
    assert numbering.vertebrae == {2: "L5"}
    assert numbering.sacrum == {1}
    assert numbering.cord == 4
    assert numbering.twelfth_ribs == {5}
    assert numbering.others == {3, 6}


@pytest.mark.parametrize(
    "bad",
    [
        {"vertebrae": {1: "L1", 2: "L1"}},
        {"vertebrae": {1: "S1"}},
        {"vertebrae": {1: "L1"}, "cord": 1},
        {"vertebrae": {1: "L1"}, "sacrum": frozenset({2}), "others": frozenset({2})},
    ],
)
def test_a_numbering_that_contradicts_itself_is_no_numbering(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="bad"):
        Numbering(name="bad", **bad)  # type: ignore[arg-type]
