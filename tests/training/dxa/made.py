"""Cases that are made, not painted: a column whose grey follows the T-score."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from inference.bundles import TrainedOn
from training.data.labels import who_label
from training.dxa.cases import LARGE, SMALL, Case, Prepared
from training.dxa.data import DataOptions, Dealt, dealt
from training.dxa.options import DxaOptions, paper_loop

DEVICES = ("Hologic", "GE Lunar", "MEDIX")


def case(number: int, t_score: float, patient: str | None = None) -> Case:
    """A bright column of grey ``0.6 + 0.08 T`` on dark, with a little noise."""
    rng = np.random.default_rng(number)

    def crop(size: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
        grey = np.full(size, 0.2) + rng.normal(0, 0.01, size)
        grey[:, size[1] // 3 : -size[1] // 3] += 0.4 + 0.08 * t_score
        return np.clip(grey, 0, 1).astype(np.float16)

    return Case(
        patient=patient or f"made-{number}",
        image=crop(SMALL),
        large=crop(LARGE),
        label=who_label(t_score),
        t_score=t_score,
        device=DEVICES[number % len(DEVICES)],
    )


def cases(t_scores: Sequence[float], first: int = 0) -> tuple[Case, ...]:
    """One case for each T-score, each a patient."""
    return tuple(case(first + index, t_score) for index, t_score in enumerate(t_scores))


def spread(count: int) -> tuple[Case, ...]:
    """T-scores from -4 to -0.5, in turn."""
    return cases([round(-4 + 3.5 * (index * 7 % count) / count, 3) for index in range(count)])


def options(**changes: object) -> DxaOptions:
    """The narrowest 21-layer network for two epochs, without augmentation."""
    loop = replace(paper_loop(2), device="cpu", learning_rate=3e-3)
    given: dict[str, object] = {"width": 0.0625, "batch": 4, "augmentation": "none", "loop": loop}
    return DxaOptions(**(given | changes))  # type: ignore[arg-type]


def dealt_cases(found: Sequence[Case], folder: Path, seed: int = 0, folds: int = 5) -> Dealt:
    """Cases dealt as a run deals them."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = dealt(tuple(found), DataOptions(source=Path("unused"), seed=seed, folds=folds), folder / "split.json", {})
    return Dealt(
        prepared=Prepared(cases=tuple(found), skipped=()), parts=parts, trained_on=TrainedOn.SIMULATED_PATIENTS, description="made cases"
    )
