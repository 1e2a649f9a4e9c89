"""What the cost benchmarks share: each time counted, the first told from the later ones, a process's answer read back."""

import json
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.cost import Cost, config_text, cost_in_a_process, processing, repeated
from inference.errors import ReasonCode
from node.config_file import parse_config

pytestmark = pytest.mark.unit

ROUTE = "{name: cxr, workflow: cxr, match: {modality: [CR, DX]}}"


def cost(study_s: tuple[float, ...], study_cpu_s: tuple[float, ...]) -> Cost:
    return Cost(name="x", load_s=1.0, peak_mb=1.0, outcome="result", study_s=study_s, study_cpu_s=study_cpu_s)


def test_later_times_are_told_from_the_first() -> None:
    several = cost((9.0, 1.0, 2.0, 3.0), (8.0, 0.5, 0.6, 0.7))
    assert several.later_s == (2.0, 0.6)
    assert (several.first_words, several.later_words) == ("9.0 (8.00)", "2.0 (0.60)")
    assert cost((9.0,), (8.0,)).later_s == (9.0, 8.0)


def test_each_time_is_counted_and_has_an_empty_folder() -> None:
    seen: list[Path] = []

    def work(out: Path) -> str:
        assert list(out.iterdir()) == []
        (out / "object.dcm").touch()
        seen.append(out)
        time.sleep(0.02)
        return f"time {len(seen)}"

    found = repeated("x", 0.5, 3, work)
    assert (found.name, found.load_s, found.outcome) == ("x", 0.5, "time 3")
    assert min(found.study_s) >= 0.02
    assert max(found.study_cpu_s) < min(found.study_s)  # asleep
    assert (len(found.study_s), len(found.study_cpu_s)) == (3, 3)
    assert found.peak_mb > 10
    assert not any(out.exists() for out in seen)


def test_a_process_of_its_own_answers_with_its_cost(tmp_path: Path) -> None:
    told = cost((2.0, 1.0), (1.5, 0.5))
    (tmp_path / "cost.json").write_text(json.dumps(asdict(told)))
    assert cost_in_a_process("json.tool", "--compact", str(tmp_path / "cost.json")) == told


def test_a_study_is_processed_by_the_route_that_is_given(tmp_path: Path) -> None:
    text = config_text(ROUTE, tmp_path)
    config = parse_config(text)
    assert [route.workflow for route in config.routes] == ["cxr"]
    assert config.bundles.allow_simulated
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "text.txt").write_text("no DICOM")
    (tmp_path / "out").mkdir()
    assert processing(tmp_path / "study", text)(tmp_path / "out") == ReasonCode.NOT_DICOM.value
