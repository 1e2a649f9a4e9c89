"""The shoulder girdle: soft tissue, clavicles, shoulder blades, proximal humeri, and the breastbone that carries them."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from training.simulation.canvas import Canvas
from training.simulation.shapes import Capsule
from training.simulation.spine import Spine
from training.simulation.thorax import on_cage
from training.simulation.tissue import CORTICAL_HU, FAT_HU, SKIN_HU, Tissues
from training.simulation.torso import SKIN_MM, Torso, paint_union, rod

Point = NDArray[np.float64]
REACH_MM = 232.0
"""How far a shoulder reaches from the midline with the arm hanging, without its fat, for a skeleton of scale 1."""
_HEAD_MM = 24.0


def humeral_head(spine: Spine, scale: float, sign: float) -> Point:
    """Centre of the humeral head, mm."""
    return _at(spine, "T3", (sign * 168, -10, 8), scale)


def clavicle_points(torso: Torso, spine: Spine, sign: float) -> Point:
    """(5, 3) points along one clavicle, from the sternum outwards, mm."""
    s = torso.scale
    medial = _manubrium(torso, spine)[0] + np.array([sign * 27, 2, 1]) * s
    last = _at(spine, "T2", (sign * 150, -10, 14), s)
    bow = np.array([[0, 0, 0], [0, -3, 4], [0, -2, 4], [0, 3, 2], [0, 0, 0]]) * s
    return np.asarray(medial + np.linspace(0, 1, 5)[:, None] * (last - medial) + bow)


def paint_shoulders(canvas: Canvas, torso: Torso, spine: Spine, *, arms_raised: bool) -> None:
    """Paint skin and fat of shoulders and upper arms; the trunk is painted over them."""
    s = torso.scale
    height = np.array([spine.level("T4").frame.origin[2]], dtype=np.float32)
    fat = min(0.8 * float(torso.fat(height)[0]), 18.0)
    for sign in (-1.0, 1.0):
        head = humeral_head(spine, s, sign)
        rods = [
            rod(_at(spine, "T2", (sign * 60, -2, 8), s), head, (42 * s + fat, 46 * s + fat)),
            rod(_at(spine, "T5", (sign * 105, -20, 0), s), head, (50 * s + fat, 42 * s + fat)),
            *_arm(head, sign, s, 42 * s + fat, arms_raised=arms_raised),
        ]
        paint_union(canvas, rods, SKIN_HU, FAT_HU, step_mm=SKIN_MM)


def paint_shoulder_muscles(canvas: Canvas, torso: Torso, spine: Spine, table: Tissues, *, arms_raised: bool) -> None:
    """Paint the muscles that join shoulder and trunk, with fat between them."""
    s = torso.scale
    for sign in (-1.0, 1.0):
        head = humeral_head(spine, s, sign)
        rods = [
            rod(_at(spine, "T2", (sign * 60, 4, 8), s), head, (34 * s, 41 * s)),
            rod(_at(spine, "T5", (sign * 100, -60, 0), s), head + np.array([0, -12, -10]) * s, (14 * s, 16 * s), (1.6, 1.0, 2.0)),
            rod(_at(spine, "T5", (sign * 112, 36, 0), s), head + np.array([-sign * 6, 8, -10]) * s, (17 * s, 22 * s), (1.5, 1.0, 2.0)),
            *_arm(head, sign, s, 39 * s, arms_raised=arms_raised),
        ]
        paint_union(canvas, rods, table.muscle)
        planes = [
            rod(head + np.array([-sign * 20, -30, -8]) * s, head + np.array([-sign * 60, -36, -34]) * s, (3 * s, 3 * s), (1.0, 0.8, 3.0)),
            rod(head + np.array([-sign * 36, 2, -34]) * s, head + np.array([-sign * 62, 0, -60]) * s, (9 * s, 8 * s)),
            rod(head + np.array([sign * 4, 30, -24]) * s, head + np.array([-sign * 46, 30, -40]) * s, (2.5 * s, 2.5 * s), (1.0, 0.8, 4.0)),
        ]
        paint_union(canvas, planes, FAT_HU)


def paint_girdle(canvas: Canvas, torso: Torso, spine: Spine, base_hu: float, *, arms_raised: bool) -> None:
    """Paint breastbone, clavicles, shoulder blades and humeri."""
    s = torso.scale
    sternum = [
        rod(a, b, (5.5 * s, 5.5 * s), (float(wide), 1.0, 1.0)) for (a, b), wide in zip(_sternal_pieces(torso, spine), _WIDE, strict=True)
    ]
    paint_union(canvas, sternum, 0.75 * CORTICAL_HU, 0.6 * base_hu + 30, step_mm=1.2)
    for sign in (-1.0, 1.0):
        bow = clavicle_points(torso, spine, sign)
        radii = np.array([9.0, 6.0, 5.2, 5.6, 6.5]) * s
        parts = [rod(bow[n], bow[n + 1], (float(radii[n]), float(radii[n + 1]))) for n in range(4)]
        paint_union(canvas, parts, CORTICAL_HU, CORTICAL_HU, 0.8 * base_hu + 60, step_mm=1.0)
        paint_union(canvas, _blade(torso, spine, sign), 0.85 * CORTICAL_HU, 0.7 * base_hu + 90, step_mm=1.4)
        head = humeral_head(spine, s, sign)
        humerus = [rod(head, head, (_HEAD_MM * s, _HEAD_MM * s)), *_arm(head, sign, s, 13 * s, arms_raised=arms_raised)]
        paint_union(canvas, humerus, CORTICAL_HU, 0.8 * base_hu + 60, 0.6 * base_hu - 10, step_mm=2.0)


_WIDE = (4.4, 3.6, 2.6, 2.8, 3.2, 3.0, 1.2)
"""Width over depth of the pieces of the breastbone, from the notch to the xiphoid."""


def _manubrium(torso: Torso, spine: Spine) -> list[Point]:
    heights = [float(spine.level("T3").frame.origin[2]) - 4 * torso.scale, float(spine.level("T5").frame.origin[2]) + 4 * torso.scale]
    return [on_cage(torso, np.pi, z, 1.0, 8.0 * torso.scale) * np.array([0.0, 1.0, 1.0]) for z in heights]


def _sternal_pieces(torso: Torso, spine: Spine) -> list[tuple[Point, Point]]:
    """Manubrium, body and xiphoid as straight pieces with a gap at the sternal angle."""
    s = torso.scale
    notch, angle = _manubrium(torso, spine)
    low = float(spine.level("T9").frame.origin[2])
    heights = np.linspace(angle[2] - 3 * s, low, 5)
    body = [on_cage(torso, np.pi, z, 1.0, 8.0 * s) * np.array([0.0, 1.0, 1.0]) for z in heights]
    middle = (notch + angle) / 2
    tip = body[-1] + np.array([0.0, 5.0, -26.0]) * s
    gap = np.array([0.0, 0.0, 4.0]) * s
    return [(notch - gap, middle), (middle, angle + gap), *pairwise(body), (body[-1], tip)]


def _blade(torso: Torso, spine: Spine, sign: float) -> list[Capsule]:
    """A thin triangle on the back of the cage, its spine and acromion, neck, socket and coracoid."""
    s = torso.scale
    low, high = spine.level("T8").frame.origin[2] + 4 * s, spine.level("T2").frame.origin[2] + 2 * s
    head = humeral_head(spine, s, sign)
    parts: list[Capsule] = []
    rims: list[Point] = []
    for share in np.linspace(0, 1, 8):
        z = float(low + share * (high - low))
        angles = np.linspace(36, 43 + 26 * min(share * 1.25, 1.0), 4)
        row = [on_cage(torso, np.radians(angle), z, sign, 7.0 * s) for angle in angles]
        parts += [rod(a, b, (1.7 * s, 1.7 * s), (1.0, 1.0, 6.0)) for a, b in pairwise(row)]
        rims.append(row[-1])
    parts += [rod(a, b, (4.2 * s, 4.6 * s)) for a, b in pairwise(rims)]
    socket = head + np.array([-sign * 29, 6, -2]) * s
    inner = on_cage(torso, np.radians(37), float(low + 0.72 * (high - low)), sign, 4.0 * s)
    acromion = head + np.array([sign * 4, 20, 34]) * s
    return [
        *parts,
        rod(rims[-2], socket, (7 * s, 9 * s)),
        rod(rims[-1], socket + np.array([0, 0, 6]) * s, (6 * s, 8 * s)),
        rod(socket, socket + np.array([0, 0, -12]) * s, (8 * s, 7 * s), (0.7, 1.0, 1.2)),
        rod(inner, acromion, (4 * s, 6 * s), (1.0, 1.3, 1.3)),
        rod(acromion, acromion + np.array([-sign * 2, -26, 1]) * s, (7 * s, 6 * s), (1.3, 1.0, 0.8)),
        rod(socket + np.array([0, 0, 12]) * s, socket + np.array([sign * 2, -26, 20]) * s, (6 * s, 5.5 * s)),
    ]


def _arm(head: Point, sign: float, scale: float, radius: float, *, arms_raised: bool) -> list[Capsule]:
    """From the shoulder down along the chest, or up beside the head as in a scanner."""
    steps: Sequence[tuple[float, float, float]] = ((10, 2, 14), (34, -12, 110)) if arms_raised else ((8, 2, -14), (30, 12, -150))
    points = [head, *(head + np.array([sign * x, y, z]) * scale for x, y, z in steps)]
    return [rod(a, b, (radius, radius)) for a, b in pairwise(points)]


def _at(spine: Spine, level: str, offset_mm: tuple[float, float, float], scale: float) -> Point:
    return np.asarray(spine.level(level).frame.origin * np.array([0, 1, 1]) + np.array(offset_mm) * scale)
