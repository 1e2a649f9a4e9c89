"""The CT workflow on real studies: levels, attenuation, overlap, refusals."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from inference.ct.contrast import ContrastPhase, estimate_phase
from inference.ct.measure import measure_bodies
from inference.ct.options import CtOptions
from inference.ct.quality import assess
from inference.ct.segmentation import get_segmenter
from inference.ct.segmentation.base import Segmentation, VertebralBody
from inference.ct.series import choose_series, load_series
from inference.ct.summary import summarise
from inference.errors import ReasonCode, WarningCode
from inference.findings import Band, Findings, LevelAgreement, ModelUsed, Outcome, RoiKind, VertebraFinding
from inference.reading import find_files, read_headers
from inference.volume import Volume
from tests.paths import real_image
from tests.real.cases import CASES, READERS, best_body, findings_of, true_level
from tests.real.studies import labels_on_volume
from tests.real.table import reader_rows, rows

pytestmark = pytest.mark.real

FindingsOf = Callable[[str], Findings]
LUMBAR_LEVELS = ("L1", "L2", "L3", "L4", "L5")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> FindingsOf:
    """Findings of a case by its name; each is computed once for all tests of this file."""
    known: dict[str, Findings] = {}

    def findings(name: str) -> Findings:
        if name not in known:
            folder: Path = tmp_path_factory.mktemp("study")
            known[name] = findings_of(CASES[name], folder)
        return known[name]

    return findings


def level_of(findings: Findings, level: str) -> VertebraFinding:
    found = {vertebra.level: vertebra for vertebra in findings.vertebrae}
    assert level in found, findings.level_because
    return found[level]


def core_hu(vertebra: VertebraFinding) -> tuple[float, float]:
    """Mean and median of the core."""
    roi = vertebra.roi(RoiKind.CORE)
    assert roi is not None
    return roi.attenuation.mean_hu, roi.attenuation.median_hu


def test_abdomen_levels_are_right_and_certain_and_all_used(measured: FindingsOf) -> None:
    found = measured("abdomen_native_3mm")
    truth = CASES["abdomen_native_3mm"].truth
    assert truth is not None
    assert found.images is not None
    masks = truth(found.images.volume)
    for level in LUMBAR_LEVELS:
        vertebra = level_of(found, level)
        real_level, overlap = true_level(vertebra.label, found, masks)
        assert real_level == level
        assert overlap >= 0.85
        assert vertebra.level_certain
        assert vertebra.used, vertebra.excluded_because


@pytest.mark.parametrize("level", ["L1", "L2", "L3", "L4"])
def test_abdomen_attenuation(measured: FindingsOf, level: str) -> None:
    mean, _ = core_hu(level_of(measured("abdomen_native_3mm"), level))
    assert mean == pytest.approx(CASES["abdomen_native_3mm"].reference_hu[level], abs=8)


def test_abdomen_ellipse_agrees_with_the_core_where_there_is_no_focus(measured: FindingsOf) -> None:
    """Trap in peers: cortex and arch in the region read 40 to 60 HU high."""
    for level in ("L2", "L3", "L4", "L5"):
        vertebra = level_of(measured("abdomen_native_3mm"), level)
        ellipse = vertebra.roi(RoiKind.ELLIPSE)
        assert ellipse is not None
        assert ellipse.attenuation.median_hu == pytest.approx(core_hu(vertebra)[1], abs=8)


def test_abdomen_dense_focus_in_l1_is_a_warning_and_the_median_stands(measured: FindingsOf) -> None:
    found = measured("abdomen_native_3mm")
    first = level_of(found, "L1")
    mean, median = core_hu(first)
    assert mean - median > 8
    assert WarningCode.MEAN_MEDIAN_GAP in [notice.code for notice in first.warnings]
    assert found.summary is not None
    assert found.summary.level == "L1"
    assert found.summary.attenuation_hu == median
    assert found.summary.band is Band.LOW
    assert found.outcome is Outcome.RESULT_WITH_WARNINGS


def test_abdomen_heights_are_plausible(measured: FindingsOf) -> None:
    """Facts: 20-30 mm; L5 anterior 30.3 +/- 1.9, posterior 26.3 +/- 1.9 mm."""
    for level in LUMBAR_LEVELS:
        heights = level_of(measured("abdomen_native_3mm"), level).heights
        assert heights is not None
        assert min(heights.anterior_mm, heights.middle_mm, heights.posterior_mm) >= 20
        assert max(heights.anterior_mm, heights.middle_mm, heights.posterior_mm) <= 33
    fifth = level_of(measured("abdomen_native_3mm"), "L5").heights
    assert fifth is not None
    assert fifth.anterior_mm - fifth.posterior_mm > 2


def test_abdomen_is_native_by_its_image(measured: FindingsOf) -> None:
    acquisition = measured("abdomen_native_3mm").acquisition
    assert acquisition is not None
    assert acquisition.contrast_phase == "native", acquisition.contrast_because


def test_abdomen_masks_lie_inside_the_bodies(measured: FindingsOf) -> None:
    images = measured("abdomen_native_3mm").images
    assert images is not None
    assert images.source_bodies.shape == (len(images.source_paths), 101, 122)
    for mask in (images.source_core, images.source_ellipse):
        assert np.array_equal(mask[mask > 0], images.source_bodies[mask > 0])


def test_abdomen_is_read_alike_by_the_second_reader(measured: FindingsOf) -> None:
    found = measured("abdomen_native_3mm")
    assert found.second_reader is not None
    assert found.second_reader.levels is LevelAgreement.AGREE
    assert [model.trained_on for model in found.models] == ["not trained: analytic method", found.second_reader.model.trained_on]
    assert "simulated" in found.second_reader.model.trained_on
    for level in LUMBAR_LEVELS:
        reading = level_of(found, level).second_reader
        assert reading is not None
        assert (reading.level, reading.level_certain) == (level, True)
        assert reading.dice >= 0.8
        assert reading.median_difference_hu == pytest.approx(0, abs=5)


def test_the_second_reader_names_nothing_where_no_anchor_is_in_view(measured: FindingsOf) -> None:
    found = measured("lumbar_low_density_1.5mm")
    (third,) = found.vertebrae
    assert third.second_reader is not None
    assert third.second_reader.level is None
    assert third.second_reader.dice >= 0.8
    assert third.second_reader.median_difference_hu == pytest.approx(0, abs=5)


def test_a_thorax_that_the_second_reader_alone_finds_carries_no_band(measured: FindingsOf) -> None:
    found = measured("thorax_siemens")
    assert WarningCode.NETWORK_ALONE in [notice.code for notice in found.warnings]
    assert found.images is not None
    truth = CASES["thorax_siemens"].truth
    assert truth is not None
    assert best_body(truth(found.images.volume)["T12"], found)[1] >= 0.6
    assert found.summary is not None
    assert found.summary.band is None


def test_low_density_is_measured_and_its_level_stays_uncertain(measured: FindingsOf) -> None:
    found = measured("lumbar_low_density_1.5mm")
    assert found.images is not None
    truth = CASES["lumbar_low_density_1.5mm"].truth
    assert truth is not None
    masks = truth(found.images.volume)
    third = next(vertebra for vertebra in found.vertebrae if true_level(vertebra.label, found, masks)[0] == "L3")
    assert true_level(third.label, found, masks)[1] >= 0.85
    mean, median = core_hu(third)
    assert mean == pytest.approx(52, abs=10)
    assert median == pytest.approx(52, abs=10)
    assert third.level is None
    assert not third.used
    assert all(not vertebra.level_certain for vertebra in found.vertebrae)


def test_cement_in_l1_and_a_screw_in_l4_hand_the_band_to_l2(measured: FindingsOf) -> None:
    found = measured("abdomen_native_3mm")
    assert found.images is not None
    volume = found.images.volume
    everywhere = volume.to_lps_mm(np.argwhere(np.ones(volume.hu.shape, bool))).reshape(*volume.hu.shape, 3)
    hu = volume.hu.copy()
    cemented, screwed = level_of(found, "L1"), level_of(found, "L4")
    hu[np.linalg.norm(everywhere - cemented.centre_lps_mm, axis=-1) < 8] = 1200
    anterior, left, cranial = (
        ((everywhere - screwed.centre_lps_mm) @ np.array(axis)) for axis in (screwed.anterior, screwed.left, screwed.cranial)
    )
    hu[(np.hypot(left - 12, cranial - 4) < 3) & (anterior > -45) & (anterior < 5)] = 3000
    treated = Volume(hu=hu, affine=volume.affine)
    bodies = measure_bodies(treated, get_segmenter("classical").segment(treated), CtOptions()).bodies
    vertebrae = assess(bodies, CtOptions())
    excluded = {vertebra.level: vertebra.excluded_because.code for vertebra in vertebrae if vertebra.excluded_because}
    assert excluded == {"L1": ReasonCode.METAL_OR_CEMENT, "L4": ReasonCode.METAL_OR_CEMENT}  # nor does the metal hip exclude L5
    verdict = summarise(vertebrae, ContrastPhase.NATIVE, 120.0, CtOptions())
    assert verdict.summary.level == "L2"
    assert verdict.summary.attenuation_hu == pytest.approx(112, abs=8)


@pytest.mark.parametrize("name", ["thorax_siemens", "thorax_philips"])
def test_a_thorax_without_l1_never_claims_one(measured: FindingsOf, name: str) -> None:
    found = measured(name)
    assert "L1" not in [vertebra.level for vertebra in found.vertebrae]
    assert all(vertebra.level in (None, "T11", "T12") for vertebra in found.vertebrae)
    assert found.summary is None or found.summary.band is None


def test_the_native_thorax_is_native_by_its_image(measured: FindingsOf) -> None:
    found = measured("thorax_philips")
    assert found.acquisition is not None
    assert found.acquisition.contrast_phase == "native", found.acquisition.contrast_because
    assert [vertebra.label for vertebra in found.vertebrae] != []


def test_the_contrast_thorax_is_venous_by_its_image() -> None:
    """The expert label of its aorta has a median of 151 HU; only T12's frame is given here, so segmentation plays no part."""
    headers, _ = read_headers(find_files([real_image("ct/thorax_siemens_dicom")]))
    volume = load_series(choose_series(headers).candidates[0]).volume
    label = labels_on_volume(real_image("ct/thorax_siemens_labels/vertebrae.nii.gz"), volume) == 32
    rows_of = np.argwhere(label)[:, 1]
    label[:, rows_of.min() + round(32 / volume.spacing_mm[1]) :] = False  # the body, without the arch
    twelfth = VertebralBody(
        label=1,
        level="T12",
        level_certain=True,
        whole=False,
        centre_lps_mm=volume.to_lps_mm(np.argwhere(label).mean(axis=0)[None])[0],
        cranial=np.array([0.0, 0.0, 1.0]),
        anterior=np.array([0.0, -1.0, 0.0]),
        left=np.array([1.0, 0.0, 0.0]),
    )
    nothing = ModelUsed(name="given", version="1", sha256="0" * 64, trained_on="nothing")
    given = Segmentation(
        bodies=label.astype(np.uint8), vertebrae=(twelfth,), canal_lps_mm=None, level_because="given", notices=(), model=nothing
    )
    estimate = estimate_phase(volume, given)
    assert estimate.phase is ContrastPhase.VENOUS, estimate.because
    assert estimate.aorta_hu == pytest.approx(151, abs=15)


