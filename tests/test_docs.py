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


def test_nothing_tracked_names_a_path_of_one_machine() -> None:
    suspicious = [
        path.name for folder in ("node", "inference", "training", "docs") for path in (ROOT / folder).rglob("*.py") if "/work/" in path.read_text()
    ]
    assert suspicious == []
