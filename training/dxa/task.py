"""Two classes as a task of the training loop: images that are augmented, or features of a frozen network that were computed once."""

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.dxa.network import Cnn21
from training.dxa.cases import CLASSES, SMALL, Case
from training.dxa.losses import ClassLoss
from training.dxa.options import CNN21, DxaOptions
from training.errors import TrainingError
from training.loop import Batch, Batches
from training.resampling import ClassSampler
from training.transforms.augmentation import Augmenter, case_seed

Floats = NDArray[np.float64]

GREY = (0.4, 0.2)
"""Mean and standard deviation of a crop's grey, about, on any of the simulated densitometers. The paper's intensities "were adjusted during
training to promote model convergence", which is taken for this: without it, the 21 layers hardly begin to learn. :func:`folded` puts it
into the weights."""


class Examples(Protocol):
    """What a network is given of some cases."""

    cases: tuple[Case, ...]

    def plain(self, index: int) -> Tensor:
        """A case as it is."""

    def drawn(self, index: int, seed: int) -> Tensor:
        """A case for training, augmented as ``seed`` settles."""


class Images:
    """Crops, grey repeated in three channels; for the 21-layer network with :data:`GREY` taken off.

    Parameters
    ----------
    cases
        In their order.
    options
        Size and augmentation.
    raw
        Leave the grey at 0 to 1, as a bundle's network takes it.
    """

    def __init__(self, cases: Sequence[Case], options: DxaOptions, *, raw: bool = False) -> None:
        self.cases = tuple(cases)
        self._small = options.size == SMALL
        self._grey_as = GREY if options.network == CNN21 and not raw else (0.0, 1.0)
        self._augment = Augmenter(options.augmentations, options.size) if options.augmentation != "none" else None

    def plain(self, index: int) -> Tensor:
        """(3, H, W) float32."""
        return self._scaled(self._grey(index))

    def drawn(self, index: int, seed: int) -> Tensor:
        """(3, H, W) float32."""
        grey = self._grey(index)
        if self._augment is None:
            return self._scaled(grey)
        made: Tensor = self._augment({"image": grey.numpy()}, seed=seed)["image"]
        return self._scaled(made)

    def _scaled(self, grey: Tensor) -> Tensor:
        mean, sd = self._grey_as
        return ((grey - mean) / sd).expand(3, -1, -1)

    def _grey(self, index: int) -> Tensor:
        case = self.cases[index]
        return torch.from_numpy((case.image if self._small else case.large)[None].astype(np.float32))


class DxaTask:
    """Implements :class:`training.loop.Task`.

    Parameters
    ----------
    options
        Loss, batches, seed.
    train, validation
        Both classes need a training case. By the validation part the best epoch is chosen; the test part is never seen here.
    make
        Gives a fresh network for these examples.

    Raises
    ------
    TrainingError
        A class has no training case, or a part is too small.
    """

    def __init__(self, options: DxaOptions, train: Examples, validation: Examples, make: Callable[[], nn.Module]) -> None:
        if len(train.cases) < 2 or not validation.cases:
            raise TrainingError(f"{len(train.cases)} cases to train on and {len(validation.cases)} to choose by are too few")
        self.options = options
        self._train, self._validation, self._make = train, validation, make
        self.counts = tuple(int(count) for count in np.bincount([case.target for case in train.cases], minlength=len(CLASSES)))
        self._loss = ClassLoss(options.loss, self.counts, output=options.output, weighted=options.class_weights)
        self._sampler = ClassSampler([case.target for case in train.cases], options.resampling, seed=options.seed)

    def build(self) -> nn.Module:
        """A fresh network."""
        return self._make()

    def describe(self) -> Mapping[str, Any]:
        """What a resumed run must share: its options and its very cases."""
        told = {"train": fingerprint(self._train.cases), "validation": fingerprint(self._validation.cases)}
        return {**self.options.plain(), **told}

    def batches(self, epoch: int) -> Batches:
        """Batches of ``image`` (B, ...) float32 and ``label`` (B,) int64."""
        order = self._sampler.indices(epoch)
        count = -(-order.size // self.options.batch)
        if order.size // count < 2:  # nearly equal parts: batch normalisation cannot take a single case
            count = max(1, order.size // 2)
        parts = np.array_split(order, count)
        firsts = np.cumsum([0, *(part.size for part in parts)])
        return Batches(count, lambda step: self._batch(epoch, parts[step], int(firsts[step])))

    def _batch(self, epoch: int, indices: NDArray[np.intp], first: int) -> Batch:
        seeds = [case_seed(self.options.seed, epoch, int(index), first + place) for place, index in enumerate(indices)]
        images = [self._train.drawn(int(index), seed) for index, seed in zip(indices, seeds, strict=True)]
        targets = [self._train.cases[index].target for index in indices]
        return {"image": torch.stack(images), "label": torch.tensor(targets)}

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The loss, and beside it the accuracy on the batch, for the learning curve."""
        logits = model(batch["image"])
        loss = self._loss(logits, batch["label"])
        hits = (logits.detach().argmax(dim=1) == batch["label"]).float().mean()
        return loss, {"loss": float(loss.detach()), "accuracy": float(hits)}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """``loss`` and ``accuracy`` of the validation part."""
        logits = torch.from_numpy(predict(model, self._validation, self.options.batch))
        truth = torch.tensor([case.target for case in self._validation.cases])
        return {"loss": float(self._loss(logits, truth)), "accuracy": float((logits.argmax(dim=1) == truth).float().mean())}


def folded(network: Cnn21) -> Cnn21:
    """A copy that takes grey as the crop gives it, 0 to 1, and says the same.

    The first convolution has no padding, so that ``W (x - m) / s + b`` is ``(W / s) x + b - m sum(W) / s`` everywhere.
    """
    mean, sd = GREY
    other = copy.deepcopy(network)
    first = other.features[0]
    assert isinstance(first, nn.Conv2d)
    assert first.bias is not None
    with torch.no_grad():
        first.weight /= sd
        first.bias -= mean * first.weight.sum(dim=(1, 2, 3))
    return other


def predict(model: nn.Module, examples: Examples, batch: int) -> Floats:
    """Logits (N, classes) of cases as they are, never augmented; the network is in evaluation mode and stays where it is."""
    device = next(model.parameters()).device
    found = [np.empty((0, len(CLASSES)))]
    with torch.inference_mode():
        for first in range(0, len(examples.cases), batch):
            images = [examples.plain(index) for index in range(first, min(first + batch, len(examples.cases)))]
            found.append(model(torch.stack(images).to(device)).double().cpu().numpy())
    return np.concatenate(found)


def fingerprint(cases: Sequence[Case]) -> str:
    """Stands for cases, their classes and pixels."""
    digest = hashlib.sha256()
    for case in cases:
        digest.update(f"{case.patient}\0{case.label}\0{case.t_score!r}\0".encode())
        digest.update(np.ascontiguousarray(case.large).data)
    return digest.hexdigest()[:32]
