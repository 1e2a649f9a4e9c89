"""The CT workflow against patients whose truth is known: what it measures is right, what it must not measure it leaves alone.

A few patients on coarse grids; ``python -m training.evaluation.simulated_ct`` runs twenty on theirs.
"""

from dataclasses import replace

import numpy as np
import pytest

from training.evaluation.simulated_ct import Case, CaseResult, adverse_cases, run_case, varied_cases
from training.simulation.ct import AcquisitionParameters, ContrastPhase, PatientParameters

pytestmark = pytest.mark.acceptance

COARSE = AcquisitionParameters(rows=160, columns=160, pixel_spacing_mm=2.4, slice_spacing_mm=2.5)
LUMBAR = {"L1", "L2", "L3", "L4", "L5"}


def coarse(case: Case) -> Case:
    acquisition = replace(
        case.acquisition, rows=160, columns=160, pixel_spacing_mm=2.4, slice_spacing_mm=max(2.5, case.acquisition.slice_spacing_mm)
    )
    return replace(case, acquisition=acquisition)


@pytest.mark.parametrize(
    ("patient", "acquisition"),
    [
        (PatientParameters(seed=31, trabecular_hu=60, age_years=80, fat_mm=30), COARSE),
        (
            PatientParameters(seed=32, trabecular_hu=190, scoliosis_deg=8, roll_deg=8, contrast=ContrastPhase.VENOUS),
            replace(COARSE, feet_first=True, noise_sd_hu=12),
        ),
        (PatientParameters(seed=33, trabecular_hu=120, contrast=ContrastPhase.ARTERIAL), replace(COARSE, slice_spacing_mm=5)),
    ],
)
def test_every_lumbar_level_is_named_and_read_within_5_hu(patient: PatientParameters, acquisition: AcquisitionParameters) -> None:
    result = run_case(Case(name="varied", patient=patient, acquisition=acquisition))
    assert result.failures == ()
    assert {item.named for item in result.levels if item.certain and item.used} >= LUMBAR
    assert len(result.errors_hu) >= len(LUMBAR)
    assert float(np.abs(result.errors_hu).max()) <= 5


ADVERSE = {case.name: case for case in adverse_cases()}


@pytest.mark.parametrize(
    ("name", "reason", "unused"),
    [
        ("cement in L1", None, {"L1"}),
        ("screws in L3 and L4", None, {"L3", "L4"}),
        ("crushed L2", None, {"L2"}),
        ("missing rescale", "RESCALE_MISSING", LUMBAR),
        ("heart alone in view", None, LUMBAR),
        ("slices of 7 mm", "SLICES_TOO_THICK", LUMBAR),
        ("six lumbar vertebrae", "LEVEL_UNCERTAIN", LUMBAR),
    ],
)
def test_what_must_not_be_measured_is_not(name: str, reason: str | None, unused: set[str]) -> None:
    result = run_case(coarse(ADVERSE[name]))
    assert result.failures == ()
    assert not unused & {item.true_level for item in result.levels if item.used}
    if reason is not None:
        assert result.reason == reason


def test_the_first_patients_stay_the_same_when_more_are_asked_for() -> None:
    assert varied_cases(2, seed=7) == varied_cases(5, seed=7)[:2]
    low = [case.patient.trabecular_hu for case in varied_cases(20, seed=7)]
    assert min(low) < 70
    assert max(low) > 190


def test_a_wrong_name_and_a_wrong_number_count_as_failures() -> None:
    good = run_case(Case(name="good", patient=PatientParameters(seed=31, trabecular_hu=60), acquisition=COARSE))
    worse = [replace(item, named="T12", certain=True, error_hu=9.0) if item.true_level == "L1" else item for item in good.levels]
    bad = CaseResult(
        case=replace(good.case, never=("L2",)), outcome="result", reason=None, levels=tuple(worse), missed=(), unmatched=("L9",)
    )
    assert bad.failures == ("L1 named T12", "L1 +9.0 HU", "L2 used", "L9 is no vertebra")
