"""The command ``osteon pair``."""

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from training.errors import TrainingError
from training.pairing.choices import AskBy, InformationModel, TableFormat
from training.pairing.errors import ArchiveError
from training.pairing.match import Direction, Matching, PairingOptions
from training.pairing.records import ImageKind

if TYPE_CHECKING:
    from rich.progress import TaskID

    from training.pairing.archive import Archive
    from training.pairing.flow import Flow
    from training.pairing.pseudonyms import Pseudonyms
    from training.pairing.run import Gathered, Paired, Progress

EXIT_PAIRED, EXIT_USAGE, EXIT_NO_PAIR, EXIT_ARCHIVE = 0, 2, 3, 4
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class _Sources:
    """Where images are looked for: exactly one of three."""

    images: list[Path]
    pacs: str | None
    qido: str | None

    def check(self, dxa: Path | None) -> None:
        given = [name for name, value in (("--images", self.images), ("--pacs", self.pacs), ("--qido", self.qido)) if value]
        if len(given) != 1:
            said = " and ".join(given) or "none of them"
            raise TrainingError(f"Name one source of images: --images DIR, --pacs AE@host:port or --qido URL; given: {said}.")
        if dxa is None and not self.images:
            raise TrainingError("An archive is asked around DXA dates: give the DXA values with --dxa FILE.csv.")


def pair(
    out: Annotated[Path, typer.Option("--out", help="Where manifest, report and summary are written.")],
    images: Annotated[list[Path] | None, typer.Option("--images", help="Folder of DICOM files; may be given several times.")] = None,
    pacs: Annotated[str | None, typer.Option("--pacs", metavar="AE@HOST:PORT", help="A PACS, asked by C-FIND.")] = None,
    qido: Annotated[str | None, typer.Option("--qido", metavar="URL", help="A DICOMweb server's root, asked by QIDO-RS.")] = None,
    dxa: Annotated[Path | None, typer.Option("--dxa", help="DXA values, CSV or Parquet; without it, DXA studies among --images.")] = None,
    columns: Annotated[Path | None, typer.Option("--columns", help="map.yaml: what the table's columns and words mean.")] = None,
    months: Annotated[int, typer.Option("--months", help="At most so many calendar months apart; 0 is the same day.")] = 6,
    direction: Annotated[Direction, typer.Option("--direction", help="Whether the images lie before or after the DXA.")] = Direction.EITHER,
    matching: Annotated[Matching, typer.Option("--match", help="How often a study may be used.")] = Matching.NEAREST,
    modality: Annotated[list[ImageKind] | None, typer.Option("--modality", help="Only these images.")] = None,
    strip_zeros: Annotated[bool, typer.Option("--strip-zeros", help="Leading zeros of Patient IDs do not count.")] = False,
    strip_prefix: Annotated[list[str] | None, typer.Option("--strip-prefix", help="A prefix of Patient IDs that does not count.")] = None,
    dxa_issuer: Annotated[str, typer.Option("--dxa-issuer", help="Issuer of the Patient IDs in --dxa.")] = "",
    accept_unstated: Annotated[bool, typer.Option("--accept-unstated", help="Take films that state no view or body part.")] = False,
    links: Annotated[bool, typer.Option("--links", help="Make a folder of links for each paired series.")] = False,
    table_format: Annotated[TableFormat, typer.Option("--format", help="Format of the manifest.")] = TableFormat.CSV,
    pseudonymise: Annotated[bool, typer.Option("--pseudonymise", help="Write no ID, UID, date or path of a patient.")] = False,
    key_file: Annotated[Path | None, typer.Option("--key-file", help="The secret key of the pseudonyms, 16 bytes or more.")] = None,
    cache: Annotated[Path | None, typer.Option("--cache", help="Remember here what was read; the next run goes on from it.")] = None,
    aet: Annotated[str, typer.Option("--aet", help="The AE title that asks.")] = "OSTEON",
    model: Annotated[InformationModel, typer.Option("--model", help="Information model of C-FIND.")] = InformationModel.STUDY,
    by: Annotated[AskBy, typer.Option("--by", help="Ask an archive month by month, or for each patient of --dxa.")] = AskBy.DATES,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="Ask an archive for nothing before this day.")
    ] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Ask an archive for nothing after this day.")] = None,
    result_limit: Annotated[int, typer.Option(min=2, help="Believe no answer of an archive with so many studies; ask in halves.")] = 100,
    deep: Annotated[bool, typer.Option("--deep", help="Ask an archive for every slice, to choose the series now.")] = False,
    timeout_s: Annotated[float, typer.Option("--timeout", min=1, help="Seconds that an archive may take to answer.")] = 60.0,
    auth_header_env: Annotated[str | None, typer.Option(help="Environment variable with an HTTP header for --qido.")] = None,
    retrieve_list: Annotated[Path | None, typer.Option(help="Where the list of series to retrieve goes.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The counts as one JSON object on stdout.")] = False,
) -> None:
    """Pair CT or chest radiographs with DXA of the same patient within N months, and write a manifest for training.

    Writes manifest.csv, pairs-report.csv (every candidate, and why it was paired or not) and pairs-summary.json. Exit code: 0 pairs were
    found, 3 none, 2 bad usage or input, 4 the archive cannot be asked now.
    """
    from training.data.manifest import ReadOptions, load_read_options
    from training.pairing.identity import IdRules
    from training.pairing.journal import Journal
    from training.pairing.run import ArchiveOptions, DxaTable, Target, from_archive, from_folders, run
    from training.pairing.studies import ImageOptions

    sources = _Sources(images=images or [], pacs=pacs, qido=qido)
    with _errors(), ExitStack() as stack:
        sources.check(dxa)
        target = Target(
            out=out,
            table_format=table_format,
            links=links or pseudonymise,
            pseudonyms=_pseudonyms(pseudonymise, key_file, out, retrieve_list, bool(pacs or qido)),
            retrieve_list=retrieve_list,
        )
        ids = IdRules(strip_zeros=strip_zeros, prefixes=tuple(strip_prefix or ()))
        pairing = PairingOptions(months=months, direction=direction, matching=matching, ids=ids)
        image_options = ImageOptions(kinds=frozenset(modality or ImageKind), accept_unstated=accept_unstated)
        read_options = load_read_options(columns) if columns is not None else ReadOptions()
        table = DxaTable(path=dxa, options=read_options, issuer=dxa_issuer) if dxa is not None else None
        journal = stack.enter_context(Journal(cache))
        progress = stack.enter_context(_progress())
        gathered: Gathered
        if table is None or images:
            gathered = from_folders(sources.images, table, image_options, journal, progress)
        else:
            asking = ArchiveOptions(
                by=by,
                first=first.date() if first else None,
                last=last.date() if last else None,
                result_limit=result_limit,
                deep=deep,
                images=image_options,
            )
            archive = _archive(stack, sources, (aet, model, timeout_s), auth_header_env)
            gathered = from_archive(archive, table, pairing, asking, journal, progress)
        paired = run(gathered, pairing, target)
    _print(gathered, paired, as_json)
    raise typer.Exit(EXIT_PAIRED if paired.manifest is not None else EXIT_NO_PAIR)


