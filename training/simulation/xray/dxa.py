"""A densitometer's scan of a simulated spine: two beams, the mineral solved from both, the levels measured."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.simulation.body import PaintedPatient, paint_anatomy
from training.simulation.parameters import PatientParameters
from training.simulation.spine import Spine, build_spine
from training.simulation.xray.areal import BoneMap, level_regions, measure
from training.simulation.xray.attenuation import Material, mass_attenuation_cm2_g, monochromatic
from training.simulation.xray.devices import DEVICES, Densitometer
from training.simulation.xray.projection import Beam, Detector, LineIntegrals, View, axes_mm, line_integrals

FloatArray = NDArray[np.float32]

USED_LEVELS = ("L1", "L2", "L3", "L4")
_BEHIND_MM, _ABOVE_MM = 62.0, 26.0
"""The scan ends this far below L5 (the iliac crests show) and above T12."""
_MARGIN_MM = 5.0
_SMOOTH_MM, _BASELINE_MM = 1.4, 9.0
_BONE_G_CM2, _EDGE_SHARE = 0.16, 0.3
"""Where the smoothed mineral exceeds the first there is some bone, and no soft tissue to be calibrated on; the edges of the vertebrae are
where it exceeds this share of their median, so that thin bone keeps its area."""
_GUARD_MM, _NEAR_MM = 3.0, 10.0
"""No soft tissue is read closer to bone than the first; within the second it counts most: it is most like the tissue before the bone."""
_PASSES = 3


@dataclass(frozen=True, kw_only=True)
class DxaParameters:
    """How the spine is scanned.

    Attributes
    ----------
    device
        A key of :data:`~training.simulation.xray.devices.DEVICES`.
    paint_spacing_mm
        Voxels of the body that is projected.
    quanta_per_mm2
        Of either beam before the body.
    width_mm
        Of the scan.
    seed
        Of the quantum noise, with the patient's own.
    """

    device: str = "Hologic"
    paint_spacing_mm: float = 1.5
    quanta_per_mm2: float = 3e6
    width_mm: float = 180.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise ValueError(f"no densitometer {self.device!r}; known: {', '.join(DEVICES)}")
        if min(self.paint_spacing_mm, self.quanta_per_mm2, self.width_mm) <= 0:
            raise ValueError("spacing, quanta and width are positive")

    @property
    def densitometer(self) -> Densitometer:
        """The device's description."""
        return DEVICES[self.device]


@dataclass(frozen=True, kw_only=True)
class DxaLevel:
    """What the device says of a level, on its own scale. ``box`` is (first row, first column, last row, last column) on the image."""

    level: str
    bmd_g_cm2: float
    area_cm2: float
    bmc_g: float
    t_score: float
    box: tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class DualEnergy:
    """Two transmissions and the mineral solved from them; (rows, columns), foot end first."""

    low: FloatArray
    high: FloatArray
    mineral_g_cm2: FloatArray
    detector: Detector


@dataclass(frozen=True, kw_only=True)
class SimulatedDxa:
    """A scan of the lumbar spine and what the device makes of it.

    Attributes
    ----------
    image
        uint8 (rows, columns), bone bright, head up, the patient's left on the right.
    bmd_map
        float32 of the same shape: areal density in g/cm2, true scale, with the noise of the scan.
    spacing_mm
        Of the square pixels.
    levels
        L1-L4, head to foot; ``total`` is their areas and minerals together.
    """

    patient: PatientParameters
    acquisition: DxaParameters
    image: NDArray[np.uint8]
    bmd_map: FloatArray
    spacing_mm: float
    levels: tuple[DxaLevel, ...]
    total: DxaLevel


def simulate_dxa(patient: PatientParameters, acquisition: DxaParameters | None = None) -> SimulatedDxa:
    """Paint the lumbar spine, scan it with both beams and analyse the scan. The same arguments give the same bytes.

    Raises
    ------
    ValueError
        The patient lacks one of the levels L1-L4.
    """
    chosen = acquisition or DxaParameters()
    low, high = scan_range_mm(build_spine(patient), patient)
    z_range_mm = (low - _MARGIN_MM, high + _MARGIN_MM)
    return scan_painted(paint_anatomy(patient, spacing_mm=chosen.paint_spacing_mm, z_range_mm=z_range_mm), chosen)


