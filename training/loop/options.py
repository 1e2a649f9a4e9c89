"""How a network is trained: every knob of the loop, checked once, and which of them a resumed run must share."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from training.errors import TrainingError

Optimiser = Literal["adamw", "adam", "sgd"]
Schedule = Literal["constant", "cosine"]
DeviceName = Literal["auto", "cpu", "cuda"]

FREE_ON_RESUME = ("device", "patience", "log", "checkpoint_every_s")
"""Options that change nothing about the weights of an epoch; a run may be resumed with other values of these."""


@dataclass(frozen=True, kw_only=True)
class LoopOptions:
    """One training run.

    Attributes
    ----------
    epochs
        The most epochs; an epoch is one pass over ``task.batches(epoch)``.
    learning_rate
        The peak: warm-up rises to it linearly over ``warmup_epochs`` (parts of an epoch count), ``schedule`` falls from it, to
        ``final_fraction`` of it at the end of a cosine. It moves with every step where the batches have a length, else with every epoch.
    weight_decay
        Decoupled for ``adamw`` (Loshchilov and Hutter 2019), an L2 penalty for ``adam`` and ``sgd``.
    momentum, betas
        Of ``sgd``, and of the two Adams.
    clip_norm
        The largest Euclidean norm of all gradients together; None does not clip.
    accumulate
        Batches whose mean gradient makes one step.
    amp, amp_dtype
        Mixed precision. ``auto`` is bfloat16 where the device has it, else float16 with a gradient scaler.
    device
        ``auto`` takes CUDA where there is one.
    seed
        Settles the first weights and whatever draws from the generators of torch, numpy and random.
    monitor, maximise
        What chooses the best epoch: a name that ``task.evaluate`` gives, or ``train_`` and the name of a part of the loss. None takes the
        last epoch.
    patience
        Stop after this many epochs without a better value of ``monitor``; None never does.
    ema_decay
        Exponential moving average of the weights, which is then what is evaluated and returned.
    sam_rho
        Radius of sharpness-aware minimisation (Foret et al. 2021); each step then costs two.
    schedule_free
        Averaging instead of a schedule (Defazio et al. 2024), with the package ``schedulefree``.
    deterministic
        Ask torch for deterministic algorithms. CPU runs repeat bit by bit without it; CUDA runs may need it and get slower.
    log
        ``csv`` writes ``log.csv``; ``tensorboard`` writes that and event files.
    checkpoint_every_s
        Seconds between checkpoints inside an epoch; each epoch ends with one besides.
    """

    epochs: int = 100
    learning_rate: float = 1e-3
    optimiser: Optimiser = "adamw"
    weight_decay: float = 0.0
    momentum: float = 0.9
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Schedule = "constant"
    warmup_epochs: float = 0.0
    final_fraction: float = 0.0
    clip_norm: float | None = None
    accumulate: int = 1
    amp: bool = False
    amp_dtype: Literal["auto", "bfloat16", "float16"] = "auto"
    device: DeviceName = "auto"
    seed: int = 0
    monitor: str | None = None
    maximise: bool = False
    patience: int | None = None
    ema_decay: float | None = None
    sam_rho: float | None = None
    schedule_free: bool = False
    deterministic: bool = False
    log: Literal["csv", "tensorboard"] = "csv"
    checkpoint_every_s: float = 300.0

    def __post_init__(self) -> None:
        self._check_ranges()
        self._check_combinations()

    def _check_ranges(self) -> None:
        rules = {
            "epochs must be at least 1": self.epochs >= 1,
            "accumulate must be at least 1": self.accumulate >= 1,
            "learning_rate must be more than 0": self.learning_rate > 0,
            "weight_decay must not be negative": self.weight_decay >= 0,
            "momentum must be between 0 and 1": 0 <= self.momentum < 1,
            "betas must be between 0 and 1": all(0 <= beta < 1 for beta in self.betas),
            "warmup_epochs must be between 0 and epochs": 0 <= self.warmup_epochs <= self.epochs,
            "final_fraction must be between 0 and 1": 0 <= self.final_fraction <= 1,
            "clip_norm must be more than 0": self.clip_norm is None or self.clip_norm > 0,
            "patience must be at least 1": self.patience is None or self.patience >= 1,
            "ema_decay must be between 0 and 1": self.ema_decay is None or 0 < self.ema_decay < 1,
            "sam_rho must be more than 0": self.sam_rho is None or self.sam_rho > 0,
            "checkpoint_every_s must not be negative": self.checkpoint_every_s >= 0,
            "seed must not be negative": self.seed >= 0,
            "optimiser must be adamw, adam or sgd": self.optimiser in ("adamw", "adam", "sgd"),
            "schedule must be constant or cosine": self.schedule in ("constant", "cosine"),
            "log must be csv or tensorboard": self.log in ("csv", "tensorboard"),
            "device must be auto, cpu or cuda": self.device in ("auto", "cpu", "cuda"),
            "amp_dtype must be auto, bfloat16 or float16": self.amp_dtype in ("auto", "bfloat16", "float16"),
        }
        for rule, kept in rules.items():
            if not kept:
                raise TrainingError(f"training options: {rule}, not {getattr(self, rule.split()[0])!r}")

    def _check_combinations(self) -> None:
        if self.patience is not None and self.monitor is None:
            raise TrainingError("training options: patience needs monitor, the name of the value that must get better")
        if self.schedule_free and self.schedule != "constant":
            raise TrainingError("training options: schedule_free replaces the schedule; leave schedule at constant (warm-up may stay)")
        if self.schedule_free and self.ema_decay is not None:
            raise TrainingError("training options: schedule_free averages the weights already; leave ema_decay out")
        if self.schedule_free and self.optimiser == "adam":
            raise TrainingError("training options: schedule_free comes with adamw or sgd, not with adam")

    def identity(self) -> dict[str, Any]:
        """What a resumed run must share. ``epochs`` belongs to it only where the schedule stretches with them."""
        named = asdict(self)
        free = (*FREE_ON_RESUME, "epochs") if self.schedule == "constant" else FREE_ON_RESUME
        return {name: list(value) if isinstance(value, tuple) else value for name, value in named.items() if name not in free}


def learning_rate(options: LoopOptions, epoch: int, step: int, steps: int | None) -> float:
    """The learning rate of one step.

    Parameters
    ----------
    epoch
        From 1.
    step
        From 0.
    steps
        In this epoch; None where nobody knows, and the rate stays the same for the epoch.
    """
    done, reached = (step / steps, (step + 1) / steps) if steps else (0.0, 1.0)
    begun = epoch - 1 + done
    if begun < options.warmup_epochs:
        return options.learning_rate * min(1.0, (epoch - 1 + reached) / options.warmup_epochs)
    if options.schedule == "constant" or options.epochs <= options.warmup_epochs:
        return options.learning_rate
    share = min(1.0, (begun - options.warmup_epochs) / (options.epochs - options.warmup_epochs))
    return options.learning_rate * (options.final_fraction + (1 - options.final_fraction) * 0.5 * (1 + math.cos(math.pi * share)))


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Sentences that name each entry of two mappings that is not the same."""
    missing = object()
    return [
        f"{name} was {then.get(name, 'absent')!r} and is {now.get(name, 'absent')!r}"
        for name in sorted({*then, *now})
        if then.get(name, missing) != now.get(name, missing)
    ]
