"""Cross-validation keeps what it found; grid search looks at validation alone; tables print ours beside the paper's."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.bundles import load_bundle
from inference.dxa.network import Cnn21
from tests.training.dxa.made import dealt_cases, options, spread
from training.dxa import crossval, tables
from training.dxa.cases import Case
from training.dxa.crossval import CrossValidation, FoldResult
from training.dxa.data import DataOptions
from training.dxa.evaluate import PAPER
from training.dxa.options import CNN21, DxaOptions
from training.dxa.publish import publish, why_no_bundle
from training.dxa.run import DxaRun
from training.dxa.tables import Campaign, campaign_of, parser, run_table
from training.dxa.tables_report import PAPER_5, TABLE_6, compare
from training.dxa.task import predict
from training.errors import TrainingError

pytestmark = pytest.mark.unit


def validation(folder: Path, count: int = 20, folds: int = 2) -> CrossValidation:
    return CrossValidation(dealt_cases(spread(count), folder, folds=folds), folder / "runs", folder / "features", progress=False)


def test_each_fold_speaks_of_its_own_part_and_of_the_test_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cross = validation(tmp_path)
    said: list[int] = []
    found = cross.folds(options(), lambda: said.append(1))
    assert len(found) == len(said) == 2
    for one, turn in zip(found, cross.dealt.turns(), strict=True):
        assert one.validation.patients == tuple(case.patient for case in turn.validation)
        assert one.test.patients == tuple(case.patient for case in cross.dealt.test)
        assert one.accuracy == pytest.approx(float((one.validation.logits.argmax(1) == one.validation.truth).mean()))
        assert 1 <= one.best_epoch <= 2
        assert np.isfinite(one.loss)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(crossval, "fit", never)
    again = validation(tmp_path).folds(options())
    np.testing.assert_array_equal(again[1].test.logits, found[1].test.logits)
    with pytest.raises(AssertionError, match="trained again"):
        cross.folds(options(loss="focal"), only=[1])


def test_grid_search_takes_the_least_validation_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cross = validation(tmp_path, folds=2)
    losses = {1e-3: (0.6, 0.4), 1e-2: (0.3, 0.5), 1e-1: (0.9, 0.9)}

    class Told:
        def __init__(self, loss: float) -> None:
            self.loss = loss

    def told(given: DxaOptions, **_: object) -> tuple[Told, ...]:
        return tuple(Told(loss) for loss in losses[given.loop.learning_rate])

    monkeypatch.setattr(cross, "folds", told)
    rate, found = cross.best_rate(options(), tuple(losses))
    assert rate == 1e-2
    assert found == pytest.approx({1e-3: 0.5, 1e-2: 0.4, 1e-1: 0.9})


def test_a_damaged_run_says_what_to_remove(tmp_path: Path) -> None:
    cross = validation(tmp_path)
    cross.folds(options(), only=[1])
    (tmp_path / "runs").glob("*/predictions.csv").__next__().write_text("part\n")
    (tmp_path / "runs").glob("*/run.json").__next__().write_text("{}")
    with pytest.raises(TrainingError, match="remove the folder"):
        cross.folds(options(), only=[1])


def _fold(number: int, right: int, of: int = 10) -> FoldResult:
    """A fold with so many of ten right."""
    from training.dxa.evaluate import predictions_of

    made = spread(of)
    truth = np.array([case.target for case in made])
    said = np.where(np.arange(of) < right, truth, 1 - truth)
    found = predictions_of(made, np.eye(2)[said])
    return FoldResult(number=number, validation=found, test=found, best_epoch=1, seconds=1.0, log=Path("none"))


def test_t_tests_over_folds() -> None:
    ours, theirs = [_fold(n, right) for n, right in enumerate((9, 10, 8, 9, 10))], [_fold(n, r) for n, r in enumerate((7, 8, 8, 7, 9))]
    plain, corrected = compare(theirs, ours), compare(theirs, ours, corrected=True)
    assert plain is not None
    assert corrected is not None
    differences = np.array([-0.2, -0.2, 0.0, -0.2, -0.1])
    t = differences.mean() / (differences.std(ddof=1) / 5**0.5)
    assert plain.statistic == pytest.approx(t)
    assert corrected.statistic == pytest.approx(t / (1 + 5 * 0.25) ** 0.5)
    assert compare(theirs[:1], ours[:1]) is None


def test_the_paper_s_figures() -> None:
    assert PAPER_5["vgg16"] == {"accuracy": 0.8809, "precision": 0.8571, "recall": 0.9, "f1": 0.878, "auc": 0.958}
    assert PAPER_5[CNN21] == PAPER
    assert TABLE_6["21-layer CNN"] == 0.9823


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[[tuple[Case, ...]], None]:
    """Lets a table or a run learn from made cases instead of painted ones."""

    def learn_from(found: tuple[Case, ...]) -> None:
        monkeypatch.setattr(tables, "load", lambda _data, out, **_: dealt_cases(found, out))

    return learn_from


def campaign(out: Path, **changes: object) -> Campaign:
    given: dict[str, object] = {"data": DataOptions(source=Path("unused")), "base": options(), "weights": {}, "out": out, "progress": False}
    return Campaign(**(given | changes))  # type: ignore[arg-type]


def test_table_5_stands_beside_the_paper_s(tmp_path: Path, made: Callable[[tuple[Case, ...]], None]) -> None:
    made(spread(20))
    text = run_table(5, campaign(tmp_path, folds=(1, 2)), [CNN21], resamples=50)
    assert "| 21-layer CNN |" in text
    assert "97.14" in text
    assert "made cases" in text
    assert "Simulated patients: the figures say that the method runs" in text
    assert (tmp_path / "table-5.csv").read_text().startswith("method,accuracy,accuracy_low")
    pictures = {path.name for path in (tmp_path / "table-5").glob("*.png")}
    assert pictures == {"cnn21-confusion.png", "cnn21-curve.png", "roc.png"}


def test_table_6_runs_one_row_and_quotes_the_others(tmp_path: Path, made: Callable[[tuple[Case, ...]], None]) -> None:
    made(spread(20))
    text = run_table(6, campaign(tmp_path, folds=(1,)), [CNN21, "vgg16"], resamples=50)
    assert text.count("not run here") == len(TABLE_6) - 1
    assert "0.9823" in text
    assert "vgg" not in text.lower()


def test_the_quick_size_is_the_same_code() -> None:
    read = parser().parse_args(["--data", "simulated", "--table", "5", "--quick"])
    quick = campaign_of(read)
    full = campaign_of(parser().parse_args(["--data", "simulated", "--table", "5", "--grid"]))
    assert (quick.base.width, quick.base.loop.epochs, full.base.width, full.base.loop.epochs) == (0.125, 8, 1.0, 50)
    assert (full.base.augmentation, full.base.batch, full.base.copies) == ("paper", 16, 4)
    assert full.grid == (3e-4, 1e-3, 3e-3)
    baseline = full.options("vgg16")
    assert (baseline.width, baseline.loop, baseline.size, baseline.transfer) == (1.0, full.base.loop, (300, 300), "head")
    with pytest.raises(TrainingError, match="NETWORK=FILE"):
        campaign_of(parser().parse_args(["--data", "simulated", "--table", "5", "--weights", "cnn21=x"]))


def test_a_run_becomes_a_bundle_that_takes_the_crop_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.dxa.run.load", lambda _data, out, **_: dealt_cases(spread(20), out))
    run = DxaRun(out=tmp_path / "run", options=options(), data=DataOptions(source=Path("unused")), progress=False)
    finished = run.train()
    bundle = publish(run, finished, "osteon train dxa --out OUT", tmp_path / "bundle")
    osteon = load_bundle(bundle.folder).metadata.osteon
    assert (osteon.name, osteon.classes, osteon.input.patch_size, osteon.input.channels) == (
        "dxa-cnn21",
        ("normal", "osteoporosis"),
        (150, 150),
        3,
    )
    assert osteon.temperature == finished.temperature
    assert osteon.trained_on == "simulated_patients"
    assert osteon.training.cases == len(run.turn.train)
    assert any("never seen a patient" in limit for limit in osteon.limits)
    assert {"Accuracy", "AUC"} <= {metric.name for metric in osteon.metrics}

    from inference.bundles import load_network
    from training.dxa.task import Images

    network = load_network(bundle)
    assert isinstance(network, Cnn21)
    given = predict(network, Images(run.dealt.test, run.options, raw=True), 4)
    assert finished.test is not None
    np.testing.assert_allclose(given, finished.test.logits, atol=2e-2)
    assert "not vgg16" not in str(why_no_bundle(run))
    assert why_no_bundle(replace(run, options=DxaOptions(network="vgg16"))) is not None
    assert why_no_bundle(replace(run, options=options(output="sigmoid"))) is not None
