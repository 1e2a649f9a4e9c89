"""Tables: the paper's figures, rows that share runs, rows that are left out with the reason, and files that are read back in full."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.tpswav.made import POOL, vertebrae
from training.campaign import weights_of
from training.errors import TrainingError
from training.loop import LoopOptions
from training.loop.checkpoint import save_weights
from training.metrics.bootstrap import BootstrapOptions
from training.tpswav import data as data_module
from training.tpswav import tables_run
from training.tpswav.census import Census, Excluded, Exclusion
from training.tpswav.crops import SMALL_BOX
from training.tpswav.networks import SwavNetwork, SwavOptions, make_encoder
from training.tpswav.options import ExpertOptions
from training.tpswav.pretrain_task import PretrainOptions
from training.tpswav.simulated import SimulatedOptions
from training.tpswav.tables import _parser as parser
from training.tpswav.tables import campaign_of, main, run_table, systems, table_1
from training.tpswav.tables_paper import COMPOSITION, OURS, SITES, TABLES, UNIFIED, Method, Row
from training.tpswav.tables_run import PREDICTIONS, Campaign, Runs, read_predictions

pytestmark = pytest.mark.unit

LOOP = LoopOptions(epochs=1, learning_rate=3e-3, device="cpu")
FEW = BootstrapOptions(resamples=20)
BACKBONE = {"backbone": "resnet18"}
"""In the place of the paper's: these tests are of tables, not of networks."""


@pytest.fixture
def campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Campaign:
    """Made vertebrae of two sites with a label each, and one without."""
    census = Census(
        vertebrae=vertebrae(120, makes=("Hologic", "GE Lunar", None)),
        excluded=(Excluded(patient="made-1", site="Hologic", level="L2", why=Exclusion.METAL),),
    )
    monkeypatch.setattr(data_module, "prepare_simulated", lambda *_, **__: census)
    monkeypatch.setattr(SimulatedOptions, "external", property(lambda _: ("GE Lunar",)))
    box = replace(SMALL_BOX, shape=(16, 16, 16))
    base = ExpertOptions(width=0.0625, crop=box, batch=32, loop=replace(LOOP, monitor="auc", maximise=True))
    before = PretrainOptions(width=0.0625, pool=POOL, swav=SwavOptions(prototypes=4, projection=8), batch=32, loop=LOOP)
    return Campaign(source=SimulatedOptions(), base=base, pretraining=before, weights={}, seeds=(0, 1), out=tmp_path, progress=False)


def test_rows_and_figures_are_the_papers() -> None:
    assert [len(TABLES[number].rows) for number in (2, 3, 4, 5)] == [10, 10, 4, 4]
    ours = next(row for row in TABLES[2].rows if row.name == OURS)
    assert ours.paper["D"] == (82.65, 85.83, 80.13, 81.42)
    assert (ours.method.backbone, ours.method.pretraining, ours.method.experts, ours.method.tasks) == ("resnet34", "tpswav", 3, UNIFIED)
    assert next(row for row in TABLES[3].rows if row.name == "ResNet34").paper["A"] == (83.89, 77.18, 89.55, 81.43)
    # the F1 of Table 4's first row is that of Table 2's
    first = next(row for row in TABLES[2].rows if row.name == "ResNet34")
    assert [TABLES[4].rows[0].paper[site][0] for site in SITES] == [first.paper[site][3] for site in SITES]
    # Table 1 sums to the totals it prints
    totals = np.sum([figures for _, figures in COMPOSITION.values()], axis=0)
    assert totals.tolist() == [2230, 374, 1293, 30256, 5001, 839, 2769]


def test_table_1_counts_and_names_what_was_left_out(campaign: Campaign) -> None:
    text = table_1(Runs(campaign))
    assert "metal implant or cement | 1" in text
    assert "| GE Lunar (GE Lunar) | 0 | 0 | 10 | 0 | 0 | 0 | 40 |" in text
    assert (campaign.out / "table-1.csv").exists()


