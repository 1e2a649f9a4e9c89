"""What a user installs holds everything that the source tree's packages hold: weights, SQL, type marks, pages."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("inference", "node", "training")
LEFT_OUT = {"__pycache__"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a wheel is built from: building leaves traces, and the tree may be worked on meanwhile."""
    source = tmp_path_factory.mktemp("source")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for name in ("pyproject.toml", "README.md", "LICENSE", "config.yaml"):
        shutil.copy(ROOT / name, source)
    return source


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built offline with this environment's setuptools from a second copy."""
    out, build = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("build") / "source"
    shutil.copytree(source, build)
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "--no-index", "-q", "-w", str(out)]
    done = subprocess.run(command, cwd=build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = out.glob("*.whl")
    return zipfile.ZipFile(path)


def files_of(source: Path, package: str) -> list[Path]:
    """Every file of a package, relative to the root."""
    return [path.relative_to(source) for path in (source / package).rglob("*") if path.is_file()]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_file_of_a_package_is_installed_unchanged(wheel: zipfile.ZipFile, source: Path, package: str) -> None:
    inside = set(wheel.namelist())
    paths = files_of(source, package)
    assert Path(package, "py.typed") in paths
    missing = [path.as_posix() for path in paths if path.as_posix() not in inside]
    assert not missing, "package-data in pyproject.toml does not name these"
    for path in paths:
        assert wheel.read(path.as_posix()) == (source / path).read_bytes(), path


def test_every_file_that_a_shipped_bundle_lists_is_installed_with_its_hash(wheel: zipfile.ZipFile) -> None:
    manifests = [name for name in wheel.namelist() if name.startswith("inference/bundles/shipped/") and name.endswith("/manifest.json")]
    assert manifests
    for name in manifests:
        for path, digest in json.loads(wheel.read(name))["files"].items():
            content = wheel.read(f"{name.rsplit('/', 1)[0]}/{path}")
            assert hashlib.sha256(content).hexdigest() == digest, path


def test_migrations_and_the_example_configuration_are_installed(wheel: zipfile.ZipFile, source: Path) -> None:
    names = wheel.namelist()
    migrations = [path.as_posix() for path in files_of(source, "node") if path.suffix == ".sql"]
    assert migrations
    assert set(migrations) <= set(names)
    assert any(name.endswith("/share/osteon/config.yaml") for name in names)


def test_tests_and_benchmarks_are_not_installed(wheel: zipfile.ZipFile) -> None:
    assert {name.split("/")[0] for name in wheel.namelist() if ".d" not in name.split("/")[0]} == set(PACKAGES)
