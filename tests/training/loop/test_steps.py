"""One step against the same step done by hand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.training.loop.tasks import NoisyTask, QuadraticTask
from training.errors import TrainingError
from training.loop import Batch, LoopOptions, fit
from training.loop.averaging import MovingAverage
from training.loop.sam import worst_point
from training.loop.steps import Stepper, amp_dtype, grouped, pick_device

pytestmark = pytest.mark.unit

CPU = torch.device("cpu")
SGD: Mapping[str, Any] = {"optimiser": "sgd", "momentum": 0.0, "learning_rate": 0.1, "epochs": 1}


def weights_after(task: QuadraticTask, out: Path, **options: Any) -> list[float]:
    fitted = fit(task, LoopOptions(**{**SGD, **options}), out, progress=False)
    values: list[float] = fitted.model.get_parameter("w").tolist()
    return values


def test_two_sharpness_aware_steps_by_hand(tmp_path: Path) -> None:
    a, w, rho, rate = (1.0, 4.0), [3.0, -2.0], 0.05, 0.1
    for _ in range(2):
        gradient = [ai * wi for ai, wi in zip(a, w, strict=True)]
        norm = sum(g * g for g in gradient) ** 0.5
        worst = [wi + rho * g / norm for wi, g in zip(w, gradient, strict=True)]
        w = [wi - rate * ai * worst_i for wi, ai, worst_i in zip(w, a, worst, strict=True)]
    assert weights_after(QuadraticTask(steps=2), tmp_path, sam_rho=rho) == pytest.approx(w, rel=1e-10)


def test_a_sharpness_aware_step_is_clipped_after_the_second_pass(tmp_path: Path) -> None:
    worst = [3.0 + 0.5 * 3 / 73**0.5, -2.0 - 0.5 * 8 / 73**0.5]
    gradient = [worst[0], 4 * worst[1]]
    norm = (gradient[0] ** 2 + gradient[1] ** 2) ** 0.5
    expected = [3.0 - 0.1 * 2 * gradient[0] / norm, -2.0 - 0.1 * 2 * gradient[1] / norm]
    assert weights_after(QuadraticTask(), tmp_path, sam_rho=0.5, clip_norm=2.0) == pytest.approx(expected, rel=1e-5)


def test_the_worst_point_is_left_without_a_trace() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model(torch.randn(5, 2)).square().sum().backward()
    after_one = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert not torch.equal(before["1.running_mean"], after_one["1.running_mean"])
    parameters = list(model.parameters())
    with worst_point(model, parameters, 0.5):
        moved = torch.cat([(p.detach() - after_one[name]).flatten() for name, p in model.named_parameters()])
        assert moved.norm().item() == pytest.approx(0.5, rel=1e-5)
        model(torch.randn(5, 2))
    assert all(torch.equal(tensor, after_one[name]) for name, tensor in model.state_dict().items())


class DroppingTask(NoisyTask):
    """Keeps what dropout let through in each pass."""

    def __init__(self) -> None:
        super().__init__(steps=2)
        self.passed: list[Tensor] = []

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        self.passed.append(nn.functional.dropout(torch.ones(64)))
        return super().loss(model, batch)


def test_both_passes_of_a_sharpness_aware_step_drop_the_same_units(tmp_path: Path) -> None:
    task = DroppingTask()
    fit(task, LoopOptions(**SGD, sam_rho=0.1), tmp_path, progress=False)
    first, again, next_first, next_again = task.passed[:4]
    assert torch.equal(first, again)
    assert torch.equal(next_first, next_again)
    assert not torch.equal(first, next_first)


def test_clipping(tmp_path: Path) -> None:
    norm = 73**0.5  # gradient (3, -8)
    expected = [3.0 - 0.1 * 2 * 3 / norm, -2.0 + 0.1 * 2 * 8 / norm]
    assert weights_after(QuadraticTask(), tmp_path / "clipped", clip_norm=2.0) == pytest.approx(expected, rel=1e-6)
    assert weights_after(QuadraticTask(), tmp_path / "small", clip_norm=9.0) == pytest.approx([2.7, -1.2], rel=1e-12)


class SplitTask(NoisyTask):
    """Twelve samples as one batch or as several, without batch statistics."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.sizes = sizes

    def build(self) -> nn.Module:
        return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)).double()

    def batches(self, epoch: int) -> list[Batch]:  # type: ignore[override]
        x = torch.randn(12, 3, generator=torch.Generator().manual_seed(epoch), dtype=torch.float64)
        return [{"x": part, "y": part.sum(dim=1, keepdim=True)} for part in x.split(self.sizes)]

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        del model
        return {}


