"""What a decision and a refusal leave on disk."""

from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from inference.errors import ReasonCode
from inference.findings import Outcome, RoiKind
from inference.reading import find_files, read_headers
from node.config import Config
from node.config_file import parse_config
from node.pipeline import ProcessedStudy, ct_options, process_study
from node.routing import decide
from tests.simulated import simulated_ct, write_film_study
from training.simulation.ct import AcquisitionParameters, FieldOfView, PatientParameters, simulate_ct
from training.simulation.dicom import write_dicom

pytestmark = pytest.mark.integration

CONFIG = parse_config(
    """
routes:
- {name: cxr, workflow: cxr, match: {modality: [CR]}, destinations: [a, b], on_refusal: text}
- {name: ct, workflow: ct, match: {modality: [CT]}, destinations: [b]}
destinations:
- {name: a, ae_title: A, host: 127.0.0.1, port: 104, send: [sr]}
- {name: b, ae_title: B, host: 127.0.0.1, port: 105, send: [text]}
"""
)


def process(folder: Path, out: Path, config: Config = CONFIG, on_refusal: str | None = None) -> ProcessedStudy:
    headers, skipped = read_headers(find_files([folder]))
    assert skipped == ()
    decision = decide(headers, config.routes)
    if on_refusal is not None:
        decision = replace(decision, on_refusal=on_refusal)
    out.mkdir()
    return process_study(headers, decision, config, out)


def test_nobody_asked_for_a_study_without_a_route(tmp_path: Path) -> None:
    write_film_study(tmp_path / "in")
    done = process(tmp_path / "in", tmp_path / "out", CONFIG.model_copy(update={"routes": CONFIG.routes[1:]}))
    assert done.findings.outcome is Outcome.REFUSED
    assert done.findings.reason.code is ReasonCode.NO_MATCHING_ROUTE
    assert done.objects == ()
    assert list((tmp_path / "out").iterdir()) == []


def test_a_refusal_is_written_where_the_route_says_so(tmp_path: Path) -> None:
    write_film_study(tmp_path / "in")
    done = process(tmp_path / "in", tmp_path / "out")
    assert done.findings.reason.code is ReasonCode.NO_TRAINED_MODEL
    assert [item.kind for item in done.objects] == ["text"]
    silent = process(tmp_path / "in", tmp_path / "silent", on_refusal="none")
    assert silent.findings.reason.code is ReasonCode.NO_TRAINED_MODEL
    assert silent.objects == ()


def test_two_patients_in_one_study_get_no_object(tmp_path: Path) -> None:
    small = AcquisitionParameters(rows=32, columns=32, pixel_spacing_mm=12, slice_spacing_mm=5, field_of_view=FieldOfView.LUMBAR)
    files = write_dicom(simulate_ct(PatientParameters(seed=5), small), tmp_path / "in")
    other = pydicom.dcmread(files[0])
    other.PatientID, other.PatientName = "SIM-OTHER", "SIMULATED^SOMEBODY ELSE"
    other.save_as(files[0])
    done = process(tmp_path / "in", tmp_path / "out", on_refusal="text")
    assert done.findings.reason.code is ReasonCode.IDENTITY_CONFLICT
    assert done.objects == ()


def test_only_what_a_destination_wants_is_written(tmp_path: Path) -> None:
    write_dicom(simulated_ct(), tmp_path / "in")
    done = process(tmp_path / "in", tmp_path / "out")
    assert done.findings.outcome is not Outcome.REFUSED
    assert [item.kind for item in done.objects] == ["text"]
    assert {"reading", "segmentation", "measurement", "writing", "total"} <= set(done.findings.timings_s)
    assert done.findings.timings_s["total"] >= done.findings.timings_s["writing"]


def test_the_options_of_the_workflow_are_those_of_the_file() -> None:
    config = parse_config(
        """
workflows:
  ct:
    roi: ellipse
    high_sensitivity: {hu: 169, source: UK 2023}
    high_specificity: {hu: 104, source: UK 2023}
    fallback_levels: [L3]
    calibration:
    - {manufacturer: M, model_name: X, kvp: 120, slope: 0.8, intercept: -2, material: HA, source: phantom 2026}
"""
    )
    options = ct_options(config)
    assert options.roi is RoiKind.ELLIPSE
    assert (options.high_sensitivity.hu, options.high_specificity.hu) == (169, 104)
    assert options.fallback_levels == ("L3",)
    assert options.calibration[0].slope == pytest.approx(0.8)
    assert options.calibration[0].device_serial_number is None
