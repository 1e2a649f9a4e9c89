"""From patients to cases, several at a time, each kept on disk: what is asked for again is not painted, read or segmented again."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from training.data.rows import ManifestRow
from training.data.values import Modality
from training.errors import TrainingError
from training.medconv.crops import Case, CropOptions, Prepared, crop_study, study_files
from training.medconv.simulated import SimulatedOptions, paint_case
from training.preparing import Skipped, gathered, kept
from training.simulation.cohort import CohortPatient
from training.transforms.cache import Arrays


def prepare_simulated(options: SimulatedOptions, crop: CropOptions, cache: Path, *, jobs: int = 1, progress: bool = True) -> Prepared:
    """Cases of a simulated cohort, in its order.

    Parameters
    ----------
    cache
        Folder of painted cases; runs may share one.
    jobs
        Processes. The cases do not depend on it.

    Raises
    ------
    TrainingError
        A process died.
    """
    work = partial(_simulated, options=options, crop=crop, cache=cache)
    return _prepared(gathered(work, options.people(), "painting patients", jobs, progress=progress))


def prepare_manifest(rows: Sequence[ManifestRow], crop: CropOptions, cache: Path, *, jobs: int = 1, progress: bool = True) -> Prepared:
    """Cases of the CT studies of a manifest, in its order; a study that cannot be cropped or has no class is skipped with its reason.

    Raises
    ------
    TrainingError
        There is no CT study, or a process died.
    """
    studies = [row for row in rows if row.modality is Modality.CT]
    if not studies:
        raise TrainingError("the manifest lists no CT study")
    return _prepared(gathered(partial(_listed, crop=crop, cache=cache), studies, f"cropping {crop.level}", jobs, progress=progress))


def _simulated(person: CohortPatient, options: SimulatedOptions, crop: CropOptions, cache: Path) -> Case | Skipped:
    name = f"simulated-{person.patient.seed}"

    def painted() -> Arrays:
        case = paint_case(person, options, crop)
        return {"hu": case.hu, "t_score": np.array(case.t_score), "label": np.array(case.label)}

    parameters = options.plain(person) | {"crop": crop.box()}
    found = kept(cache, (), parameters, painted)
    if isinstance(found, str):
        return Skipped(patient=name, because=found)
    return Case(patient=name, hu=found["hu"], label=int(found["label"]), t_score=float(found["t_score"]))


def _listed(row: ManifestRow, crop: CropOptions, cache: Path) -> Case | Skipped:
    if row.label is None:
        return Skipped(patient=row.patient_id, because="the manifest gives neither a class nor a T-score of L1-L4")
    t_score = row.diagnostic_t_score
    try:
        files = (*study_files(row), *((row.mask,) if row.mask is not None else ()))
    except TrainingError as error:
        return Skipped(patient=row.patient_id, because=str(error))
    found = kept(cache, files, {"crop": crop.plain(), "series": row.series_uid}, lambda: {"hu": crop_study(row, crop)})
    if isinstance(found, str):
        return Skipped(patient=row.patient_id, because=found)
    return Case(patient=row.patient_id, hu=found["hu"], label=row.label.class_index, t_score=float("nan") if t_score is None else t_score)


def _prepared(results: Sequence[Case | Skipped]) -> Prepared:
    return Prepared(
        cases=tuple(one for one in results if isinstance(one, Case)), skipped=tuple(one for one in results if isinstance(one, Skipped))
    )