def scan_painted(painted: PaintedPatient, acquisition: DxaParameters) -> SimulatedDxa:
    """Scan a body that is painted already, at least over :func:`scan_range_mm`.

    Raises
    ------
    ValueError
        The patient lacks one of the levels L1-L4.
    """
    patient, spine, device = painted.patient, painted.spine, acquisition.densitometer
    left, posterior, _ = axes_mm(painted)
    detector = _detector(float(left[-1] - left[0]), acquisition, scan_range_mm(spine, patient))
    beam = Beam(view=View.PA, centre_mm=(0.0, 0.0), detector_w_mm=0.0)
    painted_mm = float(posterior[1] - posterior[0])
    integrals = line_integrals(painted, beam, detector.with_pitch(painted_mm)).resampled(detector)
    rng = np.random.default_rng((patient.seed, acquisition.seed, list(DEVICES).index(acquisition.device), 43))
    scan = scan_twice(integrals, acquisition, rng)
    levels, total = analyse(scan, spine, device)
    return SimulatedDxa(
        patient=patient,
        acquisition=acquisition,
        image=picture(scan, device),
        bmd_map=np.ascontiguousarray(scan.mineral_g_cm2[::-1]),
        spacing_mm=detector.pitch_mm,
        levels=levels,
        total=total,
    )


def scan_range_mm(spine: Spine, patient: PatientParameters) -> tuple[float, float]:
    """Lowest and highest line of a spine scan, mm above L3."""
    last = spine.level(patient.levels[-1]).frame.origin[2]
    return float(last - _BEHIND_MM), float(spine.level("T12").frame.origin[2] + _ABOVE_MM)


def scan_twice(integrals: LineIntegrals, acquisition: DxaParameters, rng: np.random.Generator) -> DualEnergy:
    """Both transmissions with quantum noise, and the mineral solved from them."""
    device = acquisition.densitometer
    quanta = acquisition.quanta_per_mm2 * integrals.detector.pitch_mm**2
    low, high = (
        np.maximum(rng.poisson(quanta * integrals.transmission(monochromatic(energy)).astype(np.float64)), 1).astype(np.float32)
        / np.float32(quanta)
        for energy in (device.low_kev, device.high_kev)
    )
    mineral = solve_mineral(-np.log(low), -np.log(high), device, integrals.detector.pitch_mm)
    return DualEnergy(low=low, high=high, mineral_g_cm2=mineral, detector=integrals.detector)


def solve_mineral(low: FloatArray, high: FloatArray, device: Densitometer, pixel_mm: float) -> FloatArray:
    """Areal density of mineral, g/cm2, from the attenuation (minus the logarithm of the transmission) of both beams.

    Two beams tell two materials apart, and the soft tissue's mixture of lean and fat is unknown. As densitometers do, its apparent mineral
    is read where there is no bone, on both sides of the spine, and subtracted line by line.

    Parameters
    ----------
    low, high
        (rows, columns).
    """
    coefficient = {
        (material, energy): float(mass_attenuation_cm2_g(material, energy))
        for material in (Material.LEAN, Material.MINERAL)
        for energy in (device.low_kev, device.high_kev)
    }
    ratio = coefficient[Material.LEAN, device.low_kev] / coefficient[Material.LEAN, device.high_kev]
    gain = coefficient[Material.MINERAL, device.low_kev] - ratio * coefficient[Material.MINERAL, device.high_kev]
    apparent = (low - np.float32(ratio) * high) / np.float32(gain)
    smooth = ndimage.gaussian_filter(apparent, _SMOOTH_MM / pixel_mm)
    columns = np.arange(apparent.shape[1]) - (apparent.shape[1] - 1) / 2
    beside = np.broadcast_to(np.abs(columns * pixel_mm) > 50.0, apparent.shape).astype(np.float64)
    baseline = _baseline(smooth, beside, columns, pixel_mm)
    for _ in range(_PASSES):
        bone = ndimage.binary_opening(smooth - baseline > _BONE_G_CM2, iterations=2)
        if not bone.any():
            break
        away = ndimage.distance_transform_edt(~bone) * pixel_mm
        baseline = _baseline(smooth, np.where(away > _GUARD_MM, np.exp(-0.5 * (away / _NEAR_MM) ** 2) + 1e-3, 0.0), columns, pixel_mm)
    return np.asarray(apparent - baseline, dtype=np.float32)


