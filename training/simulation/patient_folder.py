"""One simulated patient on disk: CT, chest film and DXA as DICOM, masks, and ``truth.json``."""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inference import __version__
from training.data.labels import who_label
from training.data.values import Modality
from training.errors import TrainingError
from training.simulation.cohort import CohortPatient
from training.simulation.density import Settled, settle, together, usable_levels
from training.simulation.identity import birth_date, study_identity
from training.simulation.parameters import PatientParameters
from training.simulation.patient_studies import plain, write_chest_film, write_ct, write_densitometry
from training.simulation.truth import altered_because
from training.simulation.truth_file import (
    BoneTruth,
    CohortTruth,
    DeviceBone,
    LevelBone,
    PatientFile,
    PatientTruth,
    Studies,
    StudyTruth,
    read_truth,
    write_truth_file,
)
from training.simulation.xray import areal
from training.simulation.xray.devices import DEVICES

ALL_MODALITIES = (Modality.CT, Modality.CXR, Modality.DXA)


@dataclass(frozen=True, kw_only=True)
class PatientRequest:
    """What shall be written of a patient.

    ``spacing_mm`` is that of cubic voxels of the CT; None scans as the cohort's scanners do.
    """

    person: CohortPatient
    cohort: str
    seed: int
    modalities: tuple[Modality, ...] = ALL_MODALITIES
    spacing_mm: float | None = 3.0

    @property
    def sha256(self) -> str:
        """Stands for everything that decides the files of a modality, and for the software that makes them."""
        decisive = repr((self.person, self.cohort, self.seed, self.spacing_mm, __version__))
        return hashlib.sha256(decisive.encode()).hexdigest()


def kept_truth(request: PatientRequest, folder: Path) -> PatientFile | None:
    """The truth of a folder that already holds what is asked for; None where there is nothing or not all of it.

    Raises
    ------
    TrainingError
        The folder holds a patient of another cohort, seed, grid or version: nothing of it is removed.
    """
    truth = _present(request, folder)
    return truth if truth is not None and set(request.modalities) <= set(written_modalities(truth)) else None


def study_of(truth: PatientFile, modality: Modality) -> StudyTruth | None:
    """The study of a modality; None where it was not written."""
    return {Modality.CT: truth.studies.ct, Modality.CXR: truth.studies.cxr, Modality.DXA: truth.studies.dxa}[modality]


def written_modalities(truth: PatientFile) -> tuple[Modality, ...]:
    """The modalities that a patient's folder holds."""
    return tuple(modality for modality in ALL_MODALITIES if study_of(truth, modality) is not None)


def write_patient(request: PatientRequest, folder: Path) -> PatientFile:
    """Simulate one patient into ``folder``, which appears whole or not at all; one that already holds it all is kept.

    A folder that lacks a modality is made again with that one added.

    Raises
    ------
    TrainingError
        No bone density gives the wanted T-score, or the folder holds another patient.
    """
    present = _present(request, folder)
    if present is None:
        return _write(request, request.modalities, folder)
    there = written_modalities(present)
    return present if set(request.modalities) <= set(there) else _write(request, (*there, *request.modalities), folder)


def _present(request: PatientRequest, folder: Path) -> PatientFile | None:
    if not folder.exists():
        return None
    truth = read_truth(folder)
    if truth.cohort.request_sha256 != request.sha256:
        text = f"{folder} holds another patient (cohort {truth.cohort.name}, seed {truth.cohort.seed}, osteon {truth.software})"
        raise TrainingError(f"{text}: another cohort, seed, spacing or version; choose another --out, or remove the folder")
    return truth


def _write(request: PatientRequest, modalities: Sequence[Modality], folder: Path) -> PatientFile:
    half = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    person = request.person
    settled = settle(person.patient, person.target_t, person.device)
    studies = Studies(
        ct=write_ct(person, settled.patient, request.spacing_mm, half) if Modality.CT in modalities else None,
        cxr=write_chest_film(person, settled.patient, half) if Modality.CXR in modalities else None,
        dxa=write_densitometry(person, settled.patient, half) if Modality.DXA in modalities else None,
    )
    truth = PatientFile(
        software=__version__,
        cohort=CohortTruth(name=request.cohort, seed=request.seed, index=person.index, request_sha256=request.sha256),
        patient=_patient_truth(settled.patient),
        bone=bone_truth(settled, person.device),
        studies=studies,
    )
    write_truth_file(truth, half)
    shutil.rmtree(folder, ignore_errors=True)
    half.rename(folder)
    return truth


def bone_truth(settled: Settled, device: str) -> BoneTruth:
    """The bone density of a patient on every scale."""
    levels = usable_levels(settled.patient)
    total = on_devices(together(settled.bone, levels))
    return BoneTruth(
        device=device,
        t_score=total[device].t_score,
        label=who_label(total[device].t_score),
        levels_used=levels,
        devices=total,
        levels=tuple(
            LevelBone(
                level=level,
                vbmd_mg_cm3=bone.vbmd_mg_cm3,
                bmc_g=bone.areal.bmc_g,
                area_cm2=bone.areal.area_cm2,
                bmd_g_cm2=bone.areal.bmd_g_cm2,
                devices=on_devices(bone.areal),
                altered=altered_because(level, settled.patient),
            )
            for level, bone in settled.bone.items()
        ),
    )


def on_devices(bone: areal.LevelBone) -> dict[str, DeviceBone]:
    """A true areal density as each device would state it, and the T-score by the device's own reference."""
    readings = {name: device.reading(bone.bmd_g_cm2) for name, device in DEVICES.items()}
    return {name: DeviceBone(bmd_g_cm2=value, t_score=DEVICES[name].t_score(value)) for name, value in readings.items()}


def _patient_truth(patient: PatientParameters) -> PatientTruth:
    who = study_identity(patient, "CT")
    return PatientTruth(
        patient_id=who.patient_id,
        patient_name=who.patient_name,
        sex="F" if patient.sex == "F" else "M",
        age_years=patient.age_years,
        birth_date=birth_date(patient),
        parameters=plain(patient),
    )
