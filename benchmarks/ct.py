"""What a CT costs: association to SR at the PACS, peak memory, and how both grow with the number of slices.

usage: python -m benchmarks.ct [--slices 100 200 400 700 1000] [--chain 300]
       python -m benchmarks.ct --readers [--chain 300]

One simulated abdomen of 512 x 512 pixels is sent to ``osteon serve`` by C-STORE; a small PACS (the node's own receiver, in this process)
waits for the SR. The quiet time is subtracted. Then the same scan, resampled to other slice spacings, is measured offline, each in a
process of its own. With ``--readers`` it is the readers alone on that abdomen, each in a process of its own, alone and within the
whole run from disk to results: what the second one costs.
"""

import argparse
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.cost import ROOT
from benchmarks.ct_offline import offline_in_a_process, print_readers, print_scaling
from inference.ct.segmentation import BUILT_IN
from inference.reading import read_header
from inference.volume import Volume
from node.clock import utc_now
from node.config import Destination, Receiver
from node.ledger import Ledger
from node.outbox.cstore import Item, send
from node.receive.dimse import DimseReceiver
from node.spool import Spool
from tests.peers.tools import free_port
from training.simulation.ct import AcquisitionParameters, FieldOfView, PatientParameters, SimulatedCt, simulate_ct
from training.simulation.dicom import write_dicom

QUIET_S = 2.0
TICK_S = 0.1
COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"


@dataclass(frozen=True, kw_only=True)
class Chain:
    """One study from association to SR."""

    slices: int
    receive_s: float
    chain_s: float
    timings_s: dict[str, float]
    peak_mb: dict[str, float]
    outcome: str


