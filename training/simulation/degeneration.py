"""What age adds to the spine: osteophytes on the rims of the bodies."""

import numpy as np

from training.simulation.canvas import Canvas
from training.simulation.parameters import PatientParameters
from training.simulation.shapes import Capsule, union
from training.simulation.spine import Vertebra
from training.simulation.structure import Structure
from training.simulation.tissue import CORTICAL_HU

_FIRST_AGE, _FULL_AGE = 45.0, 80.0
_LARGEST_MM = 5.5
_LIKELIEST = 0.45


def osteophytes(vertebra: Vertebra, patient: PatientParameters, seed: int) -> list[Capsule]:
    """Lips on the front and sides of both rims; more and larger ones with age, deterministic from the patient's seed and the level."""
    rng = np.random.default_rng((patient.seed, 29, seed))
    age = float(np.clip((patient.age_years - _FIRST_AGE) / (_FULL_AGE - _FIRST_AGE), 0, 1))
    out = []
    for rim in (-1.0, 1.0):
        for angle in (-75.0, -35.0, 0.0, 35.0, 75.0):
            turn, grows, size = rng.uniform(-12, 12), rng.random(), rng.uniform(0.35, 1.0)
            if grows > _LIKELIEST * age or vertebra.name[0] == "C":
                continue
            out.append(_lip(vertebra, rim, np.radians(angle + float(turn)), float(size) * age * _LARGEST_MM * patient.body_scale))
    return out


def paint_osteophytes(canvas: Canvas, vertebra: Vertebra, patient: PatientParameters, seed: int) -> None:
    """Paint them before the body that they grow on."""
    found = union(canvas, osteophytes(vertebra, patient, seed))
    if found is not None:
        with canvas.marking(Structure.BODY, mineralised=True):
            canvas.blend_shells(*found, [(0.0, 0.9 * CORTICAL_HU), (1.2, 260.0)])


def _lip(vertebra: Vertebra, rim: float, angle: float, size_mm: float) -> Capsule:
    """A wedge that leans over the disc: ``angle`` from the front towards the patient's left."""
    aside, ahead = float(np.sin(angle)), float(-np.cos(angle))
    half = vertebra.anterior_mm / 2
    root = (0.42 * vertebra.width_mm * aside, 0.02 * vertebra.depth_mm + 0.42 * vertebra.depth_mm * ahead, rim * (half - 3.5))
    tip = (root[0] + (4 + size_mm) * aside, root[1] + (4 + size_mm) * ahead, rim * (half - 0.5 + 0.25 * size_mm))
    return Capsule(frame=vertebra.frame, start=root, end=tip, radii=(3.2, 1.4))
