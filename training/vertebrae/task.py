"""The second reader as a task of the training loop."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from monai.losses.dice import DiceCELoss
from monai.networks.nets.unet import UNet
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.bundles import load_bundle
from inference.bundles.network import read_network
from inference.ct.segmentation.network.intensity import normalised
from training.errors import TrainingError
from training.loop import Batch, Batches, LoopOptions
from training.simulation.body import Structure
from training.vertebrae.anatomy import AnatomyCase, Pool
from training.vertebrae.options import CLASS_WEIGHTS, SPACING_MM, STRUCTURES, WINDOW_HU, VertebraOptions
from training.vertebrae.randomise import draw_patch


class VertebraTask:
    """Implements :class:`training.loop.Task`.

    Parameters
    ----------
    options
        Network and patches.
    pool, held_out
        Patients to learn from, and to look at after each epoch.
    """

    def __init__(self, options: VertebraOptions, pool: Pool, held_out: Pool) -> None:
        self.options = options
        self.pool = pool
        self.held_out = held_out
        self._loss = DiceCELoss(
            include_background=False, to_onehot_y=True, softmax=True, weight=torch.tensor(CLASS_WEIGHTS), lambda_dice=1.0, lambda_ce=1.0
        )
        self._validation: list[Batch] = []

    def build(self) -> nn.Module:
        """A fresh network, or one with the weights of the bundle to start from.

        Raises
        ------
        TrainingError
            That bundle holds another network.
        """
        if self.options.start_from is None:
            fresh: nn.Module = UNet(**self.options.network_arguments())
            return fresh
        folder, sha256 = self.options.start_from
        bundle = load_bundle(folder, sha256)
        if dict(bundle.network.arguments) != self.options.network_arguments():
            raise TrainingError(f"{folder} holds a network of other widths; training cannot start from it")
        return read_network(bundle).requires_grad_(requires_grad=True).train()

    def describe(self) -> Mapping[str, Any]:
        """What a resumed run must share."""
        start = self.options.start_from[1] if self.options.start_from else None
        told = asdict(replace(self.options, loop=LoopOptions(), start_from=None))
        if start is None:
            del told["start_from"]
        else:
            told["start_from"] = start
        return told | {"structures": list(STRUCTURES), "window_hu": list(WINDOW_HU)}

    def batches(self, epoch: int) -> Batches:
        """Batches of ``image`` (B, 1, Z, Y, X) float32 and ``structures`` (B, 1, Z, Y, X) int64, settled by the epoch's number."""
        return Batches(self.options.steps_per_epoch, lambda step: self._batch(self.pool, (self.options.seed, 1, epoch, step)))

    def _batch(self, pool: Pool, key: tuple[int, ...]) -> Batch:
        rng = np.random.default_rng(key)
        drawn = [self._patch(pool.load(int(rng.integers(pool.count))), rng) for _ in range(self.options.batch)]
        images, labels = zip(*drawn, strict=True)
        return {"image": torch.from_numpy(np.stack(images))[:, None], "structures": torch.from_numpy(np.stack(labels))[:, None].long()}

    def _patch(self, case: AnatomyCase, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        hu, labels = draw_patch(case, self.options.patch, SPACING_MM, self.options.randomisation, rng)
        labels[labels == Structure.OTHER_BONE] = Structure.BACKGROUND
        return normalised(hu, WINDOW_HU), labels

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Weighted cross-entropy plus soft Dice over the six structures."""
        scores = model(batch["image"])
        loss: Tensor = self._loss.to(scores.device)(scores, batch["structures"])
        return loss, {"loss": float(loss.detach())}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Dice of each structure over patches of the patients kept aside, the same ones each time; ``dice`` is their mean."""
        dice = dice_of(self.overlaps(model).sum(axis=0))[1:]
        named = {f"dice_{name}": float(value) for name, value in zip(STRUCTURES[1:], dice, strict=True)}
        return {"dice": float(dice.mean()), **named}

    def overlaps(self, model: nn.Module) -> NDArray[np.float64]:
        """(batches, 3, classes) :func:`overlap_counts` over patches of the patients kept aside, the same ones each time."""
        if not self._validation:
            self._validation = [self._batch(self.held_out, (self.options.seed, 2, 0, step)) for step in range(self.held_out.count)]
        device = next(model.parameters()).device
        counts = []
        with torch.no_grad():
            for batch in self._validation:
                predicted = model(batch["image"].to(device)).argmax(dim=1).cpu().numpy()
                counts.append(overlap_counts(predicted, batch["structures"][:, 0].numpy(), len(STRUCTURES)))
        return np.stack(counts)


def overlap_counts(predicted: NDArray[np.int64], true: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """(3, classes): voxels in both, in the prediction, in the truth."""
    both = np.bincount(true[predicted == true].ravel(), minlength=classes)
    return np.stack([both, np.bincount(predicted.ravel(), minlength=classes), np.bincount(true.ravel(), minlength=classes)]).astype(float)


def dice_of(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """(classes,) Dice from :func:`overlap_counts`."""
    return np.asarray(2 * counts[0] / np.maximum(counts[1] + counts[2], 1))
