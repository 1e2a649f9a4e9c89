"""What is true about a simulated scan, level by level; independent of noise, kernel and grid wherever that can be."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.simulation.acquisition import Grid
from training.simulation.body import Body
from training.simulation.mineral import vbmd_mg_cm3
from training.simulation.parameters import ContrastPhase, PatientParameters
from training.simulation.spine import Vertebra
from training.simulation.tissue import CEMENT_HU
from training.simulation.vertebra import body_region, cement_share, interior_points, trabecular_hu


@dataclass(frozen=True, kw_only=True)
class LevelTruth:
    """One body.

    Attributes
    ----------
    name, label
        Level, and its value in :attr:`Truth.bodies`.
    trabecular_hu, trabecular_median_hu
        Mean and median over the trabecular bone at least 3 mm inside the cortex, before noise, at this tube voltage and contrast
        phase; with the basivertebral vein, and with a focus or cement where there is one. None in a body too flat to have any.
    vbmd_mg_cm3
        Mean mineral density (hydroxyapatite) of the same bone; neither tube voltage nor contrast nor cement changes it.
    anterior_mm, middle_mm, posterior_mm
        Heights of the body.
    centre_lps_mm
        Its centre.
    cranial, anterior
        LPS unit vectors of its own frame.
    whole
        Entirely inside the field of view.
    altered
        Why a method should not use this level: ``cement``, ``screws``, ``fracture``, ``focus``.
    """

    name: str
    label: int
    trabecular_hu: float | None
    trabecular_median_hu: float | None
    vbmd_mg_cm3: float | None
    anterior_mm: float
    middle_mm: float
    posterior_mm: float
    centre_lps_mm: tuple[float, float, float]
    cranial: tuple[float, float, float]
    anterior: tuple[float, float, float]
    whole: bool
    altered: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The levels that at least one voxel of the scan shows, head to foot, and their mask.

    ``bodies`` is uint8 on the volume's grid: vertebral bodies with their cortex, no arch, no disc; the value is a level's ``label``.
    ``structures`` is uint8 on the same grid: :class:`training.simulation.body.Structure`.
    """

    levels: tuple[LevelTruth, ...]
    bodies: NDArray[np.uint8]
    structures: NDArray[np.uint8]
    contrast: ContrastPhase

    def level(self, name: str) -> LevelTruth | None:
        """The truth about a level, or None where it is out of view."""
        return next((level for level in self.levels if level.name == name), None)


def level_truth(body: Body, index: int, pose: NDArray[np.float64], grid: Grid) -> LevelTruth:
    """The truth about the body of vertebra ``index``, from its analytic description alone."""
    vertebra, bone = body.spine.vertebrae[index], body.bones[index]
    points, inner = interior_points(vertebra)
    native = trabecular_hu(vertebra, bone, points, inner)
    cement = cement_share(bone, points)
    values = (body.table.bone_hu(native) * (1 - cement) + CEMENT_HU * cement).astype(np.float64)
    enough = values.size >= 30
    rotated = pose[:3, :3] @ vertebra.frame.axes
    return LevelTruth(
        name=vertebra.name,
        label=index + 1,
        trabecular_hu=float(values.mean()) if enough else None,
        trabecular_median_hu=float(np.median(values)) if enough else None,
        vbmd_mg_cm3=vbmd_mg_cm3(float(native.mean(dtype=np.float64))) if enough else None,
        anterior_mm=vertebra.anterior_mm,
        middle_mm=vertebra.middle_mm,
        posterior_mm=vertebra.posterior_mm,
        centre_lps_mm=_triple(pose[:3, :3] @ vertebra.frame.origin + pose[:3, 3]),
        cranial=_triple(rotated[:, 2]),
        anterior=_triple(-rotated[:, 1]),
        whole=_inside(vertebra, pose, grid),
        altered=altered_because(vertebra.name, body.patient),
    )


def altered_because(name: str, patient: PatientParameters) -> tuple[str, ...]:
    """Why a method should not use this level: ``cement``, ``screws``, ``fracture`` (more than a fifth of a height lost), ``focus``."""
    fractured = patient.wedge.get(name, 0.0) > 0.2 or patient.crush.get(name, 0.0) > 0.2
    named = {
        "cement": name in patient.cement,
        "screws": name in patient.screws,
        "fracture": fractured,
        "focus": name in patient.dense_focus,
    }
    return tuple(reason for reason, present in named.items() if present)


def _inside(vertebra: Vertebra, pose: NDArray[np.float64], grid: Grid) -> bool:
    """All points of the body's rim lie inside the outermost voxel centres."""
    region = body_region(vertebra)
    half = [(high - low) / 2 - 1.0 for low, high in zip(region.low, region.high, strict=True)]
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    rim = [(half[0] * np.cos(a), half[1] * np.sin(a), sign * half[2]) for a in angles for sign in (-1, 1)]
    points = np.array([vertebra.frame.point(*point) for point in rim])
    lps = points @ pose[:3, :3].T + pose[:3, 3]
    indices = (lps - grid.affine[:3, 3]) @ np.linalg.inv(grid.affine[:3, :3]).T
    return bool(np.all(indices >= 0) and np.all(indices <= np.array(grid.shape) - 1))


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))
