"""Pretraining as tasks of the training loop: TP-SwAV and SwAV share one, which differs in how views are drawn; MAE has its own."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.ct.vertebra_encoder import SWIN_WINDOW
from training.errors import TrainingError
from training.loop import Batch, Batches, LoopOptions
from training.tpswav.losses import prototype_diversity, swapped_prediction
from training.tpswav.mae import MaskedAutoencoder, painting_loss
from training.tpswav.monitors import Vectors, monitored
from training.tpswav.networks import SWIN, VIT, SwavNetwork, SwavOptions, VitEncoder, make_encoder
from training.tpswav.pool import PoolOptions, TexturePool, crop_shape
from training.tpswav.sinkhorn import sinkhorn
from training.tpswav.vertebrae import Vertebra, fingerprint, labelled, shuffled_parts
from training.tpswav.views import VIEWS

Method = Literal["tpswav", "swav", "mae"]
_DRAW = 57


def paper_loop(epochs: int = 300) -> LoopOptions:
    """The paper's: AdamW (0.9, 0.999), weight decay 0.1, 1e-4 after a linear warm-up over a third of the epochs (100 of 300).

    What follows the warm-up is not said; the rate stays.
    """
    return LoopOptions(
        epochs=epochs, learning_rate=1e-4, optimiser="adamw", weight_decay=0.1, betas=(0.9, 0.999), warmup_epochs=epochs / 3, clip_norm=1.0
    )


@dataclass(frozen=True, kw_only=True)
class PretrainOptions:
    """One pretraining.

    Attributes
    ----------
    method
        ``tpswav``: views from the texture pool; ``swav``: random crops; ``mae``: a masked autoencoder, which needs the backbone ``vit``.
    backbone, width
        Of :data:`training.tpswav.networks.BACKBONES`.
    attention_window
        Of a Swin backbone, in cells.
    seed
        Settles the order of vertebrae and the views; the loop has its own.
    """

    method: Method = "tpswav"
    backbone: str = "resnet34"
    width: float = 1.0
    pool: PoolOptions = field(default_factory=PoolOptions)
    swav: SwavOptions = field(default_factory=SwavOptions)
    attention_window: int = SWIN_WINDOW
    batch: int = 32
    seed: int = 0
    loop: LoopOptions = field(default_factory=paper_loop)

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise TrainingError(f"there is no pretraining {self.method!r}; there are {', '.join(get_args(Method))}")
        if (self.method == "mae") != (self.backbone == VIT):
            raise TrainingError("the masked autoencoder pretrains a vit, and SwAV any other backbone")
        if self.batch < 2:
            raise TrainingError("a batch has at least two vertebrae")

    def plain(self) -> dict[str, Any]:
        """What a resumed run must share, beside the loop's own options."""
        swav = asdict(self.swav) if self.method != "mae" else {}
        told = {"method": self.method, "backbone": self.backbone, "width": self.width, "batch": self.batch, "seed": self.seed}
        windows = {"attention_window": self.attention_window} if self.backbone in SWIN else {}
        return {**told, **windows, "pool": self.pool.plain(), "swav": swav}


class _PretrainTask(ABC):
    """What both tasks share: vertebrae in batches, and the monitors.

    Parameters
    ----------
    vertebrae
        To learn from; their labels are not looked at.
    probe
        Labelled vertebrae (training part, validation part) for the monitors; None: there are none.
    cache
        Folder of texture maps.
    """

    def __init__(
        self,
        options: PretrainOptions,
        vertebrae: Sequence[Vertebra],
        probe: tuple[Sequence[Vertebra], Sequence[Vertebra]] | None = None,
        cache: Path | None = None,
    ) -> None:
        self.options = options
        self.size = crop_shape([one.hu for one in vertebrae])
        self.pool = TexturePool(options.pool, cache)
        self._vertebrae = tuple(vertebrae)
        self._probe = None if probe is None else (labelled(probe[0]), labelled(probe[1]))

    def describe(self) -> Mapping[str, Any]:
        """What a resumed run must share: its options and its very vertebrae."""
        return {**self.options.plain(), "vertebrae": fingerprint(self._vertebrae)}

    def batches(self, epoch: int) -> Batches:
        """Batches of ``views`` (B, views, Z, Y, X) float32."""
        parts = shuffled_parts(len(self._vertebrae), self.options.batch, self.options.seed, epoch)
        return Batches(len(parts), lambda step: self._batch(epoch, parts[step]))

    def _batch(self, epoch: int, indices: NDArray[np.intp]) -> Batch:
        drawn = [
            self._views(self._vertebrae[index].hu, np.random.default_rng((self.options.seed, epoch, index, _DRAW))) for index in indices
        ]
        return {"views": torch.from_numpy(np.stack(drawn))}

    @abstractmethod
    def _views(self, hu: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.float32]:
        """Views (views, Z, Y, X) of a crop."""

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """What :func:`training.tpswav.monitors.monitored` says of vectors of the image itself; nothing without labelled vertebrae."""
        if self._probe is None:
            return {}
        encoder: nn.Module = model.encoder  # type: ignore[assignment]
        train, validation = (vectors_of(encoder, part, self.pool, self.options.batch) for part in self._probe)
        return monitored(train, validation)

    def encoder(self) -> nn.Module:
        """A fresh encoder."""
        options = self.options
        return make_encoder(options.backbone, width=options.width, size=self.size, attention_window=options.attention_window)


