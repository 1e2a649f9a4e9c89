"""The commands: options reach the run, the quick size keeps what was asked for, and evaluation prints what a bundle is worth."""

import re
from pathlib import Path

import pytest

from inference.bundles import load_bundle
from inference.ct.crop import CropMask
from tests.training.medconv.made import cases
from training import cli as training_cli
from training.errors import TrainingError
from training.medconv import cli
from training.medconv import data as medconv_data
from training.medconv.crops import CropOptions, Prepared
from training.medconv.run import MedconvRun
from training.medconv.simulated import COHORTS_OF_MEDCONV, SimulatedOptions
from training.preparing import Skipped

pytestmark = pytest.mark.unit


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        training_cli.main(arguments)
    return int(ended.value.code or 0)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[MedconvRun]:
    """Runs that would be trained."""
    runs: list[MedconvRun] = []
    monkeypatch.setattr(cli, "_train", lambda run, *, resume: runs.append(run) or resume)  # type: ignore[func-returns-value]
    return runs


def test_the_defaults_are_the_papers(asked: list[MedconvRun], tmp_path: Path) -> None:
    assert command("train", "medconv", "--out", str(tmp_path)) == 0
    (run,) = asked
    options = run.options
    assert (options.network, options.width, options.loss, options.tau1, options.tau2) == ("resnet50", 1.0, "balce", 1.0, 0.5)
    assert (options.batch, options.loop.epochs, options.loop.learning_rate, options.loop.schedule) == (8, 200, 1e-3, "cosine")
    assert (options.crop, options.loop.optimiser) == (CropOptions(), "adamw")
    assert isinstance(run.data.source, SimulatedOptions)
    assert (run.data.source.patients, run.data.source.cohort.name) == (389, "austinspine")


def test_every_option_reaches_the_run(asked: list[MedconvRun], tmp_path: Path) -> None:
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"x")
    given = "--network vit --width 0.5 --loss weighted --windows soft,bone --mask box --segmenter classical --augmentation balanced"
    given += " --resampling square-root --sam 0.05 --schedule-free --epochs 7 --learning-rate 0.01 --amp --device cpu --monitor accuracy"
    given += f" --tune-tau2 --seed 5 --jobs 2 --data list.csv --numbering ctspine1k --weights {weights}"
    assert command("train", "medconv", "--out", str(tmp_path), *given.split()) == 0
    options, data = asked[0].options, asked[0].data
    assert (options.network, options.width, options.loss, options.tau2) == ("vit", 0.5, "weighted", None)
    assert (options.windows, options.augmentation, options.resampling) == (("soft", "bone"), "balanced", "square-root")
    assert (options.crop.mask, options.crop.segmenter, options.crop.numbering) == (CropMask.BOX, "classical", "ctspine1k")
    loop = options.loop
    assert (loop.sam_rho, loop.schedule_free, loop.schedule, loop.epochs, loop.learning_rate) == (0.05, True, "constant", 7, 0.01)
    assert (loop.amp, loop.device, loop.monitor, loop.seed, options.seed, data.split.seed) == (True, "cpu", "accuracy", 5, 5, 5)
    assert (options.weights, data.source, data.jobs) == (weights, Path("list.csv"), 2)


def test_quick_is_small_but_for_what_is_named(asked: list[MedconvRun], tmp_path: Path) -> None:
    command("train", "medconv", "--out", str(tmp_path), "--quick", "--loss", "ce")
    command("train", "medconv", "--out", str(tmp_path), "--quick", "--width", "0.5", "--epochs", "3", "--crop", "full", "--patients", "50")
    small, named = asked
    assert (small.options.width, small.options.crop.shape, small.options.loop.epochs) == (0.1875, (32, 32, 32), 20)
    assert (small.options.loss, small.options.tau2) == ("ce", 0.0)
    assert (named.options.width, named.options.crop.shape, named.options.loop.epochs) == (0.5, (64, 64, 64), 3)
    assert [run.data.source.patients for run in asked if isinstance(run.data.source, SimulatedOptions)] == [120, 50]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--network resnet7", "no network 'resnet7'"),
        ("--segmenter magic", "--segmenter magic"),
        ("--numbering mine", "--numbering mine"),
        ("--cohort mars", "no such cohort"),
        ("--windows lung", "no window 'lung'"),
        ("--device tpu", "Invalid value for '--device'"),
    ],
)
def test_what_cannot_be_used_is_named(given: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("train", "medconv", "--out", str(tmp_path), *given.split()) in (1, 2)
    assert said in capsys.readouterr().err


def test_train_writes_a_bundle_that_evaluate_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = (32, 32, 32)
    made = Prepared(
        cases=tuple(case for case in cases([-3.6, -3.0, -1.9, -1.5, 0.0, 0.4, 1.0] * 4, shape=shape)),
        skipped=(Skipped(patient="made-x", because="L1 is altered: cement"),),
    )
    seen: list[tuple[SimulatedOptions, CropOptions]] = []

    def painted(options: SimulatedOptions, crop: CropOptions, *_: object, **__: object) -> Prepared:
        seen.append((options, crop))
        return made

    monkeypatch.setattr(medconv_data, "prepare_simulated", painted)
    monkeypatch.setattr(cli, "prepare_simulated", painted)
    train = (
        f"train medconv --out {tmp_path} --quick --epochs 1 --network resnet18 --width 0.125 --no-progress --cohort spread --patients 28"
    )
    assert command(*train.split()) == 0
    told = capsys.readouterr()
    assert told.out.strip() == str(tmp_path / "bundle")
    assert "made-x: L1 is altered: cement" in told.err
    assert re.search(r"Accuracy: \d", told.err)
    bundle = load_bundle(tmp_path / "bundle")
    assert seen[0][0] == SimulatedOptions(patients=28, seed=40, cohort=COHORTS_OF_MEDCONV["spread"])
    assert command(*train.split()) == 2
    assert "never overwritten" in capsys.readouterr().err
    out = tmp_path / "plots"
    assert command(*f"evaluate medconv --bundle {tmp_path / 'bundle'} --out {out} --no-progress --segmenter classical".split()) == 0
    report = capsys.readouterr()
    assert "the paper's metrics" in report.out
    assert "| osteoporosis |" in report.out
    assert {path.name for path in out.iterdir()} >= {"confusion.png", "calibration.png", "roc.png"}
    evaluated, crop = seen[-1]
    assert evaluated.seed == cli.HELD_OUT_SEED
    assert (crop.shape, crop.spacing_mm, crop.mask, crop.segmenter) == (shape, (2.0, 2.0, 2.0), CropMask.BODY, "classical")
    with pytest.raises(TrainingError, match="no case"):
        cli.classify(bundle, Prepared(cases=(), skipped=()), crop)
