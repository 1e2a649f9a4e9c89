"""Cases of simulated patients: each painted straight into a small CT around L1, with its true T-score, without DICOM in between.

Who the patients are, and how they are scanned (vendors' slices, tube voltages, kernels, noise, contrast), is the cohort's
(:mod:`training.simulation.cohort`). To cost about two seconds instead of a minute, only the surroundings of L1 are painted, no finer than
the crop needs, and the trabecular attenuation is the cohort's first guess: the T-score is then read off the painted bone, and the class is
that of the T-score. ``settled`` searches for the wanted T-score instead, so that class counts are exact, at twice the cost.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.ct.crop import CropMask
from inference.volume import Volume
from training.data.labels import who_label
from training.errors import TrainingError
from training.medconv.crops import CropOptions, crop_volume
from training.simulation.body import build_body
from training.simulation.cohort import CohortPatient, sample_cohort
from training.simulation.ct import simulate_ct
from training.simulation.density import settle, together, true_bone, usable_levels
from training.simulation.parameters import AcquisitionParameters, FieldOfView, PatientParameters
from training.simulation.population import AUSTINSPINE_PATIENTS, COHORTS, CohortParameters, Population
from training.simulation.xray.devices import DEVICES

VERSION = 1
"""Counted up when the painting changes, so that no cached case is out of date."""
_FIELD_MM, _REACH_MM = 124.0, 42.0
"""Side of the painted field, and how far it goes above and below the middle of L1."""
_FINEST = 0.75
"""Pixels are at least this part of the crop's spacing: finer ones are averaged away."""

COHORTS_OF_MEDCONV: Mapping[str, CohortParameters] = MappingProxyType(
    {
        **COHORTS,
        "spread": CohortParameters(name="spread", prevalence=(4.0, 4.0, 3.0), population=Population(t_mean=-1.7, t_sd=2.2)),
    }
)
"""``austinspine`` is as long-tailed as the paper's. ``spread`` is for training alone: T-scores lie nearly evenly from -3.8 to 2.2, so that
no class is learned from few patients and none only at its edges."""


@dataclass(frozen=True, kw_only=True)
class SimulatedOptions:
    """A cohort to learn from.

    Attributes
    ----------
    settled
        Search for the trabecular attenuation that gives each patient the T-score that the cohort wants.
    mask_error_mm
        By how much the mask's surface strays from the truth, at most, as a segmenter's does: evenly (half of it), and in waves.
    """

    patients: int = AUSTINSPINE_PATIENTS
    seed: int = 40
    cohort: CohortParameters = field(default_factory=lambda: COHORTS["austinspine"])
    settled: bool = False
    mask_error_mm: float = 1.5

    def __post_init__(self) -> None:
        if self.patients < 1 or self.mask_error_mm < 0:
            raise TrainingError("a cohort has at least one patient, and a mask's error is not negative")

    def people(self) -> list[CohortPatient]:
        """Who they are; the first ones stay the same when more are asked for."""
        return sample_cohort(self.patients, self.seed, self.cohort)

    def plain(self, person: CohortPatient) -> dict[str, Any]:
        """For the key of a cached case."""
        who = repr((person.patient, person.acquisition, person.target_t, person.device))
        return {"person": who, "settled": self.settled, "mask_error_mm": self.mask_error_mm, "simulated": VERSION}


@dataclass(frozen=True, kw_only=True)
class SimulatedCase:
    """The crop of one simulated patient, int16 (z, y, x), and the true T-score of L1-L4 on the scale of the own device."""

    hu: NDArray[np.int16]
    t_score: float
    label: int


def paint_case(person: CohortPatient, options: SimulatedOptions, crop: CropOptions) -> SimulatedCase:
    """Paint and scan one patient around the level, and crop it. The same arguments give the same bytes.

    Raises
    ------
    TrainingError
        The level is fractured, cemented or otherwise altered, as the CT workflow would not classify it either; or no T-score can be had.
    """
    if crop.mask is CropMask.VERTEBRA:
        raise TrainingError("simulated patients have masks of bodies; choose --mask body or box")
    patient, t_score = true_density(person, options)
    scan = simulate_ct(patient, _around(patient, person.acquisition, crop))
    truth = scan.truth.level(crop.level)
    if truth is None or not truth.whole:
        raise TrainingError(f"{crop.level} is not in view")
    if truth.altered:
        raise TrainingError(f"{crop.level} is altered: {', '.join(truth.altered)}")
    rng = np.random.default_rng((patient.seed, 71))
    mask = strayed(scan.truth.bodies == truth.label, scan.volume, options.mask_error_mm, rng)
    return SimulatedCase(hu=crop_volume(scan.volume, mask, crop), t_score=t_score, label=who_label(t_score).class_index)


def true_density(person: CohortPatient, options: SimulatedOptions) -> tuple[PatientParameters, float]:
    """The patient with settled trabecular attenuation, and the true T-score.

    Raises
    ------
    TrainingError
        Fewer than two sound levels, or no bone with the wanted T-score.
    """
    if options.settled:
        settled = settle(person.patient, person.target_t, person.device)
        return settled.patient, settled.t_score
    device = DEVICES[person.device]
    bone = together(true_bone(person.patient), usable_levels(person.patient))
    return person.patient, device.t_score(device.reading(bone.bmd_g_cm2))


def _around(patient: PatientParameters, acquisition: AcquisitionParameters, crop: CropOptions) -> AcquisitionParameters:
    """The same scan, reconstructed on a small field around one level."""
    middle = float(build_body(patient, acquisition.kvp).spine.level(crop.level).frame.origin[2])
    pixel = max(acquisition.pixel_spacing_mm, _FINEST * min(crop.spacing_mm[1:]))
    matrix = round(_FIELD_MM / pixel)
    return replace(
        acquisition,
        field_of_view=FieldOfView.LUMBAR,
        z_range_mm=(middle - _REACH_MM, middle + _REACH_MM),
        rows=matrix,
        columns=matrix,
        pixel_spacing_mm=pixel,
    )


def strayed(mask: NDArray[np.bool_], volume: Volume, error_mm: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A mask whose surface strays from the true one by up to ``error_mm``, smoothly, as a segmenter's does.

    Parameters
    ----------
    mask
        Of the volume's shape.
    """
    if error_mm == 0:
        return mask
    spacing = volume.spacing_mm
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing)
    inside = ndimage.distance_transform_edt(mask, sampling=spacing)
    waves = ndimage.gaussian_filter(rng.standard_normal(mask.shape), [6.0 / step for step in spacing])
    waves *= 0.5 * error_mm / max(float(np.abs(waves).max()), 1e-9)
    shift = rng.uniform(-0.5, 0.5) * error_mm
    edge_mm = min(spacing) / 2  # the surface lies between the last voxel inside and the first outside
    distance = np.where(mask, edge_mm - inside, outside - edge_mm)
    return np.asarray(distance < shift + waves)
