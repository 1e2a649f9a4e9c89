"""One mobile vertebra on the canvas: body, arch and processes, the disc below, the canal behind."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from training.simulation.canvas import Canvas, FloatArray, Frame, Layer, Region
from training.simulation.parameters import PatientParameters
from training.simulation.shapes import Capsule, ellipse, ellipsoid, rounded, smooth_max, union
from training.simulation.spine import Spine, Vertebra
from training.simulation.tissue import (
    CEMENT_HU,
    CORD_HU,
    CSF_HU,
    DISC_HU,
    EPIDURAL_HU,
    FAT_HU,
    FOCUS_HU,
    LIGAMENT_HU,
    METAL_HU,
    VEIN_HU,
    Tissues,
)

INTERIOR_MM = 3.0
"""The truth counts trabecular bone at least this far inside the cortex."""
WALL_MM, ENDPLATE_MM, ARCH_MM = 0.9, 1.1, 1.5
"""Thickness of the cortex: of the body's wall, of its endplates, of the arch."""
_CANAL_SEMI_MM = 8.0
_WAIST = 0.10
_SUBCORTICAL, _SUBCORTICAL_MM = 0.3, 1.2
"""Trabecular bone is this much denser at the cortex, fading inwards; 2 % remain where the truth begins to count."""


@dataclass(frozen=True, kw_only=True)
class Bone:
    """The material of one body: everything that decides its attenuation at a point of its frame."""

    base_hu: float
    cortex_hu: float
    waves: NDArray[np.float64]
    """(N, 5): wave vector, phase, amplitude of the texture."""
    offset_hu: float
    cement: NDArray[np.float64]
    """(N, 6): centres and semi-axes of cement clouds."""
    focus: NDArray[np.float64]
    """(N, 6): centres and semi-axes of sclerotic foci."""


def canal_semi_mm(vertebra: Vertebra, scale: float) -> float:
    """Half-width of the spinal canal at a level."""
    if vertebra.thoracic:
        return 8.8 * scale
    return (11.0 + 0.5 * min(int(vertebra.name[1:]), 5)) * scale


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