def main() -> None:
    """Print the two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, nargs="*", default=[100, 200, 300, 500, 700, 1000])
    parser.add_argument("--chain", type=int, default=300)
    parser.add_argument("--readers", action="store_true", help="only: time and peak memory of each reader and of both")
    arguments = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="osteon-bench-") as name:
        folder = Path(name)
        with console.status(f"simulating 512 x 512 x {arguments.chain}"):
            simulated = simulate()
            write_dicom(resampled(simulated, arguments.chain), folder / "study")
        if arguments.readers:
            alone = {reader: offline_in_a_process(folder / "study", reader, alone=True) for reader in BUILT_IN}
            costs = {reader: offline_in_a_process(folder / "study", reader) for reader in BUILT_IN}
            print_readers(console, arguments.chain, alone, costs)
            return
        with console.status("from association to SR at the PACS"):
            print_chain(console, run_chain(folder))
        rows = []
        for slices in arguments.slices:
            with console.status(f"{slices} slices"):
                write_dicom(resampled(simulated, slices), folder / f"s{slices}")
                rows.append((slices, offline_in_a_process(folder / f"s{slices}")))
        print_scaling(console, rows)


def simulate() -> SimulatedCt:
    """An abdomen, T10 to the hips, on a grid of 512 x 512."""
    acquisition = AcquisitionParameters(
        rows=512, columns=512, pixel_spacing_mm=0.78, slice_spacing_mm=1.5, field_of_view=FieldOfView.ABDOMEN
    )
    return simulate_ct(PatientParameters(seed=11), acquisition)


def resampled(simulated: SimulatedCt, slices: int) -> SimulatedCt:
    """The same scan with another number of slices over the same length (linear between slices)."""
    hu = simulated.volume.hu
    at = np.linspace(0, hu.shape[0] - 1, slices)
    low = np.minimum(at.astype(int), hu.shape[0] - 2)
    new = np.empty((slices, *hu.shape[1:]), np.int16)
    for index, (position, below) in enumerate(zip(at, low, strict=True)):
        weight = position - below
        new[index] = np.rint(hu[below] * (1 - weight) + hu[below + 1] * weight)
    step = (hu.shape[0] - 1) / (slices - 1)
    affine = simulated.volume.affine.copy()
    affine[:3, 0] *= step
    acquisition = dataclasses.replace(simulated.acquisition, slice_spacing_mm=simulated.acquisition.slice_spacing_mm * step)
    return dataclasses.replace(simulated, volume=Volume(hu=new, affine=affine), acquisition=acquisition)


def run_chain(folder: Path) -> Chain:
    """Send the study to a node of its own and wait for the SR."""
    headers = [read_header(path) for path in sorted((folder / "study").iterdir())]
    pacs_port, node_port = free_port(), free_port()
    config = write_config(folder, pacs_port, node_port)
    with pacs(folder / "pacs", pacs_port) as received, serving(config) as (process, peaks):
        node = Destination(name="node", ae_title="OSTEON", host="127.0.0.1", port=node_port)
        wait_for_port(node_port)
        items = [
            Item(sop_class_uid=h.sop_class_uid, sop_instance_uid=h.sop_instance_uid, path=h.path) for h in headers if h.path is not None
        ]
        started = time.monotonic()
        failed = [sent for sent in send(node, "BENCH", items) if sent.error is not None]
        sent_s = time.monotonic() - started
        if failed:
            raise RuntimeError(f"{len(failed)} instances were refused: {failed[0].error}")
        wait_for_sr(received, process)
        chain_s = time.monotonic() - started - QUIET_S
    with Ledger.attach(f"sqlite:///{folder / 'osteon.db'}") as ledger:
        report = ledger.study(headers[0].study_instance_uid)
    found = report.findings or {}
    return Chain(
        slices=len(items),
        receive_s=sent_s,
        chain_s=chain_s,
        timings_s=dict(found.get("timings_s", {})),
        peak_mb=dict(peaks),
        outcome=str(found.get("outcome")),
    )


def write_config(folder: Path, pacs_port: int, node_port: int) -> Path:
    """The shipped routes on loopback, with a short quiet time."""
    settings = yaml.safe_load((ROOT / "config.yaml").read_text())
    settings["receiver"] = {"host": "127.0.0.1", "port": node_port}
    settings["storage"] = {"spool": "spool", "results": "results", "ledger": "sqlite:///osteon.db"}
    settings["completion"] = {"quiet_s": {"CT": QUIET_S}, "default_quiet_s": QUIET_S, "tick_s": TICK_S}
    settings["destinations"] = [{"name": "pacs", "ae_title": "BENCH", "host": "127.0.0.1", "port": pacs_port}]
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@contextmanager
def pacs(folder: Path, port: int) -> Iterator[Ledger]:
    """A PACS that only stores."""
    with Spool(folder, 0) as spool, Ledger.open(f"sqlite:///{folder / 'pacs.db'}", utc_now()) as ledger:
        receiver = DimseReceiver(Receiver(ae_title="BENCH", host="127.0.0.1", port=port), spool, ledger, utc_now)
        receiver.start()
        try:
            yield ledger
        finally:
            receiver.stop()


@contextmanager
def serving(config: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, float]]]:
    """``osteon serve``, and the peak resident memory (MB) of it and of its worker while it runs."""
    peaks: dict[str, float] = {}
    ended = threading.Event()
    process = subprocess.Popen([sys.executable, "-m", "node.cli", "serve", "--config", str(config)], cwd=ROOT)

    def watch() -> None:
        while not ended.wait(0.1):
            for pid in (process.pid, *descendants(process.pid)):
                name = "node" if pid == process.pid else "worker"
                peaks[name] = max(peaks.get(name, 0.0), peak_mb(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield process, peaks
    finally:
        ended.set()
        watcher.join()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def descendants(pid: int) -> list[int]:
    """Children of a process, and theirs."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())  # a thread's children are listed under the thread
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return children + [below for child in children for below in descendants(child)]


def peak_mb(pid: int) -> float:
    """VmHWM of a process in MB; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def wait_for_port(port: int) -> None:
    """Until the node listens."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("the node does not listen")


def wait_for_sr(received: Ledger, process: subprocess.Popen[bytes]) -> None:
    """Until the SR lies at the PACS."""
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError("the node ended")
        for study in received.studies():
            if any(item.header.sop_class_uid == COMPREHENSIVE_3D_SR for item in received.study(study.study_uid).instances):
                return
        time.sleep(0.05)
    raise TimeoutError("no SR within 600 s")


def print_chain(console: Console, chain: Chain) -> None:
    """Association to SR."""
    table = Table(
        "step",
        "figure",
        title=f"512 x 512 x {chain.slices}, association to SR at the PACS ({os.cpu_count()} cores), outcome {chain.outcome}",
    )
    table.add_row("association to SR, without the quiet time", f"{chain.chain_s:.1f} s")
    table.add_row("reception", f"{chain.receive_s:.1f} s ({chain.slices / chain.receive_s:.0f} images/s)")
    for step, seconds in chain.timings_s.items():
        table.add_row(f"worker: {step}", f"{seconds:.1f} s")
    for name, megabytes in sorted(chain.peak_mb.items()):
        table.add_row(f"peak resident memory, {name}", f"{megabytes:.0f} MB")
    console.print(table)


if __name__ == "__main__":
    main()
