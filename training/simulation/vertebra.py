"""The body of a mobile vertebra on the canvas, and the disc below it; what is true about its trabecular bone comes from here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.simulation.canvas import Canvas, FloatArray, Frame, Layer, Region
from training.simulation.mineral import vbmd_mg_cm3
from training.simulation.parameters import PatientParameters
from training.simulation.posterior import pedicles
from training.simulation.shapes import ellipsoid, rounded, smooth_max
from training.simulation.spine import Vertebra
from training.simulation.structure import Structure
from training.simulation.texture import draw_waves, texture_hu
from training.simulation.tissue import (
    CEMENT_HU,
    CORTICAL_HU,
    DISC_HU,
    FOCUS_HU,
    VEIN_HU,
)

Points = tuple[FloatArray, FloatArray, FloatArray]
"""Left, posterior, cranial coordinates in a vertebra's frame, mm; they broadcast."""
INTERIOR_MM = 3.0
"""The truth counts trabecular bone at least this far inside the cortex."""
WALL_MM, ENDPLATE_MM = 0.9, 1.1
"""Thickness of the cortex: of the wall and of the endplates."""
_WAIST = 0.10
_SUBCORTICAL, _SUBCORTICAL_MM = 0.25, 1.0
"""Trabecular bone is this much denser at the cortex, fading inwards; 1 % remains where the truth begins to count."""


@dataclass(frozen=True, kw_only=True)
class Bone:
    """The material of one body: everything that decides its attenuation at a point of its frame, at 120 kVp without contrast."""

    base_hu: float
    cortex_hu: float
    waves: NDArray[np.float64]
    """(N, 5): wave vector, phase, amplitude of :mod:`training.simulation.texture`."""
    offset_hu: float
    cement: NDArray[np.float64]
    """(N, 6): centres and semi-axes of cement clouds."""
    focus: NDArray[np.float64]
    """(N, 6): centres and semi-axes of sclerotic foci."""


