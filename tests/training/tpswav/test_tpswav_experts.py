"""Fine-tuning: it learns what densitometers say of the same bone, is judged by vertebra and patient, and becomes a bundle."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.bundles import TrainedOn, load_bundle, load_network
from inference.ct.level_check import level_shift
from inference.ct.vertebra_experts import VertebraExperts
from tests.training.tpswav.made import POOL, vertebrae
from training import cli as training_cli
from training.data.labels import BoneLabel, who_label
from training.data.rows import ManifestRow, manifest_of
from training.data.values import Modality
from training.errors import TrainingError
from training.loop import LoopOptions, fit
from training.loop.options import learning_rate
from training.simulation.xray.devices import DEVICES
from training.tpswav import cli
from training.tpswav import data as data_module
from training.tpswav.census import Census, Excluded, Exclusion
from training.tpswav.crops import SMALL_BOX
from training.tpswav.data import DataOptions, composition, load_parts, patients_of
from training.tpswav.evaluate import (
    compared,
    flipped_levels_caught,
    joined,
    of_repeat,
    on_own_scale,
    patient_scores,
    report,
    vertebra_scores,
)
from training.tpswav.losses import unified_loss
from training.tpswav.networks import SwavOptions
from training.tpswav.options import ExpertOptions, paper_loop, quick, quick_pretraining
from training.tpswav.pretrain_task import PretrainOptions, SwavTask
from training.tpswav.publish import publish
from training.tpswav.run import ExpertRun, PretrainRun, with_known_devices
from training.tpswav.simulated import SimulatedOptions
from training.tpswav.task import ExpertsTask, Predictions, batch_of, predict

pytestmark = pytest.mark.unit

MAKES = tuple(DEVICES)
BOX = replace(SMALL_BOX, shape=(16, 16, 16))
LOOP = LoopOptions(epochs=1, learning_rate=3e-3, monitor="auc", maximise=True, device="cpu")
SMALL = ExpertOptions(backbone="resnet18", width=0.0625, crop=BOX, batch=16, loop=LOOP)
CENSUS = Census(
    vertebrae=(*vertebrae(96, makes=(*MAKES, None)), *vertebrae(16, first=400, makes=("MEDIX",))),
    excluded=(Excluded(patient="made-0", site="Hologic", level="L3", why=Exclusion.FRACTURE),),
)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made vertebrae in the place of painted ones, and no other external site."""
    monkeypatch.setattr(data_module, "prepare_simulated", lambda *_, **__: CENSUS)
    monkeypatch.setattr(SimulatedOptions, "external", property(lambda _: ("MEDIX",)))


def said(**changes: object) -> Predictions:
    """Five vertebrae of three patients."""
    given: dict[str, object] = {
        "patients": ("a", "a", "b", "b", "c"),
        "sites": ("A", "A", "B", "B", "C"),
        "devices": ("Hologic", "Hologic", "GE Lunar", "GE Lunar", "MEDIX"),
        "levels": ("L1", "L2", "L1", "T12", "L1"),
        "scale": ("Hologic", "Hologic", "GE Lunar", "GE Lunar", "Hologic"),
        "label": np.array([1, 0, 0, -1, 1]),
        "bmd": np.array([0.7, 0.9, 1.1, np.nan, 0.8]),
        "position": np.array([12, 13, 12, 11, 12]),
        "probability": np.array([0.8, 0.6, 0.3, 0.9, 0.4]),
        "predicted_bmd": np.array([0.8, 0.9, 1.0, 5.0, 0.7]),
        "predicted_position": np.array([12, 14, 12, 11, 15]),
        "gates": np.array([[0.7, 0.3], [0.5, 0.5], [0.2, 0.8], [0.4, 0.6], [0.6, 0.4]]),
    }
    return Predictions(**(given | changes))  # type: ignore[arg-type]


def test_the_schedule_and_weights_are_the_papers() -> None:
    options = ExpertOptions()
    loop = options.loop
    assert (options.backbone, options.experts, options.devices, options.batch) == ("resnet34", 3, MAKES, 32)
    assert (options.tasks.diagnosis, options.tasks.bmd, options.tasks.position) == (1.0, 1.0, 0.5)
    assert (loop.epochs, loop.warmup_epochs, loop.optimiser, loop.weight_decay) == (400, 150, "adamw", 0.1)
    assert (loop.monitor, loop.maximise) == ("loss", False)
    assert learning_rate(paper_loop(), 150, 9, 10) == pytest.approx(1e-5)
    assert quick(options).crop.shape == (32, 32, 32)
    assert options.device_index("MEDIX") == 2
    assert options.device_index("Norland") == options.device_index(None) == 0


