"""Points on bones that a chest radiograph shows: the sixteen that frame the regions of the Attentive Multi-ROI system.

Three on each clavicle, four on each side of the rib cage, C7 and T12; names end in ``left`` or ``right``, the patient's.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from training.simulation.body import PaintedPatient
from training.simulation.shoulder import clavicle_points
from training.simulation.thorax import rib_points

CAGE_RIBS = ("T3", "T5", "T7", "T9")
_SIDE_REACH_MM = 240.0
"""Along a rib from its head, past its outermost point and short of its cartilage."""
SIDES: Mapping[str, float] = {"left": 1.0, "right": -1.0}


def chest_landmarks(painted: PaintedPatient) -> dict[str, NDArray[np.float64]]:
    """Anatomical coordinates (3,) in mm (left, posterior, cranial) of each landmark."""
    spine = painted.spine
    points = {"C7": spine.neck.frame.origin, "T12": spine.level("T12").frame.origin}
    reach = _SIDE_REACH_MM * painted.patient.body_scale
    for side, sign in SIDES.items():
        clavicle = clavicle_points(painted.torso, spine, sign)
        for place, point in zip(("medial", "middle", "lateral"), (clavicle[0], clavicle[len(clavicle) // 2], clavicle[-1]), strict=True):
            points[f"clavicle_{place}_{side}"] = point
        for number, name in enumerate(CAGE_RIBS, start=1):
            rib = rib_points(painted.torso, spine.level(name), sign, reach)
            points[f"ribcage_{number}_{side}"] = rib[int(np.argmax(sign * rib[:, 0]))]
    return points
