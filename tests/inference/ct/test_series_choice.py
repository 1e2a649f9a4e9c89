from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inference.ct.series import SeriesChoice, choose_series
from inference.errors import ReasonCode
from inference.reading import InstanceHeader
from tests.inference.headers import ct_stack, evenly

pytestmark = pytest.mark.unit

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def series(number: int, count: int = 80, step_mm: float = 3.0, start_mm: float = 0.0, **changes: Any) -> tuple[InstanceHeader, ...]:
    return ct_stack(evenly(count, step_mm, start_mm), series_instance_uid=f"1.2.3.{number}", series_number=number, **changes)


def codes(choice: SeriesChoice) -> set[ReasonCode]:
    return {item.reason.code for item in choice.skipped}


def test_plain_study_has_one_candidate_and_nothing_skipped() -> None:
    headers = series(2)
    choice = choose_series(headers)
    (candidate,) = choice.candidates
    assert candidate.headers == headers
    assert candidate.penalty == 0.5  # the header does not say whether contrast medium was given
    assert candidate.series_instance_uid == "1.2.3.2"
    assert choice.skipped == ()
    assert choice.not_chosen(candidate) == ()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, ReasonCode.LOCALIZER),
        ({"series_description": "Surview"}, ReasonCode.LOCALIZER),
        ({"image_type": ("DERIVED", "SECONDARY", "AXIAL")}, ReasonCode.DERIVED_IMAGE),
        ({"image_type": ("DERIVED", "PRIMARY", "AXIAL")}, ReasonCode.DERIVED_IMAGE),
        ({"image_type": ("DERIVED", "PRIMARY", "MPR"), "lossy_image_compression": "01"}, ReasonCode.DERIVED_IMAGE),
        ({"series_description": "MONOENERGETIC 50"}, ReasonCode.DERIVED_IMAGE),
        ({"sop_class_uid": SECONDARY_CAPTURE}, ReasonCode.DERIVED_IMAGE),
        ({"rescale_type": "Z_EFF"}, ReasonCode.DERIVED_IMAGE),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.2.1", "number_of_frames": 80}, ReasonCode.MULTIFRAME_NOT_READ),
        ({"number_of_frames": 80}, ReasonCode.MULTIFRAME_NOT_READ),
        ({"modality": "PT", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.128"}, ReasonCode.WRONG_MODALITY),
        ({"modality": "SR", "rows": None, "columns": None}, ReasonCode.NOT_AN_IMAGE),
        ({"image_orientation": (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)}, ReasonCode.NOT_AXIAL),
        ({"image_orientation": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)}, ReasonCode.NOT_AXIAL),
        ({"image_orientation": ()}, ReasonCode.ORIENTATION_MISSING),
        ({"pixel_spacing_mm": ()}, ReasonCode.SPACING_MISSING),
        ({"rescale_intercept": None}, ReasonCode.RESCALE_MISSING),
        ({"body_part_examined": "HEAD", "series_description": ""}, ReasonCode.WRONG_BODY_PART),
    ],
)
def test_what_is_dropped_beside_a_good_series(changes: dict[str, Any], code: ReasonCode) -> None:
    choice = choose_series((*series(1, **changes), *series(2)))
    assert [candidate.series_instance_uid for candidate in choice.candidates] == ["1.2.3.2"]
    assert [(item.path, item.reason.code) for item in choice.skipped] == [("series 1.2.3.1", code)]


@pytest.mark.parametrize(("count", "step_mm"), [(1, 3.0), (7, 5.0), (20, 1.0)])
def test_too_short_to_hold_a_vertebra(count: int, step_mm: float) -> None:
    choice = choose_series(series(1, count, step_mm))
    assert choice.candidates == ()
    assert choice.refusal().code is ReasonCode.TOO_FEW_SLICES


def test_defects_of_geometry_are_told_before_the_number_of_slices() -> None:
    gap = ct_stack([0, 5, 10, 20])
    assert choose_series(gap).refusal().code is ReasonCode.MISSING_SLICES
    one_place = ct_stack([5.0] * 4)
    assert choose_series(one_place).refusal().code is ReasonCode.NOT_A_VOLUME
    tilted = tuple(replace(header, image_orientation=(1.0, 0.0, 0.0, 0.0, 0.9703, -0.2419)) for header in ct_stack(evenly(4, 5.0)))
    refusal = choose_series(tilted).refusal()
    assert refusal.code is ReasonCode.GANTRY_TILT
    assert "14.0 degrees" in refusal.text
    assert "Only 4 slice(s)" in refusal.text


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({}, {"convolution_kernel": "B70f"}),
        ({}, {"convolution_kernel": ""}),
        ({"convolution_kernel": ""}, {"convolution_kernel": "LUNG"}),
        ({"contrast_bolus_agent": "NONE"}, {"contrast_bolus_agent": "Ultravist"}),
        ({"contrast_bolus_agent": "Ultravist"}, {"convolution_kernel": "BONE"}),
        ({"step_mm": 2.0, "count": 120}, {"step_mm": 5.0, "count": 48}),
        ({"step_mm": 2.0, "count": 120}, {"step_mm": 7.0, "count": 36}),
        ({"step_mm": 1.5, "count": 160}, {"step_mm": 0.6, "count": 400}),
        ({"count": 90}, {"count": 80}),
        ({"convolution_kernel": "B70f"}, {"count": 20}),
        ({}, {"kvp": 80.0}),
        ({}, {"kvp": None}),
        ({}, {"image_type": ("ORIGINAL", "SECONDARY", "AXIAL")}),
        ({}, {"lossy_image_compression": "01", "image_type": ("DERIVED", "PRIMARY", "AXIAL")}),
        ({}, {"body_part_examined": "CHEST", "series_description": "Thorax"}),
    ],
)
def test_preference(better: dict[str, Any], worse: dict[str, Any]) -> None:
    choice = choose_series((*series(1, **worse), *series(2, **better)))
    first, second = choice.candidates
    assert (first.series_instance_uid, second.series_instance_uid) == ("1.2.3.2", "1.2.3.1")
    (other,) = choice.not_chosen(first)
    assert other.path == "series 1.2.3.1"
    assert other.reason.code is ReasonCode.OTHER_SERIES_PREFERRED
    assert "series 2" in other.reason.text
    assert second.preference in other.reason.text


