"""Every command that the documentation prints exists, and knows every option that stands there."""

import importlib
import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.cli import app

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted(path for folder in ("docs", "benchmarks") for path in (ROOT / folder).rglob("*.md")))
COMMAND = re.compile(r"(?:^|`|\.venv/bin/)((?:osteon|python -m) [^`#\n]*)", re.MULTILINE)
OPTION = re.compile(r"(?<=[ \[])--[a-z][a-z0-9-]*")
GROUPS = ("bundles", "config", "evaluate", "train")
"""Commands of ``osteon`` whose next word is a command of its own, or chooses one."""


def documented() -> dict[tuple[str, ...], set[str]]:
    """Commands by their words, and the options that any page gives them."""
    found: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for page in PAGES:
        for text in COMMAND.findall(page.read_text(encoding="utf-8")):
            words = text.split()
            name = tuple(words[:3]) if words[0] == "python" else tuple(words[:2])
            if words[1] in GROUPS and len(words) > 2 and re.fullmatch(r"[a-z][a-z-]*", words[2]):
                name = tuple(words[:3])
            found[name] |= set(OPTION.findall(text))
    return dict(found)


DOCUMENTED = documented()


def help_of(command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says of itself."""
    if command[0] == "osteon":
        done = CliRunner(env={"COLUMNS": "250"}).invoke(app, [*command[1:], "--help"])
        assert done.exit_code == 0, done.output
        return done.output
    monkeypatch.setattr(sys, "argv", [command[2], "--help"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(command[2]).main()
    assert ended.value.code == 0
    return capsys.readouterr().out.partition("\noptions:")[2]


def test_the_pages_hold_commands() -> None:
    assert {"--stress", "--segmenter"} <= DOCUMENTED["python", "-m", "training.evaluation.simulated_ct"]
    assert "--months" in DOCUMENTED["osteon", "pair"]
    assert len(DOCUMENTED) > 40


@pytest.mark.parametrize("command", sorted(DOCUMENTED), ids=" ".join)
def test_a_documented_command_knows_its_options(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = set(re.findall(r"--[a-z][a-z0-9-]*", help_of(command, monkeypatch, capsys)))
    assert DOCUMENTED[command] - said == set()


def test_a_documented_target_of_make_is_one() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    asked = {name for page in PAGES for name in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)}
    assert {"demo", "test"} <= asked
    assert asked <= targets
