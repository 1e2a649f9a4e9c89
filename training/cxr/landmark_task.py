"""Landmarks as a task of the training loop (Li et al. 2020): the affine step is pulled to within a margin, the local steps all the way."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from inference.cxr.landmarks import STEPS, LandmarkGraph
from inference.cxr.locate import SIZE, find_landmarks, square_box, to_fractions
from inference.cxr.regions import crop_regions
from inference.cxr.rois import LANDMARKS, Floats, Images
from inference.networks2d import BACKBONES
from training.cxr.cases import Film
from training.cxr.fingerprints import fingerprint
from training.cxr.landmark_augmentation import LandmarkAugmentation, augmented
from training.errors import TrainingError
from training.loop import Batch, Batches, LoopOptions
from training.transforms.augmentation import case_seed

NEAR_MM = 4.0


def landmark_loop(epochs: int = 60) -> LoopOptions:
    """Adam as the authors use it; the last epoch is taken, so that no film is spent on choosing one."""
    return LoopOptions(epochs=epochs, learning_rate=1e-3, optimiser="adamw", weight_decay=1e-4, schedule="cosine", warmup_epochs=1)


@dataclass(frozen=True, kw_only=True)
class LandmarkOptions:
    """One run.

    Attributes
    ----------
    size
        Rows and columns of the square that the network is given.
    backbone, width, pyramid, embedding, hidden, steps
        Of :class:`inference.cxr.landmarks.LandmarkGraph`.
    margin
        m of the paper's global loss, in parts of the image: the affine step need not be better.
    """

    size: int = SIZE
    backbone: str = "resnet18"
    width: float = 1.0
    pyramid: int = 64
    embedding: int = 32
    hidden: tuple[int, ...] = (64, 16)
    steps: int = STEPS
    margin: float = 0.02
    batch: int = 8
    augmentation: LandmarkAugmentation = field(default_factory=LandmarkAugmentation)
    seed: int = 0
    loop: LoopOptions = field(default_factory=landmark_loop)

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise TrainingError(f"there is no backbone {self.backbone!r}; there are {', '.join(BACKBONES)}")
        if self.size < 32 or self.size % 32 or self.batch < 2 or self.margin < 0 or self.steps < 1:
            raise TrainingError("a landmark network is given squares of a multiple of 32, in batches of two or more")

    def network_arguments(self) -> dict[str, Any]:
        """Arguments of the network, for a bundle."""
        return {
            "spatial_dims": 2,
            "in_channels": 1,
            "out_channels": 2 * len(LANDMARKS),
            "backbone": self.backbone,
            "width": self.width,
            "pyramid": self.pyramid,
            "embedding": self.embedding,
            "hidden": list(self.hidden),
            "steps": self.steps,
        }

    def plain(self) -> dict[str, Any]:
        """What a resumed run must share, beside the loop's own options."""
        told = asdict(replace(self, loop=LoopOptions()))
        del told["loop"]
        return told | {"hidden": list(self.hidden)}


def quick_landmarks(options: LandmarkOptions) -> LandmarkOptions:
    """The same method at a size for two CPU cores: squares of 128, an eighth of the width."""
    return replace(options, size=128, width=0.125, pyramid=32, loop=replace(options.loop, epochs=12))


class LandmarkTask:
    """Implements :class:`training.loop.Task`.

    Parameters
    ----------
    train
        Films whose landmarks are all known.
    validation
        Judged after each epoch; may be empty.

    Raises
    ------
    TrainingError
        Too few films, or one without its landmarks.
    """

    def __init__(self, options: LandmarkOptions, train: Sequence[Film], validation: Sequence[Film] = ()) -> None:
        if len(train) < options.batch:
            raise TrainingError(f"{len(train)} films are too few for batches of {options.batch}")
        for film in (*train, *validation):
            if not np.isfinite(film.landmarks).all():
                raise TrainingError(f"{film.patient}: the film's landmarks are not known")
        self.options = options
        self._train, self._validation = tuple(train), tuple(validation)
        self._images: list[Images] = [crop_regions(film.grey, square_box(film.grey.shape)[None], options.size)[0] for film in train]
        self._places: list[Floats] = [to_fractions(film.landmarks, film.image.shape) for film in train]

    def build(self) -> nn.Module:
        """A fresh network that begins with the mean shape of the training films."""
        network = LandmarkGraph(**self.options.network_arguments())
        network.set_initial(torch.from_numpy(np.mean(self._places, axis=0)).float())
        return network

    def describe(self) -> Mapping[str, Any]:
        """What a resumed run must share."""
        return {**self.options.plain(), "train": fingerprint(self._train), "validation": fingerprint(self._validation)}

    def batches(self, epoch: int) -> Batches:
        """Batches of ``image`` (B, 1, size, size) and ``landmarks`` (B, 16, 2), fractions; what is left over waits for the next epoch."""
        order = np.random.default_rng((self.options.seed, epoch, 7)).permutation(len(self._train))
        count = len(order) // self.options.batch
        parts = order[: count * self.options.batch].reshape(count, self.options.batch)
        return Batches(count, lambda step: self._batch(epoch, parts[step]))

    def _batch(self, epoch: int, indices: np.ndarray[Any, Any]) -> Batch:
        drawn = [
            augmented(
                self._images[index],
                self._places[index],
                self.options.augmentation,
                case_seed(self.options.seed, epoch, int(index)),
            )
            for index in indices
        ]
        images, places = np.stack([image for image, _ in drawn]), np.stack([place for _, place in drawn])
        return {"image": torch.from_numpy(images)[:, None], "landmarks": torch.from_numpy(places).float()}

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The global loss with its margin, and the mean of the local steps' (each step is judged, since none learns from a later one)."""
        if not isinstance(model, LandmarkGraph):
            raise TrainingError("the landmark task trains a landmark graph")
        whole, *local = (
            (shape - batch["landmarks"]).abs().sum(dim=2).mean(dim=1)  # (B,): the mean city-block distance
            for shape in model.path(batch["image"])
        )
        parts = {"global": (whole - self.options.margin).clamp(min=0).mean(), "local": torch.stack(local).mean()}
        total = parts["global"] + parts["local"]
        return total, {"loss": float(total.detach()), **{name: float(part.detach()) for name, part in parts.items()}}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """``error_mm`` and ``near`` of the validation films, where there are any."""
        if not self._validation:
            return {}
        errors = radial_errors_mm(model, self._validation, self.options.size)
        return {"error_mm": float(np.mean(errors)), "near": float(np.mean(errors < NEAR_MM))}


def radial_errors_mm(model: nn.Module, films: Sequence[Film], size: int) -> Floats:
    """(films, 16) distances of found from true landmarks, mm in the plane of the detector.

    Raises
    ------
    TrainingError
        A film's pixels have no known size.
    """
    if any(not np.isfinite(film.spacing_mm) for film in films):
        raise TrainingError("an error in mm needs films whose pixels have a size")
    return np.stack([np.linalg.norm(find_landmarks(film.grey, model, size) - film.landmarks, axis=1) * film.spacing_mm for film in films])
