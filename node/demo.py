"""``osteon demo``: a node, a small PACS and simulated patients on loopback, end to end. The one place that imports ``training``."""

import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from inference.reading import read_header
from node.app import Node
from node.clock import utc_now
from node.config import Completion, Config, Destination, Logging, Receiver, Storage
from node.config_file import find_config, load_config
from node.console import density_class_line, experts_line, opinions_line, outcome_line
from node.errors import DeliveryError, ExitCode
from node.ledger import Ledger
from node.outbox.cstore import Item, Sent, send
from node.receive.dimse import DimseReceiver
from node.spool import Spool
from node.states import DeliveryState, StudyState

LOOPBACK = "127.0.0.1"
WAIT_S = 600
SEND_TRIES = 3
"""As a PACS tries again: on a starved machine pynetdicom may lose an answer between its two threads, and what came already is known."""
ENDED = (StudyState.DONE, StudyState.REFUSED, StudyState.QUARANTINED)


def run_demo(keep: Path | None, console: Console) -> ExitCode:
    """Run the demo and print what came back.

    Parameters
    ----------
    keep
        Folder for everything that is made; emptied of an earlier demo first. None: a temporary one, removed at the end.
    console
        Where progress and the table are printed.

    Returns
    -------
    ExitCode
        ``RESULT`` when every study ended and every result reached the PACS, else ``NOT_DELIVERED``.
    """
    with ExitStack() as stack:
        folder = _prepare(keep) if keep is not None else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="osteon-demo-")))
        bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console)
        progress = stack.enter_context(bar)
        studies = _simulate(folder / "patients", progress)
        pacs_port = _free_port()
        stack.enter_context(_pacs(folder / "pacs", pacs_port))
        node = stack.enter_context(Node(_demo_config(folder / "node", pacs_port)))
        _send(studies, node.port, progress)
        arrived = _wait(node.ledger, len(studies), progress)
        progress.stop()
        _print(console, node.ledger, folder, keep is not None)
    return ExitCode.RESULT if arrived else ExitCode.NOT_DELIVERED


