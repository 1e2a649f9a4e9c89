"""Simulated CT of a parametric patient, with the truth that a measuring method is held against."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inference.volume import Volume
from training.simulation.acquisition import Grid, body_labels, make_grid, paint_couch, reconstruct
from training.simulation.body import Body, PaintedPatient, build_body, paint, painted
from training.simulation.canvas import Canvas
from training.simulation.parameters import AcquisitionParameters, ContrastPhase, FieldOfView, Kernel, PatientParameters
from training.simulation.spine import Spine, rotation
from training.simulation.torso import Torso
from training.simulation.truth import LevelTruth, Truth, level_truth

__all__ = [
    "AcquisitionParameters",
    "ContrastPhase",
    "FieldOfView",
    "Kernel",
    "LevelTruth",
    "PatientParameters",
    "SimulatedCt",
    "Truth",
    "simulate_ct",
]


@dataclass(frozen=True, kw_only=True)
class SimulatedCt:
    """A scan and its truth.

    ``volume`` has slices ascending towards the head. With a tilted gantry its affine is sheared, as the DICOM files say.
    """

    patient: PatientParameters
    acquisition: AcquisitionParameters
    volume: Volume
    truth: Truth


def simulate_ct(patient: PatientParameters, acquisition: AcquisitionParameters) -> SimulatedCt:
    """Build the patient, scan, and say what is true. The same arguments give the same bytes."""
    body = build_body(patient, acquisition.kvp)
    canvas, grid, pose = _scan_canvas(body, acquisition, with_mineral=False)
    hu = reconstruct(canvas, grid, acquisition, patient.seed)
    volume = Volume(hu=hu, affine=grid.affine)
    masks = body_labels(canvas, grid)
    levels = tuple(level_truth(body, index, pose, grid) for index in range(len(body.bones)))
    seen = {int(value) for value in np.unique(masks)}
    structures = canvas.structures[grid.planes // 2 :: grid.planes]
    truth = Truth(
        levels=tuple(level for level in levels if level.label in seen), bodies=masks, structures=structures, contrast=patient.contrast
    )
    return SimulatedCt(patient=patient, acquisition=acquisition, volume=volume, truth=truth)


def paint_scan(patient: PatientParameters, acquisition: AcquisitionParameters) -> PaintedPatient:
    """The patient as :func:`simulate_ct` paints it before the scanner's part: on the planes of the scan, with the couch, in LPS mm."""
    body = build_body(patient, acquisition.kvp)
    canvas, grid, _ = _scan_canvas(body, acquisition, with_mineral=True)
    return painted(canvas, body, grid.fine_affine)


def _scan_canvas(body: Body, acquisition: AcquisitionParameters, *, with_mineral: bool) -> tuple[Canvas, Grid, NDArray[np.float64]]:
    """The painted planes of a scan, the grid of its slices in LPS, and the pose (4, 4): anatomical coordinates to LPS."""
    room = room_matrix(body.patient)
    in_room = _grid(body, acquisition, room)
    affine = np.linalg.inv(room) @ in_room.fine_affine
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    canvas = Canvas(in_room.fine_shape, affine, width_mm=float(steps.mean()), bone_hu=body.table.bone_hu, with_mineral=with_mineral)
    paint(canvas, body, arms_raised=True)
    paint_couch(canvas, in_room.fine_affine, (float(room[0, 3]), _lowest_mm(body.torso, room) + 4.0))
    turn = _room_to_patient(body.patient)
    return canvas, replace(in_room, affine=turn @ in_room.affine), turn @ room


def room_matrix(patient: PatientParameters) -> NDArray[np.float64]:
    """(4, 4) anatomical to room coordinates (LPS of a supine patient): how the patient lies, and where the scanner's zero is."""
    rng = np.random.default_rng((patient.seed, 5))
    out = np.eye(4)
    out[:3, :3] = rotation(patient.tilt_deg, patient.yaw_deg, patient.roll_deg)
    out[:3, 3] = rng.uniform((-12, -25, -900), (12, 25, -100))
    return out


def _room_to_patient(patient: PatientParameters) -> NDArray[np.float64]:
    """(4, 4) room to LPS coordinates, which turn with a patient who lies prone or on a side (PS3.3 C.7.6.2.1.1)."""
    out = np.eye(4)
    out[:3, :3] = np.rint(rotation(0.0, 0.0, -90.0 * patient.quarter_turns))
    return out


def coverage_mm(spine: Spine, acquisition: AcquisitionParameters) -> tuple[float, float]:
    """Lowest and highest slice position, mm above L3, of the field of view."""
    if acquisition.z_range_mm is not None:
        return acquisition.z_range_mm
    bounds = {
        FieldOfView.ABDOMEN: ("S1", -125.0, "T10", 20.0),
        FieldOfView.LUMBAR: ("S1", -20.0, "T12", 16.0),
        FieldOfView.CHEST: ("L2", -16.0, "T1", 18.0),
        FieldOfView.HEART: ("T10", -14.0, "T6", 12.0),
        FieldOfView.TRUNK: ("S1", -125.0, "T1", 18.0),
    }
    lowest, below, highest, above = bounds[acquisition.field_of_view]
    return (float(spine.level(lowest).frame.origin[2] + below), float(spine.level(highest).frame.origin[2] + above))


def _lowest_mm(trunk: Torso, pose: NDArray[np.float64]) -> float:
    """Where the couch must be: the most posterior LPS y of the outline, however the patient lies."""
    half = float(trunk.half_width.values.max())
    front, back = float(trunk.front.values.min()), float(trunk.back.values.max())
    angles = np.linspace(0, 2 * np.pi, 36)
    rim = np.stack([half * np.sin(angles), (front + back) / 2 + (back - front) / 2 * np.cos(angles), np.zeros(36)])
    return float((pose[:3, :3] @ rim)[1].max() + pose[1, 3])


def _grid(body: Body, acquisition: AcquisitionParameters, pose: NDArray[np.float64]) -> Grid:
    low, high = coverage_mm(body.spine, acquisition)
    if acquisition.field_of_view is FieldOfView.HEART:
        place = body.spine.level("T8").frame.origin
        centre = np.array([18.0, place[1] - 62.0, place[2], 1.0])
    elif acquisition.field_of_view is FieldOfView.LUMBAR:
        place = body.spine.level("L3").frame.origin
        centre = np.array([place[0], place[1] + 12.0, 0.0, 1.0])
    else:
        height = np.array([(low + high) / 2], dtype=np.float32)
        middle = (float(body.torso.front(height)[0]) + float(body.torso.back(height)[0])) / 2
        centre = np.array([0.0, middle + 8.0, 0.0, 1.0])
    lps = pose @ centre
    return make_grid(acquisition, (low + float(pose[2, 3]), high + float(pose[2, 3])), (float(lps[0]), float(lps[1])))
