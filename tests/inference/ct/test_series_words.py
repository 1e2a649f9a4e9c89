from dataclasses import replace

import pytest

from inference.ct.series.words import (
    KernelKind,
    derived_word,
    header_says_contrast,
    kernel_kind,
    localizer_word,
    names_lumbar_region,
    other_body_part,
    words,
)
from tests.inference.headers import PLAIN

pytestmark = pytest.mark.unit


def test_words_are_whole() -> None:
    assert words("CT_SOM5 MPR", "bilateral") == {"CT", "SOM", "5", "MPR", "BILATERAL"}


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("B30f", KernelKind.SOFT),
        ("Br38f\\3", KernelKind.SOFT),
        ("I31f\\2", KernelKind.SOFT),
        ("Br44d", KernelKind.SOFT),
        ("B46f", KernelKind.NEUTRAL),
        ("B70f", KernelKind.SHARP),
        ("Bl57d\\2", KernelKind.SHARP),
        ("Qr40", KernelKind.SOFT),
        ("Hr60", KernelKind.SHARP),
        ("STANDARD", KernelKind.SOFT),
        ("STD+", KernelKind.SOFT),
        ("SOFT", KernelKind.SOFT),
        ("BONE", KernelKind.SHARP),
        ("BONEPLUS", KernelKind.SHARP),
        ("LUNG", KernelKind.SHARP),
        ("B", KernelKind.SOFT),
        ("YA", KernelKind.SOFT),
        ("D", KernelKind.SHARP),
        ("L", KernelKind.SHARP),
        ("FC08", KernelKind.SOFT),
        ("FC13-H", KernelKind.SOFT),
        ("FC30", KernelKind.SHARP),
        ("FC52", KernelKind.SHARP),
        ("FC43", KernelKind.NEUTRAL),
        ("B_SOFT_C", KernelKind.SOFT),
        ("B_SHARP_C", KernelKind.SHARP),
        ("", KernelKind.NEUTRAL),
        ("XYZ", KernelKind.NEUTRAL),
        ("11", KernelKind.NEUTRAL),
    ],
)
def test_kernels(kernel: str, kind: KernelKind) -> None:
    assert kernel_kind(kernel) is kind


@pytest.mark.parametrize(
    ("image_type", "description", "localizer", "derived"),
    [
        ("ORIGINAL PRIMARY AXIAL", "Abdomen 3.0", None, None),
        ("ORIGINAL PRIMARY LOCALIZER", "", "LOCALIZER", None),
        ("ORIGINAL PRIMARY AXIAL", "Scout", "SCOUT", None),
        ("ORIGINAL PRIMARY AXIAL", "Topogram 0.6", "TOPOGRAM", None),
        ("DERIVED SECONDARY REFORMATTED AVERAGE", "", None, "REFORMATTED"),
        ("DERIVED PRIMARY MPR", "", None, "MPR"),
        ("ORIGINAL PRIMARY AXIAL", "AX MIP 8/3", None, "MIP"),
        ("ORIGINAL PRIMARY AXIAL CT_SOM7 VMI", "", None, "VMI"),
        ("ORIGINAL PRIMARY AXIAL", "Monoenergetic 40 keV", None, "KEV"),
        ("ORIGINAL PRIMARY AXIAL", "GSI 70", None, "GSI"),
        ("ORIGINAL PRIMARY AXIAL", "Iodine map", None, "IODINE"),
        ("ORIGINAL PRIMARY AXIAL", "Liver VNC", None, "VNC"),
        ("ORIGINAL PRIMARY DOSE_INFO", "", None, "DOSE"),
        ("ORIGINAL PRIMARY AXIAL", "LOW DOSE LUNG SCREEN", None, None),
        ("ORIGINAL PRIMARY AXIAL", "Virtual colonoscopy prone", None, None),
        ("ORIGINAL PRIMARY AXIAL", "Calcium score", None, None),
    ],
)
def test_image_kinds(image_type: str, description: str, localizer: str | None, derived: str | None) -> None:
    header = replace(PLAIN, image_type=tuple(image_type.split(" ")), series_description=description)
    assert localizer_word(header) == localizer
    assert derived_word(header) == derived


@pytest.mark.parametrize(
    ("part", "series", "study", "elsewhere"),
    [
        ("HEAD", "", "", "HEAD"),
        ("BRAIN", "STD BRAIN 5MM", "HEAD", "BRAIN"),
        ("NECK", "", "", "NECK"),
        ("CSPINE", "", "", "CSPINE"),
        ("EXTREMITY", "Left knee", "", "EXTREMITY"),
        ("HEAD", "ABDOMEN 3mm", "", None),
        ("", "Hals Thorax Abdomen", "", None),
        ("", "Knee left", "", "KNEE"),
        ("", "", "CT of the head", "HEAD"),
        ("", "5 mm", "Head and abdomen", None),
        ("ABDOMEN", "", "", None),
        ("CHESTABDPELVIS", "", "", None),
        ("HEADNECKCHEST", "", "", None),
        ("LSPINE", "", "", None),
        ("TSPINE", "", "", None),
        ("PARTIALBODY", "", "", None),
        ("", "", "", None),
        ("SOMETHING", "knee", "", None),
        ("UNKNOWN", "3 mm", "chest", None),
    ],
)
def test_body_parts_without_a_lumbar_spine(part: str, series: str, study: str, elsewhere: str | None) -> None:
    header = replace(PLAIN, body_part_examined=part, series_description=series, study_description=study)
    assert other_body_part(header) == elsewhere


@pytest.mark.parametrize(
    ("agent", "description", "contrast"),
    [
        ("", "Abdomen", None),
        ("Ultravist 370", "Abdomen", True),
        ("APPLIED", "", True),
        ("NONE", "Abdomen venous", False),
        ("NO CONTRAST", "", False),
        ("", "Abdomen nativ", False),
        ("", "ABD W/O", False),
        ("", "Abdomen without contrast", False),
        ("", "NON-CON chest", False),
        ("", "Liver arterial", True),
        ("", "CTA aorta", True),
    ],
)
def test_contrast_by_the_header(agent: str, description: str, contrast: bool | None) -> None:
    assert header_says_contrast(replace(PLAIN, contrast_bolus_agent=agent, series_description=description)) is contrast


@pytest.mark.parametrize(
    ("part", "description", "named"), [("ABDOMEN", "", True), ("", "L-Spine", True), ("CHEST", "Lung", False), ("", "TAP 2mm", True)]
)
def test_region_with_l1(part: str, description: str, named: bool) -> None:
    assert names_lumbar_region(replace(PLAIN, body_part_examined=part, series_description=description, protocol_name="")) is named
