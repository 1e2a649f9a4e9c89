"""The command ``osteon``."""

import json
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from inference import __version__
from node.config import Config
from node.config_file import find_config, load_config
from node.console import print_decision, print_report
from node.errors import ConfigError, ExitCode, NotFoundError, OsteonError

app = typer.Typer(
    name="osteon",
    help="A DICOM node that finds low bone density in scans taken for something else. Research use.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Check config.yaml, or print its JSON Schema.", no_args_is_help=True)
app.add_typer(config_app, name="config")

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="config.yaml; ./config.yaml or the shipped one when absent.")]
PathsArgument = Annotated[list[Path], typer.Argument(help="DICOM files or folders.", exists=True)]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout; everything else goes to stderr.")]


def main() -> None:
    """Run the command; errors become one line on stderr and the exit code of design.md."""
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    try:
        app()
    except (ConfigError, NotFoundError) as error:
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
    segmenter: Annotated[str | None, typer.Option(help="Another segmenter than the configured one.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Process studies from disk: decision, findings, SEG, SR, text report and the page's PNG. Exit code: 0 result, 3 refused."""
    from node.offline import find_studies, process_studies  # SimpleITK and highdicom load only here

    settings = _with_segmenter(_config(config), segmenter)
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


def _with_segmenter(settings: Config, segmenter: str | None) -> Config:
    if segmenter is None:
        return settings
    values = settings.model_dump()
    values["workflows"]["ct"]["segmenter"] = segmenter
    try:
        return Config.model_validate(values)
    except ValueError:
        raise ConfigError(f"--segmenter {segmenter}: there is no such segmenter; known: classical") from None


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
