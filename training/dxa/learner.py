"""From options to what is trained: the 21-layer network on images, a baseline's tail on features of its frozen part, or all of one."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from inference.dxa.network import Cnn21
from training.dxa.baselines import parted
from training.dxa.cases import CLASSES, Case
from training.dxa.data import Turn
from training.dxa.features import FrozenFeatures
from training.dxa.options import CNN21, DxaOptions
from training.dxa.task import DxaTask, Examples, Images

_IMAGES = 48
"""For data-dependent first weights."""


@torch.no_grad()
def data_weights(network: Cnn21, images: Tensor) -> Cnn21:
    """First weights with which every filter and unit has mean 0 and variance 1 on some images (Mishkin and Matas 2016, "All you need is a
    good init"; Kraehenbuehl et al. 2016); the last layer is zero.

    With Glorot's weights, images of a spine differ by a few percent of what they share, and what they share is all that a narrow network
    passes on for hundreds of steps.

    Parameters
    ----------
    images
        (B, 3, 150, 150); no class is looked at.
    """
    network.eval()
    found = images
    for module in (*network.features, None, network.dense):
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
            given = module(found)
            axes = [axis for axis in range(given.dim()) if axis != 1]
            sd = given.std(dim=axes).clamp(min=1e-6)
            module.weight /= sd.view(-1, *(1 for _ in module.weight.shape[1:]))
            assert module.bias is not None
            module.bias.copy_((module.bias - given.mean(dim=axes)) / sd)
        found = found.permute(0, 2, 3, 1).flatten(1) if module is None else module(found)
    nn.init.zeros_(network.head.weight)
    return network


class Learner:
    """What one kind of network is given, and how a fresh one is made.

    Parameters
    ----------
    train
        All cases of the folds: a random trunk takes its batch statistics from some of them.
    cache
        Folder of features; runs may share it.
    """

    def __init__(self, options: DxaOptions, train: Sequence[Case], cache: Path, *, progress: bool = False) -> None:
        self.options = options
        self._train = train
        self._cache = cache
        self._progress = progress

    @cached_property
    def _frozen(self) -> FrozenFeatures:
        return FrozenFeatures(self.options, self._train, self._cache)

    def examples(self, cases: Sequence[Case], *, training: bool = False) -> Examples:
        """Cases as the network is given them; ``training`` prepares augmented copies, too, where features are computed once."""
        if self.options.frozen:
            return self._frozen.of(cases, copies=training, progress=self._progress)
        return Images(cases, self.options)

    def make(self, reference: Sequence[Case]) -> nn.Module:
        """A fresh network for these examples; first weights may look at the images of ``reference``, cases of the training part."""
        options = self.options
        if options.network == CNN21:
            network = Cnn21(classes=len(CLASSES), width=options.width)
            if options.first == "keras":
                return network
            some = Images(reference[:: max(1, len(reference) // _IMAGES)][:_IMAGES], options)
            return data_weights(network, torch.stack([some.plain(index) for index in range(len(some.cases))]))
        if options.frozen:
            return self._frozen.tail()
        whole = parted(options.network, "all", options.weights, options.seed)
        return nn.Sequential(whole.trunk, whole.tail)

    def task(self, turn: Turn) -> DxaTask:
        """What the loop trains when one fold validates."""
        return DxaTask(
            self.options, self.examples(turn.train, training=True), self.examples(turn.validation), lambda: self.make(turn.train)
        )
