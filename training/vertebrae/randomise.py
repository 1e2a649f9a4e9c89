"""Domain randomisation: what a scanner, an injection and a field of view may do to a painted patch, drawn anew each time.

The point is not to look real but to be wider than reality: a network that has seen bone of 15 HU and of 300 HU, hearts of 60 HU and of
600 HU, blurred and sharpened, has nothing left to be surprised by (Billot et al. 2023, SynthSeg, for the principle).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.simulation.body import Structure
from training.vertebrae.anatomy import AnatomyCase

AIR_HU = -1000.0
Floats = NDArray[np.float32]
Labels = NDArray[np.uint8]
Shape = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Randomisation:
    """How far each property may stray; chances are per patch.

    Attributes
    ----------
    rotation_deg
        Largest rotation about each axis; ``upside_chance`` turns the patch about the long axis by any angle instead (decubitus, prone).
    scale
        Range of magnification.
    bends_mm
        Smooth displacements: distance of the knots, and their largest standard deviation (:func:`bend`).
    noise_sd_hu
        Range of the noise's standard deviation.
    short_chance
        That the scan ends above and below after ``short_mm`` (range), as a stack of a few slices does.
    """

    rotation_deg: float = 16.0
    upside_chance: float = 0.0
    scale: tuple[float, float] = (0.86, 1.2)
    bends_mm: tuple[tuple[float, float], ...] = ((45.0, 4.0), (15.0, 1.2))
    gain: tuple[float, float] = (0.85, 1.15)
    shift_hu: float = 35.0
    noise_sd_hu: tuple[float, float] = (0.0, 75.0)
    crop_chance: float = 0.35
    blob_chance: float = 0.5
    thick_chance: float = 0.35
    streak_chance: float = 0.06
    spine_share: float = 0.8
    short_chance: float = 0.15
    short_mm: tuple[float, float] = (24.0, 110.0)


def draw_patch(
    case: AnatomyCase, shape: Shape, spacing_mm: float, options: Randomisation, rng: np.random.Generator
) -> tuple[Floats, Labels]:
    """One randomised patch of ``shape`` (z, y, x) at ``spacing_mm``: attenuation float32 in HU, structures uint8."""
    hu, labels = _place(case, shape, spacing_mm, options, rng)
    _change_tissues(hu, labels, rng)
    if rng.random() < options.blob_chance:
        _add_blobs(hu, labels, spacing_mm, rng)
    if rng.random() < options.streak_chance:
        _add_streaks(hu, rng)
    hu = _reconstruct(hu, options, rng)
    hu = hu * np.float32(rng.uniform(*options.gain)) + np.float32(rng.uniform(-options.shift_hu, options.shift_hu))
    if rng.random() < options.crop_chance:
        _crop(hu, labels, spacing_mm, rng)
    if rng.random() < options.short_chance:
        _shorten(hu, labels, rng.uniform(*options.short_mm) / spacing_mm, rng)
    return np.maximum(hu, np.float32(-1024.0)), labels


def _place(case: AnatomyCase, shape: Shape, spacing_mm: float, options: Randomisation, rng: np.random.Generator) -> tuple[Floats, Labels]:
    """Rotate, magnify, mirror and cut; ``spine_share`` of the patches are centred near a body, a disc or the sacrum."""
    near_spine = rng.random() < options.spine_share
    centre = _spine_point(case.structures, rng) if near_spine else rng.uniform((0, 0, 0), case.structures.shape)
    centre = centre + rng.normal(0, 22.0 / case.spacing_mm, 3)
    angles = np.radians(rng.uniform(-options.rotation_deg, options.rotation_deg, 3))
    if rng.random() < options.upside_chance:
        angles[2] = rng.uniform(-np.pi, np.pi)
    mirror = np.diag([1.0, 1.0, float(rng.choice([-1.0, 1.0]))])
    matrix = rotation_zyx(angles) @ mirror * (spacing_mm / case.spacing_mm / rng.uniform(*options.scale))
    places = np.tensordot(matrix.astype(np.float32), np.indices(shape, dtype=np.float32), axes=1)
    places += (centre - matrix @ (np.array(shape) / 2)).astype(np.float32)[:, None, None, None]
    for step_mm, sd_mm in options.bends_mm:
        places += bend(shape, step_mm / spacing_mm, rng.uniform(0, sd_mm) / case.spacing_mm, rng)
    hu = ndimage.map_coordinates(case.hu, places, np.float32, order=1, mode="constant", cval=AIR_HU)
    labels = ndimage.map_coordinates(case.structures, places, np.uint8, order=0, mode="constant", cval=0)
    return hu, labels


def bend(shape: Shape, step: float, sd: float, rng: np.random.Generator) -> Floats:
    """(3, z, y, x) smooth displacement, a cubic B-spline over knots ``step`` voxels apart; no shape is ever drawn twice.

    ``sd`` is the knots' standard deviation; the spline averages them, so that the field's own is about a third of it.
    """
    along_z, along_y, along_x = (_knot_weights(size, step, float(rng.uniform())) for size in shape)
    knots = rng.standard_normal((3, along_z.shape[1], along_y.shape[1], along_x.shape[1])).astype(np.float32) * np.float32(sd)
    return np.asarray(np.einsum("nabc,za,yb,xc->nzyx", knots, along_z, along_y, along_x, optimize=True), dtype=np.float32)


def _knot_weights(size: int, step: float, first: float) -> Floats:
    """(size, knots) cubic B-spline weights of knots ``step`` apart, the first one ``first`` steps before the first voxel."""
    places = np.arange(size) / step + first
    count = int(np.ceil(places[-1])) + 3
    distance = np.abs(places[:, None] - (np.arange(count) - 1)[None])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)


def rotation_zyx(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) rotation of (z, y, x) coordinates by angles about x (sagittal), y (coronal) and z (axial), radians."""
    about_x, about_y, about_z = angles
    sagittal = np.array([[np.cos(about_x), -np.sin(about_x), 0], [np.sin(about_x), np.cos(about_x), 0], [0, 0, 1]])
    coronal = np.array([[np.cos(about_y), 0, -np.sin(about_y)], [0, 1, 0], [np.sin(about_y), 0, np.cos(about_y)]])
    axial = np.array([[1, 0, 0], [0, np.cos(about_z), -np.sin(about_z)], [0, np.sin(about_z), np.cos(about_z)]])
    return np.asarray(axial @ coronal @ sagittal)


