"""Augmentation of whole films with their landmarks: pose, processing, exposure and collimation vary far beyond what was painted.

A simulated film looks alike from patient to patient, a real one does not: what is drawn here is meant to be wider than practice. Dense
lungs and cables, which no simulated patient has, hide bones on many real films; a landmark's place does not change for them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.cxr.locate import standardised
from inference.cxr.rois import LANDMARKS, Floats, Images, mirrored
from training.errors import TrainingError

_MIRRORED = list(mirrored(LANDMARKS))


@dataclass(frozen=True, kw_only=True)
class LandmarkAugmentation:
    """How far a film may stray.

    Attributes
    ----------
    rotate_deg, scale, stretch, translate
        Rotation; magnification 1 ± ``scale``, each axis 1 ± ``stretch`` besides; shift in parts of the image.
    flip
        Chance of a mirrored film, whose left and right landmarks change names.
    gamma, gain_waves
        The image (0 to 1) to the power of e^(± gamma); times 1 ± ``gain_waves``, slowly varying, as scatter and grids leave it.
    detail
        How far the fine detail is raised or lowered, as edge enhancement does.
    noise_sd, blur_pixels
        The most of each.
    borders
        Chance that collimation hides each side, by up to a twelfth of the image.
    opacity
        The most that each of up to two wide, soft shadows, as of a dense lung or an effusion, adds to the grey.
    cables
        The most cables and tubes that cross the film.
    """

    rotate_deg: float = 10.0
    scale: float = 0.18
    stretch: float = 0.08
    translate: float = 0.1
    flip: float = 0.5
    gamma: float = 0.6
    gain_waves: float = 0.25
    detail: float = 0.8
    noise_sd: float = 0.04
    blur_pixels: float = 1.2
    borders: float = 0.15
    opacity: float = 0.4
    cables: int = 4

    def __post_init__(self) -> None:
        if min(vars(self).values()) < 0 or max(self.scale, self.stretch, self.flip, self.borders) >= 1:
            raise TrainingError("augmentation of landmarks: nothing is negative, and scale, stretch and chances are less than 1")


def augmented(image: Images, landmarks: Floats, options: LandmarkAugmentation, seed: int) -> tuple[Images, Floats]:
    """A strayed copy.

    Parameters
    ----------
    image
        (size, size) from 0 to 1.
    landmarks
        (16, 2) fractions of the image.
    seed
        Settles the draw.

    Returns
    -------
    tuple
        The image, standardised, and the landmarks on it.
    """
    rng = np.random.default_rng(seed)
    if rng.random() < options.flip:
        image, landmarks = image[:, ::-1], landmarks[_MIRRORED] * (1, -1) + (0, 1)
    matrix = _matrix(options, rng)
    shift = rng.uniform(-1, 1, 2) * options.translate
    size = image.shape[0]
    moved = _resampled(np.asarray(image, dtype=np.float32), matrix, shift, size)
    places = (landmarks - 0.5) @ matrix.T + 0.5 + shift
    return standardised(_exposed(moved, options, rng)), np.asarray(places, dtype=np.float64)


def _matrix(options: LandmarkAugmentation, rng: np.random.Generator) -> Floats:
    """(2, 2) from a place on the given film to its place on the new one, about the middle."""
    angle = np.radians(options.rotate_deg) * rng.uniform(-1, 1)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    sizes = (1 + options.scale * rng.uniform(-1, 1)) * (1 + options.stretch * rng.uniform(-1, 1, 2))
    return np.asarray(turn @ np.diag(sizes), dtype=np.float64)


def _resampled(image: Images, matrix: Floats, shift: Floats, size: int) -> Images:
    """Every pixel of the new film from its place on the given one; beyond the edge the edge is repeated."""
    inverse = np.linalg.inv(matrix)
    middle = (size - 1) / 2
    offset = middle - inverse @ (np.full(2, middle) + shift * size)
    return np.asarray(ndimage.affine_transform(image, inverse, offset=offset, order=1, mode="nearest"), dtype=np.float32)


def _exposed(image: Images, options: LandmarkAugmentation, rng: np.random.Generator) -> Images:
    size = image.shape[0]
    low, high = float(image.min()), float(image.max())
    grey = (image - low) / max(high - low, 1e-6)
    grey = grey ** np.float32(np.exp(options.gamma * rng.uniform(-1, 1)))
    waves = ndimage.zoom(rng.uniform(-1, 1, (4, 4)), size / 4, order=1, grid_mode=True, mode="nearest")
    grey = grey * (1 + options.gain_waves * waves)
    smooth = ndimage.gaussian_filter(grey, size / 40)
    grey = smooth + (grey - smooth) * (1 + options.detail * rng.uniform(-1, 1))
    grey = ndimage.gaussian_filter(grey, options.blur_pixels * rng.random())
    grey = grey + options.noise_sd * rng.random() * rng.standard_normal(grey.shape)
    grey = with_cables(clouded(grey, options, rng), options, rng)
    return _collimated(np.asarray(grey, dtype=np.float32), options, rng)


def clouded(image: NDArray[Any], options: LandmarkAugmentation, rng: np.random.Generator) -> NDArray[Any]:
    """Up to two soft ellipses, brighter or fainter; where there is little room above, grey rises less."""
    grid = (np.arange(image.shape[0]) + 0.5) / image.shape[0]
    for _ in range(int(rng.integers(0, 3))):
        row, column = rng.uniform(0.15, 0.9, 2)
        high, wide = rng.uniform(0.03, 0.15, 2)
        shadow = np.exp(-(((grid[:, None] - row) / high) ** 2) / 2 - ((grid[None, :] - column) / wide) ** 2 / 2)
        image = image + options.opacity * rng.random() * shadow * np.clip(1 - image, 0, 1)
    return image


def with_cables(image: NDArray[Any], options: LandmarkAugmentation, rng: np.random.Generator) -> NDArray[Any]:
    """Lines from edge to edge or to somewhere on the film, bent once (a quadratic curve), a hundredth of the image wide or less."""
    size = image.shape[0]
    drawn = np.zeros_like(image)
    along = np.linspace(0, 1, 3 * size)[:, None]
    for _ in range(int(rng.integers(0, options.cables + 1))):
        start, bend, end = rng.uniform(0, 1, (3, 2))
        start[int(rng.integers(2))] = float(rng.integers(2))
        places = (1 - along) ** 2 * start + 2 * along * (1 - along) * bend + along**2 * end
        rows, columns = np.minimum((places * size).astype(np.intp), size - 1).T
        line = np.zeros_like(image)
        line[rows, columns] = 1
        line = ndimage.gaussian_filter(line, size * rng.uniform(0.002, 0.005))
        drawn = np.maximum(drawn, rng.uniform(0.1, 0.6) * line / line.max())
    return np.asarray(image + drawn)


def _collimated(image: NDArray[np.float32], options: LandmarkAugmentation, rng: np.random.Generator) -> Images:
    size = image.shape[0]
    value = float(rng.choice([image.min(), image.max()]))
    for axis in (0, 1):
        for end in (0, 1):
            if rng.random() < options.borders:
                width = int(rng.integers(1, max(2, size // 12)))
                place = slice(0, width) if end == 0 else slice(size - width, size)
                image[(place, slice(None)) if axis == 0 else (slice(None), place)] = value
    return image
