"""The node's command opens training only when a research command runs."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from node import cli, research
from node.errors import ExitCode

pytestmark = pytest.mark.integration

runner = CliRunner()


def test_the_command_knows_the_research_commands_and_imports_none_of_them() -> None:
    said = runner.invoke(cli.app, ["--help"])
    assert said.exit_code == 0
    assert all(name in said.output for name in research.COMMANDS)
    loads = "import sys, node.cli; assert not [name for name in sys.modules if name.split('.')[0] in ('training', 'torch', 'monai')]"
    assert subprocess.run([sys.executable, "-c", loads], check=False).returncode == 0


@pytest.mark.parametrize("name", ["simulate", "train", "evaluate", "pair"])
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