def body_distances(vertebra: Vertebra, left: FloatArray, posterior: FloatArray, cranial: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Signed distances to the side wall and to the endplates of the body, mm."""
    depth, top = vertebra.depth_mm, vertebra.height_mm / 2
    waist = 1 - _WAIST * np.clip(1 - (cranial / top) ** 2, 0, 1)
    centre = 0.08 * depth
    semi_left, semi_posterior = vertebra.width_mm / 2, 0.58 * depth
    forward = posterior - centre
    side = rounded(left / waist, forward / waist, semi_left, semi_posterior)
    groove = 2.0 * np.exp(-((left / 9) ** 2))
    wall = posterior - (depth / 2 - groove - 0.8 * (1 - waist) / _WAIST)
    radial = smooth_max(side, np.asarray(wall, dtype=np.float32), 5.0)
    fraction = np.clip(posterior / depth + 0.5, 0, 1)
    half = 0.5 * (vertebra.anterior_mm + (vertebra.posterior_mm - vertebra.anterior_mm) * fraction)
    central = np.clip(1 - (left / semi_left) ** 2 - (forward / semi_posterior) ** 2, 0, 1)
    dip = (vertebra.height_mm - vertebra.middle_mm) / 2 * np.sqrt(central)
    axial = np.abs(cranial) - (half - dip)
    return radial, np.asarray(axial, dtype=np.float32)


def inner_distance(radial: FloatArray, axial: FloatArray) -> FloatArray:
    """Signed distance to the trabecular inside of the cortex; the wide rounding leaves a thick rim, as the ring apophysis does."""
    return smooth_max(radial + WALL_MM, axial + ENDPLATE_MM, 6.0)


def body_region(vertebra: Vertebra) -> Region:
    """The box of the body."""
    reach = (vertebra.width_mm / 2 + 1, vertebra.depth_mm / 2 + 1, max(vertebra.anterior_mm, vertebra.posterior_mm) / 2 + 1)
    return Region(frame=vertebra.frame, low=(-reach[0], -reach[1], -reach[2]), high=reach)


def make_bone(vertebra: Vertebra, patient: PatientParameters) -> Bone:
    """The material of one body, deterministic from the patient's seed and the level; its texture averages to zero over the interior."""
    rng = np.random.default_rng((patient.seed, 23, _number(vertebra.name)))
    base = vertebra.trabecular_hu
    waves = draw_waves(rng, vbmd_mg_cm3(base))
    size = np.array([vertebra.width_mm, vertebra.depth_mm, vertebra.height_mm])
    cement = _clouds(rng, size, 4, (4.0, 8.0)) if vertebra.name in patient.cement else np.zeros((0, 6))
    focus = _clouds(rng, size, 1, (4.0, 5.5)) if vertebra.name in patient.dense_focus else np.zeros((0, 6))
    cortex = CORTICAL_HU * (0.7 + 0.3 * float(np.clip(vertebra.trabecular_hu / 140, 0.3, 1.1)))
    points, _ = interior_points(vertebra)
    offset = float(texture_hu(waves, points).mean()) if points[0].size else 0.0
    return Bone(base_hu=base, cortex_hu=cortex, waves=waves, offset_hu=-offset, cement=cement, focus=focus)


def interior_points(vertebra: Vertebra) -> tuple[Points, FloatArray]:
    """A 1 mm lattice over the trabecular interior, in the vertebra's frame, and its distance to the cortex; independent of any scan."""
    region = body_region(vertebra)
    axes = [np.arange(np.ceil(low), high, 1.0, dtype=np.float32) for low, high in zip(region.low, region.high, strict=True)]
    left, posterior, cranial = np.meshgrid(*axes, indexing="ij")
    radial, axial = body_distances(vertebra, left, posterior, cranial)
    inner = inner_distance(radial, axial)
    inside = inner <= -INTERIOR_MM
    return (left[inside], posterior[inside], cranial[inside]), inner[inside]


def trabecular_hu(vertebra: Vertebra, bone: Bone, point: Points, inner: FloatArray) -> FloatArray:
    """Attenuation at 120 kVp without contrast, ``inner`` mm from the cortex, at points of the frame: texture, basivertebral vein, focus."""
    left, posterior, cranial = point
    out = (bone.base_hu + bone.offset_hu + texture_hu(bone.waves, point)) * (
        1 + _SUBCORTICAL * np.exp(np.minimum(inner, 0) / _SUBCORTICAL_MM)
    )
    vein = ellipsoid(left, posterior - (vertebra.depth_mm / 2 - 3), cranial, (4.0, 8.0, 1.8))
    out += np.clip(0.5 - vein / 1.5, 0, 1) * (VEIN_HU + 0.3 * bone.base_hu - out)
    for cloud in bone.focus:
        out += np.clip(0.5 - _cloud(cloud, point) / 2, 0, 1) * (FOCUS_HU - out)
    return np.asarray(out, dtype=np.float32)


def cement_share(bone: Bone, point: Points) -> FloatArray:
    """Fraction of cement at points of the frame."""
    free: FloatArray = np.ones(np.broadcast_shapes(*(axis.shape for axis in point)), dtype=np.float32)
    for cloud in bone.cement:
        free *= 1 - np.clip(0.5 - _cloud(cloud, point) / 2, 0, 1)
    return np.asarray(1 - free, dtype=np.float32)


def paint_body(canvas: Canvas, vertebra: Vertebra, bone: Bone, scale: float, label: int) -> None:
    """Paint the body: cortex, open towards the pedicles, trabecular bone, and cement in it."""
    roots = pedicles(vertebra, scale)

    def layers(left: FloatArray, posterior: FloatArray, cranial: FloatArray) -> Sequence[Layer]:
        radial, axial = body_distances(vertebra, left, posterior, cranial)
        opening = np.minimum(*(rod.distance(left, posterior, cranial) for rod in roots))
        cortex = bone.cortex_hu + np.clip(0.5 - (opening + 2.0) / 1.5, 0, 1) * (1.5 * bone.base_hu - bone.cortex_hu)
        outer = smooth_max(radial, axial, 2.0)
        inner = inner_distance(radial, axial)
        inside = trabecular_hu(vertebra, bone, (left, posterior, cranial), inner)
        return [(outer, np.asarray(cortex, dtype=np.float32)), (inner, inside)]

    def cement(left: FloatArray, posterior: FloatArray, cranial: FloatArray) -> Sequence[Layer]:
        clouds = np.minimum.reduce([_cloud(cloud, (left, posterior, cranial)) for cloud in bone.cement])
        return [(np.maximum(clouds, inner_distance(*body_distances(vertebra, left, posterior, cranial))), CEMENT_HU)]

    with canvas.marking(Structure.BODY, mineralised=True):
        canvas.paint(body_region(vertebra), layers, label)
    if len(bone.cement):
        with canvas.marking(None):
            canvas.paint(body_region(vertebra), cement)


def paint_disc(canvas: Canvas, above: Vertebra, below: Vertebra, hu: float = DISC_HU) -> None:
    """Paint the disc between two bodies. It reaches into both, which are painted over it."""
    top = above.frame.point(0, 0, -above.height_mm / 2)
    bottom = below.frame.point(0, 0, below.height_mm / 2)
    gap = float(np.linalg.norm(top - bottom))
    mean = above.frame.axes + below.frame.axes
    u, _, vt = np.linalg.svd(mean)
    frame = Frame(origin=(top + bottom) / 2, axes=u @ vt)
    width, depth = (above.width_mm + below.width_mm) / 2, (above.depth_mm + below.depth_mm) / 2
    lean = float(np.arccos(np.clip(above.frame.axes[:, 2] @ below.frame.axes[:, 2], -1, 1)))
    half = gap / 2 + depth / 4 * lean + 2.5

    def layers(left: FloatArray, posterior: FloatArray, cranial: FloatArray) -> Sequence[Layer]:
        bulge = 1.05 - 0.10 * np.clip(np.abs(cranial) / half, 0, 1) ** 2
        side = rounded(left / bulge, (posterior - 0.08 * depth) / bulge, width / 2, 0.58 * depth)
        wall = posterior - (0.51 * depth - 1.0 * np.exp(-((left / 9) ** 2)))
        radial = smooth_max(side, np.asarray(wall, dtype=np.float32), 4.0)
        outer = smooth_max(radial, np.asarray(np.abs(cranial) - half, dtype=np.float32), 2.0)
        return [(outer, hu + 14.0), (outer + 7.0, hu - 4.0)]

    canvas.paint(Region(frame=frame, low=(-width * 0.55, -depth * 0.6, -half), high=(width * 0.55, depth * 0.6, half)), layers)


def _cloud(cloud: NDArray[np.float64], point: Points) -> FloatArray:
    """Signed distance to an ellipsoid of six numbers: centre and semi-axes."""
    first, second, third = (axis - float(centre) for axis, centre in zip(point, cloud[:3], strict=True))
    return ellipsoid(first, second, third, (float(cloud[3]), float(cloud[4]), float(cloud[5])))


def _number(name: str) -> int:
    """Region and number of a level as one integer, to seed its own random stream."""
    return 100 * "CTLS".index(name[0]) + int(name[1:])


def _clouds(rng: np.random.Generator, size: NDArray[np.float64], count: int, semi: tuple[float, float]) -> NDArray[np.float64]:
    centres = rng.uniform(-0.22, 0.22, (count, 3)) * size
    semis = np.minimum(rng.uniform(*semi, (count, 3)), 0.3 * size)
    return np.concatenate([centres, semis], axis=1)
