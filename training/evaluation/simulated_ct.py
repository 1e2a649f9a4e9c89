"""The CT workflow against simulated patients with known attenuation, level by level.

usage: python -m training.evaluation.simulated_ct [--patients 20] [--seed 7] [--processes 2] [--segmenter classical|network|both|all]
       python -m training.evaluation.simulated_ct --stress [--only NAME] [--processes 2] [--segmenter ...]

Each patient is simulated, written as DICOM, read back by the workflow and compared. Then come the patients that must not be measured.
With ``--stress`` it is 40 CTs made hard in eight ways (:mod:`training.evaluation.stress`), read by every reader. The exit code is 1 where a
level that was called certain is another one.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from inference.ct.options import CtOptions
from inference.ct.segmentation import BUILT_IN
from inference.errors import ReasonCode
from inference.findings import Findings, RoiKind, VertebraFinding
from inference.reading import find_files, read_headers
from inference.workflows import WorkflowOptions, run_workflow
from training.simulation.ct import AcquisitionParameters, FieldOfView, LevelTruth, PatientParameters, SimulatedCt, simulate_ct
from training.simulation.dicom import write_dicom
from training.simulation.patients import sample_patients
from training.workers import worker_pool

TOLERANCE_HU = 5.0
DEFAULT_READER = CtOptions().segmenter
SAME_BODY_MM = 12.0
"""A finding whose centre lies this near a true centre is that body."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One patient and how the patient is scanned. ``never`` names the levels that may not be used; ``*`` means all."""

    name: str
    patient: PatientParameters
    acquisition: AcquisitionParameters
    never: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LevelResult:
    """One measured body against the truth at the same place. ``named`` is what the workflow called it.

    ``error_hu`` compares the means, ``median_error_hu`` the medians (the statistic that carries the band).
    """

    true_level: str
    named: str | None
    certain: bool
    used: bool
    error_hu: float | None
    median_error_hu: float | None
    altered: tuple[str, ...]
    excluded: str | None = None

    @property
    def wrong(self) -> bool:
        """Called certain, and another level in truth."""
        return self.certain and self.named != self.true_level

    @property
    def sound(self) -> bool:
        """Measured, unaltered in truth, and excluded for nothing but its name: its number counts."""
        return self.error_hu is not None and not self.altered and self.excluded in (None, ReasonCode.LEVEL_UNCERTAIN)


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """What the workflow said of one patient, segmented by ``reader``."""

    case: Case
    outcome: str
    reason: str | None
    levels: tuple[LevelResult, ...]
    missed: tuple[str, ...]
    unmatched: tuple[str, ...]
    reader: str = DEFAULT_READER

    @property
    def wrong(self) -> int:
        """Certain levels that are others, and certain names for what is no vertebra."""
        return sum(item.wrong for item in self.levels) + len(self.unmatched)

    @property
    def errors_hu(self) -> tuple[float, ...]:
        """Errors of the bodies that were measured and not excluded for their own sake."""
        return tuple(item.error_hu for item in self.levels if item.error_hu is not None and not item.altered)

    @property
    def failures(self) -> tuple[str, ...]:
        """What hurts: a wrong certain name, a used level off by more than the tolerance, a used level that must not be."""
        found = [f"{item.true_level} named {item.named}" for item in self.levels if item.wrong]
        found += [
            f"{item.true_level} {item.error_hu:+.1f} HU"
            for item in self.levels
            if item.error_hu is not None and not item.altered and abs(item.error_hu) > TOLERANCE_HU
        ]
        forbidden = [item for item in self.levels if item.used and ("*" in self.case.never or item.true_level in self.case.never)]
        found += [f"{item.true_level} used" for item in forbidden]
        return (*found, *(f"{name} is no vertebra" for name in self.unmatched))


def run_case(case: Case, roi: RoiKind = RoiKind.CORE, reader: str = DEFAULT_READER) -> CaseResult:
    """Simulate, write, read back, compare. ``roi`` chooses the region whose mean is compared."""
    (result,) = run_readers(case, (reader,), roi)
    return result


