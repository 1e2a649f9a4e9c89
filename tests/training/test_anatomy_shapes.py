"""Sizes of the simulated bodies beside those of an expert's mask of a real spine; that mask is for checking alone.

``python -m tests.training.test_anatomy_shapes`` prints the table.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from tests.paths import real_image
from training.simulation import PatientParameters
from training.simulation.body import paint_anatomy

pytestmark = pytest.mark.unit

LEVELS = {16: "T9", 17: "T10", 18: "T11", 19: "T12", 20: "L1", 21: "L2", 22: "L3", 23: "L4", 24: "L5"}
INTACT = ("T11", "T12", "L2", "L3", "L4", "L5")
"""T9, T10 and L1 of that patient have lost height, and its lower discs are narrow."""
STEP_MM = 0.5
Point = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Of one body, mm; ``spacing_mm`` is the distance to the centre of the next lower body, ``disc_mm`` the gap between them."""

    height_mm: float
    depth_mm: float
    width_mm: float
    spacing_mm: float = float("nan")
    disc_mm: float = float("nan")


def measure(mask: NDArray[np.bool_], centre_mm: Point, up: Point, behind: Point, spacing_mm: Point) -> Sizes:
    """Extents of a mask along lines through its centre: up and down, front and back, and sideways a little below the pedicles."""
    side = np.cross(up, behind)

    def reach(start: Point, direction: Point) -> float:
        steps = np.arange(0, 45, STEP_MM)
        points = np.rint((start + steps[:, None] * direction) / spacing_mm).astype(int)
        inside = np.all((points >= 0) & (points < mask.shape), axis=1)
        hit = np.zeros(len(steps), bool)
        hit[inside] = mask[tuple(points[inside].T)]
        return float(steps[np.flatnonzero(~hit)[0]]) if not hit.all() else float(steps[-1])

    def across(start: Point, direction: Point) -> float:
        return reach(start, direction) + reach(start, -direction) - STEP_MM

    offsets = [a * side + b * behind for a in (-6, 0, 6) for b in (-5, 0, 5)]
    height = float(np.median([across(centre_mm + offset, up) for offset in offsets]))
    depth = float(np.median([across(centre_mm + a * up + b * side, behind) for a in (-3, 0, 3) for b in (-2, 0, 2)]))
    width = float(np.median([across(centre_mm + down * up + ahead * behind, side) for down in (-7, -5, -3) for ahead in (-4, -1, 2)]))
    return Sizes(height_mm=height, depth_mm=depth, width_mm=width)


def expert() -> Mapping[str, Sizes]:
    """Sizes in the expert's mask, whose axes run backwards, downwards and to the right."""
    folder = "ct/verse004_mask/sub-verse004_"
    image = SimpleITK.ReadImage(str(real_image(f"{folder}seg-vert_msk.nii.gz")))
    labels = SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0)
    spacing = np.array(image.GetSpacing(), dtype=np.float64)  # type: ignore[no-untyped-call]
    entries = json.loads(real_image(f"{folder}seg-subreg_ctd.json").read_text())[1:]
    centres = {int(entry["label"]): np.array([entry["X"], entry["Y"], entry["Z"]]) * spacing for entry in entries}
    frames = {}
    for label, centre in centres.items():
        above, below = centres.get(label - 1, centre), centres.get(label + 1, centre)
        up = (above - below) / np.linalg.norm(above - below)
        behind = np.array([1.0, 0, 0]) - up[0] * up
        frames[label] = (centre, up, behind / np.linalg.norm(behind))
    found = {LEVELS[label]: measure(labels == label, *frame, spacing) for label, frame in frames.items()}
    return with_gaps(found, {LEVELS[label]: centre for label, (centre, _, _) in frames.items()})


def simulated(scale: float) -> Mapping[str, Sizes]:
    """Sizes of painted bodies, measured in the same way."""
    patient = PatientParameters(seed=5, body_scale=scale, age_years=40)
    painted = paint_anatomy(patient, spacing_mm=1.5, z_range_mm=(-120.0 * scale, 230.0 * scale))
    labels, spacing = painted.bodies.transpose(2, 1, 0), np.full(3, 1.5)
    origin = painted.affine[:3, 3]
    found, centres = {}, {}
    for number, vertebra in enumerate(painted.spine.vertebrae, start=1):
        if vertebra.name in LEVELS.values():
            centres[vertebra.name] = vertebra.frame.origin
            found[vertebra.name] = measure(
                labels == number, vertebra.frame.origin - origin, vertebra.frame.axes[:, 2], vertebra.frame.axes[:, 1], spacing
            )
    return with_gaps(found, centres)


def with_gaps(found: Mapping[str, Sizes], centres: Mapping[str, Point]) -> Mapping[str, Sizes]:
    """The same with the distances to the next lower bodies."""
    out = dict(found)
    for above, below in pairwise(found):
        spacing = float(np.linalg.norm(centres[above] - centres[below]))
        size = found[above]
        out[above] = Sizes(
            height_mm=size.height_mm,
            depth_mm=size.depth_mm,
            width_mm=size.width_mm,
            spacing_mm=spacing,
            disc_mm=spacing - (size.height_mm + found[below].height_mm) / 2,
        )
    return out


def same_scale(real: Mapping[str, Sizes]) -> float:
    """The size of skeleton whose bodies are as high, wide and deep on average as the real ones."""
    unit = simulated(1.0)
    ratios = [
        getattr(real[level], part) / getattr(unit[level], part)
        for level in LEVELS.values()
        for part in ("height_mm", "depth_mm", "width_mm")
    ]
    return float(np.mean(ratios))


def test_bodies_have_the_proportions_of_a_real_spine() -> None:
    real = expert()
    ours = simulated(same_scale(real))
    for level in INTACT:
        assert ours[level].height_mm == pytest.approx(real[level].height_mm, rel=0.12), level
        assert ours[level].depth_mm == pytest.approx(real[level].depth_mm, rel=0.12), level
        assert ours[level].width_mm == pytest.approx(real[level].width_mm, rel=0.12), level
    for level in ("T11", "L2", "L3", "L4"):
        assert ours[level].spacing_mm == pytest.approx(real[level].spacing_mm, rel=0.18), level
        assert ours[level].disc_mm == pytest.approx(real[level].disc_mm, abs=7), level


if __name__ == "__main__":
    table = expert()
    size = same_scale(table)
    beside = simulated(size)
    print(f"real / simulated at scale {size:.3f}, mm\nlevel   height       depth        width        spacing      disc")
    for level in LEVELS.values():
        row = [f"{getattr(table[level], part):5.1f}/{getattr(beside[level], part):5.1f}" for part in Sizes.__dataclass_fields__]
        print(f"{level:<6}", "  ".join(row))
