"""The manifest of simulated patients: one row a study, as a hospital would list it."""

from collections.abc import Iterable
from pathlib import Path

from training.data.labels import who_label
from training.data.rows import ManifestRow
from training.data.values import Modality, Sex
from training.simulation.identity import whole_years
from training.simulation.truth_file import PatientFile, StudyTruth


def manifest_rows(truth: PatientFile, folder: Path) -> list[ManifestRow]:
    """The rows of one patient: CT, chest film and DXA, as far as they were written.

    Label, T-scores and areal densities are the true ones on the scale of the patient's device; what the simulated densitometer measured
    stands in ``truth.json`` alone.
    """
    studies = truth.studies
    rows = []
    if studies.ct is not None:
        rows.append(_row(truth, studies.ct, Modality.CT, folder, folder / studies.ct.masks.bodies))
    if studies.cxr is not None:
        rows.append(_row(truth, studies.cxr, Modality.CXR, folder))
    if studies.dxa is not None:
        rows.append(_row(truth, studies.dxa, Modality.DXA, folder))
    return rows


def all_rows(truths: Iterable[tuple[PatientFile, Path]]) -> list[ManifestRow]:
    """The rows of many patients, each with its folder."""
    return [row for truth, folder in truths for row in manifest_rows(truth, folder)]


def _row(truth: PatientFile, study: StudyTruth, modality: Modality, folder: Path, mask: Path | None = None) -> ManifestRow:
    bone, device = truth.bone, truth.bone.device
    sound = {item.level: item.devices[device] for item in bone.levels if not item.altered}
    total = bone.devices[device]
    measured = truth.studies.dxa
    t_score = round(bone.t_score, 3)
    return ManifestRow(
        patient_id=truth.patient.patient_id,
        modality=modality,
        path=folder / study.path,
        study_date=study.study_date,
        study_uid=study.study_uid,
        series_uid=study.series_uid,
        label=who_label(t_score),  # of the T-score as it is written: a reader who compares the two must find no contradiction
        t_score=t_score,
        t_scores={level: round(item.t_score, 3) for level, item in sound.items()} | {"L1-L4": round(total.t_score, 3)},
        bmd_g_cm2={level: round(item.bmd_g_cm2, 4) for level, item in sound.items()} | {"L1-L4": round(total.bmd_g_cm2, 4)},
        dxa_date=measured.study_date if measured is not None else None,
        device=device,
        sex=Sex(truth.patient.sex),
        age=float(whole_years(truth.patient.birth_date, study.study_date)),
        mask=mask,
    )
