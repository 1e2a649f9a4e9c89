"""The second reader as a task: batches, loss, Dice; and a small run from the command to a bundle that segments."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from inference.bundles import TrainedOn, load_bundle, load_network
from training import cli
from training.errors import TrainingError
from training.vertebrae.anatomy import AnatomyCase, Pool, paint_case
from training.vertebrae.options import STRUCTURES, VertebraOptions, check_structures
from training.vertebrae.runs import quick
from training.vertebrae.task import VertebraTask, dice_of, overlap_counts

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def case() -> AnatomyCase:
    return paint_case(5, 2, spacing_mm=4.0)


@pytest.fixture
def task(tmp_path: Path, case: AnatomyCase) -> VertebraTask:
    pool = Pool(folder=tmp_path, seed=1, count=1)
    held_out = Pool(folder=tmp_path, seed=2, count=1)
    for each in (pool, held_out):
        case.save(each.path(0))
    return VertebraTask(replace(quick(), steps_per_epoch=2, patch=(32, 32, 32)), pool, held_out)


def test_channels_are_the_simulations_structures():
    check_structures()
    assert STRUCTURES[1] == "body"


def test_an_epoch_has_its_own_batches_and_keeps_them(task: VertebraTask):
    first, again, second = list(task.batches(1)), list(task.batches(1)), list(task.batches(2))
    assert len(first) == 2
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["structures"], other["structures"])
    assert not torch.equal(first[0]["image"], second[0]["image"])
    image, structures = first[0]["image"], first[0]["structures"]
    assert image.shape == structures.shape == (2, 1, 32, 32, 32)
    assert image.min() >= -1
    assert image.max() <= 1
    assert int(structures.max()) < len(STRUCTURES)


def test_a_few_steps_on_one_batch_lower_the_loss(task: VertebraTask):
    torch.manual_seed(0)
    network = task.build()
    batch = next(iter(task.batches(1)))
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(20):
        loss, parts = task.loss(network, batch)
        assert parts["loss"] == pytest.approx(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_evaluation_gives_a_dice_per_structure(task: VertebraTask):
    found = task.evaluate(task.build().eval())
    assert set(found) == {"dice", *(f"dice_{name}" for name in STRUCTURES[1:])}
    assert found["dice"] == pytest.approx(np.mean([found[f"dice_{name}"] for name in STRUCTURES[1:]]))


def test_dice_by_hand():
    predicted, true = np.array([1, 1, 1, 0, 2]), np.array([1, 1, 0, 0, 1])
    counts = overlap_counts(predicted, true, 3)
    assert counts.tolist() == [[1, 2, 0], [1, 3, 1], [2, 3, 0]]
    assert dice_of(counts) == pytest.approx([2 / 3, 4 / 6, 0])


def test_a_patch_that_cannot_be_halved_is_refused():
    with pytest.raises(TrainingError, match="multiples of 8"):
        VertebraOptions(patch=(80, 60, 64))


def test_the_quick_run_ends_in_a_bundle_that_is_what_it_says(tmp_path: Path):
    out = tmp_path / "run"
    ran = CliRunner().invoke(cli.app, ["train", "vertebrae", "--out", str(out), "--quick", "--no-progress"])
    assert ran.exit_code == 0, ran.output
    bundle = load_bundle(out / "bundle")
    osteon = bundle.metadata.osteon
    assert osteon.trained_on is TrainedOn.SIMULATED_ANATOMY
    assert osteon.training.command == "osteon train vertebrae --quick"
    assert [metric.name for metric in osteon.metrics] == [f"Dice, {name.replace('_', ' ')}" for name in STRUCTURES[1:]]
    network = load_network(bundle)
    with torch.inference_mode():
        scores = network(torch.zeros(1, 1, 16, 24, 32))
    assert scores.shape == (1, len(STRUCTURES), 16, 24, 32)
    assert osteon.training.git_commit == (out / "commit.txt").read_text().strip() or None
    further = replace(quick(), start_from=(bundle.folder, bundle.sha256))
    nothing = Pool(folder=tmp_path, seed=1, count=0)
    begun = VertebraTask(further, nothing, nothing).build()
    assert begun.training
    weights = network.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in begun.state_dict().items())
    with pytest.raises(TrainingError, match="other widths"):
        VertebraTask(replace(further, channels=(8, 16, 24)), nothing, nothing).build()
    again = CliRunner().invoke(cli.app, ["train", "vertebrae", "--out", str(out), "--quick", "--no-progress"])
    assert isinstance(again.exception, TrainingError)
    assert "never overwritten" in str(again.exception)
