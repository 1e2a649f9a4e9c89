"""What a site may say about chest films, and how it reaches the workflow."""

from pathlib import Path

import pytest

from inference.cxr.reference import SexPolicy
from inference.cxr.words import THRESHOLDS
from node.config import CxrWorkflow
from node.config_file import load_config, parse_config
from node.errors import ConfigError
from node.pipeline import cxr_options

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("written", "name"), [("-2.5", "-2.5"), ("-2.0", "-2"), ('"-1.75"', "-1.75"), ("flex", "flex")])
def test_a_threshold_may_be_written_as_a_number(written: str, name: str) -> None:
    config = parse_config(f"workflows: {{cxr: {{thresholds: {written}}}}}\n")
    assert cxr_options(config).thresholds == name
    assert name in THRESHOLDS


def test_every_threshold_of_the_schema_is_known_and_no_other_is_taken() -> None:
    assert set(CxrWorkflow.model_json_schema()["properties"]["thresholds"]["enum"]) == set(THRESHOLDS)
    for wrong in ("-3", "low", "true"):
        with pytest.raises(ConfigError, match=r"config.yaml:1: workflows.cxr.thresholds"):
            parse_config(f"workflows: {{cxr: {{thresholds: {wrong}}}}}\n")


def test_the_references_of_a_site_reach_the_workflow(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "workflows: {cxr: {model: own, reference: {table: refs.json, sex_policy: own-sex, accepted: [ge-lunar], preferred: ge-lunar}}}\n"
    )
    found = cxr_options(load_config(path))
    assert (found.model, found.landmarks, found.references) == ("own", "cxr-landmarks", tmp_path / "refs.json")
    assert (found.sex_policy, found.accepted, found.preferred) == (SexPolicy.OWN_SEX, frozenset({"ge-lunar"}), "ge-lunar")
    assert cxr_options(parse_config("")).references is None
    assert cxr_options(parse_config("workflows: {cxr: {model: null}}\n")).model is None
