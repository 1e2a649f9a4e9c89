"""The commands train, publish and evaluate; what cannot be used is said."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from inference.bundles import load_bundle
from inference.cxr.locate import TARGETS
from tests.training.cxr.made import collection
from training import cli as training_cli
from training.cxr import cli, landmark_cli
from training.errors import TrainingError

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def drawn_chests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn chests instead of painted ones."""
    for module in (cli, landmark_cli):
        monkeypatch.setattr(module, "prepare_simulated", lambda *_, **__: collection(20))


def run(arguments: Sequence[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        training_cli.main([*arguments, "--no-progress"])
    assert ending.value.code == 0


def test_landmarks_are_trained_published_and_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    run(["train", "cxr-landmarks", "--out", str(out), "--quick", "--epochs", "1", "--width", "0.0625", "--size", "64", "--test", "0.2"])
    assert capsys.readouterr().out.strip() == str(out / "bundle")
    bundle = load_bundle(out / "bundle")
    osteon = bundle.metadata.osteon
    assert (osteon.name, osteon.targets, osteon.input.patch_size) == ("cxr-landmarks", TARGETS, (64, 64))
    assert {metric.cases for metric in osteon.metrics} == {4}
    assert osteon.training.cases == 16
    assert osteon.training.command.startswith("osteon train cxr-landmarks")
    assert "never seen a patient" in osteon.limits[0]
    run(["evaluate", "cxr-landmarks", "--bundle", str(out / "bundle")])
    printed = capsys.readouterr().out
    assert "| landmarks | mean radial error, mm | under 4 mm | worst, mm |" in printed
    assert "| T12 |" in printed
    with pytest.raises(SystemExit) as ending:
        training_cli.main(["train", "cxr-landmarks", "--out", str(out)])
    assert ending.value.code == 2
    assert "never overwritten" in capsys.readouterr().err


def test_density_is_trained_published_and_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "draw", lambda *_, **__: ())
    out = tmp_path / "run"
    size = ["--epochs", "1", "--width", "0.03125", "--layers", "1", "--folds", "2", "--level", "L2"]
    run(["train", "cxr", "--out", str(out), "--quick", *size])
    printed = capsys.readouterr()
    assert printed.out.strip() == str(out / "bundle")
    assert "L2, fold 2 is done" in printed.err
    assert "rmse: " in printed.err
    definition = json.loads((out / "bundle" / "configs" / "inference.json").read_text())["network_def"]
    assert definition["_target_"] == "inference.cxr.network.DensityEnsemble"
    assert definition["out_channels"] == 2
    run(["evaluate", "cxr", "--bundle", str(out / "bundle"), "--out", str(tmp_path / "judged")])
    printed = capsys.readouterr()
    assert "| RMSE, g/cm² |" in printed.out
    assert "spread of the folds" in printed.out
    assert (tmp_path / "judged" / "estimates.csv").exists()
    with pytest.raises(TrainingError, match="no landmark network"):
        landmark_cli.evaluate(bundle=out / "bundle")
    run(["train", "cxr", "--out", str(tmp_path / "patches"), "--quick", "--variant", "multipatch-2", *size])
    assert capsys.readouterr().out.strip() == str(tmp_path / "patches" / "estimates.csv")


@pytest.mark.parametrize("model", ["cxr", "cxr-landmarks"])
@pytest.mark.parametrize(("given", "said"), [(("--cohort", "nobody"), "no such cohort"), (("--device", "tpu"), "value for '--device'")])
def test_what_cannot_be_asked_for_is_bad_usage(
    model: str, given: tuple[str, str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ending:
        training_cli.main(["train", model, "--out", str(tmp_path), *given])
    assert ending.value.code == 2
    assert said in capsys.readouterr().err