@pytest.mark.parametrize("extra", [{}, {"sam_rho": 0.1}, {"clip_norm": 0.1}], ids=["plain", "sharpness", "clipped"])
def test_accumulated_batches_are_one_big_batch(tmp_path: Path, extra: dict[str, Any]) -> None:
    shared: dict[str, Any] = {"epochs": 3, "seed": 8, **extra}
    whole = fit(SplitTask((12,)), LoopOptions(**shared), tmp_path / "whole", progress=False)
    parts = fit(SplitTask((4, 4, 4)), LoopOptions(accumulate=3, **shared), tmp_path / "parts", progress=False)
    for one, other in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12)
    assert [row["steps"] for row in parts.history] == [1, 1, 1]
    assert parts.history[2]["train_error"] == pytest.approx(whole.history[2]["train_error"])


def test_a_last_short_group_is_a_step_of_its_own_mean(tmp_path: Path) -> None:
    # three equal batches in groups of two: two steps of the same gradient rule as two single batches
    grouped_steps = weights_after(QuadraticTask(steps=3), tmp_path / "grouped", accumulate=2)
    assert grouped_steps == pytest.approx(weights_after(QuadraticTask(steps=2), tmp_path / "single"), rel=1e-12)


def test_groups() -> None:
    batches: list[Batch] = [{"n": torch.tensor(n)} for n in range(5)]
    assert [[int(batch["n"]) for batch in group] for group in grouped(iter(batches), 2)] == [[0, 1], [2, 3], [4]]


def test_the_moving_average_by_hand() -> None:
    model = nn.BatchNorm1d(1)
    average = MovingAverage(model, 0.9)
    with torch.no_grad():
        model.weight.fill_(2.0)
        model.running_mean = torch.tensor([4.0])
        model.num_batches_tracked = torch.tensor(7)
    average.update(model, 1)  # the decay is 2/11
    assert average.model.get_parameter("weight").item() == pytest.approx(2 / 11 * 1 + 9 / 11 * 2)
    average.update(model, 10_000)  # the decay is 0.9
    assert average.model.get_parameter("weight").item() == pytest.approx(0.9 * (20 / 11) + 0.1 * 2)
    assert average.model.get_buffer("running_mean").item() == pytest.approx(0.9 * (36 / 11) + 0.1 * 4)
    assert average.model.get_buffer("num_batches_tracked").item() == 7
    assert not average.model.training


class PrecisionTask(NoisyTask):
    """Notes the types that its network computes in."""

    def __init__(self) -> None:
        super().__init__()
        self.types: set[torch.dtype] = set()

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        if model.training:
            self.types.add(model.get_submodule("0")(batch["x"]).dtype)
        return super().loss(model, batch)


def test_mixed_precision_on_the_cpu(tmp_path: Path) -> None:
    task = PrecisionTask()
    options = LoopOptions(epochs=4, amp=True, amp_dtype="bfloat16", optimiser="sgd", learning_rate=0.02, monitor="error")
    fitted = fit(task, options, tmp_path, progress=False)
    assert task.types == {torch.bfloat16}
    assert {parameter.dtype for parameter in fitted.model.parameters()} == {torch.float32}
    assert fitted.history[-1]["val_error"] < fitted.history[0]["val_error"]


