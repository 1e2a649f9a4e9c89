"""The experts in the CT workflow: beside the attenuation, in the models, with opinions side by side; absent unless a site asks."""

import dataclasses
from pathlib import Path

import pytest

from inference.bundles import BundleSource
from inference.ct.opinions import OpinionAgreement, OpinionSource
from inference.ct.options import CtOptions
from inference.findings import Outcome
from node.config import Config, CtWorkflow
from node.pipeline import ct_options
from tests.inference.ct.test_vertebra_density import write_experts
from tests.inference.workflows.test_ct import LUMBAR, KnowingSegmenter, run, segmenter, series

pytestmark = pytest.mark.unit
__all__ = ["segmenter"]


def test_readings_stand_beside_the_attenuation(tmp_path: Path, segmenter: KnowingSegmenter) -> None:
    series(tmp_path / "study", segmenter, levels=LUMBAR, trabecular_hu=(140, 100, 120))
    write_experts(tmp_path / "bundles", odds=-2.0)
    source = BundleSource(shipped=tmp_path / "bundles", allow_simulated=True)
    plain = run(tmp_path / "study", CtOptions(classifier=None, experts=None))
    assert (plain.experts, plain.opinions) == (None, None)
    found = run(tmp_path / "study", CtOptions(classifier=None, experts="vertebra-experts", bundles=source, leading=OpinionSource.EXPERTS))
    assert found.summary == plain.summary
    assert found.experts is not None
    assert [one.level for one in found.experts.readings] == ["T12", "L1", "L2"]
    assert found.models[-1] == found.experts.model
    assert found.opinions is not None
    assert found.opinions.agreement is OpinionAgreement.ONE_STEP_APART
    assert found.opinions.leading is not None
    assert found.opinions.leading.source is OpinionSource.EXPERTS
    assert found.outcome in (Outcome.RESULT, Outcome.RESULT_WITH_WARNINGS)


def test_an_alarm_that_leads_is_in_the_recommendation(tmp_path: Path, segmenter: KnowingSegmenter) -> None:
    series(tmp_path / "study", segmenter, levels=LUMBAR, trabecular_hu=(240, 240, 240))
    write_experts(tmp_path / "bundles", odds=2.0)
    source = BundleSource(shipped=tmp_path / "bundles", allow_simulated=True)
    options = CtOptions(classifier=None, experts="vertebra-experts", bundles=source)
    plain = run(tmp_path / "study", options)
    led = run(tmp_path / "study", dataclasses.replace(options, leading=OpinionSource.EXPERTS))
    assert plain.summary is not None
    assert led.summary is not None
    assert "rule out" in plain.summary.recommendation
    assert led.summary.recommendation == (
        f"Osteoporosis predicted at L1, L2, which leads by the site's setting: consider DXA. {plain.summary.recommendation}"
    )
    assert dataclasses.replace(led.summary, recommendation="") == dataclasses.replace(plain.summary, recommendation="")


def test_the_site_s_configuration_reaches_the_workflow() -> None:
    given = CtWorkflow(experts="ours", densitometer="GE Lunar", leading="classifier")
    default = ct_options(Config())
    assert (default.experts, default.densitometer, default.leading) == ("vertebra-experts", None, OpinionSource.MEASUREMENT)
    config = Config.model_validate({"workflows": {"ct": given.model_dump()}})
    options = ct_options(config)
    assert (options.experts, options.densitometer, options.leading) == ("ours", "GE Lunar", OpinionSource.CLASSIFIER)
    assert ct_options(Config.model_validate({"workflows": {"ct": {"experts": None}}})).experts is None
