"""``osteon bundles`` as it is used: exit codes, JSON, and what the configuration says."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from inference.bundles import Bundle, TrainedOn
from inference.bundles.install import pack_bundle
from node.bundles_cli import app, bundle_source
from node.config_file import load_config, parse_config
from node.errors import ConfigError, ExitCode
from node.pipeline import ct_options
from tests.training.bundle_example import write_bundle

pytestmark = pytest.mark.integration

runner = CliRunner()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("made") / "tiny", trained_on=TrainedOn.SIMULATED_PATIENTS)


@pytest.fixture
def archive(made: Bundle, tmp_path: Path) -> Path:
    pack_bundle(made, tmp_path / "tiny.zip")
    return tmp_path / "tiny.zip"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text("bundles: {folder: models}\n")
    return path


def run(config: Path, *arguments: str) -> Result:
    return runner.invoke(app, [*arguments, "--config", str(config)])


def tiny(done: Result) -> dict[str, Any]:
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return next(row for row in rows if not row["shipped"])


def test_a_bundle_is_installed_listed_and_verified(config: Path, archive: Path, made: Bundle) -> None:
    done = run(config, "install", str(archive), "--sha256", made.sha256)
    assert done.exit_code == ExitCode.RESULT, done.output
    assert (config.parent / "models" / "tiny-1.0.0" / "manifest.json").is_file()
    row = tiny(run(config, "list", "--json"))
    assert (row["name"], row["version"]) == ("tiny", "1.0.0")
    assert row["sha256"] == made.sha256
    assert row["trained_on"] == "simulated patients"
    assert row["state"] == "not_allowed"
    assert "bundles.allow_simulated" in row["problem"]
    assert run(config, "verify", "tiny").exit_code == ExitCode.RESULT


def test_the_table_shows_the_hash_whole(config: Path, archive: Path, made: Bundle) -> None:
    run(config, "install", str(archive))
    done = run(config, "list")
    assert done.exit_code == ExitCode.RESULT
    assert f"sha256 {made.sha256}  tiny 1.0.0" in done.stdout


def test_a_site_that_allows_simulated_models_has_it_ready(config: Path, archive: Path) -> None:
    run(config, "install", str(archive))
    config.write_text("bundles: {folder: models, allow_simulated: true}\n")
    assert tiny(run(config, "list", "--json"))["state"] == "ready"


def test_a_damaged_bundle_is_shown_and_fails_verification(config: Path, archive: Path) -> None:
    run(config, "install", str(archive))
    (config.parent / "models" / "tiny-1.0.0" / "LICENSE").write_text("mine\n")
    row = tiny(run(config, "list", "--json"))
    assert row["state"] == "invalid"
    assert "LICENSE has changed" in row["problem"]
    assert row["name"] is None
    for arguments in (["verify"], ["verify", "tiny"], ["verify", str(config.parent / "models" / "tiny-1.0.0")]):
        done = run(config, *arguments)
        assert done.exit_code == ExitCode.REFUSED
        assert "LICENSE has changed" in done.stdout.replace("\n", " ")


def test_a_folder_anywhere_can_be_verified(config: Path, made: Bundle) -> None:
    done = run(config, "verify", str(made.folder), "--json")
    assert done.exit_code == ExitCode.RESULT
    assert tiny(done)["sha256"] == made.sha256


def test_what_is_neither_name_nor_folder_is_said(config: Path) -> None:
    done = run(config, "verify", "chest")
    assert isinstance(done.exception, ConfigError)
    assert "no bundle has this name, and there is no such folder" in str(done.exception)


def test_a_hash_that_differs_is_refused(config: Path, archive: Path) -> None:
    done = run(config, "install", str(archive), "--sha256", "0" * 64)
    assert done.exit_code == ExitCode.REFUSED
    assert "BUNDLE_NOT_ALLOWED" in done.stderr
    assert not (config.parent / "models" / "tiny-1.0.0").exists()


def test_a_bundle_is_packed_for_another_site(config: Path, made: Bundle, tmp_path: Path) -> None:
    packed = tmp_path / "out.zip"
    done = run(config, "pack", str(made.folder), str(packed))
    assert done.exit_code == ExitCode.RESULT, done.output
    assert f"tiny 1.0.0, sha256 {made.sha256}" in done.stdout
    assert run(config, "install", str(packed), "--sha256", made.sha256).exit_code == ExitCode.RESULT
    assert isinstance(run(config, "pack", str(made.folder), str(packed)).exception, ConfigError)
    assert run(config, "pack", "tiny", str(tmp_path / "again.zip")).exit_code == ExitCode.REFUSED  # this site does not allow it


def test_what_is_no_bundle_is_refused(config: Path) -> None:
    done = run(config, "install", str(config))
    assert done.exit_code == ExitCode.REFUSED
    assert "BUNDLE_INVALID" in done.stderr
    assert "not a zip file" in done.stderr


def test_the_configuration_says_where_which_and_whether(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"bundles: {{folder: models, pinned: {{tiny: {'a' * 64}}}, allow_simulated: true}}\n")
    config = load_config(path)
    source = bundle_source(config)
    assert (source.folder, source.allow_simulated, source.pinned) == (tmp_path / "models", True, {"tiny": "a" * 64})
    assert ct_options(config).bundles == source
    assert not ct_options(parse_config("")).bundles.allow_simulated


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bundles:\n  pinned: {tiny: abc}\n", "c.yaml:2: bundles.pinned.tiny: String should match pattern"),
        ("bundles:\n  pinned: {Tiny One: " + "a" * 64 + "}\n", "bundles.pinned"),
        ("bundles:\n  alow_simulated: true\n", "c.yaml:2: bundles.alow_simulated: unknown key; did you mean 'allow_simulated'?"),
    ],
)
def test_a_mistake_in_the_section_is_named(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, name="c.yaml")
    assert expected in str(caught.value)


def test_the_configurations_hash_follows_which_models_may_run() -> None:
    plain = parse_config("")
    assert parse_config("bundles: {folder: elsewhere}").sha256 == plain.sha256
    assert parse_config("bundles: {allow_simulated: true}").sha256 != plain.sha256
    assert parse_config(f"bundles: {{pinned: {{tiny: {'a' * 64}}}}}").sha256 != plain.sha256
