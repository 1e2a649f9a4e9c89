"""Where the bones of a simulated patient really fall on the film: the truth by which regions are judged."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from inference.cxr.rois import ROI_NAMES, SIDES, Floats, Rois
from training.simulation.shoulder import clavicle_points
from training.simulation.spine import Vertebra
from training.simulation.thorax import rib_points
from training.simulation.xray.film import FilmSetUp
from training.simulation.xray.landmarks import CAGE_RIBS

_CLAVICLE_RADIUS_MM = 6.0
_RIB_RADIUS_MM = 4.0
_RIB_ARC_MM, _RIB_REACH_MM = 35.0, 240.0
"""Of a rib, what lies up to so far along it from its outermost point is the edge of the cage."""
_SAMPLES = 25
_FIRST_OUTWARD: Mapping[str, float] = {"left": 1.0, "right": -1.0}


def bone_points(scene: FilmSetUp) -> dict[str, Floats]:
    """Row and column (N, 2) of many points of the bone that each region is for, by the region's name.

    Clavicle: its halves with their thickness. Rib cage: a rib around its outermost point. Cervical and lumbar: the bodies of C7 and T12,
    the latter voxel by voxel.
    """
    painted = scene.painted
    found: dict[str, Floats] = {}
    for side in SIDES:
        sign = _FIRST_OUTWARD[side]
        clavicle = _dense(clavicle_points(painted.torso, painted.spine, sign))
        half = len(clavicle) // 2
        for place, part in (("medial", clavicle[: half + 1]), ("lateral", clavicle[half:])):
            found[f"clavicle_{place}_{side}"] = scene.on_image(_thick(part, _CLAVICLE_RADIUS_MM * painted.patient.body_scale))
        for number, level in enumerate(CAGE_RIBS, start=1):
            rib = rib_points(painted.torso, painted.spine.level(level), sign, _RIB_REACH_MM * painted.patient.body_scale)
            edge = _outermost(rib, sign)
            found[f"ribcage_{number}_{side}"] = scene.on_image(_thick(edge, _RIB_RADIUS_MM * painted.patient.body_scale))
    found["cervical"] = scene.on_image(_block(painted.spine.neck))
    voxels = np.argwhere(painted.bodies == _number(scene, "T12"))
    found["lumbar"] = scene.on_image((np.c_[voxels, np.ones(len(voxels))] @ painted.affine.T)[:, :3])
    return {name: found[name] for name in ROI_NAMES}


def contained(rois: Rois, points: Mapping[str, Floats]) -> dict[str, float]:
    """Share of each bone's points that lie in its region, of those of a clavicle or cage in any region of the same bone and side."""
    shares = {}
    for name, places in points.items():
        bone, _, side = name.partition("_")[0], *name.rpartition("_")[1:]
        family = [other for other in ROI_NAMES if other == name or (side in SIDES and other.startswith(bone) and other.endswith(side))]
        held = np.zeros(len(places), dtype=bool)
        for other in family:
            top, left, bottom, right = rois.box(other)
            row, column = (places + 0.5).T  # from centres of pixels to edges
            held |= (row >= top) & (row <= bottom) & (column >= left) & (column <= right)
        shares[name] = float(held.mean())
    return shares


def _number(scene: FilmSetUp, level: str) -> int:
    """The label of a body among ``painted.bodies``."""
    return 1 + [vertebra.name for vertebra in scene.painted.spine.vertebrae].index(level)


def _dense(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    along = np.linspace(0, len(curve) - 1, 2 * _SAMPLES + 1)
    return np.stack([np.interp(along, np.arange(len(curve)), curve[:, axis]) for axis in range(3)], axis=1)


def _outermost(rib: NDArray[np.float64], sign: float) -> NDArray[np.float64]:
    along = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(rib, axis=0), axis=1))]
    reach = np.abs(along - along[int(np.argmax(sign * rib[:, 0]))])
    return np.asarray(rib[reach <= _RIB_ARC_MM])


def _thick(curve: NDArray[np.float64], radius_mm: float) -> NDArray[np.float64]:
    """Points of a curve and of a circle in the frontal plane around each."""
    angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    ring = radius_mm * np.stack([np.cos(angles), np.zeros(8), np.sin(angles)], axis=1)
    return np.concatenate([curve, (curve[:, None] + ring[None]).reshape(-1, 3)])


def _block(vertebra: Vertebra) -> NDArray[np.float64]:
    """Points all over a body's box."""
    shares = np.linspace(-0.5, 0.5, 5)
    size = (vertebra.width_mm, vertebra.depth_mm, vertebra.height_mm)
    return np.array([vertebra.frame.point(a * size[0], b * size[1], c * size[2]) for a in shares for b in shares for c in shares])
