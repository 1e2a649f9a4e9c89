"""The whole method on simulated patients: right levels, right attenuation, honest refusals."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from inference.ct.segmentation import SEGMENTERS, Segmentation, get_segmenter
from inference.ct.segmentation.classical import ClassicalParameters, ClassicalSegmenter
from inference.errors import PermanentError, ReasonCode, Refusal, WarningCode
from inference.volume import Volume
from tests.inference.ct.segmentation.overlap import core_hu, dice, moved
from training.simulation.ct import SimulatedCt, simulate_ct
from training.simulation.parameters import AcquisitionParameters, ContrastPhase, FieldOfView, PatientParameters

pytestmark = pytest.mark.unit

COARSE = AcquisitionParameters(rows=160, columns=160, pixel_spacing_mm=2.4, slice_spacing_mm=3.0, field_of_view=FieldOfView.ABDOMEN)
PATIENT = PatientParameters(seed=11, trabecular_hu=110.0, body_scale=0.95)


@lru_cache(maxsize=8)
def scan(contrast: ContrastPhase, field_of_view: FieldOfView, lumbar_count: int, t12_rib_mm: float) -> SimulatedCt:
    """One patient, once."""
    patient = replace(PATIENT, contrast=contrast, lumbar_count=lumbar_count, t12_rib_mm=t12_rib_mm)
    return simulate_ct(patient, replace(COARSE, field_of_view=field_of_view))


def abdomen() -> SimulatedCt:
    """A native abdomen with the usual anatomy."""
    return scan(ContrastPhase.NATIVE, FieldOfView.ABDOMEN, 5, 105.0)


def chest(*, t12_rib_mm: float = 105.0) -> SimulatedCt:
    """A chest in the arterial phase."""
    return scan(ContrastPhase.ARTERIAL, FieldOfView.CHEST, 5, t12_rib_mm)


@lru_cache(maxsize=1)
def abdomen_segmented() -> Segmentation:
    """The abdomen's segmentation, once."""
    return get_segmenter("classical").segment(abdomen().volume)


def check_against_truth(ct: SimulatedCt, found: Segmentation, levels: list[str]) -> None:
    """Named levels lie where the truth has them, and read what the truth says."""
    for name in levels:
        body = next(vertebra for vertebra in found.vertebrae if vertebra.level == name)
        truth = ct.truth.level(name)
        assert truth is not None
        mask = found.bodies == body.label
        assert dice(mask, ct.truth.bodies == truth.label) > 0.85, name
        assert np.linalg.norm(body.centre_lps_mm - truth.centre_lps_mm) < 5, name
        assert truth.trabecular_median_hu is not None
        assert core_hu(ct.volume, mask)[1] == pytest.approx(truth.trabecular_median_hu, abs=8), name
        assert body.cranial @ truth.cranial > 0.97
        assert body.anterior @ truth.anterior > 0.97
        np.testing.assert_allclose(np.cross(body.cranial, body.anterior), body.left, atol=1e-6)
        assert body.left[0] > 0.9


def test_an_abdomen_is_named_from_both_anchors() -> None:
    ct, found = abdomen(), abdomen_segmented()
    certain = [vertebra.level for vertebra in found.vertebrae if vertebra.level_certain]
    assert certain[-7:] == ["T11", "T12", "L1", "L2", "L3", "L4", "L5"]
    assert "both agree" in found.level_because
    assert found.bodies.shape == ct.volume.hu.shape
    assert found.bodies.dtype == np.uint8
    assert [vertebra.label for vertebra in found.vertebrae] == list(range(1, len(found.vertebrae) + 1))
    assert all(vertebra.whole for vertebra in found.vertebrae if vertebra.level in ("T12", "L1", "L2", "L3", "L4", "L5"))
    assert found.canal_lps_mm is not None
    assert found.canal_lps_mm[0, 2] > found.canal_lps_mm[-1, 2]
    check_against_truth(ct, found, ["T12", "L1", "L2", "L3", "L4", "L5"])


