"""From attenuation and bone mineral to what a beam of any energy meets: lean tissue, fat, mineral and metal."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.simulation.xray.attenuation import DENSITY_G_CM3, Material, mass_attenuation_cm2_g

FloatArray = NDArray[np.float32]

CT_ENERGY_KEV = 70.0
"""Effective energy of the 120 kVp scan whose attenuation the painted body has."""
METAL_FROM_HU, METAL_HU = 1900.0, 3071.0
"""Metal is full at :data:`METAL_HU`; no painted bone or calcification reaches :data:`METAL_FROM_HU`."""
_LUNG_BELOW = 0.8
"""Tissue of less than this density relative to water holds air: what attenuates in it is lean."""
BASIS = (Material.LEAN, Material.FAT, Material.MINERAL, Material.METAL)
_WATER = float(mass_attenuation_cm2_g(Material.WATER, CT_ENERGY_KEV))
_LINEAR = {material: float(mass_attenuation_cm2_g(material, CT_ENERGY_KEV)) * DENSITY_G_CM3[material] / _WATER for material in BASIS}
"""Attenuation of each pure material at :data:`CT_ENERGY_KEV`, relative to water."""


@dataclass(frozen=True, kw_only=True)
class Composition:
    """Densities in g/cm3, float32, all of one shape: what a voxel holds of each material of :data:`BASIS`."""

    lean: FloatArray
    fat: FloatArray
    mineral: FloatArray
    metal: FloatArray

    def arrays(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """In the order of :data:`BASIS`."""
        return (self.lean, self.fat, self.mineral, self.metal)

    def relative_attenuation(self) -> FloatArray:
        """Attenuation at :data:`CT_ENERGY_KEV` relative to water: 1 + HU / 1000."""
        shares = (density * (_LINEAR[material] / DENSITY_G_CM3[material]) for material, density in zip(BASIS, self.arrays(), strict=True))
        return np.asarray(sum(shares), dtype=np.float32)


def decompose(hu: FloatArray, mineral_mg_cm3: FloatArray) -> Composition:
    """What voxels hold, such that a 120 kVp beam sees ``hu``.

    The mineral is known; the rest is a mixture of lean tissue and fat, told apart by its attenuation per volume that the mineral leaves
    free. Where the rest is thinner than any fat there is air in it and it counts as lean. Metal is what no bone can be.

    Parameters
    ----------
    hu
        Attenuation at 120 kVp, any shape.
    mineral_mg_cm3
        Hydroxyapatite per voxel volume, same shape.
    """
    metal = np.clip((hu - METAL_FROM_HU) / (METAL_HU - METAL_FROM_HU), 0, 1).astype(np.float32)
    mineral = np.where(metal > 0, np.float32(0), mineral_mg_cm3 * np.float32(1e-3))
    whole = np.maximum(1 + hu * np.float32(1e-3), 0) * (1 - metal)
    rest = np.maximum(whole - mineral * np.float32(_LINEAR[Material.MINERAL] / DENSITY_G_CM3[Material.MINERAL]), 0)
    space = 1 - mineral * np.float32(1 / DENSITY_G_CM3[Material.MINERAL])
    lean, fat = _LINEAR[Material.LEAN], _LINEAR[Material.FAT]
    density = rest / np.maximum(space, np.float32(0.05))
    fatty = np.where((density < _LUNG_BELOW) & (mineral < 0.01), np.float32(0), np.clip((lean - density) / (lean - fat), 0, 1))
    return Composition(
        lean=np.asarray(rest * (1 - fatty) * np.float32(DENSITY_G_CM3[Material.LEAN] / lean), dtype=np.float32),
        fat=np.asarray(rest * fatty * np.float32(DENSITY_G_CM3[Material.FAT] / fat), dtype=np.float32),
        mineral=np.asarray(mineral, dtype=np.float32),
        metal=np.asarray(metal * np.float32(DENSITY_G_CM3[Material.METAL]), dtype=np.float32),
    )
