"""What a fine-tuning is: the network, the three tasks, the schedule. The full and the quick size are two values of one class."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from inference.ct.vertebra_encoder import ENCODERS, SWIN_WINDOW
from inference.ct.vertebra_experts import OUTPUTS
from inference.windows import window
from training.errors import TrainingError
from training.loop import LoopOptions
from training.medconv.crops import CropOptions
from training.simulation.xray.devices import DEVICES
from training.tpswav.crops import FULL_BOX, SMALL_BOX
from training.tpswav.losses import TaskWeights
from training.tpswav.networks import BACKBONES, SWIN
from training.tpswav.pretrain_task import PretrainOptions
from training.tpswav.strays import Strays

QUICK_ATTENTION = 4
"""About as many millimetres as seven cells are in crops of 1 mm."""
QUICK_WIDTH, QUICK_EPOCHS, QUICK_RATE, QUICK_CLIP = 0.25, 12, 1e-3, 5.0


def paper_loop(epochs: int = 400) -> LoopOptions:
    """The paper's: AdamW (0.9, 0.999), weight decay 0.1, 1e-5 after a linear warm-up over 150 of 400 epochs.

    Which epoch is kept is not said; ours is the one with the smallest unified loss on the validation part. An AUC of few vertebrae reaches
    1 early, in epochs whose probabilities, densities and positions are still wrong.
    """
    return LoopOptions(
        epochs=epochs,
        learning_rate=1e-5,
        optimiser="adamw",
        weight_decay=0.1,
        betas=(0.9, 0.999),
        warmup_epochs=epochs * 150 / 400,
        monitor="loss",
        maximise=False,
    )


@dataclass(frozen=True, kw_only=True)
class ExpertOptions:
    """One fine-tuning, or training from scratch.

    Attributes
    ----------
    backbone, width
        Of :data:`training.tpswav.networks.BACKBONES`.
    experts
        1 is a plain head.
    devices
        Densitometers that the gate knows. The first is the one on whose scale a vertebra is read whose densitometer is unknown.
    tasks
        Weights of the three losses.
    other_levels
        Vertebrae of the training part without a density teach the position alone; otherwise only L1 to L4 would ever be seen.
    attention_window
        Of a Swin backbone, in cells.
    crop, window
        What of a vertebra is seen.
    strays
        How crops are changed anew in each epoch; not at all in the paper.
    weights
        A pretrained encoder (:func:`training.tpswav.networks.load_encoder`); None begins with fresh weights.
    """

    backbone: str = "resnet34"
    width: float = 1.0
    experts: int = 3
    devices: tuple[str, ...] = tuple(DEVICES)
    tasks: TaskWeights = field(default_factory=TaskWeights)
    other_levels: bool = True
    attention_window: int = SWIN_WINDOW
    crop: CropOptions = FULL_BOX
    window: str = "trabecular"
    strays: Strays = field(default_factory=Strays)
    weights: Path | None = None
    batch: int = 32
    seed: int = 0
    loop: LoopOptions = field(default_factory=paper_loop)

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise TrainingError(f"there is no backbone {self.backbone!r}; there are {', '.join(BACKBONES)}")
        if self.experts < 1 or not self.devices or len(set(self.devices)) != len(self.devices):
            raise TrainingError("there is at least one expert, and each densitometer is named once")
        if self.batch < 2:
            raise TrainingError("a batch has at least two vertebrae")
        window(self.window)

    def plain(self) -> dict[str, Any]:
        """What a resumed run must share, beside the loop's own options."""
        told = asdict(replace(self, loop=LoopOptions()))
        del told["loop"]
        if self.backbone not in SWIN:
            del told["attention_window"]
        return told | {
            "crop": self.crop.plain(),
            "devices": list(self.devices),
            "weights": self.weights.name if self.weights is not None else None,
        }

    def device_index(self, device: str | None) -> int:
        """Which of the known densitometers a vertebra is read on the scale of: its own, or the first."""
        return self.devices.index(device) if device in self.devices else 0

    def why_no_bundle(self) -> str | None:
        """Why the node could not run the network; None where it can."""
        return None if self.backbone in ENCODERS else f"a bundle may hold {', '.join(ENCODERS)}, not {self.backbone}"

    def network_arguments(self) -> dict[str, Any]:
        """Arguments of :class:`inference.ct.vertebra_experts.VertebraExperts`, for a bundle."""
        fixed = {"spatial_dims": 3, "in_channels": 1, "out_channels": len(OUTPUTS)}
        windows = {"attention_window": self.attention_window} if self.backbone in SWIN else {}
        return {**fixed, "backbone": self.backbone, "width": self.width, "experts": self.experts, "devices": len(self.devices), **windows}


def quick(options: ExpertOptions) -> ExpertOptions:
    """The same method at a size for two CPU cores: crops at 2 mm, a quarter of the width, few epochs at a higher rate.

    At a hundred times the paper's rate the position of a vertebra swings from epoch to epoch: a cosine lets it settle, and the gradient is
    clipped.
    """
    loop = replace(options.loop, epochs=QUICK_EPOCHS, warmup_epochs=1.0, learning_rate=QUICK_RATE, schedule="cosine", clip_norm=QUICK_CLIP)
    crop = replace(options.crop, shape=SMALL_BOX.shape, spacing_mm=SMALL_BOX.spacing_mm)
    return replace(options, crop=crop, width=QUICK_WIDTH, attention_window=QUICK_ATTENTION, loop=loop)


def quick_pretraining(options: PretrainOptions) -> PretrainOptions:
    """Pretraining at the same small size."""
    loop = replace(options.loop, epochs=QUICK_EPOCHS, warmup_epochs=1.0, learning_rate=QUICK_RATE)
    return replace(options, width=QUICK_WIDTH, attention_window=QUICK_ATTENTION, loop=loop)
