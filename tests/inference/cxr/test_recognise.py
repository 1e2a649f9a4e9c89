"""Which films are used: tables of headers, and images without any header."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from pydicom.dataset import Dataset

from inference.cxr.fit import Placement, ThoraxFit
from inference.cxr.recognise import check_fit, decide_film, side_of
from inference.cxr.thorax import Hand
from inference.cxr.view import HeaderView, View, header_view
from inference.errors import ReasonCode, Refusal, WarningCode
from inference.reading import header_of
from tests.inference.cxr.films import dataset, decided, put, stored
from tests.inference.dxa.scans import regions
from training.simulation.xray.film_dicom import FilmFormat

pytestmark = pytest.mark.unit

SILENT = HeaderView(view=None, because="the header does not say the view", chest=False, rows_run_left=None, spacing_mm=None)
PA = replace(SILENT, view=View.PA, because="View Position says PA", chest=True)


@pytest.mark.parametrize("form", [FilmFormat.DX, FilmFormat.CR])
@pytest.mark.parametrize("kind", ["PA", "AP"])
def test_frontal_films_are_used_and_ap_is_said(kind: str, form: FilmFormat) -> None:
    decision = decided(dataset(kind, form=form))
    assert decision.used, decision.because
    assert decision.view is View(kind)
    assert (WarningCode.AP_FILM in {notice.code for notice in decision.notices}) is (kind == "AP")


@pytest.mark.parametrize("kind", ["PA", "AP"])
def test_without_a_word_in_the_header_the_image_says_frontal(kind: str) -> None:
    decision = decided(dataset(kind, view_in_header=False))
    assert decision.used, decision.because
    assert decision.view is View.FRONTAL
    assert "the header does not say the view" in decision.because
    assert WarningCode.VIEW_FROM_IMAGE in {notice.code for notice in decision.notices}


@pytest.mark.parametrize("kind", ["lateral", "abdomen"])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_without_a_word_in_the_header_other_images_are_refused_however_they_lie(kind: str, quarters: int) -> None:
    decision = decided(dataset(kind, view_in_header=False, change=lambda ds: put(ds, np.rot90(stored(ds), quarters))))
    assert not decision.used
    assert decision.reason is not None
    assert decision.reason.code is ReasonCode.WRONG_BODY_PART
    assert decision.film is None


def test_a_lateral_film_called_pa_is_refused_by_its_image() -> None:
    def called_pa(ds: Dataset) -> None:
        ds.ViewPosition, ds.BodyPartExamined = "PA", "CHEST"

    decision = decided(dataset("lateral", view_in_header=False, change=called_pa))
    assert decision.reason is not None
    assert decision.reason.code in (ReasonCode.NOT_FRONTAL, ReasonCode.ORIENTATION_UNCERTAIN)
    assert "View Position says PA" in decision.reason.text


@pytest.mark.parametrize("region", ["Left Femur", "LVA", "Left Ortho Knee", "Total Body"])
def test_other_regions_are_no_chest(region: str) -> None:
    picture = regions()[region].image
    larger = np.kron(picture, np.ones((2, 2), dtype=np.uint8))
    decision = decided(dataset(view_in_header=False, change=lambda ds: put(ds, larger, 8)))
    assert decision.reason is not None
    assert decision.reason.code is ReasonCode.WRONG_BODY_PART


def said(**values: object) -> Callable[[Dataset], None]:
    def change(ds: Dataset) -> None:
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    change.__name__ = "-".join(f"{keyword}={value}" for keyword, value in values.items())
    return change


def named(value: object) -> str:
    """A test's name must be the same in every process."""
    return getattr(value, "__name__", str(value))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (said(ViewPosition="LL"), ReasonCode.NOT_FRONTAL),
        (said(ViewPosition="RL"), ReasonCode.NOT_FRONTAL),
        (said(ViewPosition="LATERAL"), ReasonCode.NOT_FRONTAL),
        (said(ViewPosition="LAO"), ReasonCode.NOT_FRONTAL),
        (said(ViewPosition="", SeriesDescription="Chest lateral"), ReasonCode.NOT_FRONTAL),
        (said(ViewPosition="", PatientOrientation=["P", "F"]), ReasonCode.NOT_FRONTAL),
        (said(BodyPartExamined="LSPINE"), ReasonCode.WRONG_BODY_PART),
        (said(BodyPartExamined="LEG"), ReasonCode.WRONG_BODY_PART),
        (said(AcquisitionDeviceProcessingDescription="CANINE LATERAL THORAX 0-15cm"), ReasonCode.NOT_HUMAN),
        (said(PatientBreedDescription="Beagle"), ReasonCode.NOT_HUMAN),
        (said(Modality="CT", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), ReasonCode.LOCALIZER),
        (said(Modality="CT"), ReasonCode.WRONG_MODALITY),
        (said(Modality="MG"), ReasonCode.WRONG_MODALITY),
    ],
    ids=named,
)
def test_headers_that_refuse(change: Callable[[Dataset], None], code: ReasonCode) -> None:
    ds = dataset(change=change)
    if "ViewCodeSequence" in ds and ds.get("ViewPosition") != "PA":
        del ds.ViewCodeSequence
    with pytest.raises(Refusal) as refusal:
        header_view(header_of(ds), ds)
    assert refusal.value.code is code


