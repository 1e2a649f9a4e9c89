"""Aorta, venae cavae, pulmonary trunk and iliac vessels, with the airway and the gullet beside them."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from training.simulation.canvas import Canvas
from training.simulation.parameters import PatientParameters
from training.simulation.spine import Spine
from training.simulation.tissue import CALCIFICATION_HU, GAS_HU, Tissues
from training.simulation.torso import paint_union, rod

WALL_MM = 1.3
# Level, distance to the left of its body and in front of it, mm: from the arch down to T10.
_DESCENDING = (("T5", 26, 5), ("T6", 26, 3), ("T7", 25, 3), ("T8", 23, 4), ("T9", 20, 6), ("T10", 17, 8), ("T11", 14, 10), ("T12", 13, 11))
_ASCENDING = (("T7", -6, 60), ("T6", -14, 58), ("T5", -10, 52), ("T4", 6, 38), ("T4", 22, 14))


def paint_vessels(canvas: Canvas, spine: Spine, patient: PatientParameters, table: Tissues) -> None:
    """Paint every great vessel of the trunk. The aorta is one tube from its root to its fork, in front of and beside the spine."""
    s = patient.body_scale
    lumbar = [f"L{n}" for n in range(1, patient.lumbar_count)]
    lefts = np.linspace(12, 8, len(lumbar)).tolist()
    low_aorta = [_before(spine, name, left, 11.5, s) for name, left in zip(lumbar, lefts, strict=True)]
    descending = [_before(spine, name, left, forward, s) for name, left, forward in _DESCENDING]
    ascending = [_before(spine, name, left, forward, s) for name, left, forward in _ASCENDING]
    cava_lefts = np.linspace(-25, -17, len(lumbar) + 2).tolist()
    cava = [_before(spine, name, left, 10.5, s) for name, left in zip(["T11", "T12", *lumbar], cava_lefts, strict=True)]
    cava.insert(0, _before(spine, "T10", -24, 34, s))
    _paint_iliacs(canvas, spine, patient, table, low_aorta[-1], cava[-1])
    _paint_tube(canvas, cava, 10.0 * s, table.blood_vein, table.muscle)
    _paint_mediastinum(canvas, spine, table, s)
    aorta = [*ascending, *descending, *low_aorta]
    radii = np.interp(np.arange(len(aorta)), [0, 4, len(aorta) - 1], [14.0, 12.0, 8.5]) * s
    rods = [rod(a, b, (float(r), float(q))) for (a, b), (r, q) in zip(pairwise(aorta), pairwise(radii), strict=True)]
    paint_union(canvas, rods, table.muscle, table.blood_artery, step_mm=WALL_MM)
    _paint_plaques(canvas, [*descending, *low_aorta], radii[len(ascending) :] - 0.5, patient)


def _before(spine: Spine, name: str, left: float, forward: float, scale: float) -> NDArray[np.float64]:
    """A point beside and in front of a body's anterior wall."""
    vertebra = spine.level(name)
    return vertebra.frame.point(left * scale, -vertebra.depth_mm / 2 - forward * scale, 0.0)


def _paint_mediastinum(canvas: Canvas, spine: Spine, table: Tissues, scale: float) -> None:
    def path(*points: tuple[str, float, float]) -> list[NDArray[np.float64]]:
        return [_before(spine, name, left, forward, scale) for name, left, forward in points]

    cava = path(("T2", -26, 36), ("T4", -27, 44), ("T6", -26, 46), ("T7", -26, 44))
    _paint_tube(canvas, cava, 9.0 * scale, table.right_heart, table.muscle)
    trunk = path(("T7", 16, 66), ("T6", 20, 56), ("T5", 14, 42))
    _paint_tube(canvas, trunk, 13.0 * scale, table.right_heart, table.muscle)
    _paint_tube(canvas, path(("T6", -40, 28), ("T6", 40, 28)), 9.0 * scale, table.right_heart, table.muscle)
    neck = spine.level("T1")
    gullet = [neck.frame.point(4 * scale, -neck.depth_mm / 2 - 8 * scale, 50 * scale)]
    gullet += path(("T1", 4, 8), ("T3", 4, 8), ("T5", 2, 8), ("T7", 2, 8), ("T9", 4, 12), ("T11", 14, 30))
    _paint_tube(canvas, gullet, 6.5 * scale, table.muscle - 12, table.muscle)
    airway = [neck.frame.point(0, -neck.depth_mm / 2 - 20 * scale, 50 * scale), *path(("T1", 0, 20), ("T3", 0, 20), ("T5", -3, 22))]
    _paint_tube(canvas, airway, 8.5 * scale, GAS_HU, table.muscle)
    for sign in (-1.0, 1.0):
        _paint_tube(canvas, path(("T5", -3, 22), ("T6", sign * 34, 20)), 6.5 * scale, GAS_HU, table.muscle)


def _paint_iliacs(
    canvas: Canvas, spine: Spine, patient: PatientParameters, table: Tissues, fork: NDArray[np.float64], join: NDArray[np.float64]
) -> None:
    s, last = patient.body_scale, patient.levels[-1]
    sacrum = spine.level("S1").frame.origin
    for sign in (-1.0, 1.0):
        veins = [join, _before(spine, last, sign * 20 - 5, 3, s)]
        veins += [sacrum + np.array([sign * 48, -26, -26]) * s, sacrum + np.array([sign * 60, -64, -88]) * s]
        arteries = [fork, _before(spine, last, sign * 25, 9, s)]
        arteries += [sacrum + np.array([sign * 52, -40, -22]) * s, sacrum + np.array([sign * 68, -72, -85]) * s]
        _paint_tube(canvas, veins, 7.0 * s, table.blood_vein, table.muscle)
        _paint_tube(canvas, arteries, 5.5 * s, table.blood_artery, table.muscle)


def _paint_tube(canvas: Canvas, points: Sequence[NDArray[np.float64]], radius: float, inside: float, wall: float) -> None:
    rods = [rod(first, second, (radius, radius)) for first, second in pairwise(points)]
    paint_union(canvas, rods, wall, inside, step_mm=WALL_MM)


def _paint_plaques(canvas: Canvas, aorta: Sequence[NDArray[np.float64]], radii: NDArray[np.float64], patient: PatientParameters) -> None:
    """Calcified plaques: short flat rods in the wall, more of them further down."""
    rng = np.random.default_rng((patient.seed, 31))
    path, steps = np.array(aorta), np.arange(len(aorta))
    for _ in range(round(80 * patient.aortic_calcification)):
        place = (len(path) - 1) * rng.uniform(0, 1) ** 0.5
        centre = np.array([np.interp(place, steps, path[:, axis]) for axis in range(3)])
        angle = rng.uniform(0, 2 * np.pi)
        centre = centre + float(np.interp(place, steps, radii)) * np.array([np.cos(angle), np.sin(angle), 0])
        tangent = np.array([-np.sin(angle), np.cos(angle), rng.normal(scale=0.6)]) * rng.uniform(1, 4)
        with canvas.marking(0, mineralised=True):
            paint_union(canvas, [rod(centre - tangent, centre + tangent, (1.3, 1.3))], CALCIFICATION_HU)
