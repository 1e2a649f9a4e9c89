"""What a header says of an image: whole words, the first attribute that names exactly one region."""

import pytest

from inference.dxa.regions import REFUSED_AS, SHOWN, Region, Said, region_of, regions_in
from inference.errors import ReasonCode

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("AP Spine", Region.AP_SPINE),
        ("Lumbar Spine", Region.AP_SPINE),
        ("f Lumbar Spine", Region.AP_SPINE),
        ("LSPINE", Region.AP_SPINE),
        ("spine_ap", Region.AP_SPINE),
        ("BILATERAL Spine", Region.AP_SPINE),
        ("Spine Lateral", Region.LATERAL_SPINE),
        ("Lat spine", Region.LATERAL_SPINE),
        ("LVA", Region.LATERAL_SPINE),
        ("VFA SE", Region.LATERAL_SPINE),
        ("Left Femur", Region.FEMUR),
        ("Bilateral hip", Region.FEMUR),
        ("DualFemur", Region.FEMUR),
        ("Left Ortho Knee", Region.KNEE),
        ("Right Forearm", Region.FOREARM),
        ("Left hand", Region.HAND),
        ("Total Body", Region.TOTAL_BODY),
        ("Whole_Body", Region.TOTAL_BODY),
        ("TOTALBODY", Region.TOTAL_BODY),
        ("AP Spine report", Region.REPORT_PAGE),
        ("Report", Region.REPORT_PAGE),
        ("AP Spine scout", Region.SCOUT),
        ("ORIGINAL\\PRIMARY\\LOCALIZER", Region.SCOUT),
        ("Spine phantom", Region.OTHER),
        ("TSPINE", Region.OTHER),
    ],
)
def test_a_text_names_one_region(text: str, region: Region) -> None:
    assert regions_in(text) == (region,)


@pytest.mark.parametrize("text", ["", "DXA Images", "ORIGINAL\\PRIMARY", "Alpine", "Chipset", "DXA Exam"])
def test_a_text_may_name_none(text: str) -> None:
    assert regions_in(text) == ()


def test_several_regions_in_one_text_tell_nothing_of_this_image() -> None:
    assert set(regions_in("AP Spine and Femur")) == {Region.AP_SPINE, Region.FEMUR}
    assert set(regions_in("AP/lateral spine")) == {Region.AP_SPINE, Region.LATERAL_SPINE}
    said = (Said(attribute="Protocol Name", value="Spine and Hip"), Said(attribute="Image Comments", value="Left Hip"))
    found = region_of(said)
    assert found.region is Region.FEMUR
    assert found.because == "Image Comments is 'Left Hip'"
    silent = region_of(said[:1])
    assert silent.region is Region.UNKNOWN
    assert "'Spine and Hip' names several regions" in silent.because


def test_the_first_attribute_that_names_a_region_wins() -> None:
    said = [Said(attribute="Protocol Name", value="LVA"), Said(attribute="Series Description", value="AP Spine")]
    assert region_of(said).region is Region.LATERAL_SPINE
    assert region_of(said[::-1]).region is Region.AP_SPINE
    assert region_of([]).because == "the header names no region"


def test_every_region_has_words_and_every_other_one_a_code() -> None:
    assert set(SHOWN) == set(Region)
    assert set(REFUSED_AS) == set(Region) - {Region.AP_SPINE}
    assert REFUSED_AS[Region.REPORT_PAGE] is ReasonCode.REPORT_PAGE
    assert REFUSED_AS[Region.SCOUT] is ReasonCode.LOCALIZER
    assert REFUSED_AS[Region.LATERAL_SPINE] is ReasonCode.WRONG_BODY_PART
