"""Routing as a table: which route, and the words that say why."""

from pathlib import Path

import pytest

from inference.errors import ReasonCode
from inference.reading import InstanceHeader
from node.config import Match, Route
from node.config_file import load_config
from node.routing import decide
from tests.node.headers import header

pytestmark = pytest.mark.unit

SHIPPED = load_config(Path(__file__).resolve().parents[2] / "config.yaml").routes
CR = "1.2.840.10008.5.1.4.1.1.1"
DX = "1.2.840.10008.5.1.4.1.1.1.1"
SC = "1.2.840.10008.5.1.4.1.1.7"


@pytest.mark.parametrize(
    ("instance", "route"),
    [
        (header(), "ct"),
        (header(modality="CR", sop_class_uid=CR, body_part_examined="CHEST", view_position="PA"), "chest-radiograph"),
        (header(modality="DX", sop_class_uid=DX), "chest-radiograph"),
        (header(modality="DX", sop_class_uid=DX, view_position="LATERAL"), None),
        (header(modality="DX", sop_class_uid=DX, study_description="Thorax lateral"), None),
        (header(modality="DX", sop_class_uid=DX, study_description="Chest bilateral decubitus"), "chest-radiograph"),
        (header(modality="CR", sop_class_uid=CR, body_part_examined="KNEE"), None),
        (header(modality="CR", sop_class_uid=CR, study_description="DXA Exam", protocol_name="AP Spine"), "dxa"),
        (header(modality="OT", sop_class_uid=SC, series_description="Bone_Density_Report"), "dxa"),
        (header(modality="SC", sop_class_uid=SC, study_description="Screen save"), None),
        (header(modality="MR", sop_class_uid="1.2.840.10008.5.1.4.1.1.4"), None),
        (header(modality="CT", sop_class_uid=SC), None),
    ],
)
def test_the_shipped_routes(instance: InstanceHeader, route: str | None) -> None:
    decision = decide([instance], SHIPPED)
    assert decision.route == route
    assert (decision.reason is None) == (route is not None)
    assert [item.route for item in decision.considered] == ["dxa", "chest-radiograph", "ct"]
    assert [item.route for item in decision.considered if item.matched] == ([route] if route else [])


def test_no_match_is_a_reason_and_every_route_says_why_not() -> None:
    decision = decide([header(modality="MR", series_description="T2 sag", series_number=4)], SHIPPED)
    assert decision.reason is not None
    assert decision.reason.code is ReasonCode.NO_MATCHING_ROUTE
    assert decision.considered[2].because.startswith("series 4 'T2 sag' (1 instance): modality 'MR' is not one of CT")
    assert decision.destinations == ()


def test_a_match_says_what_matched() -> None:
    decision = decide([header(series_description="Abdomen 3.0")], SHIPPED)
    assert decision.considered[2].because == (
        "series 1 'Abdomen 3.0' (1 instance): modality 'CT' is one of CT; SOP class CT Image Storage is one of "
        "CT Image Storage, Enhanced CT Image Storage, Legacy Converted Enhanced CT Image Storage"
    )
    assert decision.workflow == "ct"
    assert decision.destinations == ("pacs",)


def test_one_series_of_a_mixed_study_is_enough() -> None:
    capture = header(sop_instance_uid="9", series_instance_uid="1.9", modality="OT", sop_class_uid=SC)
    assert decide([capture, header()], SHIPPED).route == "ct"


def test_the_first_route_wins_and_the_second_says_so() -> None:
    routes = [Route(name=name, workflow="ct", match=Match(modality=("CT",))) for name in ("first", "second")]
    decision = decide([header()], routes)
    assert decision.route == "first"
    assert not decision.considered[1].matched
    assert decision.considered[1].because.startswith("would match, but route first comes first")


def test_enough_instances_of_one_series_must_match() -> None:
    route = Route(name="r", workflow="ct", match=Match(min_instances=3))
    three = [header(sop_instance_uid=str(n)) for n in range(3)]
    assert decide(three, [route]).route == "r"
    decision = decide(three[:2], [route])
    assert decision.route is None
    assert "2 matching instances, fewer than 3" in decision.considered[0].because


@pytest.mark.parametrize(("calling", "route"), [(frozenset({"PACS"}), "r"), (frozenset({"OTHER"}), None), (frozenset[str](), None)])
def test_the_calling_ae_title_counts(calling: frozenset[str], route: str | None) -> None:
    rule = Route(name="r", workflow="ct", match=Match(calling_ae_title=("PACS",)))
    decision = decide([header()], [rule], calling_ae_titles=calling)
    assert decision.route == route
    if route is None:
        assert "calling AE title" in decision.considered[0].because


@pytest.mark.parametrize(
    ("match", "instance", "matched"),
    [
        (Match(body_part_none=("HEAD",)), header(body_part_examined="HEAD"), False),
        (Match(body_part_none=("HEAD",)), header(body_part_examined="HEADACHE"), True),
        (Match(image_type_none=("LOCALIZER",)), header(image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")), False),
        (Match(image_type_none=("LOCALIZER",)), header(), True),
        (Match(body_part=("CHEST",)), header(body_part_examined=""), False),
        (Match(body_part=("CHEST", "")), header(body_part_examined=""), True),
        (Match(view_position=("pa",)), header(view_position="PA"), True),
        (Match(), header(), True),
    ],
)
def test_conditions(match: Match, instance: InstanceHeader, matched: bool) -> None:
    assert decide([instance], [Route(name="r", workflow="ct", match=match)]).considered[0].matched is matched


def test_a_decision_is_about_one_study() -> None:
    with pytest.raises(ValueError, match="one study, not 2"):
        decide([header(), header(study_instance_uid="7")], SHIPPED)
