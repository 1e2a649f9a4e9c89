"""Areal bone mineral density: mineral per projected area, level by level, as a densitometer defines it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.simulation.body import PaintedPatient
from training.simulation.spine import Spine, Vertebra
from training.simulation.structure import Structure
from training.simulation.xray.projection import axes_mm

FINE_MM = 0.5
"""Regions are cut out on pixels of this size, whatever the body was painted on."""
SIDE_MARGIN_MM = 3.0
"""A region reaches this far beyond the body's widest place: the roots of the transverse processes, not their tips."""
_SILHOUETTE = (Structure.BODY, Structure.POSTERIOR)


@dataclass(frozen=True, kw_only=True)
class BoneMap:
    """A frontal projection of bone mineral.

    Attributes
    ----------
    mineral_g_cm2
        (rows, columns) float64, foot end first, columns to the patient's left.
    bone
        (rows, columns) bool: where there is bone to be counted.
    x_mm, z_mm
        Pixel centres: left and cranial.
    """

    mineral_g_cm2: NDArray[np.float64]
    bone: NDArray[np.bool_]
    x_mm: NDArray[np.float64]
    z_mm: NDArray[np.float64]

    @property
    def pixel_cm2(self) -> float:
        """Area of a pixel."""
        return float((self.x_mm[1] - self.x_mm[0]) * (self.z_mm[1] - self.z_mm[0]) / 100)


@dataclass(frozen=True, kw_only=True)
class LevelBone:
    """Mineral, area, and their quotient."""

    bmc_g: float
    area_cm2: float

    @property
    def bmd_g_cm2(self) -> float:
        """Areal density; 0 where nothing was found."""
        return self.bmc_g / self.area_cm2 if self.area_cm2 > 0 else 0.0


def true_bone_map(painted: PaintedPatient) -> BoneMap:
    """The mineral of everything that a ray from front to back meets, over the silhouette of the vertebrae. No beam, no noise."""
    left, posterior, cranial = axes_mm(painted)
    mineral = painted.mineral_mg_cm3.sum(axis=1, dtype=np.float64) * abs(posterior[1] - posterior[0]) / 1e4
    shadow = np.isin(painted.structures, _SILHOUETTE).any(axis=1)
    x, z = _fine(left), _fine(cranial)
    grid = np.meshgrid((z - cranial[0]) / (cranial[1] - cranial[0]), (x - left[0]) / (left[1] - left[0]), indexing="ij")
    return BoneMap(
        mineral_g_cm2=ndimage.map_coordinates(mineral, grid, order=1, mode="nearest"),
        bone=ndimage.map_coordinates(shadow.astype(np.float32), grid, order=1, mode="nearest") >= 0.5,
        x_mm=x,
        z_mm=z,
    )


def level_regions(spine: Spine, x_mm: NDArray[np.float64], z_mm: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    """(rows, columns) region of each lumbar level that lies whole in view.

    Regions meet in the middle of the discs, at right angles to the spine as it leans in the frontal plane, and end a little beside the
    bodies: the lines that an operator draws.
    """
    names = [vertebra.name for vertebra in spine.vertebrae if vertebra.name.startswith("L")]
    regions = {}
    chain = (*spine.vertebrae, spine.sacrum[0])
    for index, vertebra in enumerate(spine.vertebrae):
        if vertebra.name not in names:
            continue
        upper, lower = _cut(chain[index - 1], vertebra), _cut(vertebra, chain[index + 1])
        if upper[0][1] > z_mm[-1] or lower[0][1] < z_mm[0]:
            continue
        x, z = x_mm[None, :], z_mm[:, None]
        inside = (_height(upper, x, z) <= 0) & (_height(lower, x, z) > 0)
        axis = _frontal(vertebra.frame.axes[:, 2])
        aside = (x - vertebra.frame.origin[0]) * axis[1] - (z - vertebra.frame.origin[2]) * axis[0]
        regions[vertebra.name] = inside & (np.abs(aside) <= vertebra.width_mm / 2 + SIDE_MARGIN_MM)
    return regions


def measure(bone_map: BoneMap, regions: Mapping[str, NDArray[np.bool_]]) -> dict[str, LevelBone]:
    """Mineral and area of each region."""
    out = {}
    for name, region in regions.items():
        counted = region & bone_map.bone
        out[name] = LevelBone(
            bmc_g=float(bone_map.mineral_g_cm2[counted].sum() * bone_map.pixel_cm2), area_cm2=float(counted.sum() * bone_map.pixel_cm2)
        )
    return out


def areal_bmd(painted: PaintedPatient) -> dict[str, tuple[float, float, float]]:
    """The true (mineral in g, area in cm2, areal density in g/cm2) of each lumbar level that is whole in the painted body.

    What lies before and behind the spine counts, as it does for a densitometer: calcified vessels add, metal and cement do not.

    Raises
    ------
    ValueError
        The body is not painted on the axes of the anatomy.
    """
    bone_map = true_bone_map(painted)
    found = measure(bone_map, level_regions(painted.spine, bone_map.x_mm, bone_map.z_mm))
    return {name: (level.bmc_g, level.area_cm2, level.bmd_g_cm2) for name, level in found.items()}


def _fine(axis_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.arange(axis_mm[0], axis_mm[-1] + FINE_MM / 4, FINE_MM)


Cut = tuple[NDArray[np.float64], NDArray[np.float64]]
"""A point (x, z) and the unit vector along the spine there, in the frontal plane."""


def _cut(above: Vertebra, below: Vertebra) -> Cut:
    bottom = above.frame.point(0, 0, -above.height_mm / 2)
    top = below.frame.point(0, 0, below.height_mm / 2)
    middle = (bottom + top) / 2
    return middle[[0, 2]], _frontal(above.frame.axes[:, 2] + below.frame.axes[:, 2])


def _frontal(axis: NDArray[np.float64]) -> NDArray[np.float64]:
    flat = axis[[0, 2]]
    return np.asarray(flat / np.linalg.norm(flat), dtype=np.float64)


def _height(cut: Cut, x: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signed distance above a cut, mm."""
    (x0, z0), axis = cut
    return np.asarray((x - x0) * axis[0] + (z - z0) * axis[1], dtype=np.float64)
