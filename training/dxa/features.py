"""Features of a frozen network, computed once for each image (and each augmented copy of it) and kept on disk: a frozen VGG takes a second
an image on one core, and fifty epochs of it would take days."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from training.dxa.baselines import parted
from training.dxa.cases import Case
from training.dxa.options import DxaOptions
from training.dxa.task import Images, fingerprint
from training.loop.averaging import has_batch_statistics, refresh_batch_statistics
from training.preparing import CACHE_BYTES
from training.transforms.augmentation import case_seed
from training.transforms.cache import CaseCache

_STATISTICS_IMAGES = 32
_BATCH = 4


class Features:
    """What a tail is given of some cases: the trunk's output of each image, and of its augmented copies. Implements ``Examples``."""

    def __init__(self, cases: Sequence[Case], values: Sequence[NDArray[np.float32]]) -> None:
        self.cases = tuple(cases)
        self._values = tuple(values)

    def plain(self, index: int) -> Tensor:
        """Of the image as it is."""
        return torch.from_numpy(self._values[index][0])

    def drawn(self, index: int, seed: int) -> Tensor:
        """Of the image or one of its copies, as ``seed`` settles."""
        return torch.from_numpy(self._values[index][seed % len(self._values[index])])


class FrozenFeatures:
    """Computes and keeps the features of a baseline's frozen part.

    Parameters
    ----------
    options
        Network, transfer, weights, copies, augmentation; the seed draws weights where there are no published ones.
    train
        Cases of the training part. A trunk with random weights takes its batch statistics from some of them (no class is looked at):
        with the initial ones, activations would grow from layer to layer.
    cache
        Folder; runs may share it.
    """

    def __init__(self, options: DxaOptions, train: Sequence[Case], cache: Path) -> None:
        self.options = options
        self._reference = tuple(train[:: max(1, len(train) // _STATISTICS_IMAGES)][:_STATISTICS_IMAGES])
        self._cache = CaseCache(cache, limit_bytes=CACHE_BYTES)
        self._trunk: nn.Module | None = None

    def tail(self) -> nn.Module:
        """A fresh part to be trained, on top of the features. Its first weights follow torch's generator only where they are random."""
        options = self.options
        seed = int(torch.randint(2**31, (1,))) if options.weights is None else options.seed
        return parted(options.network, options.transfer, options.weights, seed).tail

    def of(self, cases: Sequence[Case], *, copies: bool, progress: bool = False) -> Features:
        """Features of cases.

        Parameters
        ----------
        copies
            Of augmented copies, too: for the training part alone.
        """
        count = self.options.copies if copies else 0
        console = Console(stderr=True)
        shown = track(cases, description=f"features of {self.options.network}", disable=not progress, console=console, transient=True)
        return Features(cases, [self._one(case, count) for case in shown])

    def _one(self, case: Case, copies: int) -> NDArray[np.float32]:
        """(1 + copies, ...) float32."""
        options = self.options
        told = {
            "network": options.network,
            "transfer": options.transfer,
            "weights": _hash(options.weights) if options.weights is not None else f"random {options.seed}",
            "reference": fingerprint(self._reference) if options.weights is None else None,
            "case": fingerprint([case]),
            "copies": copies,
            "augmentation": repr(options.augmentations) if copies else None,
        }
        found = self._cache.get((), told, lambda: {"features": self._compute(case, copies).astype(np.float16)})
        return found["features"].astype(np.float32)

    def _compute(self, case: Case, copies: int) -> NDArray[np.float32]:
        images = Images([case], self.options)
        batch = torch.stack([images.plain(0), *(images.drawn(0, case_seed(self.options.seed, 0, 0, copy)) for copy in range(copies))])
        trunk = self._frozen()
        device = next(iter(trunk.buffers())).device
        with torch.inference_mode():
            parts = [trunk(part.to(device)).float().cpu() for part in torch.split(batch, _BATCH)]
        return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)

    def _frozen(self) -> nn.Module:
        if self._trunk is None:
            options = self.options
            trunk = parted(options.network, options.transfer, options.weights, options.seed).trunk
            if options.weights is None and has_batch_statistics(trunk):
                images = Images(self._reference, options)
                batches = [
                    {"image": torch.stack([images.plain(index) for index in range(first, min(first + 8, len(self._reference)))])}
                    for first in range(0, len(self._reference), 8)
                ]
                with torch.no_grad():
                    refresh_batch_statistics(trunk, batches, lambda batch: trunk(batch["image"]))
            wanted = "cuda" if options.loop.device != "cpu" and torch.cuda.is_available() else "cpu"
            self._trunk = trunk.eval().to(wanted)
        return self._trunk


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
