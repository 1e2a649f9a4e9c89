"""One painted patient: attenuation, which bone each voxel belongs to, and bone mineral, all on one grid.

Every modality is made from this: a CT adds what a scanner does, a film and a DXA project it. Truth is shared because the body is.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from training.simulation import abdomen, pelvis, sacrum, shoulder, streaks, thorax, torso
from training.simulation.canvas import Canvas
from training.simulation.degeneration import paint_osteophytes
from training.simulation.parameters import ContrastPhase, PatientParameters
from training.simulation.posterior import paint_arch, paint_canal, paint_screws
from training.simulation.spine import Spine, build_spine
from training.simulation.structure import Structure
from training.simulation.tissue import Tissues, tissues
from training.simulation.torso import Torso, build_torso
from training.simulation.vertebra import Bone, make_bone, paint_body, paint_disc
from training.simulation.vessels import paint_vessels

__all__ = ["Body", "PaintedPatient", "Structure", "build_body", "paint", "paint_anatomy", "painted"]

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Body:
    """A patient before anything is painted: shapes and materials."""

    patient: PatientParameters
    spine: Spine
    torso: Torso
    table: Tissues
    bones: tuple[Bone, ...]


@dataclass(frozen=True, kw_only=True)
class PaintedPatient:
    """A patient on a grid, without noise.

    Attributes
    ----------
    hu
        float32 (slices, rows, columns), attenuation at the tube voltage and in the contrast phase asked for.
    structures
        uint8, :class:`Structure`; ``bodies`` uint8, the level's number (1 is T1) or 0.
    mineral_mg_cm3
        float32, bone mineral (hydroxyapatite) per volume of the voxel. Metal and cement hold none.
    affine
        (4, 4), indices (slice, row, column, 1) to mm.
    """

    patient: PatientParameters
    hu: FloatArray
    structures: NDArray[np.uint8]
    bodies: NDArray[np.uint8]
    mineral_mg_cm3: FloatArray
    affine: NDArray[np.float64]
    spine: Spine
    torso: Torso
    bones: tuple[Bone, ...]


def build_body(patient: PatientParameters, kvp: float) -> Body:
    """Shapes and materials of one patient at one tube voltage."""
    table = tissues(patient.contrast, kvp)
    spine = build_spine(patient)
    return Body(
        patient=patient,
        spine=spine,
        torso=build_torso(patient, spine),
        table=table,
        bones=tuple(make_bone(vertebra, patient) for vertebra in spine.vertebrae),
    )


def paint(canvas: Canvas, body: Body, *, arms_raised: bool) -> None:
    """Paint the whole patient, from back to front; the arms are raised in a scanner and hang down before a detector."""
    patient, spine, trunk, table = body.patient, body.spine, body.torso, body.table
    scale = patient.body_scale
    rng = np.random.default_rng((patient.seed, 17))
    base = patient.trabecular_hu
    shoulder.paint_shoulders(canvas, trunk, spine, arms_raised=arms_raised)
    if patient.sex == "F":
        torso.paint_breasts(canvas, trunk, spine, table)
    torso.paint_torso(canvas, trunk, table)
    shoulder.paint_shoulder_muscles(canvas, trunk, spine, table, arms_raised=arms_raised)
    torso.paint_muscles(canvas, trunk, spine, table)
    streaks.paint_streaks(canvas, trunk, spine, patient)
    streaks.paint_neck(canvas, trunk, spine, table)
    torso.paint_lungs(canvas, trunk, apex_z=float(spine.level("T1").frame.origin[2] + 10 * scale))
    thorax.paint_lung_vessels(canvas, trunk, spine, table, rng)
    thorax.paint_heart(canvas, trunk, spine, table, rng)
    abdomen.paint_organs(canvas, trunk, spine, table)
    abdomen.paint_bowel(canvas, trunk, spine, table, rng)
    paint_vessels(canvas, spine, patient, table)
    with canvas.marking(Structure.OTHER_BONE, mineralised=True):
        shoulder.paint_girdle(canvas, trunk, spine, base, arms_raised=arms_raised)
    with canvas.marking(Structure.PELVIS, mineralised=True):
        pelvis.paint_hips(canvas, trunk.ilium, base, prosthesis=patient.hip_prosthesis)
    sacrum.paint_foramina(canvas, spine, scale)
    paint_canal(canvas, spine, scale)
    neck = (*spine.cervical[::-1], spine.neck)
    chain = (*neck, *spine.vertebrae, spine.sacrum[0])
    with canvas.marking(Structure.DISC):
        for above, below in pairwise(chain):
            paint_disc(canvas, above, below)
    with canvas.marking(Structure.SACRUM, mineralised=True):
        sacrum.paint_sacrum(canvas, spine, trunk.ilium)
    with canvas.marking(Structure.RIB, mineralised=True):
        thorax.paint_ribs(canvas, trunk, spine, patient)
    whole = [(0, vertebra, make_bone(vertebra, patient)) for vertebra in neck]
    whole += [(label, *pair) for label, pair in enumerate(zip(spine.vertebrae, body.bones, strict=True), start=1)]
    for label, vertebra, bone in whole:
        with canvas.marking(Structure.POSTERIOR, mineralised=True):
            paint_arch(canvas, vertebra, bone.base_hu, bone.cortex_hu, scale)
        paint_osteophytes(canvas, vertebra, patient, label)
        paint_body(canvas, vertebra, bone, scale, label)
    with canvas.marking(None):
        paint_screws(canvas, spine, patient.screws, scale)


def painted(canvas: Canvas, body: Body, affine: NDArray[np.float64]) -> PaintedPatient:
    """What a canvas with mineral shows; ``affine`` places its voxels."""
    if canvas.mineral_mg_cm3 is None:
        raise ValueError("this canvas holds no mineral: make it with with_mineral=True")
    return PaintedPatient(
        patient=body.patient,
        hu=canvas.hu,
        structures=canvas.structures,
        bodies=canvas.labels,
        mineral_mg_cm3=canvas.mineral_mg_cm3,
        affine=affine,
        spine=body.spine,
        torso=body.torso,
        bones=body.bones,
    )


def paint_anatomy(
    patient: PatientParameters, *, spacing_mm: float, z_range_mm: tuple[float, float] | None = None, arms_raised: bool = False
) -> PaintedPatient:
    """The patient at 120 kVp without contrast on isotropic voxels in the anatomical frame: left, posterior, cranial from L3, mm.

    Parameters
    ----------
    z_range_mm
        (lowest, highest) slice; from the hips to above T1 where absent.
    arms_raised
        As for a lateral film; the arms hang down otherwise.
    """
    body = build_body(patient_without_contrast(patient), 120.0)
    spine, trunk = body.spine, body.torso
    low, high = z_range_mm or (float(spine.level("S1").frame.origin[2]) - 125.0, float(spine.level("T1").frame.origin[2]) + 40.0)
    half = float(trunk.half_width.values.max()) + 10.0
    if high > spine.level("T8").frame.origin[2]:
        half = max(half, shoulder.REACH_MM * patient.body_scale + float(trunk.fat.values.max()))
    front, back = float(trunk.front.values.min()) - 10.0, float(trunk.back.values.max()) + 10.0
    shape = tuple(int(np.ceil(length / spacing_mm)) + 1 for length in (high - low, back - front, 2 * half))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]) * spacing_mm
    affine[:3, 3] = (-half, front, low)
    canvas = Canvas((shape[0], shape[1], shape[2]), affine, width_mm=spacing_mm, bone_hu=body.table.bone_hu, with_mineral=True)
    paint(canvas, body, arms_raised=arms_raised)
    return painted(canvas, body, affine)


def patient_without_contrast(patient: PatientParameters) -> PatientParameters:
    """The same patient before any injection."""
    return replace(patient, contrast=ContrastPhase.NATIVE)
