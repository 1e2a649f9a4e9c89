"""The sacrum as an anchor of level names: its two alae, seen as bone beside the spine that reaches the pelvis on both sides."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.ct.segmentation.discs import Disc
from inference.ct.segmentation.grid import Floats
from inference.ct.segmentation.surroundings import VOXEL_ML, Surroundings, beside

THRESHOLDS_HU = (100.0, 130.0, 160.0, 200.0, 240.0)
MIN_VOLUME_ML = 20.0
MIN_REACH_MM = 70.0
MIN_MEAN_MM2 = 40.0
REGION_MM, MIN_REGION_MM = 24.0, 14.0
SMOOTH_MM = 3.0
TOP_ABOVE_DISC_MM, TOP_BELOW_DISC_MM = 13.0, 17.0
SIDES_DIFFER_MM = 24.0
MEDIAL_MM = 3.0
ALA_BEHIND_MM, ALA_AHEAD_MM = -25.0, 25.0
"""An ala lies beside the body itself; ribs and shoulders lie behind."""
BAND_MM = 20.0
SHELL_HU = 260.0
MAX_SACRAL_DISCS = 2
WELL_FORMED = 0.5


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
    doubtful
        True where a well-formed disc lies below, inside what looks like the sacrum: a transitional vertebra, perhaps.
    """

    disc: int | None
    seen: bool
    because: str
    doubtful: bool = False


NO_SACRUM = SacralAnchor(disc=None, seen=False, because="no sacrum in view")
UNFITTING = SacralAnchor(disc=None, seen=True, because="sacrum in view, but its upper edge fits no single disc")


def pelvic_area(around: Surroundings, threshold_hu: float, side: int) -> Floats:
    """(along,) area in mm2, in the 20 mm beside the column, of bone that belongs to a pelvis: large, and reaching far to the side."""
    bone = (around.hu > threshold_hu) & beside(around, side, MEDIAL_MM)
    labels, count = ndimage.label(bone)
    volumes = np.bincount(labels.ravel(), minlength=count + 1) * VOXEL_ML
    lateral = np.abs(around.left_mm)
    pelvis = np.zeros(count + 1, dtype=bool)
    far = np.unique(labels[:, :, lateral >= MIN_REACH_MM])
    pelvis[far] = volumes[far] >= MIN_VOLUME_ML
    pelvis[0] = False
    band = beside(around, side, MEDIAL_MM) & ~beside(around, side, BAND_MM)
    near = band & ((around.ahead_mm > ALA_BEHIND_MM) & (around.ahead_mm < ALA_AHEAD_MM))[None, :, None]
    area = (pelvis[labels] & near).sum(axis=(1, 2)) * (around.left_mm[1] - around.left_mm[0]) ** 2
    return np.asarray(area, dtype=np.float32)


def ala_profile(around: Surroundings, side: int) -> Floats:
    """(along,) pelvic area averaged over all bone thresholds.

    At low thresholds a transverse process may touch the pelvis, at high ones a thin ala falls apart; in the mean neither decides.
    """
    return np.asarray(np.mean([pelvic_area(around, threshold, side) for threshold in THRESHOLDS_HU], axis=0), dtype=np.float32)


def top_of_ala(profile: Floats, step_mm: float) -> int | None:
    """The highest row where the smoothed profile exceeds half its usual height; None where no mass of bone lies beneath that row.

    The usual height is the mean over the rows that hold bone. The peak will not do: it lies at the sacroiliac joint, and the upper part
    of a normal ala may hold less than half of it.
    """
    if profile.size == 0:
        return None
    smooth = ndimage.gaussian_filter1d(profile, SMOOTH_MM / step_mm, mode="nearest")
    bone = smooth[smooth >= MIN_MEAN_MM2]
    if bone.size == 0:
        return None
    top = int(np.nonzero(smooth >= 0.5 * float(bone.mean()))[0][-1])
    beneath = profile[max(0, top - round(REGION_MM / step_mm)) : top + 1]
    return top if beneath.size * step_mm >= MIN_REGION_MM and float(beneath.mean()) >= MIN_MEAN_MM2 else None


def homogeneous(around: Surroundings, rows: NDArray[np.int64], side: int) -> bool:
    """True where what is beside the spine is as even as an enhanced organ: bone has a shell far denser than its inside."""
    region = np.broadcast_to(beside(around, side, MEDIAL_MM), around.hu.shape)[rows]
    values = around.hu[rows][region & (around.hu[rows] > THRESHOLDS_HU[0])]
    return bool(values.size == 0 or np.quantile(values, 0.9) < SHELL_HU)


def disc_at_top(top: float, discs: list[Disc]) -> int | None:
    """The disc from which the top of the alae lies at most 13 mm up or 17 mm down; None where none fits."""
    fitting = [n for n, disc in enumerate(discs) if -TOP_BELOW_DISC_MM <= top - disc.along <= TOP_ABOVE_DISC_MM]
    return min(fitting, key=lambda n: abs(discs[n].along - top)) if fitting else None


def find_sacrum(around: Surroundings, discs: list[Disc]) -> SacralAnchor:
    """The L5/S1 disc from the tops of both alae."""
    step = float(around.along[1] - around.along[0]) if len(around.along) > 1 else 1.0
    if not discs:
        return NO_SACRUM
    highest = discs[min(MAX_SACRAL_DISCS, len(discs) - 1)].along + TOP_ABOVE_DISC_MM
    tops = []
    for side in (-1, 1):
        top = top_of_ala(ala_profile(around, side)[around.along <= highest], step)
        if top is None or homogeneous(around, np.arange(max(0, top - round(REGION_MM / step)), top + 1), side):
            return NO_SACRUM
        tops.append(float(around.along[top]))
    if abs(tops[0] - tops[1]) > SIDES_DIFFER_MM:
        return UNFITTING
    disc = disc_at_top(0.5 * (tops[0] + tops[1]), discs)
    if disc is None:
        return UNFITTING
    doubtful = any(discs[n].score > WELL_FORMED * discs[disc].score for n in range(disc))
    return SacralAnchor(disc=disc, seen=True, because="sacrum: both alae end at the L5/S1 disc", doubtful=doubtful)
