"""Chest films of simulated patients with what is true about them: landmarks, and the areal density of L1-L4.

Who the patients are is the cohort's (:mod:`training.simulation.cohort`). The paper leaves implants and fractures out by a quality check
(section IV-A): here the truth says who has them. The truth on the scale of one make of densitometer is the density of each level, without
a densitometer's own noise. A film is painted, stored as DICOM, and read as the node reads it, as a user's films are: what a network learns
from has been recognised, cropped and scaled by the same code as what it will be asked about.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from inference.bundles import TrainedOn
from inference.cxr.recognise import decide_dataset
from inference.cxr.rois import LANDMARKS
from inference.radiograph_pixels import radiograph_of
from inference.reading import header_of
from training.cxr.cases import LEVELS, WHITE, Film, Films, on_film
from training.data.labels import LABELS
from training.errors import TrainingError
from training.preparing import Skipped, gathered, kept
from training.simulation.cohort import CohortPatient, sample_cohort
from training.simulation.density import true_bone
from training.simulation.identity import study_identity
from training.simulation.parameters import PatientParameters
from training.simulation.population import COHORTS, CohortParameters, Population
from training.simulation.truth import altered_because
from training.simulation.xray.devices import DEVICES
from training.simulation.xray.film import ChestFilmParameters, SimulatedFilm, portable, simulate_chest_film
from training.simulation.xray.film_dicom import FilmOptions, film_dataset
from training.simulation.xray.gradation import Gradation
from training.transforms.cache import Arrays

VERSION = 1
READING = 2
"""Each counted up when the painting or the reading changes, so that no cached film is out of date."""
LUNAR = "GE Lunar"
"""The paper's densitometer."""
PAPER_PATIENTS = 13_719
PAPER_SHARES = (51.0, 38.0, 11.0)
"""Normal, osteopenia, osteoporosis by L1 (section IV-C)."""

_SOUND = Population(fracture_rates=(0.0, 0.0, 0.0), screw_rate=0.0, age_range=(40, 90))
_LUNAR = {LUNAR: 1.0}

COHORTS_OF_CXR: Mapping[str, CohortParameters] = MappingProxyType(
    {
        **COHORTS,
        "checkup": CohortParameters(name="checkup", prevalence=PAPER_SHARES, devices=_LUNAR, population=_SOUND),
        "spread": CohortParameters(
            name="spread", prevalence=(4.0, 4.0, 3.0), devices=_LUNAR, population=replace(_SOUND, t_mean=-1.7, t_sd=2.2)
        ),
    }
)
"""``checkup``: the paper's ages, shares and densitometer; nobody with an implant or a fracture, as the paper leaves them out. ``spread`` is
for training alone: T-scores lie nearly evenly from -3.8 to 2.2."""


@dataclass(frozen=True, kw_only=True)
class SimulatedOptions:
    """A cohort to learn from.

    Attributes
    ----------
    paint_spacing_mm, pixel_spacing_mm
        Voxels of the painted body, and pixels of the film. The paper's films have pixels of 0.125 to 0.16 mm, of which regions of 256 x 256
        keep one in 1 to 3 mm.
    densitometer
        Make on whose scale the density is told, whatever the cohort's own densitometers are.
    """

    patients: int = 400
    seed: int = 60
    cohort: CohortParameters = field(default_factory=lambda: COHORTS_OF_CXR["checkup"])
    paint_spacing_mm: float = 2.0
    pixel_spacing_mm: float = 0.6
    densitometer: str = LUNAR

    def __post_init__(self) -> None:
        if self.densitometer not in DEVICES:
            raise TrainingError(f"there is no densitometer {self.densitometer!r}; there are {', '.join(DEVICES)}")
        if self.patients < 1 or min(self.paint_spacing_mm, self.pixel_spacing_mm) <= 0:
            raise TrainingError("a cohort has at least one patient, and voxels and pixels have a size")

    def people(self) -> list[CohortPatient]:
        """Who they are; the first ones stay the same when more are asked for."""
        return sample_cohort(self.patients, self.seed, self.cohort)

    def plain(self, person: CohortPatient) -> dict[str, Any]:
        """For the key of a cached film."""
        who = repr((person.patient, person.film.portable, person.device))
        return {"person": who, "paint_mm": self.paint_spacing_mm, "pixel_mm": self.pixel_spacing_mm, "simulated film": VERSION}

    def words(self) -> str:
        """The cohort for a person."""
        shares = ", ".join(f"{label.value} {share:g}" for label, share in zip(LABELS, self.cohort.prevalence, strict=True))
        return (
            f"{self.patients} simulated patients of the cohort '{self.cohort.name}' (seed {self.seed}; shares aimed at: {shares}), films "
            f"with pixels of {self.pixel_spacing_mm:g} mm of bodies painted at {self.paint_spacing_mm:g} mm; the density is true, "
            f"on the scale of {self.densitometer}"
        )


