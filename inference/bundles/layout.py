"""The files of a bundle: which may be there, that each is what its name says, and that none has changed.

The layout is MONAI's; ``manifest.json`` is Osteon's. The bundle's SHA-256 is that of the lines ``<sha256>  <path>`` of all other files in
the order of their paths, as ``sha256sum`` prints them, so that anybody can check it without Osteon.
"""

import hashlib
import json
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.bundles.errors import BundleError

METADATA = "configs/metadata.json"
INFERENCE = "configs/inference.json"
WEIGHTS = "models/model.safetensors"
CARD = "docs/README.md"
LICENCE = "LICENSE"
MANIFEST = "manifest.json"
REQUIRED = (METADATA, INFERENCE, WEIGHTS, CARD, LICENCE, MANIFEST)

MAX_TEXT_BYTES = 1 << 20
MAX_PICTURE_BYTES = 4 << 20
MAX_WEIGHTS_BYTES = 2 << 30
MAX_FILES = 64

_EXTRA = re.compile(r"docs/[A-Za-z0-9][A-Za-z0-9_-]{0,63}\.(md|csv|png)")
_PNG = b"\x89PNG\r\n\x1a\n"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class CheckedFiles:
    """Files that were found unchanged: their hashes by path, and the hash over all."""

    hashes: Mapping[str, str]
    sha256: str


def check_files(folder: Path) -> CheckedFiles:
    """Compare every file with the manifest.

    Raises
    ------
    BundleError
        A file is missing, unexpected, changed, a link, too large, or holds something else than its name says.
    """
    found = list_files(folder)
    for name in REQUIRED:
        if name not in found:
            raise BundleError(f"{folder}: {name} is missing; a bundle is MONAI's layout with a manifest.json")
    expected, stated = _read_manifest(found[MANIFEST], folder)
    for name in sorted(set(found) - {MANIFEST} ^ set(expected)):
        what = "is not in the manifest" if name in found else "is in the manifest, but is not there"
        raise BundleError(f"{folder}: {name} {what}")
    for name, sha256 in expected.items():
        if file_sha256(found[name]) != sha256:
            raise BundleError(f"{folder}: {name} has changed since the bundle was made; take a good copy")
    total = bundle_sha256(expected)
    if stated != total:
        raise BundleError(f"{folder}: manifest.json names another hash than its own lines give; take a good copy")
    return CheckedFiles(hashes=expected, sha256=total)


def list_files(folder: Path) -> dict[str, Path]:
    """Every file under ``folder`` by its path there, after its name, kind, size and first bytes were looked at.

    Raises
    ------
    BundleError
        No folder, or a file that does not belong in a bundle.
    """
    if not folder.is_dir():
        raise BundleError(f"{folder}: there is no such folder")
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            continue
        if not stat.S_ISREG(mode):
            raise BundleError(f"{folder}: {name} is a link or a special file; a bundle holds plain files alone")
        check_name(name)
        if len(files) == MAX_FILES:
            raise BundleError(f"{folder}: more than {MAX_FILES} files")
        check_content(name, path)
        files[name] = path
    return files


def check_name(name: str) -> None:
    """Refuse a path that has no place in a bundle.

    Raises
    ------
    BundleError
        The path is not one of the layout's.
    """
    if name in REQUIRED or _EXTRA.fullmatch(name):
        return
    if name.endswith((".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".ts", ".npy", ".npz", ".py", ".so")):
        raise BundleError(f"{name}: a bundle holds no file that can run code when it is opened; weights are {WEIGHTS}")
    raise BundleError(f"{name}: this file does not belong in a bundle; allowed: {', '.join(REQUIRED)}, docs/*.md, *.csv, *.png")


def size_limit(name: str) -> int:
    """The most bytes that the file of this path may have."""
    if name == WEIGHTS:
        return MAX_WEIGHTS_BYTES
    return MAX_PICTURE_BYTES if name.endswith(".png") else MAX_TEXT_BYTES


def check_content(name: str, path: Path) -> None:
    """Refuse a file that is too large or not what its name says.

    Raises
    ------
    BundleError
        As said.
    """
    if path.stat().st_size > size_limit(name):
        raise BundleError(f"{name}: {path.stat().st_size} bytes; at most {size_limit(name)} are allowed")
    with path.open("rb") as file:
        head = file.read(16)
    if looks_executable(head):
        raise BundleError(f"{name}: this is a pickle or an archive by its content, whatever its name; such files can run code")
    if name == WEIGHTS:
        return
    if name.endswith(".png"):
        if not head.startswith(_PNG):
            raise BundleError(f"{name}: not a PNG picture")
        return
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BundleError(f"{name}: not text in UTF-8") from None
    if "\0" in text:
        raise BundleError(f"{name}: not text")


def looks_executable(head: bytes) -> bool:
    """Whether a file begins like a zip archive (``torch.save``), a pickle of protocol 2 or later, gzip, or a program."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"\x7fELF", b"MZ", b"7z\xbc\xaf")):
        return True
    pickle_of = head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    # a safetensors file begins with the length of its header, eight bytes, then '{': 0x80 may well be the first of them
    return pickle_of and head[8:9] != b"{"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bundle_sha256(hashes: Mapping[str, str]) -> str:
    """SHA-256 over the lines ``<sha256>  <path>``, sorted by path."""
    lines = "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes))
    return hashlib.sha256(lines.encode()).hexdigest()


def hashes_of(content: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 of each file's content by its path."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}


def manifest_text(hashes: Mapping[str, str]) -> str:
    """The content of ``manifest.json``."""
    content = {"format": 1, "sha256": bundle_sha256(hashes), "files": {name: hashes[name] for name in sorted(hashes)}}
    return json.dumps(content, indent=2) + "\n"


def read_json(path: Path, name: str) -> dict[str, Any]:
    """A JSON object; a key given twice and a number that is not one are errors.

    Raises
    ------
    BundleError
        Not such an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{name}: not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise BundleError(f"{name}: must hold a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a key stands there twice")
    return out


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number in JSON")


def _read_manifest(path: Path, folder: Path) -> tuple[dict[str, str], str]:
    content = read_json(path, f"{folder}: {MANIFEST}")
    files, stated = content.get("files"), content.get("sha256")
    if (
        set(content) != {"format", "sha256", "files"}
        or content["format"] != 1
        or not isinstance(files, dict)
        or not isinstance(stated, str)
    ):
        raise BundleError(f"{folder}: {MANIFEST} must hold format (1), sha256 and files")
    for name, sha256 in files.items():
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise BundleError(f"{folder}: {MANIFEST}: {name} has no SHA-256 of 64 hexadecimal digits")
    return files, stated
