"""The documentation names what the code has."""

import re
from pathlib import Path

import pytest

from inference.errors import ReasonCode, WarningCode

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[1]


def test_every_code_is_documented_and_no_other() -> None:
    text = (ROOT / "docs" / "reason-codes.md").read_text(encoding="utf-8")
    reasons, warnings = text.split("## Warnings")
    named = {"reasons": set(), "warnings": set()}
    for part, key in ((reasons, "reasons"), (warnings, "warnings")):
        for line in part.splitlines():
            if line.startswith("| `"):
                named[key] |= set(re.findall(r"`([A-Z0-9_]+)`", line.split("|")[1]))
    assert named["reasons"] == {code.value for code in ReasonCode}
    assert named["warnings"] == {code.value for code in WarningCode}


def test_no_file_names_where_this_checkout_lies() -> None:
    place = f"{ROOT}/"
    folders = ("node", "inference", "training", "tests", "benchmarks", "docs")
    files = [path for name in folders for path in (ROOT / name).rglob("*") if path.suffix in {".py", ".md", ".sql", ".yaml"}]
    assert len(files) > 100
    assert [path.name for path in files if place in path.read_text(encoding="utf-8")] == []
