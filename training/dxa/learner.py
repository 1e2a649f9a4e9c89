"""From options to what is trained: the 21-layer network on images, a baseline's tail on features of its frozen part, or all of one."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from torch import nn

from inference.dxa.network import Cnn21
from training.dxa.baselines import parted
from training.dxa.cases import CLASSES, Case
from training.dxa.data import Turn
from training.dxa.features import FrozenFeatures
from training.dxa.options import CNN21, DxaOptions
from training.dxa.task import DxaTask, Examples, Images


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

    def make(self) -> nn.Module:
        """A fresh network for these examples."""
        options = self.options
        if options.network == CNN21:
            return Cnn21(classes=len(CLASSES), width=options.width)
        if options.frozen:
            return self._frozen.tail()
        whole = parted(options.network, "all", options.weights, options.seed)
        return nn.Sequential(whole.trunk, whole.tail)

    def task(self, turn: Turn) -> DxaTask:
        """What the loop trains when one fold validates."""
        return DxaTask(self.options, self.examples(turn.train, training=True), self.examples(turn.validation), self.make)
