"""What the commands on chest films ask for alike: which simulated patients, on which films, where these are kept."""

from pathlib import Path
from typing import Annotated

import typer

from training.cxr.simulated import COHORTS_OF_CXR

HELD_OUT_SEED = 771
"""Patients to evaluate on come from another seed than those to learn from."""
KEPT_FILMS = Path(".osteon-films")

CohortOption = Annotated[str, typer.Option(help=f"Simulated population: {', '.join(COHORTS_OF_CXR)}.")]
PaintSpacingOption = Annotated[float, typer.Option(help="Voxels of the painted bodies.")]
PixelSpacingOption = Annotated[float, typer.Option(help="Pixels of the simulated films.")]
FilmJobsOption = Annotated[int, typer.Option(min=1, help="Processes that prepare films.")]
FilmCacheOption = Annotated[Path | None, typer.Option(help="Folder of prepared films that several runs share.")]
KeptFilmsOption = Annotated[Path, typer.Option(help="Folder of prepared films.")]
