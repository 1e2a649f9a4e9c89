"""The decision on one image: the header first, the image where the header is silent, and always in words."""

import dataclasses
from pathlib import Path

import numpy as np
import pydicom
import pytest

from inference.dxa.recognise import ImageDecision, decide_image, decide_pixels, said_of, scale_of
from inference.dxa.regions import HeaderRegion, Region
from inference.errors import ReasonCode
from inference.reading import read_header
from tests.inference.dxa.scans import DEVICES, bordered, pixels, printed, regions
from tests.inference.headers import PLAIN
from tests.paths import real_image
from tests.training.xray_patients import dxa
from training.simulation.xray.dxa_dicom import AP_SPINE, REPORT, DxaOptions, write_dxa
from training.simulation.xray.dxa_page import report_page
from training.simulation.xray.regions import DxaRegion

pytestmark = pytest.mark.unit

SILENT = HeaderRegion(region=Region.UNKNOWN, because="the header names no region")
NAMED = HeaderRegion(region=Region.AP_SPINE, because="Protocol Name is 'AP Spine'")


def code_of(decision: ImageDecision) -> ReasonCode | None:
    return decision.reason.code if decision.reason is not None else None


@pytest.mark.parametrize("device", DEVICES)
def test_an_ap_spine_is_known_by_its_looks_alone(device: str) -> None:
    decision = decide_pixels(PLAIN, SILENT, pixels(bordered(device)))
    assert decision.used
    assert decision.region is Region.AP_SPINE
    assert decision.roi is not None
    assert "names no region" in decision.because
    assert "discs" in decision.because


@pytest.mark.parametrize("region", list(DxaRegion))
def test_other_regions_are_refused_by_their_looks_alone(region: DxaRegion) -> None:
    decision = decide_pixels(PLAIN, SILENT, pixels(regions()[region.value].image))
    assert not decision.used
    assert code_of(decision) is ReasonCode.WRONG_BODY_PART
    assert decision.because.startswith("The image does not look like an AP spine: ")


@pytest.mark.parametrize("region", [DxaRegion.LEFT_FEMUR, DxaRegion.KNEE])
def test_a_header_that_says_ap_spine_over_another_region_is_not_believed(region: DxaRegion) -> None:
    decision = decide_pixels(PLAIN, NAMED, pixels(regions()[region.value].image))
    assert not decision.used
    assert code_of(decision) in {ReasonCode.SPINE_NOT_FOUND, ReasonCode.L1_NOT_IN_VIEW}


@pytest.mark.parametrize("named", [SILENT, NAMED])
def test_a_report_page_is_refused_whatever_the_header_says(named: HeaderRegion) -> None:
    decision = decide_pixels(PLAIN, named, pixels(report_page(dxa("Hologic"))))
    assert code_of(decision) is ReasonCode.REPORT_PAGE
    assert decision.region is Region.REPORT_PAGE


def test_print_on_the_bones_is_refused_for_its_own_reason() -> None:
    scan = dxa("Hologic")
    box = scan.levels[1].box
    marked = printed(scan.image, "T -3.1", (box[1], box[0] + 10), 16, 0)
    assert code_of(decide_pixels(PLAIN, NAMED, pixels(marked))) is ReasonCode.BURNED_IN_TEXT


def test_a_lying_polarity_is_turned_where_the_header_names_the_spine_and_refused_where_nothing_does() -> None:
    negative = pixels(255 - dxa("Hologic").image)
    named = decide_pixels(PLAIN, NAMED, negative)
    assert named.used
    assert "polarity" in named.because
    silent = decide_pixels(PLAIN, SILENT, negative)
    assert not silent.used
    assert "negative" in silent.because


