"""Attentive Multi-ROI as a task of the training loop: one vertebra, one fold."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.cxr.network import RegionRegression
from inference.cxr.rois import Floats, Images
from training.cxr.cases import Film, densities
from training.cxr.fingerprints import fingerprint
from training.cxr.options import DensityOptions
from training.cxr.variants import regions_of
from training.errors import TrainingError
from training.loop import Batch, Batches
from training.metrics.agreement import pearson_r, rmse
from training.transforms.augmentation import Augmenter, case_seed

HELD_BYTES = 4 << 30
"""Regions up to so many bytes are cut once and kept in memory (as float16); of more films they are cut again whenever they are needed."""


class RegionStore:
    """The regions of films as a variant sees them; several tasks share one."""

    def __init__(self, films: Sequence[Film], options: DensityOptions, *, held_bytes: int = HELD_BYTES) -> None:
        self._options = options
        each = options.chosen.regions * options.size**2 * 2
        self._held: dict[int, tuple[Film, NDArray[np.float16]]] | None = {} if each * len(films) <= held_bytes else None

    def of(self, film: Film) -> Images:
        """(N, size, size), in units of the chest's standard deviation, rounded to half precision.

        Raises
        ------
        Refusal, TrainingError
            As :func:`training.cxr.variants.regions_of`.
        """
        key = id(film)  # of an object that is held, and so lives
        if self._held is not None and key in self._held:
            return self._held[key][1].astype(np.float32)
        found = regions_of(film, self._options.chosen, self._options.size).astype(np.float16)
        if self._held is not None:
            self._held[key] = (film, found)
        return found.astype(np.float32)


class DensityTask:
    """Implements :class:`training.loop.Task`.

    Parameters
    ----------
    level
        The vertebra.
    train, validation
        Films whose density of the level is known; the test part is never seen here.
    store
        Where regions are had from.

    Raises
    ------
    TrainingError
        A part is too small, or all training films have one density.
    """

    def __init__(
        self, options: DensityOptions, level: str, train: Sequence[Film], validation: Sequence[Film], store: RegionStore | None = None
    ) -> None:
        if len(train) < 4 or len(validation) < 2:
            raise TrainingError(f"{level}: {len(train)} films to train on and {len(validation)} to choose the epoch by are too few")
        self.options = options
        self.level = level
        self._train, self._validation = tuple(train), tuple(validation)
        self._store = store or RegionStore((*train, *validation), options)
        self._truth = densities(train, level)
        self.mean, self.sd = float(self._truth.mean()), float(self._truth.std())
        if self.sd == 0:
            raise TrainingError(f"{level}: every training film has the same density; there is nothing to learn")
        self._augment = Augmenter(options.augmentation, (options.size, options.size))
        self._mirrored = list(options.chosen.mirrored)

    def build(self) -> nn.Module:
        """A fresh network whose output of 0 means the training films' mean density."""
        network = RegionRegression(self.options.chosen.regions, **self.options.network_arguments())
        network.set_scale(self.mean, self.sd)
        return network

    def describe(self) -> Mapping[str, Any]:
        """What a resumed run must share."""
        films = {"train": fingerprint(self._train), "validation": fingerprint(self._validation)}
        return {**self.options.plain(), "level": self.level, **films}

    def batches(self, epoch: int) -> Batches:
        """Batches of ``regions`` (B, N, size, size) and ``bmd`` (B,) in g/cm²; parts are nearly equal, so that none has one film alone."""
        order = np.random.default_rng((self.options.seed, epoch, 11)).permutation(len(self._train))
        parts = np.array_split(order, max(1, len(order) // self.options.batch))
        return Batches(len(parts), lambda step: self._batch(epoch, parts[step]))

    def _batch(self, epoch: int, indices: NDArray[np.intp]) -> Batch:
        drawn = [self._drawn(int(index), case_seed(self.options.seed, epoch, int(index))) for index in indices]
        return {"regions": torch.stack(drawn), "bmd": torch.from_numpy(self._truth[indices]).float()}

    def _drawn(self, index: int, seed: int) -> Tensor:
        regions = self._store.of(self._train[index])
        if np.random.default_rng(seed).random() < self.options.flip:
            regions = np.ascontiguousarray(regions[self._mirrored, :, ::-1])
        drawn: Tensor = self._augment({"image": regions}, seed=seed)["image"]
        return drawn

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Squared errors of the global and of the local estimates (section III-D), in units of the training films' variance."""
        if not isinstance(model, RegionRegression):
            raise TrainingError("the density task trains a regression from regions")
        overall, local = model.with_local(batch["regions"])
        truth = batch["bmd"][:, None]
        parts = {"global": (((overall - truth) / self.sd) ** 2).mean()}
        total = parts["global"]
        if local.shape[1]:
            parts["local"] = (((local - truth) / self.sd) ** 2).mean()
            total = total + self.options.local_weight * parts["local"]
        return total, {"loss": float(total.detach()), **{name: float(part.detach()) for name, part in parts.items()}}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """``rmse`` in g/cm² and ``r`` (0 where it is not defined) of the validation films."""
        said = predict(model, self._validation, self._store, self.options.batch)
        truth = densities(self._validation, self.level)
        return {"rmse": rmse(truth, said), "r": float(np.nan_to_num(pearson_r(truth, said)))}


def predict(model: nn.Module, films: Sequence[Film], store: RegionStore, batch: int) -> Floats:
    """(N,) g/cm² of films as they are, never augmented; the network is in evaluation mode and stays where it is."""
    device = next(model.parameters()).device
    found = []
    with torch.inference_mode():
        for first in range(0, len(films), batch):
            regions = torch.from_numpy(np.stack([store.of(film) for film in films[first : first + batch]]))
            found.append(model(regions.to(device))[:, 0].double().cpu().numpy())
    return np.concatenate(found) if found else np.empty(0)
