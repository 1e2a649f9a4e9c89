"""A simulated cohort of several sites: every vertebra painted straight into a small CT around the spine, without DICOM in between.

As at the paper's hospitals each site has a make of densitometer of its own, whose scale differs from the others' by a known line
(:mod:`training.simulation.xray.devices`); site D is external. A vertebra's density is the true one of its level as the site's device would
read it, its T-score by the device's own reference of L1-L4, as the simulated manifests have it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.ct.crop import CropMask
from inference.ct.vertebra_experts import POSITIONS
from inference.volume import Volume
from training.errors import TrainingError
from training.medconv.crops import CropOptions, crop_volume
from training.preparing import gathered, kept
from training.simulation.body import build_body
from training.simulation.cohort import CohortPatient, sample_cohort
from training.simulation.ct import simulate_ct
from training.simulation.density import true_bone
from training.simulation.parameters import AcquisitionParameters, FieldOfView, PatientParameters
from training.simulation.population import CohortParameters, Population, Scanners
from training.simulation.truth import LevelTruth
from training.simulation.xray.devices import DEVICES
from training.tpswav.census import Census, Excluded, Exclusion, merged
from training.tpswav.vertebrae import Vertebra
from training.transforms.cache import Arrays

VERSION = 1
"""Counted up when the painting changes, so that no cached vertebra is out of date."""
_FIELD_MM = 144.0
_ABOVE_MM, _BELOW_MM = 38.0, 44.0
"""Side of the painted field, and how far it goes beyond the middles of the outermost levels."""
_FINEST = 0.75
"""Voxels are at least this part of the crop's: finer ones are averaged away."""
_STRAY_MM = 2.0
"""How far the middle of a crop strays, as a segmenter's does."""
_BY_ALTERATION = {
    "fracture": Exclusion.FRACTURE,
    "screws": Exclusion.METAL,
    "cement": Exclusion.METAL,
    "focus": Exclusion.QUALITY,
}


@dataclass(frozen=True, kw_only=True)
class Site:
    """One hospital: its densitometer, its share of the patients, and its scanners."""

    device: str
    share: float
    scanners: Scanners = field(default_factory=Scanners)


SITES: Mapping[str, Site] = MappingProxyType(
    {
        "A": Site(device="Hologic", share=1330 + 226 + 669),
        "B": Site(device="GE Lunar", share=683 + 112 + 325),
        "C": Site(device="MEDIX", share=217 + 36 + 106),
        "D": Site(device="Hologic", share=193, scanners=Scanners(sharp_share=0.4, noise_sd_hu=(12.0, 28.0), vendors={"canon": 1.0})),
    }
)
"""Shares are the patients of Table 1. The external site D has other scanners: sharper, noisier, of one vendor (assumed)."""
EXTERNAL_SITE = "D"


@dataclass(frozen=True, kw_only=True)
class SimulatedOptions:
    """A cohort to learn from.

    Attributes
    ----------
    patients
        Of all sites together.
    even
        As many patients at each site, rather than Table 1's shares.
    held_out
        Sites that are nobody's training data, beside D: with C, the MEDIX is a densitometer that no model has seen.
    levels
        Painted ones; None: all of the spine.
    native
        Without contrast medium, as in the paper.
    """

    patients: int = 1200
    seed: int = 70
    even: bool = False
    held_out: tuple[str, ...] = ()
    levels: tuple[str, ...] | None = None
    native: bool = True

    def __post_init__(self) -> None:
        if self.patients < len(SITES):
            raise TrainingError(f"a cohort of {len(SITES)} sites has at least as many patients")
        unknown = [name for name in (*self.held_out, *(self.levels or ())) if name not in (*SITES, *POSITIONS)]
        if unknown:
            raise TrainingError(f"there is no site or level {', '.join(unknown)}")

    @property
    def external(self) -> tuple[str, ...]:
        """Sites that are tested alone."""
        return tuple(name for name in SITES if name == EXTERNAL_SITE or name in self.held_out)

    def people(self) -> list[tuple[str, CohortPatient]]:
        """Site and patient of everybody; the first ones of a site stay the same when more are asked for."""
        total = sum(1.0 if self.even else site.share for site in SITES.values())
        found = []
        for number, (name, site) in enumerate(SITES.items()):
            count = max(1, round(self.patients * (1.0 if self.even else site.share) / total))
            found += [(name, person) for person in sample_cohort(count, self.seed * 10 + number, self._cohort(name, site))]
        return found

    def _cohort(self, name: str, site: Site) -> CohortParameters:
        scanners = replace(site.scanners, contrast={"native": 1.0}) if self.native else site.scanners
        # T-scores spread over both sides of -2.5: a vertebra is positive in about 45 of 100
        population = Population(t_mean=-2.2, t_sd=1.3)
        return CohortParameters(
            name=f"site-{name}", prevalence=(2.0, 4.0, 4.0), devices={site.device: 1.0}, population=population, scanners=scanners
        )


