"""The cache of prepared cases: keyed by content, limited, never unpickled."""

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from training.errors import TrainingError
from training.transforms import CaseCache

pytestmark = pytest.mark.unit

PARAMETERS = {"spacing_mm": 1.5, "crop": [64, 64, 64], "version": 1}


class Preparation:
    """Counts how often a case was prepared."""

    def __init__(self, size: int = 8) -> None:
        self.times = 0
        self.size = size

    def __call__(self) -> dict[str, NDArray[Any]]:
        self.times += 1
        return {"hu": np.full((self.size, 4), self.times, np.int16), "affine": np.eye(4)}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two source files."""
    paths = [tmp_path / "one.dcm", tmp_path / "two.dcm"]
    for path in paths:
        path.write_bytes(path.name.encode())
    return paths


def test_a_case_is_prepared_once(tmp_path: Path, files: list[Path]) -> None:
    prepare = Preparation()
    first = CaseCache(tmp_path / "cache", limit_bytes=10**6).get(files, PARAMETERS, prepare)
    again = CaseCache(tmp_path / "cache", limit_bytes=10**6).get(files, PARAMETERS, prepare)
    assert prepare.times == 1
    assert again["hu"].dtype == np.int16
    assert all(np.array_equal(first[name], again[name]) for name in ("hu", "affine"))


def test_content_and_parameters_are_the_key(tmp_path: Path, files: list[Path]) -> None:
    cache = CaseCache(tmp_path / "cache", limit_bytes=10**6)
    key = cache.key(files, PARAMETERS)
    assert cache.key(files, dict(reversed(PARAMETERS.items()))) == key
    assert cache.key(files, {**PARAMETERS, "spacing_mm": 1.0}) != key
    assert cache.key(files[::-1], PARAMETERS) != key
    assert cache.key(files[:1], PARAMETERS) != key
    moved = files[0].rename(tmp_path / "elsewhere.dcm")
    assert cache.key([moved, files[1]], PARAMETERS) == key
    moved.write_bytes(b"other")
    os.utime(moved, ns=(1, 1))
    assert cache.key([moved, files[1]], PARAMETERS) != key


def test_the_longest_unused_goes_first(tmp_path: Path, files: list[Path]) -> None:
    folder = tmp_path / "cache"
    cache = CaseCache(folder, limit_bytes=3000)
    prepare = Preparation(size=50)  # 400 bytes of attenuation, about 1100 with the rest
    for number in range(2):
        cache.get(files, {"number": number}, prepare)
        entry = folder / f"{cache.key(files, {'number': number})}.npz"
        os.utime(entry, ns=(number * 10**9, number * 10**9))
    cache.get(files, {"number": 0}, prepare)  # used again
    cache.get(files, {"number": 2}, prepare)
    assert prepare.times == 3
    left = {number for number in range(3) if (folder / f"{cache.key(files, {'number': number})}.npz").exists()}
    assert left == {0, 2}
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 3000


def test_a_case_larger_than_the_cache_is_not_kept(tmp_path: Path, files: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    cache = CaseCache(tmp_path / "cache", limit_bytes=100)
    with caplog.at_level(logging.WARNING):
        assert cache.get(files, PARAMETERS, Preparation())["hu"].shape == (8, 4)
    assert "larger than the whole cache" in caplog.text
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("damage", ["cut", "changed", "pickled"])
def test_a_damaged_entry_is_prepared_again(tmp_path: Path, files: list[Path], damage: str) -> None:
    cache = CaseCache(tmp_path / "cache", limit_bytes=10**6)
    prepare = Preparation()
    cache.get(files, PARAMETERS, prepare)
    entry = next((tmp_path / "cache").iterdir())
    content = bytearray(entry.read_bytes())
    if damage == "cut":
        entry.write_bytes(content[:-50])
    elif damage == "changed":
        content[content.index(b"\x01\x00\x01\x00\x01\x00")] = 9
        entry.write_bytes(content)
    else:
        np.savez(entry, hu=np.array([object()], dtype=object))
    assert cache.get(files, PARAMETERS, prepare)["hu"][0, 0] == 2
    assert cache.get(files, PARAMETERS, prepare)["hu"][0, 0] == 2
    assert prepare.times == 2


def test_what_cannot_be_is_refused(tmp_path: Path, files: list[Path]) -> None:
    cache = CaseCache(tmp_path / "cache", limit_bytes=10**6)
    with pytest.raises(TrainingError, match="must be arrays of numbers"):
        cache.get(files, PARAMETERS, lambda: {"names": np.array([object()])})
    with pytest.raises(TrainingError, match="must be plain values"):
        cache.key(files, {"window": object()})
    with pytest.raises(TrainingError, match="must be plain values"):
        cache.key(files, {"window": float("nan")})
    with pytest.raises(TrainingError, match="cannot be read"):
        cache.key([tmp_path / "absent.dcm"], PARAMETERS)
    with pytest.raises(TrainingError, match="more than 0 bytes"):
        CaseCache(tmp_path, limit_bytes=0)
