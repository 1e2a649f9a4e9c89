"""What all commands of training check before they begin."""

from pathlib import Path

import pytest

from training.commands import bundle_target, cohort_named
from training.errors import TrainingError
from training.simulation.population import COHORTS

pytestmark = pytest.mark.unit


def test_a_bundle_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    assert bundle_target(tmp_path) == tmp_path / "bundle"
    (tmp_path / "bundle").mkdir()
    with pytest.raises(TrainingError, match="never overwritten"):
        bundle_target(tmp_path)


def test_a_cohort_is_known_by_its_name() -> None:
    assert cohort_named("austinspine", COHORTS) is COHORTS["austinspine"]
    with pytest.raises(TrainingError, match=f"--cohort nobody: .*known: {', '.join(COHORTS)}"):
        cohort_named("nobody", COHORTS)
