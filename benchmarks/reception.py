"""What reception costs: images per second of the node, and of bare pynetdicom that writes and fsyncs, with DCMTK's storescu as the sender.

    python -m benchmarks.reception [--senders N] [--images N] [--rounds N]

Each image is a CT slice of 0.5 MB. The two take turns, because a busy machine slows both.
"""

import argparse
import logging
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pynetdicom import AE, AllStoragePresentationContexts, evt

from node.clock import utc_now
from node.ledger import Ledger
from node.receive.dimse import DimseReceiver
from node.spool import Spool
from tests.node.support import ct_slice, machine_config, part10
from tests.peers.dcmtk import ENVIRONMENT, storescu
from tests.peers.tools import free_port


def images_per_second(port: int, folders: list[Path], images: int) -> float:
    """Send every folder at once and wait for the last."""
    started = time.perf_counter()
    senders = [subprocess.Popen(storescu(port, "+sd", str(folder)), env=ENVIRONMENT) for folder in folders]
    if any(sender.wait() for sender in senders):
        raise RuntimeError("a sender failed")
    return len(folders) * images / (time.perf_counter() - started)


def node(work: Path, measure: Callable[[int], float]) -> float:
    """The node's receiver, spool and ledger."""
    config = machine_config(work)
    with Ledger.open(config.storage.ledger.get_secret_value(), utc_now()) as ledger, Spool(config.storage.spool) as spool:
        receiver = DimseReceiver(config.receiver, spool, ledger, utc_now)
        receiver.start()
        try:
            return measure(receiver.port)
        finally:
            receiver.stop()


def bare(work: Path, measure: Callable[[int], float]) -> float:
    """pynetdicom and a handler that writes, fsyncs, renames and fsyncs the folder."""

    def store(event: Any) -> int:
        final = work / str(event.request.AffectedSOPInstanceUID)
        with final.with_suffix(".part").open("wb") as file:
            file.write(event.encoded_dataset())
            file.flush()
            os.fsync(file.fileno())
        final.with_suffix(".part").rename(final)
        folder = os.open(work, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        return 0x0000

    ae = AE()
    ae.supported_contexts = AllStoragePresentationContexts
    ae.maximum_pdu_size = 131072
    port = free_port()
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        return measure(port)
    finally:
        if server is not None:
            server.shutdown()


def main() -> None:
    """Print a line per round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--senders", type=int, default=1)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    logging.basicConfig(level="ERROR")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        folders = [work / f"study{number}" for number in range(arguments.senders)]
        for number, study in enumerate(folders):
            study.mkdir()
            for image in range(1, arguments.images + 1):
                (study / f"{image}.dcm").write_bytes(part10(ct_slice(image, study_uid=f"1.2.{number}", size=512)))
        for turn in range(arguments.rounds):
            rates = {}
            for receiver in (bare, node):
                place = work / f"{receiver.__name__}{turn}"
                place.mkdir()
                rates[receiver.__name__] = receiver(place, lambda port: images_per_second(port, folders, arguments.images))
            print(f"{arguments.senders} sender(s): node {rates['node']:.0f}/s, bare pynetdicom + fsync {rates['bare']:.0f}/s")


if __name__ == "__main__":
    main()
