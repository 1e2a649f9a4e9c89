"""The research commands: names, exit codes, and that each model's options are its own."""

import subprocess
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import pytest
import typer

from training import cli
from training.errors import TrainingError

pytestmark = pytest.mark.unit


def toy(out: Annotated[Path, typer.Option("--out")], epochs: int = 3, quick: bool = False) -> None:
    """Train a toy."""
    if epochs < 1:
        raise TrainingError("at least one epoch; give --epochs 1 or more")
    if epochs == 13:
        raise ModuleNotFoundError("No module named 'schedulefree'", name="schedulefree")
    if epochs == 14:
        raise ModuleNotFoundError("No module named 'training.gone'", name="training.gone")
    typer.echo(f"trained into {out} for {epochs} epochs, quick {quick}")


@pytest.fixture
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    here = f"{__name__}:toy"
    trainables = {"toy": cli.Trainable(summary="a toy", train=here, evaluate=here)}
    monkeypatch.setattr(cli, "TRAINABLES", MappingProxyType(trainables))
    monkeypatch.setitem(sys.modules, __name__, sys.modules[toy.__module__])


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    said = capsys.readouterr()
    assert ended.value.code is None or isinstance(ended.value.code, int)
    return ended.value.code or 0, said.out, said.err


@pytest.mark.usefixtures("_toy")
def test_a_model_parses_its_own_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "train", "toy", "--out", "here", "--epochs", "5", "--quick") == (
        0,
        "trained into here for 5 epochs, quick True\n",
        "",
    )
    code, out, _ = run(capsys, "evaluate", "toy", "--help")
    assert code == 0
    assert "--epochs" in out
    assert "osteon evaluate toy" in out


@pytest.mark.usefixtures("_toy")
def test_what_cannot_be_used_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "train", "toy", "--out", "x", "--epochs", "0") == (2, "", "at least one epoch; give --epochs 1 or more\n")
    assert run(capsys, "train", "nobody") == (2, "", "there is no model 'nobody' to train; known: toy\n")
    assert run(capsys, "train", "toy")[0] == 2
    assert run(capsys, "train", "toy", "--out", "x", "--unheard")[0] == 2


@pytest.mark.usefixtures("_toy")
def test_a_missing_optional_library_is_named_with_its_extra(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "train", "toy", "--out", "x", "--epochs", "13")
    assert (code, err) == (2, "this needs schedulefree, an optional library: pip install 'osteon[training]'\n")
    with pytest.raises(ModuleNotFoundError, match="gone"):
        cli.main(["train", "toy", "--out", "x", "--epochs", "14"])


def test_help_lists_the_models_without_loading_any(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "train", "--help")
    assert code == 0
    assert all(name in out for name in cli.TRAINABLES)
    loads = "import sys; from training import cli; assert not {'torch', 'monai', 'numpy', 'SimpleITK'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", loads], check=False).returncode == 0


@pytest.mark.parametrize("name", sorted(cli.TRAINABLES))
def test_every_registered_model_names_functions_that_exist(name: str) -> None:
    trainable = cli.TRAINABLES[name]
    for reference in (trainable.train, trainable.evaluate):
        assert callable(cli.load_function(reference))
