"""A rescale that is wrong by a constant: the anatomy looks right, every number would be false."""

from pathlib import Path

import pydicom
import pytest

from inference.errors import ReasonCode
from inference.findings import Outcome
from inference.reading import find_files, read_headers
from inference.workflows import WorkflowOptions, run_workflow
from tests.simulated import write_study

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(("intercept", "refused"), [(-1024, False), (-1124, True), (-924, True)])
def test_fat_and_muscle_give_a_wrong_rescale_away(tmp_path: Path, intercept: int, refused: bool) -> None:
    for path in write_study(tmp_path).iterdir():
        ds = pydicom.dcmread(path)
        ds.RescaleIntercept = str(intercept)
        ds.save_as(path)
    headers, _ = read_headers(find_files([tmp_path]))
    findings = run_workflow("ct", headers, WorkflowOptions())
    assert (findings.outcome is Outcome.REFUSED) is refused
    if refused:
        assert findings.reason is not None
        assert findings.reason.code is ReasonCode.IMPLAUSIBLE_HU
        assert "Fat and muscle around the spine" in findings.reason.text
        assert findings.vertebrae == ()