def run_readers(case: Case, readers: Sequence[str], roi: RoiKind = RoiKind.CORE) -> tuple[CaseResult, ...]:
    """One simulated scan, segmented by each reader in turn."""
    simulated = simulate_ct(case.patient, case.acquisition)
    results: list[CaseResult] = []
    with tempfile.TemporaryDirectory(prefix="osteon-sim-") as folder:
        write_dicom(simulated, Path(folder))
        headers, _ = read_headers(find_files([Path(folder)]))
        for reader in readers:
            findings = run_workflow("ct", headers, WorkflowOptions(ct=CtOptions(segmenter=reader)))
            results.append(replace(compare(case, simulated, findings, roi), reader=reader))
    return tuple(results)


def compare(case: Case, simulated: SimulatedCt, findings: Findings, roi: RoiKind) -> CaseResult:
    """Match each finding to the true body at its place."""
    levels: list[LevelResult] = []
    unmatched: list[str] = []
    for vertebra in findings.vertebrae:
        truth = _true_body(simulated, vertebra)
        if truth is None:
            if vertebra.rois and (vertebra.used or vertebra.level_certain):
                unmatched.append(vertebra.level or f"body {vertebra.label}")
            continue
        measured = vertebra.roi(roi)
        error = median_error = None
        if measured is not None and truth.trabecular_hu is not None and truth.trabecular_median_hu is not None:
            error = measured.attenuation.mean_hu - truth.trabecular_hu
            median_error = measured.attenuation.median_hu - truth.trabecular_median_hu
        levels.append(
            LevelResult(
                true_level=truth.name,
                named=vertebra.level,
                certain=vertebra.level_certain,
                used=vertebra.used,
                error_hu=error,
                median_error_hu=median_error,
                altered=truth.altered,
                excluded=vertebra.excluded_because.code.value if vertebra.excluded_because is not None else None,
            )
        )
    found = {item.true_level for item in levels}
    lumbar = [level.name for level in simulated.truth.levels if level.whole and level.name.startswith("L")]
    return CaseResult(
        case=case,
        outcome=findings.outcome.value,
        reason=findings.reason.code.value if findings.reason is not None else None,
        levels=tuple(levels),
        missed=tuple(name for name in lumbar if name not in found),
        unmatched=tuple(unmatched),
    )


def _true_body(simulated: SimulatedCt, vertebra: VertebraFinding) -> LevelTruth | None:
    distances = [float(np.linalg.norm(np.subtract(level.centre_lps_mm, vertebra.centre_lps_mm))) for level in simulated.truth.levels]
    if not distances or min(distances) > SAME_BODY_MM:
        return None
    return simulated.truth.levels[int(np.argmin(distances))]


def varied_cases(patients: int, seed: int) -> list[Case]:
    """Patients of every size, pose, density, contrast phase, kernel and grid."""
    return [
        Case(name=f"patient {index + 1}", patient=patient, acquisition=acquisition)
        for index, (patient, acquisition) in enumerate(sample_patients(patients, seed))
    ]


def adverse_cases() -> list[Case]:
    """Patients and scans of which something must be refused or excluded."""
    patient = PatientParameters(seed=900, trabecular_hu=125)
    grid = AcquisitionParameters(rows=240, columns=240, pixel_spacing_mm=1.6, slice_spacing_mm=2.0)
    return [
        Case(name="cement in L1", patient=replace(patient, cement=("L1",)), acquisition=grid, never=("L1",)),
        Case(name="screws in L3 and L4", patient=replace(patient, screws=("L3", "L4")), acquisition=grid, never=("L3", "L4")),
        Case(name="crushed L2", patient=replace(patient, crush={"L2": 0.5}), acquisition=grid, never=("L2",)),
        Case(name="wedged L1", patient=replace(patient, wedge={"L1": 0.4}), acquisition=grid, never=("L1",)),
        Case(name="missing rescale", patient=patient, acquisition=replace(grid, omit_rescale=True), never=("*",)),
        Case(name="heart alone in view", patient=patient, acquisition=replace(grid, field_of_view=FieldOfView.HEART), never=("*",)),
        Case(name="slices of 7 mm", patient=patient, acquisition=replace(grid, slice_spacing_mm=7.0), never=("*",)),
        Case(name="six lumbar vertebrae", patient=replace(patient, lumbar_count=6), acquisition=grid, never=("*",)),
        Case(name="four lumbar vertebrae", patient=replace(patient, lumbar_count=4), acquisition=grid, never=("*",)),
        Case(name="ribs on L1", patient=replace(patient, lumbar_rib_mm=60.0), acquisition=grid),
        Case(name="no twelfth rib", patient=replace(patient, t12_rib_mm=0.0), acquisition=grid),
        Case(name="hip prosthesis", patient=replace(patient, hip_prosthesis=True), acquisition=grid),
    ]


