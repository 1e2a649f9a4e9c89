"""Hip bones and proximal femurs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.simulation.canvas import ANATOMY, Canvas, FloatArray, Layer, Region
from training.simulation.ilium import Ilium
from training.simulation.shapes import Capsule, merge, smooth_min
from training.simulation.tissue import CARTILAGE_HU, CORTICAL_HU, METAL_HU
from training.simulation.torso import paint_union, rod

HIP_MM = (81.0, -25.0, -95.0)
"""The hip joint beside, behind and above the centre of S1, for a skeleton of scale 1."""
# Points of the hip bone below the wing, relative to the centre of S1, and radii: columns beside the socket, ischium, pubis.
_POSTERIOR_COLUMN = ((75, 4, -56, 10), (71, 10, -76, 12), (64, 17, -96, 11), (60, 23, -118, 12.5), (57, 22, -140, 13), (52, 14, -152, 10))
_ANTERIOR_COLUMN = ((80, -42, -70, 11), (67, -48, -88, 11), (52, -56, -101, 8), (27, -67, -112, 7), (13, -69, -120, 8))
_PUBIS = ((12.5, -65, -120, 8.5), (13, -57, -139, 7.5))
_LOWER_RAMUS = ((14, -55, -141, 6), (32, -22, -152, 5.5), (50, 10, -152, 8.5))
_HEAD_MM, _GAP_MM, _SOCKET_MM = 23.5, 27.0, 35.0
"""Radii of the femoral head, of the joint and of the bone around it."""


def paint_hips(canvas: Canvas, ilium: Ilium, base_hu: float, *, prosthesis: bool) -> None:
    """Paint both hip bones and proximal femurs; the right femoral head may be metal."""
    for sign in (-1.0, 1.0):
        hip = ilium.s1 + np.array([sign, 1.0, 1.0]) * np.array(HIP_MM) * ilium.scale
        _paint_hip_bone(canvas, ilium, hip, sign, base_hu)
        _paint_joint(canvas, hip, sign, ilium.scale)
        _paint_femur(canvas, hip, sign, ilium.scale, base_hu, metal=prosthesis and sign < 0)


def _paint_hip_bone(canvas: Canvas, ilium: Ilium, hip: NDArray[np.float64], sign: float, base_hu: float) -> None:
    """Wing, columns, socket, ischium and pubis as one solid under one cortex."""
    s, s1 = ilium.scale, ilium.s1
    low, high = sorted((sign * 2 * s, sign * 145 * s))
    region = Region(frame=ANATOMY, low=(low, s1[1] - 96 * s, s1[2] - 164 * s), high=(high, s1[1] + 72 * s, s1[2] + 63 * s))
    box = canvas.box(region)
    if box is None:
        return
    x, y, z = canvas.coordinates(ANATOMY, box)
    wing = ilium.distance(np.float32(sign) * x, y, z)
    distance: FloatArray = np.array(np.broadcast_to(wing, tuple(part.stop - part.start for part in box)))
    rods = [part for chain in (_POSTERIOR_COLUMN, _ANTERIOR_COLUMN, _PUBIS, _LOWER_RAMUS) for part in _chain(ilium, sign, chain)]
    for part in rods:
        merge(canvas, box, distance, part, seam_mm=5.0 * s)
    local = _ball(x, y, z, hip)
    merged = smooth_min(distance, np.maximum(local - _SOCKET_MM * s, _opening(x, y, z, hip, sign, s)), 4.0)
    distance = np.maximum(merged, _GAP_MM * s - local)
    canvas.blend_shells(box, distance, [(0.0, CORTICAL_HU), (1.6, 0.7 * base_hu + 45), (4.5, 0.5 * base_hu + 10)])


def _chain(ilium: Ilium, sign: float, points: Sequence[tuple[float, float, float, float]]) -> list[Capsule]:
    s = ilium.scale
    places = [ilium.s1 + np.array([sign * x, y, z]) * s for x, y, z, _ in points]
    return [rod(places[n], places[n + 1], (points[n][3] * s, points[n + 1][3] * s)) for n in range(len(points) - 1)]


def _ball(x: FloatArray, y: FloatArray, z: FloatArray, centre: NDArray[np.float64]) -> FloatArray:
    return np.asarray(np.sqrt((x - float(centre[0])) ** 2 + (y - float(centre[1])) ** 2 + (z - float(centre[2])) ** 2), dtype=np.float32)


def _opening(x: FloatArray, y: FloatArray, z: FloatArray, hip: NDArray[np.float64], sign: float, scale: float) -> FloatArray:
    """The plane that cuts the socket open: outwards, downwards and forwards."""
    out = sign * (x - float(hip[0])) * 0.74 - (z - float(hip[2])) * 0.55 - (y - float(hip[1])) * 0.38
    return np.asarray(out - 5 * scale, dtype=np.float32)


def _paint_joint(canvas: Canvas, hip: NDArray[np.float64], sign: float, scale: float) -> None:
    """Cartilage and capsule between head and socket."""
    radius = _GAP_MM * scale

    def layers(x: FloatArray, y: FloatArray, z: FloatArray) -> Sequence[Layer]:
        return [(np.maximum(_ball(x, y, z, hip) - radius, _opening(x, y, z, hip, sign, scale) - 4), CARTILAGE_HU - 30)]

    with canvas.marking(0):
        canvas.paint(Region(frame=ANATOMY, low=_triple(hip - radius), high=_triple(hip + radius)), layers)


def _paint_femur(canvas: Canvas, hip: NDArray[np.float64], sign: float, scale: float, base_hu: float, *, metal: bool) -> None:
    s = scale

    def at(x: float, y: float, z: float) -> NDArray[np.float64]:
        return np.asarray(hip + np.array([sign * x, y, z]) * s)

    head = [rod(hip, at(1, 0, -1), (_HEAD_MM * s, _HEAD_MM * s))]
    shaft = [
        rod(at(8, 2, -6), at(38, 8, -25), (16 * s, 15 * s)),
        rod(at(46, 16, -10), at(46, 12, -34), (11 * s, 16 * s)),
        rod(at(42, 10, -34), at(38, 4, -70), (18 * s, 14.5 * s)),
        rod(at(38, 4, -70), at(32, -4, -180), (14.5 * s, 13.5 * s)),
        rod(at(30, 16, -58), at(32, 14, -62), (10 * s, 10 * s)),
    ]
    if metal:
        _paint_bone(canvas, shaft, base_hu)
        with canvas.marking(None):
            for part in (head[0], rod(hip, at(38, 6, -26), (7 * s, 7 * s)), rod(at(38, 6, -26), at(38, 2, -140), (7 * s, 5 * s))):
                paint_union(canvas, [part], METAL_HU)
    else:
        _paint_bone(canvas, [*head, *shaft], base_hu)


def _paint_bone(canvas: Canvas, rods: Sequence[Capsule], base_hu: float) -> None:
    """Cortex, then a dense and a porous inside: yellow marrow fills the middle of the femur."""
    paint_union(canvas, rods, CORTICAL_HU, 1.1 * base_hu + 90, 0.9 * base_hu + 50, 0.8 * base_hu - 10, step_mm=2.2)


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))
