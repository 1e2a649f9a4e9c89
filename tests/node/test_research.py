"""The node's command opens training only when a research command runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node import cli, research
from node.errors import ExitCode
from training.simulation.truth_file import read_truth

pytestmark = pytest.mark.integration

runner = CliRunner()


def test_the_command_knows_the_research_commands_and_imports_none_of_them() -> None:
    said = runner.invoke(cli.app, ["--help"])
    assert said.exit_code == 0
    assert all(name in said.output for name in research.COMMANDS)
    loads = "import sys, node.cli; assert not [name for name in sys.modules if name.split('.')[0] in ('training', 'torch', 'monai')]"
    assert subprocess.run([sys.executable, "-c", loads], check=False).returncode == 0


@pytest.mark.parametrize("name", ["simulate", "train", "evaluate", "pair", "manifest"])
def test_each_prints_its_own_help(name: str) -> None:
    said = runner.invoke(cli.app, [name, "--help"])
    assert said.exit_code == 0, said.output
    assert f"Usage: osteon {name}" in said.output


def test_options_behind_the_name_reach_the_command() -> None:
    said = runner.invoke(cli.app, ["simulate", "--patients", "0", "--out", "x"])
    assert said.exit_code == ExitCode.USAGE
    assert "--patients" in said.output
    said = runner.invoke(cli.app, ["simulate", "--patients", "1", "--out", "x", "--cohort", "mars"])
    assert said.exit_code == ExitCode.USAGE
    assert "no such cohort; known: austinspine" in said.output


def test_the_installed_command_ends_with_the_code_and_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "node.cli", "simulate", "--patients", "2", "--out", "x", "--prevalence", "much"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.splitlines() == ["--prevalence much: give three shares, normal, osteopenia and osteoporosis, as in 60,30,10"]


def test_a_simulated_patient_goes_through_the_node(tmp_path: Path) -> None:
    made = runner.invoke(
        cli.app, ["simulate", "--patients", "1", "--seed", "2", "--out", str(tmp_path / "cohort"), "--modality", "ct", "--jobs", "1"]
    )
    assert made.exit_code == ExitCode.RESULT, made.output
    folder = tmp_path / "cohort" / "patients" / "patient-00000"
    truth = read_truth(folder)
    assert truth.studies.ct is not None
    arguments = ["process", str(folder / "ct"), "--out", str(tmp_path / "out"), "--segmenter", "classical", "--json"]
    done = runner.invoke(cli.app, arguments)
    assert done.exit_code == ExitCode.RESULT, done.output
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["study_uid"] == truth.studies.ct.study_uid
    expected = {level.level: level for level in truth.studies.ct.levels if level.whole and not level.altered}
    lumbar = [vertebra for vertebra in report["vertebrae"] if vertebra["level_certain"] and vertebra["used"]]
    assert len(lumbar) >= 3
    for vertebra in lumbar:
        true_hu = expected[vertebra["level"]].trabecular_hu
        assert true_hu is not None
        assert vertebra["attenuation_hu"]["mean"] == pytest.approx(true_hu, abs=8.0)
