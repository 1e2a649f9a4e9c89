"""One optimisation step: gradients of one or several batches, mixed precision, sharpness, clipping."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from training.errors import TrainingError
from training.loop.options import LoopOptions
from training.loop.randomness import SameNoise
from training.loop.sam import gradient_norm, worst_point
from training.loop.task import Batch, Task

_SMALLEST_SCALE = 2.0**-10
"""A gradient scaler that has come down to this has skipped some 26 steps more than it made."""


def pick_device(name: str) -> torch.device:
    """``auto``, ``cpu`` or ``cuda`` as a device.

    Raises
    ------
    TrainingError
        CUDA is asked for and absent.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError("device is cuda, but torch sees no CUDA device here; set it to cpu or auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def amp_dtype(options: LoopOptions, device: torch.device) -> torch.dtype | None:
    """The type of mixed precision; None is full precision, also for ``auto`` on a CPU that has no fast bfloat16.

    Raises
    ------
    TrainingError
        float16 on a CPU.
    """
    if not options.amp:
        return None
    if options.amp_dtype == "float16" and device.type == "cpu":
        raise TrainingError("amp_dtype float16 needs CUDA; on a CPU take bfloat16")
    if options.amp_dtype != "auto":
        return torch.bfloat16 if options.amp_dtype == "bfloat16" else torch.float16
    if device.type == "cpu":
        return torch.bfloat16 if _cpu_has_bfloat16() else None
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _cpu_has_bfloat16() -> bool:
    """Without AVX-512 torch emulates bfloat16 convolutions: measured 30 times slower than float32."""
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on the device of the network."""
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What one step says for the log: parts of the loss (means over its batches) and the norm of the gradient before clipping."""

    parts: Mapping[str, float]
    gradient_norm: float


class Stepper:
    """Makes the steps of one run.

    Parameters
    ----------
    model
        On its device already; its gradients are used and dropped.
    """

    def __init__(self, task: Task, model: nn.Module, optimiser: torch.optim.Optimizer, options: LoopOptions, device: torch.device) -> None:
        self.model = model
        self.optimiser = optimiser
        self.device = device
        self._task = task
        self._options = options
        self._dtype = amp_dtype(options, device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self._dtype == torch.float16)
        self._parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]

    def autocast(self) -> AbstractContextManager[object]:
        """The precision of forward passes."""
        return nullcontext() if self._dtype is None else torch.autocast(self.device.type, dtype=self._dtype)

    def forward(self, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """The loss of one batch at the precision of the run."""
        with self.autocast():
            return self._task.loss(self.model, to_device(batch, self.device))

    def step(self, batches: Sequence[Batch]) -> StepResult:
        """Move the weights once, by the mean gradient of ``batches``.

        Raises
        ------
        TrainingError
            The loss or the gradient is not finite; nothing has moved.
        """
        rho = self._options.sam_rho
        noise = SameNoise(self.device) if rho is not None else None
        parts = self._gradients(batches)
        if rho is not None and noise is not None and bool(torch.isfinite(gradient_norm(self._parameters))):
            with worst_point(self.model, self._parameters, rho):
                noise.repeat()
                self._gradients(batches)
        return StepResult(parts=parts, gradient_norm=self._descend(parts))

    def _gradients(self, batches: Sequence[Batch]) -> dict[str, float]:
        self.optimiser.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        for batch in batches:
            loss, parts = self.forward(batch)
            if not math.isfinite(loss.item()):
                raise TrainingError(f"the loss is {loss.item()} ({_named(parts)})")
            self.scaler.scale(loss / len(batches)).backward()  # type: ignore[no-untyped-call]
            for name, value in (parts or {"loss": loss.item()}).items():
                sums[name] = sums.get(name, 0.0) + value / len(batches)
        return sums

    def _descend(self, parts: Mapping[str, float]) -> float:
        self.scaler.unscale_(self.optimiser)
        norm = gradient_norm(self._parameters)
        if bool(torch.isfinite(norm)):
            if self._options.clip_norm is not None:
                torch.nn.utils.clip_grads_with_norm_(self._parameters, self._options.clip_norm, norm)
        elif not self.scaler.is_enabled():
            raise TrainingError(f"the norm of the gradient is {float(norm)} though the loss is finite ({_named(parts)})")
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.scaler.is_enabled() and self.scaler.get_scale() < _SMALLEST_SCALE:
            raise TrainingError(f"gradients overflow float16 again and again ({_named(parts)}); set amp_dtype to bfloat16 or amp to off")
        return float(norm)


def _named(parts: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in parts.items()) or "no parts named"


def grouped(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    """Lists of ``size`` batches; the last may be shorter."""
    group: list[Batch] = []
    for batch in batches:
        group.append(batch)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
