"""Contrast phase of a CT, estimated from the image: header tags about contrast are unreliable and only mentioned.

The aorta runs in front and to the left of the vertebral bodies as a round, homogeneous tube. It is looked for in one plane across the
spine per vertebral body, in the body's own frame, and followed from body to body. The brightest soft tissue in the renal fossae is the
second witness.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.ct.segmentation.base import Segmentation, VertebralBody
from inference.volume import Volume


class ContrastPhase(StrEnum):
    """What the blood's attenuation says."""

    NATIVE = "native"
    ARTERIAL = "arterial"
    VENOUS = "venous"
    UNKNOWN = "unknown"


NATIVE_BELOW_HU = 70.0
"""Unenhanced blood measures 35-55 HU; with a high haematocrit it stays below this."""
ENHANCED_ABOVE_HU = 95.0
"""From here on blood is enhanced beyond doubt; between the two edges the phase is unknown."""
ARTERIAL_ABOVE_HU = 200.0
"""Aortas measure about 120-190 HU in the portal venous phase, 220 HU and more in the arterial one."""
ORGAN_ENHANCED_HU = 110.0
"""No unenhanced organ beside the spine gets here (kidney 30, liver 60 HU); enhanced renal parenchyma passes it."""

STEP_MM = 1.0
SLAB_MM = (-6.0, -3.0, 0.0, 3.0, 6.0)
"""Planes averaged along the spine: the aorta runs through them, bowel does not."""
RADII_MM = (7, 9, 11, 13)
ANGLES = 24
MIN_EDGE = 0.55
"""Least part of the circle that must be an edge."""
EDGE_HU = 25.0
MAX_SD_HU = 35.0
OUTSIDE_HU = -2000.0
"""Stands for what lies beyond the volume."""

REACH_ANTERIOR_MM = (-10.0, 75.0)
REACH_LEFT_MM = (-30.0, 55.0)
FOSSA_ANTERIOR_MM = (-45.0, 20.0)
FOSSA_LEFT_MM = (32.0, 80.0)
FOSSA_RADIUS_MM = 7
BONE_HU = 220.0
"""A disc with anything brighter within 14 mm is no organ but marrow beside its cortex."""
NO_KIDNEY_LEVELS = frozenset({"L4", "L5"})
"""The iliac wings lie beside these."""
SHIFT_MM = 12.0
"""How far the aorta may move sideways from one body to the next before it costs the whole score."""


@dataclass(frozen=True, kw_only=True)
class Circle:
    """A round candidate in a body's plane: centre in mm along (anterior, left), radius, mean, and score (0 to 1)."""

    anterior_mm: float
    left_mm: float
    radius_mm: float
    mean_hu: float
    score: float


@dataclass(frozen=True, kw_only=True)
class PhaseEstimate:
    """The phase and what it rests on, in words; attenuations are None where the structure was not found."""

    phase: ContrastPhase
    because: str
    aorta_hu: float | None = None
    organ_hu: float | None = None


def estimate_phase(volume: Volume, segmentation: Segmentation) -> PhaseEstimate:
    """Estimate the contrast phase of the volume from the aorta and the renal fossae."""
    per_body = [aorta_candidates(volume, segmentation, vertebra) for vertebra in segmentation.vertebrae]
    path = follow(per_body)
    aorta_hu = float(np.median([circle.mean_hu for circle in path])) if path else None
    beside = [vertebra for vertebra in segmentation.vertebrae if vertebra.level not in NO_KIDNEY_LEVELS]
    organs = [value for vertebra in beside if (value := _fossa_hu(volume, vertebra)) is not None]
    # Kidneys lie beside three bodies or more; the marrow of an iliac wing reaches the lowest one alone
    organ_hu = sorted(organs)[-2:][0] if organs else None
    return judge(aorta_hu, len(path), organ_hu)


