"""A zip file from outside becomes a bundle in the site's folder, or nothing does."""

import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from inference.bundles import layout
from inference.bundles.bundle import Bundle, load_bundle
from inference.bundles.errors import BundleError, BundleNotAllowedError
from inference.bundles.network import check_signature

MAX_EXPANSION = 200
"""Unpacked bytes per packed byte. Weights hardly shrink, texts by ten; what grows more is a bomb."""
_BLOCK = 1 << 20
_ENCRYPTED = 0x1


def install_bundle(archive: Path, folder: Path, expected_sha256: str | None = None) -> Bundle:
    """Unpack a zip file of a bundle, verify it, build its network once, and put it into ``folder`` as ``<name>-<version>``.

    Parameters
    ----------
    expected_sha256
        The bundle's hash (not that of the zip file), as its author published it.

    Raises
    ------
    BundleError
        Not a zip file, a hostile one, or no valid bundle in it; another bundle has this name and version.
    BundleNotAllowedError
        It has another hash than expected.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".install-", dir=folder) as made:
        unpacked = Path(made) / "bundle"
        _unpack(archive, unpacked)
        bundle = load_bundle(unpacked, expected_sha256)
        check_signature(bundle.network, bundle.tensors)
        target = folder / f"{bundle.name}-{bundle.version}"
        if target.exists():
            return _already(target, bundle)
        unpacked.rename(target)
    return load_bundle(target, bundle.sha256)


def pack_bundle(bundle: Bundle, archive: Path) -> None:
    """Write a bundle as the zip file that :func:`install_bundle` takes. The same bundle gives the same bytes."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, path in layout.list_files(bundle.folder).items():
            entry = zipfile.ZipInfo(f"{bundle.name}-{bundle.version}/{name}", date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, path.read_bytes())


def _already(target: Path, bundle: Bundle) -> Bundle:
    try:
        return load_bundle(target, bundle.sha256)
    except BundleNotAllowedError:
        text = f"{target} is another bundle of this name and version; a changed model needs a new version, or remove the old one first"
    except BundleError as error:
        text = f"{target} is there already and damaged ({error.text}); remove it first"
    raise BundleError(text)


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as packed:
            for name, entry in _entries(packed, archive.stat().st_size).items():
                _extract(packed, entry, name, folder)
    except FileNotFoundError:
        raise BundleError(f"{archive}: there is no such file") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError) as error:
        raise BundleError(f"{archive}: not a zip file that can be read: {error}") from None


def _entries(packed: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """What will be unpacked, by its path in the bundle. Everything is looked at before anything is written."""
    entries = [entry for entry in packed.infolist() if not entry.is_dir()]
    if len(entries) > layout.MAX_FILES:
        raise BundleError(f"{len(entries)} files in the archive; a bundle has at most {layout.MAX_FILES}")
    if sum(entry.file_size for entry in entries) > MAX_EXPANSION * size:
        raise BundleError(f"the archive unpacks to more than {MAX_EXPANSION} times its size: a zip bomb")
    for entry in entries:
        _check_entry(entry)
    tops = {PurePosixPath(entry.filename).parts[:1] for entry in entries}
    wrapped = len(tops) == 1 and layout.MANIFEST not in {entry.filename for entry in entries}
    out: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        name = entry.filename.partition("/")[2] if wrapped else entry.filename
        layout.check_name(name)
        if name in out:
            raise BundleError(f"{name} is in the archive twice")
        if entry.file_size > layout.size_limit(name):
            raise BundleError(f"{name}: {entry.file_size} bytes; at most {layout.size_limit(name)} are allowed")
        out[name] = entry
    return out


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    if name.startswith("/") or "\\" in name or ":" in name or ".." in PurePosixPath(name).parts:
        raise BundleError(f"{name!r}: a path that leads out of the bundle; the archive is hostile or broken")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise BundleError(f"{name}: a link or a special file; a bundle holds plain files alone")
    if entry.flag_bits & _ENCRYPTED:
        raise BundleError(f"{name}: encrypted; pack the bundle without a password")


def _extract(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, folder: Path) -> None:
    """Write one file. zipfile reads no more bytes than the archive's directory says, and compares their checksum."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with packed.open(entry) as source, path.open("xb") as target:
        shutil.copyfileobj(source, target, _BLOCK)
        target.flush()
        os.fsync(target.fileno())
