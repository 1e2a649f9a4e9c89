"""The research commands ``simulate``, ``train``, ``evaluate``, ``pair`` and ``manifest``, which the node mounts: ``osteon simulate`` ...

Each command's function lives with what it runs and loads when it is called: nothing heavy is imported here.
"""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any

import typer

from inference.errors import OsteonError
from training.errors import TrainingError

UNEXPECTED, USAGE = 1, 2
"""Exit codes: anything else; bad usage, data or options."""

PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}
"""Everything behind the command's own arguments, ``--help`` too, belongs to the function that is called."""

_EXTRA_OF = {"dicomweb_client": "training", "pyarrow": "training", "schedulefree": "training", "tensorboard": "tensorboard"}


@dataclass(frozen=True, kw_only=True)
class Trainable:
    """A model that can be trained and evaluated.

    Attributes
    ----------
    summary
        One line for ``osteon train --help``.
    train, evaluate
        ``module:function``; each function is a Typer command with options of its own.
    """

    summary: str
    train: str
    evaluate: str


TRAINABLES: Mapping[str, Trainable] = MappingProxyType(
    {
        "vertebrae": Trainable(
            summary="the second reader: vertebrae, discs, ribs and pelvis in CT, from simulated anatomy alone",
            train="training.vertebrae.cli:train",
            evaluate="training.vertebrae.cli:evaluate",
        ),
        "medconv": Trainable(
            summary="MedConv: normal density, osteopenia or osteoporosis from the crop around L1 in CT",
            train="training.medconv.cli:train",
            evaluate="training.medconv.cli:evaluate",
        ),
        "tpswav-pretrain": Trainable(
            summary="TP-SwAV: an encoder of vertebrae in CT, learned from texture without labels; SwAV and MAE as its baselines",
            train="training.tpswav.cli:pretrain",
            evaluate="training.tpswav.cli:evaluate_pretraining",
        ),
        "tpswav": Trainable(
            summary="device experts with three tasks: density, osteoporosis and position of every vertebra in CT",
            train="training.tpswav.cli:train",
            evaluate="training.tpswav.cli:evaluate",
        ),
        "dxa": Trainable(
            summary="the 21-layer CNN and its baselines: osteoporosis from an AP spine DXA image",
            train="training.dxa.cli:train",
            evaluate="training.dxa.cli:evaluate",
        ),
        "cxr-landmarks": Trainable(
            summary="sixteen bony landmarks of a frontal chest film, by a topology-adapting graph network",
            train="training.cxr.landmark_cli:train",
            evaluate="training.cxr.landmark_cli:evaluate",
        ),
        "cxr": Trainable(
            summary="Attentive Multi-ROI: bone density of L1 to L4 from the bones on a frontal chest film",
            train="training.cxr.cli:train",
            evaluate="training.cxr.cli:evaluate",
        ),
    }
)
"""What can be trained, by name."""

_NAMES = "\n\n".join(f"{name}: {item.summary}" for name, item in TRAINABLES.items())

app = typer.Typer(
    name="osteon", help="Simulate, train, evaluate, pair.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)

NameArgument = Annotated[str, typer.Argument(help=f"Which model: {', '.join(TRAINABLES)}.", metavar="NAME")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; what cannot be used becomes one line on stderr and exit code 2.

    Raises
    ------
    SystemExit
        With the exit code.
    """
    try:
        app(args=None if arguments is None else list(arguments), prog_name="osteon")
    except OsteonError as error:
        typer.echo(str(error), err=True)
        sys.exit(USAGE if isinstance(error, TrainingError) else UNEXPECTED)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA_OF:
            raise
        typer.echo(f"this needs {missing}, an optional library: pip install 'osteon[{_EXTRA_OF[missing]}]'", err=True)
        sys.exit(USAGE)


@app.command(context_settings={**PASS_THROUGH, "help_option_names": []}, add_help_option=False)
def simulate(context: typer.Context) -> None:
    """Write simulated patients as DICOM, with their truth."""
    _call("training.simulation.command:simulate", context.args, "osteon simulate")


@app.command(context_settings=PASS_THROUGH, no_args_is_help=True, epilog=_NAMES)
def train(context: typer.Context, name: NameArgument) -> None:
    """Train a model. ``osteon train NAME --help`` lists its options."""
    _call(_trainable(name).train, context.args, f"osteon train {name}")


@app.command(context_settings=PASS_THROUGH, no_args_is_help=True, epilog=_NAMES)
def evaluate(context: typer.Context, name: NameArgument) -> None:
    """Evaluate a trained model. ``osteon evaluate NAME --help`` lists its options."""
    _call(_trainable(name).evaluate, context.args, f"osteon evaluate {name}")


@app.command(context_settings={**PASS_THROUGH, "help_option_names": []}, add_help_option=False)
def pair(context: typer.Context) -> None:
    """Pair CT or chest X-ray with DXA of the same patient, and write the manifest."""
    _call("training.pairing.cli:pair", context.args, "osteon pair")


@app.command(context_settings={**PASS_THROUGH, "help_option_names": []}, add_help_option=False)
def manifest(context: typer.Context) -> None:
    """Say how a table of studies reads, what it holds, and how its patients are dealt out."""
    _call("training.data.command:manifest", context.args, "osteon manifest")


def _trainable(name: str) -> Trainable:
    if name not in TRAINABLES:
        raise TrainingError(f"there is no model {name!r} to train; known: {', '.join(TRAINABLES)}")
    return TRAINABLES[name]


def load_function(reference: str) -> Callable[..., Any]:
    """The function behind ``module:function``."""
    module, _, function = reference.partition(":")
    loaded: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return loaded


def _call(reference: str, arguments: Sequence[str], program: str) -> None:
    """Run a function as a Typer command of its own: it parses what is left of the command line."""
    command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    command.command()(load_function(reference))
    command(args=list(arguments), prog_name=program)


if __name__ == "__main__":
    main()
