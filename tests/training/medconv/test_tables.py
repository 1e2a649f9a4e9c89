import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.bundles import TrainedOn
from training.campaign import chosen_rows
from training.data.labels import who_label
from training.errors import TrainingError
from training.kept_runs import PREDICTIONS
from training.medconv import tables, tables_run
from training.medconv.crops import Case, CropOptions, Prepared
from training.medconv.data import Parts
from training.medconv.evaluate import Predictions
from training.medconv.options import MedconvOptions, paper_loop
from training.medconv.rows import MEDCONV, parse_method
from training.medconv.simulated import SimulatedOptions
from training.medconv.tables import campaign_of, main, masks_of, results_of, run_table
from training.medconv.tables_paper import TABLES
from training.medconv.tables_report import chosen_tau2, pooled
from training.medconv.tables_run import Campaign, Result, Runs, read_result
from training.metrics.bootstrap import BootstrapOptions

FEW = BootstrapOptions(resamples=50)
SMALL = MedconvOptions(
    width=0.07, crop=CropOptions(shape=(16, 16, 16), spacing_mm=(4.0, 4.0, 4.0)), loop=replace(paper_loop(2), device="cpu"), batch=8
)


def _cases(first: int, count: int) -> tuple[Case, ...]:
    """Bones whose attenuation says their T-score, so that something can be learned."""
    found = []
    for index in range(first, first + count):
        rng = np.random.default_rng(index)
        t_score = (-3.5, -1.8, 0.5)[index % 3] + rng.uniform(-0.4, 0.4)
        hu = np.clip(rng.normal(150 + 45 * t_score, 20, (16, 16, 16)), -1024, 3071).astype(np.int16)
        found.append(Case(patient=f"p{index}", hu=hu, label=who_label(t_score).class_index, t_score=t_score))
    return tuple(found)


def _parts(options: object, crop: CropOptions, out: Path, *, progress: bool = True) -> Parts:  # noqa: ARG001
    cases = _cases(0, 36)
    return Parts(
        train=cases[:18],
        validation=cases[18:24],
        test=cases[24:],
        trained_on=TrainedOn.SIMULATED_PATIENTS,
        description="36 made cases",
        prepared=Prepared(cases=cases, skipped=()),
    )


@pytest.fixture
def campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Campaign:
    monkeypatch.setattr(tables_run, "load_parts", _parts)
    return Campaign(source=SimulatedOptions(patients=36), base=SMALL, weights={}, seeds=(0, 1), out=tmp_path, progress=False)


def _made(truth: list[int], logits: list[list[float]], priors: tuple[float, ...] = (0.6, 0.3, 0.1), first: int = 0) -> Result:
    found = Predictions(
        patients=tuple(f"p{first + index}" for index in range(len(truth))),
        truth=np.array(truth),
        t_scores=np.zeros(len(truth)),
        logits=np.array(logits),
        priors=priors,
        tau2=0.0,
    )
    return Result(validation=found, test=found, best_epoch=1, seconds=1.0, counts=(6, 3, 1))


def test_repeats_are_pooled_and_their_areas_averaged() -> None:
    """By hand: three of four right in one repeat, none of three in the other; areas 1 and 0."""
    sure = [[5.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 5.0]]
    one = _made([0, 1, 2, 0], [*sure, [0.0, 0.1, 0.0]])
    two = _made([0, 1, 2], [[-5.0, 1.0, 0.0], [0.0, -5.0, 1.0], [1.0, 0.0, -5.0]], first=10)
    found = pooled((one, two), FEW)
    assert found["accuracy"].value == pytest.approx(3 / 7)
    assert found["sensitivity_macro"].value == pytest.approx((1 / 3 + 1 / 2 + 1 / 2) / 3)
    assert found["auc"].value == pytest.approx((1.0 + 0.0) / 2)
    assert found["accuracy"].low < 3 / 7 < found["accuracy"].high


def test_a_larger_tau2_finds_more_of_the_rare_class_and_is_chosen_on_the_validation_part() -> None:
    """The rare class lies just below the common one: z - tau2 log prior lifts it by log 6 = 1.79 at tau2 = 1, as Table VI's sweep does."""
    made = _made([0, 0, 0, 2, 2, 1], [[4.0, 0.0, 0.0], [4.0, 0.0, 0.0], [3.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.4], [0.0, 3.0, 0.0]])
    rare = [pooled((made.adjusted(tau2),), FEW)["sensitivity_osteoporosis"].value for tau2 in (0.0, 0.4, 0.6)]
    assert rare == [0.0, 0.5, 1.0]
    results, values = chosen_tau2((made,))
    assert values == (0.6,)
    assert results[0].test.tau2 == 0.6


