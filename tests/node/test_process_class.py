"""``osteon process`` with a density classifier of the site: it predicts where it was allowed to, and nowhere else."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from node import cli
from node.config_file import parse_config
from node.errors import ConfigError, ExitCode
from node.pipeline import ct_options, workflow_options
from tests.inference.ct.made_classifier import write_classifier
from tests.simulated import write_study

pytestmark = pytest.mark.integration

CONFIG = """
bundles: {{folder: {folder}}}
workflows: {{ct: {{segmenter: classical, classifier: made, experts: null}}}}
routes: [{{name: ct, workflow: ct, match: {{modality: [CT]}}}}]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 95 HU at L1, and a site whose classifier says osteopenia of everybody, and was trained on simulated patients."""
    folder: Path = tmp_path_factory.mktemp("site")
    write_study(folder / "study")
    write_classifier(folder / "bundles" / "made", (0.0, 2.0, 1.0), name="made", tau2=0.0)
    (folder / "config.yaml").write_text(CONFIG.format(folder=folder / "bundles"))
    return folder


def process(site: Path, out: Path, *arguments: str) -> dict[str, Any]:
    command = ["process", str(site / "study"), "--out", str(out), "--json", "--config", str(site / "config.yaml"), *arguments]
    done = CliRunner().invoke(cli.app, command)
    assert done.exit_code == ExitCode.RESULT, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_classifier_of_simulated_patients_predicts_only_when_allowed(site: Path, tmp_path: Path) -> None:
    allowed = process(site, tmp_path / "allowed", "--allow-simulated")
    assert allowed["outcome"] == "result"
    assert allowed["summary"]["band"] == "low"
    assert allowed["summary"]["probabilities"] == {"normal": 0.09, "osteopenia": 0.67, "osteoporosis": 0.24}
    assert allowed["summary"]["who_category"] == "osteopenia"
    assert allowed["summary"]["t_score"] is None
    assert allowed["density_class"]["band_agreement"] == "one_step_apart"
    assert [(item["name"], item["trained_on"]) for item in allowed["models"]][1:] == [("made", "simulated patients")]
    assert 0 < allowed["timings_s"]["classification"] < allowed["timings_s"]["total"]
    silent = process(site, tmp_path / "silent")
    assert silent["outcome"] == "result"
    assert silent["warnings"] == allowed["warnings"] == []
    assert silent["summary"] == {**allowed["summary"], "probabilities": None, "who_category": None, "who_category_by": None}
    assert "made 1.0.0 was trained on simulated patients" in silent["density_class"]["because"]
    assert [item["name"] for item in silent["models"]] == [item["name"] for item in allowed["models"]][:1]
    assert not {item["sop_instance_uid"] for item in silent["outputs"]} & {item["sop_instance_uid"] for item in allowed["outputs"]}


def test_the_classifier_of_dxa_is_the_sites_choice_and_one_source_serves_every_workflow() -> None:
    plain = parse_config("bundles: {allow_simulated: true}")
    options = workflow_options(plain)
    assert options.dxa.classifier == "dxa-cnn21"
    assert options.dxa.bundles == options.ct.bundles
    assert options.dxa.bundles.allow_simulated
    assert workflow_options(parse_config("workflows: {dxa: {classifier: ours}}")).dxa.classifier == "ours"
    none = parse_config("bundles: {allow_simulated: true}\nworkflows: {dxa: {classifier: null}}")
    assert workflow_options(none).dxa.classifier is None
    assert none.sha256 != plain.sha256
    with pytest.raises(ConfigError, match=r"workflows.dxa.classifier"):
        parse_config("workflows: {dxa: {classifier: ../elsewhere}}")


def test_the_classifier_is_the_sites_choice() -> None:
    assert ct_options(parse_config("")).classifier == "medconv"
    assert ct_options(parse_config("workflows: {ct: {classifier: ours}}")).classifier == "ours"
    none = parse_config("workflows: {ct: {classifier: null}}")
    assert ct_options(none).classifier is None
    assert none.sha256 != parse_config("").sha256
    with pytest.raises(ConfigError, match=r"workflows.ct.classifier"):
        parse_config("workflows: {ct: {classifier: ../elsewhere}}")
