"""Fine-tuning as a task of the training loop: batches of vertebrae with what is known of each, the unified loss, the validation part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.ct.vertebra_experts import POSITIVE, Reading, VertebraExperts
from inference.windows import window
from training.errors import TrainingError
from training.loop import Batch, Batches
from training.metrics.agreement import mae
from training.metrics.arrays import Floats, Ints
from training.metrics.classification import binary_metrics
from training.metrics.ranking import auc
from training.tpswav.losses import UNKNOWN, load_balance, unified_loss
from training.tpswav.networks import load_encoder, make_encoder
from training.tpswav.options import ExpertOptions
from training.tpswav.pool import crop_shape
from training.tpswav.strays import strayed
from training.tpswav.vertebrae import Vertebra, fingerprint, labelled, shuffled_parts

_STRAY = 61


class ExpertsTask:
    """Implements :class:`training.loop.Task`.

    Parameters
    ----------
    train
        Vertebrae of the training part; both classes are needed.
    validation
        By which the best epoch is chosen; the test part is never seen here.

    Raises
    ------
    TrainingError
        A part lacks a class, or no density is known.
    """

    def __init__(self, options: ExpertOptions, train: Sequence[Vertebra], validation: Sequence[Vertebra]) -> None:
        self.options = options
        self._train = tuple(train) if options.other_levels and options.tasks.position > 0 else labelled(train)
        self._validation = tuple(validation)
        for part, name in ((train, "training"), (validation, "validation")):
            if {one.label for one in labelled(part)} != {0, 1}:
                raise TrainingError(f"the {name} part needs vertebrae with and without osteoporosis")
        densities = np.array([one.bmd_g_cm2 for one in train if np.isfinite(one.bmd_g_cm2)])
        if densities.size < 2:
            raise TrainingError("the training part needs vertebrae whose density is known")
        self.bmd_mean, self.bmd_sd = float(densities.mean()), float(max(densities.std(), 1e-3))
        self.size = crop_shape([one.hu for one in (*train, *validation)])

    @property
    def used(self) -> tuple[Vertebra, ...]:
        """The vertebrae that are learned from."""
        return self._train

    def build(self) -> nn.Module:
        """A fresh network, or one whose encoder has the weights of a file.

        Raises
        ------
        TrainingError
            The file holds another encoder.
        """
        options = self.options
        encoder = make_encoder(options.backbone, width=options.width, size=self.size, attention_window=options.attention_window)
        model = VertebraExperts(encoder=encoder, experts=options.experts, devices=len(options.devices))
        if options.weights is not None:
            load_encoder(model.encoder, options.weights)
        model.bmd_mean.fill_(self.bmd_mean)
        model.bmd_sd.fill_(self.bmd_sd)
        return model

    def describe(self) -> Mapping[str, Any]:
        """What a resumed run must share: its options and its very vertebrae."""
        return {**self.options.plain(), "train": fingerprint(self._train), "validation": fingerprint(self._validation)}

    def batches(self, epoch: int) -> Batches:
        """Batches of ``image`` (B, 1, Z, Y, X), ``device``, ``label``, ``position`` (B,) int64 and ``bmd`` (B,) float32."""
        parts = shuffled_parts(len(self._train), self.options.batch, self.options.seed, epoch)
        return Batches(len(parts), lambda step: self._batch(epoch, parts[step]))

    def _batch(self, epoch: int, indices: NDArray[np.intp]) -> Batch:
        batch, strays = batch_of([self._train[index] for index in indices], self.options), self.options.strays
        if not strays.any:
            return batch
        rngs = [np.random.default_rng((self.options.seed, epoch, int(index), _STRAY)) for index in indices]
        images = [strayed(image[0], strays, rng)[None] for image, rng in zip(batch["image"].numpy(), rngs, strict=True)]
        return {**batch, "image": torch.from_numpy(np.stack(images))}

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The unified loss, its parts, and how evenly the experts are used."""
        network = experts_of(model)
        said = network.read(batch["image"], batch["device"])
        loss, parts = unified_loss(said, batch, self.options.tasks, bmd_sd=network.bmd_sd)
        told = {"loss": loss, **parts}
        values = {name: float(part.detach()) for name, part in told.items()}
        if self.options.experts > 1:
            balance = load_balance(said.gates, batch["device"], len(self.options.devices))
            values |= {"gate_variation": balance.variation, "gate_entropy": balance.entropy}
        return loss, values

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Unified ``loss``, ``auc``, ``f1``, ``bmd_mae``, ``position_accuracy`` of the validation part; 0 for an F1 that is not defined."""
        said = readings_of(model, self._validation, self.options)
        loss, _ = unified_loss(said, batch_of(self._validation, self.options), self.options.tasks, bmd_sd=torch.tensor(self.bmd_sd))
        found = predictions_of(said, self._validation, self.options)
        known = found.label != UNKNOWN
        truth, probability = found.label[known], found.probability[known]
        f1 = binary_metrics(truth, (probability > 0.5).astype(int))["f1"]
        measured = np.isfinite(found.bmd)
        return {
            "loss": float(loss),
            "auc": auc(truth, probability),
            "f1": f1 if np.isfinite(f1) else 0.0,
            "bmd_mae": mae(found.bmd[measured], found.predicted_bmd[measured]),
            "position_accuracy": float((found.position == found.predicted_position).mean()),
        }


def experts_of(model: nn.Module) -> VertebraExperts:
    """The model, if it is one of experts.

    Raises
    ------
    TypeError
        It is another.
    """
    if not isinstance(model, VertebraExperts):
        raise TypeError(f"VertebraExperts are wanted, not {type(model).__name__}")
    return model


def batch_of(vertebrae: Sequence[Vertebra], options: ExpertOptions) -> Batch:
    """Vertebrae as tensors, on the scale of their own densitometers."""
    images = np.stack([window(options.window).apply(one.hu)[None] for one in vertebrae])
    return {
        "image": torch.from_numpy(images),
        "device": torch.tensor([options.device_index(one.device) for one in vertebrae]),
        "label": torch.tensor([one.label for one in vertebrae]),
        "position": torch.tensor([one.position for one in vertebrae]),
        "bmd": torch.tensor([one.bmd_g_cm2 for one in vertebrae], dtype=torch.float32),
    }


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a network said of N vertebrae.

    Attributes
    ----------
    patients, sites, devices, levels
        Of each; a device is empty where no densitometer measured the vertebra.
    scale
        The densitometer on whose scale each density was read: its own, or the network's first where it does not know that one.
    label, bmd, position
        The truth; :data:`~training.tpswav.losses.UNKNOWN` and NaN where not known.
    probability, predicted_bmd, predicted_position
        Of osteoporosis, in g/cm2, an index of the positions.
    gates
        (N, experts).
    """

    patients: tuple[str, ...]
    sites: tuple[str, ...]
    devices: tuple[str, ...]
    levels: tuple[str, ...]
    scale: tuple[str, ...]
    label: Ints
    bmd: Floats
    position: Ints
    probability: Floats
    predicted_bmd: Floats
    predicted_position: Ints
    gates: Floats

    def only(self, chosen: NDArray[np.bool_]) -> "Predictions":
        """Some of the vertebrae."""
        places = np.nonzero(chosen)[0]
        kept: dict[str, Any] = {name: tuple(getattr(self, name)[place] for place in places) for name in _TEXTS}
        return replace(self, **kept, **{name: getattr(self, name)[places] for name in _NUMBERS})

    def with_bmd(self, predicted_bmd: Floats) -> "Predictions":
        """The same with other predicted densities."""
        return replace(self, predicted_bmd=predicted_bmd)

    def and_more(self, other: "Predictions") -> "Predictions":
        """These vertebrae and then the other's."""
        kept: dict[str, Any] = {name: (*getattr(self, name), *getattr(other, name)) for name in _TEXTS}
        kept |= {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in _NUMBERS}
        return replace(self, **kept)


