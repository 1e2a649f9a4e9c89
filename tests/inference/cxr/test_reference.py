"""Reference values: what ships, what a site adds, whom each policy compares a patient with, and what is not made up."""

import json
from pathlib import Path
from typing import Any

import pytest

from inference.cxr.reference import Reference, ReferenceChoice, SexPolicy, find_reference, load_references, shipped_references
from inference.errors import PermanentError

pytestmark = pytest.mark.unit

HOLOGIC = Reference(
    name="hologic", device="Hologic", levels="L1-L4", sex="F", mean_g_cm2=1.047, sd_g_cm2=0.110, verified=True, source="a paper"
)


def row(**changes: Any) -> dict[str, Any]:
    plain = {
        "name": "site",
        "device": "Hologic",
        "levels": "L1",
        "sex": "M",
        "mean_g_cm2": 1.0,
        "sd_g_cm2": 0.1,
        "verified": True,
        "source": "our own densitometer's manual",
    }
    return {**plain, **changes}


def written(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"references": list(rows)}), encoding="utf-8")
    return path


def test_the_shipped_table_names_its_sources_and_marks_what_is_only_quoted() -> None:
    table = {item.name: item for item in shipped_references()}
    assert (table["nhanes-2005-2014"].mean_g_cm2, table["nhanes-2005-2014"].sd_g_cm2) == (1.065, 0.122)
    assert (table["hologic"].mean_g_cm2, table["hologic"].sd_g_cm2, table["hologic"].verified) == (1.047, 0.110, False)
    assert (table["ge-lunar"].mean_g_cm2, table["ge-lunar"].sd_g_cm2, table["ge-lunar"].verified) == (1.180, 0.120, False)
    assert all(item.source for item in table.values())


def test_a_t_score_is_the_distance_in_standard_deviations() -> None:
    assert HOLOGIC.t_score(0.772) == pytest.approx(-2.5)
    assert HOLOGIC.t_score(1.047) == 0.0
    for senseless in (float("nan"), 0.0, -1.0, float("inf")):
        with pytest.raises(ValueError, match="no T-score"):
            HOLOGIC.t_score(senseless)


def test_by_default_a_verified_reference_of_women_serves_for_all() -> None:
    for sex in ("F", "M", "", "O"):
        found = find_reference(shipped_references(), "L1", ReferenceChoice(), sex)
        assert found.reference is not None
        assert found.reference.name == "nhanes-2005-2014"
        assert "the reference of L1-L4 standing in for that of L1" in found.because


@pytest.mark.parametrize(("sex", "words"), [("M", "men"), ("", "sex is not known"), ("O", "sex is not known")])
def test_with_the_own_sex_policy_nothing_stands_in(sex: str, words: str) -> None:
    found = find_reference(shipped_references(), "L2", ReferenceChoice(sex_policy=SexPolicy.OWN_SEX), sex)
    assert found.reference is None
    assert words in found.because


def test_an_unverified_value_is_used_only_where_the_site_accepts_it_and_says_so() -> None:
    lunar = ReferenceChoice(device="GE Lunar")
    assert find_reference(shipped_references(), "L1", lunar, "F").reference is None
    accepted = ReferenceChoice(device="GE Lunar", accepted=frozenset({"ge-lunar"}))
    found = find_reference(shipped_references(), "L1", accepted, "F")
    assert found.reference is not None
    assert found.reference.mean_g_cm2 == 1.180
    assert "not verified" in found.because


def test_a_preferred_name_and_then_a_levels_own_reference_come_first(tmp_path: Path) -> None:
    table = (HOLOGIC, *load_references(written(tmp_path / "t.json", row(name="l1", sex="F", mean_g_cm2=0.95))))
    found = find_reference(table, "L1", ReferenceChoice(), "F")
    assert found.reference is not None
    assert found.reference.name == "l1"
    assert "standing in" not in found.because
    preferred = find_reference(table, "L1", ReferenceChoice(preferred="hologic"), "F").reference
    assert preferred is HOLOGIC
    assert find_reference(table, "L2", ReferenceChoice(), "F").reference is HOLOGIC


def test_a_sites_men_are_found_by_their_own_sex(tmp_path: Path) -> None:
    table = load_references(written(tmp_path / "t.json", row()))
    choice = ReferenceChoice(sex_policy=SexPolicy.OWN_SEX)
    assert find_reference(table, "L1", choice, "M").reference is not None
    assert find_reference(table, "L1", choice, "F").reference is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean_g_cm2": 1047}, "not plausible"),
        ({"sd_g_cm2": 0.0}, "not plausible"),
        ({"levels": "hip"}, "not of the known ones"),
        ({"sex": "X"}, "not of the known ones"),
        ({"source": " "}, "names no source"),
        ({"verified": "yes"}, "needs numbers"),
        ({"mean": 1}, "beyond the known: mean"),
    ],
)
def test_a_senseless_reference_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PermanentError, match=message):
        load_references(written(tmp_path / "t.json", row(**changes)))


def test_a_file_of_another_form_or_none_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("[1, 2]", encoding="utf-8")
    with pytest.raises(PermanentError, match=r"other\.json is not in the form"):
        load_references(other)
    with pytest.raises(PermanentError, match="cannot be read"):
        load_references(tmp_path / "absent.json")
