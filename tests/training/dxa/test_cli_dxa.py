"""The commands: options reach the run, and evaluation prints what a bundle is worth."""

from pathlib import Path

import pytest

from inference.bundles import load_bundle
from tests.training.dxa.made import dealt_cases, spread
from training import cli as training_cli
from training.dxa import cli
from training.dxa.cases import Prepared
from training.dxa.run import DxaRun
from training.dxa.simulated import SimulatedOptions
from training.preparing import Skipped

pytestmark = pytest.mark.unit


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        training_cli.main(arguments)
    return int(ended.value.code or 0)


def test_train_writes_a_bundle_that_evaluate_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("training.dxa.run.load", lambda _data, out, **_: dealt_cases(spread(20), out))
    small = ("--width", "0.0625", "--epochs", "1", "--batch", "8", "--augmentation", "none", "--device", "cpu", "--no-progress")
    assert command("train", "dxa", "--out", str(tmp_path), *small) == 0
    said = capsys.readouterr()
    folder = Path(said.out.strip())
    assert load_bundle(folder).name == "dxa-cnn21"
    assert "20 images" in said.err
    assert command("train", "dxa", "--out", str(tmp_path), *small) == 2
    assert "bundles are never overwritten" in capsys.readouterr().err

    prepared = Prepared(cases=spread(8), skipped=(Skipped(patient="p9", because="SPINE_NOT_FOUND: No column."),))
    monkeypatch.setattr(cli, "prepare_simulated", lambda *_, **__: prepared)
    assert command("evaluate", "dxa", "--bundle", str(folder), "--out", str(tmp_path / "judged"), "--no-progress") == 0
    said = capsys.readouterr()
    assert "dxa-cnn21 1.0.0: the paper's metrics" in said.out
    assert "p9: SPINE_NOT_FOUND" in said.err
    assert (tmp_path / "judged" / "roc.png").exists()


def test_options_reach_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[DxaRun] = []
    monkeypatch.setattr(cli, "_train", lambda run, **_: seen.append(run))
    given = "--network vgg19 --transfer block --copies 3 --loss focal --no-class-weights --resampling balanced --shift 0.002 --l2 0.01"
    assert command("train", "dxa", "--out", str(tmp_path), *given.split(), "--no-osteopenia", "--fold", "2", "--cohort", "paper") == 0
    run = seen[0]
    options = run.options
    assert (options.network, options.transfer, options.copies, options.loss, options.class_weights) == ("vgg19", "block", 3, "focal", False)
    assert (options.resampling, options.augmentations.translate, options.loop.weight_decay) == ("balanced", 0.002, 0.01)
    assert (run.data.osteopenia, run.fold) == (False, 2)
    assert isinstance(run.data.source, SimulatedOptions)
    assert run.data.source.cohort.prevalence == (60.0, 0.0, 114.0)


@pytest.mark.parametrize(
    ("given", "said"),
    [("--cohort none", "no such cohort"), ("--network alexnet", "no network 'alexnet'"), ("--device tpu", "Invalid value for '--device'")],
)
def test_what_cannot_be_is_bad_usage(given: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("train", "dxa", "--out", str(tmp_path), *given.split()) == 2
    assert said in capsys.readouterr().err
