"""``osteon bundles``: which models are there, whether they are whole, and how a new one comes in."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from inference.bundles import BundleEntry, BundleError, BundleNotAllowedError, BundleSource, check_signature, load_bundle
from inference.bundles.install import install_bundle, pack_bundle
from node.config import Config
from node.config_file import find_config, load_config
from node.errors import ConfigError, ExitCode
from node.report import Json

app = typer.Typer(help="List, verify and install models.", no_args_is_help=True)

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="config.yaml; ./config.yaml or the shipped one when absent.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")]


def bundle_source(config: Config) -> BundleSource:
    """The bundles that a configuration knows."""
    bundles = config.bundles
    return BundleSource(folder=bundles.folder, pinned=bundles.pinned, allow_simulated=bundles.allow_simulated)


@app.command("list")
def list_bundles(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List every model: name, version, sha256, what it was trained on, whether it may run here. Exit code: 0."""
    _print(_source(config).entries(), as_json)


@app.command()
def verify(
    what: Annotated[str | None, typer.Argument(metavar="[NAME|FOLDER]", help="A name of the list, or a folder; all when absent.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify models: every file's hash, the metadata, the weights against the architecture. Exit code: 0 all whole, 3 one is not."""
    source = _source(config)
    entries = source.entries() if what is None else source.named(what) or (source.entry(_folder(Path(what))),)
    checked = [_checked(entry) for entry in entries]
    _print(checked, as_json)
    raise typer.Exit(ExitCode.RESULT if all(entry.bundle is not None for entry in checked) else ExitCode.REFUSED)


@app.command()
def install(
    file: Annotated[Path, typer.Argument(help="A zip file of a bundle.", exists=True, dir_okay=False)],
    sha256: Annotated[
        str | None, typer.Option("--sha256", help="The bundle's hash as its author published it (that of list, not of the zip file).")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Unpack a model into bundles.folder after verifying it. Exit code: 0 installed, 3 refused."""
    source = _source(config)
    if source.folder is None:
        raise ConfigError("bundles.folder is not set")
    try:
        bundle = install_bundle(file, source.folder, sha256)
    except (BundleError, BundleNotAllowedError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(ExitCode.REFUSED) from None
    _print([source.entry(bundle.folder)], as_json)


@app.command()
def pack(
    what: Annotated[str, typer.Argument(metavar="NAME|FOLDER", help="A name of the list, or a folder.")],
    file: Annotated[Path, typer.Argument(help="The zip file to write; it must not exist.")],
    config: ConfigOption = None,
) -> None:
    """Write a model as the zip file that install takes, and print its sha256. Exit code: 0 written, 3 the model is not whole."""
    source = _source(config)
    if file.exists():
        raise ConfigError(f"{file} exists; name another file")
    try:
        bundle = source.open(what) if source.named(what) else load_bundle(_folder(Path(what)))
        pack_bundle(bundle, file)
    except (BundleError, BundleNotAllowedError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(ExitCode.REFUSED) from None
    typer.echo(f"{file}: {bundle.name} {bundle.version}, sha256 {bundle.sha256}")


def _source(config: Path | None) -> BundleSource:
    return bundle_source(load_config(config or find_config()))


def _folder(path: Path) -> Path:
    """A folder that somebody named, which need not be the site's."""
    if not path.is_dir():
        raise ConfigError(f"{path}: no bundle has this name, and there is no such folder; osteon bundles list shows the names")
    return path


def _checked(entry: BundleEntry) -> BundleEntry:
    """The entry after the weights were compared with the architecture; torch loads here."""
    if entry.bundle is None:
        return entry
    try:
        check_signature(entry.bundle.network, entry.bundle.tensors)
    except BundleError as error:
        return BundleEntry(folder=entry.folder, shipped=entry.shipped, bundle=None, problem=error.text)
    return entry


def _plain(entry: BundleEntry) -> Json:
    state = "invalid" if entry.bundle is None else "ready" if entry.problem is None else "not_allowed"
    out: Json = {"folder": str(entry.folder), "shipped": entry.shipped, "state": state, "problem": entry.problem}
    bundle = entry.bundle
    if bundle is None:
        return {"name": None, "version": None, "sha256": None, "trained_on": None, "kind": None, "parameters": None, **out}
    used = bundle.model_used
    named = {"name": used.name, "version": used.version, "sha256": used.sha256, "trained_on": used.trained_on}
    return {**named, "kind": bundle.metadata.osteon.kind.value, "parameters": bundle.parameters, **out}


def _print(entries: Iterable[BundleEntry], as_json: bool) -> None:
    rows = [_plain(entry) for entry in entries]
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row, ensure_ascii=False))
        return
    if not rows:
        typer.echo("no bundle is here")
        return
    table = Table("model", "trained on", "gives", "parameters", "from", "state")
    for row in rows:
        model = row["name"] and f"{row['name']} {row['version']}"
        place = "Osteon" if row["shipped"] else row["folder"]
        count = f"{row['parameters']:,}" if row["parameters"] else "?"
        cells = (
            model or Path(row["folder"]).name,
            row["trained_on"] or "?",
            row["kind"] or "?",
            count,
            place,
            row["state"].replace("_", " "),
        )
        table.add_row(*(escape(cell) for cell in cells))
    console = Console()
    console.print(table)
    for row in rows:
        if row["sha256"]:
            typer.echo(f"sha256 {row['sha256']}  {row['name']} {row['version']}")
        if row["problem"]:
            typer.echo(f"{row['state'].replace('_', ' ')}: {row['problem']}")