def prepare_simulated(options: SimulatedOptions, crop: CropOptions, cache: Path, *, jobs: int = 1, progress: bool = True) -> Census:
    """The vertebrae of a simulated cohort, site by site.

    Parameters
    ----------
    cache
        Folder of painted patients; runs may share one.

    Raises
    ------
    TrainingError
        Whole vertebrae are wanted, of which simulated patients have no mask; or a process died.
    """
    if crop.mask is CropMask.VERTEBRA:
        raise TrainingError("simulated patients have masks of bodies; choose --mask body or box")
    work = partial(_patient, options=options, crop=crop, cache=cache)
    return merged(gathered(work, options.people(), "painting patients", jobs, progress=progress))


def _patient(entry: tuple[str, CohortPatient], options: SimulatedOptions, crop: CropOptions, cache: Path) -> Census:
    site, person = entry
    name = f"simulated-{site}-{person.patient.seed}"
    found = kept(cache, (), _key(person, options, crop), lambda: paint_vertebrae(person, crop, options.levels))
    if isinstance(found, str):
        return Census(vertebrae=(), excluded=(Excluded(patient=name, site=site, level=None, why=Exclusion.UNREADABLE),))
    device = DEVICES[person.device]
    vertebrae = []
    for place, hu, true in zip(found["position"], found["hu"], found["true_g_cm2"], strict=True):
        reading = device.reading(float(true))
        vertebrae.append(
            Vertebra(
                patient=name,
                site=site,
                device=device.name,
                level=POSITIONS[int(place)],
                hu=hu,
                bmd_g_cm2=reading,
                t_score=device.t_score(reading),
            )
        )
    reasons = tuple(Exclusion)
    excluded = [
        Excluded(patient=name, site=site, level=POSITIONS[int(place)], why=reasons[int(why)])
        for place, why in zip(found["left_out"], found["why"], strict=True)
    ]
    return Census(vertebrae=tuple(vertebrae), excluded=tuple(excluded))


def _key(person: CohortPatient, options: SimulatedOptions, crop: CropOptions) -> dict[str, Any]:
    levels = list(options.levels) if options.levels is not None else None
    return {"person": repr((person.patient, person.acquisition)), "vertebrae": crop.box(), "levels": levels, "simulated": VERSION}


