"""Which bodies count, as tables."""

import dataclasses

import pytest

from inference.ct.measure import BodyMeasurement
from inference.ct.options import CtOptions
from inference.ct.quality import assess, height_loss
from inference.errors import ReasonCode, WarningCode
from inference.findings import Notice, VertebraFinding
from tests.inference.ct.made import body, heights

pytestmark = pytest.mark.unit

OPTIONS = CtOptions()


def lumbar(**changed: BodyMeasurement) -> list[BodyMeasurement]:
    """T12 to L5, sound, but for the levels given."""
    return [
        dataclasses.replace(
            changed.get(level, body(level)), vertebra=dataclasses.replace(changed.get(level, body(level)).vertebra, label=label)
        )
        for label, level in enumerate(("T12", "L1", "L2", "L3", "L4", "L5"), 1)
    ]


def judged(level: str, **changed: BodyMeasurement) -> VertebraFinding:
    return next(found for found in assess(lumbar(**changed), OPTIONS) if found.level == level)


def test_a_sound_spine_is_used_without_a_word() -> None:
    found = assess(lumbar(), OPTIONS)
    assert [vertebra.level for vertebra in found] == ["T12", "L1", "L2", "L3", "L4", "L5"]
    assert all(vertebra.used and vertebra.excluded_because is None and vertebra.warnings == () for vertebra in found)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        (body("L2", whole=False), ReasonCode.NOT_WHOLE),
        (body("L2", cement_ml=0.2), ReasonCode.METAL_OR_CEMENT),
        (body("L2", metal_ml=0.1), ReasonCode.METAL_OR_CEMENT),
        (body("L2", dark_fraction=0.06), ReasonCode.METAL_OR_CEMENT),
        (body("L2", heights_mm=(58.0, 57.0, 58.0)), ReasonCode.MERGED_BODIES),
        (body("L2", volume_ml=62.0), ReasonCode.MERGED_BODIES),
        (body("L2", volume_ml=18.0), ReasonCode.MERGED_BODIES),
        (body("L2", None), ReasonCode.ROI_TOO_SMALL),
        (body("L2", -51.0), ReasonCode.IMPLAUSIBLE_HU),
        (body("L2", 351.0), ReasonCode.SCLEROSIS),
        (body("L2", dense_fraction=0.26), ReasonCode.SCLEROSIS),
        (body("L2", heights_mm=(19.0, 24.0, 26.0)), ReasonCode.FRACTURE_SUSPECTED),  # 27 % against its own back
        (body("L2", heights_mm=(18.0, 18.0, 18.5)), ReasonCode.FRACTURE_SUSPECTED),  # 30 % against its neighbours
        (body("L2", 171.0), ReasonCode.OUTLIER),
        (body("L2", 69.0), ReasonCode.OUTLIER),
        (body("L2", noise_hu=2.6), ReasonCode.TOO_NOISY),  # 1.96 x 2.6 = 5.1 HU
    ],
)
def test_a_body_is_excluded(changed: BodyMeasurement, code: ReasonCode) -> None:
    found = judged("L2", L2=changed)
    assert found.excluded_because is not None
    assert found.excluded_because.code is code
    assert found.excluded_because.text
    assert not found.used
    assert found.rois == changed.rois  # what was measured stays visible
    for other in ("T12", "L1", "L3", "L4", "L5"):
        assert judged(other, L2=changed).used, f"{other} is sound"


@pytest.mark.parametrize(
    "changed",
    [
        body("L2", cement_ml=0.19),
        body("L2", metal_ml=0.09),
        body("L2", dark_fraction=0.05),
        body("L2", heights_mm=(45.0, 40.0, 45.0), volume_ml=50.0),
        body("L2", 170.0),
        body("L2", 70.0),
        body("L2", dense_fraction=0.25),
        body("L2", heights_mm=(19.6, 24.0, 26.0)),  # 24.6 %
        body("L2", volume_ml=60.0),
        body("L2", volume_ml=19.5),
        body("L2", noise_hu=2.5),
    ],
)
def test_a_body_at_the_limit_still_counts(changed: BodyMeasurement) -> None:
    assert judged("L2", L2=changed).used


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        (body("L2", 97.0, mean_hu=124.0), WarningCode.MEAN_MEDIAN_GAP),
        (body("L2", dense_ml=0.3, dense_fraction=0.03), WarningCode.DENSE_VOXELS),
        (body("L2", heights_mm=(20.5, 25.0, 26.5)), WarningCode.HEIGHT_LOSS),
        (body("L2", volume_ml=51.0), WarningCode.SIZE_OUTLIER),
        (body("L2", 146.0), WarningCode.DIFFERS_FROM_NEIGHBOURS),
        (body("L2", 94.0), WarningCode.DIFFERS_FROM_NEIGHBOURS),
    ],
)
def test_a_body_gets_a_warning_and_still_counts(changed: BodyMeasurement, code: ReasonCode) -> None:
    found = judged("L2", L2=changed)
    assert found.used
    assert code in [notice.code for notice in found.warnings]


def test_two_crushed_bodies_do_not_excuse_each_other() -> None:
    """L2 has lost 23 % against the mean of a crushed L1 and L3, but 40 % against its intact neighbours."""
    crushed = {"L1": body("L1", heights_mm=(14.3, 13.8, 14.9)), "L2": body("L2", heights_mm=(15.6, 15.0, 16.2))}
    for level in ("L1", "L2"):
        reason = judged(level, **crushed).excluded_because
        assert reason is not None
        assert reason.code is ReasonCode.FRACTURE_SUSPECTED
    assert "40%" in str(judged("L2", **crushed).excluded_because)
    for level in ("T12", "L3", "L4", "L5"):
        assert judged(level, **crushed).used, level


