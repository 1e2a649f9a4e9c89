"""The other regions that a densitometer scans and sends in the same series: hips, the lateral spine, a knee, the whole body.

They are pictures: nothing is measured in them. A workflow for the spine has to refuse them, which is why they exist.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from training.simulation.body import PaintedPatient, paint_anatomy
from training.simulation.canvas import ANATOMY, Canvas, FloatArray, Layer, Region
from training.simulation.parameters import PatientParameters
from training.simulation.pelvis import HIP_MM
from training.simulation.shapes import ellipse
from training.simulation.structure import Structure
from training.simulation.tissue import CORTICAL_HU, FAT_HU
from training.simulation.torso import paint_union, rod
from training.simulation.xray.attenuation import Material
from training.simulation.xray.composition import BASIS
from training.simulation.xray.dxa import DualEnergy, DxaParameters, picture, scan_twice
from training.simulation.xray.projection import Beam, Detector, LineIntegrals, View, axes_mm, line_integrals

PAINT_MM = 2.0
_MUSCLE_HU = 55.0


class DxaRegion(StrEnum):
    """Regions beside the spine, by the names that a GE Lunar iDXA gives them."""

    LEFT_FEMUR = "Left Femur"
    RIGHT_FEMUR = "Right Femur"
    LVA = "LVA"
    """Lateral vertebral assessment."""
    KNEE = "Left Ortho Knee"
    TOTAL_BODY = "Total Body"
    """As far as the simulated body reaches: the trunk."""


@dataclass(frozen=True, kw_only=True)
class RegionScan:
    """A picture: uint8 (rows, columns), head up."""

    region: DxaRegion
    image: NDArray[np.uint8]
    spacing_mm: float


def simulate_regions(patient: PatientParameters, acquisition: DxaParameters | None = None) -> tuple[RegionScan, ...]:
    """Scans of every region beside the spine; the body is painted once. The same arguments give the same bytes."""
    chosen = acquisition or DxaParameters()
    painted = paint_anatomy(patient, spacing_mm=PAINT_MM, z_range_mm=paint_range_mm(patient))
    knee = paint_knee(patient)
    return tuple(_scan(region, knee if region is DxaRegion.KNEE else painted, chosen) for region in DxaRegion)


def paint_range_mm(patient: PatientParameters) -> tuple[float, float]:
    """From the middle of the thighs to the neck, mm above L3."""
    return (-360.0 * patient.body_scale, 470.0 * patient.body_scale)


def paint_knee(patient: PatientParameters) -> PaintedPatient:
    """A left knee about the origin: femur with its condyles, tibia, fibula and patella in muscle and fat."""
    s = patient.body_scale
    reach = (62.0 * s, 72.0 * s, 120.0 * s)
    shape = tuple(int(np.ceil(2 * half / PAINT_MM)) for half in reach[::-1])
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]) * PAINT_MM
    affine[:3, 3] = (-reach[0], -reach[1], -reach[2])
    canvas = Canvas((shape[0], shape[1], shape[2]), affine, width_mm=PAINT_MM, with_mineral=True)

    def flesh(x: FloatArray, y: FloatArray, z: FloatArray) -> list[Layer]:
        width = np.asarray((54 + 0.05 * z) * s, dtype=np.float32)
        skin = ellipse(x, y, width, width * 1.12)
        inside = np.asarray(skin + 0.5 * patient.fat_mm, dtype=np.float32)
        return [(np.broadcast_to(skin, canvas.shape).astype(np.float32), FAT_HU), (inside, _MUSCLE_HU)]

    canvas.paint(Region(frame=ANATOMY, low=(-reach[0], -reach[1], -reach[2]), high=reach), flesh)

    def at(x: float, y: float, z: float) -> NDArray[np.float64]:
        return np.array([x, y, z]) * s

    femur = [rod(at(0, 0, 120), at(0, 0, 40), (14 * s, 18 * s))]
    femur += [rod(at(0, 0, 40), at(side * 20, 4, 14), (18 * s, 19 * s)) for side in (-1, 1)]
    tibia = [rod(at(side * 19, 2, -14), at(0, 0, -45), (18 * s, 14 * s)) for side in (-1, 1)]
    tibia += [rod(at(0, 0, -45), at(0, 0, -120), (15 * s, 12 * s))]
    fibula = [rod(at(36, 20, -24), at(32, 18, -120), (7 * s, 5 * s))]
    patella = [rod(at(0, -36, 26), at(0, -36, 18), (14 * s, 13 * s), (1.2, 0.6, 1.0))]
    inside = 0.8 * patient.trabecular_hu + 40
    with canvas.marking(Structure.PELVIS, mineralised=True):
        for bone in (femur, tibia, fibula, patella):
            paint_union(canvas, bone, CORTICAL_HU, inside, step_mm=2.0)
    body = paint_anatomy(patient, spacing_mm=PAINT_MM * 4, z_range_mm=(-20.0, 20.0))
    mineral = canvas.mineral_mg_cm3
    if mineral is None:
        raise AssertionError("the canvas was made with mineral")
    return replace(body, hu=canvas.hu, structures=canvas.structures, bodies=canvas.labels, mineral_mg_cm3=mineral, affine=affine)


def _scan(region: DxaRegion, painted: PaintedPatient, acquisition: DxaParameters) -> RegionScan:
    """Both beams over a region's field; the picture shows the mineral of the body itself under the noise of the scan."""
    view = View.LATERAL if region is DxaRegion.LVA else View.PA
    detector = _field(region, painted, acquisition)
    beam = Beam(view=view, centre_mm=(0.0, 0.0), detector_w_mm=0.0)
    coarse = line_integrals(painted, beam, detector.with_pitch(max(PAINT_MM, detector.pitch_mm)))
    integrals = coarse.resampled(detector)
    rng = np.random.default_rng((painted.patient.seed, acquisition.seed, list(DxaRegion).index(region), 53))
    scan = scan_twice(integrals, acquisition, rng)
    return RegionScan(
        region=region, image=picture(_with_true_mineral(scan, integrals, rng), acquisition.densitometer), spacing_mm=detector.pitch_mm
    )