def _spine_point(structures: Labels, rng: np.random.Generator) -> NDArray[np.float64]:
    """A random voxel of the column on a random slice that shows it."""
    column = (structures == Structure.BODY) | (structures == Structure.DISC) | (structures == Structure.SACRUM)
    slices = np.flatnonzero(column.any(axis=(1, 2)))
    z = int(rng.choice(slices))
    y, x = np.nonzero(column[z])
    return np.array([z, y.mean(), x.mean()])


def _change_tissues(hu: Floats, labels: Labels, rng: np.random.Generator) -> None:
    """Give bone, discs and enhanced tissue another attenuation than they were painted with."""
    bone = (labels != Structure.BACKGROUND) & (labels != Structure.DISC)
    pivot = np.float32(rng.uniform(10, 60))
    hu[bone] = pivot + (hu[bone] - pivot) * np.float32(rng.uniform(0.55, 1.3))
    disc = labels == Structure.DISC
    hu[disc] += np.float32(rng.uniform(-45, 40))
    soft = labels == Structure.BACKGROUND
    enhanced = soft & (hu > 75)
    hu[enhanced] = 60 + (hu[enhanced] - 60) * np.float32(rng.uniform(0.2, 2.2))
    tissue = soft & (hu > -150) & (hu < 75)
    hu[tissue] += np.float32(rng.uniform(-25, 25))