def test_a_contrast_chest_is_named_from_its_ribs_alone() -> None:
    ct = chest()
    found = get_segmenter("classical").segment(ct.volume)
    assert "ribs alone" in found.level_because
    assert [vertebra.level for vertebra in found.vertebrae if vertebra.level_certain][-3:] in (["T12", "L1", "L2"], ["T11", "T12", "L1"])
    check_against_truth(ct, found, ["T11", "T12", "L1"])


def test_a_chest_without_twelfth_ribs_gets_no_certain_level() -> None:
    found = get_segmenter("classical").segment(chest(t12_rib_mm=0.0).volume)
    assert len(found.vertebrae) > 5
    assert not any(vertebra.level_certain for vertebra in found.vertebrae)
    assert all(vertebra.level is None for vertebra in found.vertebrae)


def test_six_lumbar_bodies_are_said_and_not_named() -> None:
    found = get_segmenter("classical").segment(scan(ContrastPhase.NATIVE, FieldOfView.ABDOMEN, 6, 105.0).volume)
    assert WarningCode.TRANSITIONAL_ANATOMY in {notice.code for notice in found.notices}
    assert not any(vertebra.level_certain for vertebra in found.vertebrae)


@pytest.mark.parametrize(("body_scale", "seed"), [(0.8, 32), (0.93, 9), (1.0, 3), (1.1, 6)])
def test_the_sacrum_names_bodies_of_every_size(body_scale: float, seed: int) -> None:
    """L2 to the sacrum on coarse pixels. In the larger three the upper alae hold less than half of the bone at the sacroiliac joint."""
    patient = PatientParameters(seed=seed, trabecular_hu=60.0 + 3.0 * (seed % 20), body_scale=body_scale)
    ct = simulate_ct(patient, replace(COARSE, z_range_mm=(-205.0 * body_scale, 60.0 * body_scale)))
    found = get_segmenter("classical").segment(ct.volume)
    assert "the sacrum alone" in found.level_because
    assert [vertebra.level for vertebra in found.vertebrae if vertebra.level_certain] == ["L2", "L3", "L4", "L5"]
    for vertebra in found.vertebrae:
        truth = ct.truth.level(str(vertebra.level))
        assert truth is not None
        assert np.linalg.norm(vertebra.centre_lps_mm - truth.centre_lps_mm) < 5, vertebra.level


def test_axis_order_and_sign_change_nothing() -> None:
    volume = abdomen().volume
    other = moved(volume, (1, 2, 0), (True, False, True))
    found = get_segmenter("classical").segment(other)
    back = moved(Volume(hu=found.bodies.astype(np.int16), affine=other.affine), (2, 0, 1), (False, True, True))
    np.testing.assert_allclose(back.affine, volume.affine, atol=1e-6)
    assert np.mean(back.hu != abdomen_segmented().bodies) < 1e-4
    assert [vertebra.level for vertebra in found.vertebrae] == [vertebra.level for vertebra in abdomen_segmented().vertebrae]


def test_a_cut_body_is_not_whole_and_missing_anchors_leave_levels_open() -> None:
    ct = abdomen()
    labels = abdomen_segmented()
    third = next(vertebra.label for vertebra in labels.vertebrae if vertebra.level == "L3")
    where = np.argwhere(labels.bodies == third)
    low, high, column = int(where[:, 0].min()) - 18, int(where[:, 0].max()) + 14, int(where[:, 2].mean()) + 7
    affine = ct.volume.affine.copy()
    affine[:3, 3] += affine[:3, 0] * low
    narrow = Volume(hu=np.ascontiguousarray(ct.volume.hu[low:high, :, :column]), affine=affine)
    found = get_segmenter("classical").segment(narrow)
    assert found.vertebrae
    assert not any(vertebra.whole for vertebra in found.vertebrae)
    assert not any(vertebra.level_certain for vertebra in found.vertebrae)