@pytest.mark.parametrize("device", DEVICES)
def test_every_file_of_a_study_is_told_apart_by_its_header(tmp_path: Path, device: str) -> None:
    files = write_dxa(dxa(device), tmp_path, DxaOptions(others=tuple(regions().values())))
    decided = {name: decide_image(read_header(path)) for name, path in files.items()}
    assert [name for name, decision in decided.items() if decision.used] == [AP_SPINE]
    expected = {
        AP_SPINE: Region.AP_SPINE,
        REPORT: Region.REPORT_PAGE,
        "Left Femur": Region.FEMUR,
        "Right Femur": Region.FEMUR,
        "LVA": Region.LATERAL_SPINE,
        "Left Ortho Knee": Region.KNEE,
        "Total Body": Region.TOTAL_BODY,
    }
    assert {name: decision.region for name, decision in decided.items()} == {name: expected[name] for name in decided}
    for name, decision in decided.items():
        assert (decision.reason is None) == decision.used
        if name not in (AP_SPINE, REPORT):
            assert code_of(decision) is ReasonCode.WRONG_BODY_PART
            assert repr(name) in decision.because


def test_the_scale_is_told_and_exposed_area_is_only_a_hint(tmp_path: Path) -> None:
    path = write_dxa(dxa("GE Lunar"), tmp_path)[AP_SPINE]
    assert "hints at 0.60 mm" in decide_image(read_header(path)).scale
    dataset, header = pydicom.dcmread(path), read_header(path)
    del dataset.ExposedArea
    assert scale_of(dataset, header) == "no pixel spacing in the header"
    dataset.PixelSpacing = ["0.5", "0.5"]
    assert scale_of(dataset, header) == "Pixel Spacing 0.5 x 0.5 mm"
    dataset.PixelSpacing = ["0.000", "0.000"]
    assert scale_of(dataset, header) == "no pixel spacing in the header"
    assert scale_of(None, header) == "unknown"


def test_coded_anatomy_names_the_region(tmp_path: Path) -> None:
    path = write_dxa(dxa("Hologic"), tmp_path)[AP_SPINE]
    dataset, item = pydicom.dcmread(path), pydicom.Dataset()
    dataset.ImageComments = ""
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "T-12710", "SRT", "Hip joint"
    dataset.AnatomicRegionSequence = [item]
    said = said_of(read_header(path), dataset)
    assert ("Anatomic Region", "Hip joint") in [(part.attribute, part.value) for part in said]
    dataset.save_as(path)
    assert decide_image(read_header(path)).region is Region.FEMUR


def test_an_image_that_cannot_be_read_is_refused_with_its_own_reason(tmp_path: Path) -> None:
    path = write_dxa(dxa("Hologic"), tmp_path)[AP_SPINE]
    header = read_header(path)
    path.write_bytes(path.read_bytes()[:4000])
    assert code_of(decide_image(header)) is ReasonCode.UNREADABLE_PIXELS
    assert code_of(decide_image(dataclasses.replace(PLAIN, protocol_name="AP Spine"))) is ReasonCode.UNREADABLE_PIXELS
    assert decide_image(dataclasses.replace(PLAIN, protocol_name="Left Femur")).region is Region.FEMUR


def test_noise_is_no_spine() -> None:
    noise = np.random.default_rng(3).integers(0, 255, (420, 300)).astype(np.uint8)
    assert not decide_pixels(PLAIN, SILENT, pixels(noise)).used
    assert not decide_pixels(PLAIN, NAMED, pixels(noise)).used


@pytest.mark.real
@pytest.mark.parametrize(
    "name",
    [
        "dicom/1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm",
        "dicom/Fake_MONOHR1.dcm",
        "dicom/RG1_J2KI.dcm",
        "dicom/gdcm-CR-MONO1-10-chest.dcm",
        "negatives/ct_scout.dcm",
        "negatives/dog_thorax_dx.dcm",
        "negatives/leg_cr.dcm",
    ],
)
def test_real_images_of_other_things_are_not_used(name: str) -> None:
    decision = decide_image(read_header(real_image(f"cxr/{name}")))
    assert not decision.used
    assert decision.reason is not None
