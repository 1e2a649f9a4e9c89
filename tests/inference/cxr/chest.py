"""A plain chest: landmarks with round numbers, for tests by hand."""

import numpy as np

from inference.cxr.rois import LANDMARKS, Floats

SHAPE = (460, 420)
_PLACES = {
    "clavicle_medial_left": (120, 240),
    "clavicle_middle_left": (100, 300),
    "clavicle_lateral_left": (90, 370),
    "ribcage_1_left": (160, 320),
    "ribcage_2_left": (230, 340),
    "ribcage_3_left": (290, 350),
    "ribcage_4_left": (340, 350),
    "C7": (60, 210),
    "T12": (360, 210),
}


def landmarks(**moved: tuple[float, float]) -> Floats:
    """(16, 2), the right side mirrored about column 210; ``moved`` puts single ones elsewhere. C7 and T12 are 300 pixels apart."""
    places = dict(_PLACES)
    places |= {name.replace("_left", "_right"): (row, 420 - column) for name, (row, column) in _PLACES.items() if name.endswith("_left")}
    places |= moved  # type: ignore[arg-type]
    return np.array([places[name] for name in LANDMARKS], dtype=np.float64)