def judge(aorta_hu: float | None, planes: int, organ_hu: float | None) -> PhaseEstimate:
    """The phase for given attenuations of aorta (found in so many planes) and renal fossae."""
    organ_enhanced = organ_hu is not None and organ_hu >= ORGAN_ENHANCED_HU
    organ = f"; brightest organ beside the spine {organ_hu:.0f} HU" if organ_hu is not None else ""
    if aorta_hu is None:
        phase, because = ContrastPhase.UNKNOWN, f"the aorta was not found{organ}"
    else:
        seen = f"aorta {aorta_hu:.0f} HU in {planes} plane{'s' if planes != 1 else ''}"
        if aorta_hu >= ARTERIAL_ABOVE_HU:
            phase, because = ContrastPhase.ARTERIAL, f"{seen}{organ}"
        elif aorta_hu >= ENHANCED_ABOVE_HU:
            phase, because = ContrastPhase.VENOUS, f"{seen}{organ}"
        elif aorta_hu >= NATIVE_BELOW_HU:
            phase, because = ContrastPhase.UNKNOWN, f"{seen}: between unenhanced and enhanced blood{organ}"
        elif organ_enhanced:
            phase, because = ContrastPhase.UNKNOWN, f"{seen}, yet an organ beside the spine is enhanced{organ}"
        else:
            phase, because = ContrastPhase.NATIVE, f"{seen}{organ}"
    return PhaseEstimate(phase=phase, because=because, aorta_hu=aorta_hu, organ_hu=organ_hu)


def _plane(
    volume: Volume, vertebra: VertebralBody, anterior: NDArray[np.float64], left: NDArray[np.float64]
) -> NDArray[np.float32]:  # (a, l)
    """Mean of parallel planes across the spine at mid-body; :data:`OUTSIDE_HU` where any of them leaves the volume."""
    along, across = np.meshgrid(anterior, left, indexing="ij")
    flat = vertebra.centre_lps_mm + along[..., None] * vertebra.anterior + across[..., None] * vertebra.left  # (a, l, 3)
    points = np.asarray(SLAB_MM)[:, None, None, None] * vertebra.cranial + flat  # (planes, a, l, 3)
    indices = volume.to_indices(points.reshape(-1, 3)).T
    box = _box(indices, volume.hu.shape)
    local = indices - np.array([side.start for side in box])[:, None]
    values = ndimage.map_coordinates(volume.hu[box], local, order=1, mode="constant", cval=OUTSIDE_HU, output=np.float32)
    stack = values.reshape(points.shape[:3])
    return np.where(stack.min(axis=0) < -1100, np.float32(OUTSIDE_HU), stack.mean(axis=0))


