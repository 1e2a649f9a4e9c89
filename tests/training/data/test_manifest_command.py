"""``osteon manifest`` on the command line."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tests.training.data.made import patients, write
from training.data.command import manifest
from training.data.manifest import ManifestError, read_manifest, write_manifest
from training.errors import TrainingError

pytestmark = pytest.mark.unit


def run(*arguments: object) -> str:
    """What the command prints; errors come through as they are."""
    app = typer.Typer()
    app.command()(manifest)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "120"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A manifest of twenty patients, whose images are there."""
    path = tmp_path / "m.csv"
    for row in write_manifest(patients(20).rows, path).rows:
        assert row.path is not None
        (tmp_path / row.path).mkdir(parents=True)
    return path


def test_what_a_manifest_holds(listed: Path) -> None:
    said = run(listed)
    assert "20 rows, 20 of them used, of 20 patients" in said
    row = next(line for line in said.splitlines() if "CT" in line)
    assert [int(cell) for cell in row.replace("│", " ").split()[1:]] == [12, 6, 2, 20]


def test_a_split_is_made_checked_and_extended(listed: Path, tmp_path: Path) -> None:
    split = tmp_path / "split.json"
    said = run(listed, "--split", split, "--folds", 4, "--test", 0.2)
    assert "fold-4" in said
    first = split.read_bytes()
    run(listed, "--split", split, "--folds", 4, "--test", 0.2)
    assert split.read_bytes() == first
    more = tmp_path / "more.csv"
    write_manifest(patients(24).rows, more)
    for number in range(21, 25):
        (tmp_path / str(number) / "0").mkdir(parents=True)
    with pytest.raises(TrainingError, match="4 patients are new"):
        run(more, "--split", split, "--folds", 4, "--test", 0.2)
    run(more, "--split", split, "--extend")
    assert '"P24": "' in split.read_text(encoding="utf-8")
    with pytest.raises(TrainingError, match="leave validation out"):
        run(listed, "--split", tmp_path / "new.json", "--folds", 4, "--validation", 0.1)


def test_an_export_becomes_a_manifest(tmp_path: Path) -> None:
    export = write(tmp_path, "Fall;Wert;T-Wert;Raum;Ausschlussgrund\n1;987;-1,2;a;\n2;;-3,0;b;Metall\n")
    stated = write(tmp_path, "columns: {patient_id: Fall, bmd_L1_g_cm2: Wert}\nbmd_unit: mg/cm2\n", "map.yaml")
    said = run(export, "--columns", stated, "--without-images", "--out", tmp_path / "clean.parquet")
    assert "note: columns that were not used: 'Raum'" in said
    assert "excluded: 1 rows: Metall" in said
    again = read_manifest(tmp_path / "clean.parquet", required=("patient_id",), check_paths=False)
    assert again.rows[0].bmd_g_cm2 == {"L1": 0.987}
    with pytest.raises(ManifestError, match="no column is recognised as patient_id"):
        run(export, "--without-images")