def test_rows_are_trained_once_and_compared(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    tp = Method(**BACKBONE, pretraining="tpswav")
    table = replace(
        TABLES[2],
        rows=(
            Row(name="ResNet34", method=Method(**BACKBONE), paper=TABLES[2].rows[0].paper),
            TABLES[2].rows[3],
            TABLES[2].rows[5],
            Row(name="ResNet34, TP-SwAV", method=tp),
            Row(name=OURS, method=replace(tp, tasks=UNIFIED, experts=2)),
        ),
    )
    runs = Runs(campaign)
    text = run_table(table, runs, FEW)
    assert len(list((campaign.out / "runs").iterdir())) == 6
    assert len(list((campaign.out / "encoders").iterdir())) == 2  # one a seed, shared by two rows
    assert "site GE Lunar (external)" in text
    assert text.count("Alice is other people's system") == 2
    assert "--weights VOCO=FILE" in text
    plain = next(line for line in text.splitlines() if line.startswith("| ResNet34 |"))
    assert plain.split("|")[-3].strip() not in ("", "–")  # p against ours
    assert (campaign.out / "table-2-site-Hologic.csv").exists()
    assert (campaign.out / "table-2-site-GE Lunar-roc.png").exists()
    assert not list((campaign.out / "runs").rglob("*.pt"))
    monkeypatch.setattr(tables_run, "fit", lambda *_, **__: pytest.fail("trained again"))
    assert run_table(table, Runs(campaign), FEW) == text
    patients = run_table(replace(TABLES[3], rows=table.rows[:1]), Runs(campaign), FEW)
    assert "by patient" in patients


def test_other_peoples_encoders_are_taken_from_a_file(campaign: Campaign, tmp_path: Path) -> None:
    file = tmp_path / "voco.safetensors"
    save_weights(file, SwavNetwork(make_encoder("resnet18", width=0.0625, size=(16, 16, 16)), SwavOptions(prototypes=4)))
    given = replace(campaign, weights={"VOCO": file}, seeds=(0,))
    method = Method(**BACKBONE, pretraining="VOCO")
    assert "not run" in Runs(campaign).missing(method)
    assert Runs(given).missing(method) == ""
    (found,) = Runs(given).results(method)
    (folder,) = (campaign.out / "runs").iterdir()
    again = read_predictions(folder / PREDICTIONS)
    for name in ("probability", "predicted_bmd", "bmd", "gates", "label", "predicted_position"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert (again.patients, again.levels, again.devices) == (found.patients, found.levels, found.devices)
    (folder / PREDICTIONS).write_text("patient,site\n", encoding="utf-8")
    with pytest.raises(TrainingError, match="remove the folder"):
        read_predictions(folder / PREDICTIONS)


def test_arguments_become_a_campaign(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full = campaign_of(parser().parse_args(["--data", "simulated", "--table", "2"]))
    assert (full.base.width, full.base.loop.epochs, full.pretraining.loop.epochs, full.base.crop.shape) == (1.0, 400, 300, (64, 64, 64))
    assert (full.base.loop.warmup_epochs, full.pretraining.loop.warmup_epochs) == (150, 100)
    small = campaign_of(parser().parse_args(["--data", "simulated", "--table", "4", "--quick", "--seeds", "3", "--hold-out", "C"]))
    assert (small.base.width, small.base.loop.epochs, small.seeds) == (0.125, 4, (0, 1, 2))
    assert isinstance(small.source, SimulatedOptions)
    assert (small.source.patients, small.source.external) == (48, ("C", "D"))
    listed = campaign_of(parser().parse_args(["--data", "list.csv", "--table", "2", "--hold-out", "east"]))
    assert (listed.source, listed.hold_out) == (Path("list.csv"), ("east",))
    (tmp_path / "w").write_bytes(b"")
    assert systems() == ("SwinMM", "VOCO")
    assert weights_of([f"SwinMM={tmp_path / 'w'}"], systems()) == {"SwinMM": tmp_path / "w"}
    for wrong in (["VOCO=absent"], [f"swav={tmp_path / 'w'}"], [f"Alice={tmp_path / 'w'}"]):
        with pytest.raises(TrainingError, match="--weights"):
            weights_of(wrong, systems())
    with pytest.raises(SystemExit):
        main(["--data", "simulated", "--table", "2", "--rows", "ResNet50", "--out", str(tmp_path)])
    assert "has no row 'ResNet50'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(["--data", "simulated", "--table", "1", "--hold-out", "E"])
    assert stopped.value.code == 2
    assert "the sites A, B, C, D" in capsys.readouterr().err