def analyse(scan: DualEnergy, spine: Spine, device: Densitometer) -> tuple[tuple[DxaLevel, ...], DxaLevel]:
    """Levels L1-L4 on the device's scale, and all four together.

    Raises
    ------
    ValueError
        One of them is not whole in the scan.
    """
    detector = scan.detector
    smooth = ndimage.gaussian_filter(scan.mineral_g_cm2, _SMOOTH_MM / detector.pitch_mm)
    regions = level_regions(spine, detector.u_mm, detector.v_mm)
    if missing := [name for name in USED_LEVELS if name not in regions]:
        raise ValueError(f"not in the scan: {', '.join(missing)}")
    wanted: Mapping[str, NDArray[np.bool_]] = {name: regions[name] for name in USED_LEVELS}
    both = np.logical_or.reduce([*wanted.values()])
    bone_map = BoneMap(
        mineral_g_cm2=scan.mineral_g_cm2.astype(np.float64),
        bone=smooth > _EDGE_SHARE * float(np.median(smooth[both])),
        x_mm=detector.u_mm,
        z_mm=detector.v_mm,
    )
    found = measure(bone_map, {**wanted, "L1-L4": both})
    read = {}
    for name, region in {**wanted, "L1-L4": both}.items():
        bmd = device.reading(found[name].bmd_g_cm2)
        area = found[name].area_cm2
        read[name] = DxaLevel(
            level=name, bmd_g_cm2=bmd, area_cm2=area, bmc_g=bmd * area, t_score=device.t_score(bmd), box=_box(region, detector.rows)
        )
    return tuple(read[name] for name in USED_LEVELS), read["L1-L4"]


def _baseline(smooth: FloatArray, weight: NDArray[np.float64], columns: NDArray[np.float64], pixel_mm: float) -> FloatArray:
    """Apparent mineral of the soft tissue: a straight line across each row, fitted with weights, alike in neighbouring rows."""
    x = columns * pixel_mm / 100
    moments = [(weight * x**power).sum(axis=1) for power in range(3)]
    values = [(weight * smooth * x**power).sum(axis=1) for power in range(2)]
    s0, s1, s2, y0, y1 = (ndimage.gaussian_filter1d(value, _BASELINE_MM / pixel_mm, mode="nearest") for value in (*moments, *values))
    determinant = np.maximum(s0 * s2 - s1 * s1, 1e-9)
    slope = (s0 * y1 - s1 * y0) / determinant
    level = (y0 - slope * s1) / np.maximum(s0, 1e-9)
    return np.asarray(level[:, None] + slope[:, None] * x, dtype=np.float32)


def _detector(body_width_mm: float, acquisition: DxaParameters, range_mm: tuple[float, float]) -> Detector:
    pitch = acquisition.densitometer.pixel_mm
    columns = 2 * round(min(acquisition.width_mm, body_width_mm) / pitch / 2)
    return Detector(
        first_u_mm=-(columns - 1) / 2 * pitch,
        first_v_mm=range_mm[0],
        pitch_mm=pitch,
        rows=round((range_mm[1] - range_mm[0]) / pitch),
        columns=columns,
    )


def _box(region: NDArray[np.bool_], rows: int) -> tuple[int, int, int, int]:
    """Of a region with the foot end first, on the image with the head up."""
    v, u = np.nonzero(region)
    return (int(rows - 1 - v.max()), int(u.min()), int(rows - 1 - v.min()), int(u.max()))


def picture(scan: DualEnergy, device: Densitometer) -> NDArray[np.uint8]:
    """Grey image, head up, as the device shows it: mostly mineral, with a shade of the soft tissue."""
    soft = -np.log(scan.high)
    low, high = (float(value) for value in np.percentile(soft, (2, 98)))
    shade = np.clip((soft - low) / max(high - low, 1e-3), 0, 1)
    bone = np.clip(device.reading(1.0) * scan.mineral_g_cm2 / 1.6, -0.1, 1)
    grey = np.clip(0.10 + 0.22 * shade + 0.72 * bone, 0, 1)
    return np.ascontiguousarray(np.rint(grey * 255).astype(np.uint8)[::-1])
