"""What one chest film costs: from its file to its SR, text and page, in seconds and megabytes; and what the paper's full size would.

usage: python -m benchmarks.cxr_cost [--repeat 5] [--bundles FOLDER] [--full] [--networks 16]

A simulated film of 1900 x 2000 pixels is written, then read by a process of its own that loads the models once and processes it several
times; its peak resident memory is that of the whole process. Beside it stands the command ``osteon process``, which starts anew. The models
are ``cxr-landmarks`` and ``cxr-bmd``, the shipped ones or those of a site's folder. ``--full``: the networks at the paper's size (VGG-16,
regions of 256 pixels, four networks for each of four vertebrae; landmarks on a whole ResNet-18), with weights that nobody trained, for
seconds do not depend on weights; ``--networks 4`` measures one vertebra's. Wall clock means something on an idle machine alone; the
processor's seconds always do.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.cost import BUNDLES, Cost, command_anew, config_text, cost_in_a_process, processing, repeated
from training.simulation.parameters import PatientParameters
from training.simulation.xray.film import ChestFilmParameters, simulate_chest_film
from training.simulation.xray.film_dicom import write_film

ROUTE = "{name: cxr, workflow: cxr, match: {modality: [CR, DX]}}"
MAX_S, MAX_MB = 3.0, 1536.0
"""What the node promises of one film once the models are loaded, and of the process."""


def main() -> None:
    """Print the table; exit status 1 where a film takes longer, or the process more memory, than promised (the full size is not judged)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--bundles", type=Path, default=BUNDLES, help="Folder of a site's bundles.")
    parser.add_argument("--full", action="store_true", help="Also the networks at the paper's size: about a minute a film.")
    parser.add_argument("--networks", type=int, default=16, help="Of the full size: four for each vertebra.")
    parser.add_argument("--measure", choices=("node", "full"), help=argparse.SUPPRESS)  # in a process of its own
    parser.add_argument("--study", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure is not None:
        found = (
            measure_node(given.study, given.bundles, given.repeat)
            if given.measure == "node"
            else measure_full(given.study, given.repeat, given.networks)
        )
        print(json.dumps(asdict(found)))
        return
    with tempfile.TemporaryDirectory(prefix="osteon-bench-") as name:
        study = write_study(Path(name))
        costs = [_alone("node", study, given, given.repeat), command_anew(study, config_text(ROUTE, given.bundles))]
        costs += [_alone("full", study, given, 1)] if given.full else []
    print_table(costs)
    judged = costs[:2]
    slow = max(judged[0].study_s[1:] or judged[0].study_s) > MAX_S or max(cost.peak_mb for cost in judged) > MAX_MB
    sys.exit(f"more than {MAX_S:g} s or {MAX_MB:g} MB" if slow else 0)


def write_study(folder: Path) -> Path:
    """A film as large as a detector of 35 x 43 cm gives at 0.2 mm; its true landmarks beside it."""
    film = simulate_chest_film(PatientParameters(seed=2, trabecular_hu=95.0, age_years=71), film_parameters())
    write_film(film, folder / "study")
    (folder / "landmarks.json").write_text(json.dumps({name: list(place) for name, place in film.landmarks.items()}))
    return folder / "study"


def film_parameters() -> ChestFilmParameters:
    """0.2 mm a pixel."""
    return ChestFilmParameters(paint_spacing_mm=2.0, pixel_spacing_mm=0.2)


def _alone(what: str, study: Path, given: argparse.Namespace, repeat: int) -> Cost:
    options = ("--bundles", str(given.bundles), "--repeat", str(repeat), "--networks", str(given.networks))
    return cost_in_a_process("benchmarks.cxr_cost", "--measure", what, "--study", str(study), *options)


def measure_node(study: Path, folder: Path, repeat: int) -> Cost:
    """Load the models, then process the film again and again, each time from its file to its objects on disk."""
    begun = time.perf_counter()
    from inference.bundles import load_network
    from inference.cxr.measure import open_models
    from node.config_file import parse_config
    from node.pipeline import cxr_options

    text = config_text(ROUTE, folder)
    once = processing(study, text)
    models = open_models(cxr_options(parse_config(text)))
    load_network(models.landmarks)
    load_network(models.density)
    name = " and ".join(f"{bundle.name} {bundle.metadata.osteon.version}" for bundle in (models.landmarks, models.density))
    return repeated(name, time.perf_counter() - begun, repeat, once)


def measure_full(study: Path, repeat: int, networks: int) -> Cost:
    """The same film read by untrained networks of the paper's size: decided, landmarks, regions, densities; no object is written."""
    begun = time.perf_counter()
    import torch

    from inference.cxr.estimate import estimate_density
    from inference.cxr.locate import find_landmarks, to_fractions
    from inference.cxr.network import DensityEnsemble
    from inference.cxr.recognise import decide_film
    from inference.cxr.rois import LANDMARKS
    from inference.reading import read_header
    from training.cxr.cases import on_film
    from training.cxr.landmark_task import LandmarkOptions

    path = next(study.iterdir())
    film = decide_film(read_header(path)).film
    if film is None:
        sys.exit("the film is not used")
    places = json.loads((study.parent / "landmarks.json").read_text())
    true = on_film(np.array([places[name] for name in LANDMARKS]), film.to_stored)
    ensemble = DensityEnsemble(in_channels=15, out_channels=networks).eval()
    finder = _finder(torch.from_numpy(to_fractions(true, (film.image.shape[0], film.image.shape[1]))).float(), LandmarkOptions())
    targets = [f"l{1 + number // 4}_fold{1 + number % 4}_bmd_g_cm2" for number in range(networks)]

    def read(_: Path) -> str:
        again = decide_film(read_header(path)).film
        if again is not None:
            estimate_density(again.image, find_landmarks(again.image, finder), ensemble, targets, 256)
        return f"{networks} networks"

    return repeated("the paper's size, untrained", time.perf_counter() - begun, repeat, read)


def _finder(shape: Any, options: Any) -> Any:
    """An untrained landmark network of full width: it answers with the shape that it begins with."""
    from inference.cxr.landmarks import LandmarkGraph

    finder = LandmarkGraph(**options.network_arguments()).eval()
    finder.set_initial(shape)
    return finder


def print_table(costs: list[Cost]) -> None:
    """Seconds of the first and of the median later film, the processor's own (others may run beside), and peak memory."""
    names = ("film of 1900 x 2000 pixels", "outcome", "load s", "first s (CPU)", "later s (CPU)", "peak MB")
    table = Table(*names, title=f"One chest film ({os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')})")
    for cost in costs:
        table.add_row(cost.name, cost.outcome, f"{cost.load_s:.1f}", cost.first_words, cost.later_words, f"{cost.peak_mb:.0f}")
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
