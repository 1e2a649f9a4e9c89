"""Where a run comes from: the commit of the tree and the command, so that it can be made again."""

import shlex
import subprocess
import sys
from pathlib import Path

COMMIT = "commit.txt"
_NOT_TOLD = ("--out", "--cache", "--jobs", "--restart", "--progress", "--no-progress")
_FLAGS = ("--restart", "--progress", "--no-progress")
"""Options that change nothing of what is learned; flags have no value behind them."""


def note_commit(out: Path) -> None:
    """Write the commit of this tree to ``out``, a folder that is made where it is missing, once; an empty file where there is no git."""
    out.mkdir(parents=True, exist_ok=True)
    if (out / COMMIT).exists():
        return
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, cwd=Path(__file__).parent, timeout=10
        ).stdout
    except (OSError, subprocess.SubprocessError):
        found = ""
    (out / COMMIT).write_text(found, encoding="ascii")


def noted_commit(out: Path) -> str | None:
    """The commit of the tree in which the run in ``out`` was begun, where there was git."""
    note = out / COMMIT
    return (note.read_text(encoding="ascii").strip() or None) if note.exists() else None


def command_line(name: str) -> str:
    """``osteon train NAME`` that makes the run again: this process's, without the folders of this machine."""
    arguments = sys.argv[1:] if name in sys.argv[1:] else ["train", name]
    told, skip = [], False
    for argument in arguments:
        option = argument.partition("=")[0]
        if skip or option in _NOT_TOLD:
            skip = not skip and "=" not in argument and option not in _FLAGS
            continue
        told.append(Path(argument).name if "/" in argument else argument)
    return shlex.join(["osteon", *told, "--out", "OUT"])
