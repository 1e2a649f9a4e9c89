"""The command: files written, exit codes, and nothing given away under pseudonyms."""

import csv
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from tests.training.pairing import hospital
from training.data.manifest import read_manifest
from training.pairing.cli import pair
from training.pairing.pseudonyms import Pseudonyms
from training.pairing.reasons import PairReason

pytestmark = pytest.mark.unit

APP = typer.Typer(pretty_exceptions_enable=False)
APP.command()(pair)

TABLE = """Patient ID,Exam Date,Sex,DOB,T-score,L1 BMD (g/cm2),L1-L4 BMD (g/cm2),Device
0017,2024-04-15,F,1940-02-01,-2.6,0.801,0.823,Hologic Horizon
0018,2024-06-01,F,1955-05-05,-0.4,,1.05,Hologic Horizon
0019,2020-01-01,M,,-1.2,,,
0099,2024-01-01,,,0.3,,,
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images of four patients, something else, and a table."""
    folder = tmp_path_factory.mktemp("site")
    images = folder / "Secret 0017 archive"
    hospital.ct(images, "0017", "2024-03-01", PatientSex="F", PatientBirthDate="19400201")
    hospital.film(images, "0017", "2024-09-30", PatientSex="F")
    hospital.film(images, "0018", "2024-06-02", PatientSex="M")
    hospital.ct(images, "0019", "2024-03-01")
    hospital.film(images, "0020", "2024-03-01", ("LL",))
    (images / "letter of 0017.txt").write_text("dear Secret 0017")
    (folder / "dxa of Secret.csv").write_text(TABLE)
    (folder / "key").write_bytes(bytes(range(32)))
    return folder


def run(site: Path, out: Path, *arguments: str) -> Result:
    """Run the command over the site's folder."""
    table, images = str(site / "dxa of Secret.csv"), str(site / "Secret 0017 archive")
    return CliRunner().invoke(APP, ["--out", str(out), "--images", images, "--dxa", table, *arguments])


def report(out: Path) -> dict[tuple[str, str], str]:
    """Outcome by patient and modality."""
    with (out / "pairs-report.csv").open(newline="") as file:
        return {(row["patient_id"], row["modality"]): row["outcome"] for row in csv.DictReader(file)}


def test_manifest_report_and_summary(site: Path, tmp_path: Path) -> None:
    done = run(site, tmp_path)
    assert done.exit_code == 0, done.output
    manifest = read_manifest(tmp_path / "manifest.csv")
    by_modality = {row.modality.value: row for row in manifest.rows}
    ct, film = by_modality["CT"], by_modality["CXR"]
    assert (ct.patient_id, ct.label, ct.t_score, ct.bmd_g_cm2) == ("0017", "osteoporosis", -2.6, {"L1": 0.801, "L1-L4": 0.823})
    assert (ct.device, ct.sex, ct.age, str(ct.dxa_date)) == ("Hologic", "F", 84.0, "2024-04-15")
    assert ct.path == tmp_path / "images" / str(ct.study_uid) / str(ct.series_uid)  # its own folder holds other patients, too
    assert film.path is not None
    assert film.path.name == "0017-2024-09-30-cr-0.dcm"
    assert report(tmp_path) == {
        ("0017", "CT"): "PAIRED",
        ("0017", "CXR"): "PAIRED",
        ("0018", "CXR"): "SEX_MISMATCH",
        ("0019", "CT"): "TOO_FAR_APART",
        ("0020", "CXR"): "NOT_FRONTAL",
        ("0099", ""): "NO_IMAGE",
    }
    summary = json.loads((tmp_path / "pairs-summary.json").read_text())
    assert summary["flow"]["pairs"] == 2
    assert summary["flow"]["patients"] == 1
    assert summary["skipped"] == {"NOT_DICOM": 1}
    assert "2 pairs of 1 patients" in done.output


def test_a_study_in_a_folder_of_its_own_needs_no_links(tmp_path: Path) -> None:
    hospital.ct(tmp_path / "in" / "a", "A", "2024-03-01")
    hospital.ct(tmp_path / "in" / "b", "B", "2024-03-01")
    (tmp_path / "dxa.csv").write_text("patient_id,study_date,t_score\nA,2024-03-05,-1\n")
    arguments = ["--out", str(tmp_path / "out"), "--images", str(tmp_path / "in"), "--dxa", str(tmp_path / "dxa.csv")]
    assert CliRunner().invoke(APP, arguments).exit_code == 0
    (row,) = read_manifest(tmp_path / "out" / "manifest.csv").rows
    assert row.path is not None
    assert row.path.resolve() == tmp_path / "in" / "a"


def test_links_make_a_folder_of_the_chosen_series_alone(site: Path, tmp_path: Path) -> None:
    for _ in range(2):  # again over its own links
        assert run(site, tmp_path, "--links", "--modality", "CT").exit_code == 0
    (row,) = read_manifest(tmp_path / "manifest.csv").rows
    assert row.path is not None
    links = sorted(row.path.iterdir())
    assert len(links) == hospital.SLICES
    assert all("-ct-1-" in link.resolve().name for link in links)


def test_parquet_holds_the_same_rows(site: Path, tmp_path: Path) -> None:
    run(site, tmp_path)
    rows = read_manifest(tmp_path / "manifest.csv").rows
    assert run(site, tmp_path, "--format", "parquet").exit_code == 0
    assert read_manifest(tmp_path / "manifest.parquet").rows == rows
    assert not (tmp_path / "manifest.csv").exists()


