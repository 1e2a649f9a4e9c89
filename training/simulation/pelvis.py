"""The fused sacrum, the iliac wings, the hip joints and the proximal femurs."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from training.simulation.canvas import ANATOMY, Canvas, FloatArray, Layer, Region
from training.simulation.shapes import Capsule, ellipse, ellipsoid, smooth_max, smooth_min, union
from training.simulation.spine import Spine, Vertebra
from training.simulation.tissue import CORTICAL_HU, METAL_HU
from training.simulation.torso import Torso, iliac_x, paint_union, rod
from training.simulation.vertebra import body_distances, body_region, paint_disc

# Lateral masses S1..S4: inner and outer distance from the midline, depth behind the body's centre, radius; mm.
_ALAE = ((17.0, 50.0, 13.0, 14.5), (14.0, 40.0, 9.0, 13.0), (10.0, 30.0, 4.0, 9.0), (7.0, 22.0, 2.0, 6.5))
REMNANT_HU = 190.0
"""Between sacral segments: partly fused."""


def paint_sacrum(canvas: Canvas, spine: Spine, scale: float) -> None:
    """Paint S1 to S5 as one bone with alae, a crest and an open canal; porous alae, as in real sacra."""
    base = spine.sacrum[0].trabecular_hu
    found = union(canvas, [*_lateral_masses(spine, scale), *_crest(spine, scale), *_facets(spine.sacrum[0], scale)])
    if found is not None:
        box, distance = found
        for vertebra in spine.sacrum[:4]:
            radius = (8.0 - 1.3 * int(vertebra.name[1:])) * scale
            left, posterior, cranial = canvas.coordinates(vertebra.frame, box)
            canal = ellipse(left, posterior - vertebra.depth_mm / 2 - radius, 1.5 * radius, radius)
            near = np.abs(cranial) - vertebra.height_mm / 2 - 1
            distance = np.maximum(distance, -np.maximum(canal, near))
        canvas.blend_shells(box, distance, [(0.0, CORTICAL_HU), (1.3, 0.25 * CORTICAL_HU + 0.6 * base), (3.8, 0.5 * base + 15)])
    for above, below in pairwise(spine.sacrum):
        paint_disc(canvas, above, below, REMNANT_HU)
    for vertebra in spine.sacrum:
        _paint_segment(canvas, vertebra, base)


def paint_hips(canvas: Canvas, torso: Torso, spine: Spine, base_hu: float, prosthesis: bool) -> None:
    """Paint both hip bones and proximal femurs; the right femoral head may be metal."""
    sacrum = spine.level("S1").frame.origin
    for sign in (-1.0, 1.0):
        _paint_wing(canvas, torso, sacrum, sign, base_hu)
        hip = sacrum + np.array([sign * 90.0, -26.0, -112.0]) * torso.scale
        _paint_joint(canvas, hip, sign, torso.scale, base_hu, metal=prosthesis and sign < 0)


def _paint_segment(canvas: Canvas, vertebra: Vertebra, base: float) -> None:
    def layers(left: FloatArray, posterior: FloatArray, cranial: FloatArray) -> Sequence[Layer]:
        radial, axial = body_distances(vertebra, left, posterior, cranial)
        outer = smooth_max(radial, axial, 2.0)
        lateral = np.clip((np.abs(left) - 0.36 * vertebra.width_mm) / 3, 0, 1)
        cortex = 0.85 * CORTICAL_HU * (1 - lateral) + (0.7 * base + 40) * lateral
        return [(outer, np.asarray(cortex, dtype=np.float32)), (smooth_max(radial + 1.0, axial + 0.8, 2.0), 0.9 * base)]

    canvas.paint(body_region(vertebra), layers)


def _lateral_masses(spine: Spine, scale: float) -> list[Capsule]:
    return [
        Capsule(
            frame=vertebra.frame,
            start=(sign * inner * scale, 0.15 * vertebra.depth_mm, -1 * scale),
            end=(sign * outer * scale, (behind + 3) * scale, -7 * scale),
            radii=(radius * scale, radius * scale),
            scale=(1.0, 0.8, 1.15),
        )
        for vertebra, (inner, outer, behind, radius) in zip(spine.sacrum[:4], _ALAE, strict=True)
        for sign in (-1.0, 1.0)
    ]


def _facets(first: Vertebra, scale: float) -> list[Capsule]:
    """The superior articular processes of S1, which carry those of the last lumbar vertebra."""
    back = first.depth_mm / 2
    return [
        Capsule(
            frame=first.frame,
            start=(sign * 23 * scale, back + 8 * scale, 2 * scale),
            end=(sign * 21 * scale, back + 12 * scale, 22 * scale),
            radii=(7 * scale, 5 * scale),
        )
        for sign in (-1.0, 1.0)
    ]


def _crest(spine: Spine, scale: float) -> list[Capsule]:
    """The median crest, and the laminae that close the sacral canal."""
    return [part for number, vertebra in enumerate(spine.sacrum[:4], start=1) for part in _crest_of(vertebra, number, scale)]


def _crest_of(vertebra: Vertebra, number: int, scale: float) -> list[Capsule]:
    radius = (8.0 - 1.3 * number) * scale
    behind = vertebra.depth_mm / 2 + 2 * radius + 3 * scale
    half = vertebra.height_mm * 0.4
    ridge = Capsule(
        frame=vertebra.frame,
        start=(0, behind + (6 - number) * scale, -half),
        end=(0, behind + (7 - number) * scale, half),
        radii=(3.2 * scale, 3.2 * scale),
        scale=(1.0, 1.8, 1.0),
    )
    laminae = [
        Capsule(
            frame=vertebra.frame,
            start=(0, behind, 0),
            end=(sign * (22 - 3.5 * number) * scale, vertebra.depth_mm / 2 + 3 * scale, 0),
            radii=(2.8 * scale, 4.0 * scale),
            scale=(1.0, 1.0, 2.2),
        )
        for sign in (-1.0, 1.0)
    ]
    return [ridge, *laminae]


def _paint_wing(canvas: Canvas, torso: Torso, sacrum: NDArray[np.float64], sign: float, base_hu: float) -> None:
    """The iliac wing as a curved plate: x as a function of (y, z), a thickness, and an outline in (y, z)."""
    s = torso.scale
    centre_y, centre_z = sacrum[1] - 22 * s, sacrum[2] - 30 * s

    def layers(x: FloatArray, y: FloatArray, z: FloatArray) -> Sequence[Layer]:
        forward, up = y - float(centre_y), z - float(centre_z)
        plate = iliac_x(y - float(sacrum[1]) + 30 * s, z - torso.crest_z, s)
        outline = ellipse(forward - 0.12 * up, up, 74 * s, 78 * s)
        neck = ellipse(forward + 4 * s, up + 68 * s, 24 * s, 50 * s)
        outline = smooth_min(outline + 26 * s * np.clip(-up / (78 * s), 0, 1), neck, 12.0)
        thick = (
            4.0 + 5.0 * np.clip(-up / (70 * s), 0, 1) + 4.5 * np.clip((outline + 16) / 16, 0, 1) + 3.0 * np.clip(forward / (60 * s), 0, 1)
        ) * s
        across = (np.abs(sign * x - plate) - thick) * 0.78
        distance = smooth_max(np.asarray(across, dtype=np.float32), outline, 5.0)
        return [(distance, CORTICAL_HU), (distance + 1.25, 0.6 * base_hu + 30)]

    low, high = sorted((sign * 30 * s, sign * 165 * s))
    canvas.paint(
        Region(frame=ANATOMY, low=(low, centre_y - 95 * s, centre_z - 122 * s), high=(high, centre_y + 95 * s, centre_z + 82 * s)), layers
    )


def _paint_joint(canvas: Canvas, hip: NDArray[np.float64], sign: float, scale: float, base_hu: float, *, metal: bool) -> None:
    s = scale
    out = np.array([sign, 0.0, 0.0])
    pubis = [
        rod(hip + np.array([-sign * 18, -22, -6]) * s, hip + np.array([-sign * 80, -52, -32]) * s, (9 * s, 8 * s)),
        rod(hip + np.array([-sign * 16, 18, -18]) * s, hip + np.array([-sign * 28, 30, -75]) * s, (12 * s, 13 * s)),
        rod(hip + np.array([-sign * 82, -50, -36]) * s, hip + np.array([-sign * 34, 18, -80]) * s, (6.5 * s, 7 * s)),
        rod(hip - 22 * s * out, hip + np.array([-sign * 20, -4, 26]) * s, (14 * s, 13 * s)),
    ]
    _paint_bone(canvas, pubis, base_hu)

    def socket(left: FloatArray, posterior: FloatArray, cranial: FloatArray) -> Sequence[Layer]:
        ball = ellipsoid(left - float(hip[0]), posterior - float(hip[1]), cranial - float(hip[2]), (33 * s, 33 * s, 33 * s))
        cup = np.maximum(ball, (sign * (left - float(hip[0])) - 10 * s) * 0.8 + (float(hip[2]) - cranial) * 0.35)
        gap = ball + 6.5 * s
        shell = np.maximum(cup, -gap)
        return [(np.asarray(shell, dtype=np.float32), CORTICAL_HU * 0.9), (np.asarray(shell + 1.6, dtype=np.float32), base_hu + 60)]

    reach = 34 * s
    canvas.paint(Region(frame=ANATOMY, low=_triple(hip - reach), high=_triple(hip + reach)), socket)
    neck = hip + np.array([sign * 38, 6, -26]) * s
    femur = [
        rod(hip, hip + 0.01 * out, (24 * s, 24 * s)),
        rod(hip, neck, (16 * s, 15 * s)),
        rod(neck + np.array([sign * 8, 6, 8]) * s, neck + np.array([sign * 8, 2, -20]) * s, (15 * s, 17 * s)),
        rod(neck + np.array([sign * 6, 0, -20]) * s, neck + np.array([-sign * 2, -6, -160]) * s, (16 * s, 14 * s)),
    ]
    if metal:
        _paint_bone(canvas, femur[1:], base_hu)
        for part in (femur[0], rod(hip, neck, (7 * s, 7 * s)), rod(neck, neck + np.array([sign * 4, -3, -120]) * s, (7 * s, 5 * s))):
            with canvas.marking(None):
                paint_union(canvas, [part], METAL_HU)
    else:
        _paint_bone(canvas, femur, base_hu * 1.3 + 40)


def _paint_bone(canvas: Canvas, rods: Sequence[Capsule], inside_hu: float) -> None:
    paint_union(canvas, rods, CORTICAL_HU, inside_hu, step_mm=1.5)


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))
