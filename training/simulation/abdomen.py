"""Organs and bowel of the abdomen, clipped to its cavity."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.simulation.canvas import ANATOMY, Canvas, FloatArray, Frame, Layer, Region
from training.simulation.shapes import ellipsoid, smooth_max
from training.simulation.spine import Spine, rotation
from training.simulation.tissue import FAT_HU, GAS_HU, URINE_HU, Tissues
from training.simulation.torso import Torso, paint_union, rod

Semi = tuple[float, float, float]


def paint_organs(canvas: Canvas, torso: Torso, spine: Spine, table: Tissues) -> None:
    """Paint liver, spleen, stomach, pancreas, kidneys, bladder."""
    s = torso.scale
    t11, l1, l3, s1 = (spine.level(name).frame.origin for name in ("T11", "L1", "L3", "S1"))
    clip = _Clip(canvas, torso)
    clip.paint(t11 + _mm(s, -78, -55, -10), (100 * s, 108 * s, 94 * s), [(0.0, table.liver)], rotation(0, 18, 0))
    clip.paint(t11 + _mm(s, 5, -112, 8), (92 * s, 58 * s, 52 * s), [(0.0, table.liver)], rotation(0, -10, 0))
    for x, y, z in ((-55, -70, 0), (-80, -60, -20), (-60, -95, 10)):
        clip.paint(t11 + _mm(s, x, y, z), (26 * s, 7 * s, 7 * s), [(0.0, table.portal)], rotation(0, 30, 20))
    clip.paint(t11 + _mm(s, 98, 8, -6), (34 * s, 54 * s, 58 * s), [(0.0, table.spleen)], rotation(0, -12, 25))
    clip.paint(t11 + _mm(s, 60, -66, -4), (50 * s, 52 * s, 60 * s), [(0.0, table.bowel_wall + 10), (4.0, 25.0)], rotation(0, 25, 0))
    clip.paint(t11 + _mm(s, 60, -98, 2), (32 * s, 18 * s, 38 * s), [(0.0, GAS_HU)], rotation(0, 25, 0))
    clip.paint(l1 + _mm(s, 15, -58, -4), (56 * s, 13 * s, 15 * s), [(0.0, table.pancreas)], rotation(0, -18, 12))
    for sign, drop in ((-1.0, -14.0), (1.0, 2.0)):
        _paint_kidney(canvas, l1 + _mm(s, sign * 66, 4, drop - 12), sign, s, table)
    clip.paint(s1 + _mm(s, 0, -46, -82), (42 * s, 34 * s, 33 * s), [(0.0, table.muscle - 5), (4.0, URINE_HU)], np.eye(3))
    clip.paint(s1 + _mm(s, 0, 16, -92), (20 * s, 19 * s, 34 * s), [(0.0, table.bowel_wall + 5), (5.0, 10.0)], np.eye(3))
    clip.paint(l3 + _mm(s, -2, -40, 14), (30 * s, 9 * s, 9 * s), [(0.0, table.bowel_wall)], np.eye(3))


def paint_bowel(canvas: Canvas, torso: Torso, spine: Spine, table: Tissues, rng: np.random.Generator) -> None:
    """Scatter loops of bowel through the front of the cavity, some with gas or stool; then mesenteric vessels."""
    s = torso.scale
    clip = _Clip(canvas, torso)
    top, bottom = spine.level("L1").frame.origin[2], spine.level("S1").frame.origin[2] - 70 * s
    for _ in range(64):
        x, z = rng.uniform(-95, 95) * s, rng.uniform(bottom, top)
        height = np.array([z], dtype=np.float32)
        front, spine_y = float(torso.front(height)[0]), float(torso.spine_y(height)[0])
        y = rng.uniform(front + 36 * s, spine_y - 50 * s)
        semi = (rng.uniform(16, 40) * s, rng.uniform(11, 17) * s, rng.uniform(12, 20) * s)
        turn = rotation(*rng.uniform(-50, 50, 3).tolist())
        clip.paint(np.array([x, y, z]), semi, [(0.0, table.bowel_wall), (2.5, rng.uniform(5, 35))], turn)
        if rng.random() < 0.2:
            clip.paint(np.array([x, y - 0.35 * semi[1], z]), (semi[0] * 0.55, semi[1] * 0.4, semi[2] * 0.55), [(0.0, GAS_HU)], turn)
    _paint_colon(clip, torso, top, bottom, table, rng)
    vessels = []
    for _ in range(60):
        point = np.array([rng.uniform(-70, 70) * s, rng.uniform(-95, -45) * s, rng.uniform(bottom + 40, top)])
        vessels.append(rod(point, point + rng.normal(scale=14, size=3), (1.6, 1.2)))
    for chunk in (vessels[i : i + 6] for i in range(0, len(vessels), 6)):
        paint_union(canvas, chunk, table.portal)


class _Clip:
    """Paints ellipsoids that stop at the wall of the cavity and under the diaphragm."""

    def __init__(self, canvas: Canvas, torso: Torso) -> None:
        self._canvas = canvas
        self._torso = torso

    def paint(self, centre: NDArray[np.float64], semi: Semi, shells: Sequence[tuple[float, float]], axes: NDArray[np.float64]) -> None:
        """``shells`` are (depth in mm, attenuation), outermost first."""
        reach = float(max(semi))
        low = centre - reach
        high = centre + reach
        inverse = axes.T
        torso = self._torso

        def layers(x: FloatArray, y: FloatArray, z: FloatArray) -> Sequence[Layer]:
            relative = [x - float(centre[0]), y - float(centre[1]), z - float(centre[2])]
            local = [relative[0] * float(row[0]) + relative[1] * float(row[1]) + relative[2] * float(row[2]) for row in inverse]
            distance = ellipsoid(local[0], local[1], local[2], semi)
            muscle = torso.muscle(y, z, torso.skin(x, y, z))
            cavity = torso.cavity(x, y, z, muscle) + 2.0
            clipped = smooth_max(smooth_max(distance, cavity, 8.0), -torso.dome(x, y, z) + 2.0, 5.0)
            return [(clipped + depth, value) for depth, value in shells]

        self._canvas.paint(Region(frame=ANATOMY, low=_triple(low), high=_triple(high)), layers)


def _paint_kidney(canvas: Canvas, centre: NDArray[np.float64], sign: float, scale: float, table: Tissues) -> None:
    frame = Frame(origin=centre, axes=rotation(8.0, -sign * 14.0, sign * 30.0))
    semi = (25.0 * scale, 29.0 * scale, 54.0 * scale)
    around = (33.0 * scale, 33.0 * scale, 60.0 * scale)

    def layers(left: FloatArray, posterior: FloatArray, cranial: FloatArray) -> Sequence[Layer]:
        outer = ellipsoid(left, posterior, cranial, semi)
        sinus = ellipsoid(left + sign * 14 * scale, posterior + 8 * scale, cranial, (17 * scale, 12 * scale, 24 * scale))
        hollow = np.maximum(outer, -sinus)
        return [(hollow, table.kidney_cortex), (hollow + 7.0, table.kidney_medulla)]

    def capsule(left: FloatArray, posterior: FloatArray, cranial: FloatArray) -> Sequence[Layer]:
        return [(ellipsoid(left + sign * 4 * scale, posterior, cranial, around), FAT_HU)]

    canvas.paint(Region(frame=frame, low=(-around[0] - 5, -around[1], -around[2]), high=(around[0] + 5, around[1], around[2])), capsule)
    canvas.paint(Region(frame=frame, low=(-semi[0], -semi[1], -semi[2]), high=semi), layers)


def _paint_colon(clip: _Clip, torso: Torso, top: float, bottom: float, table: Tissues, rng: np.random.Generator) -> None:
    """Ascending, transverse and descending colon as strings of haustra with stool and gas."""
    s = torso.scale
    sides = [
        (sign * rng.uniform(94, 102), rng.uniform(-42, -25), z) for sign in (-1, 1) for z in np.arange(bottom / s + 60, top / s - 10, 27)
    ]
    across = [(x, -88.0 + 0.004 * x * x, top / s - 28 + 0.0022 * x * x) for x in np.arange(-84, 90, 24)]
    for place in (*sides, *across):
        centre = np.array(place) * s
        size = rng.uniform(16, 21) * s
        clip.paint(centre, (size, size, 17 * s), [(0.0, table.bowel_wall), (2.5, rng.uniform(-120, 40))], np.eye(3))
        for _ in range(5):
            bubble = rng.uniform(2.5, 7.0) * s
            value = float(rng.choice([GAS_HU, FAT_HU - 250, GAS_HU + 300]))
            clip.paint(centre + rng.uniform(-8, 8, 3) * s, (bubble, bubble, bubble), [(0.0, value)], np.eye(3))


def _mm(scale: float, left: float, posterior: float, cranial: float) -> NDArray[np.float64]:
    return np.array([left, posterior, cranial]) * scale


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))
