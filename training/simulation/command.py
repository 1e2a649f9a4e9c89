"""``osteon simulate``: a cohort of simulated patients as DICOM, with the truth and a manifest."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from training.data.labels import LABELS
from training.data.manifest import write_manifest
from training.data.values import Modality
from training.errors import TrainingError
from training.simulation.cohort import sample_cohort
from training.simulation.cohort_run import PATIENTS, patient_folder, run_cohort
from training.simulation.manifest_rows import all_rows
from training.simulation.patient_folder import ALL_MODALITIES, PatientRequest, study_of
from training.simulation.population import COHORTS, CohortParameters
from training.simulation.truth_file import TRUTH_NAME, PatientFile

CLINICAL = "clinical"
_SPACING_MM = (0.5, 6.0)


def simulate(
    out: Annotated[Path, typer.Option("--out", help="Folder of the cohort; complete patients that are there already are kept.")],
    patients: Annotated[
        int, typer.Option("--patients", "-n", min=1, max=100_000, help="How many. The first ones stay the same when more are asked for.")
    ],
    seed: Annotated[int, typer.Option(min=0, max=20_000, help="Settles everything that is random.")] = 0,
    modality: Annotated[
        list[Modality] | None, typer.Option(case_sensitive=False, help="Only these; repeat for several. All by default.")
    ] = None,
    cohort: Annotated[str, typer.Option(help=f"Which population: {', '.join(COHORTS)}.")] = "austinspine",
    prevalence: Annotated[
        str | None, typer.Option(help="Shares of normal, osteopenia and osteoporosis, as in 60,30,10, instead of the cohort's.")
    ] = None,
    spacing: Annotated[str, typer.Option(help="Voxels of the CT in mm, or 'clinical' for 512 x 512 slices of 1 to 5 mm.")] = "3",
    jobs: Annotated[int, typer.Option(min=1, help="Processes; the files do not depend on it.")] = os.cpu_count() or 1,
    manifest: Annotated[
        Path | None, typer.Option(help="Where the manifest is written: .csv or .parquet; manifest.csv in --out when absent.")
    ] = None,
) -> None:
    """Write simulated patients as DICOM (CT, chest X-ray, DXA), each with truth.json and masks, and a manifest of them all.

    An interrupted run goes on where it ended when the same command is given again. The same seed gives the same bytes.
    """
    parameters = cohort_parameters(cohort, prevalence)
    wanted = tuple(item for item in ALL_MODALITIES if modality is None or item in modality)
    requests = [
        PatientRequest(person=person, cohort=parameters.name, seed=seed, modalities=wanted, spacing_mm=spacing_mm(spacing))
        for person in sample_cohort(patients, seed, parameters)
    ]
    with _progress() as progress:
        task = progress.add_task("patients", total=len(requests))
        truths = run_cohort(requests, out, jobs=jobs, advance=lambda _: progress.advance(task))
    folders = [patient_folder(out, request) for request in requests]
    listed = manifest or out / "manifest.csv"
    rows = all_rows([(truth, folder.absolute()) for truth, folder in zip(truths, folders, strict=True)])
    write_manifest(rows, listed)
    _print(Console(), truths, out, listed)


def cohort_parameters(cohort: str, prevalence: str | None) -> CohortParameters:
    """The parameters of a named cohort, with another prevalence where one is given.

    Raises
    ------
    TrainingError
        An unknown name, or shares that are none.
    """
    if cohort not in COHORTS:
        raise TrainingError(f"--cohort {cohort}: there is no such cohort; known: {', '.join(COHORTS)}")
    if prevalence is None:
        return COHORTS[cohort]
    try:
        normal, osteopenia, osteoporosis = (float(share) for share in prevalence.split(","))
    except ValueError:
        text = f"--prevalence {prevalence}: give three shares, normal, osteopenia and osteoporosis, as in 60,30,10"
        raise TrainingError(text) from None
    return replace(COHORTS[cohort], prevalence=(normal, osteopenia, osteoporosis))


def spacing_mm(text: str) -> float | None:
    """The size of a voxel; None for ``clinical``.

    Raises
    ------
    TrainingError
        Neither a number from 0.5 to 6 nor ``clinical``.
    """
    if text == CLINICAL:
        return None
    low, high = _SPACING_MM
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not low <= value <= high:
        raise TrainingError(f"--spacing {text}: give mm from {low:g} to {high:g}, or 'clinical'")
    return value


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _print(console: Console, truths: Sequence[PatientFile], out: Path, manifest: Path) -> None:
    table = Table("class", "patients", "women", "age", "T-score L1-L4", "fractured", title=f"{len(truths)} simulated patients")
    for label in LABELS:
        group = [truth for truth in truths if truth.bone.label is label]
        if not group:
            table.add_row(label.value, "0", "", "", "", "")
            continue
        t_scores = [truth.bone.t_score for truth in group]
        table.add_row(
            label.value,
            str(len(group)),
            str(sum(truth.patient.sex == "F" for truth in group)),
            f"{sum(truth.patient.age_years for truth in group) / len(group):.0f}",
            f"{min(t_scores):.1f} to {max(t_scores):.1f}",
            str(sum(bool(truth.patient.parameters["wedge"] or truth.patient.parameters["crush"]) for truth in group)),
        )
    console.print(table)
    for modality in ALL_MODALITIES:
        studies = [study for truth in truths if (study := study_of(truth, modality)) is not None]
        if studies:
            console.print(f"{modality}: {len(studies)} studies, {sum(study.files for study in studies)} files", highlight=False)
    console.print(f"{out / PATIENTS}: one folder a patient, with {TRUTH_NAME} and masks", highlight=False, soft_wrap=True)
    console.print(f"manifest: {manifest}", highlight=False, soft_wrap=True)