def test_the_limit_of_noise_is_the_sites() -> None:
    noisy = [body("L2", noise_hu=3.4)]  # 1.96 x 3.4 = 6.7 HU
    (strict,) = assess(noisy, OPTIONS)
    (lenient,) = assess(noisy, dataclasses.replace(OPTIONS, max_noise_hu=7.0))
    assert strict.excluded_because is not None
    assert strict.excluded_because.code is ReasonCode.TOO_NOISY
    assert lenient.excluded_because is None


def test_noise_does_not_hide_why_a_body_has_no_name() -> None:
    (found,) = assess([body("L2", certain=False, noise_hu=9.0)], OPTIONS)
    assert found.excluded_because is not None
    assert found.excluded_because.code is ReasonCode.LEVEL_UNCERTAIN


def test_a_dense_focus_in_a_wedged_l1_is_a_warning() -> None:
    """One of the test images: mean 124, median 97, 22 % height loss. It must stay in use."""
    found = judged("L1", L1=body("L1", 97.0, mean_hu=124.0, heights_mm=(21.0, 24.0, 27.0), dense_ml=0.3, dense_fraction=0.03))
    assert found.used
    assert {notice.code for notice in found.warnings} == {
        WarningCode.MEAN_MEDIAN_GAP,
        WarningCode.HEIGHT_LOSS,
        WarningCode.DENSE_VOXELS,
    }
    gap = next(notice for notice in found.warnings if notice.code is WarningCode.MEAN_MEDIAN_GAP)
    assert "124" in gap.text
    assert "97" in gap.text


@pytest.mark.parametrize(
    ("values", "level", "loss"),
    [
        ((26.0, 26.0, 26.0), "L2", 0.0),
        ((20.0, 25.0, 25.0), "L2", 0.2),
        ((25.0, 15.0, 25.0), None, 0.4),
        ((30.3, 28.0, 26.3), "L5", 1 - 28.0 / 30.3),  # the normal wedge of L5 is no loss: its middle is the lowest
        ((30.3, 30.3, 26.3), "L5", 0.0),
        ((30.3, 30.3, 26.3), "L4", 1 - 26.3 / 30.3),
    ],
)
def test_height_loss(values: tuple[float, float, float], level: str | None, loss: float) -> None:
    assert height_loss(heights(*values), level) == pytest.approx(loss)


def test_an_outlier_needs_two_sound_neighbours() -> None:
    """With one neighbour nobody knows which of the two is wrong: a warning, no exclusion."""
    pair = assess([body("L1", 120.0, label=1), body("L2", 200.0, label=2)], OPTIONS)
    assert all(found.used for found in pair)
    assert all(WarningCode.DIFFERS_FROM_NEIGHBOURS in [notice.code for notice in found.warnings] for found in pair)


def test_an_excluded_neighbour_is_passed_over() -> None:
    found = judged("L2", L1=body("L1", 300.0, cement_ml=5.0), L2=body("L2", 180.0))
    assert found.excluded_because is not None
    assert found.excluded_because.code is ReasonCode.OUTLIER  # against T12 and L3, not against the cement
    assert judged("L2", L1=body("L1", 300.0, cement_ml=5.0)).warnings == ()


def test_a_denser_step_between_two_halves_excludes_nobody() -> None:
    found = assess(lumbar(T12=body("T12", 200.0), L1=body("L1", 200.0), L2=body("L2", 200.0)), OPTIONS)
    assert all(vertebra.used for vertebra in found)


def test_uncertain_levels_are_listed_nameless_and_never_used() -> None:
    spine = [body("T11", certain=False, label=1, whole=False), body("L1", certain=False, label=2), body(None, label=3)]
    found = assess(spine, OPTIONS)
    assert [vertebra.label for vertebra in found] == [2, 3]
    for vertebra in found:
        assert vertebra.level is None
        assert not vertebra.level_certain
        assert not vertebra.used
        assert vertebra.excluded_because is not None
        assert vertebra.excluded_because.code is ReasonCode.LEVEL_UNCERTAIN
        assert vertebra.rois


def test_levels_above_t11_are_not_listed_but_judge_their_neighbours() -> None:
    spine = [body("T10", 60.0, label=1), body("T11", 120.0, label=2), body("T12", 60.0, label=3), body("L1", 65.0, label=4)]
    found = assess(spine, OPTIONS)
    assert [vertebra.level for vertebra in found] == ["T11", "T12", "L1"]
    assert found[0].excluded_because is not None
    assert found[0].excluded_because.code is ReasonCode.OUTLIER


def test_the_segmenters_own_notices_come_along() -> None:
    weak = Notice(code=WarningCode.WEAK_DISC, text="The disc below is hardly seen.")
    sound = body("L3")
    noticed = dataclasses.replace(sound, vertebra=dataclasses.replace(sound.vertebra, notices=(weak,)))
    assert judged("L3", L3=noticed).warnings == (weak,)


def test_a_body_without_heights_is_judged_by_the_rest() -> None:
    assert judged("L3", L3=body("L3", heights_mm=None)).used


def test_limits_are_the_sites() -> None:
    strict = CtOptions(height_loss_exclude=0.1, height_loss_warn=0.05)
    wedge = body("L2", heights_mm=(23.0, 25.0, 27.0))  # 15 %
    assert judged("L2", L2=wedge).used
    found = next(item for item in assess(lumbar(L2=wedge), strict) if item.level == "L2")
    assert found.excluded_because is not None
    assert found.excluded_because.code is ReasonCode.FRACTURE_SUSPECTED