def make_bone(vertebra: Vertebra, patient: PatientParameters, table: Tissues) -> Bone:
    """The material of one body, deterministic from the patient's seed and the level; its texture averages to zero over the interior."""
    rng = np.random.default_rng((patient.seed, 23, _number(vertebra.name)))
    base = vertebra.trabecular_hu * table.mineral_factor + table.marrow_gain
    directions = rng.normal(size=(10, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = rng.uniform(4, 16, (10, 1))
    amplitude = (4 + 0.05 * max(base, 0)) / np.sqrt(10 / 2)
    waves = np.concatenate(
        [2 * np.pi * directions / lengths, rng.uniform(0, 2 * np.pi, (10, 1)), amplitude * rng.uniform(0.5, 1.5, (10, 1))], axis=1
    )
    size = np.array([vertebra.width_mm, vertebra.depth_mm, vertebra.height_mm])
    cement = _clouds(rng, size, 4, (4.0, 8.0)) if vertebra.name in patient.cement else np.zeros((0, 6))
    focus = _clouds(rng, size, 1, (4.0, 5.5)) if vertebra.name in patient.dense_focus else np.zeros((0, 6))
    cortex = table.cortical_bone * (0.7 + 0.3 * float(np.clip(vertebra.trabecular_hu / 140, 0.3, 1.1)))
    plain = Bone(base_hu=base, cortex_hu=cortex, waves=waves, offset_hu=0.0, cement=cement, focus=focus)
    points, _ = interior_points(vertebra)
    offset = float(_texture(plain, points).mean()) if points[0].size else 0.0
    return Bone(base_hu=base, cortex_hu=cortex, waves=waves, offset_hu=-offset, cement=cement, focus=focus)


def interior_points(vertebra: Vertebra) -> tuple[tuple[FloatArray, FloatArray, FloatArray], FloatArray]:
    """A 1 mm lattice over the trabecular interior, in the vertebra's frame, and its distance to the cortex; independent of any scan."""
    region = body_region(vertebra)
    axes = [np.arange(np.ceil(low), high, 1.0, dtype=np.float32) for low, high in zip(region.low, region.high, strict=True)]
    left, posterior, cranial = np.meshgrid(*axes, indexing="ij")
    radial, axial = body_distances(vertebra, left, posterior, cranial)
    inner = inner_distance(radial, axial)
    inside = inner <= -INTERIOR_MM
    return (left[inside], posterior[inside], cranial[inside]), inner[inside]


def trabecular_hu(vertebra: Vertebra, bone: Bone, point: tuple[FloatArray, FloatArray, FloatArray], inner: FloatArray) -> FloatArray:
    """Noise-free attenuation at points of the frame, ``inner`` mm from the cortex: texture, the basivertebral vein, a focus, cement."""
    left, posterior, cranial = point
    out = (bone.base_hu + bone.offset_hu + _texture(bone, point)) * (1 + _SUBCORTICAL * np.exp(np.minimum(inner, 0) / _SUBCORTICAL_MM))
    vein = ellipsoid(left, posterior - (vertebra.depth_mm / 2 - 3), cranial, (4.0, 8.0, 1.8))
    out += np.clip(0.5 - vein / 1.5, 0, 1) * (VEIN_HU + 0.3 * bone.base_hu - out)
    for clouds, value in ((bone.focus, FOCUS_HU), (bone.cement, CEMENT_HU)):
        for cloud in clouds:
            centre, semi = cloud[:3], cloud[3:]
            distance = ellipsoid(
                left - float(centre[0]),
                posterior - float(centre[1]),
                cranial - float(centre[2]),
                (float(semi[0]), float(semi[1]), float(semi[2])),
            )
            out += np.clip(0.5 - distance / 2, 0, 1) * (value - out)
    return np.asarray(out, dtype=np.float32)


def paint_body(canvas: Canvas, vertebra: Vertebra, bone: Bone, scale: float, label: int) -> None:
    """Paint the body: cortex, open towards the pedicles, and trabecular bone."""
    pedicles = _pedicles(vertebra, scale)

    def layers(left: FloatArray, posterior: FloatArray, cranial: FloatArray) -> Sequence[Layer]:
        radial, axial = body_distances(vertebra, left, posterior, cranial)
        opening = np.minimum(*(rod.distance(left, posterior, cranial) for rod in pedicles))
        cortex = bone.cortex_hu + np.clip(0.5 - (opening + 2.0) / 1.5, 0, 1) * (1.5 * bone.base_hu - bone.cortex_hu)
        outer = smooth_max(radial, axial, 2.0)
        inner = inner_distance(radial, axial)
        inside = trabecular_hu(vertebra, bone, (left, posterior, cranial), inner)
        return [(outer, np.asarray(cortex, dtype=np.float32)), (inner, inside)]

    canvas.paint(body_region(vertebra), layers, label)


def paint_arch(canvas: Canvas, vertebra: Vertebra, bone: Bone, scale: float) -> None:
    """Paint pedicles, articular, transverse and spinous processes and laminae, leaving the canal open."""
    found = union(canvas, [*_pedicles(vertebra, scale), *_processes(vertebra, scale)])
    if found is None:
        return
    box, distance = found
    left, posterior, _ = canvas.coordinates(vertebra.frame, box)
    canal = ellipse(left, posterior - _canal_centre_mm(vertebra, scale), canal_semi_mm(vertebra, scale), _CANAL_SEMI_MM * scale)
    distance = np.maximum(distance, -canal)
    canvas.blend_shells(box, distance, [(0.0, bone.cortex_hu * 1.05), (ARCH_MM, 110.0 + 0.9 * bone.base_hu)])


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


def paint_canal(canvas: Canvas, spine: Spine, scale: float) -> None:
    """Paint ligaments, epidural fat, the dural sac and the cord (down to L1) along the whole spine."""
    tubes = [(*_canal_tube(vertebra, scale), vertebra) for vertebra in (spine.neck, *spine.vertebrae, *spine.sacrum[:4])]
    for grow, value in ((3.0, LIGAMENT_HU), (0.0, EPIDURAL_HU), (-1.2, CSF_HU)):
        _paint_rods(
            canvas, [_tube(vertebra, start, end, radius + grow * radius / 8, wide) for start, end, radius, wide, vertebra in tubes], value
        )
    cord = [
        _tube(vertebra, start, end, 4.0 * scale, 1.25) for start, end, _, _, vertebra in tubes if vertebra.thoracic or vertebra.name == "L1"
    ]
    _paint_rods(canvas, cord, CORD_HU)
    for vertebra in spine.vertebrae:
        _paint_foramina(canvas, vertebra, scale)


def paint_screws(canvas: Canvas, spine: Spine, levels: Sequence[str], scale: float) -> None:
    """Paint pedicle screws, and the rods that join the levels they sit in."""
    rods: list[Capsule] = []
    heads: dict[int, list[NDArray[np.float64]]] = {-1: [], 1: []}
    for vertebra in (vertebra for vertebra in spine.vertebrae if vertebra.name in levels):
        for pedicle in _pedicles(vertebra, scale):
            side = 1 if pedicle.start[0] > 0 else -1
            head = (pedicle.start[0] + side * 6.0 * scale, vertebra.depth_mm / 2 + 28 * scale, pedicle.start[2] + 1)
            tip = (pedicle.start[0] * 0.55, -0.15 * vertebra.depth_mm, pedicle.start[2] * 0.5)
            rods.append(Capsule(frame=vertebra.frame, start=head, end=tip, radii=(2.9, 2.4)))
            rods.append(Capsule(frame=vertebra.frame, start=head, end=head, radii=(6.0, 6.0)))
            heads[side].append(vertebra.frame.point(*head))
    anatomy = Frame(origin=np.zeros(3), axes=np.eye(3))
    for points in heads.values():
        for first, second in pairwise(points):
            rods.append(
                Capsule(
                    frame=anatomy,
                    start=(float(first[0]), float(first[1]) + 3, float(first[2])),
                    end=(float(second[0]), float(second[1]) + 3, float(second[2])),
                    radii=(2.8, 2.8),
                )
            )
    _paint_rods(canvas, rods, METAL_HU)


def _paint_rods(canvas: Canvas, rods: Sequence[Capsule], value: float) -> None:
    found = union(canvas, rods)
    if found is not None:
        canvas.blend_shells(*found, [(0.0, value)])


def _paint_foramina(canvas: Canvas, vertebra: Vertebra, scale: float) -> None:
    """Fat around the nerve root, below each pedicle."""
    side = canal_semi_mm(vertebra, scale) + 4
    centre = _canal_centre_mm(vertebra, scale)
    rods = [
        Capsule(
            frame=vertebra.frame,
            start=(sign * side, centre - 3, -0.32 * vertebra.height_mm),
            end=(sign * (side + 9), centre - 2, -0.38 * vertebra.height_mm),
            radii=(4.5 * scale, 4.5 * scale),
        )
        for sign in (-1.0, 1.0)
    ]
    _paint_rods(canvas, rods, FAT_HU + 30)


def _canal_centre_mm(vertebra: Vertebra, scale: float) -> float:
    return vertebra.depth_mm / 2 + (_CANAL_SEMI_MM + 0.3) * scale


def _canal_tube(vertebra: Vertebra, scale: float) -> tuple[tuple[float, float, float], tuple[float, float, float], float, float]:
    """Start, end, AP half-width and LR/AP ratio of the canal behind one vertebra."""
    sacral = vertebra.name.startswith("S")
    radius = (_CANAL_SEMI_MM - (1.3 * int(vertebra.name[1:]) if sacral else 0)) * scale
    wide = 1.5 if sacral else canal_semi_mm(vertebra, scale) / (_CANAL_SEMI_MM * scale)
    centre = vertebra.depth_mm / 2 + radius + 0.3
    half = vertebra.height_mm / 2 + vertebra.disc_below_mm / 2
    return (0.0, centre, -half), (0.0, centre, half), radius, wide


def _tube(vertebra: Vertebra, start: tuple[float, float, float], end: tuple[float, float, float], radius: float, wide: float) -> Capsule:
    return Capsule(frame=vertebra.frame, start=start, end=end, radii=(radius, radius), scale=(wide, 1.0, 1.0))


def _pedicle_half_mm(vertebra: Vertebra) -> float:
    if vertebra.thoracic:
        return 3.0 if int(vertebra.name[1:]) < 11 else 4.0
    return (4.0, 4.2, 5.0, 6.2, 8.0, 8.0)[int(vertebra.name[1:]) - 1]


def _pedicles(vertebra: Vertebra, scale: float) -> list[Capsule]:
    half = _pedicle_half_mm(vertebra) * scale
    side = canal_semi_mm(vertebra, scale) + half - 0.5
    high = 0.20 * vertebra.height_mm
    tall = min(6.5 * scale, 0.27 * vertebra.height_mm) / half
    back = vertebra.depth_mm / 2
    return [
        Capsule(
            frame=vertebra.frame,
            start=(sign * side * 0.95, back - 5, high),
            end=(sign * side, back + 12 * scale, high),
            radii=(half, half),
            scale=(1.0, 1.0, tall),
        )
        for sign in (-1.0, 1.0)
    ]


def _processes(vertebra: Vertebra, scale: float) -> list[Capsule]:
    """Articular pillars, laminae, transverse and spinous processes; lumbar and thoracic ones differ in direction."""
    s, back, top = scale, vertebra.depth_mm / 2, 14.0 * scale
    frame = vertebra.frame
    side = canal_semi_mm(vertebra, scale) + 2.5 * s
    slope = -24.0 if vertebra.thoracic and int(vertebra.name[1:]) < 11 else -7.0
    thin = 0.45 if vertebra.thoracic else 0.55
    rods = [
        Capsule(
            frame=frame,
            start=(0, back + 23 * s, -5 * s),
            end=(0, back + 47 * s, (slope - 3) * s),
            radii=(6.5 * s, 7.5 * s),
            scale=(thin, 1.0, 0.75 if slope < -20 else 1.1),
        )
    ]
    for sign in (-1.0, 1.0):
        pillar = (sign * side, back + 15 * s, 2 * s)
        if vertebra.thoracic:
            transverse = Capsule(frame=frame, start=pillar, end=(sign * 31 * s, back + 23 * s, 5 * s), radii=(4.5 * s, 4.5 * s))
        else:
            transverse = Capsule(
                frame=frame, start=pillar, end=(sign * 41 * s, back + 15 * s, 4 * s), radii=(4.5 * s, 3.0 * s), scale=(1.0, 0.7, 1.3)
            )
        rods += [
            transverse,
            Capsule(frame=frame, start=pillar, end=(sign * (side + 1.5 * s), back + 13 * s, top + 4 * s), radii=(5 * s, 4 * s)),
            Capsule(frame=frame, start=pillar, end=(sign * (side - 1 * s), back + 20 * s, -top - 6 * s), radii=(5 * s, 4.5 * s)),
            Capsule(
                frame=frame,
                start=(sign * (side - 1 * s), back + 17 * s, -1 * s),
                end=(0, back + 23 * s, -5 * s),
                radii=(3.4 * s, 3.4 * s),
                scale=(1.0, 1.0, 2.2),
            ),
        ]
    return rods


def _texture(bone: Bone, point: tuple[FloatArray, FloatArray, FloatArray]) -> FloatArray:
    left, posterior, cranial = point
    total: FloatArray = np.zeros(np.broadcast_shapes(left.shape, posterior.shape, cranial.shape), dtype=np.float32)
    for wave in bone.waves.tolist():
        total += np.float32(wave[4]) * np.cos(wave[0] * left + wave[1] * posterior + wave[2] * cranial + wave[3])
    return total


def _number(name: str) -> int:
    """Region and number of a level as one integer, to seed its own random stream."""
    return 100 * "CTLS".index(name[0]) + int(name[1:])


def _clouds(rng: np.random.Generator, size: NDArray[np.float64], count: int, semi: tuple[float, float]) -> NDArray[np.float64]:
    centres = rng.uniform(-0.22, 0.22, (count, 3)) * size
    semis = np.minimum(rng.uniform(*semi, (count, 3)), 0.3 * size)
    return np.concatenate([centres, semis], axis=1)
