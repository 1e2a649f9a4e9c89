"""MedConv as a task of the training loop: batches of crops, its losses, and what the validation part says after each epoch."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.adjustment import Floats, adjusted_probabilities, class_priors
from inference.windows import windowed
from training.data.labels import LABELS
from training.errors import TrainingError
from training.loop import Batch, Batches
from training.medconv.crops import Case
from training.medconv.losses import ClassLoss, joint_loss
from training.medconv.networks import build
from training.medconv.options import MedconvOptions
from training.metrics.classification import classification_metrics
from training.metrics.ranking import auc_one_vs_rest
from training.resampling import ClassSampler
from training.transforms.augmentation import Augmenter, augmentation, balanced, case_seed

CLASSES = tuple(label.value for label in LABELS)


class MedconvTask:
    """Implements :class:`training.loop.Task`.

    Parameters
    ----------
    train
        Every class needs a case.
    validation
        By which the best epoch is chosen; the test part is never seen here.

    Raises
    ------
    TrainingError
        A class has no training case, or a part is too small.
    """

    def __init__(self, options: MedconvOptions, train: Sequence[Case], validation: Sequence[Case]) -> None:
        if len(train) < 2 or not validation:
            raise TrainingError(f"{len(train)} cases to train on and {len(validation)} to choose by are too few")
        self.options = options
        self._train = tuple(train)
        self._validation = tuple(validation)
        self.counts = tuple(int(count) for count in np.bincount([case.label for case in train], minlength=len(CLASSES)))
        self._loss = ClassLoss(options.loss, self.counts, options.tau1)
        self.priors = class_priors(self.counts)
        self._sampler = ClassSampler([case.label for case in train], options.resampling, seed=options.seed)
        self._augment = self._augmenter()

    def _augmenter(self) -> Augmenter | None:
        if self.options.augmentation == "none":
            return None
        given = augmentation("ct")
        chosen = balanced(given, self.counts) if self.options.augmentation == "balanced" else given
        return Augmenter(chosen, self.options.crop.shape)

    def build(self) -> nn.Module:
        """A fresh network, or one with the weights of a file.

        Raises
        ------
        TrainingError
            The file holds another network.
        """
        options = self.options
        model = build(options.network, classes=len(CLASSES), width=options.width, size=options.crop.shape, channels=len(options.windows))
        if options.weights is not None:
            from training.medconv.pretrained import load_pretrained

            load_pretrained(model, options.network, options.weights)
        return model

    def describe(self) -> Mapping[str, Any]:
        """What a resumed run must share: its options and its very cases."""
        return {**self.options.plain(), "train": fingerprint(self._train), "validation": fingerprint(self._validation)}

    def batches(self, epoch: int) -> Batches:
        """Batches of ``image`` (B, windows, Z, Y, X) float32, ``label`` (B,) int64 and ``t_score`` (B,) float32, NaN where not known."""
        order = self._sampler.indices(epoch)
        count = -(-order.size // self.options.batch)
        if order.size // count < 2:  # nearly equal parts: the last is never a single case, which batch normalisation cannot take
            count = max(1, order.size // 2)
        parts = np.array_split(order, count)
        firsts = np.cumsum([0, *(part.size for part in parts)])
        return Batches(count, lambda step: self._batch(epoch, parts[step], int(firsts[step])))

    def _batch(self, epoch: int, indices: NDArray[np.intp], first: int) -> Batch:
        cases = [self._train[index] for index in indices]
        images = [
            self._image(case, epoch, int(index), first + place) for place, (index, case) in enumerate(zip(indices, cases, strict=True))
        ]
        return {
            "image": torch.stack(images),
            "label": torch.tensor([case.label for case in cases]),
            "t_score": torch.tensor([case.t_score for case in cases], dtype=torch.float32),
        }

    def _image(self, case: Case, epoch: int, index: int, draw: int) -> Tensor:
        image = windowed(case.hu, self.options.windows)
        if self._augment is None:
            return torch.from_numpy(image)
        drawn: Tensor = self._augment({"image": image}, seed=case_seed(self.options.seed, epoch, index, draw), label=case.label)["image"]
        return drawn

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The class's loss, and for a network with a second head the T-score's error beside it."""
        out = model(batch["image"])
        if not isinstance(out, tuple):
            loss = self._loss(out, batch["label"])
            return loss, {"loss": float(loss.detach())}
        logits, value = out
        classification = self._loss(logits, batch["label"])
        loss, error = joint_loss(classification, value, batch["t_score"], self.options.joint_weight)
        parts = {"loss": loss, "classification": classification, "t_score_error": error}
        return loss, {name: float(part.detach()) for name, part in parts.items()}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """``loss``, ``auc`` (macro, one against the rest), ``accuracy`` and ``sensitivity_macro`` of the validation part, before tau2."""
        logits = predict(model, self._validation, self.options)
        truth = np.array([case.label for case in self._validation])
        loss = float(self._loss(torch.from_numpy(logits), torch.from_numpy(truth)))
        return {"loss": loss, **judged(truth, adjusted_probabilities(logits, self.priors, 0.0))}


def judged(truth: NDArray[np.int64], probabilities: Floats) -> dict[str, float]:
    """``auc``, ``accuracy`` and ``sensitivity_macro`` of probabilities (N, classes); 0 where a class is missing from the cases."""
    found = classification_metrics(truth, probabilities.argmax(axis=1), CLASSES)
    values = {name: found[name] for name in ("accuracy", "sensitivity_macro")}
    values["auc"] = auc_one_vs_rest(truth, probabilities)
    return {name: value if np.isfinite(value) else 0.0 for name, value in values.items()}


def predict(model: nn.Module, cases: Sequence[Case], options: MedconvOptions) -> Floats:
    """Logits (N, classes) of cases as they are, never augmented; the network is in evaluation mode and stays where it is."""
    device = next(model.parameters()).device
    found = []
    with torch.inference_mode():
        for first in range(0, len(cases), options.batch):
            images = np.stack([windowed(case.hu, options.windows) for case in cases[first : first + options.batch]])
            found.append(model(torch.from_numpy(images).to(device)).double().cpu().numpy())
    return np.concatenate(found)


def fingerprint(cases: Sequence[Case]) -> str:
    """Stands for cases, their labels, T-scores and voxels."""
    digest = hashlib.sha256()
    for case in cases:
        digest.update(f"{case.patient}\0{case.label}\0{case.t_score!r}\0".encode())
        digest.update(np.ascontiguousarray(case.hu).data)
    return digest.hexdigest()[:32]
