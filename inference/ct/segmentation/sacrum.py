"""The sacrum as an anchor of level names: its two alae, seen as bone beside the spine that reaches the pelvis on both sides."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.ct.segmentation.discs import Disc
from inference.ct.segmentation.grid import Floats
from inference.ct.segmentation.surroundings import VOXEL_ML, Surroundings, beside

THRESHOLDS_HU = (100.0, 120.0, 160.0, 200.0, 240.0)
MIN_VOLUME_ML = 20.0
MIN_REACH_MM = 70.0
MIN_MEAN_MM2 = 80.0
REGION_MM = 24.0
TOP_TO_DISC_MM = 14.0
SIDES_DIFFER_MM = 20.0
MEDIAL_MM = 3.0
BAND_MM = 20.0


@dataclass(frozen=True, kw_only=True)
class SacralAnchor:
    """Which disc is L5/S1.

    Attributes
    ----------
    disc
        Index of the L5/S1 disc, foot to head; None where the sacrum was not seen or does not settle it.
    seen
        True where bone like a sacrum was seen at all.
    because
        In words.
    """

    disc: int | None
    seen: bool
    because: str


def ala_areas(around: Surroundings, threshold_hu: float, side: int) -> Floats:
    """(along,) area in mm2 of pelvic bone in the 20 mm beside the column; 0 where the component is no pelvis."""
    bone = (around.hu > threshold_hu) & beside(around, side, MEDIAL_MM)
    labels, count = ndimage.label(bone)
    if count == 0:
        return np.zeros(len(around.along), dtype=np.float32)
    volumes = np.bincount(labels.ravel(), minlength=count + 1) * VOXEL_ML
    lateral = np.abs(around.left_mm)[None, None]
    pelvis = np.zeros(count + 1, dtype=bool)
    far = np.unique(labels[np.broadcast_to(lateral >= MIN_REACH_MM, labels.shape)])
    pelvis[far] = volumes[far] >= MIN_VOLUME_ML
    pelvis[0] = False
    band = beside(around, side, MEDIAL_MM) & ~beside(around, side, BAND_MM)
    near = band & ((around.ahead_mm > -45.0) & (around.ahead_mm < 25.0))[None, :, None]
    area = (pelvis[labels] & near).sum(axis=(1, 2)) * (around.left_mm[1] - around.left_mm[0]) ** 2
    return np.asarray(area, dtype=np.float32)


def top_of_ala(areas: Floats, step_mm: float) -> int | None:
    """The row where the area, going up from its peak, falls below half of it; None where no mass of bone lies beneath that row.

    A transverse process of L5 that touches the pelvis is smaller than the ala and set off from it by a dip.
    """
    if areas.size == 0:
        return None
    smooth = ndimage.gaussian_filter1d(areas, 3.0 / step_mm, mode="nearest")
    peak = int(np.argmax(smooth))
    below_half = np.nonzero(areas[peak:] < 0.5 * smooth[peak])[0]
    top = peak + (int(below_half[0]) - 1 if below_half.size else areas.size - 1 - peak)
    beneath = areas[max(0, top - round(REGION_MM / step_mm)) : top + 1]
    return max(top, peak) if float(beneath.mean()) >= MIN_MEAN_MM2 else None


def homogeneous(around: Surroundings, rows: NDArray[np.int64], side: int) -> bool:
    """True where what is beside the spine is as even as an enhanced organ: bone has a shell far denser than its inside."""
    region = np.broadcast_to(beside(around, side, MEDIAL_MM), around.hu.shape)[rows]
    values = around.hu[rows][region & (around.hu[rows] > THRESHOLDS_HU[0])]
    return bool(values.size == 0 or np.quantile(values, 0.9) < 260.0)


def find_sacrum(around: Surroundings, discs: list[Disc]) -> SacralAnchor:
    """The L5/S1 disc from the tops of both alae; every bone threshold that shows two alae must give the same disc."""
    step = float(around.along[1] - around.along[0]) if len(around.along) > 1 else 1.0
    votes: list[int | None] = []
    for threshold in THRESHOLDS_HU:
        tops = [top_of_ala(ala_areas(around, threshold, side), step) for side in (-1, 1)]
        right, left = tops
        if right is None or left is None:
            continue
        rows = np.arange(max(0, min(right, left) - round(REGION_MM / step)), min(right, left) + 1)
        if any(homogeneous(around, rows, side) for side in (-1, 1)):
            continue
        top_right, top_left = float(around.along[right]), float(around.along[left])
        if abs(top_right - top_left) <= SIDES_DIFFER_MM:
            votes.append(disc_at_top(0.5 * (top_right + top_left), discs))
    if not votes:
        return SacralAnchor(disc=None, seen=False, because="no sacrum in view")
    if None in votes or len(set(votes)) > 1:
        return SacralAnchor(disc=None, seen=True, because="sacrum in view, but its upper edge fits no single disc")
    return SacralAnchor(disc=votes[0], seen=True, because="sacrum: both alae end at the L5/S1 disc")


def disc_at_top(top: float, discs: list[Disc]) -> int | None:
    """The disc within 14 mm of the top of the alae; None where none fits."""
    if not discs:
        return None
    nearest = min(range(len(discs)), key=lambda n: abs(discs[n].along - top))
    return nearest if abs(discs[nearest].along - top) <= TOP_TO_DISC_MM else None
