"""Two readers compared: the same bodies found, disagreement said with the level named, and no certainty that both do not share."""

import dataclasses

import numpy as np
import pytest

from inference.ct.segmentation.agreement import compare, overlap_of
from inference.ct.segmentation.base import Segmentation
from inference.errors import WarningCode
from inference.findings import LevelAgreement, Notice
from inference.volume import Volume
from tests.inference.ct.phantom import spine
from tests.inference.ct.segmentation.readers import SECOND_MODEL, as_second, merged, renamed, shifted, unnamed, without

pytestmark = pytest.mark.unit

LEVELS = ("T11", "T12", "L1", "L2", "L3")
HU = (150, 140, 130, 120, 110)


@pytest.fixture(scope="module")
def scan() -> tuple[Volume, Segmentation]:
    return spine(LEVELS, trabecular_hu=HU, spacing_mm=(2.0, 1.5, 1.5))


def certain(found: Segmentation) -> list[str | None]:
    return [body.level for body in found.vertebrae if body.level_certain]


def codes(notices: tuple[Notice, ...]) -> list[WarningCode]:
    return [notice.code for notice in notices]


def spoken(found: Segmentation) -> dict[str, list[WarningCode]]:
    """Warnings by level, of levels that have any."""
    return {str(body.level): codes(body.notices) for body in found.vertebrae if body.notices}


def test_a_reader_that_sees_the_same_agrees_without_a_warning(scan: tuple[Volume, Segmentation]) -> None:
    volume, first = scan
    found = compare(first, as_second(first), volume)
    assert found.vertebrae == first.vertebrae
    assert found.notices == ()
    assert found.second is not None
    agreement = found.second.agreement
    assert (agreement.compared, agreement.only_first, agreement.only_second) == (5, 0, 0)
    assert agreement.median_dice == 1.0
    assert agreement.median_difference_hu == 0.0
    assert agreement.levels is LevelAgreement.AGREE
    assert agreement.model == SECOND_MODEL
    assert [found.second.per_body[body.label].level for body in found.vertebrae] == list(LEVELS)
    np.testing.assert_array_equal(found.second.bodies, first.bodies)


def test_what_was_measured_never_changes(scan: tuple[Volume, Segmentation]) -> None:
    volume, first = scan
    found = compare(first, as_second(first, shifted(3), merged(1), renamed({0: "L5"})), volume)
    assert found.bodies is first.bodies
    assert found.model == first.model
    for body, same in zip(found.vertebrae, first.vertebrae, strict=True):
        assert (body.label, body.level, body.centre_lps_mm.tolist()) == (same.label, same.level, same.centre_lps_mm.tolist())


def test_a_reader_without_anchors_takes_no_certainty(scan: tuple[Volume, Segmentation]) -> None:
    volume, first = scan
    found = compare(first, as_second(first, unnamed), volume)
    assert certain(found) == list(LEVELS)
    assert found.second is not None
    assert found.second.agreement.levels is LevelAgreement.NOT_COMPARED
    assert found.notices == ()


def test_a_name_that_the_second_reader_is_not_sure_of_is_no_claim(scan: tuple[Volume, Segmentation]) -> None:
    volume, first = scan
    names = dict(enumerate(("T12", "L1", "L2", "L3", "L4")))
    found = compare(first, as_second(first, renamed(names, certain=False)), volume)
    assert certain(found) == list(LEVELS)
    assert found.second is not None
    assert found.second.per_body[1].level == "T12"
    assert not found.second.per_body[1].level_certain


def test_a_chain_that_is_one_off_leaves_no_level_certain(scan: tuple[Volume, Segmentation]) -> None:
    volume, first = scan
    found = compare(first, as_second(first, renamed(dict(enumerate(("T12", "L1", "L2", "L3", "L4"))))), volume)
    assert certain(found) == []
    assert spoken(found) == {level: [WarningCode.READERS_DISAGREE_LEVEL] for level in LEVELS}
    third = found.vertebrae[2]
    assert third.uncertain_because == third.notices[0].text == "L1 by the measuring reader is L2 by the second reader."
    assert codes(found.notices) == [WarningCode.READERS_DISAGREE_LEVEL]
    assert "T11, T12, L1, L2, L3" in found.notices[0].text
    assert found.second is not None
    assert found.second.agreement.levels is LevelAgreement.DIFFER


def test_the_second_reader_never_makes_a_level_certain(scan: tuple[Volume, Segmentation]) -> None:
    volume, first = scan
    doubtful = tuple(dataclasses.replace(body, level=None, level_certain=False) for body in first.vertebrae)
    found = compare(dataclasses.replace(first, vertebrae=doubtful), as_second(first), volume)
    assert certain(found) == []
    assert spoken(found) == {}
    assert found.second is not None
    assert found.second.per_body[3].level == "L1"


def test_one_wrong_name_reaches_the_bodies_beside_it_that_the_second_reader_does_not_name(scan: tuple[Volume, Segmentation]) -> None:
    """T11 is contradicted, L2 and L3 confirmed; what lies between may have been miscounted on either side."""
    volume, first = scan
    found = compare(first, as_second(first, renamed({0: "T10", 1: None, 2: None})), volume)
    assert certain(found) == ["L2", "L3"]
    assert found.vertebrae[2].uncertain_because == "L1: the second reader names the bodies beside it differently."


