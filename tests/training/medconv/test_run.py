"""A run: parts by patient, resume after a kill, tau2 from the validation part, and a bundle that classifies as the run did."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.bundles import TrainedOn, load_bundle, load_network
from inference.windows import windowed
from tests.training.medconv.made import BOX, cases, options
from training.data.origin import origin
from training.data.rows import ManifestRow, manifest_of
from training.data.splits import SplitOptions
from training.data.values import Modality
from training.errors import TrainingError
from training.loop import LoopOptions
from training.medconv import data as medconv_data
from training.medconv.crops import CropOptions, Prepared
from training.medconv.data import DataOptions, load_parts
from training.medconv.evaluate import tuned_tau2
from training.medconv.publish import metadata, publish
from training.medconv.run import Finished, MedconvRun
from training.medconv.simulated import SimulatedOptions
from training.medconv.task import CLASSES, predict
from training.metrics.table import METRICS_FILE
from training.preparing import Skipped

pytestmark = pytest.mark.unit

T_SCORES = tuple(np.linspace(-3.7, 1.6, 40).tolist())
SKIPPED = (Skipped(patient="made-x", because="L1 is altered: fracture"),)


@pytest.fixture(autouse=True)
def _made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made cases in the place of painted ones."""
    prepared = Prepared(cases=cases(T_SCORES), skipped=SKIPPED)
    monkeypatch.setattr(medconv_data, "prepare_simulated", lambda *_, **__: prepared)


