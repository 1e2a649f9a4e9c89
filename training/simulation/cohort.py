"""Simulated patients as a population: bone density by class, age, sex and size that go with it, what bones and scanners do in practice.

``sample_cohort`` settles who each patient is and what T-score the patient shall have; it paints nothing and takes a millisecond a
patient. :mod:`training.simulation.density` then finds the trabecular attenuation that gives this T-score. The first patients of a cohort
stay the same when more are asked for, and class counts of any beginning stay within one of the prevalence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from scipy.special import ndtr, ndtri

from training.data.labels import LABELS, NORMAL_FROM, OSTEOPOROSIS_TO, BoneLabel
from training.simulation.identity import first_study_date
from training.simulation.parameters import AcquisitionParameters, ContrastPhase, FieldOfView, Kernel, PatientParameters
from training.simulation.population import CohortParameters, Population, Scanners
from training.simulation.vendors import Vendor

USABLE_LEVELS = ("L1", "L2", "L3", "L4")
_EDGE = 0.05
"""Wanted T-scores keep so far from the classes' edges, more than ``density.settle`` may be off."""

_T_BY_AGE = {
    # Women, NHANES 2005-14 (Xue 2021), against their own means at 20 to 30 years, 1.065 (0.122) g/cm2; continued beyond 80.
    "F": ((25, 35, 45, 55, 65, 75, 90), (-0.01, 0.0, -0.07, -0.59, -0.93, -1.34, -1.9)),
    # Men: assumed; spinal areal density hardly falls, since degenerative change makes up for what is lost.
    "M": ((25, 55, 90), (0.0, -0.2, -0.7)),
}
_T_SD = 1.25
_CANDIDATES = 96
_GUESS_T = (-4.5, -3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5)
_GUESS_HU = (0.0, 29.0, 63.0, 97.0, 138.0, 184.0, 250.0, 320.0)
_GUESS_SCALE, _GUESS_PER_SCALE = 0.93, 1.8
"""A first guess of trabecular attenuation by T-score in a woman of middle size: smaller bones need denser bone for the same areal density.
``density.settle`` replaces it."""

_FRACTURE_SITES = {"T7": 0.08, "T8": 0.1, "T11": 0.1, "T12": 0.24, "L1": 0.26, "L2": 0.1, "L3": 0.07, "L4": 0.05}
"""Most fractures lie at mid thorax and at the thoracolumbar junction."""


@dataclass(frozen=True, kw_only=True)
class FilmHabits:
    """How the chest film is made and sent.

    ``portable`` is AP in bed; ``computed`` a CR image rather than DX; ``inverted`` is MONOCHROME1; ``unsized`` says no pixel spacing.
    """

    portable: bool = False
    computed: bool = False
    inverted: bool = False
    unsized: bool = False
    view_in_header: bool = True


@dataclass(frozen=True, kw_only=True)
class CohortPatient:
    """One patient of a cohort, before bone density is settled.

    Attributes
    ----------
    patient
        With a first guess of the trabecular attenuation.
    target, target_t
        The class, and the true L1-L4 T-score on the scale of ``device`` that the patient shall have.
    vendor, contrast_in_header, extra_series
        How the CT is written.
    film, other_regions
        How the film is made, and whether the densitometer sends other regions beside the spine.
    ct_date, dxa_date, film_date
        Days of the three studies.
    """

    index: int
    patient: PatientParameters
    acquisition: AcquisitionParameters
    target: BoneLabel
    target_t: float
    device: str
    vendor: Vendor
    contrast_in_header: bool
    extra_series: bool
    film: FilmHabits
    other_regions: bool
    ct_date: date
    dxa_date: date
    film_date: date

    @property
    def folder(self) -> str:
        """The name of the patient's folder."""
        return f"patient-{self.index:05d}"


def sample_cohort(n: int, seed: int, parameters: CohortParameters | None = None) -> list[CohortPatient]:
    """``n`` patients; the first ones stay the same when ``n`` grows."""
    chosen = parameters or CohortParameters()
    classes = class_sequence(n, chosen.prevalence)
    return [_sample(seed, index, LABELS[item], chosen) for index, item in enumerate(classes)]


