"""Forty simulated CTs, made hard in eight ways that practice knows, five of each: does the number hold, and is a certain name ever wrong?

Every case differs from the others in size, posture and seed as well. Levels that are altered themselves (fractured, cemented, screwed) must
not be used; their neighbours must be read as if nothing were beside them.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.table import Table

from training.evaluation.simulated_ct import TOLERANCE_HU, Case, CaseResult, LevelResult
from training.simulation.ct import AcquisitionParameters, ContrastPhase, Kernel, PatientParameters

GRID = AcquisitionParameters(rows=240, columns=240, pixel_spacing_mm=1.6, slice_spacing_mm=2.0)


def patient(number: int) -> PatientParameters:
    """A patient like no other of these: seed, size, fat, posture and density follow from the number."""
    rng = np.random.default_rng((4711, number))
    return PatientParameters(
        seed=5000 + number,
        sex="F" if number % 2 else "M",
        age_years=int(rng.integers(50, 90)),
        body_scale=float(rng.uniform(0.86, 1.06)),
        fat_mm=float(rng.uniform(8, 35)),
        lordosis_deg=float(rng.uniform(40, 62)),
        kyphosis_deg=float(rng.uniform(26, 48)),
        trabecular_hu=float(rng.uniform(80, 180)),
        t12_rib_mm=float(rng.uniform(90, 125)),
        aortic_calcification=float(rng.uniform(0, 0.4)),
    )


def stress_cases() -> list[Case]:
    """The 40 cases, by kind."""
    return [*_density(), *_contrast(), *_thick_slices(), *_roll(), *_scoliosis(), *_fracture(), *_metal(), *_noise()]


def _density() -> list[Case]:
    return [
        Case(name=f"low density {hu} HU", patient=replace(patient(n), trabecular_hu=float(hu)), acquisition=GRID)
        for n, hu in enumerate((30, 40, 50, 60, 70))
    ]


def _contrast() -> list[Case]:
    chosen = ((ContrastPhase.ARTERIAL, 60), (ContrastPhase.ARTERIAL, 140), (ContrastPhase.VENOUS, 45), (ContrastPhase.VENOUS, 100))
    cases = [
        Case(name=f"{phase} {hu} HU", patient=replace(patient(10 + n), contrast=phase, trabecular_hu=float(hu)), acquisition=GRID)
        for n, (phase, hu) in enumerate(chosen)
    ]
    calcified = replace(patient(14), contrast=ContrastPhase.ARTERIAL, aortic_calcification=0.9)
    return [*cases, Case(name="arterial, calcified aorta", patient=calcified, acquisition=GRID)]


def _thick_slices() -> list[Case]:
    thick = replace(GRID, slice_spacing_mm=5.0)
    variants = (
        ("5 mm", patient(20), thick),
        ("5 mm, low density", replace(patient(21), trabecular_hu=50.0), thick),
        ("5 mm, venous", replace(patient(22), contrast=ContrastPhase.VENOUS), thick),
        ("5 mm, tilted", replace(patient(23), tilt_deg=8.0), thick),
        ("5 mm, noise 40 HU", patient(24), replace(thick, noise_sd_hu=40.0)),
    )
    return [Case(name=name, patient=who, acquisition=how) for name, who, how in variants]


def _roll() -> list[Case]:
    return [
        Case(name=f"roll {degrees} deg", patient=replace(patient(30 + n), roll_deg=float(degrees)), acquisition=GRID)
        for n, degrees in enumerate((12, -18, 24, -30, 36))
    ]


def _scoliosis() -> list[Case]:
    return [
        Case(
            name=f"scoliosis {degrees} deg, rotation {turn} deg",
            patient=replace(patient(40 + n), scoliosis_deg=float(degrees), rotation_deg=float(turn)),
            acquisition=GRID,
        )
        for n, (degrees, turn) in enumerate(((8, 4), (12, -8), (-15, 10), (18, 12), (-20, -15)))
    ]


def _fracture() -> list[Case]:
    variants: tuple[tuple[str, float, dict[str, float], dict[str, float]], ...] = (
        ("wedged L1", 55.0, {"L1": 0.4}, {}),
        ("wedged T12", 70.0, {"T12": 0.45}, {}),
        ("crushed L3", 85.0, {}, {"L3": 0.5}),
        ("crushed L1 and L2", 60.0, {}, {"L1": 0.45, "L2": 0.4}),
        ("wedged L2, crushed L4", 95.0, {"L2": 0.4}, {"L4": 0.5}),
    )
    return [
        Case(
            name=name,
            patient=replace(patient(50 + n), trabecular_hu=hu, wedge=wedge, crush=crush),
            acquisition=GRID,
            never=(*wedge, *crush),
        )
        for n, (name, hu, wedge, crush) in enumerate(variants)
    ]


def _metal() -> list[Case]:
    variants: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
        ("screws in L4 and L5", ("L4", "L5"), ()),
        ("screws in T12 and L1", ("T12", "L1"), ()),
        ("cement in L2", (), ("L2",)),
        ("screws in L3, cement in L1", ("L3",), ("L1",)),
    )
    cases = [
        Case(name=name, patient=replace(patient(60 + n), screws=screws, cement=cement), acquisition=GRID, never=(*screws, *cement))
        for n, (name, screws, cement) in enumerate(variants)
    ]
    return [*cases, Case(name="hip prosthesis", patient=replace(patient(64), hip_prosthesis=True), acquisition=GRID)]


def _noise() -> list[Case]:
    cases = [
        Case(name=f"noise {sd} HU", patient=patient(70 + n), acquisition=replace(GRID, noise_sd_hu=float(sd)))
        for n, sd in enumerate((40, 70, 100))
    ]
    sharp = replace(GRID, kernel=Kernel.SHARP, noise_sd_hu=60.0)
    fat = replace(patient(74), fat_mm=45.0, trabecular_hu=60.0)
    return [
        *cases,
        Case(name="sharp kernel, noise 60 HU", patient=patient(73), acquisition=sharp),
        Case(name="obese, low density, noise 60 HU", patient=fat, acquisition=replace(GRID, noise_sd_hu=60.0)),
    ]


def print_stress(console: Console, results: Sequence[CaseResult]) -> None:
    """One line a case with every reader beside each other, what hurts below, then the sums."""
    readers = tuple(dict.fromkeys(result.reader for result in results))
    table = Table("case", *readers, title="Stress: sound bodies within 5 HU of truth, largest error, certain names; what was refused")
    by_case: dict[str, dict[str, CaseResult]] = {}
    for result in results:
        by_case.setdefault(result.case.name, {})[result.reader] = result
    for name, found in by_case.items():
        table.add_row(name, *(_cell(found[reader]) for reader in readers))
    console.print(table)
    for result in results:
        if result.failures:
            console.print(f"{result.case.name}, {result.reader}: {'; '.join(result.failures)}")
    for reader in readers:
        console.print(_sums(reader, [result for result in results if result.reader == reader]))


def _cell(result: CaseResult) -> str:
    errors = [abs(item.error_hu) for item in result.levels if item.sound and item.error_hu is not None]
    certain = sum(item.certain for item in result.levels)
    parts = [f"{sum(error <= TOLERANCE_HU for error in errors)}/{len(errors)}", f"{max(errors):.1f} HU" if errors else "-"]
    parts.append(f"{certain} certain" + (f", {result.wrong} WRONG" if result.wrong else ""))
    return ", ".join(parts) + (f" ({result.reason})" if result.reason else "")


def _sums(reader: str, results: Sequence[CaseResult]) -> str:
    sound = [item for result in results for item in result.levels if item.sound]
    used = [item for item in sound if item.used]
    certain = sum(item.certain for result in results for item in result.levels)
    banded = sum(result.reason is None for result in results)
    misused = sum(item.used and item.true_level in result.case.never for result in results for item in result.levels)
    return (
        f"{reader}: {len(results)} CTs, a band for {banded}; sound bodies within {TOLERANCE_HU:g} HU {_within(sound)}, "
        f"of those used {_within(used)}; "
        f"certain names {certain}, wrong {sum(result.wrong for result in results)}; altered levels used {misused}"
    )


def _within(items: Sequence[LevelResult]) -> str:
    errors = np.abs([item.error_hu for item in items if item.error_hu is not None])
    return (
        f"{int((errors <= TOLERANCE_HU).sum())}/{errors.size} (mean |error| {errors.mean():.1f}, worst {errors.max():.1f})"
        if errors.size
        else "0/0"
    )