def test_experts_learn_the_scale_of_each_densitometer(tmp_path: Path) -> None:
    options = replace(SMALL, batch=8, loop=replace(LOOP, epochs=10, learning_rate=1e-2, monitor="bmd_mae", maximise=False))
    train, validation = vertebrae(48, makes=MAKES), vertebrae(24, first=200, makes=MAKES)
    fitted = fit(ExpertsTask(options, train, validation), options.loop, tmp_path, progress=False)
    rows = fitted.history
    assert rows[-1]["train_loss"] < 0.6 * rows[0]["train_loss"]
    assert max(row["val_auc"] for row in rows) > 0.9
    assert {"train_gate_variation", "train_gate_entropy", "val_bmd_mae", "val_position_accuracy", "val_f1"} <= set(rows[-1])
    found = predict(fitted.model, validation, options)
    mean_only = np.abs(found.bmd - found.bmd.mean()).mean()
    assert np.abs(found.predicted_bmd - found.bmd).mean() < 0.6 * mean_only  # measured: a third


def test_vertebrae_without_a_density_teach_the_position_alone() -> None:
    unlabelled = vertebrae(8, first=500, makes=(None,))
    train, validation = (*vertebrae(16), *unlabelled), vertebrae(16, first=100)
    assert len(ExpertsTask(SMALL, train, validation).used) == 24
    assert len(ExpertsTask(replace(SMALL, other_levels=False), train, validation).used) == 16
    task = ExpertsTask(SMALL, train, validation)
    model = task.build()
    assert isinstance(model, VertebraExperts)
    densities = np.array([one.bmd_g_cm2 for one in vertebrae(16)])
    assert (float(model.bmd_mean), float(model.bmd_sd)) == pytest.approx((densities.mean(), densities.std()), rel=1e-5)
    with pytest.raises(TrainingError, match="with and without"):
        ExpertsTask(SMALL, unlabelled, validation)


def test_a_pretrained_encoder_is_taken_up(tmp_path: Path) -> None:
    before = PretrainOptions(
        backbone="resnet18",
        width=0.0625,
        pool=POOL,
        swav=SwavOptions(prototypes=4, projection=8),
        batch=8,
        loop=replace(LOOP, monitor=None),
    )
    pretrained = fit(SwavTask(before, vertebrae(8)), before.loop, tmp_path, progress=False)
    model = ExpertsTask(replace(SMALL, weights=pretrained.weights), vertebrae(16), vertebrae(16, first=50)).build()
    learned = pretrained.model.encoder.state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(tensor, learned[name]) for name, tensor in model.encoder.state_dict().items())  # type: ignore[union-attr]


def test_scores_by_vertebra_and_patient_are_those_of_hand() -> None:
    found = vertebra_scores(said())
    values = {name: one.value for name, one in found.items()}
    # of four with a diagnosis: 0.8 right, 0.6 a false positive, 0.3 right, 0.4 missed
    assert values["accuracy"] == pytest.approx(0.5)
    assert (values["sensitivity"], values["specificity"], values["f1"]) == pytest.approx((0.5, 0.5, 0.5))
    assert values["auc"] == pytest.approx(0.75)
    assert values["bmd_mae"] == pytest.approx(0.3 / 4)
    assert values["bmd_bias"] == pytest.approx(-0.1 / 4)
    assert (values["position"], values["position_off_by_one"]) == pytest.approx((0.6, 0.8))
    patients = {name: one.value for name, one in patient_scores(said()).items()}
    assert (patients["sensitivity"], patients["specificity"], patients["accuracy"]) == pytest.approx((0.5, 1.0, 2 / 3))


def test_a_density_read_on_another_scale_is_converted_by_the_known_lines() -> None:
    moved = on_own_scale(said()).predicted_bmd
    np.testing.assert_allclose(moved[:4], said().predicted_bmd[:4])
    assert moved[4] == pytest.approx(1.035 * 0.7 + 0.012)  # MEDIX of Hologic


