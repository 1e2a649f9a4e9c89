"""Ribs as an anchor of level names: thin bone that starts beside a body and runs far to the side."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.ct.segmentation.discs import Disc
from inference.ct.segmentation.surroundings import STEP_MM, VOXEL_ML, Surroundings, beside

THRESHOLDS_HU = (130.0, 160.0, 200.0, 240.0)
MIN_REACH_MM = 58.0
SHORT_REACH_MM = 49.0
MIN_LENGTH_MM = 40.0
MAX_MEAN_AREA_MM2 = 260.0
MEDIAL_MM = 4.0
ROOT_MM = 12.0
SEEN_LATERAL_MM = 72.0
MIN_SEEN = 0.93


class RibStatus(StrEnum):
    """What is seen beside one body on one side."""

    RIB = "rib"
    SHORT = "short"
    """Bone that reaches farther than a transverse process usually does, and less far than a rib."""
    NONE = "none"
    UNSEEN = "unseen"
    """Outside the scan, or hidden by something as dense as bone."""


@dataclass(frozen=True, kw_only=True)
class Root:
    """Bone that starts beside the column: where, how far it reaches, whether it is as thin as a rib and leaves the scan."""

    along: float
    reach_mm: float
    length_mm: float
    thin: bool
    cut: bool = False


@dataclass(frozen=True, kw_only=True)
class Rib:
    """What is seen beside one body on one side; of a rib, how far to the side it reaches and whether it leaves the scan."""

    status: RibStatus
    reach_mm: float = 0.0
    cut: bool = False


def roots(around: Surroundings, threshold_hu: float, side: int) -> list[Root]:
    """Everything denser than the threshold that starts within 12 mm beside the column, on one side."""
    posterior = ((around.ahead_mm >= -65.0) & (around.ahead_mm <= 12.0))[None, :, None]
    bone = (around.hu > threshold_hu) & beside(around, side, MEDIAL_MM) & posterior
    labels, _ = ndimage.label(bone, np.ones((3, 3, 3)))
    band = np.broadcast_to(~beside(around, side, ROOT_MM), bone.shape)
    found: list[Root] = []
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        member = labels[box] == label
        if member.sum() * VOXEL_ML < 0.25 or not (member & band[box]).any():
            continue
        cut = bool((member & around.edge[box]).any())
        found.extend(replace(root, cut=cut) for root in roots_of_component(around, member, box, band[box]))
    return found


def roots_of_component(
    around: Surroundings, member: NDArray[np.bool_], box: tuple[slice, slice, slice], band: NDArray[np.bool_]
) -> list[Root]:
    """The starts of one component beside the column; a merged pair of ribs has two."""
    along, ahead, left = around.along[box[0]], around.ahead_mm[box[1]], np.abs(around.left_mm[box[2]])
    rows, depth, columns = np.nonzero(member)
    reach = float(left[columns].max())
    tip = columns == columns[np.argmax(left[columns])]
    starts, count = ndimage.label(member & band, np.ones((3, 3, 3)))
    found = []
    for start in range(1, count + 1):
        near = np.nonzero(starts == start)
        if near[0].size * VOXEL_ML < 0.08:
            continue
        at = along[near[0]].mean(), ahead[near[1]].mean(), left[near[2]].mean()
        end = along[rows[tip]].mean(), ahead[depth[tip]].mean(), left[columns[tip]].mean()
        length = float(np.linalg.norm(np.subtract(end, at))) + 6.0
        area = rows.size * STEP_MM**3 / max(length, 10.0) / count
        touches = ahead[near[1]].max() < 12.0 and ahead[near[1]].min() > -60.0
        found.append(Root(along=float(at[0]), reach_mm=reach, length_mm=length, thin=bool(area <= MAX_MEAN_AREA_MM2 and touches)))
    return found


def slots(discs: list[Disc], planes: int) -> list[tuple[float, float, bool]]:
    """Lower and upper plane of each space for a body, foot to head, and whether discs bound it on both sides.

    Space n lies below disc n; the first and the last are open towards the end of the track.
    """
    edges = [disc.along for disc in discs]
    open_below = [(0.0, edges[0], False)]
    open_above = [(edges[-1], float(planes - 1), False)]
    return open_below + [(a, b, True) for a, b in pairwise(edges)] + open_above


def is_seen(around: Surroundings, low: float, high: float, side: int) -> bool:
    """True where the scan shows the place of a rib beside these planes."""
    rows = (around.along >= low) & (around.along <= high)
    lateral = around.left_mm * side
    columns = (lateral > 30.0) & (lateral <= SEEN_LATERAL_MM)
    depth = (around.ahead_mm > -45.0) & (around.ahead_mm < 0.0)
    block = around.seen[np.ix_(rows, depth, columns)]
    return bool(block.size and block.mean() >= MIN_SEEN)


def is_rib(root: Root) -> bool:
    """Thin, at least 40 mm long and reaching at least 58 mm to the side."""
    return root.thin and root.reach_mm >= MIN_REACH_MM and root.length_mm >= MIN_LENGTH_MM


def status_of(found: list[list[Root]], low: float, high: float, *, bounded: bool, seen: bool) -> Rib:
    """Judge one side of one space from its roots at every threshold: a rib at any threshold is a rib."""
    margin = 0.06 * (high - low)
    inside = [[root for root in level if low + margin <= root.along <= high + margin] for level in found]
    ribs = [root for level in inside for root in level if is_rib(root)]
    if ribs:
        return Rib(status=RibStatus.RIB, reach_mm=max(rib.reach_mm for rib in ribs), cut=any(rib.cut for rib in ribs))
    clear = [level for level in inside if all(root.thin or root.reach_mm < MIN_REACH_MM for root in level)]
    if not clear or not bounded or not seen:
        return Rib(status=RibStatus.UNSEEN)
    if any(root.reach_mm >= SHORT_REACH_MM for level in clear for root in level):
        return Rib(status=RibStatus.SHORT)
    return Rib(status=RibStatus.NONE)


def rib_statuses(around: Surroundings, discs: list[Disc], thresholds_hu: Sequence[float] = THRESHOLDS_HU) -> list[tuple[Rib, Rib]]:
    """(right, left) view of every space, foot to head, judged at each of the thresholds of bone."""
    planes = int(around.along[-1]) + 1
    sides = []
    for side in (-1, 1):
        found = [roots(around, threshold, side) for threshold in thresholds_hu]
        sides.append(
            [
                status_of(found, low, high, bounded=bounded, seen=is_seen(around, low, high, side))
                for low, high, bounded in slots(discs, planes)
            ]
        )
    return list(zip(sides[0], sides[1], strict=True))