def paint_vertebrae(person: CohortPatient, crop: CropOptions, levels: tuple[str, ...] | None = None) -> Arrays:
    """Paint and scan one patient around the spine and crop every level. The same arguments give the same bytes.

    Returns
    -------
    Mapping
        ``hu`` (N, z, y, x) int16, ``position`` (N,) and ``true_g_cm2`` (N,), NaN but for L1 to L4, of the usable vertebrae; ``left_out``
        (M,) positions and ``why`` (M,) of the others.
    """
    patient = person.patient
    wanted = tuple(level for level in patient.levels if levels is None or level in levels)
    scan = simulate_ct(patient, around_spine(patient, person.acquisition, crop, wanted))
    bone = {level: one.areal.bmd_g_cm2 for level, one in true_bone(patient).items()}
    rng = np.random.default_rng((patient.seed, 73))
    crops: list[NDArray[np.int16]] = []
    kept_levels: list[str] = []
    left_out: list[tuple[int, int]] = []
    for truth in scan.truth.levels:
        if truth.name not in wanted:
            continue
        stray_mm = rng.uniform(-_STRAY_MM, _STRAY_MM, 3)
        why = _why_not(truth)
        if why is not None:
            left_out.append((POSITIONS.index(truth.name), tuple(Exclusion).index(why)))
            continue
        crops.append(_crop(scan.volume, scan.truth.bodies, truth, stray_mm, crop))
        kept_levels.append(truth.name)
    places = np.array(left_out, dtype=np.int64).reshape(-1, 2)
    return {
        "hu": np.stack(crops) if crops else np.zeros((0, *crop.shape), dtype=np.int16),
        "position": np.array([POSITIONS.index(level) for level in kept_levels], dtype=np.int64),
        "true_g_cm2": np.array([bone.get(level, np.nan) for level in kept_levels], dtype=np.float64),
        "left_out": places[:, 0],
        "why": places[:, 1],
    }


def _why_not(truth: LevelTruth) -> Exclusion | None:
    if not truth.whole:
        return Exclusion.CUT
    return _BY_ALTERATION[truth.altered[0]] if truth.altered else None


def _crop(
    volume: Volume, bodies: NDArray[np.uint8], truth: LevelTruth, stray_mm: NDArray[np.float64], crop: CropOptions
) -> NDArray[np.int16]:
    """The crop around one body, from a slab of the scan (distances over all of it would cost seconds); its middle strays."""
    rows = np.nonzero((bodies == truth.label).any(axis=(1, 2)))[0]
    reach = int(np.ceil(crop.shape[0] * crop.spacing_mm[0] / 2 / volume.spacing_mm[0])) + 4
    first, last = max(0, int(rows[0]) - reach), min(volume.hu.shape[0], int(rows[-1]) + reach + 1)
    affine = volume.affine.copy()
    affine[:3, 3] = volume.to_lps_mm(np.array([[first, 0, 0]]))[0]
    mask = bodies[first:last] == truth.label
    if crop.mask is CropMask.BOX:  # the mask serves for its middle alone: moved, it moves the box
        shift = [int(np.rint(away / step)) for away, step in zip(stray_mm, volume.spacing_mm, strict=True)]
        mask = np.roll(mask, shift, axis=(0, 1, 2))
    return crop_volume(Volume(hu=volume.hu[first:last], affine=affine), mask, crop)


def around_spine(
    patient: PatientParameters, acquisition: AcquisitionParameters, crop: CropOptions, levels: tuple[str, ...]
) -> AcquisitionParameters:
    """The same scan, reconstructed on a small field around the spine from the first to the last of the levels, no finer than crops need.

    Raises
    ------
    TrainingError
        The patient has none of the levels.
    """
    if not levels:
        raise TrainingError(f"patient {patient.seed} has none of the levels that are wanted")
    spine = build_body(patient, acquisition.kvp).spine
    heights = [float(spine.level(level).frame.origin[2]) for level in levels]
    pixel = max(acquisition.pixel_spacing_mm, _FINEST * min(crop.spacing_mm[1:]))
    matrix = round(_FIELD_MM / pixel)
    return replace(
        acquisition,
        field_of_view=FieldOfView.LUMBAR,
        z_range_mm=(min(heights) - _BELOW_MM, max(heights) + _ABOVE_MM),
        rows=matrix,
        columns=matrix,
        pixel_spacing_mm=pixel,
        slice_spacing_mm=max(acquisition.slice_spacing_mm, _FINEST * crop.spacing_mm[0]),
    )
