"""One simulated patient on disk: CT, chest film and DXA as DICOM, masks, and ``truth.json``."""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inference import __version__
from training.data.labels import who_label
from training.data.values import Modality
from training.errors import TrainingError
from training.simulation.body import Structure
from training.simulation.cohort import CohortPatient, with_spacing
from training.simulation.ct import SimulatedCt, simulate_ct
from training.simulation.density import Settled, settle, together, usable_levels
from training.simulation.dicom import StudyOptions, write_dicom
from training.simulation.identity import birth_date, identity, study_identity
from training.simulation.masks import write_labels
from training.simulation.parameters import PatientParameters
from training.simulation.truth import altered_because
from training.simulation.truth_file import (
    BoneTruth,
    CohortTruth,
    CtLevel,
    CtTruth,
    DeviceBone,
    Heights,
    LevelBone,
    MaskTruth,
    PatientFile,
    PatientTruth,
    Studies,
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
    if not folder.exists():
        return None
    truth = read_truth(folder)
    if truth.cohort.request_sha256 != request.sha256:
        text = f"{folder} holds another patient (cohort {truth.cohort.name}, seed {truth.cohort.seed}, osteon {truth.software})"
        raise TrainingError(f"{text}: another cohort, seed, spacing or version; choose another --out, or remove the folder")
    written = {Modality.CT: truth.studies.ct, Modality.CXR: truth.studies.cxr, Modality.DXA: truth.studies.dxa}
    return truth if all(written[modality] is not None for modality in request.modalities) else None


def write_patient(request: PatientRequest, folder: Path) -> PatientFile:
    """Simulate one patient into ``folder``, which appears whole or not at all; one that already holds it all is kept.

    Raises
    ------
    TrainingError
        No bone density gives the wanted T-score, or the folder holds another patient.
    """
    kept = kept_truth(request, folder)
    if kept is not None:
        return kept
    half = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    person = request.person
    settled = settle(person.patient, person.target_t, person.device)
    studies = Studies(
        ct=_write_ct(request, settled.patient, half) if Modality.CT in request.modalities else None,
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
        parameters=_plain(patient),
    )


def _write_ct(request: PatientRequest, patient: PatientParameters, folder: Path) -> CtTruth:
    person = request.person
    acquisition = person.acquisition if request.spacing_mm is None else with_spacing(person.acquisition, request.spacing_mm)
    simulated = simulate_ct(patient, acquisition)
    options = StudyOptions(
        localizer=person.extra_series,
        secondary_capture=person.extra_series,
        contrast_in_header=person.contrast_in_header,
        vendor=person.vendor,
        study_date=person.ct_date,
    )
    files = write_dicom(simulated, folder / "ct", options)
    who = identity(simulated, person.ct_date)
    return CtTruth(
        study_uid=who.study_instance_uid,
        series_uid=who.uid("axial series"),
        study_date=person.ct_date,
        path="ct",
        files=len(files),
        vendor=person.vendor,
        contrast=patient.contrast,
        acquisition=_plain(acquisition),
        masks=_write_masks(simulated, folder),
        levels=_ct_levels(simulated),
    )


def _write_masks(simulated: SimulatedCt, folder: Path) -> MaskTruth:
    (folder / "masks").mkdir()
    truth, affine = simulated.truth, simulated.volume.affine
    for name, labels in (("bodies", truth.bodies), ("structures", truth.structures)):
        write_labels(labels, affine, folder / "masks" / f"{name}.nii.gz")
    return MaskTruth(
        bodies="masks/bodies.nii.gz",
        structures="masks/structures.nii.gz",
        labels={level.name: level.label for level in truth.levels},
        structure_labels={structure.name.lower(): int(structure) for structure in Structure},
    )


def _ct_levels(simulated: SimulatedCt) -> tuple[CtLevel, ...]:
    return tuple(
        CtLevel(
            level=level.name,
            label=level.label,
            whole=level.whole,
            altered=level.altered,
            trabecular_hu=level.trabecular_hu,
            trabecular_median_hu=level.trabecular_median_hu,
            height_mm=Heights(anterior=level.anterior_mm, middle=level.middle_mm, posterior=level.posterior_mm),
            centre_lps_mm=level.centre_lps_mm,
        )
        for level in simulated.truth.levels
    )


def _plain(parameters: Any) -> dict[str, Any]:
    """A dataclass as JSON holds it."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(parameters)))
    return plain