def run_all(cases: Sequence[Case], processes: int, title: str, readers: Sequence[str] = (DEFAULT_READER,)) -> list[CaseResult]:
    """Every case by every reader, in several processes, with a progress bar on stderr, or a line a result where that is no terminal."""
    console = Console(stderr=True)
    results: list[CaseResult] = []
    with worker_pool(processes) as pool:
        done = pool.map(partial(run_readers, readers=tuple(readers)), cases)
        for found in track(done, description=title, total=len(cases), console=console):
            results.extend(found)
            if not console.is_terminal:
                for result in found:
                    console.print(f"{result.case.name}, {result.reader}: {'; '.join(result.failures) or 'nothing amiss'}", highlight=False)
    return results


def print_results(console: Console, results: Sequence[CaseResult], title: str) -> None:
    """One line a case."""
    table = Table(
        "case", "slices mm", "phase", "L1 truth", "outcome", "levels certain", "mean |error| HU", "worst HU", "failures", title=title
    )
    for result in results:
        errors = np.abs(result.errors_hu) if result.errors_hu else np.zeros(0)
        table.add_row(
            result.case.name,
            f"{result.case.acquisition.slice_spacing_mm:g}",
            result.case.patient.contrast.value,
            f"{result.case.patient.trabecular_hu:.0f}",
            result.outcome + (f" {result.reason}" if result.reason else ""),
            f"{sum(item.certain for item in result.levels)}/{len(result.levels)}",
            f"{errors.mean():.1f}" if errors.size else "-",
            f"{errors.max():.1f}" if errors.size else "-",
            "; ".join((*result.failures, *(f"{name} not found" for name in result.missed if result.levels))),
        )
    console.print(table)


def print_summary(console: Console, results: Sequence[CaseResult]) -> None:
    """The figures over all cases."""
    sound = [item for result in results for item in result.levels if item.error_hu is not None and not item.altered]
    if not sound:
        console.print("nothing was measured")
        return
    certain = [item for result in results for item in result.levels if item.certain]
    wrong = sum(item.named != item.true_level for item in certain)
    banded = sum(result.reason is None for result in results)
    console.print(
        f"{len(results)} patients, {len(sound)} sound bodies; certain names {len(certain)}, wrong {wrong}; a band for {banded} patients"
    )
    for name, values in (("mean", [item.error_hu for item in sound]), ("median", [item.median_error_hu for item in sound])):
        errors = np.array(values, dtype=np.float64)
        console.print(
            f"core {name}: error {errors.mean():+.1f} HU, |error| {np.abs(errors).mean():.1f}, worst {np.abs(errors).max():.1f}, "
            f"within {TOLERANCE_HU:g} HU {int((np.abs(errors) <= TOLERANCE_HU).sum())}/{errors.size}"
        )


def main() -> int:
    """Print the tables; 1 where a certain level is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--segmenter", choices=(*BUILT_IN, "all"), help="default: both; with --stress all")
    parser.add_argument("--stress", action="store_true", help="40 hard CTs instead of the varied and the adverse ones")
    parser.add_argument("--only", default="", help="with --stress: only cases whose name contains this")
    arguments = parser.parse_args()
    chosen = arguments.segmenter or ("all" if arguments.stress else DEFAULT_READER)
    readers = BUILT_IN if chosen == "all" else (chosen,)
    console = Console(width=200)
    if arguments.stress:
        from training.evaluation.stress import print_stress, stress_cases  # builds upon this module

        cases = [case for case in stress_cases() if arguments.only in case.name]
        results = run_all(cases, arguments.processes, "stress", readers)
        print_stress(console, results)
        return int(any(result.wrong for result in results))
    results = run_all(varied_cases(arguments.patients, arguments.seed), arguments.processes, "varied patients", readers)
    adverse = run_all(adverse_cases(), arguments.processes, "adverse patients", readers)
    for reader in readers:
        own = [result for result in results if result.reader == reader]
        print_results(console, own, f"Simulated patients, {reader}: error of the core mean against truth")
        print_summary(console, own)
        trapped = [result for result in adverse if result.reader == reader]
        print_results(console, trapped, f"Patients and scans that hold a trap, {reader}")
    return int(any(result.wrong for result in (*results, *adverse)))


if __name__ == "__main__":
    sys.exit(main())
