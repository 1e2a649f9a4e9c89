"""The three studies of one simulated patient, written as DICOM, each with what is true about it."""

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from pydicom import dcmread

from training.simulation.body import Structure
from training.simulation.cohort import CohortPatient, with_spacing
from training.simulation.ct import SimulatedCt, simulate_ct
from training.simulation.dicom import StudyOptions, write_dicom
from training.simulation.identity import identity
from training.simulation.masks import write_labels
from training.simulation.parameters import PatientParameters
from training.simulation.truth_file import CtLevel, CtTruth, DxaLevelTruth, DxaTruth, FilmTruth, Heights, Landmark, MaskTruth
from training.simulation.xray.dxa import DxaLevel, DxaParameters, simulate_dxa
from training.simulation.xray.dxa_dicom import DxaOptions, write_dxa
from training.simulation.xray.film import ChestFilmParameters, portable, simulate_chest_film
from training.simulation.xray.film_dicom import FilmFormat, FilmOptions, Spacing, write_film
from training.simulation.xray.regions import simulate_regions


def write_ct(person: CohortPatient, patient: PatientParameters, spacing_mm: float | None, folder: Path) -> CtTruth:
    """The CT of ``patient`` in ``folder/ct`` and its masks in ``folder/masks``; ``spacing_mm`` None keeps the scanner's grid."""
    acquisition = person.acquisition if spacing_mm is None else with_spacing(person.acquisition, spacing_mm)
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
        acquisition=plain(acquisition),
        masks=_write_masks(simulated, folder),
        levels=_ct_levels(simulated),
    )


def write_chest_film(person: CohortPatient, patient: PatientParameters, folder: Path) -> FilmTruth:
    """The chest film of ``patient`` in ``folder/cxr``."""
    habits = person.film
    film = simulate_chest_film(patient, portable() if habits.portable else ChestFilmParameters())
    options = FilmOptions(
        format=FilmFormat.CR if habits.computed else FilmFormat.DX,
        inverted=habits.inverted,
        spacing=Spacing.ABSENT if habits.unsized else Spacing.IMAGER,
        view_in_header=habits.view_in_header,
        study_date=person.film_date,
    )
    file = write_film(film, folder / "cxr", options)
    return FilmTruth(
        **_written(file),
        path="cxr",
        files=1,
        acquisition=plain(film.acquisition),
        spacing_mm=film.spacing_mm,
        rows=film.image.shape[0],
        columns=film.image.shape[1],
        landmarks=tuple(Landmark(name=name, row=row, column=column) for name, (row, column) in film.landmarks.items()),
    )


def write_densitometry(person: CohortPatient, patient: PatientParameters, folder: Path) -> DxaTruth:
    """The DXA study of ``patient`` in ``folder/dxa``, as the patient's own device exports it."""
    parameters = DxaParameters(device=person.device)
    scan = simulate_dxa(patient, parameters)
    others = simulate_regions(patient, parameters) if person.other_regions else ()
    files = write_dxa(scan, folder / "dxa", DxaOptions(others=others, study_date=person.dxa_date))
    return DxaTruth(
        **_written(next(iter(files.values()))),
        path="dxa",
        files=len(files),
        device=person.device,
        acquisition=plain(scan.acquisition),
        spacing_mm=scan.spacing_mm,
        regions={region: file.name for region, file in files.items()},
        levels=tuple(_measured(level) for level in (*scan.levels, scan.total)),
    )


def _measured(level: DxaLevel) -> DxaLevelTruth:
    return DxaLevelTruth(
        level=level.level,
        bmd_g_cm2=level.bmd_g_cm2,
        area_cm2=level.area_cm2,
        bmc_g=level.bmc_g,
        t_score=level.t_score,
        box=level.box,
    )


def _written(file: Path) -> dict[str, Any]:
    """UIDs and date of a study, from one of its files."""
    header = dcmread(file, stop_before_pixels=True)
    day = datetime.strptime(str(header.StudyDate), "%Y%m%d").date()
    return {"study_uid": str(header.StudyInstanceUID), "series_uid": str(header.SeriesInstanceUID), "study_date": day}


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


def plain(parameters: Any) -> dict[str, Any]:
    """A dataclass as JSON holds it."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(parameters)))
    return plain
