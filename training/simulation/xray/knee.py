"""A knee, which no other part of the simulation needs: densitometers send one in the same series as the spine."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.simulation.body import PaintedPatient, build_body, painted
from training.simulation.canvas import ANATOMY, Canvas, FloatArray, Layer, Region
from training.simulation.parameters import PatientParameters
from training.simulation.shapes import Capsule, ellipse
from training.simulation.structure import Structure
from training.simulation.tissue import CORTICAL_HU, FAT_HU
from training.simulation.torso import paint_union, rod

_REACH_MM = (62.0, 72.0, 120.0)
"""Half the painted box: left, posterior, cranial."""
_MUSCLE_HU = 55.0


def paint_knee(patient: PatientParameters, spacing_mm: float) -> PaintedPatient:
    """A left knee about the origin: femur with its condyles, tibia, fibula and patella in muscle and fat."""
    scale = patient.body_scale
    left, posterior, cranial = (half * scale for half in _REACH_MM)
    shape = tuple(int(np.ceil(2 * half / spacing_mm)) for half in (cranial, posterior, left))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]) * spacing_mm
    affine[:3, 3] = (-left, -posterior, -cranial)
    canvas = Canvas((shape[0], shape[1], shape[2]), affine, width_mm=spacing_mm, with_mineral=True)

    def flesh(x: FloatArray, y: FloatArray, z: FloatArray) -> Sequence[Layer]:
        width = np.asarray((54 + 0.05 * z) * scale, dtype=np.float32)
        skin = ellipse(x, y, width, width * np.float32(1.12))
        return [(skin, FAT_HU), (skin + np.float32(0.5 * patient.fat_mm), _MUSCLE_HU)]

    canvas.paint(Region(frame=ANATOMY, low=(-left, -posterior, -cranial), high=(left, posterior, cranial)), flesh)
    with canvas.marking(Structure.PELVIS, mineralised=True):
        for bone in _bones(scale):
            paint_union(canvas, bone, CORTICAL_HU, 0.8 * patient.trabecular_hu + 40, step_mm=2.0)
    return painted(canvas, build_body(patient, 120.0), affine)


def _bones(s: float) -> tuple[list[Capsule], ...]:
    def at(x: float, y: float, z: float) -> NDArray[np.float64]:
        return np.array([x, y, z]) * s

    femur = [rod(at(0, 0, 120), at(0, 0, 40), (14 * s, 18 * s))]
    femur += [rod(at(0, 0, 40), at(side * 20, 4, 14), (18 * s, 19 * s)) for side in (-1, 1)]
    tibia = [rod(at(side * 19, 2, -14), at(0, 0, -45), (18 * s, 14 * s)) for side in (-1, 1)]
    tibia += [rod(at(0, 0, -45), at(0, 0, -120), (15 * s, 12 * s))]
    fibula = [rod(at(36, 20, -24), at(32, 18, -120), (7 * s, 5 * s))]
    patella = [rod(at(0, -36, 26), at(0, -36, 18), (14 * s, 13 * s), (1.2, 0.6, 1.0))]
    return femur, tibia, fibula, patella
