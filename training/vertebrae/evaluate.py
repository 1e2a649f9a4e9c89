"""How well a vertebrae bundle does on simulated scans that it has not seen: Dice and core HU of each body, names right and wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.ct.measure import measure_bodies
from inference.ct.options import CtOptions
from inference.ct.segmentation.base import Segmenter
from inference.errors import Refusal
from inference.findings import RoiKind
from training.simulation import SimulatedCt, simulate_ct
from training.simulation.parameters import FieldOfView
from training.simulation.patients import sample_patients

MIN_OVERLAP = 0.3
SEED = 77
NEAR_HU = 5.0


@dataclass(frozen=True, kw_only=True)
class BodyScore:
    """One true whole body and what the reader made of it.

    Attributes
    ----------
    dice
        Of the body that overlaps it most; 0 where none does.
    error_hu
        Median of its 6 mm core minus the truth; None where either has none.
    said, certain
        The name it was given.
    """

    patient: int
    level: str
    dice: float
    error_hu: float | None
    said: str | None
    certain: bool

    @property
    def wrong(self) -> bool:
        """A certain name that is not its own."""
        return self.certain and self.said != self.level


def score_patient(number: int, scan: SimulatedCt, segmenter: Segmenter) -> list[BodyScore]:
    """A score for each sound body that lies wholly in the scan; all 0 where the reader refuses."""
    sound = [level for level in scan.truth.levels if level.whole and not level.altered]
    try:
        found = segmenter.segment(scan.volume)
    except Refusal:
        return [BodyScore(patient=number, level=level.name, dice=0.0, error_hu=None, said=None, certain=False) for level in sound]
    medians = {body.vertebra.label: body.median_hu(RoiKind.CORE) for body in measure_bodies(scan.volume, found, CtOptions()).bodies}
    scores = []
    for level in sound:
        true = scan.truth.bodies == level.label
        label, dice = best_match(found.bodies, true)
        body = next((vertebra for vertebra in found.vertebrae if vertebra.label == label), None)
        if body is None or dice < MIN_OVERLAP:
            scores.append(BodyScore(patient=number, level=level.name, dice=dice, error_hu=None, said=None, certain=False))
            continue
        measured, expected = medians.get(label), level.trabecular_median_hu
        error = None if measured is None or expected is None else measured - expected
        scores.append(BodyScore(patient=number, level=level.name, dice=dice, error_hu=error, said=body.level, certain=body.level_certain))
    return scores


def best_match(bodies: NDArray[np.uint8], true: NDArray[np.bool_]) -> tuple[int, float]:
    """The label that overlaps ``true`` most and their Dice; (0, 0) without overlap."""
    counts = np.bincount(bodies[true].ravel(), minlength=1)
    counts[0] = 0
    label = int(counts.argmax())
    if counts[label] == 0:
        return 0, 0.0
    return label, 2 * float(counts[label]) / float(true.sum() + (bodies == label).sum())


def score_cohort(segmenter: Segmenter, patients: int, seed: int = SEED) -> list[BodyScore]:
    """Scores over ``patients`` abdomens and as many chests, of patients that no training run draws."""
    scores: list[BodyScore] = []
    for view in (FieldOfView.ABDOMEN, FieldOfView.CHEST):
        for number, (patient, acquisition) in enumerate(sample_patients(patients, seed, view)):
            scores.extend(score_patient(number, simulate_ct(patient, acquisition), segmenter))
    return scores


def table(scores: Sequence[BodyScore]) -> str:
    """Markdown: one row per region of the spine."""
    rows = [
        "| bodies | n | found | Dice mean | Dice worst | median within 5 HU | certain names | of them wrong |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for region in ("T", "L"):
        mine = [score for score in scores if score.level.startswith(region)]
        found = [score for score in mine if score.dice >= MIN_OVERLAP]
        errors = [abs(score.error_hu) for score in found if score.error_hu is not None]
        if not mine or not found:
            continue
        dices = [score.dice for score in found]
        named, wrong = sum(score.certain for score in mine), sum(score.wrong for score in mine)
        near = f"{sum(error <= NEAR_HU for error in errors)}/{len(errors)}"
        name = "thoracic" if region == "T" else "lumbar"
        rows.append(f"| {name} | {len(mine)} | {len(found)} | {np.mean(dices):.3f} | {min(dices):.2f} | {near} | {named} | {wrong} |")
    return "\n".join(rows)
