"""Tables run, keep what they found, and stand beside the paper's figures; parameters beside the paper's."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.cxr.made import collection
from tests.training.cxr.test_folds import SMALL
from training.cxr import tables
from training.cxr.cases import LEVELS
from training.cxr.options import DensityOptions
from training.cxr.parameters import main as print_parameters
from training.cxr.parameters import parts_of, table
from training.cxr.tables import QUICK_EPOCHS, QUICK_PATIENTS, campaign_of, run_table
from training.cxr.tables_paper import COMPARISONS, TABLE_1, TABLE_2, TABLE_3
from training.cxr.tables_run import Campaign, Runs
from training.errors import TrainingError
from training.kept_runs import digest_of

pytestmark = pytest.mark.unit


def test_the_paper_s_figures_add_up() -> None:
    for row in TABLE_1.values():
        for metric in ("r", "rmse", "auc"):
            average = np.mean([row[f"{metric}_{level}"] for level in LEVELS])
            assert row[f"{metric}_average"] == pytest.approx(average, abs=0.0016)
    for name, row in TABLE_2.items():
        for metric in ("sensitivity", "specificity"):
            assert row[f"{metric}_average"] == pytest.approx(np.mean([row[f"{metric}_{level}"] for level in LEVELS]), abs=0.0011), name
    assert TABLE_1["proposed"]["r_L1"] == 0.894
    assert TABLE_3["Flex"]["osteoporosis_sensitivity"] == 0.895
    assert [row.variant for row in COMPARISONS["1"].rows] == ["baseline", "multipatch", "attmultipatch", "multiroi", "proposed"]
    assert [row.backbone for row in COMPARISONS["backbones"].rows] == ["vgg13", "vgg16", "vgg19", "resnet18", "resnet34", "resnet50"]


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    base = replace(SMALL, levels=LEVELS)
    return Campaign(films=collection(24), base=base, seeds=(0,), out=tmp_path_factory.mktemp("tables"))


def test_table_1_stands_beside_the_paper_and_is_not_trained_twice(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Path] = []
    monkeypatch.setattr(tables, "draw_found", lambda _found, folder, _resamples: drawn.append(folder))
    text = run_table("1", campaign, rows=["Base", "Proposed"], resamples=5, progress=False)
    assert "Table I: variants: R" in text
    assert "RMSE, g/cm²" in text
    assert "| 0.894 |" in text  # the paper's
    assert "24 drawn chests" in text
    assert "12.5" not in text
    csv = (campaign.out / "table-1-rmse.csv").read_text().splitlines()
    assert csv[0].startswith("method,rmse_L1,rmse_L1_low")
    assert [line.split(",")[0] for line in csv[1:]] == ["Base", "Proposed"]

    def trains(*_: object) -> None:
        raise AssertionError("it was trained before")

    monkeypatch.setattr(Runs, "_train", trains)
    assert run_table("1", campaign, rows=["Base", "Proposed"], resamples=5, progress=False) == text
    assert "Table III" in run_table("3", campaign, resamples=5, progress=False)
    assert "| Flex |" in run_table("2", campaign, resamples=5, progress=False)
    assert drawn == [campaign.out / f"table-{name}" for name in ("1", "1", "3", "2")]


def test_other_films_or_options_are_another_run(campaign: Campaign) -> None:
    runs = Runs(campaign)
    told = runs._told(replace(campaign.base, variant="proposed"))
    other = Runs(replace(campaign, films=collection(23)))._told(replace(campaign.base, variant="proposed"))
    assert digest_of(told) != digest_of(other)
    assert digest_of(told) != digest_of(runs._told(replace(campaign.base, variant="proposed", seed=2)))
    with pytest.raises(TrainingError, match="at least one seed"):
        replace(campaign, seeds=())


def test_quick_is_the_same_code_at_another_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[int] = []

    def films(source: object, *_: object, **__: object) -> object:
        asked.append(source.patients)  # type: ignore[attr-defined]
        return collection(12)

    monkeypatch.setattr(tables, "prepare_simulated", films)
    parser = tables._parser()
    quick = campaign_of(parser.parse_args(["--data", "simulated", "--table", "1", "--quick", "--out", str(tmp_path)]))
    full = campaign_of(parser.parse_args(["--data", "simulated", "--table", "1", "--out", str(tmp_path), "--seeds", "3"]))
    assert asked == [QUICK_PATIENTS, 400]
    assert (quick.base.size, quick.base.width, quick.base.loop.epochs, quick.base.folds) == (32, 0.125, QUICK_EPOCHS, 4)
    assert full.base == DensityOptions()
    assert full.seeds == (0, 1, 2)
    few = campaign_of(parser.parse_args(["--data", "simulated", "--table", "1", "--levels", "L3", "L1", "--epochs", "2"]))
    assert (few.base.levels, few.base.loop.epochs) == (("L1", "L3"), 2)


def test_what_cannot_be_used_ends_with_code_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ending:
        tables.main(["--data", str(tmp_path / "absent.csv"), "--table", "1", "--out", str(tmp_path)])
    assert ending.value.code == 2
    assert "absent.csv" in capsys.readouterr().err
    assert isinstance(tables._parser(), argparse.ArgumentParser)


def test_parameters_stand_beside_the_paper_s(capsys: pytest.CaptureFixture[str]) -> None:
    found = parts_of(DensityOptions())
    assert found == {
        "feature extractor": 14_713_536,
        "transformer encoder": 7_868_416,
        "local regressors": 1_973_775,
        "global regressor": 131_585,
        "all": 24_687_312,
    }
    print_parameters([])
    printed = capsys.readouterr().out
    assert "| feature extractor | 14,713,536 | 14.8 |" in printed
    assert "| global regressor | 131,585 | 0.13 |" in printed
    assert "| transformer encoder | 0 | – |" in table(DensityOptions(variant="baseline"))
    with pytest.raises(SystemExit):
        print_parameters(["--variant", "best"])