def class_sequence(n: int, prevalence: Sequence[float]) -> list[int]:
    """Class indices whose every beginning holds each class within one of its share: Tijdeman's chairman assignment (1980).

    With k classes, no count ever strays further than ``1 - 1/(2k - 2)`` from its share; where shares of ``n`` are whole numbers, counts
    are exact. The sequence does not depend on a seed.
    """
    shares = {item: share / sum(prevalence) for item, share in enumerate(prevalence) if share > 0}
    slack = 1 - 1 / max(2 * len(shares) - 2, 2)
    counts = dict.fromkeys(shares, 0)
    out = []
    for length in range(1, n + 1):
        owed = {item: share * length - counts[item] for item, share in shares.items()}
        ready = [item for item in shares if owed[item] >= 1 - slack - 1e-9]
        chosen = min(ready, key=lambda item: (slack - owed[item]) / shares[item])
        counts[chosen] += 1
        out.append(chosen)
    return out


def with_spacing(acquisition: AcquisitionParameters, spacing_mm: float) -> AcquisitionParameters:
    """The same field of view with cubic voxels: pixels and slices of ``spacing_mm``."""
    across = acquisition.columns * acquisition.pixel_spacing_mm
    matrix = round(across / spacing_mm / 2) * 2
    return replace(acquisition, rows=matrix, columns=matrix, pixel_spacing_mm=spacing_mm, slice_spacing_mm=spacing_mm)


def _sample(seed: int, index: int, target: BoneLabel, parameters: CohortParameters) -> CohortPatient:
    rng = np.random.default_rng((seed, index, 311))
    population = parameters.population
    target_t = _t_score(rng, target, population)
    patient = _patient(rng, seed * 100_000 + index, target, target_t, population)
    patient = replace(patient, contrast=ContrastPhase(_choose(rng, parameters.scanners.contrast)))
    ct_date = first_study_date(patient)
    device = _choose(rng, parameters.devices)
    return CohortPatient(
        index=index,
        patient=patient,
        acquisition=_acquisition(rng, patient, parameters.scanners),
        target=target,
        target_t=target_t,
        device=device,
        vendor=Vendor(_choose(rng, parameters.scanners.vendors)),
        contrast_in_header=bool(rng.random() >= parameters.scanners.contrast_unsaid),
        extra_series=bool(rng.random() < parameters.scanners.extra_series),
        film=_film(rng, parameters.scanners),
        other_regions=bool(rng.random() < parameters.scanners.other_regions.get(device, 0.0)),
        ct_date=ct_date,
        dxa_date=ct_date + timedelta(days=int(rng.integers(-parameters.dxa_gap_days, parameters.dxa_gap_days + 1))),
        film_date=ct_date + timedelta(days=int(rng.integers(-parameters.film_gap_days, parameters.film_gap_days + 1))),
    )


def _t_score(rng: np.random.Generator, target: BoneLabel, population: Population) -> float:
    """From the part of the population's normal distribution that is the class."""
    low, high = population.t_range
    bounds = {
        BoneLabel.NORMAL: (NORMAL_FROM + _EDGE, high),
        BoneLabel.OSTEOPENIA: (OSTEOPOROSIS_TO + _EDGE, NORMAL_FROM - _EDGE),
        BoneLabel.OSTEOPOROSIS: (low, OSTEOPOROSIS_TO - _EDGE),
    }[target]
    share = ndtr((np.array(bounds) - population.t_mean) / population.t_sd)
    return float(population.t_mean + population.t_sd * ndtri(rng.uniform(*share)))


def _age_and_sex(rng: np.random.Generator, t_score: float, population: Population) -> tuple[int, str]:
    """Age and sex given the T-score: candidates of the population, weighted by how likely the T-score is for each."""
    ages = np.clip(np.rint(rng.normal(population.age_mean, population.age_sd, _CANDIDATES)), *population.age_range)
    female = rng.random(_CANDIDATES) < population.female_share
    expected = np.where(female, np.interp(ages, *_T_BY_AGE["F"]), np.interp(ages, *_T_BY_AGE["M"]))
    weights = np.exp(-0.5 * ((t_score - expected) / _T_SD) ** 2)
    chosen = int(rng.choice(_CANDIDATES, p=weights / weights.sum()))
    return int(ages[chosen]), "F" if female[chosen] else "M"