class SwavTask(_PretrainTask):
    """TP-SwAV or SwAV; implements :class:`training.loop.Task`."""

    def build(self) -> nn.Module:
        """A fresh network."""
        return SwavNetwork(self.encoder(), self.options.swav)

    def _views(self, hu: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.float32]:
        return VIEWS[self.options.method](self.pool, hu, rng)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Swapped prediction and diversity; ``used`` is the share of prototypes that some view of the batch is nearest to."""
        if not isinstance(model, SwavNetwork):
            raise TypeError(f"a SwavNetwork is wanted, not a {type(model).__name__}")
        swav, views = self.options.swav, batch["views"]
        count = views.shape[0]
        projected = model.project(torch.cat([views[:, :1], views[:, 1:2]]))  # one batch: both views share its statistics
        first, second = projected[:count], projected[count:]
        scores = model.scores(first), model.scores(second)
        targets = [self._assigned(model, row, one) for row, one in enumerate(scores)]
        if model.training:
            model.remember(first, second)
        prediction = swapped_prediction(*scores, *targets, temperature=swav.temperature)
        diversity = prototype_diversity(model.prototypes)
        loss = prediction + swav.diversity * diversity
        used = len(set(torch.cat(scores).argmax(dim=1).tolist())) / swav.prototypes
        parts = {"loss": loss, "prediction": prediction, "diversity": diversity}
        return loss, {name: float(part.detach()) for name, part in parts.items()} | {"used": used}

    def _assigned(self, model: SwavNetwork, row: int, scores: Tensor) -> Tensor:
        """Assignments (B, K) of one view of the batch, beside the queue where it is full."""
        swav = self.options.swav
        given = scores.detach()
        if model.queue_is_full:
            given = torch.cat([given, model.scores(model.queue[row]).detach()])
        return sinkhorn(given, epsilon=swav.epsilon, iterations=swav.iterations)[: scores.shape[0]]


class MaeTask(_PretrainTask):
    """Masked autoencoder; implements :class:`training.loop.Task`."""

    def build(self) -> nn.Module:
        """A fresh network."""
        encoder = self.encoder()
        if not isinstance(encoder, VitEncoder):
            raise TypeError(f"a VitEncoder is wanted, not a {type(encoder).__name__}")
        return MaskedAutoencoder(encoder, self.size, width=self.options.width)

    def _views(self, hu: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.float32]:
        del rng  # what is hidden is drawn for the whole batch
        return self.pool.image(hu)[None]

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The error of the painted patches; which are hidden is drawn from torch's generator, which the loop seeds and saves."""
        if not isinstance(model, MaskedAutoencoder):
            raise TypeError(f"a MaskedAutoencoder is wanted, not a {type(model).__name__}")
        image = batch["views"]
        places = model.places.shape[1] - 1
        order = torch.rand(image.shape[0], places).argsort(dim=1).to(image.device)
        loss = painting_loss(model(image, order), image, order, model.patch)
        return loss, {"loss": float(loss.detach())}


def pretrain_task(
    options: PretrainOptions,
    vertebrae: Sequence[Vertebra],
    probe: tuple[Sequence[Vertebra], Sequence[Vertebra]] | None = None,
    cache: Path | None = None,
) -> SwavTask | MaeTask:
    """The task of a method."""
    made = MaeTask if options.method == "mae" else SwavTask
    return made(options, vertebrae, probe, cache)


def vectors_of(encoder: nn.Module, vertebrae: Sequence[Vertebra], pool: TexturePool, batch: int) -> Vectors:
    """The vectors of labelled vertebrae, from the image itself; the encoder is in evaluation mode and stays where it is."""
    device = next(encoder.parameters()).device
    found = []
    with torch.inference_mode():
        for first in range(0, len(vertebrae), batch):
            images = np.stack([pool.image(one.hu)[None] for one in vertebrae[first : first + batch]])
            found.append(encoder(torch.from_numpy(images).to(device)).double().cpu().numpy())
    return Vectors(
        vectors=np.concatenate(found),
        label=np.array([one.label for one in vertebrae], dtype=np.int64),
        bmd_g_cm2=np.array([one.bmd_g_cm2 for one in vertebrae]),
    )
