"""From a wanted T-score to a patient who has it: the true areal density of the painted body, and the search for the trabecular attenuation.

The truth is painted once, on a grid of its own (``GRID_MM``, native, as the patient stands), so that it depends on no scan. Areal density
of a given skeleton rises almost linearly with trabecular attenuation; two or three paintings of the lumbar spine are enough.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from training.data.labels import who_label
from training.errors import TrainingError
from training.simulation.body import PaintedPatient, build_body, paint, patient_without_contrast
from training.simulation.body import painted as painted_patient
from training.simulation.canvas import Canvas
from training.simulation.cohort import USABLE_LEVELS
from training.simulation.mineral import vbmd_mg_cm3
from training.simulation.parameters import PatientParameters
from training.simulation.spine import Vertebra
from training.simulation.truth import altered_because
from training.simulation.vertebra import Bone, interior_points, trabecular_hu
from training.simulation.xray.areal import LevelBone, areal_bmd
from training.simulation.xray.devices import DEVICES

GRID_MM = 1.5
"""The grid of the truth: that of the simulated densitometers."""
_REACH_MM = np.array([[-70.0, -95.0, -30.0], [70.0, 85.0, 30.0]])
"""What is painted around the centres of L1 to L4: to the (right, front, feet) and to the (left, back, head)."""
_ENOUGH_POINTS = 30
_LOWEST_HU, _HIGHEST_HU = -10.0, 450.0
_TOLERANCE_T = 0.03
_HU_PER_T = 40.0
_MOST_STEPS = 8


@dataclass(frozen=True, kw_only=True)
class TrueBone:
    """One level: projected mineral and area, and the density of the trabecular bone (None in a body too flat to have any)."""

    areal: LevelBone
    vbmd_mg_cm3: float | None


def true_bone(patient: PatientParameters) -> dict[str, TrueBone]:
    """The true bone of L1-L4, by level."""
    painted = _paint_lumbar_spine(patient)
    found = areal_bmd(painted)
    trabecular = {vertebra.name: _trabecular(vertebra, bone) for vertebra, bone in zip(painted.spine.vertebrae, painted.bones, strict=True)}
    return {
        level: TrueBone(areal=LevelBone(bmc_g=found[level][0], area_cm2=found[level][1]), vbmd_mg_cm3=trabecular[level])
        for level in USABLE_LEVELS
    }


def _paint_lumbar_spine(patient: PatientParameters) -> PaintedPatient:
    """The patient around L1-L4: with the aorta, whose calcification counts, and without flanks and belly, which hold no mineral."""
    body = build_body(patient_without_contrast(patient), 120.0)
    centres = np.array([body.spine.level(level).frame.origin for level in USABLE_LEVELS])
    low, high = centres.min(axis=0) + _REACH_MM[0], centres.max(axis=0) + _REACH_MM[1]
    columns, rows, slices = (int(length) for length in np.ceil((high - low) / GRID_MM) + 1)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]) * GRID_MM
    affine[:3, 3] = low
    canvas = Canvas((slices, rows, columns), affine, width_mm=GRID_MM, bone_hu=body.table.bone_hu, with_mineral=True)
    paint(canvas, body, arms_raised=False)
    return painted_patient(canvas, body, affine)


def _trabecular(vertebra: Vertebra, bone: Bone) -> float | None:
    points, inner = interior_points(vertebra)
    values = trabecular_hu(vertebra, bone, points, inner)
    return vbmd_mg_cm3(float(values.mean(dtype=np.float64))) if values.size >= _ENOUGH_POINTS else None


def usable_levels(patient: PatientParameters) -> tuple[str, ...]:
    """The levels of L1-L4 that carry a T-score: not fractured, cemented, screwed or sclerotic; at least two (ISCD).

    Raises
    ------
    TrainingError
        Fewer than two remain.
    """
    usable = tuple(level for level in USABLE_LEVELS if not altered_because(level, patient))
    if len(usable) < 2:
        raise TrainingError(f"patient {patient.seed}: {len(usable)} of L1-L4 can be used; a T-score needs two")
    return usable


def together(bone: Mapping[str, TrueBone], levels: tuple[str, ...]) -> LevelBone:
    """The bone of several levels as one: as densitometers average, by area."""
    parts = [bone[level].areal for level in levels]
    return LevelBone(bmc_g=sum(part.bmc_g for part in parts), area_cm2=sum(part.area_cm2 for part in parts))


@dataclass(frozen=True, kw_only=True)
class Settled:
    """A patient whose bone density is settled, and the true bone by level."""

    patient: PatientParameters
    bone: Mapping[str, TrueBone]
    t_score: float


def settle(patient: PatientParameters, target_t: float, device: str) -> Settled:
    """Give the patient the trabecular attenuation with which the true T-score of the usable levels is ``target_t``.

    A T-score that only marrow without mineral would give becomes the nearest that bone can have, if that is in the same class.

    Raises
    ------
    TrainingError
        No bone has a T-score of this class, or the device is unknown.
    """
    if device not in DEVICES:
        raise TrainingError(f"no densitometer {device!r}; known: {', '.join(DEVICES)}")
    levels = usable_levels(patient)
    bones: dict[float, dict[str, TrueBone]] = {}

    def t_score_at(hu: float) -> float:
        bones[hu] = true_bone(replace(patient, trabecular_hu=hu))
        return DEVICES[device].t_score(DEVICES[device].reading(together(bones[hu], levels).bmd_g_cm2))

    hu, t_score = find_attenuation(t_score_at, target_t, patient.trabecular_hu)
    if who_label(t_score) is not who_label(target_t):
        raise TrainingError(f"patient {patient.seed}: no bone gives a T-score of {target_t:.2f}; at {hu:.0f} HU it is {t_score:.2f}")
    return Settled(patient=replace(patient, trabecular_hu=hu), bone=bones[hu], t_score=t_score)


def find_attenuation(t_score_at: Callable[[float], float], target_t: float, first_hu: float) -> tuple[float, float]:
    """Attenuation whose T-score is ``target_t`` within 0.03, and that T-score: the secant method on an almost straight line.

    Where the way leads out of the range of bone (-10 to 450 HU), its end and the T-score there.
    """
    hu = first_hu
    t_score = t_score_at(hu)
    per_t = _HU_PER_T
    for _ in range(_MOST_STEPS):
        if abs(t_score - target_t) <= _TOLERANCE_T:
            break
        step = float(np.clip((target_t - t_score) * per_t, -120.0, 120.0))
        following = round(float(np.clip(hu + step, _LOWEST_HU, _HIGHEST_HU)), 2)
        if following == hu:
            break
        found = t_score_at(following)
        if found != t_score:
            per_t = float(np.clip((following - hu) / (found - t_score), 5.0, 200.0))
        hu, t_score = following, found
    return hu, t_score
