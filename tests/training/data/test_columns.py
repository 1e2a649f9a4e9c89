"""Headers of hospital exports: recognised where they are plain, left alone where they are not."""

import pytest

from training.data.columns import BmdUnit, fold, match_columns, recognise

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("header", "name", "unit"),
    [
        ("Patient ID", "patient_id", None),
        ("PATIENTID", "patient_id", None),
        ("Pat.-Nr.", "patient_id", None),
        ("MRN", "patient_id", None),
        ("Untersuchungsdatum", "study_date", None),
        ("Study Instance UID", "study_uid", None),
        ("Gerät", "device", None),
        ("DXA Device", "device", None),
        ("Geschlecht", "sex", None),
        ("T-Wert", "t_score", None),
        ("Lowest T-Score", "t_score", None),
        ("L1 BMD", "bmd_L1_g_cm2", None),
        ("BMD L1 (g/cm²)", "bmd_L1_g_cm2", BmdUnit.G_CM2),
        ("KMD LWK1 [mg/cm²]", "bmd_L1_g_cm2", BmdUnit.MG_CM2),
        ("L1 (g/cm2)", "bmd_L1_g_cm2", BmdUnit.G_CM2),
        ("Density L3 mg per cm2", "bmd_L3_g_cm2", BmdUnit.MG_CM2),
        ("Th12 BMD", "bmd_T12_g_cm2", None),
        ("LWK 1-4 BMD g/cm^2", "bmd_L1_L4_g_cm2", BmdUnit.G_CM2),
        ("L1–L4 T-Score", "t_score_L1_L4", None),
        ("T-Score L1", "t_score_L1", None),
        ("bmd_L1_L4_g_cm2", "bmd_L1_L4_g_cm2", BmdUnit.G_CM2),
    ],
)
def test_plain_headers(header: str, name: str, unit: BmdUnit | None) -> None:
    found = recognise(header)
    assert found is not None
    assert (found.name, found.unit) == (name, unit)


@pytest.mark.parametrize(
    "header",
    ["BMD", "L1", "L2-L4 BMD", "L1-L3 BMD", "Femoral neck BMD", "Total hip T-score", "L1 BMC (g)", "L1 Area (cm2)", "L1 vBMD (mg/cm3)",
     "vBMD L1", "QCT density L1", "Z-Score L1", "L1 HU", "BMD (L1) % young adult", "L1 height", "Name", "Manufacturer", "Birth Date", ""],
)  # fmt: skip
def test_what_is_not_plain_is_not_guessed(header: str) -> None:
    assert recognise(header) is None


def test_the_plainer_header_wins_and_equals_are_rivals() -> None:
    matched = match_columns(["Date", "Study Date", "Name", "T-Score L1", "T-Wert L1"], {})
    assert matched.positions["study_date"] == 1
    assert matched.unused == ("Date", "Name", "T-Wert L1")
    assert matched.rivals == {"t_score_L1": ("T-Score L1", "T-Wert L1")}


def test_a_stated_header_goes_before_any_other() -> None:
    matched = match_columns(["Patient ID", "Fall"], {"patient_id": "fall"})
    assert matched.positions == {"patient_id": 1}
    assert matched.unused == ("Patient ID",)


def test_folding() -> None:
    assert fold("  GRÖSSE (cm²) é") == "groesse (cm2) e"