def test_a_run_is_trained_once_and_kept(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    row = next(row for row in TABLES[2].rows if row.name == "resnet18_a1_in1k")
    results, note = results_of(row, Runs(campaign), lambda: None)
    assert note == ""
    assert len(results) == 2
    assert results[0].counts == (6, 6, 6)
    folders = sorted((campaign.out / "runs").iterdir())
    assert len(folders) == 2
    assert not [file for folder in folders for file in folder.rglob("*") if file.suffix in (".pt", ".safetensors")]
    monkeypatch.setattr(tables_run, "fit", lambda *_, **__: pytest.fail("trained again"))
    again, _ = results_of(row, Runs(campaign), lambda: None)
    np.testing.assert_array_equal(again[1].test.logits, results[1].test.logits)
    pretrained = next(row for row in TABLES[2].rows if row.name == "resnet18_a1_in1k+pretrain")
    shared, note = results_of(pretrained, Runs(campaign), lambda: None)  # without weights it is the same run
    np.testing.assert_array_equal(shared[0].test.logits, results[0].test.logits)
    assert "from scratch" in note


def test_one_run_serves_all_values_of_tau2(campaign: Campaign) -> None:
    table = replace(TABLES[6], rows=(TABLES[6].rows[0], TABLES[6].rows[9]))
    said = run_table(table, campaign, resamples=50, progress=False)
    assert len(list((campaign.out / "runs").iterdir())) == 2  # one per seed
    assert "chosen on the validation part" in said
    assert "64.10" in said  # the paper's
    assert "36 made cases" in said
    assert "macro averages" in said
    assert (campaign.out / "table-6" / "figure-6.png").stat().st_size > 10_000
    with (campaign.out / "table-6.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows][:2] == ["1.0", "0.1"]
    assert float(rows[0]["accuracy_paper"]) == 0.641
    assert float(rows[0]["accuracy_low"]) <= float(rows[0]["accuracy"]) <= float(rows[0]["accuracy_high"])


def test_rows_whose_masks_are_not_to_be_had_say_why(campaign: Campaign, tmp_path: Path) -> None:
    assert "painted around L1" in str(masks_of("TotalSegmentator", campaign))
    truth = masks_of("CTspine1K", campaign)
    assert isinstance(truth, tuple)
    assert truth[1] is not None
    assert truth[1].mask_error_mm == 0.0
    listed = replace(campaign, source=tmp_path / "manifest.csv")
    assert "--totalsegmentator DIR" in str(masks_of("TotalSegmentator", listed))
    folder = replace(listed, base=replace(SMALL, crop=replace(SMALL.crop, totalsegmentator=tmp_path / "absent")))
    assert "absent" in str(masks_of("TotalSegmentator", folder)) or "package" in str(masks_of("TotalSegmentator", folder))
    masks = masks_of("CTspine1K", listed)
    assert isinstance(masks, tuple)
    assert masks[0] is not None
    assert masks[0].segmenter == "masks"
    row = next(row for row in TABLES[3].rows if row.segmenter == "TotalSegmentator")
    results, note = results_of(row, Runs(campaign), lambda: None)
    assert results == ()
    assert note.startswith("not run: ")


def test_table_3_says_what_stands_in_for_masks(campaign: Campaign) -> None:
    names = ["resnet18.a1_in1k, CTspine1K", "resnet18.a1_in1k, TotalSegmentator", "resnet18.a1_in1k, Osteon"]
    table = replace(TABLES[3], rows=chosen_rows("Table III", TABLES[3].rows, names))
    said = run_table(table, replace(campaign, seeds=(0,)), resamples=50, progress=False)
    lines = {
        line.split("|")[1].strip(): line
        for line in said.partition("sensitivity of each class")[0].splitlines()
        if line.startswith("| resnet18")
    }
    assert "without error, stand in" in lines["resnet18.a1_in1k, CTspine1K"]
    assert "not run" in lines["resnet18.a1_in1k, TotalSegmentator"]
    assert "48.72" in lines["resnet18.a1_in1k, TotalSegmentator"]
    assert (campaign.out / "table-3" / "resnet18.a1_in1k-Osteon-confusion.png").exists()


def test_what_a_run_found_and_cannot_be_read_is_said(campaign: Campaign) -> None:
    runs = Runs(replace(campaign, seeds=(0,)))
    runs.results(parse_method("resnet18_a1_in1k"))
    folder = next((campaign.out / "runs").iterdir())
    (folder / PREDICTIONS).write_text("part,patient\ntest,p1\n", encoding="utf-8")
    with pytest.raises(TrainingError, match="remove the folder"):
        read_result(folder)


def test_arguments_become_a_campaign(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parse = tables._parser().parse_args
    full = campaign_of(parse(["--data", "simulated", "--table", "2"]))
    assert (full.base.width, full.base.crop.shape, full.base.loop.epochs, full.base.batch) == (1.0, (64, 64, 64), 200, 8)
    assert full.source == SimulatedOptions(patients=389)
    small = campaign_of(parse(["--data", "simulated", "--table", "2", "--quick", "--seeds", "3", "--device", "cpu"]))
    assert (small.base.width, small.base.crop.shape, small.base.loop.epochs, small.seeds) == (0.125, (32, 32, 32), 6, (0, 1, 2))
    assert small.base.loop.device == "cpu"
    assert campaign_of(parse(["--data", "list.csv", "--table", "2"])).source == Path("list.csv")
    with pytest.raises(TrainingError, match="NETWORK=FILE"):
        campaign_of(parse(["--data", "simulated", "--table", "2", "--weights", f"vgg={tmp_path / 'w.pth'}"]))
    with pytest.raises(SystemExit) as stopped:
        main(["--data", "simulated", "--table", "2", "--rows", "MedConv (Theirs)"])
    assert stopped.value.code == 2
    assert "MedConv (Ours)" in capsys.readouterr().err


def test_medconv_is_bal_ce_and_half_of_tau2() -> None:
    assert (MEDCONV.network, MEDCONV.balce, MEDCONV.tau1, MEDCONV.tau2) == ("resnet50", True, 1.0, 0.5)
