"""The CT workflow: from DICOM files to findings, with a segmenter that knows the made spine."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from inference.ct.options import CalibrationEntry, CtOptions
from inference.ct.segmentation.base import Segmentation
from inference.errors import ReasonCode, Refusal, WarningCode
from inference.findings import Band, Findings, ModelUsed, Outcome, RoiKind
from inference.reading import find_files, read_headers
from inference.volume import Volume
from inference.workflows import WorkflowOptions, ct, run_workflow
from tests.inference.ct.phantom import MODEL, spine
from tests.real.studies import write_ct

pytestmark = pytest.mark.unit

LUMBAR = ("T12", "L1", "L2")


class KnowingSegmenter:
    """Gives each volume the segmentation it was made with, told apart by its number of slices; or a Refusal."""

    model: ModelUsed = MODEL

    def __init__(self) -> None:
        self.known: dict[int, Segmentation | Refusal] = {}
        self.seen: list[int] = []

    def segment(self, volume: Volume) -> Segmentation:
        self.seen.append(len(volume.hu))
        answer = self.known[len(volume.hu)]
        if isinstance(answer, Refusal):
            raise answer
        return answer


@pytest.fixture
def segmenter(monkeypatch: pytest.MonkeyPatch) -> KnowingSegmenter:
    made = KnowingSegmenter()
    monkeypatch.setattr(ct, "get_segmenter", lambda *_, **__: made)
    return made


def series(
    folder: Path,
    segmenter: KnowingSegmenter,
    *,
    description: str = "ABDOMEN",
    shift_mm: float = 0.0,
    refusal: Refusal | None = None,
    edit: Callable[[Dataset, int], None] | None = None,
    **made: Any,
) -> None:
    """Write one series of the made spine, and tell the segmenter about it."""
    volume, segmentation = spine(**{"spacing_mm": (2.5, 2.0, 2.0), **made})
    affine = volume.affine.copy()
    affine[2, 3] += shift_mm
    write_ct(volume.hu, affine, folder / description, series_description=description, edit=edit)
    segmenter.known[len(volume.hu)] = refusal or segmentation


def run(folder: Path, options: CtOptions | None = None) -> Findings:
    headers, unreadable = read_headers(find_files([folder]))
    assert unreadable == ()
    return run_workflow("ct", headers, WorkflowOptions(ct=options or CtOptions()))


def test_a_native_study_gives_a_band(tmp_path: Path, segmenter: KnowingSegmenter) -> None:
    series(tmp_path, segmenter, levels=LUMBAR, trabecular_hu=(140, 130, 120))
    found = run(tmp_path)
    assert found.outcome is Outcome.RESULT
    assert found.reason is None
    assert found.warnings == ()
    assert [(vertebra.level, vertebra.used) for vertebra in found.vertebrae] == [("T12", True), ("L1", True), ("L2", True)]
    for vertebra, hu in zip(found.vertebrae, (140, 130, 120), strict=True):
        for kind in RoiKind:
            roi = vertebra.roi(kind)
            assert roi is not None
            assert roi.attenuation.mean_hu == roi.attenuation.median_hu == hu
            assert roi.vbmd_mg_cm3 is None
    assert found.summary is not None
    assert (found.summary.level, found.summary.attenuation_hu, found.summary.band) == ("L1", 130.0, Band.INTERMEDIATE)
    assert found.models == (MODEL,)
    assert found.level_because == "made so"
    assert set(found.timings_s) == {"reading", "segmentation", "measurement", "classification", "total"}
    assert found.timings_s["total"] >= sum(value for step, value in found.timings_s.items() if step != "total")


def test_the_acquisition_says_what_phase_and_why(tmp_path: Path, segmenter: KnowingSegmenter) -> None:
    series(tmp_path, segmenter, aorta_hu=150)
    found = run(tmp_path)
    assert found.acquisition is not None
    assert found.acquisition.contrast_phase == "venous"
    assert "aorta" in found.acquisition.contrast_because
    assert found.outcome is Outcome.RESULT_WITH_WARNINGS
    assert [notice.code for notice in found.warnings] == [WarningCode.CONTRAST_VENOUS]


def test_masks_lie_on_the_files_of_the_series(tmp_path: Path, segmenter: KnowingSegmenter) -> None:
    series(tmp_path, segmenter)
    found = run(tmp_path)
    assert found.images is not None
    assert len(found.images.source_paths) == len(found.images.source_bodies)
    assert set(np.unique(found.images.source_core)) == {0, 1, 2, 3}
    assert np.array_equal(found.images.source_bodies, found.images.bodies)
    for mask in (found.images.source_core, found.images.source_ellipse):
        assert (found.images.source_bodies[mask > 0] == mask[mask > 0]).all()
    for vertebra in found.vertebrae:
        core = vertebra.roi(RoiKind.CORE)
        assert core is not None
        assert core.voxels == (found.images.core == vertebra.label).sum()


def test_a_warning_beside_the_carrying_level_reaches_the_study(tmp_path: Path, segmenter: KnowingSegmenter) -> None:
    series(tmp_path, segmenter, trabecular_hu=(180, 145, 180))
    found = run(tmp_path)
    assert found.outcome is Outcome.RESULT_WITH_WARNINGS
    assert [notice.code for notice in found.warnings] == [WarningCode.DIFFERS_FROM_NEIGHBOURS]
    assert found.warnings[0].text.startswith("L1: ")


def test_a_refused_study_still_lists_what_was_measured(tmp_path: Path, segmenter: KnowingSegmenter) -> None:
    series(tmp_path, segmenter, certain=False)
    found = run(tmp_path)
    assert found.outcome is Outcome.REFUSED
    assert found.reason is not None
    assert found.reason.code is ReasonCode.LEVEL_UNCERTAIN
    assert [vertebra.level for vertebra in found.vertebrae] == [None, None, None]
    assert all(vertebra.rois for vertebra in found.vertebrae)
    assert found.summary is not None
    assert found.summary.band is None
    assert found.images is not None


def test_a_series_that_cannot_be_segmented_gives_way_to_the_next(tmp_path: Path, segmenter: KnowingSegmenter) -> None:
    refusal = Refusal(ReasonCode.SPINE_NOT_FOUND, "A heart.")
    series(tmp_path, segmenter, description="ABDOMEN NATIVE HEART", refusal=refusal, margin_mm=20.0)
    series(tmp_path, segmenter, description="ABDOMEN PORTAL", aorta_hu=150)
    found = run(tmp_path)
    assert found.outcome is Outcome.RESULT_WITH_WARNINGS
    assert found.acquisition is not None
    assert found.acquisition.series_description == "ABDOMEN PORTAL"
    assert [item.reason.code for item in found.skipped] == [ReasonCode.SPINE_NOT_FOUND]


def test_the_best_series_own_refusal_is_the_studys(tmp_path: Path, segmenter: KnowingSegmenter) -> None:
    first, second = Refusal(ReasonCode.POOR_CONTRAST, "Faint."), Refusal(ReasonCode.SPINE_NOT_FOUND, "Nothing.")
    series(tmp_path, segmenter, description="ABDOMEN NATIVE", refusal=first, margin_mm=20.0)
    series(tmp_path, segmenter, description="ABDOMEN PORTAL", refusal=second)
    found = run(tmp_path)
    assert found.outcome is Outcome.REFUSED
    assert found.reason is not None
    assert (found.reason.code, found.reason.text) == (ReasonCode.POOR_CONTRAST, "Faint.")
    assert found.vertebrae == ()


def test_another_part_of_the_spine_is_tried_where_l1_is_not_in_view(tmp_path: Path, segmenter: KnowingSegmenter) -> None:
    series(tmp_path, segmenter, description="CHEST NATIVE", levels=("T9", "T10", "T11", "T12"), trabecular_hu=(150,) * 4, shift_mm=120.0)
    series(tmp_path, segmenter, description="PORTAL VENOUS CHEST", levels=LUMBAR, aorta_hu=150)
    found = run(tmp_path)
    assert found.summary is not None
    assert found.summary.level == "L1"
    assert len(segmenter.seen) == 2
    assert [item.reason.code for item in found.skipped] == [ReasonCode.L1_NOT_IN_VIEW]


def test_the_same_part_of_the_spine_is_not_tried_again(tmp_path: Path, segmenter: KnowingSegmenter) -> None:
    series(tmp_path, segmenter, description="ABDOMEN NATIVE", certain=False, margin_mm=14.0)
    series(tmp_path, segmenter, description="ABDOMEN PORTAL", aorta_hu=150)
    found = run(tmp_path)
    assert len(segmenter.seen) == 1
    assert found.reason is not None
    assert found.reason.code is ReasonCode.LEVEL_UNCERTAIN
    assert [item.reason.code for item in found.skipped] == [ReasonCode.OTHER_SERIES_PREFERRED]


def test_no_more_than_three_series_are_tried(tmp_path: Path, segmenter: KnowingSegmenter) -> None:
    for index in range(5):
        refusal = Refusal(ReasonCode.SPINE_NOT_FOUND, f"{index}")
        series(tmp_path, segmenter, description=f"ABDOMEN {index}", refusal=refusal, margin_mm=12.0 + 2 * index)
    assert run(tmp_path).outcome is Outcome.REFUSED
    assert len(segmenter.seen) == ct.MAX_TRIED == 3


def test_slices_above_the_sites_limit_are_refused(tmp_path: Path, segmenter: KnowingSegmenter) -> None:
    series(tmp_path, segmenter, spacing_mm=(4.0, 1.5, 1.5))
    found = run(tmp_path, CtOptions(max_slice_spacing_mm=3.0))
    assert found.reason is not None
    assert found.reason.code is ReasonCode.SLICES_TOO_THICK
    assert segmenter.seen == []
    warned = run(tmp_path)
    assert WarningCode.THICK_SLICES in [notice.code for notice in warned.warnings]


def test_two_patients_in_one_study_are_refused(tmp_path: Path, segmenter: KnowingSegmenter) -> None:
    def other_patient(dataset: Dataset, index: int) -> None:
        if index == 3:
            dataset.PatientID = "SOMEBODY ELSE"

    series(tmp_path, segmenter, edit=other_patient)
    found = run(tmp_path)
    assert found.reason is not None
    assert found.reason.code is ReasonCode.IDENTITY_CONFLICT
    assert segmenter.seen == []


def test_a_study_without_a_volume_has_the_reason_of_what_came_nearest(tmp_path: Path, segmenter: KnowingSegmenter) -> None:
    def localizer(dataset: Dataset, _: int) -> None:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    series(tmp_path, segmenter, edit=localizer)
    found = run(tmp_path)
    assert found.outcome is Outcome.REFUSED
    assert found.reason is not None
    assert found.reason.code is ReasonCode.LOCALIZER
    assert [item.reason.code for item in found.skipped] == [ReasonCode.LOCALIZER]
    assert found.timings_s["total"] > 0


def test_a_missing_tube_voltage_is_said_and_not_made_up(tmp_path: Path, segmenter: KnowingSegmenter) -> None:
    """Trap in peers: missing metadata replaced by a plausible value."""

    def without_kvp(dataset: Dataset, _: int) -> None:
        dataset.KVP = ""

    series(tmp_path, segmenter, edit=without_kvp)
    found = run(tmp_path, CtOptions(kvp_correction=True))
    assert found.acquisition is not None
    assert found.acquisition.kvp is None
    assert [notice.code for notice in found.warnings] == [WarningCode.TUBE_VOLTAGE_MISSING]
    assert found.summary is not None
    assert found.summary.corrections == ()


@pytest.mark.parametrize(
    ("serial", "kvp", "vbmd", "codes"),
    [
        ("77", 120.0, 0.9 * 130 + 1, []),
        ("78", 120.0, None, []),
        ("77", 100.0, None, [WarningCode.CALIBRATION_OTHER_TUBE_VOLTAGE]),
    ],
)
def test_vbmd_needs_this_scanner_at_this_voltage(
    tmp_path: Path, segmenter: KnowingSegmenter, serial: str, kvp: float, vbmd: float | None, codes: list[WarningCode]
) -> None:
    def scanner(dataset: Dataset, _: int) -> None:
        dataset.Manufacturer, dataset.ManufacturerModelName, dataset.DeviceSerialNumber = "ACME", "Scan 64", "77"

    entry = CalibrationEntry(
        manufacturer="Acme",
        model_name="Scan 64",
        device_serial_number=serial,
        kvp=kvp,
        slope=0.9,
        intercept=1.0,
        material="K2HPO4",
        source="phantom",
    )
    series(tmp_path, segmenter, edit=scanner)
    found = run(tmp_path, CtOptions(calibration=(entry,)))
    core = next(vertebra for vertebra in found.vertebrae if vertebra.level == "L1").roi(RoiKind.CORE)
    assert core is not None
    assert core.vbmd_mg_cm3 == (None if vbmd is None else pytest.approx(vbmd))
    assert [notice.code for notice in found.warnings] == codes


def test_an_unreadable_series_gives_way_to_the_next(tmp_path: Path, segmenter: KnowingSegmenter) -> None:
    series(tmp_path, segmenter, description="ABDOMEN NATIVE", margin_mm=20.0)
    series(tmp_path, segmenter, description="ABDOMEN PORTAL")
    headers, _ = read_headers(find_files([tmp_path]))
    broken = next(header.path for header in headers if header.series_description == "ABDOMEN NATIVE" and header.instance_number == 9)
    assert broken is not None
    broken.write_bytes(broken.read_bytes()[:-500])
    found = run_workflow("ct", headers, WorkflowOptions())
    assert found.summary is not None
    assert found.summary.level == "L1"
    assert found.acquisition is not None
    assert found.acquisition.series_description == "ABDOMEN PORTAL"
    assert [item.reason.code for item in found.skipped] == [ReasonCode.UNREADABLE_PIXELS]


def test_any_matrix_is_measured(tmp_path: Path, segmenter: KnowingSegmenter) -> None:
    """Trap in peers: only 512 x 512 was accepted."""
    series(tmp_path, segmenter, spacing_mm=(2.0, 1.3, 1.7))
    found = run(tmp_path)
    assert found.images is not None
    assert found.images.volume.hu.shape[1:] == (76, 52)
    assert found.outcome is Outcome.RESULT


def test_findings_of_the_ellipse(tmp_path: Path, segmenter: KnowingSegmenter) -> None:
    series(tmp_path, segmenter, spacing_mm=(2.5, 1.0, 1.0))  # an ellipse of coarser voxels is all edge
    found = run(tmp_path, dataclasses.replace(CtOptions(), roi=RoiKind.ELLIPSE))
    assert found.summary is not None
    assert found.summary.roi_kind is RoiKind.ELLIPSE
    assert found.summary.attenuation_hu == 130.0