def with_hu(hu: np.ndarray) -> Volume:
    """The abdomen's grid with other values."""
    return Volume(hu=hu.astype(np.int16), affine=abdomen().volume.affine)


def test_refusals_say_why() -> None:
    volume = abdomen().volume
    rng = np.random.default_rng(0)
    thick = volume.affine.copy()
    thick[:3, 0] *= 7.0 / 3.0
    cases = [
        (Volume(hu=volume.hu, affine=thick), ReasonCode.SLICES_TOO_THICK),
        (with_hu(np.clip(volume.hu.astype(int) + 1024, 0, 4095)), ReasonCode.IMPLAUSIBLE_HU),
        (with_hu(np.where(volume.hu > 90, 60, volume.hu)), ReasonCode.SPINE_NOT_FOUND),
        (with_hu(rng.normal(40, 30, volume.hu.shape)), ReasonCode.SPINE_NOT_FOUND),
        (Volume(hu=volume.hu[:12], affine=volume.affine), ReasonCode.SPINE_NOT_FOUND),
    ]
    for refused_volume, code in cases:
        with pytest.raises(Refusal) as refused:
            get_segmenter("classical").segment(refused_volume)
        assert refused.value.code is code


def middle_of_abdomen() -> Volume:
    """A few lumbar bodies of the abdomen: quick to segment."""
    volume, found = abdomen().volume, abdomen_segmented()
    levels = {vertebra.level: vertebra.label for vertebra in found.vertebrae}
    rows = np.argwhere((found.bodies == levels["L4"]) | (found.bodies == levels["L2"]))[:, 0]
    first, last = int(rows.min()) - 10, int(rows.max()) + 10
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, 0] * first
    return Volume(hu=volume.hu[first:last], affine=affine)


def test_limits_are_parameters() -> None:
    with pytest.raises(Refusal) as thick:
        get_segmenter("classical", max_slice_spacing_mm=2.0).segment(middle_of_abdomen())
    assert thick.value.code is ReasonCode.SLICES_TOO_THICK
    with pytest.raises(Refusal) as poor:
        ClassicalSegmenter(parameters=ClassicalParameters(min_wall_contrast_hu=500.0)).segment(middle_of_abdomen())
    assert poor.value.code is ReasonCode.POOR_CONTRAST
    with pytest.raises(Refusal) as implausible:
        ClassicalSegmenter(parameters=ClassicalParameters(plausible_body_hu=(-50.0, 60.0))).segment(middle_of_abdomen())
    assert implausible.value.code is ReasonCode.IMPLAUSIBLE_HU


def test_weak_discs_unlike_sizes_and_rotation_are_reported() -> None:
    strict = ClassicalParameters(weak_disc_hu=1000.0, max_size_change=0.001, max_roll_deg=-1.0)
    found = ClassicalSegmenter(parameters=strict).segment(middle_of_abdomen())
    assert {notice.code for notice in found.vertebrae[1].notices} == {WarningCode.WEAK_DISC, WarningCode.SIZE_OUTLIER}
    assert [notice.code for notice in found.notices] == [WarningCode.ROTATED_SPINE]
    assert abdomen_segmented().notices == ()


def test_the_model_names_itself_and_its_hash_follows_the_parameters() -> None:
    model = get_segmenter("classical").model
    assert (model.name, model.version) == ("classical-spine", "1")
    assert "not trained" in model.trained_on
    assert len(model.sha256) == 64
    assert model.sha256 == get_segmenter("classical").model.sha256
    assert model.sha256 != get_segmenter("classical", max_slice_spacing_mm=3.0).model.sha256


def test_an_unknown_segmenter_is_a_clear_error() -> None:
    assert SEGMENTERS == ("classical", "network", "both", "totalsegmentator", "masks")
    with pytest.raises(PermanentError, match="no segmenter is called 'unet'"):
        get_segmenter("unet")
