"""Many different patients from one seed: size, pose, density, contrast, kernel and grid vary as they do in practice."""

from collections.abc import Mapping

import numpy as np

from training.simulation.parameters import AcquisitionParameters, ContrastPhase, FieldOfView, Kernel, PatientParameters

_GRIDS = ((0.78, 512), (0.9, 448), (1.2, 336), (1.5, 272), (2.0, 208), (3.0, 136))
_SLICES_MM = (0.7, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0)


def sample_patients(
    n: int, seed: int, field_of_view: FieldOfView = FieldOfView.ABDOMEN
) -> list[tuple[PatientParameters, AcquisitionParameters]]:
    """``n`` patients and how each is scanned; the first ones stay the same when ``n`` grows.

    Trabecular attenuation at L1 runs evenly from 40 to 220 HU, slices from 0.7 to 5 mm; a third each is native, arterial, venous.
    """
    return [_sample(seed, index, field_of_view) for index in range(n)]


def _sample(seed: int, index: int, field_of_view: FieldOfView) -> tuple[PatientParameters, AcquisitionParameters]:
    rng = np.random.default_rng((seed, index))
    trabecular = float(rng.uniform(40, 220))
    sex = "F" if rng.random() < 0.6 else "M"
    age = int(np.clip(round(rng.normal(60 + (130 - trabecular) * 0.18, 8)), 20, 95))
    patient = PatientParameters(
        seed=int(seed) * 1000 + index,
        sex=sex,
        age_years=age,
        body_scale=float(np.clip(rng.normal(0.92 if sex == "F" else 1.0, 0.04), 0.82, 1.1)),
        fat_mm=float(rng.uniform(8, 38)),
        lordosis_deg=float(np.clip(rng.normal(51, 8), 34, 68)),
        kyphosis_deg=float(np.clip(rng.normal(37, 7), 22, 55)),
        scoliosis_deg=float(rng.uniform(-6, 6)),
        rotation_deg=float(rng.uniform(-5, 5)),
        roll_deg=float(rng.uniform(-6, 6)),
        tilt_deg=float(rng.uniform(-3, 3)),
        yaw_deg=float(rng.uniform(-3, 3)),
        trabecular_hu=trabecular,
        wedge=_wedge(rng, trabecular),
        contrast=ContrastPhase(rng.choice([phase.value for phase in ContrastPhase])),
        t12_rib_mm=float(rng.uniform(80, 130)),
        aortic_calcification=float(rng.beta(0.8, 3)) if age > 50 else 0.0,
    )
    pixel, matrix = _GRIDS[int(rng.integers(len(_GRIDS)))]
    slices = [value for value in _SLICES_MM if value >= 0.6 * min(pixel, 1.5)]
    acquisition = AcquisitionParameters(
        rows=matrix,
        columns=matrix,
        pixel_spacing_mm=pixel,
        slice_spacing_mm=slices[int(rng.integers(len(slices)))],
        noise_sd_hu=float(rng.uniform(6, 28)),
        kernel=Kernel.SHARP if rng.random() < 0.15 else Kernel.SOFT,
        field_of_view=field_of_view,
        feet_first=bool(rng.random() < 0.2),
    )
    return patient, acquisition


def _wedge(rng: np.random.Generator, trabecular: float) -> Mapping[str, float]:
    """Thin bones break: one fracture in a third of those under 90 HU."""
    if trabecular < 90 and rng.random() < 0.33:
        return {str(rng.choice(["T12", "L1", "L2", "L3"])): float(rng.uniform(0.15, 0.45))}
    return {}
