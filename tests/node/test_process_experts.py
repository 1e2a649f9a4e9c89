"""``osteon process`` with a reader of every vertebra: what a site may ask of it, and what is said of a bundle that is none."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from inference.bundles import BundleSource
from inference.ct.opinions import OpinionSource
from node import cli
from node.config_file import parse_config
from node.errors import ConfigError, ExitCode
from node.pipeline import ct_options
from tests.inference.ct.made_classifier import write_classifier
from tests.inference.ct.test_vertebra_density import write_experts
from tests.simulated import write_study

pytestmark = pytest.mark.integration

CONFIG = """
bundles: {{folder: {folder}, allow_simulated: true}}
workflows: {{ct: {{segmenter: classical, classifier: made, {experts}}}}}
routes: [{{name: ct, workflow: ct, match: {{modality: [CT]}}}}]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 95 HU at L1; a classifier that says osteopenia of everybody, and experts that call every vertebra osteoporotic."""
    folder: Path = tmp_path_factory.mktemp("site")
    write_study(folder / "study")
    write_classifier(folder / "bundles" / "made", (0.0, 2.0, 1.0), name="made", tau2=0.0)
    write_experts(folder / "bundles", name="made-experts")
    return folder


def process(site: Path, out: Path, experts: str, code: ExitCode = ExitCode.RESULT) -> dict[str, Any]:
    config = out / "config.yaml"
    config.write_text(CONFIG.format(folder=site / "bundles", experts=experts))
    done = CliRunner().invoke(cli.app, ["process", str(site / "study"), "--out", str(out), "--json", "--config", str(config)])
    assert done.exit_code == code, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_three_opinions_and_who_leads_reach_the_json(site: Path, tmp_path: Path) -> None:
    report = process(site, tmp_path, "experts: made-experts, densitometer: GE Lunar, leading: experts")
    assert report["experts"]["densitometer"] == "GE Lunar"
    read = {item["level"]: item for item in report["experts"]["vertebrae"]}
    assert (read["L1"]["bmd_g_cm2"], read["L1"]["osteoporosis_probability"]) == (1.0, 0.73)
    assert [item["source"] for item in report["opinions"]["given"]] == ["measurement", "classifier", "experts"]
    assert (report["opinions"]["lead_setting"], report["opinions"]["leading"]) == ("experts", "experts")
    assert report["summary"]["recommendation"].startswith("Osteoporosis predicted at L1, L2, L3, L4, which leads by the site's setting:")
    assert report["summary"]["band"] == "low"


def test_a_classifier_may_lead_without_experts(site: Path, tmp_path: Path) -> None:
    report = process(site, tmp_path, "experts: null, leading: classifier")
    assert report["experts"] is None
    assert report["opinions"]["leading"] == "classifier"
    assert report["opinions"]["agreement"] == "one_step_apart"


def test_a_bundle_of_the_wrong_kind_costs_a_warning_and_not_the_measurement(site: Path, tmp_path: Path) -> None:
    report = process(site, tmp_path, "experts: made")
    assert report["outcome"] == "result_with_warnings"
    (warning,) = (item["text"] for item in report["warnings"] if item["code"] == "EXPERTS_FAILED")
    assert "the bundle made is no reader of vertebrae in CT: its kind is classification" in warning
    assert "the attenuation stands without it" in warning
    assert report["experts"]["model"] is None
    assert report["summary"]["band"] == "low"
    assert report["opinions"] is None, "the class says itself how it stands to the band"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("experts: ../elsewhere", r"workflows\.ct\.experts"),
        ("leading: somebody", r"workflows\.ct\.leading"),
        ("experts: null, leading: experts", r"leading: experts needs workflows\.ct\.experts"),
        ("classifier: null, leading: classifier", r"leading: classifier needs workflows\.ct\.classifier"),
    ],
)
def test_a_choice_that_cannot_be_is_told_before_anything_runs(given: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_config(f"workflows: {{ct: {{{given}}}}}")


def test_the_site_s_choice_reaches_the_workflow() -> None:
    options = ct_options(parse_config("workflows: {ct: {experts: ours, densitometer: GE Lunar, leading: experts}}"))
    assert (options.experts, options.densitometer, options.leading) == ("ours", "GE Lunar", OpinionSource.EXPERTS)
    assert options.bundles == BundleSource(folder=options.bundles.folder)
