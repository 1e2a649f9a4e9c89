"""MedConv as a task: batches, what settles a run, losses, learning, and what the validation part says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from inference.windows import window
from tests.training.medconv.made import case, cases, options
from training.errors import TrainingError
from training.loop import LoopOptions, fit
from training.medconv.task import MedconvTask, fingerprint, judged, predict

pytestmark = pytest.mark.unit

T_SCORES = (0.5, 1.0, -0.5, 0.0, 1.5, -1.5, -2.0, -1.8, -3.0)
TRAIN = cases(T_SCORES)
VALIDATION = cases((0.2, -1.6, -3.2), first=100)


def test_an_epoch_shows_each_case_once_and_is_settled_by_its_number() -> None:
    task = MedconvTask(options(augmentation="ct"), TRAIN, VALIDATION)
    first, again, second = list(task.batches(1)), list(task.batches(1)), list(task.batches(2))
    assert [batch["label"].numel() for batch in first] == [3, 3, 3]
    shown = torch.cat([batch["t_score"] for batch in first])
    assert sorted(shown.tolist()) == pytest.approx(sorted(T_SCORES))
    assert all(torch.equal(one["image"], other["image"]) for one, other in zip(first, again, strict=True))
    assert not torch.equal(first[0]["image"], second[0]["image"])


def test_no_batch_holds_a_single_case() -> None:
    for count in range(2, 15):
        task = MedconvTask(options(batch=2), cases(([0.0, -1.5, -3.0] * 5)[: max(count, 3)]), VALIDATION)
        assert min(batch["label"].numel() for batch in task.batches(1)) >= 2


def test_images_are_windowed_one_channel_a_window() -> None:
    task = MedconvTask(options(windows=("trabecular", "soft")), TRAIN, VALIDATION)
    batch = next(iter(task.batches(1)))
    assert batch["image"].shape[1:] == (2, 16, 16, 16)
    index = T_SCORES.index(pytest.approx(float(batch["t_score"][0])))
    expected = [window(name).apply(TRAIN[index].hu) for name in ("trabecular", "soft")]
    np.testing.assert_array_equal(batch["image"][0].numpy(), np.stack(expected))


def test_resampling_shows_rare_classes_as_often() -> None:
    task = MedconvTask(options(resampling="balanced"), TRAIN, VALIDATION)
    labels = torch.cat([batch["label"] for batch in task.batches(1)])
    assert torch.bincount(labels).tolist() == [3, 3, 3]


def test_priors_are_the_shares_of_the_training_part_whatever_is_shown() -> None:
    task = MedconvTask(options(resampling="balanced"), TRAIN, VALIDATION)
    assert task.priors == pytest.approx((5 / 9, 3 / 9, 1 / 9))


class _Constant(nn.Module):
    """Gives every case the same scores."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(image.shape[0], -1)


def test_the_loss_is_the_one_that_was_chosen() -> None:
    batch = next(iter(MedconvTask(options(), TRAIN, VALIDATION).batches(1)))
    priors = torch.tensor([5 / 9, 3 / 9, 1 / 9])
    constant = _Constant(0.0, 0.0, 0.0)
    balanced, _ = MedconvTask(options(), TRAIN, VALIDATION).loss(constant, batch)
    plain, _ = MedconvTask(options(loss="ce"), TRAIN, VALIDATION).loss(constant, batch)
    assert float(balanced.detach()) == pytest.approx(float(-torch.log(priors[batch["label"]]).mean()), rel=1e-6)
    assert float(plain.detach()) == pytest.approx(float(np.log(3)), rel=1e-6)


def test_the_second_head_of_jointvit_learns_the_t_score() -> None:
    given = options(network="jointvit", width=0.125, joint_weight=2.0)
    task = MedconvTask(given, TRAIN, VALIDATION)
    model = task.build()
    model.train()
    batch = next(iter(task.batches(1)))
    loss, parts = task.loss(model, batch)
    assert parts["loss"] == pytest.approx(parts["classification"] + 2.0 * parts["t_score_error"], rel=1e-5)
    loss.backward()  # type: ignore[no-untyped-call]
    assert set(task.evaluate(model.eval())) == {"loss", "auc", "accuracy", "sensitivity_macro"}


def test_validation_is_judged_without_augmentation_and_a_missing_class_counts_as_none() -> None:
    task = MedconvTask(options(augmentation="balanced"), TRAIN, VALIDATION)
    constant = _Constant(0.0, 0.0, 1.0)
    assert task.evaluate(constant) == task.evaluate(constant)
    assert task.evaluate(constant)["accuracy"] == pytest.approx(1 / 3)
    assert judged(np.array([0, 1]), np.eye(3)[[0, 1]])["auc"] == 0.0


def test_it_learns_what_attenuation_means(tmp_path: Path) -> None:
    train = cases(np.linspace(-3.7, 1.5, 45).tolist())
    given = options(loop=LoopOptions(epochs=20, learning_rate=3e-3, schedule="cosine", device="cpu"), batch=8)
    task = MedconvTask(given, train, cases(np.linspace(-3.5, 1.3, 12).tolist(), first=200))
    fitted = fit(task, given.loop, tmp_path, progress=False)
    clear = cases((1.0, -1.75, -3.4, 0.7, -1.8), first=300)
    assert predict(fitted.model, clear, given).argmax(axis=1).tolist() == [one.label for one in clear]


def test_a_run_is_described_by_its_options_and_its_cases() -> None:
    task = MedconvTask(options(), TRAIN, VALIDATION)
    changed = MedconvTask(options(), (replace(TRAIN[0], t_score=0.6), *TRAIN[1:]), VALIDATION)
    assert task.describe() == MedconvTask(options(tau2=1.5), TRAIN, VALIDATION).describe()
    assert task.describe() != changed.describe()
    assert task.describe() != MedconvTask(options(tau1=0.5), TRAIN, VALIDATION).describe()
    other = TRAIN[0].hu.copy()
    other[8, 8, 8] += 1
    assert fingerprint(TRAIN) != fingerprint((replace(TRAIN[0], hu=other), *TRAIN[1:]))


def test_predictions_do_not_depend_on_the_batch() -> None:
    task = MedconvTask(options(), TRAIN, VALIDATION)
    torch.manual_seed(0)
    model = task.build().eval()
    np.testing.assert_allclose(predict(model, TRAIN, options(batch=2)), predict(model, TRAIN, options(batch=8)), atol=1e-5)


def test_what_cannot_be_learned_from_is_refused() -> None:
    with pytest.raises(TrainingError, match="at least one training case"):
        MedconvTask(options(), cases((0.0, 0.5, -1.5)), VALIDATION)
    with pytest.raises(TrainingError, match="too few"):
        MedconvTask(options(), (case(1, 0.0),), VALIDATION)