def _pseudonyms(wanted: bool, key_file: Path | None, out: Path, retrieve_list: Path | None, remote: bool) -> "Pseudonyms | None":
    """The pseudonyms, where they are wanted and nothing beside the output would give them away."""
    from training.pairing.pseudonyms import Pseudonyms

    if not wanted:
        if key_file is not None:
            raise TrainingError("--key-file is of use with --pseudonymise alone.")
        return None
    if key_file is None:
        raise TrainingError("--pseudonymise needs --key-file FILE, a secret key; make one: head -c 32 /dev/urandom > FILE")
    if remote and retrieve_list is None:
        raise TrainingError("What is to be retrieved is listed by the archive's UIDs: name a place outside --out, --retrieve-list FILE.")
    for path, what in ((key_file, "key file"), (retrieve_list, "list of what to retrieve")):
        if path is not None and path.resolve().is_relative_to(out.resolve()):
            raise TrainingError(f"The {what} would undo the pseudonyms and must lie outside --out.")
    return Pseudonyms.from_file(key_file)


def _archive(stack: ExitStack, sources: _Sources, asker: tuple[str, InformationModel, float], auth_header_env: str | None) -> "Archive":
    aet, model, timeout_s = asker
    if sources.pacs is not None:
        from training.pairing.cfind import CFindArchive, Peer, parse_peer

        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # what it complains about becomes one line of ours
        ae_title, host, port = parse_peer(sources.pacs)
        if not 0 < len(aet.strip()) <= 16:
            raise TrainingError(f"--aet {aet!r}: an AE title has 1 to 16 characters.")
        peer = Peer(ae_title=ae_title, host=host, port=port, calling_ae_title=aet.strip(), model=model, timeout_s=timeout_s)
        return stack.enter_context(CFindArchive(peer))
    from training.pairing.qido import QidoArchive, header_from_environment

    return QidoArchive(sources.qido or "", header_from_environment(auth_header_env), timeout_s=timeout_s)


@contextmanager
def _errors() -> Iterator[None]:
    """Errors as one line on stderr, and the exit code."""
    try:
        yield
    except TrainingError as error:
        _fail(str(error), EXIT_USAGE)
    except ArchiveError as error:
        _fail(f"{error} With --cache FILE, the same command goes on from where it stopped.", EXIT_ARCHIVE)


def _fail(text: str, code: int) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(code)


@contextmanager
def _progress() -> "Iterator[Progress]":
    """Bars on stderr that stay silent where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    layout = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*layout, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show


def _print(gathered: "Gathered", paired: "Paired", as_json: bool) -> None:
    """Notices on stderr; the flow on stdout."""
    from training.pairing.output import flow_json

    for notice in paired.notices:
        typer.echo(f"note: {notice}", err=True)
    for one in gathered.skipped[:_SHOWN]:
        typer.echo(f"skipped {one.path}: {one.reason.code}: {one.reason.text}", err=True)
    if len(gathered.skipped) > _SHOWN:
        typer.echo(f"... and {len(gathered.skipped) - _SHOWN} more files skipped", err=True)
    if as_json:
        typer.echo(json.dumps({**dict(gathered.counts), **flow_json(paired.flow)}))
        return
    for line in flow_lines(paired.flow):
        typer.echo(line)
    typer.echo(f"{paired.flow.pairs} pairs of {paired.flow.patients} patients")
    typer.echo(f"manifest: {paired.manifest or 'none, for there is no pair'}; every candidate: {paired.report}")


def flow_lines(flow: "Flow") -> list[str]:
    """The flow as text: a line a step, and below it what went before it, by reason."""
    lines = []
    for title, steps in [*((str(kind), steps) for kind, steps in flow.images), ("DXA", flow.exams)]:
        lines.append(title)
        for step in steps:
            lines.extend(f"           - {count:>6}  {code}" for code, count in step.out)
            lines.append(f"  {step.left:>8}  {step.text}")
    return lines