def test_no_pair_leaves_no_manifest_of_an_earlier_run(site: Path, tmp_path: Path) -> None:
    assert run(site, tmp_path).exit_code == 0
    done = run(site, tmp_path, "--months", "0")
    assert done.exit_code == 3
    assert not (tmp_path / "manifest.csv").exists()
    assert report(tmp_path)["0017", "CT"] == "TOO_FAR_APART"


def test_dxa_studies_among_the_images_need_no_table(tmp_path: Path) -> None:
    hospital.ct(tmp_path / "in", "A", "2024-03-01")
    hospital.dxa_image(tmp_path / "in", "A", "2024-03-05")
    hospital.ct(tmp_path / "in", "B", "2024-03-01")
    hospital.dxa_report(tmp_path / "in", "B", "2024-03-05", {"L1-L4": 0.9})
    done = CliRunner().invoke(APP, ["--out", str(tmp_path / "out"), "--images", str(tmp_path / "in")])
    assert done.exit_code == 0, done.output
    first, second = read_manifest(tmp_path / "out" / "manifest.csv").rows
    assert first.excluded_because == "the values of the DXA are not known"
    assert (second.bmd_g_cm2, second.label, second.excluded_because) == ({"L1-L4": 0.9}, None, None)


def test_pseudonyms_give_nobody_away(site: Path, tmp_path: Path) -> None:
    plain, out = tmp_path / "plain", tmp_path / "out"
    run(site, plain)
    done = run(site, out, "--pseudonymise", "--key-file", str(site / "key"))
    assert done.exit_code == 0, done.output
    secrets = ["0017", "0018", "0020", "Secret", "secret", "1940", "ACC", "dxa of", "letter", str(site), bytes(range(32)).hex()]
    for row in read_manifest(plain / "manifest.csv").rows:
        secrets += [str(row.study_date), str(row.dxa_date), str(row.study_uid), str(row.series_uid)]
    written = [path for path in out.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(written) == 3
    for path in written:
        text = path.read_text()
        assert [secret for secret in secrets if secret in text] == [], path.name
        assert bytes(range(32)) not in path.read_bytes()
    named = " ".join(str(path.relative_to(out)) for path in out.rglob("*"))
    assert [secret for secret in secrets if secret in named] == []


def test_pseudonyms_keep_patients_intervals_and_values(site: Path, tmp_path: Path) -> None:
    run(site, tmp_path / "plain")
    run(site, tmp_path / "a", "--pseudonymise", "--key-file", str(site / "key"))
    run(site, tmp_path / "b", "--pseudonymise", "--key-file", str(site / "key"))
    plain, hidden = (read_manifest(tmp_path / name / "manifest.csv").rows for name in ("plain", "a"))
    assert (tmp_path / "a" / "manifest.csv").read_bytes() == (tmp_path / "b" / "manifest.csv").read_bytes()
    assert len({row.patient_id for row in hidden}) == len({row.patient_id for row in plain}) == 1
    for one, other in zip(plain, hidden, strict=True):
        assert one.study_date is not None
        assert one.dxa_date is not None
        assert other.study_date is not None
        assert other.dxa_date is not None
        assert one.dxa_date - one.study_date == other.dxa_date - other.study_date
        assert 1 <= (one.study_date - other.study_date).days <= 365
        assert (one.label, one.bmd_g_cm2, one.age) == (other.label, other.bmd_g_cm2, other.age)
        assert other.path is not None
        assert all(link.resolve().parent.name == "Secret 0017 archive" for link in other.path.iterdir())


def test_another_key_gives_other_pseudonyms_and_none_is_shown() -> None:
    one, other = Pseudonyms(b"a" * 16), Pseudonyms(b"b" * 16)
    assert one.patient("A") == one.patient("A") != other.patient("A")
    assert one.uid("1.2") != other.uid("1.2")
    assert one.uid("") == ""
    assert len(one.uid("1.2")) <= 64
    assert "aaaa" not in repr(one)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pacs", "A@b:1"], "Name one source"),
        (["--months", "-1"], "--months"),
        (["--pseudonymise"], "--key-file"),
        (["--key-file", "KEY"], "with --pseudonymise alone"),
        (["--pseudonymise", "--key-file", "absent"], "cannot be read"),
        (["--pseudonymise", "--key-file", "OUT/key"], "outside --out"),
        (["--columns", "absent.yaml"], "cannot be read"),
        (["--strip-prefix", ""], "empty prefix"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(site: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    given = [one.replace("OUT", str(tmp_path)).replace("KEY", str(site / "key")) for one in arguments]
    done = run(site, tmp_path, *given)
    assert done.exit_code == 2
    assert said in done.output
    assert "Traceback" not in done.output


def test_an_archive_needs_a_table_and_a_place_for_its_uids(site: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(APP, ["--out", str(tmp_path), "--pacs", "A@127.0.0.1:1"])
    assert (done.exit_code, "--dxa" in done.output) == (2, True)
    hidden = ["--pseudonymise", "--key-file", str(site / "key"), "--dxa", str(site / "dxa of Secret.csv")]
    done = CliRunner().invoke(APP, ["--out", str(tmp_path), "--pacs", "A@127.0.0.1:1", *hidden])
    assert (done.exit_code, "--retrieve-list" in done.output) == (2, True)


def test_every_reason_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "pairing.md").read_text()
    assert [reason for reason in PairReason if f"`{reason}`" not in text] == []