def _patient(rng: np.random.Generator, seed: int, target: BoneLabel, t_score: float, population: Population) -> PatientParameters:
    age, sex = _age_and_sex(rng, t_score, population)
    lumbar_count = int(_choose(rng, population.lumbar_counts))
    screws = rng.random() < population.screw_rate
    fractures = {} if screws else _fractures(rng, population.fracture_rates[target.class_index], target)
    crushed = {level: loss for level, loss in fractures.items() if rng.random() < 0.25}
    wedge = {level: loss for level, loss in fractures.items() if level not in crushed}
    cemented = rng.random() < population.cement_share
    scale = float(np.clip(rng.normal(0.92 if sex == "F" else 1.0, 0.035) + 0.006 * t_score, 0.82, 1.1))
    curved = rng.random() < population.scoliosis_rate
    scoliosis = float(rng.uniform(8, 16) * rng.choice([-1, 1])) if curved else float(np.clip(rng.normal(0, 2.5), -6, 6))
    focus = rng.random() < population.focus_rate and not (fractures or screws)
    return PatientParameters(
        seed=seed,
        sex=sex,
        age_years=age,
        body_scale=scale,
        # Bigger people have denser bone in a projection, and weight loads the spine.
        fat_mm=float(np.clip(rng.lognormal(np.log(17 + 1.2 * t_score), 0.4), 6, 40)),
        lordosis_deg=float(np.clip(rng.normal(51, 8), 34, 68)),
        kyphosis_deg=float(np.clip(rng.normal(33 + 0.12 * (age - 50) + 4 * len(fractures), 6), 22, 58)),
        scoliosis_deg=scoliosis,
        rotation_deg=float(np.clip(rng.normal(0.6 * scoliosis, 2), -12, 12)),
        roll_deg=float(np.clip(rng.normal(0, 2.5), -7, 7)),
        tilt_deg=float(rng.normal(0, 1.2)),
        yaw_deg=float(rng.normal(0, 1.2)),
        trabecular_hu=_first_guess_hu(t_score, scale),
        wedge=wedge,
        crush=crushed,
        cement=tuple(list(fractures)[:1]) if cemented else (),
        screws=(f"L{lumbar_count - 1}", f"L{lumbar_count}") if screws else (),
        dense_focus=(str(rng.choice(["T11", "L2", "L3"])),) if focus else (),
        lumbar_count=lumbar_count,
        t12_rib_mm=float(rng.uniform(80, 130)),
        aortic_calcification=float(np.clip(rng.beta(0.8, 3) * (age - 40) / 30, 0, 0.8)) if age > 45 else 0.0,
        hip_prosthesis=bool(age > 55 and rng.random() < population.hip_rate * 1.5),
    )


def _first_guess_hu(t_score: float, body_scale: float) -> float:
    return float(np.interp(t_score, _GUESS_T, _GUESS_HU)) * (1 + _GUESS_PER_SCALE * (_GUESS_SCALE - body_scale))


def _fractures(rng: np.random.Generator, rate: float, target: BoneLabel) -> dict[str, float]:
    """Fractured levels and the height each lost: at most two, so that two sound levels of L1-L4 remain for a T-score (ISCD)."""
    if rng.random() >= rate:
        return {}
    count = 2 if target is BoneLabel.OSTEOPOROSIS and rng.random() < 0.3 else 1
    sites = rng.choice(list(_FRACTURE_SITES), size=count, replace=False, p=list(_FRACTURE_SITES.values()))
    return {str(site): float(rng.uniform(0.22, 0.48)) for site in sites}


def _acquisition(rng: np.random.Generator, patient: PatientParameters, scanners: Scanners) -> AcquisitionParameters:
    field = FieldOfView(_choose(rng, scanners.fields))
    body_mm = 320 * patient.body_scale + 2 * patient.fat_mm
    across = float(np.clip(body_mm * rng.uniform(1.08, 1.22) + 15, 350, 500))
    spacing = float(_choose(rng, scanners.slices_mm))
    return AcquisitionParameters(
        rows=512,
        columns=512,
        pixel_spacing_mm=round(across / 512, 6),
        slice_spacing_mm=spacing,
        kvp=float(_choose(rng, scanners.kvp)),
        noise_sd_hu=float(rng.uniform(*scanners.noise_sd_hu)),
        kernel=Kernel.SHARP if rng.random() < scanners.sharp_share else Kernel.SOFT,
        field_of_view=field,
        feet_first=bool(rng.random() < scanners.feet_first_share),
    )


def _film(rng: np.random.Generator, scanners: Scanners) -> FilmHabits:
    shares = (scanners.portable_films, scanners.cr_films, scanners.inverted_films, scanners.unsized_films, scanners.films_without_view)
    bedside, computed, inverted, unsized, unsaid = (bool(rng.random() < share) for share in shares)
    return FilmHabits(portable=bedside, computed=computed, inverted=inverted, unsized=unsized and computed, view_in_header=not unsaid)


def _choose(rng: np.random.Generator, shares: Mapping[str, float]) -> str:
    weights = np.array(list(shares.values()), dtype=np.float64)
    return str(list(shares)[int(rng.choice(len(weights), p=weights / weights.sum()))])
