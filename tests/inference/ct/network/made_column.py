"""A made prediction: a bent row of bodies with discs between, arches behind, a sacrum below and ribs beside."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.ct.segmentation.network.predict import BODY, DISC, PELVIS, POSTERIOR, RIB, SACRUM, Prediction

SPACING_MM = 3.0
HEIGHT_MM, DISC_MM = 27.0, 8.0
RADIUS_MM = 21.0
SHAPE = (120, 70, 110)


@dataclass(frozen=True, kw_only=True)
class Made:
    """The prediction, and what is true: labels of the bodies, foot to head from 1."""

    prediction: Prediction
    bodies: NDArray[np.uint8]
    centres_mm: NDArray[np.float64]


def make_column(
    bodies: int = 7, *, bend: float = 0.0012, sacrum: bool = True, ribs_on: tuple[int, ...] = (6, 7), missing_disc: int | None = None
) -> Made:
    """``bodies`` bodies above a sacrum; those counted in ``ribs_on`` (1 is the lowest) carry a pair of ribs.

    ``bend`` is the curvature of the column in the sagittal plane, 1/mm2; ``missing_disc`` n paints the disc above body n as body.
    """
    z, y, x = (np.indices(SHAPE) * SPACING_MM).astype(float)
    first = 75.0
    middle_mm = first + bodies * (HEIGHT_MM + DISC_MM) / 2
    centre_y = 100.0 + bend * (z - middle_mm) ** 2
    slope = 2 * bend * (z - middle_mm)
    along = z + slope * (y - centre_y)
    aside = x - SHAPE[2] * SPACING_MM / 2
    inside = np.hypot(aside, y - centre_y) < RADIUS_MM
    structures = np.zeros(SHAPE, dtype=np.uint8)
    labels = np.zeros(SHAPE, dtype=np.uint8)
    centres = []
    arch = (np.hypot(aside, (y - centre_y - 45) / 1.4) < 16) & (along > first)
    structures[arch & (along < first + bodies * (HEIGHT_MM + DISC_MM))] = POSTERIOR
    for number in range(1, bodies + 1):
        low = first + (number - 1) * (HEIGHT_MM + DISC_MM) + DISC_MM
        mine = inside & (along >= low) & (along < low + HEIGHT_MM)
        labels[mine] = number
        structures[mine] = BODY
        structures[inside & (along >= low - DISC_MM) & (along < low)] = BODY if missing_disc == number - 1 else DISC
        height = low + HEIGHT_MM / 2
        centres.append((height, 100.0 + bend * (height - middle_mm) ** 2, SHAPE[2] * SPACING_MM / 2))
        if number in ribs_on:
            tall = np.abs(along - height) < 4.5
            beside = (np.abs(aside) > RADIUS_MM + 2) & (np.abs(aside) < RADIUS_MM + (62 if number == min(ribs_on) else 90))
            structures[tall & beside & (np.abs(y - centre_y - 15 - 0.2 * np.abs(aside)) < 4.5)] = RIB
    if sacrum:
        below = (along < first) & (along > first - 60) & (np.abs(y - centre_y - 5) < 24)
        structures[below & (np.abs(aside) < 55)] = SACRUM
        structures[below & (np.abs(aside) >= 58) & (np.abs(aside) < 110) & (along < first - 5)] = PELVIS
    margin = np.where(structures == BODY, np.float32(0.9), np.float32(-0.9))
    return Made(
        prediction=Prediction(structures=structures, margin=margin, spacing_mm=SPACING_MM), bodies=labels, centres_mm=np.array(centres)
    )
