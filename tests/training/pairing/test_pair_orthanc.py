"""Orthanc as the archive: the same pairs by C-FIND and QIDO-RS as from the files, though it answers three studies at most."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.peers.orthanc import DICOM_PORT, HTTP_PORT, orthanc
from tests.peers.tools import require_peer
from tests.training.pairing import hospital

pytestmark = pytest.mark.integration

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
ROOT = Path(__file__).parents[3]
LIMIT = 3

_DRIVER = """
import json, sys, urllib.request
from pathlib import Path
import typer
from typer.testing import CliRunner
from training.pairing.cli import pair
job = json.load(sys.stdin)
for path in sorted(Path(job["images"]).rglob("*.dcm")):
    urllib.request.urlopen(urllib.request.Request(job["upload"], data=path.read_bytes(), method="POST")).read()
app = typer.Typer(pretty_exceptions_enable=False)
app.command()(pair)
done = {}
for name, arguments in job["runs"].items():
    result = CliRunner().invoke(app, arguments)
    done[name] = {"rc": result.exit_code, "said": result.output, "raised": repr(result.exception)}
json.dump(done, sys.stdout)
"""
"""Runs beside Orthanc, in its network namespace."""

TABLE = "patient_id,study_date,sex,t_score,bmd_L1_g_cm2\n" + "".join(
    f"P{number},2024-03-{number + 10:02d},{'M' if number == 2 else 'F'},-{number % 4}.5,0.{80 + number}\n" for number in range(1, 7)
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Every run of the command beside one Orthanc: the folder of outputs, and what each said."""
    if not PLUGIN.exists():
        require_peer(because="Orthanc's DICOMweb plugin is not installed")
    folder = tmp_path_factory.mktemp("pacs")
    for number in range(1, 7):  # all CTs within two days, and a film each at the same minute
        hospital.ct(folder / "in", f"P{number}", f"2024-03-{1 + number % 2:02d}", PatientSex="F", StudyTime=f"{8 + number:02d}1500")
    for number in (1, 2, 3):
        hospital.film(folder / "in", f"P{number}", f"2024-0{number}-20", PatientSex="F")
    hospital.ct(folder / "in", "P9", "2024-03-01")
    hospital.ct(folder / "in", "P6", "2021-03-01")
    hospital.dxa_image(folder / "in", "P1", "2024-03-11")
    table = folder / "dxa.csv"
    table.write_text(TABLE)
    few = ["--result-limit", str(LIMIT)]
    pacs, web = f"ORTHANC@127.0.0.1:{DICOM_PORT}", f"http://127.0.0.1:{HTTP_PORT}"
    arguments = {
        "files": ["--images", str(folder / "in")],
        "find": ["--pacs", pacs, *few, "--cache", str(folder / "cache")],
        "find deep": ["--pacs", pacs, *few, "--deep", "--by", "patients", "--model", "patient"],
        "web deep": ["--qido", f"{web}/dicom-web", *few, "--deep"],
        "gone": ["--pacs", "GONE@127.0.0.1:1", "--timeout", "1"],
        "no web": ["--qido", f"{web}/nothing-here"],
    }
    job = {
        "images": str(folder / "in"),
        "upload": f"http://127.0.0.1:{HTTP_PORT}/instances",
        "runs": {name: ["--out", str(folder / name), "--dxa", str(table), *rest] for name, rest in arguments.items()},
    }
    settings = {"Plugins": [str(PLUGIN)], "DicomAlwaysAllowFind": True, "LimitFindResults": LIMIT}
    with orthanc(folder / "orthanc", settings) as peer:
        done = peer.run([sys.executable, "-c", _DRIVER], input=json.dumps(job), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def report(folder: Path, *columns: str) -> set[tuple[str, ...]]:
    """Columns of the report of a run."""
    with (folder / "pairs-report.csv").open(newline="") as file:
        return {tuple(row[column] for column in columns) for row in csv.DictReader(file)}


OUTCOME = ("patient_id", "modality", "study_uid", "dxa_date", "days", "outcome")


@pytest.mark.parametrize("name", ["find", "find deep", "web deep"])
def test_the_same_outcome_as_from_the_files(runs: tuple[Path, dict[str, Any]], name: str) -> None:
    folder, said = runs
    assert said[name]["rc"] == 0, said[name]
    in_reach = {row for row in report(folder / "files", *OUTCOME) if row[-1] != "TOO_FAR_APART"}
    found = report(folder / name, *OUTCOME)
    assert {row for row in found if row[-1] == "PAIRED"} == {row for row in in_reach if row[-1] == "PAIRED"}
    # P6's CT of 2021 and P9's own are outside the days or the patients that were asked for
    assert {row for row in found if row[-1] == "SEX_MISMATCH"} == {row for row in in_reach if row[-1] == "SEX_MISMATCH"}
    assert sum(row[-1] == "PAIRED" for row in found) == 7
    assert "may hold more studies" not in said[name]["said"]


@pytest.mark.parametrize("name", ["find deep", "web deep"])
def test_asked_slice_by_slice_the_series_is_the_one_from_the_files(runs: tuple[Path, dict[str, Any]], name: str) -> None:
    folder, said = runs
    assert said[name]["rc"] == 0, said[name]
    chosen = {row for row in report(folder / "files", "study_uid", "series_uid", "outcome") if row[-1] == "PAIRED"}
    assert {row for row in report(folder / name, "study_uid", "series_uid", "outcome") if row[-1] == "PAIRED"} == chosen


def test_what_is_to_be_retrieved(runs: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = runs
    with (folder / "find" / "retrieve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["modality"] for row in rows} == {"CT", "CXR"}
    assert sum(row["modality"] == "CT" for row in rows) == 2 * 5  # five CTs, the localizer of each left out
    assert all(row["path"] == f"images/{row['study_instance_uid']}/{row['series_instance_uid']}" for row in rows if row["modality"] == "CT")


def test_an_archive_that_is_gone_is_exit_code_4_and_one_without_qido_2(runs: tuple[Path, dict[str, Any]]) -> None:
    _, said = runs
    assert said["gone"]["rc"] == 4
    assert "No association with GONE@127.0.0.1:1" in said["gone"]["said"]
    assert said["no web"]["rc"] == 2
    assert "404" in said["no web"]["said"]
