"""A zip file from outside: installed whole, or refused without a trace."""

import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.bundles import Bundle, BundleError, BundleNotAllowedError, load_bundle
from inference.bundles.install import install_bundle, pack_bundle
from inference.bundles.layout import INFERENCE, MANIFEST, MAX_TEXT_BYTES, file_sha256, manifest_text
from tests.training.bundle_example import write_bundle

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("made") / "tiny")


@pytest.fixture
def archive(made: Bundle, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.zip"
    pack_bundle(made, path)
    return path


def refused(archive: Path, site: Path) -> str:
    with pytest.raises(BundleError) as caught:
        install_bundle(archive, site)
    assert list(site.iterdir()) == []
    return caught.value.text


def added(archive: Path, entry: zipfile.ZipInfo | str, content: bytes | str = "text\n") -> Path:
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(entry, content)
    return archive


def test_a_bundle_is_installed_under_its_name_and_version(archive: Path, made: Bundle, tmp_path: Path) -> None:
    bundle = install_bundle(archive, tmp_path / "site", made.sha256)
    assert bundle.folder == tmp_path / "site" / "tiny-1.0.0"
    assert bundle.sha256 == made.sha256
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["tiny-1.0.0"]


def test_a_zip_without_a_folder_around_it_will_do(made: Bundle, tmp_path: Path) -> None:
    flat = shutil.make_archive(str(tmp_path / "flat"), "zip", made.folder)
    assert install_bundle(Path(flat), tmp_path / "site").sha256 == made.sha256


def test_packing_twice_gives_the_same_bytes(archive: Path, made: Bundle, tmp_path: Path) -> None:
    pack_bundle(made, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()


def test_installing_twice_changes_nothing(archive: Path, made: Bundle, tmp_path: Path) -> None:
    install_bundle(archive, tmp_path / "site")
    assert install_bundle(archive, tmp_path / "site").sha256 == made.sha256


def test_another_bundle_of_the_same_version_is_refused(archive: Path, made: Bundle, tmp_path: Path) -> None:
    other = write_bundle(tmp_path / "other", limits=("Another one.",))
    pack_bundle(other, tmp_path / "other.zip")
    install_bundle(archive, tmp_path / "site")
    with pytest.raises(BundleError, match="another bundle of this name and version; a changed model needs a new version"):
        install_bundle(tmp_path / "other.zip", tmp_path / "site")
    assert load_bundle(tmp_path / "site" / "tiny-1.0.0").sha256 == made.sha256


def test_a_damaged_one_in_its_place_is_said(archive: Path, tmp_path: Path) -> None:
    (install_bundle(archive, tmp_path / "site").folder / MANIFEST).unlink()
    with pytest.raises(BundleError, match="is there already and damaged"):
        install_bundle(archive, tmp_path / "site")


def test_another_hash_than_expected_is_refused(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleNotAllowedError, match="is pinned"):
        install_bundle(archive, tmp_path / "site", "0" * 64)
    assert list((tmp_path / "site").iterdir()) == []


@pytest.mark.parametrize("name", ["../evil.md", "tiny-1.0.0/../../evil.md", "/etc/evil.md", "tiny-1.0.0\\..\\evil.md", "C:/evil.md"])
def test_a_path_that_leads_out_is_refused(archive: Path, tmp_path: Path, name: str) -> None:
    text = refused(added(archive, name), tmp_path / "site")
    assert "a path that leads out of the bundle" in text
    assert list(tmp_path.rglob("evil*")) == []


def test_a_link_in_the_archive_is_refused(archive: Path, tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("tiny-1.0.0/docs/notes.md")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "a link or a special file" in refused(added(archive, entry, "/etc/passwd"), tmp_path / "site")


def test_a_second_file_of_one_name_is_refused(archive: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        added(archive, "tiny-1.0.0/LICENSE")
    assert "LICENSE is in the archive twice" in refused(archive, tmp_path / "site")


def test_a_bomb_is_refused_before_it_is_unpacked(archive: Path, tmp_path: Path) -> None:
    bomb = b"\0" * (MAX_TEXT_BYTES * 20)
    assert "a zip bomb" in refused(added(archive, "tiny-1.0.0/docs/notes.md", bomb), tmp_path / "site")


def test_a_bomb_that_lies_about_its_size_is_refused(archive: Path, tmp_path: Path) -> None:
    added(archive, "tiny-1.0.0/docs/notes.md", b" " * 5000)
    data = bytearray(archive.read_bytes())
    at = data.rfind(b"tiny-1.0.0/docs/notes.md") - 46  # central directory header: file size at offset 24 (APPNOTE 4.3.12)
    assert data[at : at + 4] == b"PK\x01\x02"
    data[at + 24 : at + 28] = (50).to_bytes(4, "little")
    archive.write_bytes(data)
    assert "Bad CRC-32" in refused(archive, tmp_path / "site")


def test_a_file_that_is_too_large_is_refused(archive: Path, tmp_path: Path) -> None:
    assert "at most 1048576 are allowed" in refused(
        added(archive, "tiny-1.0.0/docs/notes.md", b" " * (MAX_TEXT_BYTES + 1)), tmp_path / "site"
    )


def test_too_many_files_are_refused(archive: Path, tmp_path: Path) -> None:
    for number in range(70):
        added(archive, f"tiny-1.0.0/docs/notes{number}.md")
    assert "a bundle has at most 64" in refused(archive, tmp_path / "site")


def test_a_pickle_in_the_archive_is_refused(archive: Path, tmp_path: Path) -> None:
    assert "no file that can run code" in refused(added(archive, "tiny-1.0.0/models/model.pt"), tmp_path / "site")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda data: data[:-30], "not a zip file"),
        (lambda _: b"", "not a zip file"),
        (lambda data: data.replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"), "encrypted"),
        (lambda data: data[:200] + bytes(byte ^ 0xFF for byte in data[200:260]) + data[260:], "not a zip file"),
    ],
)
def test_an_archive_that_cannot_be_read_is_refused(archive: Path, tmp_path: Path, change: Callable[[bytes], bytes], expected: str) -> None:
    archive.write_bytes(change(archive.read_bytes()))
    assert expected in refused(archive, tmp_path / "site")


def test_no_archive_is_said(tmp_path: Path) -> None:
    assert "there is no such file" in refused(tmp_path / "none.zip", tmp_path / "site")


def test_weights_that_do_not_fit_the_architecture_are_not_installed(made: Bundle, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(made.folder, tmp_path / "copy"))
    text = (copy / INFERENCE).read_text()
    (copy / INFERENCE).write_text(text.replace('"num_res_units": 1', '"num_res_units": 2'))
    names = [path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file() and path.name != MANIFEST]
    (copy / MANIFEST).write_text(manifest_text({name: file_sha256(copy / name) for name in names}))
    pack_bundle(load_bundle(copy), tmp_path / "wrong.zip")
    assert "the architecture unet" in refused(tmp_path / "wrong.zip", tmp_path / "site")
