"""What a run of Attentive Multi-ROI is. The paper's size and the quick one are two values of one class."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from inference.cxr.network import HEADS, LAYERS
from inference.networks2d import BACKBONES
from training.cxr.cases import LEVELS
from training.cxr.variants import Variant, variant
from training.errors import TrainingError
from training.loop import LoopOptions
from training.transforms.augmentation import AUGMENTATIONS, AugmentationOptions

FOLDS = 4


def paper_loop(epochs: int = 100) -> LoopOptions:
    """SGD at 1e-4 with a weight decay of 4e-4 for 100 epochs (section III-E). The momentum, 0.9, and what chooses the epoch, the fold's
    validation part, are not given there."""
    return LoopOptions(epochs=epochs, learning_rate=1e-4, optimiser="sgd", momentum=0.9, weight_decay=4e-4, monitor="rmse")


POSES = replace(AUGMENTATIONS["film"], flip_chance=0.0, flip_axes=(), intensity_chance=0.0)
"""Scaling, rotation and translation. The random flip is done with the regions' names exchanged, which no general transform can."""


@dataclass(frozen=True, kw_only=True)
class DensityOptions:
    """One run: a network for each of ``levels`` and each of ``folds``.

    Attributes
    ----------
    variant
        A name of :data:`training.cxr.variants.VARIANTS`.
    size
        Rows and columns of a region.
    backbone, width, batch_norm, layers, heads
        Of :class:`inference.cxr.network.RegionRegression`. The paper's VGG-16 most likely began with weights of ImageNet; one that begins
        with fresh ones learns at all with ``batch_norm``.
    local_weight
        Of the local regressors' loss beside the global one's.
    test
        Share of the patients that no network sees; the folds are dealt from the others.
    augmentation, flip
        Of the training part; the chance of a mirrored film.
    """

    variant: str = "proposed"
    size: int = 256
    backbone: str = "vgg16"
    width: float = 1.0
    batch_norm: bool = False
    layers: int = LAYERS
    heads: int = HEADS
    local_weight: float = 1.0
    batch: int = 16
    folds: int = FOLDS
    test: float = 0.2
    levels: tuple[str, ...] = LEVELS
    augmentation: AugmentationOptions = POSES
    flip: float = 0.5
    seed: int = 0
    loop: LoopOptions = field(default_factory=paper_loop)

    def __post_init__(self) -> None:
        variant(self.variant)
        if self.backbone not in BACKBONES:
            raise TrainingError(f"there is no backbone {self.backbone!r}; there are {', '.join(BACKBONES)}")
        if self.size < 32 or self.batch < 2 or self.folds < 2 or not 0 <= self.test < 1:
            raise TrainingError("regions have 32 pixels a side or more, batches two films, there are two folds or more; test is a share")
        if self.local_weight < 0 or not 0 <= self.flip <= 1:
            raise TrainingError("the weight of the local loss is not negative, and flip is a chance")
        unknown = [level for level in self.levels if level not in LEVELS]
        if not self.levels or unknown or len(set(self.levels)) != len(self.levels):
            raise TrainingError(f"levels are some of {', '.join(LEVELS)}, each once; not {', '.join(self.levels) or 'none'}")

    @property
    def chosen(self) -> Variant:
        """The variant."""
        return variant(self.variant)

    def network_arguments(self) -> dict[str, Any]:
        """Arguments that a member and the bundle's ensemble share."""
        return {
            "backbone": self.backbone,
            "fusion": self.chosen.fusion,
            "width": self.width,
            "batch_norm": self.batch_norm,
            "layers": self.layers,
            "heads": self.heads,
        }

    def plain(self) -> dict[str, Any]:
        """What a resumed run of one network must share, beside the loop's own options and its films."""
        told = asdict(replace(self, loop=LoopOptions()))
        for name in ("loop", "levels", "folds", "test"):
            del told[name]
        told["augmentation"] = {name: list(value) if isinstance(value, tuple) else value for name, value in told["augmentation"].items()}
        return told


def quick(options: DensityOptions) -> DensityOptions:
    """The same method at a size for two CPU cores: regions of 32 pixels, an eighth of the width, two layers of attention, few epochs.

    Fresh weights begin with AdamW: with SGD, a rate that moves one fusion lets the other's regressor die, whose inputs are fifteen times as
    many.
    """
    loop = replace(options.loop, epochs=8, optimiser="adamw", learning_rate=1e-3, schedule="cosine", warmup_epochs=1)
    return replace(options, size=32, width=0.125, batch_norm=True, batch=8, layers=2, loop=loop)
