"""How surely a chest film is recognised, turned and told from other films, on simulated patients.

    python -m benchmarks.cxr_recognition --patients 8

Each patient gives a PA film, a portable AP film, a lateral film and one of the abdomen, in one of three gradations, decentred, with
fields of various sizes. Each film is decided as made and lying otherwise (turned or inverted against its header, perhaps mirrored, with a
border), always with an empty header. The limits in ``inference.cxr.recognise`` were set on other patients (seed 11) than are judged here
(seed 23).
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inference.cxr.area import find_area
from inference.cxr.fit import ThoraxFit, fit_thorax
from inference.cxr.recognise import check_fit, side_of
from inference.cxr.turns import Turn
from inference.cxr.view import HeaderView
from inference.errors import Refusal
from inference.radiograph_pixels import RadiographPixels
from training.simulation.cohort import sample_cohort
from training.simulation.parameters import PatientParameters
from training.simulation.xray import ChestFilmParameters, Gradation, View, portable, simulate_chest_film

SILENT = HeaderView(view=None, because="the header is empty", chest=False, rows_run_left=None, spacing_mm=None)
KINDS = ("PA", "AP portable", "lateral", "abdomen")
FRONTAL = KINDS[:2]
SEED = 23


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One film in one position: what was decided, and what was measured."""

    kind: str
    altered: bool
    outcome: str
    fit: ThoraxFit


def films(patient: PatientParameters, index: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The four films of a patient, 0 to 1."""
    rng = np.random.default_rng((SEED, index))
    gradation = (Gradation.STANDARD, Gradation.SOFT, Gradation.SHARP)[index % 3]
    across, along = float(rng.uniform(-15, 15)), float(rng.uniform(-20, 20))
    plain = ChestFilmParameters(
        paint_spacing_mm=3.0,
        pixel_spacing_mm=1.2,
        gradation=gradation,
        decentring_mm=(across, along),
        width_mm=float(rng.uniform(340, 420)),
        height_mm=float(rng.uniform(360, 430)),
    )
    size = {"width_mm": plain.height_mm, "height_mm": plain.width_mm}
    acquisitions = (
        plain,
        portable(paint_spacing_mm=3.0, pixel_spacing_mm=1.2, decentring_mm=(across, along), **size),
        replace(plain, view=View.LATERAL, width_mm=340.0),
        replace(plain, view=View.AP, decentring_mm=(across, along - 330.0), marker="R"),
    )
    for kind, acquisition in zip(KINDS, acquisitions, strict=True):
        film = simulate_chest_film(patient, acquisition)
        yield kind, np.asarray(film.image / np.float32(2**acquisition.bits_stored - 1), dtype=np.float32)


def judge(kind: str, film: NDArray[np.float32], rng: np.random.Generator | None) -> Judged:
    """Decide on a film as made, or, with a generator, lying in a position that it draws."""
    turn, negative = Turn(), False
    if rng is not None:
        quarters, negative = ((1, False), (2, False), (3, False), (0, True))[int(rng.integers(4))]
        turn = Turn(quarters=quarters, mirrored=bool(rng.integers(2)))
        film = 1 - film if negative else film
        film = np.rot90(film[:, ::-1] if turn.mirrored else film, -turn.quarters)
        film = np.pad(film, [tuple(rng.integers(0, 40, 2)) for _ in range(2)], constant_values=float(rng.integers(2)))
    grey = np.ascontiguousarray(film)
    everywhere = np.ones(grey.shape, dtype=np.bool_)
    pixels = RadiographPixels(grey=grey, known=everywhere, coloured=~everywhere, said="")
    fit = fit_thorax(grey, find_area(pixels).shown)
    return Judged(kind=kind, altered=rng is not None, outcome=_outcome(kind, fit, turn, negative), fit=fit)


def _outcome(kind: str, fit: ThoraxFit, turn: Turn, negative: bool) -> str:
    try:
        check_fit(fit, SILENT)
    except Refusal:
        return "refused"
    if kind not in FRONTAL:
        return "used, wrongly"
    mirrored, certain, _ = side_of(fit, SILENT)
    if (fit.best.quarters, fit.best.negative) != (turn.quarters, negative):
        return "used, wrong way up"
    if not certain:
        return "used, side left open"
    return "used, as it should" if mirrored == turn.mirrored else "used, wrong side"


def table(judged: list[Judged]) -> str:
    """Outcomes and the range of what was measured, by kind and position."""
    lines = ["| film | position | films | outcome | fit | lead | column over lungs |", "|---|---|---|---|---|---|---|"]
    for kind in KINDS:
        for altered in (False, True):
            some = [item for item in judged if (item.kind, item.altered) == (kind, altered)]
            if some:
                outcomes = ", ".join(f"{count} {name}" for name, count in Counter(item.outcome for item in some).most_common())
                ranges = (
                    [item.fit.best.score for item in some],
                    [item.fit.lead for item in some if item.fit.runner_up > -1],
                    [item.fit.column_over_lungs for item in some],
                )
                spans = " | ".join(f"{min(values):.2f} to {max(values):.2f}" if values else "-" for values in ranges)
                lines.append(f"| {kind} | {'altered' if altered else 'as made'} | {len(some)} | {outcomes} | {spans} |")
    return "\n".join(lines)


def main() -> None:
    """Simulate, decide, print."""
    parser = argparse.ArgumentParser(description="recognition of simulated chest films")
    parser.add_argument("--patients", type=int, default=8)
    patients = parser.parse_args().patients
    judged: list[Judged] = []
    for index, member in enumerate(sample_cohort(patients, SEED)):
        rng = np.random.default_rng((SEED, index, 1))
        for kind, film in films(member.patient, index):
            judged += [judge(kind, film, None), judge(kind, film, rng)]
        sys.stderr.write(f"\r{index + 1}/{patients}")
    sys.stdout.write(f"\n{table(judged)}\n")


if __name__ == "__main__":
    main()
