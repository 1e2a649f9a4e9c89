"""Vertebrae that are made, not painted: a block of bone whose attenuation follows its density, as each densitometer says it."""

from collections.abc import Sequence

import numpy as np

from training.simulation.xray.devices import DEVICES
from training.tpswav.glcm import GlcmOptions
from training.tpswav.pool import PoolOptions
from training.tpswav.vertebrae import Vertebra

POOL = PoolOptions(glcm=GlcmOptions(window=3, step=2))
MAKES = tuple(DEVICES)


def vertebra(number: int, true_g_cm2: float, *, level: str = "L2", make: str | None = "Hologic", side: int = 16) -> Vertebra:
    """A block of ``400 * density - 120`` HU with some noise, in air. Without a make it is not labelled."""
    rng = np.random.default_rng(number)
    hu = np.full((side,) * 3, -1024, dtype=np.int16)
    inner = (slice(side // 8, side - side // 8),) * 3
    hu[inner] = np.rint(400 * true_g_cm2 - 120 + rng.normal(0, 15, hu[inner].shape)).astype(np.int16)
    patient, site = f"made-{number // 4}", make or "none"
    if make is None:
        return Vertebra(patient=patient, site=site, device=None, level=level, hu=hu)
    device = DEVICES[make]
    bmd = device.reading(true_g_cm2)
    return Vertebra(patient=patient, site=site, device=make, level=level, hu=hu, bmd_g_cm2=bmd, t_score=device.t_score(bmd))


def vertebrae(count: int, first: int = 0, makes: Sequence[str | None] = ("Hologic",)) -> tuple[Vertebra, ...]:
    """Densities spread evenly from 0.45 to 1.05, four levels a patient, makes in turn by patient."""
    densities = np.random.default_rng((first, 9)).permutation(np.linspace(0.45, 1.05, count))
    return tuple(
        vertebra(first + index, float(true), level=f"L{index % 4 + 1}", make=makes[(index // 4) % len(makes)])
        for index, true in enumerate(densities)
    )