def test_two_networks_are_compared_on_the_same_vertebrae() -> None:
    better = said(probability=np.array([0.9, 0.4, 0.2, 0.0, 0.7]))
    found = compared(said(), better)
    assert found.difference == pytest.approx(((0.9 - 0.8) + (0.6 - 0.4) + (0.8 - 0.7) + (0.7 - 0.4)) / 4)
    assert 0 < found.p < 0.1
    with pytest.raises(TrainingError, match="same vertebrae"):
        compared(said(), said(levels=("L2",) * 5))


def test_a_patient_of_several_repeats_is_one_draw_and_a_vertebra_one_pair() -> None:
    many = vertebrae(40)
    truth = np.array([one.label for one in many])
    rng = np.random.default_rng(0)
    one = said(
        patients=tuple(vertebra.patient for vertebra in many),
        sites=("A",) * 40,
        devices=("Hologic",) * 40,
        levels=tuple(vertebra.level for vertebra in many),
        scale=("Hologic",) * 40,
        label=truth,
        bmd=np.array([vertebra.bmd_g_cm2 for vertebra in many]),
        position=np.full(40, 13),
        probability=np.clip(truth + rng.normal(0, 0.45, 40), 0, 1),
        predicted_bmd=np.full(40, 0.8),
        predicted_position=np.full(40, 13),
        gates=np.ones((40, 1)),
    )
    better = replace(one, probability=np.where(truth == 1, one.probability + 0.1, one.probability - 0.05))
    thrice = joined([of_repeat(one, seed) for seed in range(3)])
    for scores in (patient_scores, vertebra_scores):
        alone, repeated = scores(one), scores(thrice)  # the same network three times says nothing new of anybody
        for name, interval in alone.items():
            assert (repeated[name].low, repeated[name].high) == pytest.approx((interval.low, interval.high), nan_ok=True)
    again = compared(thrice, joined([of_repeat(better, seed) for seed in range(3)]))
    assert (again.n, again.p) == pytest.approx((40, compared(one, better).p))


def test_the_level_check_says_by_how_much() -> None:
    assert level_shift([12, 13, 14], [12, 13, 14]) == 0
    assert level_shift([13, 14, 15, 16], [12, 13, 14, 16]) == 1
    assert level_shift([11, 12, 13], [12, 13, 14]) == -1
    assert level_shift([12, 13], [12, 13]) is None
    assert level_shift([12, 13, 14, 15], [12, 13, 15, 16]) is None
    with pytest.raises(ValueError, match="zip"):
        level_shift([1], [1, 2])
    right = said(patients=("a",) * 5, predicted_position=np.array([12, 13, 12, 11, 12]))
    assert flipped_levels_caught(right) == 1.0
    assert flipped_levels_caught(right, 0) == 0.0


def test_sites_of_a_manifest_are_held_out_by_name(tmp_path: Path) -> None:
    assert DataOptions(source=SimulatedOptions(held_out=("C",)), seed=3).split.hold_out_sites == ("C", "D")
    listed = DataOptions(source=tmp_path / "list.csv", seed=3, hold_out=("east",)).split
    assert (listed.hold_out_sites, listed.test, listed.validation) == (("east",), 0.3, 0.1)


@pytest.mark.usefixtures("made")
def test_parts_and_table_1(tmp_path: Path) -> None:
    parts = load_parts(DataOptions(source=SimulatedOptions(), seed=3), BOX, tmp_path, progress=False)
    names = [{one.patient for one in part} for part in (parts.train, parts.validation, parts.test, parts.external)]
    assert sum(len(part) for part in names) == len(set.union(*names)) == 28
    assert {one.site for one in parts.external} == {"MEDIX"}
    assert "MEDIX" not in {one.site for one in (*parts.train, *parts.validation, *parts.test)}
    assert parts.trained_on is TrainedOn.SIMULATED_PATIENTS
    table = composition(parts)
    assert table["none"].unlabelled == sum(one.site == "none" for one in parts.train)
    assert table["MEDIX"].labelled == {"train": 0, "validation": 0, "test": len(parts.external)}
    assert with_known_devices(SMALL, parts.train).devices == ("Hologic", "GE Lunar")
    with pytest.raises(TrainingError, match="was measured by"):
        with_known_devices(replace(SMALL, devices=("MEDIX",)), parts.train)


