"""What a MedConv run is: its crop, its network, its loss, its schedule. The full and the quick size are two values of one class."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from inference.bundles.architectures import ARCHITECTURES
from inference.windows import window
from training.errors import TrainingError
from training.loop import LoopOptions
from training.medconv.crops import FULL_CROP, SMALL_CROP, CropOptions
from training.medconv.losses import LOSSES, LossName
from training.medconv.networks import NETWORKS, resnet_arguments
from training.resampling import Weighting

Augmentation = Literal["none", "ct", "balanced"]
Monitor = Literal["auc", "sensitivity_macro", "accuracy", "loss"]


def paper_loop(epochs: int = 200, monitor: Monitor = "auc") -> LoopOptions:
    """MedConv's schedule: AdamW at 1e-3, a cosine over 200 epochs; the best epoch by the validation part.

    The AUC is the default because it does not depend on tau2, and because a few patients move it in smaller steps than a sensitivity.
    """
    return LoopOptions(epochs=epochs, learning_rate=1e-3, optimiser="adamw", schedule="cosine", monitor=monitor, maximise=monitor != "loss")


@dataclass(frozen=True, kw_only=True)
class MedconvOptions:
    """One run. The defaults are the paper's, where it gives any.

    Attributes
    ----------
    network, width
        A name of :data:`training.medconv.networks.NETWORKS`, and a factor on its channels.
    windows
        HU windows by name (:mod:`inference.windows`), one input channel each.
    loss, tau1
        :class:`training.medconv.losses.ClassLoss`.
    tau2
        Post-hoc adjustment (:mod:`inference.adjustment`); None takes the value that is best on the validation part.
    augmentation
        ``balanced`` augments rare classes more.
    resampling
        How often an epoch shows each class (:mod:`training.resampling`).
    joint_weight
        Weight of the T-score's mean squared error in the joint loss of ``jointvit``.
    weights
        A file with pretrained weights (:mod:`training.medconv.pretrained`); None begins with fresh ones.
    seed
        Settles augmentation and the order of cases; the loop has its own.
    """

    network: str = "resnet50"
    width: float = 1.0
    crop: CropOptions = FULL_CROP
    windows: tuple[str, ...] = ("trabecular",)
    loss: LossName = "balce"
    tau1: float = 1.0
    tau2: float | None = 0.5
    augmentation: Augmentation = "ct"
    resampling: Weighting = "natural"
    joint_weight: float = 1.0
    batch: int = 8
    weights: Path | None = None
    seed: int = 0
    loop: LoopOptions = field(default_factory=paper_loop)

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise TrainingError(f"there is no network {self.network!r}; there are {', '.join(NETWORKS)}")
        if self.loss not in LOSSES:
            raise TrainingError(f"there is no loss {self.loss!r}; there are {', '.join(LOSSES)}")
        if self.augmentation not in get_args(Augmentation):
            raise TrainingError(f"there is no augmentation {self.augmentation!r}; there are {', '.join(get_args(Augmentation))}")
        if self.resampling not in get_args(Weighting):
            raise TrainingError(f"there is no resampling {self.resampling!r}; there are {', '.join(get_args(Weighting))}")
        if not self.windows:
            raise TrainingError("a network needs at least one window")
        for name in self.windows:
            window(name)
        if self.batch < 2:
            raise TrainingError("a batch has at least two cases: batch normalisation cannot work with one")
        if self.tau1 < 0 or (self.tau2 is not None and self.tau2 < 0) or self.joint_weight < 0:
            raise TrainingError("tau1, tau2 and the weight of the T-score are not negative")

    def plain(self) -> dict[str, Any]:
        """What a resumed run must share, beside the loop's own options; tau2 is no part of the training."""
        told = asdict(replace(self, loop=LoopOptions()))
        for name in ("loop", "tau2"):
            del told[name]
        return told | {"crop": self.crop.plain(), "weights": self.weights.name if self.weights is not None else None}

    def why_no_bundle(self) -> str | None:
        """Why the node could not run the network; None where it can."""
        if self.network not in ARCHITECTURES:
            known = ", ".join(name for name in ARCHITECTURES if name in NETWORKS)
            return f"a bundle may hold {known}, not {self.network}"
        if len(self.windows) > 1:
            return "a bundle's network has one window"
        return None

    def network_arguments(self) -> dict[str, Any]:
        """Arguments of MONAI's ResNet, for a bundle."""
        return resnet_arguments(channels=len(self.windows), width=self.width)


def quick(options: MedconvOptions) -> MedconvOptions:
    """The same method at a size for two CPU cores: crops at 2 mm, a fifth of the width, twenty epochs."""
    loop = replace(options.loop, epochs=20, warmup_epochs=1 if options.loop.schedule == "cosine" else options.loop.warmup_epochs)
    return replace(options, crop=replace(options.crop, shape=SMALL_CROP.shape, spacing_mm=SMALL_CROP.spacing_mm), width=0.1875, loop=loop)
