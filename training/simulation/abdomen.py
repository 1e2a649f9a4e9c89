"""Organs, vessels and bowel of the abdomen, clipped to its cavity."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from training.simulation.canvas import ANATOMY, Canvas, FloatArray, Frame, Layer, Region
from training.simulation.parameters import PatientParameters
from training.simulation.shapes import ellipsoid, smooth_max
from training.simulation.spine import Spine, rotation
from training.simulation.tissue import CALCIFICATION_HU, FAT_HU, GAS_HU, URINE_HU, Tissues
from training.simulation.torso import Torso, paint_union, rod

Semi = tuple[float, float, float]


def paint_organs(canvas: Canvas, torso: Torso, spine: Spine, table: Tissues) -> None:
    """Paint liver, spleen, stomach, pancreas, kidneys, bladder."""
    s = torso.scale
    t11, l1, l3, s1 = (spine.level(name).frame.origin for name in ("T11", "L1", "L3", "S1"))
    clip = _Clip(canvas, torso)
    clip.paint(t11 + _mm(s, -72, -62, -8), (92 * s, 92 * s, 92 * s), [(0.0, table.liver)], rotation(0, 18, 0))
    clip.paint(t11 + _mm(s, 10, -110, 12), (82 * s, 46 * s, 48 * s), [(0.0, table.liver)], rotation(0, -10, 0))
    for x, y, z in ((-55, -70, 0), (-80, -60, -20), (-60, -95, 10)):
        clip.paint(t11 + _mm(s, x, y, z), (26 * s, 7 * s, 7 * s), [(0.0, table.portal)], rotation(0, 30, 20))
    clip.paint(t11 + _mm(s, 103, 2, -14), (28 * s, 46 * s, 56 * s), [(0.0, table.spleen)], rotation(0, -12, 25))
    clip.paint(t11 + _mm(s, 62, -72, -22), (44 * s, 42 * s, 52 * s), [(0.0, table.bowel_wall + 10), (4.0, 25.0)], rotation(0, 25, 0))
    clip.paint(t11 + _mm(s, 62, -100, -14), (30 * s, 16 * s, 34 * s), [(0.0, GAS_HU)], rotation(0, 25, 0))
    clip.paint(l1 + _mm(s, 15, -58, -4), (56 * s, 13 * s, 15 * s), [(0.0, table.pancreas)], rotation(0, -18, 12))
    for sign, drop in ((-1.0, -14.0), (1.0, 2.0)):
        _paint_kidney(canvas, l1 + _mm(s, sign * 66, 2, drop - 10), sign, s, table)
    clip.paint(s1 + _mm(s, 0, -62, -100), (46 * s, 42 * s, 38 * s), [(0.0, table.muscle - 5), (4.0, URINE_HU)], np.eye(3))
    clip.paint(s1 + _mm(s, 0, 8, -92), (20 * s, 20 * s, 30 * s), [(0.0, table.bowel_wall + 5), (5.0, 10.0)], np.eye(3))
    clip.paint(l3 + _mm(s, -2, -40, 14), (30 * s, 9 * s, 9 * s), [(0.0, table.bowel_wall)], np.eye(3))


def paint_vessels(canvas: Canvas, torso: Torso, spine: Spine, patient: PatientParameters, table: Tissues) -> None:
    """Paint aorta and vena cava in front of the spine, the iliac vessels, and calcified plaques."""
    s = torso.scale
    names = ["T10", "T11", "T12", *(f"L{n}" for n in range(1, patient.lumbar_count))]

    def before(name: str, left: float, forward: float) -> NDArray[np.float64]:
        vertebra = spine.level(name)
        return vertebra.frame.point(left * s, -vertebra.depth_mm / 2 - forward * s, 0.0)

    aorta = [before(name, left, 11.5) for name, left in zip(names, np.linspace(15, 8, len(names)), strict=True)]
    cava = [before(name, left, 10.5) for name, left in zip(names[1:], np.linspace(-24, -17, len(names) - 1), strict=True)]
    sacrum = spine.level("S1").frame.origin
    branches = []
    for sign in (-1.0, 1.0):
        path = [
            aorta[-1],
            before(patient.levels[-1], sign * 25, 9),
            sacrum + _mm(s, sign * 52, -40, -22),
            sacrum + _mm(s, sign * 68, -72, -85),
        ]
        veins = [
            cava[-1],
            before(patient.levels[-1], sign * 20 - 5, 2),
            sacrum + _mm(s, sign * 48, -26, -26),
            sacrum + _mm(s, sign * 60, -64, -88),
        ]
        branches += [(path, 5.5, table.blood_artery), (veins, 7.0, table.blood_vein)]
    for points, radius, value in ((cava, 10.0, table.blood_vein), *branches, (aorta, 9.5, table.blood_artery)):
        rods = [rod(a, b, (radius * s, radius * s)) for a, b in pairwise(points)]
        paint_union(canvas, rods, table.muscle - 5, value, step_mm=1.2)
    _paint_plaques(canvas, aorta, 9.0 * s, patient, table)


def paint_bowel(canvas: Canvas, torso: Torso, spine: Spine, table: Tissues, rng: np.random.Generator) -> None:
    """Scatter loops of bowel through the front of the cavity, some with gas or stool; then mesenteric vessels."""
    s = torso.scale
    clip = _Clip(canvas, torso)
    top, bottom = spine.level("L1").frame.origin[2], spine.level("S1").frame.origin[2] - 70 * s
    for _ in range(34):
        x, z = rng.uniform(-95, 95) * s, rng.uniform(bottom, top)
        height = np.array([z], dtype=np.float32)
        front, spine_y = float(torso.front(height)[0]), float(torso.spine_y(height)[0])
        y = rng.uniform(front + 42 * s, spine_y - 52 * s)
        semi = (rng.uniform(14, 34) * s, rng.uniform(11, 17) * s, rng.uniform(12, 22) * s)
        turn = rotation(*rng.uniform(-50, 50, 3).tolist())
        clip.paint(np.array([x, y, z]), semi, [(0.0, table.bowel_wall), (2.5, rng.uniform(5, 35))], turn)
        if rng.random() < 0.35:
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

    def layers(left: FloatArray, posterior: FloatArray, cranial: FloatArray) -> Sequence[Layer]:
        outer = ellipsoid(left, posterior, cranial, semi)
        sinus = ellipsoid(left + sign * 14 * scale, posterior + 8 * scale, cranial, (17 * scale, 12 * scale, 24 * scale))
        hollow = np.maximum(outer, -sinus)
        return [(hollow, table.kidney_cortex), (hollow + 7.0, table.kidney_medulla)]

    canvas.paint(Region(frame=frame, low=(-semi[0], -semi[1], -semi[2]), high=semi), layers)


def _paint_colon(clip: _Clip, torso: Torso, top: float, bottom: float, table: Tissues, rng: np.random.Generator) -> None:
    """Ascending and descending colon as a string of haustra with stool and gas."""
    s = torso.scale
    for sign in (-1.0, 1.0):
        for z in np.arange(bottom + 60 * s, top - 10 * s, 27 * s):
            centre = np.array([sign * rng.uniform(92, 100) * s, rng.uniform(-42, -25) * s, z])
            semi = (rng.uniform(17, 22) * s, rng.uniform(17, 22) * s, 18 * s)
            stool = rng.uniform(-120, 40)
            clip.paint(centre, semi, [(0.0, table.bowel_wall), (2.5, stool)], np.eye(3))
            for _ in range(4):
                place = centre + rng.uniform(-9, 9, 3) * s
                size = rng.uniform(2.5, 6.0) * s
                clip.paint(place, (size, size, size), [(0.0, rng.choice([GAS_HU, FAT_HU - 250, GAS_HU + 300]))], np.eye(3))


def _paint_plaques(canvas: Canvas, aorta: Sequence[NDArray[np.float64]], radius: float, patient: PatientParameters, table: Tissues) -> None:
    rng = np.random.default_rng((patient.seed, 31))
    path = np.array(aorta)
    for _ in range(round(60 * patient.aortic_calcification)):
        place = rng.uniform(1, len(path) - 1)
        centre = np.array([np.interp(place, np.arange(len(path)), path[:, axis]) for axis in range(3)])
        angle = rng.uniform(0, 2 * np.pi)
        centre = centre + radius * np.array([np.cos(angle), np.sin(angle), 0])
        tangent = np.array([-np.sin(angle), np.cos(angle), rng.normal(scale=0.6)]) * rng.uniform(1, 4)
        paint_union(canvas, [rod(centre - tangent, centre + tangent, (1.3, 1.3))], CALCIFICATION_HU * table.mineral_factor)


def _mm(scale: float, left: float, posterior: float, cranial: float) -> NDArray[np.float64]:
    return np.array([left, posterior, cranial]) * scale


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))
