"""Contrast phase and tube voltage: from the image, with labelled corrections beside the measured value."""

import numpy as np
import pytest

from inference.ct.acquisition import phase_notice, voltage_notice
from inference.ct.contrast import Circle, ContrastPhase, aorta_candidates, estimate_phase, follow, judge
from inference.ct.correction import contrast_correction, kvp_correction
from inference.errors import WarningCode
from tests.inference.ct.phantom import AORTA_MM, AORTA_RADIUS_MM, spine

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("aorta_hu", "phase"),
    [
        (35, ContrastPhase.NATIVE),
        (55, ContrastPhase.NATIVE),
        (82, ContrastPhase.UNKNOWN),
        (150, ContrastPhase.VENOUS),
        (320, ContrastPhase.ARTERIAL),
    ],
)
@pytest.mark.parametrize(("spacing_mm", "pitch_deg"), [((3.0, 3.0, 3.0), 0.0), ((1.5, 0.9, 0.9), 15.0)])
def test_phase_from_the_aorta_in_the_image(
    aorta_hu: int, phase: ContrastPhase, spacing_mm: tuple[float, float, float], pitch_deg: float
) -> None:
    volume, segmentation = spine(spacing_mm=spacing_mm, pitch_deg=pitch_deg, aorta_hu=aorta_hu)
    noisy = np.random.default_rng(7).normal(0, 15, volume.hu.shape)
    estimate = estimate_phase(type(volume)(hu=(volume.hu + noisy).astype(np.int16), affine=volume.affine), segmentation)
    assert estimate.phase is phase
    assert estimate.aorta_hu == pytest.approx(aorta_hu, abs=12)
    assert f"{estimate.aorta_hu:.0f} HU" in estimate.because


def test_the_aorta_is_found_where_it_is() -> None:
    volume, segmentation = spine(spacing_mm=(1.5, 1.0, 1.0), aorta_hu=45, pitch_deg=10.0)
    best = aorta_candidates(volume, segmentation, segmentation.vertebrae[1])[0]
    assert best.anterior_mm == pytest.approx(AORTA_MM[0], abs=2)
    assert best.left_mm == pytest.approx(AORTA_MM[1], abs=2)
    assert best.radius_mm == pytest.approx(AORTA_RADIUS_MM, abs=2)


def test_enhanced_kidneys_beside_unenhanced_blood_leave_the_phase_unknown() -> None:
    volume, segmentation = spine(("T12", "L1", "L2"), aorta_hu=45, width_mm=180.0)
    bare = estimate_phase(volume, segmentation)
    assert bare.phase is ContrastPhase.NATIVE
    hu = volume.hu.copy()
    points = volume.to_lps_mm(np.argwhere(np.ones(hu.shape, bool))).reshape(*hu.shape, 3)
    kidneys = np.hypot(np.abs(points[..., 0]) - 55, points[..., 1] - 20) < 18
    hu[kidneys] = 30
    assert estimate_phase(type(volume)(hu=hu, affine=volume.affine), segmentation).phase is ContrastPhase.NATIVE
    hu[kidneys] = 140
    late = estimate_phase(type(volume)(hu=hu, affine=volume.affine), segmentation)
    assert late.phase is ContrastPhase.UNKNOWN
    assert late.organ_hu == pytest.approx(140, abs=3)


def test_marrow_beside_its_cortex_is_no_kidney() -> None:
    volume, segmentation = spine(("T12", "L1", "L2"), aorta_hu=45, width_mm=180.0)
    points = volume.to_lps_mm(np.argwhere(np.ones(volume.hu.shape, bool))).reshape(*volume.hu.shape, 3)
    away = np.hypot(np.abs(points[..., 0]) - 60, points[..., 1] - 20)
    hu = np.where(away < 14, 500, volume.hu)
    hu = np.where(away < 11, 140, hu).astype(np.int16)
    estimate = estimate_phase(type(volume)(hu=hu, affine=volume.affine), segmentation)
    assert estimate.phase is ContrastPhase.NATIVE
    assert estimate.organ_hu is None


def test_without_an_aorta_the_phase_is_unknown() -> None:
    volume, segmentation = spine(aorta_hu=None)
    estimate = estimate_phase(volume, segmentation)
    assert estimate.phase is ContrastPhase.UNKNOWN
    assert estimate.aorta_hu is None
    assert "not found" in estimate.because