@pytest.mark.parametrize("name", ["abdomen_native_3mm", "thorax_philips"])
def test_body_frames_are_right_handed_and_point_where_they_say(measured: FindingsOf, name: str) -> None:
    for vertebra in measured(name).vertebrae:
        cranial, anterior, left = (np.array(axis) for axis in (vertebra.cranial, vertebra.anterior, vertebra.left))
        assert np.cross(cranial, anterior) @ left == pytest.approx(1, abs=1e-3)
        assert cranial[2] > 0.7
        assert anterior[1] < -0.7
        assert left[0] > 0.7


@pytest.mark.parametrize("name", [case.name for case in CASES.values() if case.refusal])
def test_what_cannot_be_measured_is_refused_with_its_code(measured: FindingsOf, name: str) -> None:
    found = measured(name)
    assert found.outcome is Outcome.REFUSED
    assert found.reason is not None
    assert found.reason.code in CASES[name].refusal
    assert found.reason.text


def test_a_mixed_study_says_why_each_series_is_not_used(measured: FindingsOf) -> None:
    codes = {item.reason.code for item in measured("mixed_study").skipped}
    assert codes == {ReasonCode.LOCALIZER, ReasonCode.DERIVED_IMAGE, ReasonCode.WRONG_BODY_PART}


def test_the_table_shows_every_level_with_its_reference(measured: FindingsOf) -> None:
    table = rows(CASES["abdomen_native_3mm"], measured("abdomen_native_3mm"))
    assert [row[2] for row in table[1:]][-5:] == list(LUMBAR_LEVELS)
    assert [row[5] for row in table[1:]][-5:] == ["111", "113", "108", "110", "114"]
    assert table[0][1] == "result_with_warnings"


def test_the_table_shows_the_readers_beside_each_other(measured: FindingsOf) -> None:
    found = measured("abdomen_native_3mm")
    table = reader_rows(CASES["abdomen_native_3mm"], dict.fromkeys(READERS, found))
    assert [row[1] for row in table[1:]] == ["T12", *LUMBAR_LEVELS]
    for row, level in zip(table[2:], LUMBAR_LEVELS, strict=True):
        assert row[3] == row[4] == row[5]
        named, overlap, hu = row[3].split()
        assert named == level
        assert float(overlap) >= 0.85
        assert hu == "/".join(f"{value:.0f}" for value in core_hu(level_of(found, level)))
