"""The task: batches, augmentation of the training part alone, what the validation part says, what a run must share."""

from pathlib import Path

import numpy as np
import pytest
import torch

from inference.dxa.network import Cnn21
from tests.training.dxa.made import case, cases, options, spread
from training.dxa.learner import Learner
from training.dxa.options import GRID, DxaOptions, paper_loop
from training.dxa.task import DxaTask, Images, fingerprint, folded, predict
from training.errors import TrainingError

pytestmark = pytest.mark.unit


def task(given: DxaOptions | None = None) -> DxaTask:
    chosen = given or options()
    found = spread(10)
    return DxaTask(chosen, Images(found[:7], chosen), Images(found[7:], chosen), lambda: Cnn21(width=chosen.width))


def test_the_paper_s_schedule() -> None:
    loop = paper_loop()
    assert (loop.optimiser, loop.learning_rate, loop.epochs, loop.patience, loop.monitor, loop.maximise) == (
        "adam",
        1e-3,
        50,
        10,
        "loss",
        False,
    )
    assert loop.weight_decay > 0
    assert DxaOptions().batch == 16
    assert 1e-3 in GRID


def test_the_paper_s_augmentation_with_a_shift_of_one_s_own() -> None:
    paper = DxaOptions(shift=0.1).augmentations
    assert (paper.rotate_deg, paper.shear, paper.scale, paper.translate, paper.flip_axes) == (40, 0.2, 0.2, 0.1, (1,))
    assert DxaOptions(augmentation="none").augmentations.affine_chance == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"network": "vgg11"}, "no network 'vgg11'"),
        ({"loss": "hinge"}, "no loss"),
        ({"network": "vgg16", "width": 0.5}, "published width"),
        ({"batch": 1}, "at least two"),
        ({"transfer": "none"}, "no transfer"),
    ],
)
def test_options_that_cannot_be_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        DxaOptions(**wrong)  # type: ignore[arg-type]


def test_batches_hold_every_case_once_and_repeat() -> None:
    made = task()
    first = [batch["label"] for batch in made.batches(1)]
    assert sum(len(part) for part in first) == 7
    assert min(len(part) for part in first) >= 2
    again = next(iter(made.batches(1)))["image"]
    assert torch.equal(next(iter(made.batches(1)))["image"], again)
    assert again.shape[1:] == (3, 150, 150)
    assert torch.equal(again[:, 0], again[:, 2])


def test_training_images_are_augmented_and_validation_images_are_not() -> None:
    augmented = options(augmentation="paper")
    images = Images([case(1, -2.0)], augmented)
    plain = (torch.from_numpy(case(1, -2.0).image.astype(np.float32)) - 0.4) / 0.2
    assert torch.equal(images.plain(0)[0], plain)
    drawn = images.drawn(0, 5)
    assert drawn.shape == (3, 150, 150)
    assert float((drawn[0] - plain).abs().max()) > 0.1
    assert torch.equal(drawn, images.drawn(0, 5))


def test_the_grey_that_is_taken_off_goes_into_the_weights() -> None:
    torch.manual_seed(2)
    network = Cnn21(width=0.0625).eval()
    made, given = cases([-3.0, -1.0]), options()
    expected = predict(network, Images(made, given), 2)
    np.testing.assert_allclose(predict(folded(network), Images(made, given, raw=True), 2), expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(predict(network, Images(made, given, raw=True), 2), expected, rtol=1e-2)


def test_a_baseline_gets_the_large_crop() -> None:
    assert Images([case(1, -2.0)], DxaOptions(network="vgg16", augmentation="none")).plain(0).shape == (3, 300, 300)


def test_a_step_of_training_lowers_the_loss_of_its_batch() -> None:
    made = task()
    torch.manual_seed(0)
    model = made.build()
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    batch = next(iter(made.batches(1)))
    losses = []
    for _ in range(6):
        optimiser.zero_grad()
        loss, parts = made.loss(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(parts["loss"])
    assert losses[-1] < losses[0]
    assert set(parts) == {"loss", "accuracy"}


def test_evaluation_is_of_the_validation_part_as_it_is() -> None:
    made = task(options(augmentation="paper"))
    model = made.build().eval()
    found = made.evaluate(model)
    examples = Images(spread(10)[7:], options())
    logits = torch.from_numpy(predict(model, examples, 2))
    truth = torch.tensor([one.target for one in examples.cases])
    assert found["accuracy"] == pytest.approx(float((logits.argmax(1) == truth).float().mean()))
    weights = torch.tensor([7 / (2 * count) for count in made.counts])
    expected = (weights[truth] * torch.nn.functional.cross_entropy(logits, truth, reduction="none")).mean()
    assert found["loss"] == pytest.approx(float(expected), rel=1e-5)


def test_a_run_is_known_by_its_cases_and_options() -> None:
    assert task().describe() == task().describe()
    assert task().describe() != task(options(loss="focal")).describe()
    one = cases([-1.0, -3.0])
    assert fingerprint(one) == fingerprint(cases([-1.0, -3.0]))
    assert fingerprint(one) != fingerprint(cases([-1.0, -3.1]))


def test_a_part_without_a_class_is_refused() -> None:
    chosen = options()
    with pytest.raises(TrainingError, match="every class"):
        DxaTask(chosen, Images(cases([-1.0, -0.5]), chosen), Images(cases([-3.0]), chosen), lambda: Cnn21(width=chosen.width))
    with pytest.raises(TrainingError, match="too few"):
        DxaTask(chosen, Images(cases([-1.0, -3.5]), chosen), Images((), chosen), lambda: Cnn21(width=chosen.width))


def test_data_dependent_first_weights_give_each_unit_mean_0_and_variance_1(tmp_path: Path) -> None:
    torch.manual_seed(0)
    given = options(width=0.125, first="data")
    found = cases([-4.0, -3.0, -2.0, -1.0, 0.0, 1.0])
    network = Learner(given, found, tmp_path).make(found)
    assert isinstance(network, Cnn21)
    seen: list[torch.Tensor] = []
    for layer in (*network.features, network.dense):
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            layer.register_forward_hook(lambda _layer, _given, out: seen.append(out))
    images = Images(found, given)
    with torch.inference_mode():
        assert not network.eval()(torch.stack([images.plain(index) for index in range(6)])).any()
    assert len(seen) == 8
    for out in seen:
        axes = [axis for axis in range(out.dim()) if axis != 1]
        torch.testing.assert_close(out.mean(dim=axes), torch.zeros(out.shape[1]), atol=1e-3, rtol=0)
        torch.testing.assert_close(out.std(dim=axes), torch.ones(out.shape[1]), atol=1e-3, rtol=0)