@pytest.mark.parametrize(
    ("aorta_hu", "organ_hu", "phase"),
    [
        (69.9, None, ContrastPhase.NATIVE),
        (70.0, None, ContrastPhase.UNKNOWN),
        (94.9, None, ContrastPhase.UNKNOWN),
        (95.0, None, ContrastPhase.VENOUS),
        (199.9, 180.0, ContrastPhase.VENOUS),
        (200.0, 30.0, ContrastPhase.ARTERIAL),
        (45.0, 109.0, ContrastPhase.NATIVE),
        (45.0, 160.0, ContrastPhase.UNKNOWN),  # late: the blood is washed out, the kidneys are not
        (None, 160.0, ContrastPhase.UNKNOWN),
        (None, None, ContrastPhase.UNKNOWN),
    ],
)
def test_judge(aorta_hu: float | None, organ_hu: float | None, phase: ContrastPhase) -> None:
    estimate = judge(aorta_hu, 3, organ_hu)
    assert estimate.phase is phase
    assert (organ_hu is None) == ("organ" not in estimate.because)


def circle(left_mm: float, mean_hu: float, score: float) -> Circle:
    return Circle(anterior_mm=30.0, left_mm=left_mm, radius_mm=9.0, mean_hu=mean_hu, score=score)


def test_follow_prefers_the_tube_that_goes_on_to_the_brighter_spot_that_does_not() -> None:
    tube = [circle(8.0, 45.0, 0.6), circle(10.0, 46.0, 0.6), circle(9.0, 44.0, 0.6)]
    bowel = circle(40.0, 300.0, 0.8)
    assert follow([[tube[0]], [bowel, tube[1]], [tube[2]]]) == tube
    assert follow([[tube[0]], [], [tube[2]]]) == [tube[0], tube[2]]
    assert follow([[], []]) == []


@pytest.mark.parametrize(
    ("phase", "code"),
    [
        (ContrastPhase.ARTERIAL, WarningCode.CONTRAST_ARTERIAL),
        (ContrastPhase.VENOUS, WarningCode.CONTRAST_VENOUS),
        (ContrastPhase.UNKNOWN, WarningCode.CONTRAST_UNKNOWN),
    ],
)
def test_every_phase_but_native_is_warned_of(phase: ContrastPhase, code: WarningCode) -> None:
    aorta_hu = {ContrastPhase.ARTERIAL: 300.0, ContrastPhase.VENOUS: 150.0, ContrastPhase.UNKNOWN: None}[phase]
    notice = phase_notice(judge(aorta_hu, 2, None), "APPLIED")
    assert notice is not None
    assert notice.code is code
    assert "'APPLIED'" in notice.text
    assert phase_notice(judge(40.0, 2, None), "APPLIED") is None  # the header alone proves nothing


def test_the_portal_venous_correction_is_the_larger_one() -> None:
    """Trap in peers: the arterial correction was larger; the literature says the reverse."""
    arterial = contrast_correction(130.0, ContrastPhase.ARTERIAL)
    venous = contrast_correction(130.0, ContrastPhase.VENOUS)
    assert arterial is not None
    assert venous is not None
    assert arterial.corrected_hu == 116.0
    assert venous.corrected_hu == 108.0
    assert arterial.measured_hu == venous.measured_hu == 130.0
    assert "Pompe" in venous.source
    assert contrast_correction(130.0, ContrastPhase.NATIVE) is None
    assert contrast_correction(130.0, ContrastPhase.UNKNOWN) is None


@pytest.mark.parametrize(("kvp", "expected"), [(100.0, 93.0), (140.0, 105.0), (120.0, None), (80.0, None), (None, None), (110.0, None)])
def test_kvp_correction(kvp: float | None, expected: float | None) -> None:
    correction = kvp_correction(100.0, kvp)
    assert (None if correction is None else pytest.approx(correction.corrected_hu)) == expected


@pytest.mark.parametrize(
    ("kvp", "code", "words"),
    [
        (None, WarningCode.TUBE_VOLTAGE_MISSING, "not stated"),
        (80.0, WarningCode.TUBE_VOLTAGE, "no verified factor"),
        (100.0, WarningCode.TUBE_VOLTAGE, "7 % too high"),
        (140.0, WarningCode.TUBE_VOLTAGE, "5 % too low"),
    ],
)
def test_voltage_notice(kvp: float | None, code: WarningCode, words: str) -> None:
    notice = voltage_notice(kvp)
    assert notice is not None
    assert notice.code is code
    assert words in notice.text
    assert voltage_notice(120.0) is None
