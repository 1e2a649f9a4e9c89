"""Which level carries the band, and when none may."""

import dataclasses

import pytest

from inference.ct.acquisition import acquisition_notices, kernel_notice, slices_notice
from inference.ct.contrast import ContrastPhase, judge
from inference.ct.options import CtOptions
from inference.ct.quality import NO_ANCHOR
from inference.ct.summary import Verdict, band_of, recommendation, refusal_reason, summarise
from inference.errors import ReasonCode, WarningCode
from inference.findings import Band, Reason, RoiKind, VertebraFinding
from inference.rounding import round_hu
from tests.inference.ct.made import acquisition, finding, roi

pytestmark = pytest.mark.unit

OPTIONS = CtOptions()
FRACTURED = Reason(code=ReasonCode.FRACTURE_SUSPECTED, text="Height loss 40 %.")
CUT = Reason(code=ReasonCode.NOT_WHOLE, text="Cut.")
NAMELESS = Reason(code=ReasonCode.LEVEL_UNCERTAIN, text=NO_ANCHOR)


def native(*vertebrae: VertebraFinding, options: CtOptions = OPTIONS) -> Verdict:
    return summarise(vertebrae, ContrastPhase.NATIVE, 120.0, options)


@pytest.mark.parametrize(
    ("hu", "band"),
    [
        (-20.0, Band.LOW),
        (109.0, Band.LOW),
        (110.0, Band.LOW),
        (110.4, Band.LOW),  # printed as 110: number and band must not contradict each other
        (110.5, Band.INTERMEDIATE),
        (111.0, Band.INTERMEDIATE),
        (160.0, Band.INTERMEDIATE),
        (160.5, Band.ABOVE),
        (161.0, Band.ABOVE),
        (250.0, Band.ABOVE),
    ],
)
def test_band_at_its_edges(hu: float, band: Band) -> None:
    assert band_of(hu, OPTIONS.thresholds) is band


@pytest.mark.parametrize(("hu", "shown"), [(110.5, 111), (110.49, 110), (-0.4, 0), (-0.5, 0), (-1.6, -2), (0.5, 1)])
def test_numbers_are_shown_whole(hu: float, shown: int) -> None:
    assert round_hu(hu) == shown


def test_l1_carries_the_band_by_its_median() -> None:
    focus = dataclasses.replace(finding("L1"), rois=(roi(97.0, mean_hu=124.0), roi(98.0, kind=RoiKind.ELLIPSE)))
    verdict = native(finding("T12", 200.0), focus, finding("L2", 200.0))
    assert verdict.reason is None
    assert verdict.warnings == ()
    assert verdict.summary.level == "L1"
    assert verdict.summary.attenuation_hu == 97.0
    assert verdict.summary.band is Band.LOW
    assert verdict.summary.thresholds == (OPTIONS.high_specificity, OPTIONS.high_sensitivity)


def test_the_site_chooses_the_region() -> None:
    verdict = native(finding("L1", 112.0), options=CtOptions(roi=RoiKind.ELLIPSE))
    assert verdict.summary.roi_kind is RoiKind.ELLIPSE
    assert verdict.summary.attenuation_hu == 107.0
    assert verdict.summary.band is Band.LOW


@pytest.mark.parametrize(
    ("vertebrae", "level"),
    [
        ((finding("L1", excluded_because=FRACTURED), finding("L2"), finding("T12")), "L2"),
        ((finding("L1", excluded_because=FRACTURED), finding("L2", excluded_because=FRACTURED), finding("T12")), "T12"),
        ((finding("L1", excluded_because=FRACTURED), finding("T12")), "T12"),
    ],
)
def test_a_fallback_level_carries_the_band_and_says_so(vertebrae: tuple[VertebraFinding, ...], level: str) -> None:
    verdict = native(*vertebrae)
    assert verdict.summary.level == level
    assert verdict.reason is None
    assert [notice.code for notice in verdict.warnings] == [WarningCode.BAND_FROM_OTHER_LEVEL]
    assert "published for L1" in verdict.warnings[0].text


