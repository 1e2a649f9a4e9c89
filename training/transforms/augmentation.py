"""Augmentation of training images, in two and three dimensions, with MONAI's transforms; stronger for rare classes where asked for.

Each draw is settled by a seed that the caller derives from epoch and case, whatever thread or process it happens in. Validation and test
images are never augmented: nothing here is called for them.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import monai.transforms
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.errors import TrainingError

transforms: Any = monai.transforms
"""Its names are not declared to be exported."""


@dataclass(frozen=True, kw_only=True)
class AugmentationOptions:
    """How far an image may stray. All zeros: not at all.

    Attributes
    ----------
    affine_chance
        Of one joint interpolation with: rotation up to ``rotate_deg`` about each axis, shift up to ``translate`` of the image's size,
        magnification 1 ± ``scale``, shear up to ``shear`` (tangent).
    flip_chance, flip_axes
        For each of the spatial axes (from 0) by itself.
    intensity_chance
        Of each of: gain 1 ± ``gain``, offset ± ``offset`` and Gaussian noise with a standard deviation up to ``noise_sd`` (the image is
        in 0 .. 1), Gaussian blur with a sigma up to ``blur_voxels``.
    padding
        What comes in from outside: the image's edge, or zeros.
    """

    affine_chance: float = 0.0
    rotate_deg: float = 0.0
    translate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    flip_chance: float = 0.0
    flip_axes: tuple[int, ...] = ()
    intensity_chance: float = 0.0
    gain: float = 0.0
    offset: float = 0.0
    noise_sd: float = 0.0
    blur_voxels: float = 0.0
    padding: Literal["border", "zeros"] = "border"

    def __post_init__(self) -> None:
        for name in ("affine_chance", "flip_chance", "intensity_chance"):
            if not 0 <= getattr(self, name) <= 1:
                raise TrainingError(f"augmentation: {name} must be between 0 and 1, not {getattr(self, name)}")
        for name in ("rotate_deg", "translate", "scale", "shear", "gain", "offset", "noise_sd", "blur_voxels"):
            if getattr(self, name) < 0:
                raise TrainingError(f"augmentation: {name} must not be negative, and is {getattr(self, name)}")
        if self.scale >= 1 or self.gain >= 1:
            raise TrainingError("augmentation: scale and gain must be less than 1, or the image may vanish")

    def strengthened(self, times: float) -> "AugmentationOptions":
        """Chances as if each were taken ``times`` times, 1 - (1 - p)^times, but flips, which are even at a half; ranges grow by the
        square root of ``times``, rotation to 180° and fractions to 0.5 at most."""
        reach = math.sqrt(times)

        def fraction(value: float) -> float:
            return max(value, min(0.5, value * reach))

        return replace(
            self,
            affine_chance=1 - (1 - self.affine_chance) ** times,
            intensity_chance=1 - (1 - self.intensity_chance) ** times,
            rotate_deg=min(180.0, self.rotate_deg * reach),
            translate=fraction(self.translate),
            scale=fraction(self.scale),
            shear=fraction(self.shear),
            gain=fraction(self.gain),
            offset=fraction(self.offset),
            noise_sd=self.noise_sd * reach,
            blur_voxels=self.blur_voxels * reach,
        )


AUGMENTATIONS: Mapping[str, AugmentationOptions] = {
    "none": AugmentationOptions(),
    "ct": AugmentationOptions(
        affine_chance=0.8,
        rotate_deg=12,
        translate=0.05,
        scale=0.1,
        flip_chance=0.5,
        flip_axes=(2,),
        intensity_chance=0.3,
        gain=0.03,
        offset=0.01,
        noise_sd=0.02,
        blur_voxels=0.7,
    ),
    "film": AugmentationOptions(
        affine_chance=0.8,
        rotate_deg=7,
        translate=0.05,
        scale=0.1,
        flip_chance=0.5,
        flip_axes=(1,),
        intensity_chance=0.3,
        gain=0.1,
        offset=0.05,
        noise_sd=0.02,
    ),
    "dxa": AugmentationOptions(affine_chance=1, rotate_deg=40, translate=0.2, scale=0.2, shear=0.2, flip_chance=0.5, flip_axes=(1,)),
}
"""``ct``: volumes (z, y, x), mirrored left to right; gain and offset stay small, for attenuation is what carries bone density. ``film``:
radiographs (y, x). ``dxa``: what the paper of the 21-layer network states, its shift of "0.2 %" read as the fraction 0.2."""


def augmentation(name: str) -> AugmentationOptions:
    """Options by name.

    Raises
    ------
    TrainingError
        There are none of that name.
    """
    if name not in AUGMENTATIONS:
        raise TrainingError(f"there is no augmentation {name!r}; there are {', '.join(AUGMENTATIONS)}")
    return AUGMENTATIONS[name]


def balanced(options: AugmentationOptions, counts: Sequence[int], *, strongest: float = 4.0) -> tuple[AugmentationOptions, ...]:
    """Options for each class: the most frequent as given, others stronger by the ratio of counts, ``strongest`` times at most.

    Parameters
    ----------
    counts
        Training cases of each class.
    """
    if not counts or min(counts) < 1:
        raise TrainingError("balanced augmentation needs at least one training case of each class")
    return tuple(options.strengthened(min(strongest, max(counts) / count)) for count in counts)


class Augmenter:
    """Augments samples of one shape.

    Parameters
    ----------
    options
        For all samples, or a sequence with one for each class.
    spatial_shape
        (y, x) or (z, y, x).
    masks
        Names of label images that move with the image ``image`` and keep whole labels.
    """

    def __init__(
        self, options: AugmentationOptions | Sequence[AugmentationOptions], spatial_shape: Sequence[int], *, masks: Sequence[str] = ()
    ) -> None:
        if len(spatial_shape) not in (2, 3):
            raise TrainingError(f"images have 2 or 3 spatial axes, not {len(spatial_shape)}")
        wrong = [axis for axis in _flipped(options) if not 0 <= axis < len(spatial_shape)]
        if wrong:
            raise TrainingError(f"the augmentation mirrors axis {wrong[0]}, and the images have {len(spatial_shape)} spatial axes")
        every = (options,) if isinstance(options, AugmentationOptions) else tuple(options)
        self._per_class = not isinstance(options, AugmentationOptions)
        self._masks = tuple(masks)
        self._shape = tuple(spatial_shape)
        self._pipelines = [_pipeline(each, self._shape, self._masks) for each in every]

    def __call__(self, sample: Mapping[str, NDArray[Any] | Tensor], *, seed: int, label: int | None = None) -> dict[str, Any]:
        """An augmented copy.

        Parameters
        ----------
        sample
            ``image`` and the masks, each (channels, \\*spatial_shape); other entries are handed on.
        seed
            Settles the draw.
        label
            The class, where options go by class.

        Returns
        -------
        dict
            ``image`` as a float32 tensor, masks as int64 tensors.

        Raises
        ------
        TrainingError
            Another shape, or no options for the class.
        """
        for name in ("image", *self._masks):
            if tuple(sample[name].shape[1:]) != self._shape:
                raise TrainingError(f"{name} has shape {tuple(sample[name].shape)}, not (channels, {', '.join(map(str, self._shape))})")
        pipeline = copy.deepcopy(self._pipelines[self._position(label)])  # transforms hold their generators, and threads share this object
        pipeline.set_random_state(seed=seed % 2**32)
        augmented: dict[str, Any] = pipeline(dict(sample))
        return augmented

    def _position(self, label: int | None) -> int:
        if not self._per_class:
            return 0
        if label is None or not 0 <= label < len(self._pipelines):
            raise TrainingError(f"there are augmentation options for classes 0 to {len(self._pipelines) - 1}, not for {label}")
        return label


def _flipped(options: AugmentationOptions | Sequence[AugmentationOptions]) -> set[int]:
    every = (options,) if isinstance(options, AugmentationOptions) else options
    return {axis for each in every for axis in each.flip_axes}


def _pipeline(options: AugmentationOptions, shape: tuple[int, ...], masks: tuple[str, ...]) -> Any:
    keys = ["image", *masks]
    steps: list[Any] = []
    if options.affine_chance > 0:
        # about each axis in three dimensions, in the plane in two
        rotate = (math.radians(options.rotate_deg),) * (3 if len(shape) == 3 else 1)
        steps.append(
            transforms.RandAffined(
                keys=keys,
                prob=options.affine_chance,
                rotate_range=rotate,
                translate_range=tuple(options.translate * size for size in shape),
                scale_range=(options.scale,) * len(shape),
                shear_range=(options.shear,) * (6 if len(shape) == 3 else 2) if options.shear else None,
                mode=("bilinear", *("nearest" for _ in masks)),
                padding_mode=options.padding,
            )
        )
    if options.flip_chance > 0:
        steps.extend(transforms.RandFlipd(keys=keys, prob=options.flip_chance, spatial_axis=axis) for axis in options.flip_axes)
    steps.extend(_intensity(options, len(shape)))
    types = [torch.float32, *(torch.int64 for _ in masks)]
    return transforms.Compose([*steps, transforms.EnsureTyped(keys=keys, dtype=types, track_meta=False)])


def _intensity(options: AugmentationOptions, axes: int) -> list[Any]:
    chance = options.intensity_chance
    if chance == 0:
        return []
    steps: list[Any] = []
    if options.gain:
        steps.append(transforms.RandScaleIntensityd(keys="image", prob=chance, factors=options.gain))
    if options.offset:
        steps.append(transforms.RandShiftIntensityd(keys="image", prob=chance, offsets=options.offset))
    if options.blur_voxels:
        sigma = (0.0, options.blur_voxels)
        named = dict(zip(("sigma_x", "sigma_y", "sigma_z")[:axes], (sigma,) * axes, strict=True))
        steps.append(transforms.RandGaussianSmoothd(keys="image", prob=chance, **named))
    if options.noise_sd:
        steps.append(transforms.RandGaussianNoised(keys="image", prob=chance, mean=0.0, std=options.noise_sd))
    return steps


def case_seed(seed: int, epoch: int, case: int, draw: int = 0) -> int:
    """The seed of one augmentation: run, epoch, case, and which draw of that case it is in the epoch."""
    return int(np.random.SeedSequence((seed, epoch, case, draw)).generate_state(1)[0])