def prepare_simulated(options: SimulatedOptions, cache: Path, *, jobs: int = 1, progress: bool = True) -> Films:
    """Films of a simulated cohort, in its order.

    Parameters
    ----------
    cache
        Folder of painted films; runs may share one.
    jobs
        Processes. The films do not depend on it.

    Raises
    ------
    TrainingError
        A process died.
    """
    found = gathered(partial(_film, options=options, cache=cache), options.people(), "painting chest films", jobs, progress=progress)
    return Films(
        cases=tuple(one for one in found if isinstance(one, Film)),
        skipped=tuple(one for one in found if isinstance(one, Skipped)),
        trained_on=TrainedOn.SIMULATED_PATIENTS,
        description=options.words(),
    )


def _film(person: CohortPatient, options: SimulatedOptions, cache: Path) -> Film | Skipped:
    name = f"simulated-{person.patient.seed}"
    raw = kept(cache, (), options.plain(person), lambda: painted(person, options))
    if isinstance(raw, str):
        return Skipped(patient=name, because=raw)
    parameters = {**options.plain(person), "read as the node reads it": READING}
    found = kept(cache, (), parameters, lambda: as_read(person, options, raw))
    if isinstance(found, str):
        return Skipped(patient=name, because=found)
    device = DEVICES[options.densitometer]
    bmd = np.array([device.reading(DEVICES[person.device].true(float(value))) for value in raw["bmd_g_cm2"]])
    return Film(
        patient=name,
        image=found["image"],
        landmarks=found["landmarks"],
        spacing_mm=float(raw["spacing_mm"]),
        bmd_g_cm2=bmd,
        t_scores=np.array([device.t_score(float(value)) for value in bmd]),
        device=device.name,
        age=float(person.patient.age_years),
        sex=person.patient.sex,
    )


def as_read(person: CohortPatient, options: SimulatedOptions, raw: Mapping[str, NDArray[Any]]) -> Arrays:
    """A painted film and its landmarks in the form that the node gives to a network.

    Raises
    ------
    TrainingError
        The node would not use the film.
    """
    taken = replace(acquisition(person, options), bits_stored=16)
    film = SimulatedFilm(
        patient=person.patient,
        acquisition=taken,
        image=np.asarray(raw["image"], dtype=np.uint16),
        spacing_mm=float(raw["spacing_mm"]),
        magnification=1.0,  # no attribute of the file
        landmarks={},
    )
    ds = film_dataset(film, FilmOptions(), study_identity(person.patient, "DX", "to learn from"))
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    decision = decide_dataset(header_of(ds), ds, radiograph_of(ds, "film"))
    if decision.film is None:
        raise TrainingError(decision.because)
    return {
        "image": np.rint(decision.film.image * WHITE).astype(np.uint16),
        "landmarks": on_film(np.asarray(raw["landmarks"], dtype=np.float64), decision.film.to_stored),
    }


def painted(person: CohortPatient, options: SimulatedOptions) -> Arrays:
    """One patient's film, landmarks and density. The same arguments give the same bytes.

    Raises
    ------
    TrainingError
        An implant or a fracture, for which the paper leaves a patient out.
    """
    if (why := unsuitable_because(person.patient)) is not None:
        raise TrainingError(why)
    film = simulate_chest_film(person.patient, acquisition(person, options))
    device = DEVICES[person.device]
    bone = true_bone(person.patient)
    bmd = np.array([device.reading(bone[level].areal.bmd_g_cm2) for level in LEVELS])
    altered = np.array([bool(altered_because(level, person.patient)) for level in LEVELS])
    bmd[altered] = np.nan
    return {
        "image": np.rint(film.image * (WHITE / (2**film.acquisition.bits_stored - 1))).astype(np.uint16),
        "landmarks": np.array([film.landmarks[name] for name in LANDMARKS]),
        "spacing_mm": np.array(film.spacing_mm),
        "bmd_g_cm2": bmd,
        "t_scores": np.array([device.t_score(value) for value in bmd]),
    }


def acquisition(person: CohortPatient, options: SimulatedOptions) -> ChestFilmParameters:
    """How this patient's film is made: as it falls out in practice, settled by the patient's seed."""
    rng = np.random.default_rng((person.patient.seed, 89))
    decentring = (float(rng.normal(0, 6)), float(rng.normal(0, 6)))
    look = Gradation(str(rng.choice([Gradation.STANDARD.value, Gradation.SOFT.value, Gradation.SHARP.value], p=[0.6, 0.2, 0.2])))
    given = portable() if person.film.portable else ChestFilmParameters(kvp=float(rng.choice([115.0, 120.0, 125.0])), gradation=look)
    return replace(
        given,
        decentring_mm=decentring,
        bits_stored=14,
        seed=int(rng.integers(1 << 30)),
        paint_spacing_mm=options.paint_spacing_mm,
        pixel_spacing_mm=options.pixel_spacing_mm,
    )


def unsuitable_because(patient: PatientParameters) -> str | None:
    """Why a patient is left out, as the paper leaves out implants and fractures; None where nothing is wrong."""
    lost = {**patient.wedge, **patient.crush}
    fractured = sorted(level for level, share in lost.items() if share > 0.2)
    if patient.screws:
        return f"implants in {', '.join(patient.screws)}"
    if patient.cement:
        return f"cement in {', '.join(patient.cement)}"
    return f"fracture of {', '.join(fractured)}" if fractured else None
