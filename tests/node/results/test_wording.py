"""What the results say: digits, ranges and reasons."""

from dataclasses import replace

import pytest

from inference.errors import ReasonCode
from inference.findings import Acquisition, Band, Correction, Findings, Reason, RoiKind, SkippedFile, VertebraFinding
from inference.rounding import round_hu
from node.results import wording
from node.results.headline import advice, band_range, headline
from tests.node.results.example import CONTEXT, THRESHOLDS, Example, level_uncertain, refused

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("value", "shown"), [(110.0, 110), (110.4, 110), (110.5, 111), (-0.4, 0), (-0.5, 0), (-0.6, -1), (-20.5, -20), (99.499, 99)]
)
def test_attenuation_is_shown_as_a_whole_number(value: float, shown: int) -> None:
    assert round_hu(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(23.14, 23.1), (24.56, 24.6), (28.65, 28.7), (30.0, 30.0)])
def test_lengths_have_one_decimal(value: float, shown: float) -> None:
    assert wording.one_decimal(value) == pytest.approx(shown)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("≤ 110 HU ± 5", "<= 110 HU +/- 5"),
        ("Grünewald", "Grunewald"),
        ("2 × 3 mm²", "2 x 3 mm2"),
        ("a\nb\tc", "a b c"),
        ("骨", "?"),
    ],
)
def test_text_becomes_ascii(text: str, plain: str) -> None:
    assert wording.ascii_text(text) == plain


@pytest.mark.parametrize(
    ("band", "words"),
    [
        (Band.LOW, "at or below 110 HU"),
        (Band.INTERMEDIATE, "above 110 HU, at or below 160 HU"),
        (Band.ABOVE, "above 160 HU"),
    ],
)
def test_band_range_is_made_of_the_thresholds_in_any_order(band: Band, words: str) -> None:
    assert band_range(band, THRESHOLDS) == words
    assert band_range(band, THRESHOLDS[::-1]) == words


def test_band_range_without_thresholds_says_so() -> None:
    assert band_range(Band.LOW, ()) == "no threshold configured"


def test_headline_has_level_value_band_statistic_and_region(example: Example) -> None:
    head = headline(example.findings)
    assert head.title == "L1: 97 HU - LOW ATTENUATION"
    assert head.detail == "Median attenuation of the trabecular core; at or below 110 HU."


def test_headline_of_the_mean_of_the_ellipse_above_both_thresholds(example: Example) -> None:
    assert example.findings.summary is not None
    summary = replace(example.findings.summary, attenuation_hu=103.6, statistic="mean", roi_kind=RoiKind.ELLIPSE, band=Band.ABOVE)
    head = headline(replace(example.findings, summary=summary))
    assert head.title == "L1: 104 HU - ABOVE BOTH THRESHOLDS"
    assert head.detail == "Mean attenuation of the trabecular ellipse; above 160 HU."


def test_headline_of_a_refusal_says_code_and_reason(example: Example) -> None:
    head = headline(refused(example.findings))
    assert head.title == "NOT MEASURED: L1_NOT_IN_VIEW"
    assert head.detail == "Only T3 to T9 are in view."


def test_headline_of_measured_bodies_without_names(example: Example) -> None:
    assert headline(level_uncertain(example.findings)).title == "NO BAND REPORTED: LEVEL_UNCERTAIN"


def test_a_result_without_a_band_reports_none(example: Example) -> None:
    findings = replace(example.findings, summary=None)
    assert headline(findings).title == "NO BAND REPORTED"
    assert advice(findings) is None
    assert wording.reported_vertebra(findings) is None


def test_no_threshold_and_no_advice_stand_beside_a_refusal(example: Example) -> None:
    findings = level_uncertain(example.findings)
    assert wording.threshold_lines(findings) == []
    assert wording.correction_lines(findings) == []
    assert advice(findings) is None
    assert wording.threshold_lines(example.findings) == [
        "high specificity: at or below 110 HU (Pickhardt 2013, L1, more than 90 % specific)",
        "high sensitivity: at or below 160 HU (Pickhardt 2013, L1, 90 % sensitive for DXA osteoporosis)",
    ]


def test_a_correction_stands_beside_the_measured_value(example: Example) -> None:
    assert example.findings.summary is not None
    correction = Correction(name="venous contrast", measured_hu=97.0, corrected_hu=75.2, source="Grünewald")
    findings = replace(example.findings, summary=replace(example.findings.summary, corrections=(correction,)))
    assert wording.correction_lines(findings) == [
        "venous contrast: measured 97 HU, corrected 75 HU (Grunewald). Shown for comparison; the band uses the measured value."
    ]
    assert wording.correction_lines(example.findings) == ["No correction was applied."]


def _level(findings: Findings, level: str) -> VertebraFinding:
    return next(v for v in findings.vertebrae if v.level == level)


def test_level_lines(example: Example) -> None:
    findings = example.findings
    assert wording.level_line(_level(findings, "T12"), findings).verdict == "EXCLUDED. NOT_WHOLE: The body is cut by the upper border."
    line = wording.level_line(_level(findings, "L1"), findings)
    assert line.verdict == "used, carries the band"
    assert line.core == ("114", "97", "22")
    assert line.ellipse == ("104", "102", "18")
    assert line.heights == ("23.1", "24.6", "28.7")
    assert wording.level_line(_level(findings, "L2"), findings).warnings == ("WEAK_DISC: The disc below is hardly seen.",)


