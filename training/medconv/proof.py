"""Simulated CT as DICOM through the whole CT workflow: attenuation of every level, and the class at L1, against the truth.

usage: python -m training.medconv.proof [--patients 40] [--seed 990] [--cohort spread] [--spacing clinical|MM] [--bundle DIR] [--jobs 1]

Patients come from a seed that no training draws. Each is scanned as a whole abdomen, written as DICOM, read back, segmented, measured and
classified by what ``osteon process --allow-simulated`` runs. Markdown on stdout; the exit code is 1 where a target is missed.
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

from inference.bundles import BundleSource
from inference.ct.options import CtOptions
from inference.errors import OsteonError
from inference.findings import Findings, RoiKind
from inference.reading import find_files, read_headers
from inference.workflows import WorkflowOptions, run_workflow
from training.data.labels import who_label
from training.errors import TrainingError
from training.evaluation.simulated_ct import Case, LevelResult, compare
from training.medconv.evaluate import CLEAR_T, CUTS
from training.medconv.publish import NAME
from training.medconv.simulated import COHORTS_OF_MEDCONV, SimulatedOptions, true_density
from training.simulation.cohort import CohortPatient, with_spacing
from training.simulation.command import spacing_mm
from training.simulation.ct import simulate_ct
from training.simulation.dicom import StudyOptions, write_dicom
from training.workers import worker_pool

SEED = 990
WITHIN_HU = 5.0
WANTED = 0.95
"""Share of the clear cases whose class is right, and of the used levels within :data:`WITHIN_HU`."""


@dataclass(frozen=True, kw_only=True)
class Proved:
    """What became of one patient.

    Attributes
    ----------
    levels
        Each measured body against the truth at its place.
    predicted, probability
        The class that the model gave and its share; None without one, and ``because`` says why.
    """

    name: str
    t_score: float
    outcome: str
    levels: tuple[LevelResult, ...]
    predicted: str | None
    probability: float | None
    because: str

    @property
    def truth(self) -> str:
        """The WHO class of the true T-score."""
        return who_label(self.t_score).value

    @property
    def clear(self) -> bool:
        """Whether the T-score lies far from both cuts."""
        return min(abs(self.t_score - cut) for cut in CUTS) > CLEAR_T

    @property
    def right(self) -> bool:
        """Whether the predicted class is the true one."""
        return self.predicted == self.truth

    @property
    def errors_hu(self) -> dict[str, float]:
        """Measured less true median of the levels that may carry a result, by level."""
        return {one.true_level: one.median_error_hu for one in self.levels if one.used and one.sound and one.median_error_hu is not None}


def prove(person: CohortPatient, spacing: float | None, bundle: Path | None) -> Proved | None:
    """Simulate, write, process, compare; None where no T-score can be had of the patient (fewer than two sound levels)."""
    try:
        patient, t_score = true_density(person, SimulatedOptions())
    except TrainingError:
        return None
    acquisition = person.acquisition if spacing is None else with_spacing(person.acquisition, spacing)
    simulated = simulate_ct(patient, acquisition)
    with tempfile.TemporaryDirectory(prefix="osteon-proof-") as folder:
        vendor = StudyOptions(vendor=person.vendor, contrast_in_header=person.contrast_in_header, study_date=person.ct_date)
        write_dicom(simulated, Path(folder), vendor)
        headers, _ = read_headers(find_files([Path(folder)]))
        findings = run_workflow("ct", headers, WorkflowOptions(ct=_options(bundle)))
    case = Case(name=person.folder, patient=patient, acquisition=acquisition)
    compared = compare(case, simulated, findings, RoiKind.CORE)
    return proved(person.folder, t_score, findings, compared.levels)


def _options(bundle: Path | None) -> CtOptions:
    source = BundleSource(allow_simulated=True)
    return CtOptions(bundles=source if bundle is None else replace(source, folder=bundle.absolute().parent), classifier=NAME, experts=None)


def proved(name: str, t_score: float, findings: Findings, levels: tuple[LevelResult, ...]) -> Proved:
    """What the findings of one patient say."""
    density = findings.density_class
    predicted = density.predicted if density is not None else None
    shares = density.probabilities if density is not None and density.probabilities is not None else {}
    why = density.because if density is not None else ""
    if findings.reason is not None:
        why = f"{findings.reason.code.value}: {findings.reason.text}"
    return Proved(
        name=name,
        t_score=t_score,
        outcome=findings.outcome.value,
        levels=levels,
        predicted=predicted,
        probability=shares.get(predicted) if predicted is not None else None,
        because="" if predicted is not None else why,
    )


def table(results: Sequence[Proved]) -> str:
    """Markdown: one line a patient, then attenuation by level, then what the targets say."""
    lines = ["| patient | T-score | clear | true class | predicted | probability | L1, HU off | levels within 5 HU | said |"]
    lines.append("| --- | ---: | --- | --- | --- | ---: | ---: | ---: | --- |")
    for one in results:
        errors = one.errors_hu
        near = sum(abs(error) <= WITHIN_HU for error in errors.values())
        share = f"{100 * one.probability:.0f} %" if one.probability is not None else "–"
        predicted = one.predicted or "–"
        l1 = f"{errors['L1']:+.1f}" if "L1" in errors else "–"
        said = "" if one.right else one.because or "wrong class"
        cells = (
            one.name,
            f"{one.t_score:.2f}",
            "yes" if one.clear else "no",
            one.truth,
            predicted,
            share,
            l1,
            f"{near} of {len(errors)}",
            said,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *level_lines(results), "", *summary(results)])


def level_lines(results: Sequence[Proved]) -> list[str]:
    """Measured less true attenuation by level, as lines of a Markdown table."""
    errors: dict[str, list[float]] = {}
    for one in results:
        for level, error in one.errors_hu.items():
            errors.setdefault(level, []).append(error)
    lines = ["| level | bodies | mean, HU off | worst | within 5 HU |", "| --- | ---: | ---: | ---: | ---: |"]
    for level in sorted(errors, key=lambda name: (name[0] == "L", int(name[1:]))):
        found = np.array(errors[level])
        worst = found[np.argmax(np.abs(found))]
        lines.append(f"| {level} | {found.size} | {found.mean():+.1f} | {worst:+.1f} | {int((np.abs(found) <= WITHIN_HU).sum())} |")
    return lines


def shares(results: Sequence[Proved]) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """(hits, cases): clear cases classified right, all classified cases right, used levels within 5 HU."""
    classified = [one for one in results if one.predicted is not None]
    clear = [one for one in classified if one.clear]
    errors = [abs(error) for one in results for error in one.errors_hu.values()]
    near = sum(error <= WITHIN_HU for error in errors)
    return (sum(one.right for one in clear), len(clear)), (sum(one.right for one in classified), len(classified)), (near, len(errors))


def summary(results: Sequence[Proved]) -> list[str]:
    """The targets in words."""
    clear, classified, near = shares(results)
    refused = [one for one in results if one.predicted is None]
    return [
        f"- class right in {_share(*clear)} of the clear cases (T-score more than {CLEAR_T:g} from both cuts; wanted {100 * WANTED:.0f} %)",
        f"- class right in {_share(*classified)} of all that were classified",
        f"- attenuation within {WITHIN_HU:g} HU of the truth in {_share(*near)} of the used levels",
        f"- not classified: {len(refused)} of {len(results)}, each with its reason",
    ]


def _share(hits: int, cases: int) -> str:
    return f"{hits} of {cases}" + (f" ({100 * hits / cases:.0f} %)" if cases else "")


def met(results: Sequence[Proved]) -> bool:
    """Whether both targets are met."""
    clear, _, near = shares(results)
    return all(cases > 0 and hits >= WANTED * cases for hits, cases in (clear, near))


def run(people: Sequence[CohortPatient], spacing: float | None, bundle: Path | None, jobs: int) -> list[Proved]:
    """Every patient of whom a T-score can be had, several at a time."""
    work = partial(prove, spacing=spacing, bundle=bundle)
    with worker_pool(jobs) as pool:
        done = track(pool.map(work, people), description="proving", total=len(people), console=Console(stderr=True))
        return [one for one in done if one is not None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the proof.

    Returns
    -------
    int
        0 where both targets are met, else 1; 2 for what cannot be used.
    """
    parser = argparse.ArgumentParser(prog="python -m training.medconv.proof", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--patients", type=int, default=40)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--cohort", choices=tuple(COHORTS_OF_MEDCONV), default="spread")
    parser.add_argument("--spacing", default="clinical", help="512 x 512 pixels and slices of 1 to 5 mm, or cubic voxels of so many mm")
    parser.add_argument("--bundle", type=Path, help="a bundle's folder; the shipped one when absent")
    parser.add_argument("--jobs", type=int, default=1)
    chosen = parser.parse_args(arguments)
    try:
        options = SimulatedOptions(patients=chosen.patients, seed=chosen.seed, cohort=COHORTS_OF_MEDCONV[chosen.cohort])
        results = run(options.people(), spacing_mm(chosen.spacing), chosen.bundle, chosen.jobs)
    except OsteonError as error:
        print(error, file=sys.stderr)
        return 2
    voxels = "the scanner's own grid" if chosen.spacing == "clinical" else f"voxels of {chosen.spacing} mm"
    print(f"{len(results)} simulated patients of the cohort '{chosen.cohort}', seed {chosen.seed}, {voxels}\n")
    print(table(results))
    return 0 if met(results) else 1


if __name__ == "__main__":
    sys.exit(main())