def test_equal_series_are_ordered_by_number_whatever_order_they_came_in() -> None:
    a, b = series(5), series(4)
    assert [c.headers[0].series_number for c in choose_series((*a, *b)).candidates] == [4, 5]
    assert [c.headers[0].series_number for c in choose_series((*b, *a)).candidates] == [4, 5]


def test_localizer_inside_the_series_is_dropped_by_file() -> None:
    scout = replace(
        series(2, 1)[0], image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"), sop_instance_uid="scout", path=Path("/in/scout.dcm"), rows=888
    )
    choice = choose_series((scout, *series(2)))
    assert len(choice.candidates[0].headers) == 80
    assert [(item.path, item.reason.code) for item in choice.skipped] == [("/in/scout.dcm", ReasonCode.LOCALIZER)]


def test_two_matrices_orientations_and_kernels_in_one_series_are_apart() -> None:
    small = series(2, rows=256, columns=256, pixel_spacing_mm=(1.4, 1.4))
    sharp = series(2, convolution_kernel="B70f")
    turned = series(2, image_orientation=(1.0, 0.0, 0.0, 0.0, 0.98, -0.198997))
    choice = choose_series((*series(2), *small, *sharp, *turned))
    assert len(choice.candidates) == 4
    assert choice.candidates[-1].headers[0].convolution_kernel == "B70f"
    assert {len(candidate.headers) for candidate in choice.candidates} == {80}


def test_two_acquisitions_at_the_same_positions_become_two_candidates() -> None:
    choice = choose_series((*series(2, acquisition_number=1), *series(2, acquisition_number=2)))
    assert [{h.acquisition_number for h in c.headers} for c in choice.candidates] == [{1}, {2}]
    assert not any(c.geometry.has_duplicates for c in choice.candidates)


def test_two_phases_under_one_acquisition_number_are_split_by_instance_number() -> None:
    first = series(2)
    second = tuple(replace(header, instance_number=(header.instance_number or 0) + 80) for header in series(2))
    choice = choose_series((*second, *first))
    assert [len(candidate.headers) for candidate in choice.candidates] == [80, 80]
    assert {(c.headers[0].instance_number or 0) <= 80 for c in choice.candidates} == {True, False}


def test_acquisitions_with_a_gap_between_them_are_stacks_of_their_own() -> None:
    """Chest and abdomen in two breath holds: together irregular, apart each regular."""
    chest = series(2, 60, 3.0, 301.0, acquisition_number=1)
    abdomen = series(2, 80, 3.0, 0.0, acquisition_number=2)
    choice = choose_series((*chest, *abdomen))
    assert [len(candidate.headers) for candidate in choice.candidates] == [80, 60]


def test_sporadic_repeats_stay_for_their_pixels_to_be_compared() -> None:
    headers = series(2)
    repeat = replace(headers[10], sop_instance_uid="again")
    (candidate,) = choose_series((*headers, repeat)).candidates
    assert candidate.geometry.has_duplicates
    assert len(candidate.headers) == 81


def test_nothing_vanishes() -> None:
    headers = (
        *series(1, 1, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")),
        *series(2),
        *series(3, 5),
        *series(4, 3, modality="SR", rows=None, columns=None),
        *series(5, convolution_kernel="BONE"),
    )
    choice = choose_series(headers)
    listed = {item.path for item in (*choice.skipped, *choice.not_chosen(choice.candidates[0]))}
    assert listed == {f"series 1.2.3.{n}" for n in (1, 3, 4, 5)}


def test_refusal_names_the_images_that_came_nearest() -> None:
    scout = series(1, 1, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    head = series(2, body_part_examined="HEAD", series_description="")
    assert choose_series((*scout, *head)).refusal().code is ReasonCode.WRONG_BODY_PART
    assert choose_series(scout).refusal().code is ReasonCode.LOCALIZER
    mixed = choose_series((*scout, *head, *series(3, 2))).refusal()
    assert mixed.code is ReasonCode.NO_SUITABLE_SERIES
    assert "WRONG_BODY_PART" in mixed.text
    assert "TOO_FEW_SLICES" in mixed.text
    assert "LOCALIZER" not in mixed.text


def test_refusal_of_many_reasons_stays_short() -> None:
    headers = [header for n in range(1, 9) for header in series(n, 1, body_part_examined=f"HEAD {n}")]
    headers += list(series(9, body_part_examined="HEAD", series_description=""))
    refusal = choose_series(headers).refusal()
    assert refusal.code is ReasonCode.NO_SUITABLE_SERIES
    assert "And 4 more." in refusal.text


def test_no_images_at_all() -> None:
    assert choose_series(()).refusal().code is ReasonCode.NO_SUITABLE_SERIES


def test_of_two_acquisitions_the_irregular_one_is_refused_and_the_other_used() -> None:
    whole = series(2, acquisition_number=1)
    gappy = tuple(header for index, header in enumerate(series(2, acquisition_number=2)) if index not in (30, 31))
    choice = choose_series((*gappy, *whole))
    (candidate,) = choice.candidates
    assert {header.acquisition_number for header in candidate.headers} == {1}
    assert codes(choice) == {ReasonCode.MISSING_SLICES}