def test_level_sentence_says_everything_in_one_line(example: Example) -> None:
    assert wording.level_sentence(_level(example.findings, "L2"), example.findings) == (
        "L2: used | core mean 115, median 98, SD 22 HU | ellipse mean 105, median 103, SD 18 HU"
        " | heights anterior/middle/posterior 23.1/24.6/28.7 mm | WARNING WEAK_DISC: The disc below is hardly seen."
    )


def test_an_unmeasured_body_gets_no_number(example: Example) -> None:
    bare = replace(_level(example.findings, "T12"), rois=(), heights=None)
    line = wording.level_line(bare, example.findings)
    assert line.core == line.ellipse == line.heights == ("-", "-", "-")
    assert wording.shown_attenuation(bare, example.findings) is None
    assert wording.level_sentence(bare, example.findings).endswith("attenuation not measured")


def test_vbmd_is_a_quantity_of_its_own(example: Example) -> None:
    vertebra = _level(example.findings, "L1")
    core = replace(vertebra.rois[0], vbmd_mg_cm3=101.26, vbmd_calibration="K2HPO4, phantom of 2026-01-02")
    calibrated = replace(vertebra, rois=(core,))
    said = "SD 22 HU, vBMD 101 mg/cm3 (K2HPO4, phantom of 2026-01-02)"
    assert said in wording.level_sentence(calibrated, example.findings)
    assert wording.density_lines(replace(example.findings, vertebrae=(calibrated,))) == [
        "vBMD of the core, mg/cm3: L1 101 (K2HPO4, phantom of 2026-01-02). Not a DXA value."
    ]
    assert wording.density_lines(example.findings) == []
    assert wording.density_text(vertebra.rois[0]).startswith("no vBMD")


@pytest.mark.parametrize(
    ("level", "certain", "name", "short"),
    [
        ("L1", True, "L1", "L1"),
        ("L1", False, "L1, level uncertain", "L1?"),
        (None, False, "vertebral body 2, level uncertain", "body 2"),
    ],
)
def test_level_names(example: Example, level: str | None, certain: bool, name: str, short: str) -> None:
    vertebra = replace(_level(example.findings, "L1"), level=level, level_certain=certain)
    assert wording.level_name(vertebra) == name
    assert wording.short_level_name(vertebra) == short


def test_acquisition_says_what_is_missing(example: Example) -> None:
    assert example.findings.acquisition is not None
    assert wording.acquisition_text(example.findings.acquisition) == (
        "ACME Scan 1; 120 kVp; kernel not stated; 24 slices every 3.0 mm, 3.0 mm thick; pixel 2.00 x 2.50 mm;"
        " contrast phase by image: unknown (aorta 62 HU), header: none stated; series: NATIVE"
    )
    bare = Acquisition(
        series_instance_uid="1.2",
        series_description=None,
        manufacturer=None,
        model_name=None,
        kvp=None,
        convolution_kernel="Br40",
        slice_spacing_mm=1.0,
        slice_thickness_mm=None,
        pixel_spacing_mm=(0.7, 0.7),
        slices=300,
        contrast_header="Iomeprol",
        contrast_phase="venous",
    )
    assert wording.acquisition_text(bare) == (
        "scanner not stated; tube voltage not stated; kernel Br40; 300 slices every 1.0 mm, thickness not stated; pixel 0.70 x 0.70 mm;"
        " contrast phase by image: venous, header: Iomeprol; series without description"
    )
    assert "series" not in wording.acquisition_text(bare, with_description=False)


def test_provenance_holds_version_and_all_hashes(example: Example) -> None:
    text = " ".join(wording.provenance_lines(example.findings, CONTEXT))
    assert CONTEXT.config_sha256 in text
    assert example.findings.models[0].sha256 in text
    assert "Osteon 0.1.0" in text
    assert "not trained: analytic method" in text


def test_skipped_files_are_gathered_and_their_names_kept_out(example: Example) -> None:
    scout = Reason(code=ReasonCode.LOCALIZER, text="A scout.")
    other = Reason(code=ReasonCode.OTHER_SERIES_PREFERRED, text="A sharper kernel.")
    skipped = (
        SkippedFile(path="/a/Doe_Jane/1", reason=scout),
        SkippedFile(path="/a/Doe_Jane/2", reason=scout),
        SkippedFile(path="series 1.2.3", reason=other),
    )
    lines = wording.skipped_lines(replace(example.findings, skipped=skipped))
    assert lines == ["2 x LOCALIZER: A scout.", "series 1.2.3: OTHER_SERIES_PREFERRED: A sharper kernel."]


def test_many_reasons_are_cut_and_counted(example: Example) -> None:
    skipped = tuple(SkippedFile(path="f", reason=Reason(code=ReasonCode.NOT_AN_IMAGE, text=str(n))) for n in range(25))
    lines = wording.skipped_lines(replace(example.findings, skipped=skipped), limit=20)
    assert len(lines) == 21
    assert lines[-1] == "and 5 more reasons"
