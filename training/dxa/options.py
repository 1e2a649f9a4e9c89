"""What a run on DXA images is: its network, its loss, its schedule. The defaults are the paper's, where it gives any."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from inference.dxa.network import Output
from training.dxa.cases import LARGE, SMALL
from training.dxa.losses import LOSSES, LossName
from training.errors import TrainingError
from training.loop import LoopOptions
from training.resampling import Weighting
from training.transforms.augmentation import AUGMENTATIONS, AugmentationOptions

CNN21 = "cnn21"
BASELINES = ("vgg16", "vgg19", "resnet50", "inception3")
NETWORKS = (CNN21, *BASELINES)

Transfer = Literal["head", "block", "all"]
Augmentation = Literal["paper", "upright", "none"]
First = Literal["keras", "data"]

UPRIGHT = AugmentationOptions(
    affine_chance=1, rotate_deg=6, translate=0.05, scale=0.08, flip_chance=0.5, flip_axes=(1,), intensity_chance=0.5, noise_sd=0.02
)
"""What a crop that the node has centred and turned upright may still stray by."""
GRID = (3e-4, 1e-3, 3e-3)
"""Learning rates to search; the paper searched, and names 1e-3 alone."""


def paper_loop(epochs: int = 50) -> LoopOptions:
    """Adam at 1e-3 with an L2 penalty (the paper gives no factor), at most 50 epochs, the best by validation loss, patience 10."""
    return LoopOptions(epochs=epochs, learning_rate=1e-3, optimiser="adam", weight_decay=1e-4, monitor="loss", patience=10)


@dataclass(frozen=True, kw_only=True)
class DxaOptions:
    """One run.

    Attributes
    ----------
    network, width
        A name of :data:`NETWORKS`; the width is the 21-layer network's alone.
    first
        First weights of the 21-layer network: ``keras`` is the paper's (Glorot); ``data`` scales every layer by what it gives on some
        training images (:func:`training.dxa.learner.data_weights`), which narrow networks need to learn within minutes.
    output
        ``softmax`` is the paper's text, ``sigmoid`` its tables.
    transfer
        What of a baseline is trained: its last layer (``head``: frozen but for it), its last block and what follows (``block``), or all.
    weights
        A baseline's state dict, as torchvision publishes it; None begins with random weights, which no transfer is.
    loss, class_weights
        :class:`training.dxa.losses.ClassLoss`.
    resampling
        How often an epoch shows each class; ``balanced`` oversamples the rarer one.
    augmentation, shift
        ``paper`` is its Table 3, with shifts of ``shift`` of the image's size: printed as 0.2 %, which would be nothing, and taken for the
        0.2 that Keras calls such a shift.
    copies
        Of each training image before a frozen baseline: its features are computed once, of so many augmented copies beside the image.
    """

    network: str = CNN21
    width: float = 1.0
    first: First = "keras"
    output: Output = "softmax"
    transfer: Transfer = "head"
    weights: Path | None = None
    loss: LossName = "ce"
    class_weights: bool = True
    resampling: Weighting = "natural"
    augmentation: Augmentation = "paper"
    shift: float = 0.2
    copies: int = 0
    batch: int = 16
    seed: int = 0
    loop: LoopOptions = field(default_factory=paper_loop)

    def __post_init__(self) -> None:
        for what, given, known in (
            ("network", self.network, NETWORKS),
            ("kind of first weights", self.first, get_args(First)),
            ("output", self.output, get_args(Output)),
            ("transfer", self.transfer, get_args(Transfer)),
            ("loss", self.loss, LOSSES),
            ("resampling", self.resampling, get_args(Weighting)),
            ("augmentation", self.augmentation, get_args(Augmentation)),
        ):
            if given not in known:
                raise TrainingError(f"there is no {what} {given!r}; there are {', '.join(known)}")
        if self.network != CNN21 and self.width != 1.0:
            raise TrainingError("a baseline has its published width")
        if self.network == CNN21 and self.weights is not None:
            raise TrainingError("the 21-layer network has no published weights to begin with")
        if self.batch < 2 or self.copies < 0 or not 0 <= self.shift < 1:
            raise TrainingError("a batch has at least two cases, copies are 0 or more, and a shift is a fraction of the image")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the crop that the network is given."""
        return SMALL if self.network == CNN21 else LARGE

    @property
    def frozen(self) -> bool:
        """Part of the network is not trained, and its features can be computed once."""
        return self.network != CNN21 and self.transfer != "all"

    @property
    def augmentations(self) -> AugmentationOptions:
        """How far a training image strays."""
        if self.augmentation == "paper":
            return replace(AUGMENTATIONS["dxa"], translate=self.shift)
        return UPRIGHT if self.augmentation == "upright" else AUGMENTATIONS["none"]

    def plain(self) -> dict[str, Any]:
        """What a resumed run must share, beside the loop's own options."""
        told = asdict(replace(self, loop=LoopOptions()))
        del told["loop"]
        return told | {"weights": self.weights.name if self.weights is not None else None}

    def with_rate(self, learning_rate: float) -> "DxaOptions":
        """The same run at another learning rate."""
        return replace(self, loop=replace(self.loop, learning_rate=learning_rate))
