"""The spool: durable files under safe names."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset

from inference.errors import ReasonCode, Refusal
from inference.reading import InstanceHeader, header_of, read_header
from node.errors import StorageError
from node.ledger import Ledger
from node.spool import Spool, Stored, content_sha256, safe_name
from tests.node.support import at, ct_slice, part10

pytestmark = pytest.mark.unit


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path / "spool") as spool:
        yield spool


def keep(spool: Spool, ds: Dataset) -> Stored:
    return spool.store(part10(ds), lambda: header_of(ds))[1]


def files(spool: Spool) -> list[str]:
    return [str(path.relative_to(spool.root)) for path in spool.files()]


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2", "2.25.0", "1." + "9" * 62])
def test_a_valid_uid_is_its_own_name(uid: str) -> None:
    assert safe_name(uid) == uid


@pytest.mark.parametrize(
    "uid", ["", ".", "..", "../../etc/passwd", "/etc/passwd", "1.2.03", "1", "1.2\x00", "1." + "9" * 63, "١.٢.٣", "a\ud800"]
)
def test_anything_else_becomes_a_hash(uid: str) -> None:
    name = safe_name(uid)
    assert name.startswith("x")
    assert len(name) == 41
    assert name[1:].isalnum()
    assert name != safe_name(uid + "1")


def test_store_writes_what_came(spool: Spool) -> None:
    ds = ct_slice(7, study_uid="1.2.3")
    content = part10(ds)
    header, stored = spool.store(content, lambda: header_of(ds))
    assert header.instance_number == 7
    assert stored.path == "1.2.3/1.2.3.1/1.2.3.9.7.dcm"
    assert stored.size_bytes == len(content)
    assert spool.absolute(stored.path).read_bytes() == content
    assert list((spool.root / ".incoming").iterdir()) == []


def test_the_same_twice_is_one_file(spool: Spool) -> None:
    ds = ct_slice()
    first = keep(spool, ds)
    second = keep(spool, ds)
    assert second == first
    assert files(spool) == [first.path]


def test_another_receiver_s_file_meta_makes_no_difference(spool: Spool) -> None:
    ds = ct_slice()
    first = keep(spool, ds)
    ds.file_meta.ImplementationVersionName = "LATER"
    assert keep(spool, ds).content_sha256 == first.content_sha256
    assert files(spool) == [first.path]


def test_other_content_under_the_same_uid_is_kept_beside_the_first(spool: Spool) -> None:
    ds = ct_slice()
    first = keep(spool, ds)
    before = spool.absolute(first.path).read_bytes()
    ds.PatientID = "P2"
    second = keep(spool, ds)
    assert second.path == f"1.2.3/1.2.3.1/1.2.3.9.1~{second.content_sha256[:16]}.dcm"
    assert spool.absolute(first.path).read_bytes() == before
    assert read_header(spool.absolute(second.path)).patient_id == "P2"


def test_a_uid_never_leaves_the_spool(spool: Spool) -> None:
    ds = ct_slice(sop_uid="1.2.3.4")
    header = header_of(ds)
    object.__setattr__(header, "study_instance_uid", "../../outside")
    _, stored = spool.store(part10(ds), lambda: header)
    assert spool.absolute(stored.path).resolve().is_relative_to(spool.root.resolve())
    assert stored.path.startswith("x")


def test_content_without_file_meta_is_refused() -> None:
    with pytest.raises(ValueError, match="not a DICOM file"):
        content_sha256("1.2", b"\0" * 200)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool", min_free_disk_mb=10**9) as spool:
        with pytest.raises(StorageError, match="MB must stay free"):
            keep(spool, ct_slice())
        assert files(spool) == []


def test_an_error_of_the_disk_leaves_nothing_behind(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("node.spool.os.fsync", fail)
    with pytest.raises(StorageError, match="No space left"):
        keep(spool, ct_slice())
    assert files(spool) == []
    assert list((spool.root / ".incoming").iterdir()) == []


def test_a_header_that_is_refused_leaves_nothing_behind(spool: Spool) -> None:
    def refuse() -> InstanceHeader:
        raise Refusal(ReasonCode.IDENTITY_MISSING, "no Study Instance UID")

    with pytest.raises(Refusal):
        spool.store(part10(ct_slice()), refuse)
    assert files(spool) == []
    assert list((spool.root / ".incoming").iterdir()) == []


def test_what_a_dead_node_left_half_written_is_removed(tmp_path: Path) -> None:
    incoming = tmp_path / "spool" / ".incoming"
    incoming.mkdir(parents=True)
    (incoming / "1.part").write_bytes(b"half")
    with Spool(tmp_path / "spool") as spool:
        assert list(incoming.iterdir()) == []
        assert files(spool) == []


def test_two_nodes_cannot_share_a_spool(spool: Spool) -> None:
    with pytest.raises(StorageError, match="belongs to another running node"):
        Spool(spool.root).open()
    spool.close()
    with Spool(spool.root) as again:
        assert again.root == spool.root


def test_a_spool_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be used"):
        Spool(tmp_path / "file" / "spool").open()


def test_the_spool_rebuilds_the_ledger(spool: Spool, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in (1, 2):
        ds = ct_slice(number)
        keep(spool, ds)
    time.sleep(0.01)
    other = ct_slice(1, PatientID="P2")
    conflict = keep(spool, other)
    (spool.root / "1.2.3" / "broken.dcm").write_bytes(b"not DICOM")
    with Ledger.open(f"sqlite:///{tmp_path / 'new.db'}", at(0)) as ledger:
        assert ledger.is_empty()
        assert spool.rebuild(ledger, read_header) == 3
        report = ledger.study("1.2.3")
    assert report.summary.instances == 2
    assert [item.role for item in report.instances].count("conflict") == 1
    assert next(item.path for item in report.instances if item.role == "conflict") == conflict.path
    assert "broken.dcm stays out of the ledger" in caplog.text