def test_rows_of_a_manifest_keep_what_tells_patients_apart() -> None:
    two = vertebrae(8, first=0)  # patients made-0 and made-1
    rows = [
        ManifestRow(patient_id="made-0", modality=Modality.CT, study_uid="1.2", label=BoneLabel.NORMAL),
        ManifestRow(patient_id="made-0", modality=Modality.CT, study_uid="1.3"),
        ManifestRow(patient_id="made-1", modality=Modality.CT, study_uid="1.4", split="test"),
        ManifestRow(patient_id="nobody", modality=Modality.CT, study_uid="1.5"),
    ]
    found = patients_of(two, manifest_of(rows)).used
    assert [row.study_uid for row in found] == ["1.2", "1.3", "1.4"]
    assert found[2].split == "test"
    assert {row.site for row in found} == {"Hologic"}
    worst = min(one.t_score for one in two if one.patient == "made-0")
    assert found[0].label is found[1].label is who_label(worst)
    assert [row.patient_id for row in patients_of(two).used] == ["made-0", "made-1"]


@pytest.mark.usefixtures("made")
def test_a_run_is_judged_reported_and_published(tmp_path: Path) -> None:
    run = ExpertRun(out=tmp_path, options=SMALL, data=DataOptions(source=SimulatedOptions(), seed=3), progress=False)
    finished = run.train()
    assert finished.judged is not None
    assert {"vertebra_f1", "patient_f1", "vertebra_bmd_mae"} <= set(finished.metrics)
    assert {scale for device, scale in zip(finished.judged.devices, finished.judged.scale, strict=True) if device == "MEDIX"} == {"Hologic"}
    text = report(finished.judged, "made", "made vertebrae")
    for words in ("vertebrae, site MEDIX", "patients, all", "scale converted", "| Hologic | 0.", "noticed in"):
        assert words in text
    bundle = publish(run, finished, "osteon train tpswav", tmp_path / "bundle")
    osteon = load_bundle(tmp_path / "bundle").metadata.osteon
    assert (osteon.densitometers, osteon.trained_on, osteon.targets[2]) == (
        ("Hologic", "GE Lunar"),
        TrainedOn.SIMULATED_PATIENTS,
        "bmd_g_cm2",
    )
    cases = {metric.name: metric.cases for metric in osteon.metrics}
    known = [one for one in run.parts.judged if one.labelled]
    assert len(known) < len(run.parts.judged)
    assert (cases["vertebra bmd mae"], cases["vertebra position"]) == (len(known), len(run.parts.judged))
    assert cases["patient f1"] == len({one.patient for one in known})
    assert osteon.crop is not None
    assert (osteon.crop.level, osteon.crop.mask) == (None, "box")
    assert "never seen a patient" in osteon.limits[0]
    network = load_network(bundle)
    assert isinstance(network, VertebraExperts)
    again = predict(network, run.parts.judged, run.settled)
    np.testing.assert_allclose(again.predicted_bmd, finished.judged.predicted_bmd, rtol=2e-3)  # weights are kept in half precision
    with pytest.raises(TrainingError, match="not vit"):
        publish(replace(run, options=replace(SMALL, backbone="vit")), finished, "x", tmp_path / "other")


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        training_cli.main(arguments)
    return int(ended.value.code or 0)


def test_every_option_of_the_command_reaches_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    runs: list[ExpertRun] = []
    monkeypatch.setattr(cli, "_train", lambda run, **_: runs.append(run))
    given = (
        "--backbone swint --width 0.5 --experts 2 --densitometers Hologic,Norland --bmd 0 --position 0.25 --epochs 5 --seed 4 --mask body"
    )
    given += " --learning-rate 0.01 --device cpu --patients 9 --hold-out C --jobs 2 --segmenter classical"
    assert command("train", "tpswav", "--out", str(tmp_path), *given.split()) == 0
    assert command("train", "tpswav", "--out", str(tmp_path), "--quick") == 0
    options, data = runs[0].options, runs[0].data
    assert (options.backbone, options.width, options.experts, options.devices) == ("swint", 0.5, 2, ("Hologic", "Norland"))
    assert (options.tasks.bmd, options.tasks.position, options.loop.epochs, options.loop.warmup_epochs) == (0.0, 0.25, 5, 1.875)
    assert (options.crop.mask, options.crop.segmenter, options.loop.learning_rate, options.loop.seed) == ("body", "classical", 0.01, 4)
    assert data.source == SimulatedOptions(patients=9, seed=4, held_out=("C",))
    assert (runs[1].options.width, runs[1].options.loop.epochs, runs[1].options.crop.shape) == (0.25, 12, (32, 32, 32))
    assert command("train", "tpswav", "--out", str(tmp_path), "--hold-out", "E") == 2