def _add_blobs(hu: Floats, labels: Labels, spacing_mm: float, rng: np.random.Generator) -> None:
    """Rounded things in the soft tissue: enhanced chambers and vessels, oral contrast, calcifications, gas."""
    grid = [np.arange(n, dtype=np.float32)[tuple(slice(None) if a == axis else None for a in range(3))] for axis, n in enumerate(hu.shape)]
    soft = labels == Structure.BACKGROUND
    for _ in range(int(rng.integers(1, 7))):
        semi = rng.uniform(4, 45, 3) / spacing_mm
        if rng.random() < 0.3:
            semi[0] *= 4.0  # a vessel
        centre = rng.uniform((0, 0, 0), hu.shape)
        ratio = sum(((axis - float(c)) / float(s)) ** 2 for axis, c, s in zip(grid, centre, semi, strict=True))
        inside = soft & (ratio < 1.0) & (hu > -300)
        hu[inside] = np.float32(rng.choice([rng.uniform(60, 650), rng.uniform(-900, -100), rng.uniform(100, 250)]))


def _add_streaks(hu: Floats, rng: np.random.Generator) -> None:
    """Metal with the fans of dark and bright that it throws in its slices."""
    z, y, x = (int(rng.integers(0, n)) for n in hu.shape)
    half = int(rng.integers(1, 6))
    rows, columns = np.ogrid[: hu.shape[1], : hu.shape[2]]
    angle = np.arctan2(rows - y, columns - x)
    distance = np.hypot(rows - y, columns - x)
    fan = np.sin(angle * float(rng.integers(3, 9)) + rng.uniform(0, 6)) * rng.uniform(60, 400) * np.exp(-distance / rng.uniform(10, 30))
    low, high = max(0, z - half), z + half
    hu[low:high] += fan.astype(np.float32)
    hu[low:high, max(0, y - 2) : y + 2, max(0, x - 2) : x + 2] = 3000.0


def _reconstruct(hu: Floats, options: Randomisation, rng: np.random.Generator) -> Floats:
    """Kernel, slice thickness and noise."""
    kernel = rng.random()
    if kernel < 0.45:
        hu = ndimage.gaussian_filter(hu, float(rng.uniform(0.2, 0.9)))
    elif kernel < 0.65:
        hu = hu + np.float32(rng.uniform(0.3, 1.2)) * (hu - ndimage.gaussian_filter(hu, 0.8))
    if rng.random() < options.thick_chance:
        hu = ndimage.uniform_filter1d(hu, int(rng.choice([2, 3])), axis=0)
    sd = float(rng.uniform(*options.noise_sd_hu))
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    smooth = float(rng.uniform(0, 0.9))
    if smooth > 0.25:
        noise = ndimage.gaussian_filter(noise, smooth)
        noise /= max(float(noise.std()), 1e-6)
    return np.asarray(hu + np.float32(sd) * noise, dtype=np.float32)


def _crop(hu: Floats, labels: Labels, spacing_mm: float, rng: np.random.Generator) -> None:
    """A small reconstruction circle, a square, or the end of the scan: nothing is labelled where nothing is seen."""
    outside = np.zeros(hu.shape, dtype=bool)
    kind = rng.random()
    rows, columns = np.ogrid[: hu.shape[1], : hu.shape[2]]
    y, x = (n / 2 + rng.normal(0, 25 / spacing_mm) for n in hu.shape[1:])
    radius = rng.uniform(45, 110) / spacing_mm
    if kind < 0.35:
        outside |= (np.hypot(rows - y, columns - x) > radius)[None]
    elif kind < 0.6:
        outside |= (np.maximum(np.abs(rows - y), np.abs(columns - x)) > radius * 0.8)[None]
    if kind > 0.5:
        end = int(rng.integers(0, hu.shape[0] // 2))
        outside[:end] = True
        if rng.random() < 0.5:
            outside[hu.shape[0] - int(rng.integers(0, hu.shape[0] // 3 + 1)) :] = True
    hu[outside] = AIR_HU
    labels[outside] = Structure.BACKGROUND


def _shorten(hu: Floats, labels: Labels, slices: float, rng: np.random.Generator) -> None:
    """Leave this many slices somewhere in the patch."""
    visible = max(4, min(round(slices), hu.shape[0]))
    first = int(rng.integers(0, hu.shape[0] - visible + 1))
    for outside in (slice(0, first), slice(first + visible, None)):
        hu[outside] = AIR_HU
        labels[outside] = Structure.BACKGROUND