def _prepare(keep: Path) -> Path:
    """The folder to keep, empty. Only what a demo made is removed."""
    folder = keep.resolve()
    for part in ("patients", "pacs", "node"):
        shutil.rmtree(folder / part, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _simulate(folder: Path, progress: Progress) -> list[Path]:
    """Three CT patients (low, healthy, a chest CT), a chest radiograph and a DXA image; one folder a study."""
    from training.simulation.ct import AcquisitionParameters, FieldOfView, PatientParameters, simulate_ct
    from training.simulation.dicom import StudyOptions, write_dicom
    from training.simulation.xray.dxa import DxaParameters, simulate_dxa
    from training.simulation.xray.dxa_dicom import write_dxa
    from training.simulation.xray.film import ChestFilmParameters, simulate_chest_film
    from training.simulation.xray.film_dicom import write_film

    grid = AcquisitionParameters(rows=240, columns=240, pixel_spacing_mm=1.6, slice_spacing_mm=2.0)
    chest = replace(grid, slice_spacing_mm=2.5, field_of_view=FieldOfView.CHEST)
    plans = (
        ("low", PatientParameters(seed=1, trabecular_hu=88.0, age_years=74), grid),
        ("healthy", PatientParameters(seed=2, trabecular_hu=185.0, age_years=41, body_scale=1.0), grid),
        ("chest", PatientParameters(seed=3, trabecular_hu=120.0, age_years=60), chest),
    )
    task = progress.add_task("simulating patients", total=len(plans))
    studies = []
    for name, patient, acquisition in plans:
        simulated = simulate_ct(patient, acquisition)
        write_dicom(simulated, folder / f"ct-{name}", StudyOptions(localizer=True, secondary_capture=True))
        studies.append(folder / f"ct-{name}")
        if name == "chest":
            write_film(simulate_chest_film(patient, ChestFilmParameters(paint_spacing_mm=2.0)), folder / "film")
            studies.append(folder / "film")
        elif name == "healthy":
            write_dxa(simulate_dxa(patient, DxaParameters(device="GE Lunar", paint_spacing_mm=2.0)), folder / "dxa")
            studies.append(folder / "dxa")
        progress.advance(task)
    return studies


@contextmanager
def _pacs(folder: Path, port: int) -> Iterator[None]:
    """A small PACS: the node's own receiver and spool under another name, nothing behind it."""
    with (
        Spool(folder / "received", 0) as spool,
        Ledger.open(f"sqlite:///{folder / 'pacs.db'}", utc_now()) as ledger,
    ):
        receiver = DimseReceiver(Receiver(ae_title="DEMO-PACS", host=LOOPBACK, port=port, min_free_disk_mb=0), spool, ledger, utc_now)
        receiver.start()
        try:
            yield
        finally:
            receiver.stop()


def _demo_config(folder: Path, pacs_port: int) -> Config:
    """The shipped configuration on free ports, a quiet time of seconds, refusals written out, models of simulated patients allowed.

    The patients are simulated, too: what such a model says of them is all that it may be asked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shipped = load_config(find_config())
    return shipped.model_copy(
        update={
            "receiver": Receiver(host=LOOPBACK, port=_free_port(), min_free_disk_mb=0),
            "storage": Storage(spool=folder / "spool", results=folder / "results", ledger=SecretStr(f"sqlite:///{folder / 'osteon.db'}")),
            "completion": Completion(quiet_s={}, default_quiet_s=2, tick_s=0.2),
            "logging": Logging(level="WARNING"),
            "bundles": shipped.bundles.model_copy(update={"allow_simulated": True}),
            "destinations": (Destination(name="pacs", ae_title="DEMO-PACS", host=LOOPBACK, port=pacs_port),),
            "routes": tuple(route.model_copy(update={"destinations": ("pacs",), "on_refusal": "text"}) for route in shipped.routes),
        }
    )


def _send(studies: list[Path], port: int, progress: Progress) -> None:
    """Send each study by C-STORE, as a PACS would.

    Raises
    ------
    DeliveryError
        The node refused an instance.
    """
    node = Destination(name="node", ae_title="OSTEON", host=LOOPBACK, port=port)
    headers = [[read_header(path) for path in sorted(folder.iterdir())] for folder in studies]
    task = progress.add_task("sending by C-STORE", total=sum(map(len, headers)))
    for group in headers:
        items = [
            Item(sop_class_uid=header.sop_class_uid, sop_instance_uid=header.sop_instance_uid, path=header.path)
            for header in group
            if header.path is not None
        ]
        _send_study(node, items, lambda: progress.advance(task))


def _send_study(node: Destination, items: Sequence[Item], arrived: Callable[[], None]) -> None:
    """Send one study, and again what was not answered.

    Raises
    ------
    DeliveryError
        The node refused an instance, or did not answer in :data:`SEND_TRIES`.
    """
    left, error = list(items), None
    for _ in range(SEND_TRIES):
        sent = list(_counted(send(node, "DEMO-PACS", left), arrived))
        done = {one.item.sop_instance_uid for one in sent if one.error is None}
        left = [item for item in left if item.sop_instance_uid not in done]
        if not left:
            return
        error = next(one.error for one in sent if one.error is not None)
        if not isinstance(error, DeliveryError):
            break
    raise DeliveryError(f"the node refused {left[0].path}: {error}")


def _counted(results: Iterable[Sent], arrived: Callable[[], None]) -> Iterator[Sent]:
    for one in results:
        if one.error is None:
            arrived()
        yield one


def _wait(ledger: Ledger, expected: int, progress: Progress) -> bool:
    """Wait until every study has ended and nothing waits for delivery; whether all of it was delivered."""
    task = progress.add_task("measuring and delivering", total=expected)
    deadline = time.monotonic() + WAIT_S
    ticker = threading.Event()
    while time.monotonic() < deadline:
        studies = ledger.studies()
        ended = [study for study in studies if study.state in ENDED and not study.deliveries.get(DeliveryState.PENDING)]
        progress.update(task, completed=len(ended))
        if len(ended) == expected:
            delivered = [set(study.deliveries) == {DeliveryState.DELIVERED} for study in ended]
            return all(delivered) and all(study.state is not StudyState.QUARANTINED for study in ended)
        ticker.wait(0.2)
    return False


def _print(console: Console, ledger: Ledger, folder: Path, kept: bool) -> None:
    console.print("[bold]What the node said of the simulated patients[/]")
    objects = []
    for study in sorted(ledger.studies(), key=lambda item: item.first_instance_at):
        report = ledger.study(study.study_uid)
        delivered = [item.kind for item in report.deliveries if item.state is DeliveryState.DELIVERED]
        line = outcome_line(dict(report.findings)) if report.findings is not None else escape(study.reason_text or study.state)
        facts = Table.grid(padding=(0, 2, 0, 0))
        facts.add_column(width=15)
        facts.add_column()
        facts.add_row("outcome", line)
        facts.add_row("density class", escape(_density_class(report.findings)))
        for name, told in _beside(report.findings):
            facts.add_row(name, escape(told))
        facts.add_row("at the PACS", ", ".join(delivered))
        where = study.workflow or "no workflow"
        console.print(f"\n[bold]study …{study.study_uid[-8:]}[/], {study.instances} {'/'.join(study.modalities)}, {escape(where)}")
        console.print(Padding(facts, (0, 0, 0, 2)))
        objects += [str(report.picture)] if report.picture is not None else []
    console.print("\n[bold]Simulated patients. Research use.[/]")
    if kept:
        console.print(f"received by the PACS: {folder / 'pacs' / 'received'}", soft_wrap=True)
        for path in objects:
            console.print(f"page: {path}", soft_wrap=True)
    else:
        console.print("Nothing was kept; --keep DIR keeps SEG, SR, text and pages.")


def _density_class(findings: Mapping[str, Any] | None) -> str:
    """The class, how it stands to band or densitometer, and its model; or why there is none; a dash where there was nothing to read."""
    density = (findings or {}).get("density_class")
    return density_class_line(density) if density else "-"


def _beside(findings: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """What a reader of every vertebra predicts, and the opinions side by side; nothing where none was asked for."""
    experts, opinions = (findings or {}).get("experts"), (findings or {}).get("opinions")
    told = [("every vertebra", experts_line(experts))] if experts else []
    return told + ([("opinions", opinions_line(opinions))] if opinions else [])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
