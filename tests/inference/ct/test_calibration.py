"""HU to vBMD: this very scanner at this very tube voltage, or nothing."""

import pytest

from inference.ct.calibration import calibrated, find_entry, other_voltage_notice
from inference.ct.options import CalibrationEntry, CtOptions
from inference.errors import WarningCode
from inference.findings import Acquisition, Threshold
from tests.inference.ct.made import acquisition, roi

pytestmark = pytest.mark.unit


def entry(kvp: float = 120.0, serial: str | None = None, slope: float = 0.8) -> CalibrationEntry:
    return CalibrationEntry(
        manufacturer="ACME",
        model_name="Scan 64",
        device_serial_number=serial,
        kvp=kvp,
        slope=slope,
        intercept=-2.0,
        material="K2HPO4",
        source="phantom 7, 2026",
    )


def test_without_a_table_there_is_no_vbmd() -> None:
    assert CtOptions().calibration == ()
    assert find_entry((), acquisition(), None) is None
    bare = calibrated(roi(100.0), None)
    assert bare.vbmd_mg_cm3 is None
    assert bare.vbmd_calibration is None


def test_vbmd_of_a_matching_entry_comes_from_the_median() -> None:
    found = find_entry([entry()], acquisition(manufacturer=" acme ", model_name="SCAN 64"), None)
    assert found is not None
    region = calibrated(roi(100.0, mean_hu=140.0), found)
    assert region.vbmd_mg_cm3 == pytest.approx(0.8 * 100.0 - 2.0)
    assert region.vbmd_calibration == "K2HPO4, phantom 7, 2026"


@pytest.mark.parametrize(
    "other",
    [
        acquisition(manufacturer="Other"),
        acquisition(model_name="Scan 640"),
        acquisition(model_name=None),
        acquisition(manufacturer=None),
        acquisition(kvp=100.0),
        acquisition(kvp=None),
    ],
)
def test_nothing_near_counts_as_matching(other: Acquisition) -> None:
    assert find_entry([entry()], other, None) is None


@pytest.mark.parametrize(("stated", "matches"), [("A1", True), (" a1", True), ("A2", False), (None, False), ("", False)])
def test_an_entry_for_one_device_needs_its_serial_number(stated: str | None, matches: bool) -> None:
    assert (find_entry([entry(serial="A1")], acquisition(), stated) is not None) == matches


def test_the_entry_of_the_device_wins() -> None:
    general, own = entry(), entry(serial="A1", slope=0.9)
    assert find_entry([general, own], acquisition(), "A1") == own
    assert find_entry([own, general], acquisition(), "B2") == general


@pytest.mark.parametrize(("kvp", "words"), [(100.0, "100 kVp"), (None, "unstated")])
def test_another_tube_voltage_is_said(kvp: float | None, words: str) -> None:
    notice = other_voltage_notice([entry(120.0), entry(140.0)], acquisition(kvp=kvp), None)
    assert notice is not None
    assert notice.code is WarningCode.CALIBRATION_OTHER_TUBE_VOLTAGE
    assert "120, 140 kVp" in notice.text
    assert words in notice.text


def test_nothing_is_said_where_it_fits_or_the_scanner_is_unknown() -> None:
    assert other_voltage_notice([entry(120.0), entry(140.0)], acquisition(), None) is None
    assert other_voltage_notice([entry(140.0)], acquisition(manufacturer="Other"), None) is None


def test_options_that_contradict_each_other_are_refused() -> None:
    """Trap in peers: two cut-offs that contradict each other in one report."""
    with pytest.raises(ValueError, match="must lie below"):
        CtOptions(high_specificity=Threshold(name="low", hu=160.0, source="site"))
    with pytest.raises(ValueError, match="must not exceed"):
        CtOptions(height_loss_warn=0.3)