_TEXTS = ("patients", "sites", "devices", "levels", "scale")
_NUMBERS = ("label", "bmd", "position", "probability", "predicted_bmd", "predicted_position", "gates")


def readings_of(model: nn.Module, vertebrae: Sequence[Vertebra], options: ExpertOptions) -> Reading:
    """What a network says of vertebrae, on the CPU; it is in evaluation mode and stays where it is.

    Raises
    ------
    TrainingError
        There is none.
    """
    if not vertebrae:
        raise TrainingError("there is no vertebra to read")
    network = experts_of(model)
    device = next(network.parameters()).device
    said: list[Reading] = []
    with torch.inference_mode():
        for first in range(0, len(vertebrae), options.batch):
            batch = batch_of(vertebrae[first : first + options.batch], options)
            said.append(network.read(batch["image"].to(device), batch["device"].to(device)))
    return Reading(*(torch.cat(parts).cpu() for parts in zip(*said, strict=True)))


def predict(model: nn.Module, vertebrae: Sequence[Vertebra], options: ExpertOptions) -> Predictions:
    """What a network says of vertebrae; see :func:`readings_of`."""
    return predictions_of(readings_of(model, vertebrae, options), vertebrae, options)


def predictions_of(said: Reading, vertebrae: Sequence[Vertebra], options: ExpertOptions) -> Predictions:
    """Vertebrae with what was said of them."""
    return Predictions(
        patients=tuple(one.patient for one in vertebrae),
        sites=tuple(one.site for one in vertebrae),
        devices=tuple(one.device or "" for one in vertebrae),
        levels=tuple(one.level for one in vertebrae),
        scale=tuple(options.devices[options.device_index(one.device)] for one in vertebrae),
        label=np.array([one.label for one in vertebrae], dtype=np.int64),
        bmd=np.array([one.bmd_g_cm2 for one in vertebrae]),
        position=np.array([one.position for one in vertebrae], dtype=np.int64),
        probability=torch.softmax(said.diagnosis.double(), dim=1)[:, POSITIVE].numpy(),
        predicted_bmd=said.bmd_g_cm2.double().numpy(),
        predicted_position=said.position.argmax(dim=1).numpy(),
        gates=said.gates.double().numpy(),
    )
