"""Ribs, sternum, shoulder blades, heart, and the vessels of the lungs."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from training.simulation.canvas import Canvas, FloatArray, Frame, Layer, Region
from training.simulation.parameters import PatientParameters
from training.simulation.shapes import Capsule, ellipsoid, union
from training.simulation.spine import Spine, Vertebra, rotation
from training.simulation.tissue import CARTILAGE_HU, CORTICAL_HU, FAT_HU, LUNG_HU, Tissues
from training.simulation.torso import Torso, paint_union, rod

# Bony length along the curve, mm, T1..T12 (T12 is the patient's own), for body_scale 1.
_RIB_MM = (110.0, 170.0, 215.0, 250.0, 275.0, 290.0, 300.0, 300.0, 285.0, 260.0, 190.0)
# Angle round the chest (0 behind, 180 in front) and how far below its vertebra the rib lies there, mm.
_ANGLES_DEG = (47.0, 68.0, 90.0, 112.0, 132.0, 150.0)
_DROPS_MM = (28.0, 54.0, 78.0, 94.0, 100.0, 95.0)


def rib_points(torso: Torso, vertebra: Vertebra, sign: float, length_mm: float) -> NDArray[np.float64]:
    """Points (N, 3) about 7 mm apart along one rib, from its head outwards, ``length_mm`` long."""
    s = torso.scale
    number = int(vertebra.name[1:]) if vertebra.thoracic else 13
    slope = (0.25 + 0.75 * min(number - 1, 6) / 6) * {11: 1.2, 12: 1.6}.get(number, 1.0)
    back, half = vertebra.depth_mm / 2, vertebra.width_mm / 2
    lift = 0.38 * vertebra.height_mm if number < 11 else 0.2 * vertebra.height_mm
    controls = [
        vertebra.frame.point(sign * (half * 0.86 + 2), back - 2 * s, lift),
        vertebra.frame.point(sign * 33 * s, back + 17 * s, 0.0),
    ]
    for angle, drop in zip(_ANGLES_DEG, _DROPS_MM, strict=True):
        z = vertebra.frame.origin[2] - drop * slope * s
        controls.append(on_cage(torso, np.radians(angle), z, sign))
    knots = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(controls, axis=0), axis=1))])
    curve = PchipInterpolator(knots, np.array(controls))
    dense = np.asarray(curve(np.linspace(0, knots[-1], 200)), dtype=np.float64)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(dense, axis=0), axis=1))])
    stations = np.arange(0, min(length_mm, along[-1]), 7.0)
    return np.stack([np.interp(stations, along, dense[:, axis]) for axis in range(3)], axis=1)


def paint_ribs(canvas: Canvas, torso: Torso, spine: Spine, patient: PatientParameters) -> None:
    """Paint all ribs, with the cartilage in front of the true ones."""
    s = patient.body_scale
    lengths = {f"T{number + 1}": length * s for number, length in enumerate(_RIB_MM)}
    lengths |= {"T12": patient.t12_rib_mm, "L1": patient.lumbar_rib_mm}
    for vertebra in spine.vertebrae:
        for sign in (-1.0, 1.0):
            length = lengths.get(vertebra.name, 0.0)
            if length < 15:
                continue
            points = rib_points(torso, vertebra, sign, length)
            flat = np.clip(np.linspace(0, 1, len(points)) * 4, 0, 1)
            rods = [
                rod(first, second, (3.3 * s, 3.3 * s), (1.0, 1.0, 1.15 + 0.65 * float(tall)))
                for first, second, tall in zip(points, points[1:], flat, strict=False)
            ]
            inside = 0.7 * vertebra.trabecular_hu + 60
            paint_union(canvas, rods, CORTICAL_HU * 0.9, inside, step_mm=1.0)
            if vertebra.thoracic and 1 < int(vertebra.name[1:]) < 11:
                _paint_cartilage(canvas, torso, points[-1], sign)


def paint_heart(canvas: Canvas, torso: Torso, spine: Spine, table: Tissues, rng: np.random.Generator) -> None:
    """Paint pericardial fat, muscle and four chambers in front of T6 to T10; the left atrium comes near the spine."""
    s = torso.scale * float(rng.uniform(0.94, 1.1))
    middle = (spine.level("T8").frame.origin + spine.level("T9").frame.origin) / 2
    front = float(torso.front(np.array([middle[2]], dtype=np.float32))[0])
    depth = middle[1] - front
    origin = np.array([(20.0 + rng.uniform(-6, 5)) * s, middle[1] - (0.45 + rng.uniform(-0.03, 0.04)) * depth, middle[2] + 4 * s])
    frame = Frame(origin=origin, axes=rotation(25.0 + rng.uniform(-6, 6), 38.0 + rng.uniform(-8, 8), 25.0))
    muscle = table.muscle + (0.35 * (table.portal - table.muscle) if table.portal > 100 else 0.0)
    parts: list[tuple[tuple[float, float, float], tuple[float, float, float], float]] = [
        ((0, 0, 0), (54, 44, 62), FAT_HU + 20),
        ((0, 0, -2), (48, 38, 56), muscle),
        ((17, 6, -12), (21, 20, 34), table.blood_artery),
        ((-20, -10, -14), (17, 18, 36), table.right_heart),
        ((-26, 8, 26), (20, 20, 22), table.right_heart),
        ((8, 30, 22), (28, 17, 20), table.blood_artery),
        ((20, 6, 26), (12, 12, 18), table.blood_artery),
    ]
    for centre, semi, value in parts:
        place = Frame(origin=frame.point(*(component * s for component in centre)), axes=frame.axes)
        _paint_ellipsoid(canvas, place, (semi[0] * s, semi[1] * s, semi[2] * s), value)


def paint_lung_vessels(canvas: Canvas, torso: Torso, spine: Spine, table: Tissues, rng: np.random.Generator) -> None:
    """Scatter branching vessels through both lungs; only where the canvas already shows lung."""
    s = torso.scale
    hilum = spine.level("T6").frame.origin
    rods: list[Capsule] = []
    for sign in (-1.0, 1.0):
        root = hilum + np.array([sign * 34, -45, 0]) * s
        for _ in range(34):
            direction = rng.normal(size=3) * np.array([0.7, 1.0, 1.3]) + np.array([sign * 0.7, 0.15, -0.2])
            direction /= np.linalg.norm(direction)
            reach = rng.uniform(45, 105) * s
            middle = root + direction * reach * 0.5
            rods.append(rod(root, middle, (3.8 * s, 2.4 * s)))
            for _ in range(3):
                bend = direction + rng.normal(scale=0.45, size=3)
                rods.append(rod(middle, middle + bend / np.linalg.norm(bend) * reach * 0.55, (1.9 * s, 0.7)))
    value = table.right_heart
    for chunk in (rods[i : i + 4] for i in range(0, len(rods), 4)):
        found = union(canvas, chunk)
        if found is not None:
            box, distance = found
            outside = np.where(canvas.hu[box] < LUNG_HU + 60, np.float32(0), np.float32(50))
            canvas.blend(box, [(distance + outside, value)])


def on_cage(torso: Torso, angle: float, z: float, sign: float, depth_mm: float | None = None) -> NDArray[np.float64]:
    """A point of the rib cage (or ``depth_mm`` under the fascia), ``angle`` round from behind."""
    height = np.array([z], dtype=np.float32)
    front, back, half = (float(profile(height)[0]) for profile in (torso.front, torso.back, torso.half_width))
    fat = float(torso.fat(height)[0])
    deep = (float(torso.wall(height)[0]) - 5.5) if depth_mm is None else depth_mm
    middle, depth = (front + back) / 2, (back - front) / 2
    sine, cosine = np.sin(angle), np.cos(angle)
    radius = 1 / np.sqrt(0.6 + 0.4 * (sine**4 + cosine**4))
    thickness = fat * (0.85 + 0.35 * cosine) + deep
    x = sign * (half * radius - thickness) * sine
    y = middle + (depth * radius - thickness) * cosine
    return np.array([x + float(torso.spine_x(height)[0]) * max(cosine, 0.0), y, z])


def _paint_cartilage(canvas: Canvas, torso: Torso, end: NDArray[np.float64], sign: float) -> None:
    """From the end of the bony rib along the cage to the sternum."""
    s = torso.scale
    shares = np.linspace(0, 1, 5)[1:]
    arch = [on_cage(torso, np.radians(150 + 22 * share), float(end[2]) + 35 * s * share**2, sign) for share in shares]
    rods = [rod(first, second, (3.6 * s, 3.6 * s), (1.0, 1.0, 1.6)) for first, second in pairwise([end, *arch])]
    with canvas.marking(0):
        paint_union(canvas, rods, CARTILAGE_HU)


def _paint_ellipsoid(canvas: Canvas, frame: Frame, semi: tuple[float, float, float], value: float) -> None:
    def layers(left: FloatArray, posterior: FloatArray, cranial: FloatArray) -> Sequence[Layer]:
        return [(ellipsoid(left, posterior, cranial, semi), value)]

    canvas.paint(Region(frame=frame, low=(-semi[0], -semi[1], -semi[2]), high=semi), layers)
