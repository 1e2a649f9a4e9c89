"""A chest film from its file to JSON, text and console: the decision is told although no model reads it."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from rich.console import Console

from inference.cxr.findings import CxrFindings
from inference.findings import Findings, Outcome
from node.config_file import load_config
from node.console import print_report
from node.errors import ExitCode
from node.offline import find_studies, process_studies
from node.results.cxr import cxr_lines
from tests.simulated import write_film_study

pytestmark = pytest.mark.unit


def texts(ds: Dataset) -> list[str]:
    """Every text of a report."""
    found = [str(ds.TextValue)] if "TextValue" in ds else []
    return found + [text for item in ds.get("ContentSequence", []) for text in texts(item)]


def test_the_decision_on_the_film_is_in_json_text_and_console(tmp_path: Path) -> None:
    write_film_study(tmp_path / "in")
    config = load_config(Path(__file__).resolve().parents[3] / "config.yaml")
    spoken = config.model_copy(update={"routes": tuple(route.model_copy(update={"on_refusal": "text"}) for route in config.routes)})
    ((report, code),) = process_studies(find_studies([tmp_path / "in"]), spoken, tmp_path / "out")
    assert code is ExitCode.REFUSED
    assert report["reason"]["code"] == "NO_TRAINED_MODEL"
    (film,) = report["cxr"]["films"]
    assert film["used"]
    assert film["because"].startswith("Frontal chest film: View Position says PA")
    assert film["position"]["inverted"] is False
    printed = StringIO()
    print_report(Console(file=printed, width=400), report)
    assert "film: Frontal chest film: View Position says PA" in printed.getvalue()
    (text,) = [item for item in report["outputs"] if item["kind"] == "text"]
    assert any(line.startswith("Frontal chest film: View Position says PA") for line in texts(pydicom.dcmread(text["path"])))


def test_a_study_of_another_kind_has_no_line() -> None:
    plain = Findings(study_instance_uid="1.2.3", workflow="ct", outcome=Outcome.RESULT, reason=None)
    assert cxr_lines(plain) == []
    assert cxr_lines(replace(plain, workflow="cxr", cxr=CxrFindings(films=()))) == ["No film of the study is used as a frontal chest film."]