@pytest.mark.parametrize(
    ("change", "view", "because"),
    [
        (said(), View.PA, "View Position says PA"),
        (said(ViewPosition=""), View.PA, "View Code says PA"),
        (said(ViewPosition="", ViewCodeSequence=[], SeriesDescription="Chest AP portable"), View.AP, "its description says AP"),
        (said(ViewPosition="", ViewCodeSequence=[], SeriesDescription="Chest PA and AP"), None, "the header does not say the view"),
        (said(ViewPosition="", ViewCodeSequence=[], SeriesDescription="BILATERAL RIBS"), None, "the header does not say the view"),
        (said(ViewPosition="PA", SeriesDescription="Chest PA and lateral"), View.PA, "View Position says PA"),
    ],
    ids=named,
)
def test_headers_that_name_a_view(change: Callable[[Dataset], None], view: View | None, because: str) -> None:
    ds = dataset(change=change)
    found = header_view(header_of(ds), ds)
    assert (found.view, found.because) == (view, because)


def fit(*, score: float, lead: float, column: float, quarters: int = 0, negative: bool = False, sided: float = 0.05) -> ThoraxFit:
    hand = Hand.RIGHT if sided >= 0 else Hand.LEFT
    best = Placement(quarters=quarters, negative=negative, hand=hand, score=score, box=(0, 0, 40, 40))
    return ThoraxFit(best=best, runner_up=score - lead, column_over_lungs=column, sided=sided, lungs=(0.1, 0.1, 0.9, 0.9))


@pytest.mark.parametrize(
    ("found", "named", "code"),
    [
        (fit(score=0.68, lead=0.051, column=0.25), SILENT, None),
        (fit(score=0.67, lead=0.10, column=0.30), SILENT, ReasonCode.WRONG_BODY_PART),
        (fit(score=0.80, lead=0.04, column=0.30), SILENT, ReasonCode.WRONG_BODY_PART),
        (fit(score=0.80, lead=0.10, column=0.24), replace(SILENT, chest=True), ReasonCode.NOT_FRONTAL),
        (fit(score=0.56, lead=0.02, column=0.21), PA, None),
        (fit(score=0.54, lead=0.10, column=0.30), PA, ReasonCode.NOT_FRONTAL),
        (fit(score=0.80, lead=0.10, column=0.19), PA, ReasonCode.NOT_FRONTAL),
        (fit(score=0.73, lead=0.09, column=0.31, quarters=1), PA, None),
        (fit(score=0.73, lead=0.09, column=0.31, negative=True), SILENT, None),
        (fit(score=0.71, lead=0.09, column=0.31, quarters=1), PA, ReasonCode.ORIENTATION_UNCERTAIN),
        (fit(score=0.80, lead=0.09, column=0.29, quarters=1), PA, ReasonCode.ORIENTATION_UNCERTAIN),
        (fit(score=0.80, lead=0.07, column=0.31, negative=True), PA, ReasonCode.ORIENTATION_UNCERTAIN),
        (fit(score=0.71, lead=0.09, column=0.31, quarters=2), SILENT, ReasonCode.WRONG_BODY_PART),
        (fit(score=0.78, lead=0.09, column=0.33, quarters=1, negative=True), PA, None),
        (fit(score=0.76, lead=0.09, column=0.33, quarters=1, negative=True), PA, ReasonCode.ORIENTATION_UNCERTAIN),
        (fit(score=0.78, lead=0.09, column=0.31, quarters=1, negative=True), PA, ReasonCode.ORIENTATION_UNCERTAIN),
        (fit(score=0.90, lead=0.30, column=0.50, quarters=1, negative=True), SILENT, ReasonCode.WRONG_BODY_PART),
    ],
)
def test_the_rule_on_the_image(found: ThoraxFit, named: HeaderView, code: ReasonCode | None) -> None:
    if code is None:
        check_fit(found, named)
        return
    with pytest.raises(Refusal) as refusal:
        check_fit(found, named)
    assert refusal.value.code is code


@pytest.mark.parametrize(
    ("sided", "rows_run_left", "mirrored", "certain"),
    [
        (0.03, False, False, True),  # the heart is on the usual side, whatever the header says
        (-0.03, True, True, True),
        (0.01, True, False, True),
        (0.01, False, True, True),
        (-0.01, None, False, False),
    ],
)
def test_sides_by_the_heart_then_by_the_header(sided: float, rows_run_left: bool | None, mirrored: bool, certain: bool) -> None:
    found = side_of(fit(score=0.8, lead=0.2, column=0.4, sided=sided), replace(SILENT, rows_run_left=rows_run_left))
    assert found[:2] == (mirrored, certain)


def test_a_coloured_page_is_no_film() -> None:
    def coloured(ds: Dataset) -> None:
        grey = (stored(ds) // 16).astype(np.uint8)
        rgb = np.stack([grey, grey, np.where(grey > 128, 0, grey)], axis=-1)
        put(ds, grey, 8)
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        ds.PixelData = rgb.tobytes()

    decision = decided(dataset(change=coloured))
    assert decision.reason is not None
    assert decision.reason.code is ReasonCode.REPORT_PAGE


def test_without_its_file_a_film_is_refused() -> None:
    decision = decide_film(header_of(dataset()))
    assert decision.reason is not None
    assert decision.reason.code is ReasonCode.UNREADABLE_PIXELS