def test_a_body_that_the_second_reader_alone_sees_leaves_only_shared_names_certain(scan: tuple[Volume, Segmentation]) -> None:
    volume, whole = scan
    first = without(2)(whole)
    bodies = tuple(dataclasses.replace(body, level=level) for body, level in zip(first.vertebrae, ("T12", "L1", "L2", "L3"), strict=True))
    found = compare(dataclasses.replace(first, vertebrae=bodies), as_second(whole, unnamed), volume)
    assert certain(found) == []
    assert "counts 1 more in the column" in found.vertebrae[0].uncertain_because
    assert found.second is not None
    assert found.second.agreement.only_second == 1
    assert set(np.unique(found.second.bodies)) == {0, 1, 2, 4, 5, 6}, "the body of its own has a label that the first reader does not use"
    shared = compare(dataclasses.replace(first, vertebrae=bodies), as_second(whole, renamed({0: "T11", 1: "T12", 2: None})), volume)
    assert certain(shared) == ["L2", "L3"]


def test_a_fragment_is_no_further_body(scan: tuple[Volume, Segmentation]) -> None:
    volume, whole = scan
    second = as_second(whole, unnamed)
    label = second.vertebrae[2].label
    where = np.argwhere(second.bodies == label)
    mask = second.bodies.copy()
    mask[tuple(where[where[:, 0] > np.quantile(where[:, 0], 0.4)].T)] = 0
    found = compare(without(2)(whole), dataclasses.replace(second, bodies=mask), volume)
    assert certain(found) == ["T11", "T12", "L2", "L3"]


def test_two_bodies_that_the_second_reader_merged_are_told_and_keep_their_names(scan: tuple[Volume, Segmentation]) -> None:
    volume, first = scan
    found = compare(first, as_second(first, unnamed, merged(1)), volume)
    assert certain(found) == list(LEVELS)
    assert spoken(found) == {"T12": [WarningCode.READERS_DISAGREE_SHAPE], "L1": [WarningCode.READERS_DISAGREE_SHAPE]}
    assert found.second is not None
    assert found.second.per_body[2].dice == pytest.approx(2 / 3, abs=0.01)
    assert not found.second.per_body[3].found
    assert found.vertebrae[2].notices[0].text == "The second reader sees no body here."


def test_a_mask_that_is_moved_far_is_told(scan: tuple[Volume, Segmentation]) -> None:
    volume, first = scan
    found = compare(first, as_second(first, shifted(-5, 4)), volume)
    assert spoken(found) == {"L3": [WarningCode.READERS_DISAGREE_SHAPE]}
    slices = len(np.unique(np.argwhere(first.bodies == 5)[:, 0]))
    assert found.second is not None
    assert found.second.per_body[5].dice == pytest.approx(1 - 5 / slices)
    assert found.vertebrae[4].notices[0].text.startswith("The masks of the two readers overlap little (Dice 0.6")


def test_another_number_from_another_mask_is_told(scan: tuple[Volume, Segmentation]) -> None:
    """Attenuation rises by 4 HU for each millimetre upwards; the second mask lies 4 mm higher, which Dice alone would pass."""
    volume, first = scan
    hu = volume.hu.copy()
    inside = first.bodies == 3
    hu[inside] += (8 * np.argwhere(inside)[:, 0] - 8 * np.argwhere(inside)[:, 0].mean()).astype(np.int16)
    found = compare(first, as_second(first, shifted(2, 2)), Volume(hu=hu, affine=volume.affine))
    assert spoken(found) == {"L1": [WarningCode.READERS_DISAGREE_ATTENUATION]}
    assert found.second is not None
    reading = found.second.per_body[3]
    assert reading.dice > 0.8
    assert reading.median_difference_hu == pytest.approx(16, abs=2)
    assert "reads +16 HU" in found.vertebrae[2].notices[0].text


def test_bodies_cut_by_the_edge_are_compared_without_a_warning(scan: tuple[Volume, Segmentation]) -> None:
    volume, first = scan
    cut = (dataclasses.replace(first.vertebrae[0], whole=False), *first.vertebrae[1:])
    found = compare(dataclasses.replace(first, vertebrae=cut), as_second(first, shifted(5, 0)), volume)
    assert found.vertebrae[0].notices == ()
    assert found.second is not None
    assert found.second.per_body[1].dice < 0.7


def test_unnamed_bodies_beyond_the_second_readers_column_are_no_disagreement(scan: tuple[Volume, Segmentation]) -> None:
    volume, first = scan
    nameless = unnamed(first)
    found = compare(nameless, as_second(first, unnamed, without(0)), volume)
    assert found.vertebrae[0].notices == ()
    inside = compare(nameless, as_second(first, unnamed, without(1)), volume)
    assert [notice.text for notice in inside.vertebrae[1].notices] == ["The second reader sees no body here."]


def test_readers_that_share_no_body_say_so(scan: tuple[Volume, Segmentation]) -> None:
    volume, first = scan
    found = compare(first, as_second(first, without(0, 1, 2, 3, 4)), volume)
    assert codes(found.notices) == [WarningCode.READERS_DISAGREE_SHAPE]
    assert certain(found) == list(LEVELS)
    assert found.second is not None
    assert found.second.agreement.median_dice is None
    assert found.second.agreement.median_difference_hu is None


def test_overlaps_are_counted_by_label() -> None:
    rng = np.random.default_rng(3)
    first, second = (rng.integers(0, 4, (5, 20, 20)).astype(np.uint8) for _ in range(2))
    overlap = overlap_of(first, second)
    for label in range(1, 4):
        assert overlap.first[label] == (first == label).sum()
        assert overlap.second[label] == (second == label).sum()
        for other in range(1, 4):
            both = ((first == label) & (second == other)).sum()
            assert overlap.shared[label, other] == both
            assert overlap.dice(label, other) == pytest.approx(2 * both / ((first == label).sum() + (second == other).sum()))