@pytest.mark.parametrize(
    ("vertebrae", "code"),
    [
        ((), ReasonCode.NO_USABLE_LEVEL),
        ((finding(None, excluded_because=NAMELESS),), ReasonCode.LEVEL_UNCERTAIN),
        ((finding("T11"), finding("T12")), ReasonCode.L1_NOT_IN_VIEW),
        ((finding("L2"), finding("L3")), ReasonCode.L1_NOT_IN_VIEW),
        ((finding("T12"), finding("L1", excluded_because=CUT)), ReasonCode.L1_NOT_IN_VIEW),
        ((finding("L1", excluded_because=FRACTURED), finding("L3")), ReasonCode.NO_USABLE_LEVEL),
        ((finding("L1", excluded_because=FRACTURED), finding("L2", excluded_because=FRACTURED)), ReasonCode.NO_USABLE_LEVEL),
    ],
)
def test_no_band_without_a_certain_usable_level(vertebrae: tuple[VertebraFinding, ...], code: ReasonCode) -> None:
    """Trap in peers: a missing L1 crashed, and no reason a machine can read was given."""
    verdict = native(*vertebrae)
    assert verdict.reason is not None
    assert verdict.reason.code is code
    assert verdict.reason.text
    assert verdict.summary.level is None
    assert verdict.summary.attenuation_hu is None
    assert verdict.summary.band is None
    assert verdict.summary.corrections == ()


def test_l1_in_view_is_no_reason_to_refuse() -> None:
    assert refusal_reason([finding("L1")]) is None
    assert refusal_reason([finding("L1", excluded_because=FRACTURED)]) is None


def test_no_fallback_level_where_the_site_wants_none() -> None:
    verdict = native(finding("L1", excluded_because=FRACTURED), finding("L2"), options=CtOptions(fallback_levels=()))
    assert verdict.reason is not None
    assert verdict.reason.code is ReasonCode.NO_USABLE_LEVEL
    assert "L1 FRACTURE_SUSPECTED" in verdict.reason.text


@pytest.mark.parametrize(
    ("contrast", "kvp", "names"),
    [
        (False, False, []),
        (True, False, ["portal venous contrast, -22 HU"]),
        (False, True, ["100 kVp to 120 kVp, x0.93"]),
        (True, True, ["portal venous contrast, -22 HU", "100 kVp to 120 kVp, x0.93"]),
    ],
)
def test_corrections_stand_beside_the_measured_value(contrast: bool, kvp: bool, names: list[str]) -> None:
    options = CtOptions(contrast_correction=contrast, kvp_correction=kvp)
    summary = summarise([finding("L1", 115.0)], ContrastPhase.VENOUS, 100.0, options).summary
    assert [correction.name for correction in summary.corrections] == names
    assert summary.attenuation_hu == 115.0
    assert summary.band is Band.INTERMEDIATE  # the band rests on the measured value
    assert all(correction.measured_hu == 115.0 for correction in summary.corrections)


@pytest.mark.parametrize("band", list(Band))
def test_recommendation_is_one_careful_sentence(band: Band) -> None:
    text = recommendation(band)
    assert text.count(".") == 1
    assert text.endswith(".")
    for claim in ("diagnos", "normal", "osteopenia", "has osteoporosis"):
        assert claim not in text
    assert ("does not rule out" in text) == (band is Band.ABOVE)


@pytest.mark.parametrize(
    ("kernel", "warned"),
    [("B70f", True), ("BONEPLUS", True), ("LUNG", True), ("FC51", True), ("B30f", False), ("STANDARD", False), (None, False), ("", False)],
)
def test_sharp_kernels_are_warned_of(kernel: str | None, warned: bool) -> None:
    notice = kernel_notice(kernel)
    assert (notice is not None) == warned
    if notice is not None:
        assert notice.code is WarningCode.SHARP_KERNEL
        assert str(kernel) in notice.text


@pytest.mark.parametrize(("spacing_mm", "warned"), [(1.0, False), (3.0, False), (3.005, False), (3.2, True), (5.0, True)])
def test_thick_slices_are_warned_of(spacing_mm: float, warned: bool) -> None:
    assert (slices_notice(spacing_mm, 3.0) is not None) == warned


def test_everything_about_a_series_that_a_reader_must_know() -> None:
    bad = acquisition(kvp=80.0, kernel="B70f", spacing_mm=4.0, contrast_header="IV")
    codes = [notice.code for notice in acquisition_notices(bad, judge(150.0, 3, None), OPTIONS)]
    assert codes == [WarningCode.CONTRAST_VENOUS, WarningCode.TUBE_VOLTAGE, WarningCode.SHARP_KERNEL, WarningCode.THICK_SLICES]
    assert acquisition_notices(acquisition(), judge(40.0, 3, None), OPTIONS) == ()
