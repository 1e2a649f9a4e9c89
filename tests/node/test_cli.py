"""The command as it is used: arguments, exit codes, JSON on stdout, words on stderr."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

import node.offline
from node import cli
from node.config_file import load_config
from node.errors import ConfigError, ExitCode
from node.ledger import Ledger
from node.routing import Decision
from tests.simulated import simulated_ct, write_film_study, write_study

pytestmark = pytest.mark.integration

runner = CliRunner()
KEYS = {
    "study_uid",
    "workflow",
    "outcome",
    "reason",
    "warnings",
    "decision",
    "series_used",
    "vertebrae",
    "summary",
    "skipped",
    "models",
    "outputs",
    "timings_s",
}
"""The contract of ``process --json``."""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def not_dicom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("text") / "note.txt"
    file.write_text("this is no image")
    return file


@pytest.fixture(scope="module")
def processed(study: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], Path]:
    out = tmp_path_factory.mktemp("out")
    done = runner.invoke(cli.app, ["process", str(study), "--out", str(out), "--json"])
    assert done.exit_code == ExitCode.RESULT, done.output
    (line,) = done.stdout.splitlines()
    return json.loads(line), out


def test_process_says_what_the_contract_promises(processed: tuple[dict[str, object], Path]) -> None:
    report, out = processed
    assert set(report) >= KEYS
    assert report["outcome"] in ("result", "result_with_warnings")
    assert report["reason"] is None
    assert report["workflow"] == "ct"
    assert [item["route"] for item in report["decision"] if item["matched"]] == ["ct"]
    assert json.loads((out / "report.json").read_text()) == report
    assert {item["kind"] for item in report["outputs"]} == {"seg", "sr", "text", "picture"}
    assert all(Path(item["path"]).is_file() for item in report["outputs"])
    assert Path(report["picture"]).read_bytes().startswith(b"\x89PNG")
    assert {"reading", "segmentation", "writing", "total"} <= set(report["timings_s"])


def test_process_reads_the_simulated_truth(processed: tuple[dict[str, object], Path]) -> None:
    report, _ = processed
    truth = {level.name: level.trabecular_hu for level in simulated_ct().truth.levels}
    used = {item["level"]: item for item in report["vertebrae"] if item["used"]}
    assert set(used) >= {"L1", "L2", "L3", "L4"}
    for level, item in used.items():
        assert item["attenuation_hu"]["mean"] == pytest.approx(truth[level], abs=5), level
        assert item["level_certain"]
        assert item["roi_kind"] == "core"
        assert set(item["rois"]) == {"core", "ellipse"}
    assert report["summary"]["level"] == "L1"
    assert report["summary"]["band"] == "low"
    assert report["summary"]["attenuation_hu"] == used["L1"]["attenuation_hu"]["median"]


def test_process_for_a_person(study: Path, tmp_path: Path) -> None:
    done = runner.invoke(cli.app, ["process", str(study), "--out", str(tmp_path)], env={"COLUMNS": "200"})
    assert done.exit_code == ExitCode.RESULT
    assert "LOW: at or below the high-specificity threshold" in done.stdout
    assert "route ct:" in done.stdout
    assert "wrote sr:" in done.stdout


def test_several_studies_are_each_processed_and_the_worst_code_counts(study: Path, not_dicom: Path, tmp_path: Path) -> None:
    chest = write_film_study(tmp_path / "cr")
    done = runner.invoke(cli.app, ["process", str(study), str(chest), str(not_dicom), "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == ExitCode.REFUSED
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert {(item["workflow"], item["outcome"] == "refused") for item in reports} == {("ct", False), ("cxr", True)}
    refused = next(item for item in reports if item["workflow"] == "cxr")
    assert refused["reason"]["code"] == "NO_TRAINED_MODEL"
    assert [item["kind"] for item in refused["outputs"]] == ["text"]
    for report in reports:
        assert (tmp_path / "out" / report["study_uid"] / "report.json").is_file()
        assert [item["reason"]["code"] for item in report["skipped"] if item["path"] == str(not_dicom)] == ["NOT_DICOM"]


def test_a_defect_costs_one_study_and_not_the_others(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_film_study(tmp_path / "cr")
    real = node.offline.process_study

    def fails_on_ct(headers: object, decision: Decision, config: object, out_dir: object) -> object:
        if decision.workflow == "ct":
            raise RuntimeError("a defect")
        return real(headers, decision, config, out_dir)

    monkeypatch.setattr(node.offline, "process_study", fails_on_ct)
    done = runner.invoke(cli.app, ["process", str(study), str(tmp_path / "cr"), "--out", str(tmp_path / "out"), "--json"])
    reports = {item["workflow"]: item for item in map(json.loads, done.stdout.splitlines())}
    assert reports["ct"]["reason"] == {"code": "INTERNAL_ERROR", "text": "RuntimeError: a defect"}
    assert reports["cxr"]["reason"]["code"] == "NO_TRAINED_MODEL"
    alone = runner.invoke(cli.app, ["process", str(study), "--out", str(tmp_path / "alone"), "--json"])
    assert alone.exit_code == ExitCode.UNEXPECTED


def test_no_study_at_all_is_a_refusal_with_a_report(not_dicom: Path, tmp_path: Path) -> None:
    done = runner.invoke(cli.app, ["process", str(not_dicom), "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == ExitCode.REFUSED
    report = json.loads(done.stdout)
    assert report["study_uid"] is None
    assert report["reason"]["code"] == "NOT_DICOM"
    empty = tmp_path / "empty"
    empty.mkdir()
    done = runner.invoke(cli.app, ["process", str(empty), "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == ExitCode.REFUSED
    assert "There is no file" in json.loads(done.stdout)["reason"]["text"]


def test_route_explains_every_rule(study: Path, not_dicom: Path) -> None:
    done = runner.invoke(cli.app, ["route", str(study), "--json"])
    assert done.exit_code == ExitCode.RESULT
    answer = json.loads(done.stdout)
    assert answer["route"] == "ct"
    assert [item["route"] for item in answer["decision"]] == ["dxa", "chest-radiograph", "ct"]
    done = runner.invoke(cli.app, ["route", str(study)], env={"COLUMNS": "200"})
    assert "no match  dxa: series" in done.stdout
    assert "matched   ct: series" in done.stdout
    assert runner.invoke(cli.app, ["route", str(not_dicom)]).exit_code == ExitCode.REFUSED


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["process"], ExitCode.USAGE),
        (["process", "/no/such/path", "--out", "x"], ExitCode.USAGE),
        (["no-such-command"], ExitCode.USAGE),
        (["--version"], ExitCode.RESULT),
        (["config", "schema"], ExitCode.RESULT),
    ],
)
def test_exit_codes_of_usage(arguments: list[str], code: ExitCode) -> None:
    assert runner.invoke(cli.app, arguments).exit_code == code


def test_the_schema_knows_every_section() -> None:
    schema = json.loads(runner.invoke(cli.app, ["config", "schema"]).stdout)
    assert set(schema["properties"]) >= {"receiver", "storage", "completion", "routes", "destinations", "worker", "workflows"}


def test_config_check_says_what_it_read_and_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = runner.invoke(cli.app, ["config", "check", "config.yaml"])
    assert done.exit_code == ExitCode.RESULT
    assert "Listens as OSTEON@127.0.0.1:11112" in done.stdout
    bad = tmp_path / "config.yaml"
    bad.write_text("receiver:\n  prot: 104\n")
    monkeypatch.setattr("sys.argv", ["osteon", "config", "check", str(bad)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == ExitCode.USAGE
    assert capsys.readouterr().err == f"{bad}:2: receiver.prot: unknown key; did you mean 'port'?\n"


def test_an_unknown_segmenter_is_named(study: Path, tmp_path: Path) -> None:
    done = runner.invoke(cli.app, ["process", str(study), "--out", str(tmp_path), "--segmenter", "magic"])
    assert isinstance(done.exception, ConfigError)
    assert "--segmenter magic" in str(done.exception)
    assert "'classical', 'network', 'both'" in str(done.exception)


def test_without_a_ledger_a_person_is_told_what_makes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("storage: {ledger: 'sqlite:///data/osteon.db'}\n")
    monkeypatch.setattr("sys.argv", ["osteon", "studies", "-c", str(config)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == ExitCode.USAGE
    assert f"there is no ledger at {tmp_path / 'data/osteon.db'} yet" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_the_ledger_commands_on_an_empty_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("storage: {ledger: 'sqlite:///osteon.db'}\n")
    Ledger.open(load_config(config).storage.ledger.get_secret_value(), datetime.now(UTC)).close()
    assert runner.invoke(cli.app, ["studies", "-c", str(config)]).stdout == "no study\n"
    assert runner.invoke(cli.app, ["deliveries", "-c", str(config)]).stdout == "no delivery\n"
    assert runner.invoke(cli.app, ["studies", "-c", str(config), "--json"]).stdout == ""
    for command in ("show", "retry"):
        monkeypatch.setattr("sys.argv", ["osteon", command, "1.2.3", "-c", str(config)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == ExitCode.USAGE
        assert "no study 1.2.3 in the ledger" in capsys.readouterr().err
