"""``docs/training.md`` says what is true: its example runs, its tables name what there is."""

import re
from pathlib import Path
from typing import Any

import pytest

from inference.windows import WINDOWS
from training.loop import LoopOptions
from training.loop.options import FREE_ON_RESUME
from training.transforms import AUGMENTATIONS

pytestmark = pytest.mark.unit

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "training.md").read_text(encoding="utf-8")


def test_the_example_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert code is not None
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(code.group(1), "docs/training.md", "exec"), names)
    history = names["fitted"].history
    assert history[-1]["val_mse"] < 0.02 * history[0]["train_mse"]
    assert capsys.readouterr().out.split()[2].startswith("runs/sum/weights-epoch-")


def test_its_tables_name_what_there_is() -> None:
    windows = dict(re.findall(r"^\| `(\w+)` \| (-\d+ to \d+) \|", PAGE, re.MULTILINE))
    assert windows == {name: f"{window.low_hu:g} to {window.high_hu:g}" for name, window in WINDOWS.items()}
    options = PAGE.split("## Options")[1].split("## Images")[0]
    named = {name for row in re.findall(r"^\| (`.*?) \|", options, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert named <= LoopOptions.__dataclass_fields__.keys()
    assert all(f"`{name}`" in PAGE for name in (*FREE_ON_RESUME, *AUGMENTATIONS))