def _with_true_mineral(scan: DualEnergy, integrals: LineIntegrals, rng: np.random.Generator) -> DualEnergy:
    """Beside the spine no soft tissue is calibrated here: the mineral is the body's, with noise as strong as the scan's."""
    noise = np.sqrt(1 / np.maximum(scan.low, 1e-7)) * rng.standard_normal(scan.low.shape, dtype=np.float32)
    mineral = integrals.mass_g_cm2[BASIS.index(Material.MINERAL)] + 0.02 * noise * np.float32(np.sqrt(np.median(scan.low)))
    return replace(scan, mineral_g_cm2=np.asarray(mineral, dtype=np.float32))


def _field(region: DxaRegion, painted: PaintedPatient, acquisition: DxaParameters) -> Detector:
    """The detector of a region: centre and size in the plane of the picture, mm."""
    left, _, cranial = axes_mm(painted)
    s1, scale = painted.torso.ilium.s1, painted.patient.body_scale
    pitch = acquisition.densitometer.pixel_mm
    hip = (HIP_MM[0] * scale + 22.0, float(s1[2]) + HIP_MM[2] * scale - 18.0)
    spine = float(painted.spine.level("T10").frame.origin[1])
    centre, size, pitch = {
        DxaRegion.LEFT_FEMUR: (hip, (120.0, 150.0), pitch),
        DxaRegion.RIGHT_FEMUR: ((-hip[0], hip[1]), (120.0, 150.0), pitch),
        DxaRegion.LVA: ((spine - 10.0, 150.0), (170.0, 400.0), pitch),
        DxaRegion.KNEE: ((0.0, 0.0), (120.0 * scale, 200.0 * scale), pitch),
        DxaRegion.TOTAL_BODY: ((0.0, float(cranial.mean())), (float(left[-1] - left[0]), float(cranial[-1] - cranial[0])), 2.0),
    }[region]
    columns, rows = 2 * round(size[0] / pitch / 2), round(size[1] / pitch)
    return Detector(
        first_u_mm=centre[0] - (columns - 1) / 2 * pitch,
        first_v_mm=centre[1] - (rows - 1) / 2 * pitch,
        pitch_mm=pitch,
        rows=rows,
        columns=columns,
    )
