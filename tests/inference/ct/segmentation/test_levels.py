"""Level names: a table of what is seen and what may be said."""

import pytest

from inference.ct.segmentation.levels import Anchors, Naming, name_levels, ordinal
from inference.ct.segmentation.ribs import Rib, RibStatus
from inference.ct.segmentation.sacrum import NO_SACRUM, UNFITTING, SacralAnchor
from inference.errors import WarningCode

pytestmark = pytest.mark.unit

SACRUM = SacralAnchor(disc=0, seen=True, because="sacrum")
REACH = {"R": 95.0, "E": 125.0}


def rib(letter: str) -> Rib:
    """R a twelfth rib, E a longer one, C one that leaves the scan, S a stump, N none, U unseen."""
    if letter == "C":
        return Rib(status=RibStatus.RIB, reach_mm=95.0, cut=True)
    if letter in REACH:
        return Rib(status=RibStatus.RIB, reach_mm=REACH[letter])
    return Rib(status={"S": RibStatus.SHORT, "N": RibStatus.NONE, "U": RibStatus.UNSEEN}[letter])


def naming(pairs: str, sacrum: SacralAnchor = NO_SACRUM, broken: tuple[int, ...] = ()) -> Naming:
    """Name the spaces of ``pairs``: two letters (right, left) per space, foot to head; the first and the last are open."""
    spaces = pairs.split()
    return name_levels(
        Anchors(
            bounded=tuple(0 < n < len(spaces) - 1 for n in range(len(spaces))),
            ribs=tuple((rib(pair[0]), rib(pair[1])) for pair in spaces),
            sacrum=sacrum,
            broken=tuple(n in broken for n in range(len(spaces))),
        )
    )


def certain(result: Naming) -> list[str]:
    """The certain names, head to foot."""
    pairs = zip(result.levels, result.certain, strict=True)
    return [level for level, sure in reversed(list(pairs)) if sure and level is not None]


LUMBAR = ["L1", "L2", "L3", "L4", "L5"]
CASES = {
    "sacrum and ribs agree": ("UU NN NN NN NN NN RR EE UU", SACRUM, ["T10", "T11", "T12", *LUMBAR]),
    "sacrum alone": ("UU NN NN NN UU", SACRUM, ["L2", "L3", "L4", "L5"]),
    "ribs alone": ("UU NN RR EE EE UU", NO_SACRUM, ["T9", "T10", "T11", "T12", "L1", "L2"]),
    "ribs alone, eleventh out of view": ("UU NN RR", NO_SACRUM, ["T12", "L1", "L2"]),
    "chest: no complete body below the ribs": ("UU RR EE EE UU", NO_SACRUM, []),
    "no anchor": ("UU NN NN UU", NO_SACRUM, []),
    "sides of the body below out of view": ("UU UN RR EE UU", NO_SACRUM, []),
    "a stump on the body below": ("UU SN RR EE UU", NO_SACRUM, []),
    "a rib on one side only": ("UU NN RN EE UU", NO_SACRUM, []),
    "a rib-free body above ribs": ("UU NN RR NN UU", NO_SACRUM, []),
    "twelfth ribs absent: the lowest reach as far as the next": ("UU NN EE EE UU", NO_SACRUM, []),
    "long lowest ribs without comparison": ("UU NN EE", NO_SACRUM, []),
    "lowest ribs leave the scan": ("UU NN CC EE UU", NO_SACRUM, []),
    "sacrum seen but not placed": ("UU NN NN RR EE UU", UNFITTING, []),
    "four lumbar bodies": ("UU NN NN NN NN RR EE UU", SACRUM, []),
    "six lumbar bodies": ("UU NN NN NN NN NN NN RR EE UU", SACRUM, []),
    "ribs on a body counted as lumbar": ("UU NN NN NN RN EE UU", SACRUM, []),
    "no ribs where T12 is counted": ("UU NN NN NN NN NN NN UU", SACRUM, []),
}


@pytest.mark.parametrize(("pairs", "sacrum", "expected"), CASES.values(), ids=CASES.keys())
def test_what_may_be_called_certain(pairs: str, sacrum: SacralAnchor, expected: list[str]) -> None:
    assert certain(naming(pairs, sacrum)) == expected


def test_a_pair_too_short_for_twelfth_ribs_names_nothing() -> None:
    anchors = Anchors(
        bounded=(False, True, True, True, False),
        ribs=(
            (rib("U"), rib("U")),
            (rib("N"), rib("N")),
            (Rib(status=RibStatus.RIB, reach_mm=64.0),) * 2,
            (rib("R"), rib("R")),
            (rib("U"), rib("U")),
        ),
        sacrum=NO_SACRUM,
        broken=(False,) * 5,
    )
    result = name_levels(anchors)
    assert result.levels == (None,) * 5
    assert "short" in result.because


@pytest.mark.parametrize("pairs", ["UU NN NN NN NN RR EE UU", "UU NN NN NN NN NN NN RR EE UU", "UU NN NN RR EE UU"])
def test_a_count_other_than_five_is_said_and_gives_no_name(pairs: str) -> None:
    result = naming(pairs, SACRUM)
    assert [notice.code for notice in result.notices] == [WarningCode.TRANSITIONAL_ANATOMY]
    assert set(result.levels) == {None}
    assert result.first == 1


def test_a_disc_inside_the_sacrum_makes_the_sacrum_alone_doubtful_but_not_both_anchors() -> None:
    doubtful = SacralAnchor(disc=1, seen=True, because="sacrum", doubtful=True)
    alone = naming("UU NN NN NN UU", doubtful)
    assert certain(alone) == []
    assert alone.notices[0].code is WarningCode.TRANSITIONAL_ANATOMY
    assert certain(naming("UU NN NN NN NN NN NN RR EE UU", doubtful)) == ["T10", "T11", "T12", *LUMBAR]


def test_sacral_spaces_get_no_name_and_are_not_reported() -> None:
    result = naming("RR RR NN NN NN NN NN RR EE UU", SacralAnchor(disc=1, seen=True, because="sacrum"))
    assert result.levels[:3] == (None, None, "L5")
    assert result.first == 2


def test_certainty_ends_where_a_disc_may_be_missing() -> None:
    assert certain(naming("UU NN NN NN NN UU", SACRUM, broken=(3,))) == ["L4", "L5"]
    assert certain(naming("UU NN NN NN NN NN RR EE EE UU", SACRUM, broken=(7,))) == ["T12", *LUMBAR]
    assert certain(naming("UU NN RR EE UU", NO_SACRUM, broken=(1,))) == []


def test_a_sacrum_that_is_not_placed_leaves_probable_names() -> None:
    result = naming("UU NN NN RR EE UU", UNFITTING)
    assert result.levels[2] == "L1"
    assert not any(result.certain)
    assert "sacrum in view" in result.because


@pytest.mark.parametrize(("number", "text"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd"), (113, "113th")])
def test_ordinals(number: int, text: str) -> None:
    assert ordinal(number) == text