def _box(indices: NDArray[np.float64], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """The part of the volume that the points touch, so that no copy of the whole is made."""
    starts = np.clip(np.floor(indices.min(axis=1)).astype(int), 0, np.asarray(shape) - 1)
    stops = np.clip(np.ceil(indices.max(axis=1)).astype(int) + 1, starts + 1, shape)
    return tuple(slice(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True))


def _front_mm(volume: Volume, segmentation: Segmentation, vertebra: VertebralBody) -> float:
    """Distance from the body's centre to its anterior wall, in the midline at mid-height."""
    along = np.arange(0.0, 40.0, STEP_MM)
    indices = np.rint(volume.to_indices(vertebra.centre_lps_mm + along[:, None] * vertebra.anterior)).astype(int)
    valid = ((indices >= 0) & (indices < volume.hu.shape)).all(axis=1)
    inside = segmentation.bodies[tuple(indices[valid].T)] == vertebra.label
    return float(along[valid][inside].max()) if inside.any() else 0.0


def aorta_candidates(volume: Volume, segmentation: Segmentation, vertebra: VertebralBody, most: int = 6) -> list[Circle]:
    """The best round, homogeneous structures in front of one body, best first, none overlapping a better one."""
    anterior = np.arange(*REACH_ANTERIOR_MM, STEP_MM)
    left = np.arange(*REACH_LEFT_MM, STEP_MM)
    plane = _plane(volume, vertebra, anterior, left)
    front = _front_mm(volume, segmentation, vertebra)
    found: list[Circle] = []
    for radius in RADII_MM:
        score, mean = circle_scores(plane, radius)
        gap = anterior - front - radius  # mm between the anterior wall and the circle
        prior = np.exp(-0.5 * ((gap - 3) / 8) ** 2)[:, None] * np.exp(-0.5 * ((left - 8) / 14) ** 2)[None, :]
        score = np.where((gap >= -3)[:, None] & (left > -12)[None, :], score * prior, 0)
        for row, column in np.argwhere((score > 0.1) & (score == ndimage.maximum_filter(score, 5))):
            found.append(
                Circle(
                    anterior_mm=float(anterior[row]),
                    left_mm=float(left[column]),
                    radius_mm=float(radius),
                    mean_hu=float(mean[row, column]),
                    score=float(score[row, column]),
                )
            )
    found.sort(key=lambda circle: -circle.score)
    kept: list[Circle] = []
    for circle in found:
        if all(np.hypot(circle.anterior_mm - other.anterior_mm, circle.left_mm - other.left_mm) > 5 for other in kept):
            kept.append(circle)
    return kept[:most]


def circle_scores(plane: NDArray[np.float32], radius: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score every pixel as the centre of a homogeneous disc with an edge around it.

    Parameters
    ----------
    plane
        Attenuation on a 1 mm grid.
    radius
        In pixels.

    Returns
    -------
    tuple
        Score (0 to 1) and mean attenuation inside 0.7 of the radius; both of the plane's shape.
    """
    mean, sd = _mean_and_sd(plane, _disc(0.7 * radius))
    edges = np.zeros(plane.shape)
    reach = radius + 4
    padded = np.pad(plane, reach, constant_values=OUTSIDE_HU)
    for angle in np.linspace(0, 2 * np.pi, ANGLES, endpoint=False):
        hit = np.zeros(plane.shape, bool)
        for distance in (radius + 1.5, radius + 3.0):
            row, column = round(distance * np.cos(angle)) + reach, round(distance * np.sin(angle)) + reach
            ring = padded[row : row + plane.shape[0], column : column + plane.shape[1]]
            hit |= (np.abs(ring - mean) > EDGE_HU) & (ring > OUTSIDE_HU)
        edges += hit
    edges /= ANGLES
    good = (edges >= MIN_EDGE) & (sd < MAX_SD_HU) & (mean > 15) & (mean < 700)
    return np.where(good, edges * np.exp(-sd / 40.0), 0.0), mean


def _disc(radius: float) -> NDArray[np.float64]:
    """A disc of this radius in pixels, summing to 1."""
    offsets = np.arange(-int(radius), int(radius) + 1)
    disc: NDArray[np.float64] = (offsets[:, None] ** 2 + offsets[None, :] ** 2 <= radius**2).astype(np.float64)
    disc /= disc.sum()
    return disc


def _mean_and_sd(plane: NDArray[np.float32], disc: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation inside the disc around every pixel; beyond the plane lies :data:`OUTSIDE_HU`."""
    image = plane.astype(np.float64)
    mean = ndimage.convolve(image, disc, mode="constant", cval=OUTSIDE_HU)
    square = ndimage.convolve(image**2, disc, mode="constant", cval=OUTSIDE_HU**2)
    return mean, np.sqrt(np.maximum(square - mean**2, 0))


def follow(per_body: Sequence[Sequence[Circle]]) -> list[Circle]:
    """The best chain of circles, at most one per body: sum of scores less sideways jumps. Bodies without a candidate are passed over."""
    chains: list[tuple[float, list[Circle]]] = []
    best: tuple[float, list[Circle]] = (0.0, [])
    for candidates in per_body:
        grown: list[tuple[float, list[Circle]]] = []
        for circle in candidates:
            options = [(total - _jump(chain[-1], circle), chain) for total, chain in chains]
            total, chain = max(options, key=lambda option: option[0], default=(0.0, []))
            grown.append((circle.score + max(total, 0.0), [*(chain if total > 0 else []), circle]))
        chains = grown or chains
        best = max([best, *grown], key=lambda option: option[0])
    return best[1]


def _jump(one: Circle, other: Circle) -> float:
    """Cost of moving from one circle to the next."""
    moved = np.hypot(one.anterior_mm - other.anterior_mm, one.left_mm - other.left_mm) / SHIFT_MM
    return float(moved**2 + abs(one.mean_hu - other.mean_hu) / 100.0)


def _fossa_hu(volume: Volume, vertebra: VertebralBody) -> float | None:
    """Attenuation of the brightest homogeneous 14 mm disc in the renal fossae of one body; None where neither is in view."""
    margin = 2 * FOSSA_RADIUS_MM
    anterior = np.arange(FOSSA_ANTERIOR_MM[0] - margin, FOSSA_ANTERIOR_MM[1] + margin, STEP_MM)
    left = np.arange(FOSSA_LEFT_MM[0] - margin, FOSSA_LEFT_MM[1] + margin, STEP_MM)
    disc = _disc(FOSSA_RADIUS_MM)
    judged = (slice(margin, -margin), slice(margin, -margin))  # the margin only shows whether bone is near
    brightest: list[float] = []
    for side in (-1.0, 1.0):
        plane = _plane(volume, vertebra, anterior, side * left)
        mean, sd = _mean_and_sd(plane, disc)
        no_bone = ndimage.maximum_filter(plane, size=2 * margin + 1, mode="nearest") < BONE_HU
        organ = mean[judged][(no_bone & (sd < 20) & (mean > 10))[judged]]
        if organ.size:
            brightest.append(float(organ.max()))
    return max(brightest, default=None)