def run(out: Path, **changes: object) -> MedconvRun:
    return MedconvRun(
        out=out,
        options=options(**changes),
        data=DataOptions(source=SimulatedOptions(patients=40), split=SplitOptions(seed=3)),
        progress=False,
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[MedconvRun, Finished]:
    """A run of one epoch, whose tau2 is chosen; several tests look at it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(medconv_data, "prepare_simulated", lambda *_, **__: Prepared(cases=cases(T_SCORES), skipped=SKIPPED))
        this = run(tmp_path_factory.mktemp("run"), tau2=None)
        return this, this.train()


def test_patients_are_dealt_into_parts_that_keep_their_split(tmp_path: Path) -> None:
    source = DataOptions(source=SimulatedOptions(patients=40), split=SplitOptions(seed=3))
    parts = load_parts(source, BOX, tmp_path, progress=False)
    names = [{case.patient for case in part} for part in (parts.train, parts.validation, parts.test)]
    assert [len(part) for part in names] == [28, 4, 8]
    assert len(set.union(*names)) == 40
    assert parts.trained_on is TrainedOn.SIMULATED_PATIENTS
    again = load_parts(source, BOX, tmp_path, progress=False)
    assert [case.patient for case in again.test] == [case.patient for case in parts.test]
    with pytest.raises(TrainingError, match="other options"):
        load_parts(replace(source, split=SplitOptions(seed=4)), BOX, tmp_path, progress=False)


def test_a_manifest_keeps_the_parts_that_it_states_and_a_simulated_one_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = [
        ManifestRow(
            patient_id=f"made-{n}", modality=Modality.CT, path=tmp_path / f"p{n}" / "ct", split=("train", "validation", "test")[n % 3]
        )
        for n in range(6)
    ]
    monkeypatch.setattr(medconv_data, "read_manifest", lambda _: manifest_of(listed))
    monkeypatch.setattr(medconv_data, "prepare_manifest", lambda *_, **__: Prepared(cases=cases(T_SCORES[:6]), skipped=()))
    parts = load_parts(DataOptions(source=tmp_path / "list.csv"), BOX, tmp_path / "out", progress=False)
    assert [case.patient for case in parts.test] == ["made-2", "made-5"]
    assert parts.trained_on is TrainedOn.PATIENTS
    (tmp_path / "p3").mkdir()
    (tmp_path / "p3" / "truth.json").write_text("{}")
    assert origin(manifest_of(listed)) is TrainedOn.SIMULATED_PATIENTS
    named = ManifestRow(patient_id="SIM000001-0A1B2C", modality=Modality.CT)
    assert origin(manifest_of([named])) is TrainedOn.SIMULATED_PATIENTS


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two = LoopOptions(epochs=2, learning_rate=1e-3, schedule="cosine", monitor="auc", maximise=True, device="cpu")
    whole = run(tmp_path / "whole", loop=two, augmentation="ct").train()

    class Killed(Exception):
        pass

    broken = run(tmp_path / "killed", loop=two, augmentation="ct")
    evaluate, calls = type(broken.task).evaluate, []

    def dies(task: object, model: torch.nn.Module) -> dict[str, float]:
        calls.append(task)
        if len(calls) == 2:
            raise Killed
        return evaluate(task, model)  # type: ignore[arg-type]

    monkeypatch.setattr(type(broken.task), "evaluate", dies)
    with pytest.raises(Killed):
        broken.train()
    monkeypatch.undo()
    monkeypatch.setattr(medconv_data, "prepare_simulated", lambda *_, **__: Prepared(cases=cases(T_SCORES), skipped=SKIPPED))
    resumed = run(tmp_path / "killed", loop=two, augmentation="ct").train()
    assert [row["train_loss"] for row in resumed.fitted.history] == [row["train_loss"] for row in whole.fitted.history]
    assert all(
        torch.equal(one, other)
        for one, other in zip(whole.fitted.model.state_dict().values(), resumed.fitted.model.state_dict().values(), strict=True)
    )
    with pytest.raises(TrainingError, match="begun otherwise"):
        run(tmp_path / "killed", loop=two, augmentation="ct", tau1=0.5).train()


def test_tau2_is_chosen_on_the_validation_part_alone(done: tuple[MedconvRun, Finished]) -> None:
    this, finished = done
    assert finished.tau2 == tuned_tau2(finished.validation)
    assert finished.test is not None
    assert finished.test.tau2 == finished.tau2
    assert not set(finished.test.patients) & set(finished.validation.patients)
    told = json.loads((this.out / METRICS_FILE).read_text())
    assert told["tau2"] == finished.tau2
    assert told["metrics"]["accuracy"]["value"] == finished.metrics["accuracy"].value


def test_the_bundle_says_what_it_is_and_classifies_as_the_run_did(done: tuple[MedconvRun, Finished], tmp_path: Path) -> None:
    this, finished = done
    bundle = publish(this, finished, "osteon train medconv", tmp_path / "bundle")
    osteon = load_bundle(tmp_path / "bundle").metadata.osteon
    assert osteon == metadata(this, finished, "osteon train medconv")
    assert (osteon.classes, osteon.trained_on, osteon.tau1, osteon.tau2) == (CLASSES, TrainedOn.SIMULATED_PATIENTS, 1.0, finished.tau2)
    counts = np.bincount([case.label for case in this.parts.train])
    assert osteon.priors == pytest.approx(tuple(counts / counts.sum()))
    assert osteon.crop is not None
    assert (osteon.crop.level, osteon.crop.mask, osteon.crop.margin_mm) == ("L1", "body", 2.0)
    assert (osteon.input.window_hu, osteon.input.patch_size, osteon.input.spacing_mm) == ((-100.0, 500.0), (16, 16, 16), (4.0, 4.0, 4.0))
    assert "never seen a patient" in osteon.limits[0]
    assert "1 skipped" in osteon.training.data
    assert {metric.cases for metric in osteon.metrics} == {len(this.parts.test)}
    images = torch.from_numpy(np.stack([windowed(case.hu, ("trabecular",)) for case in this.parts.test]))
    with torch.inference_mode():
        said = load_network(bundle)(images).numpy()
    np.testing.assert_allclose(said, predict(finished.fitted.model, this.parts.test, this.options), atol=0.02)
    assert (tmp_path / "bundle" / "docs" / "confusion.png").exists()


def test_plain_and_weighted_losses_say_that_tau1_was_not_used(done: tuple[MedconvRun, Finished]) -> None:
    this, finished = done
    plain = replace(this, options=replace(this.options, loss="weighted"))
    plain.__dict__["parts"] = this.parts
    assert metadata(plain, finished, "osteon train medconv --loss weighted").tau1 == 0.0


def test_a_model_of_patients_does_not_claim_to_be_simulated(done: tuple[MedconvRun, Finished]) -> None:
    this, finished = done
    real = replace(this)
    real.__dict__["parts"] = replace(this.parts, trained_on=TrainedOn.PATIENTS)
    osteon = metadata(real, finished, "osteon train medconv --data list.csv")
    assert osteon.trained_on is TrainedOn.PATIENTS
    assert not any("simulated" in limit for limit in osteon.limits)


def test_networks_that_the_node_does_not_know_give_no_bundle(done: tuple[MedconvRun, Finished], tmp_path: Path) -> None:
    this, finished = done
    for changes, why in (({"network": "mobilenetv2"}, "not mobilenetv2"), ({"windows": ("soft", "bone")}, "one window")):
        other = replace(this, options=replace(this.options, **changes))
        assert why in str(other.options.why_no_bundle())
        with pytest.raises(TrainingError, match="no bundle"):
            publish(other, finished, "x", tmp_path / "bundle")


def test_crops_that_no_study_gives_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(medconv_data, "prepare_simulated", lambda *_, **__: Prepared(cases=(), skipped=SKIPPED))
    with pytest.raises(TrainingError, match="fracture"):
        load_parts(DataOptions(source=SimulatedOptions()), CropOptions(), tmp_path, progress=False)