@pytest.mark.usefixtures("made")
def test_pretraining_by_command_ends_with_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = "--backbone resnet18 --width 0.0625 --epochs 1 --crop small --prototypes 8 --no-progress --device cpu"
    assert command("train", "tpswav-pretrain", "--out", str(tmp_path), *given.split()) == 0
    weights = Path(capsys.readouterr().out.strip())
    assert weights.exists()
    assert list((tmp_path / "maps").glob("*.npz"))
    assert PretrainRun  # the class that the command runs
    assert command("train", "tpswav-pretrain", "--out", str(tmp_path), "--method", "voco") == 2
    again = f"--weights {weights} --backbone resnet18 --width 0.0625 --quick --no-progress --out {tmp_path}"
    monkeypatch.setattr(cli, "crop_of", lambda *_, **__: BOX)
    assert command("evaluate", "tpswav-pretrain", *again.split()) == 0
    assert "probe_auc" in capsys.readouterr().out


@pytest.mark.usefixtures("made")
def test_training_and_evaluation_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = "--backbone resnet18 --width 0.0625 --no-progress"
    out = tmp_path / "run"
    assert command("train", "tpswav", "--out", str(out), *f"{size} --epochs 1 --device cpu".split()) == 0
    told = capsys.readouterr()
    assert Path(told.out.strip()) == out / "bundle"
    assert "site Hologic (Hologic)" in told.err
    assert "vertebra f1" in told.err
    assert load_bundle(out / "bundle").metadata.osteon.training.command.startswith("osteon")
    assert command("evaluate", "tpswav", "--run", str(out), *size.split(), "--out", str(tmp_path / "pictures")) == 0
    assert "vertebrae, site MEDIX" in capsys.readouterr().out
    assert (tmp_path / "pictures" / "bmd.png").exists()
    assert command("evaluate", "tpswav", "--run", str(out), "--backbone", "resnet34", "--width", "0.0625", "--no-progress") == 2
    assert "another network" in capsys.readouterr().err
    assert command("train", "tpswav", "--out", str(out), *size.split()) == 2  # bundles are never overwritten


def test_the_epoch_is_chosen_by_the_unified_loss_of_the_validation_part() -> None:
    validation = (*vertebrae(12, first=50), *vertebrae(4, first=90, makes=(None,)))
    task = ExpertsTask(SMALL, vertebrae(16), validation)
    model = task.build().eval()
    values = task.evaluate(model)
    assert isinstance(model, VertebraExperts)
    batch = batch_of(validation, SMALL)
    with torch.no_grad():
        expected, _ = unified_loss(model.read(batch["image"], batch["device"]), batch, SMALL.tasks, bmd_sd=model.bmd_sd)
    assert values["loss"] == pytest.approx(float(expected), rel=1e-4)
    found = predict(model, validation, SMALL)
    known = found.label >= 0
    assert values["bmd_mae"] == pytest.approx(np.abs(found.bmd - found.predicted_bmd)[known].mean())
    assert values["position_accuracy"] == (found.position == found.predicted_position).mean()


def test_small_crops_have_small_attention_windows_in_the_bundle_too() -> None:
    options = replace(quick(ExpertOptions(backbone="swint")), width=0.25, crop=BOX)
    assert (ExpertOptions().attention_window, options.attention_window, quick_pretraining(PretrainOptions()).attention_window) == (7, 4, 4)
    model = ExpertsTask(options, vertebrae(8), vertebrae(8, first=50)).build()
    again = VertebraExperts(**options.network_arguments())
    again.load_state_dict(model.state_dict())
    assert options.plain()["attention_window"] == 4
    for plain in (ExpertOptions().plain(), PretrainOptions().plain(), ExpertOptions().network_arguments()):
        assert "attention_window" not in plain


def test_a_vit_may_stand_in_the_place_of_the_backbone() -> None:
    options = replace(SMALL, backbone="vit", width=1 / 12)
    model = ExpertsTask(options, vertebrae(8), vertebrae(8, first=50)).build()
    found = predict(model.eval(), vertebrae(2), options)
    assert found.gates.shape == (2, 3)
    assert np.isfinite(found.predicted_bmd).all()
    assert options.why_no_bundle() is not None
