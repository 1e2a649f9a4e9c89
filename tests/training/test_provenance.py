"""What a run notes of where it comes from."""

import subprocess
import sys
from pathlib import Path

import pytest

from training.provenance import command_line, note_commit, noted_commit

pytestmark = pytest.mark.unit


def test_the_recorded_command_names_no_folder_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    given = "train medconv --out /home/x/run --cache=/home/x/cache --jobs 2 --restart --no-progress --data /home/x/list.csv --width 0.5"
    monkeypatch.setattr(sys, "argv", ["osteon", *given.split()])
    assert command_line("medconv") == "osteon train medconv --data list.csv --width 0.5 --out OUT"
    assert command_line("dxa") == "osteon train dxa --out OUT"


def test_the_commit_is_noted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert noted_commit(tmp_path) is None
    (tmp_path / "commit.txt").write_text("0123456789abcdef\n", encoding="ascii")
    note_commit(tmp_path)
    assert noted_commit(tmp_path) == "0123456789abcdef"

    def without_git(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr(subprocess, "run", without_git)
    other = tmp_path / "other"
    note_commit(other)
    assert noted_commit(other) is None
