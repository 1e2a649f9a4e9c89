"""The other regions that a densitometer scans and sends in the same series: hips, the lateral spine, a knee, the whole body.

They are pictures: nothing is measured in them. A workflow for the spine has to refuse them, which is why they exist.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from training.simulation.body import PaintedPatient, paint_anatomy
from training.simulation.parameters import PatientParameters
from training.simulation.pelvis import HIP_MM
from training.simulation.xray.attenuation import Material
from training.simulation.xray.composition import BASIS
from training.simulation.xray.dxa import DualEnergy, DxaParameters, picture, scan_twice
from training.simulation.xray.knee import paint_knee
from training.simulation.xray.projection import Beam, Detector, LineIntegrals, View, axes_mm, line_integrals

PAINT_MM = 2.0


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


def simulate_regions(
    patient: PatientParameters, acquisition: DxaParameters | None = None, *, spacing_mm: float = PAINT_MM
) -> tuple[RegionScan, ...]:
    """Scans of every region beside the spine; the body is painted once, on voxels of ``spacing_mm``. Deterministic."""
    chosen = acquisition or DxaParameters()
    painted = paint_anatomy(patient, spacing_mm=spacing_mm, z_range_mm=paint_range_mm(patient))
    knee = paint_knee(patient, spacing_mm)
    return tuple(_scan(region, knee if region is DxaRegion.KNEE else painted, chosen) for region in DxaRegion)


def paint_range_mm(patient: PatientParameters) -> tuple[float, float]:
    """From the middle of the thighs to the neck, mm above L3."""
    return (-360.0 * patient.body_scale, 470.0 * patient.body_scale)


def _scan(region: DxaRegion, painted: PaintedPatient, acquisition: DxaParameters) -> RegionScan:
    """Both beams over a region's field; the picture shows the mineral of the body itself under the noise of the scan."""
    view = View.LATERAL if region is DxaRegion.LVA else View.PA
    detector = _field(region, painted, acquisition)
    beam = Beam(view=view, centre_mm=(0.0, 0.0), detector_w_mm=0.0)
    left, _, _ = axes_mm(painted)
    coarse = line_integrals(painted, beam, detector.with_pitch(max(float(left[1] - left[0]), detector.pitch_mm)))
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
