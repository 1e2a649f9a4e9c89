"""The command ``osteon``."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from inference import __version__
from node import bundles_cli, logs, research
from node.config import Config
from node.config_file import find_config, load_config
from node.console import plain, print_decision, print_deliveries, print_report, print_studies, print_study
from node.errors import ConfigError, ExitCode, NotFoundError, OsteonError
from node.ledger import Ledger
from node.ledger.migrations import LedgerVersionError
from node.states import DeliveryState, StudyState

app = typer.Typer(
    name="osteon",
    help="A DICOM node that finds low bone density in scans taken for something else. Research use.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Check config.yaml, or print its JSON Schema.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(bundles_cli.app, name="bundles")
research.mount(app)

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="config.yaml; ./config.yaml or the shipped one when absent.")]
PathsArgument = Annotated[list[Path], typer.Argument(help="DICOM files or folders.", exists=True)]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout; everything else goes to stderr.")]


def main() -> None:
    """Run the command; errors become one line on stderr and the exit code of design.md."""
    logs.configure("WARNING")
    try:
        app()
    except (ConfigError, LedgerVersionError, NotFoundError) as error:
        typer.echo(str(error), err=True)
        sys.exit(ExitCode.USAGE)
    except OsteonError as error:
        typer.echo(str(error), err=True)
        sys.exit(ExitCode.UNEXPECTED)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """A DICOM node that finds low bone density in scans taken for something else. Research use."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def process(
    paths: PathsArgument,
    out: Annotated[Path, typer.Option("--out", help="Where the report, the result objects and the page are written.")],
    config: ConfigOption = None,
    segmenter: Annotated[
        str | None,
        typer.Option(
            help="Another segmenter than the configured one: classical, network, both (network as second reader), totalsegmentator, masks."
        ),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="With --segmenter masks: a NIfTI mask or DICOM SEG, or a folder of them.", exists=True)
    ] = None,
    numbering: Annotated[str | None, typer.Option(help="Of the labels of --masks: verse, ctspine1k or totalsegmentator.")] = None,
    allow_simulated: Annotated[
        bool, typer.Option("--allow-simulated", help="Let a model measure or predict that was trained on simulated patients or anatomy.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Process studies from disk: decision, findings, SEG, SR, text report and the page's PNG. Exit code: 0 result, 3 refused."""
    from node.offline import find_studies, process_studies  # SimpleITK and highdicom load only here

    settings = _with_segmenter(_config(config), segmenter, masks, numbering)
    if allow_simulated:
        settings = settings.model_copy(update={"bundles": settings.bundles.model_copy(update={"allow_simulated": True})})
    with _progress() as progress:
        task = progress.add_task("reading", total=None)
        found = find_studies(paths)
        progress.update(task, description="studies", total=len(found.studies) or 1)
        results = process_studies(found, settings, out, lambda _: progress.advance(task))
    for report, _ in results:
        if as_json:
            typer.echo(json.dumps(report, ensure_ascii=False))
        else:
            print_report(Console(), report)
    raise typer.Exit(max(code for _, code in results))


@app.command()
def route(paths: PathsArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Print the decision alone, every route explained. Exit code: 0 matched, 3 when a study matches no route."""
    from node.offline import find_studies, route_studies

    found = find_studies(paths)
    decisions = route_studies(found, _config(config))
    for decision in decisions:
        if as_json:
            considered = [{"route": item.route, "matched": item.matched, "because": item.because} for item in decision.considered]
            typer.echo(json.dumps({"study_uid": decision.study_instance_uid, "route": decision.route, "decision": considered}))
        else:
            print_decision(Console(), decision)
    for item in found.skipped:
        typer.echo(f"skipped {item.path}: {item.reason.code}: {item.reason.text}", err=True)
    raise typer.Exit(ExitCode.RESULT if decisions and all(item.route for item in decisions) else ExitCode.REFUSED)


@app.command()
def serve(config: ConfigOption = None) -> None:
    """Run the node until SIGTERM or Ctrl-C."""
    from node.app import Node

    settings = _config(config)
    logs.configure(settings.logging.level)
    Node(settings).serve_forever()


@app.command()
def demo(
    keep: Annotated[Path | None, typer.Option("--keep", help="Keep everything in this folder instead of a temporary one.")] = None,
) -> None:
    """Start a node and a small PACS on loopback, send simulated patients, wait for the results. Exit code: 0 when all reached the PACS."""
    from node.demo import run_demo

    raise typer.Exit(run_demo(keep, Console()))


@app.command()
def studies(
    config: ConfigOption = None,
    state: Annotated[StudyState | None, typer.Option(help="Only studies in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the latest first.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List the studies of the ledger: state, route, outcome, deliveries."""
    with _ledger(config) as ledger:
        found = ledger.studies(state=state, limit=limit)
    if as_json:
        for item in found:
            typer.echo(json.dumps(plain(item)))
    else:
        print_studies(Console(), found)


@app.command()
def show(uid: Annotated[str, typer.Argument(help="Study Instance UID.")], config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show one study: the decision, every run, findings, objects, deliveries, and what happened when."""
    with _ledger(config) as ledger:
        report = ledger.study(uid)
    if as_json:
        typer.echo(json.dumps(plain(report)))
    else:
        print_study(Console(), report)


@app.command()
def retry(uid: Annotated[str, typer.Argument(help="Study Instance UID.")], config: ConfigOption = None) -> None:
    """Route and measure a study again, and send again what its destinations did not take. The running node picks it up."""
    with _ledger(config) as ledger:
        ledger.retry(uid, datetime.now(UTC))
    typer.echo(f"study {uid} will run again")


@app.command()
def deliveries(
    config: ConfigOption = None,
    state: Annotated[DeliveryState | None, typer.Option(help="Only deliveries in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the latest first.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List deliveries: what went where, and what is tried again when. Exit code: 4 when one failed for good."""
    with _ledger(config) as ledger:
        found = ledger.deliveries(states=[state] if state is not None else None, limit=limit)
    if as_json:
        for item in found:
            typer.echo(json.dumps(plain(item)))
    else:
        print_deliveries(Console(), found)
    failed = any(item.state in (DeliveryState.REJECTED, DeliveryState.GAVE_UP) for item in found)
    raise typer.Exit(ExitCode.NOT_DELIVERED if failed else ExitCode.RESULT)


@config_app.command("check")
def config_check(path: Annotated[Path | None, typer.Argument(help="The file to check.")] = None, config: ConfigOption = None) -> None:
    """Validate a configuration file; a mistake is named with its line and key. Exit code: 0 valid, 2 not."""
    chosen = path or config or find_config()
    settings = load_config(chosen)
    routes = ", ".join(item.name for item in settings.routes) or "none"
    destinations = ", ".join(f"{item.name} ({item.ae_title}@{item.host}:{item.port})" for item in settings.destinations) or "none"
    typer.echo(f"{chosen}: valid. Listens as {settings.receiver.ae_title}@{settings.receiver.host}:{settings.receiver.port}.")
    typer.echo(f"routes: {routes}; destinations: {destinations}; configuration hash {settings.sha256[:12]}")


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON Schema of config.yaml, for editors."""
    typer.echo(json.dumps(Config.model_json_schema(), indent=2))


def _config(path: Path | None) -> Config:
    return load_config(path or find_config())


def _ledger(config: Path | None) -> Ledger:
    return Ledger.attach(_config(config).storage.ledger.get_secret_value())


def _with_segmenter(settings: Config, segmenter: str | None, masks: Path | None, numbering: str | None) -> Config:
    """The settings with what the command line says of the segmenter; masks that are named are used.

    Raises
    ------
    ConfigError
        There is no such segmenter or numbering, or it needs a setting that there is not.
    """
    segmenter = segmenter or ("masks" if masks is not None else None)
    values = settings.model_dump()
    ct = values["workflows"]["ct"]
    ct["segmenter"] = segmenter or ct["segmenter"]
    ct["masks"]["path"] = masks.resolve() if masks is not None else ct["masks"]["path"]
    ct["masks"]["numbering"] = numbering or ct["masks"]["numbering"]
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        said = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
        asked = " ".join(f"--{name} {value}" for name, value in (("segmenter", segmenter), ("numbering", numbering)) if value)
        raise ConfigError(f"{asked}: {said}") from None


def _progress() -> Progress:
    """A progress bar on stderr that stays silent where stderr is no terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )


if __name__ == "__main__":
    main()
