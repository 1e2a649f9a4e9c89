"""Small films without a patient, for tests of what is learnt from films."""

import numpy as np

from inference.bundles import TrainedOn
from tests.inference.cxr.chest import SHAPE, landmarks
from training.cxr.cases import WHITE, Film, Films
from training.preparing import Skipped

_SHRINK = 4


def film(number: int, bmd: float | None = None, *, rng_seed: int = 5) -> Film:
    """A film of 115 x 105 pixels, on which each landmark is a bright spot; the brighter, the denser L1.

    The chest is a little larger or smaller and elsewhere on each.
    """
    rng = np.random.default_rng((rng_seed, number))
    middle = np.array(SHAPE) / 2
    places = ((landmarks() - middle) * rng.uniform(0.9, 1.05) + middle + rng.uniform(-12, 12, 2)) / _SHRINK
    shape = (SHAPE[0] // _SHRINK, SHAPE[1] // _SHRINK)
    density = 0.8 + 0.4 * rng.random() if bmd is None else bmd
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    grey = 0.2 + 0.05 * rng.random(shape)
    for row, column in places:
        grey += 0.4 * density * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 12)
    values = np.array([density, density + 0.05, density + 0.1, density + 0.1])
    return Film(
        patient=f"P{number:03d}",
        image=np.clip(np.rint(grey * WHITE), 0, WHITE).astype(np.uint16),
        landmarks=places,
        spacing_mm=3.5,
        bmd_g_cm2=values,
        t_scores=(values - 1.18) / 0.12,
        device="GE Lunar",
    )


def films(count: int, first: int = 0) -> tuple[Film, ...]:
    """Several of them."""
    return tuple(film(number) for number in range(first, first + count))


def collection(count: int) -> Films:
    """As a source gives them, with one that was left out."""
    gone = Skipped(patient="X", because="fracture of T12")
    return Films(cases=films(count), skipped=(gone,), trained_on=TrainedOn.SIMULATED_PATIENTS, description=f"{count} drawn chests")