def stepper(task: QuadraticTask, *, scale: float | None, **options: Any) -> Stepper:
    """Steps on the CPU, with the gradient scaler of float16 runs where ``scale`` is given."""
    model = task.build().train()
    made = Stepper(task, model, torch.optim.SGD(model.parameters(), lr=0.1), LoopOptions(**{**SGD, **options}), CPU)
    if scale is not None:
        made.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    return made


@pytest.mark.parametrize("extra", [{}, {"clip_norm": 1.0}, {"sam_rho": 0.3}, {"sam_rho": 0.3, "clip_norm": 1.0}], ids=str)
def test_scaled_gradients_make_the_same_step(extra: dict[str, Any]) -> None:
    plain, scaled = (stepper(QuadraticTask(), scale=scale, **extra) for scale in (None, 1024.0))
    batches = list(QuadraticTask().batches(1))
    for _ in range(3):
        assert scaled.step(batches).gradient_norm == pytest.approx(plain.step(batches).gradient_norm, rel=1e-9)
    assert torch.allclose(scaled.model.get_parameter("w"), plain.model.get_parameter("w"), rtol=1e-9)


class OverflowingTask(QuadraticTask):
    """Gradients that overflow while the loss is finite, as float16 does at too large a scale."""

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        loss, parts = super().loss(model, batch)
        if self.seen == 0:
            loss.register_hook(lambda gradient: gradient * float("inf"))
        return loss, parts


@pytest.mark.parametrize("rho", [None, 0.1])
def test_a_step_that_overflows_is_skipped_at_a_smaller_scale(rho: float | None) -> None:
    task = OverflowingTask()
    made = stepper(task, scale=8.0, sam_rho=rho)
    batches = list(task.batches(1))
    made.step(batches)
    assert made.model.get_parameter("w").tolist() == [3.0, -2.0]
    assert made.scaler.get_scale() == 4.0
    task.seen = 1
    made.step(batches)
    assert made.model.get_parameter("w").tolist() != [3.0, -2.0]
    assert made.scaler.get_scale() == 4.0


def test_overflow_without_end_is_an_error() -> None:
    made = stepper(OverflowingTask(), scale=2.0**-10)
    with pytest.raises(TrainingError, match="set amp_dtype to bfloat16"):
        made.step(list(QuadraticTask().batches(1)))


def test_float16_and_cuda_are_refused_where_they_cannot_be() -> None:
    with pytest.raises(TrainingError, match="on a CPU take bfloat16"):
        amp_dtype(LoopOptions(amp=True, amp_dtype="float16"), CPU)
    assert amp_dtype(LoopOptions(), CPU) is None
    assert amp_dtype(LoopOptions(amp=True, amp_dtype="bfloat16"), CPU) is torch.bfloat16


@pytest.mark.parametrize(("capability", "wanted"), [("AVX512", torch.bfloat16), ("AVX2", None), ("DEFAULT", None)])
def test_auto_takes_bfloat16_where_the_cpu_has_it(monkeypatch: pytest.MonkeyPatch, capability: str, wanted: torch.dtype | None) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert amp_dtype(LoopOptions(amp=True), CPU) is wanted
    if not torch.cuda.is_available():
        with pytest.raises(TrainingError, match="no CUDA device here"):
            pick_device("cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("extra", [{}, {"sam_rho": 0.05}, {"schedule_free": True}, {"ema_decay": 0.9}], ids=str)
def test_mixed_precision_on_cuda(tmp_path: Path, dtype: str, extra: dict[str, Any]) -> None:
    options = LoopOptions(
        **{"epochs": 6, "amp": True, "amp_dtype": dtype, "learning_rate": 0.01, "device": "cuda", "clip_norm": 5.0, **extra}
    )
    fitted = fit(CudaTask(steps=20), options, tmp_path, progress=False)
    assert fitted.history[-1]["val_error"] < 0.7 * fitted.history[0]["val_error"]


class CudaTask(NoisyTask):
    """Validates where its network lies."""

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        device = next(model.parameters()).device
        x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
        return {"error": nn.functional.mse_loss(model(x.to(device)), torch.sin(x).sum(dim=1, keepdim=True).to(device)).item()}
