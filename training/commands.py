"""What ``osteon train`` and ``osteon evaluate`` ask for and check alike, whatever is trained."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from training.errors import TrainingError
from training.loop.options import DeviceName
from training.simulation.population import CohortParameters

SIMULATED = "simulated"
"""What ``--data`` says instead of a path."""

DeviceOption = Annotated[DeviceName, typer.Option(help="Where to train; auto takes CUDA where there is one.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Settles patients, split, weights, order and augmentation.")]
OtherSeedOption = Annotated[int, typer.Option(min=0, help="Another seed, other patients.")]
RestartOption = Annotated[bool, typer.Option("--restart", help="Begin anew instead of going on from the last checkpoint.")]
ProgressOption = Annotated[bool, typer.Option(help="Show progress bars.")]
JobsOption = Annotated[int, typer.Option(min=1, help="Processes that prepare cases.")]
CacheOption = Annotated[Path | None, typer.Option(help="Folder of prepared cases that several runs share.")]


def bundle_target(out: Path) -> Path:
    """Where the bundle of the run in ``out`` will lie; refused before an hour is spent, not after.

    Raises
    ------
    TrainingError
        It is there already.
    """
    target = out / "bundle"
    if target.exists():
        raise TrainingError(f"{target} exists; bundles are never overwritten: delete it or choose another --out")
    return target


def cohort_named(name: str, known: Mapping[str, CohortParameters]) -> CohortParameters:
    """A simulated population by name.

    Raises
    ------
    TrainingError
        There is none of that name.
    """
    if name not in known:
        raise TrainingError(f"--cohort {name}: there is no such cohort; known: {', '.join(known)}")
    return known[name]
