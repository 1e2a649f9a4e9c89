"""DCMTK against the receiver and the sender: another implementation of the same standard."""

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.filereader import read_file_meta_info

from node.app import Node
from node.config import Destination
from node.outbox.cstore import Item, send
from node.states import DeliveryState, StudyState
from tests.node.support import ct_slice, machine_config, part10, until, with_destination
from tests.paths import real_image
from tests.peers.dcmtk import ENVIRONMENT, dcmtk, run, storescp, storescu
from tests.peers.tools import free_port

pytestmark = pytest.mark.integration


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    dcmtk("storescu")
    with Node(machine_config(tmp_path), process="tests.node.processes:results_of") as node:
        yield node


def write(folder: Path, count: int, **options: object) -> Path:
    folder.mkdir()
    for number in range(1, count + 1):
        (folder / f"{number}.dcm").write_bytes(part10(ct_slice(number, size=64, **options)))
    return folder


def test_echoscu(node: Node) -> None:
    assert run("echoscu", "-aec", "OSTEON", "127.0.0.1", str(node.port)).returncode == 0


def test_storescu_sends_a_study(node: Node, tmp_path: Path) -> None:
    folder = write(tmp_path / "scan", 20)
    done = subprocess.run(storescu(node.port, "+sd", str(folder)), env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    until(lambda: node.ledger.study("1.2.3").summary.state is StudyState.DONE, "results")
    assert node.ledger.study("1.2.3").summary.instances == 20


def test_two_storescu_at_once(node: Node, tmp_path: Path) -> None:
    folders = [write(tmp_path / f"scan{number}", 20, study_uid=f"1.2.{number}") for number in (3, 4)]
    senders = [subprocess.Popen(storescu(node.port, "+sd", str(folder)), env=ENVIRONMENT) for folder in folders]
    assert [sender.wait(timeout=60) for sender in senders] == [0, 0]
    assert {item.study_uid: item.instances for item in node.ledger.studies()} == {"1.2.3": 20, "1.2.4": 20}


@pytest.mark.real
def test_real_files_in_every_transfer_syntax(node: Node, tmp_path: Path) -> None:
    folder = real_image("edge/transfer_syntaxes")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.read_bytes()[128:132] == b"DICM"]
    kinds = {(str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)) for meta in map(read_file_meta_info, files)}
    assert len(kinds) >= 8
    profile = tmp_path / "storescu.cfg"
    profile.write_text(as_profile(sorted(kinds)))
    done = run("storescu", "-aec", "OSTEON", "-xf", str(profile), "Own", "127.0.0.1", str(node.port), *map(str, files))
    assert done.returncode == 0, done.stderr + done.stdout
    kept = [item.header for study in node.ledger.studies() for item in node.ledger.study(study.study_uid).instances]
    assert {(header.sop_class_uid, header.transfer_syntax_uid) for header in kept} == kinds


def as_profile(kinds: Sequence[tuple[str, str]]) -> str:
    """A storescu configuration (its own format) with one presentation context for each SOP class and transfer syntax."""
    syntaxes = "\n".join(f"[TS{number}]\nTransferSyntax1 = {syntax}" for number, (_, syntax) in enumerate(kinds))
    contexts = "\n".join(f"PresentationContext{number + 1} = {sop_class}\\TS{number}" for number, (sop_class, _) in enumerate(kinds))
    return (
        f"[[TransferSyntaxes]]\n{syntaxes}\n[[PresentationContexts]]\n[All]\n{contexts}\n[[Profiles]]\n[Own]\nPresentationContexts = All\n"
    )


def test_storescp_gets_results_that_dcmdump_reads(tmp_path: Path) -> None:
    port = free_port()
    with storescp(port, tmp_path / "pacs") as pacs:
        config = machine_config(tmp_path, **with_destination(port))
        with Node(config, process="tests.node.processes:results_of") as node:
            folder = write(tmp_path / "scan", 3)
            assert subprocess.run(storescu(node.port, "+sd", str(folder)), env=ENVIRONMENT, check=False).returncode == 0
            until(lambda: len(node.ledger.deliveries(states=[DeliveryState.DELIVERED])) == 2, "two deliveries")
            sent = {item.sop_instance_uid for item in node.ledger.deliveries()}
    files = list(pacs.iterdir())
    assert {str(dcmread(path).SOPInstanceUID) for path in files} == sent
    assert all(run("dcmdump", str(path)).returncode == 0 for path in files)


def test_a_storescp_that_refuses_associations(tmp_path: Path) -> None:
    port = free_port()
    path = tmp_path / "1.dcm"
    ds = ct_slice()
    path.write_bytes(part10(ds))
    item = Item(sop_class_uid=str(ds.SOPClassUID), sop_instance_uid=str(ds.SOPInstanceUID), path=path)
    target = Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=port, timeout_s=5)
    with storescp(port, tmp_path / "pacs", ("--abort-during",)):
        (sent,) = send(target, "OSTEON", [item])
    assert sent.error is not None
    assert "did not answer" in str(sent.error)
