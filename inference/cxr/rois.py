"""Sixteen landmarks of a chest radiograph, and the fourteen regions of bone that they frame (Wang et al., Attentive Multi-ROI).

The paper names the bones and how many crops each gives (clavicles 2 and 2, rib cage 4 and 4, cervical spine 1, lumbar spine 1, the wide and
high ones "further sub-split"), and no sizes. The rules here are ours, in units of the distance from C7 to T12, so that they need no pixel
spacing:

clavicle
    The box around the medial and the middle point, and that around the middle and the lateral one.
rib cage
    Around each of the four points of the outer edge, from half-way to the next above to half-way to the next below; from a little outside
    of the edge inwards. The middle of the chest, where heart and lung disease changes the image, stays out.
cervical, lumbar
    Around C7, and from above T12 to below L1.

Rows count downwards from the film's upper edge, columns from its left one; the patient's left lies on the right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from inference.errors import ReasonCode, Refusal

Floats = NDArray[np.float64]
Images = NDArray[np.float32]

SIDES = ("left", "right")
LANDMARKS = (
    *(f"clavicle_{place}_{side}" for side in SIDES for place in ("medial", "middle", "lateral")),
    *(f"ribcage_{number}_{side}" for side in SIDES for number in (1, 2, 3, 4)),
    "C7",
    "T12",
)
"""In the order of every array (16, 2) of landmarks."""
ROI_NAMES = (
    *(f"clavicle_{place}_{side}" for side in SIDES for place in ("medial", "lateral")),
    *(f"ribcage_{number}_{side}" for side in SIDES for number in (1, 2, 3, 4)),
    "cervical",
    "lumbar",
)
"""The regions of bone, in the order of :attr:`Rois.boxes`."""
WHOLE = "whole"
REGION_NAMES = (*ROI_NAMES, WHOLE)
"""What the proposed network sees: fourteen regions of bone, and the whole film."""

CLAVICLE_MARGIN = 0.08
CAGE_OUTWARD, CAGE_INWARD = 0.06, 0.26
CERVICAL_HALF_HEIGHT, LUMBAR_ABOVE, LUMBAR_BELOW, SPINE_HALF_WIDTH = 0.13, 0.09, 0.18, 0.16
"""Sizes of the regions in units of the distance from C7 to T12."""
LEAST_INSIDE = 0.6
"""A region that lies less than this inside the film shows too little of its bone."""


def region_words(name: str, *, sides: tuple[str, str] = SIDES) -> str:
    """A region as a person calls it: ``left clavicle, medial half``; ``right rib cage, 2 of 4 from above``; ``T12 and L1``.

    Parameters
    ----------
    sides
        What left and right are called: on a film of which neither image nor header tells the patient's sides, other words.
    """
    whole = {"cervical": "C7", "lumbar": "T12 and L1", WHOLE: "whole film"}
    if name in whole:
        return whole[name]
    bone, part, side = name.split("_")
    named = sides[SIDES.index(side)]
    return f"{named} clavicle, {part} half" if bone == "clavicle" else f"{named} rib cage, {part} of 4 from above"


def landmark(landmarks: Floats, name: str) -> Floats:
    """(2,) row and column of one landmark."""
    return np.asarray(landmarks[LANDMARKS.index(name)], dtype=np.float64)


def mirrored(names: Sequence[str]) -> tuple[int, ...]:
    """Where each name's counterpart of the other side stands: left for right, and itself for what has no side."""
    swap = {"left": "right", "right": "left"}
    found = []
    for name in names:
        stem, _, side = name.rpartition("_")
        found.append(names.index(f"{stem}_{swap[side]}") if side in swap else names.index(name))
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Rois:
    """The regions of one film.

    Attributes
    ----------
    boxes
        (14, 4) float64: top, left, bottom, right in pixels, in the order of :data:`ROI_NAMES`. Here 0 is the outer edge of the first pixel,
        whose centre, a landmark at (0, 0), lies at 0.5. A box may reach beyond the film.
    inside
        (14,) share of each box that lies on the film.
    """

    boxes: Floats
    inside: Floats

    def box(self, name: str) -> tuple[float, float, float, float]:
        """(top, left, bottom, right) of one region."""
        top, left, bottom, right = (float(value) for value in self.boxes[ROI_NAMES.index(name)])
        return top, left, bottom, right


def rois_of(landmarks: Floats, shape: tuple[int, int]) -> Rois:
    """The fourteen regions of a film.

    Parameters
    ----------
    landmarks
        (16, 2) row and column, in the order of :data:`LANDMARKS`.
    shape
        Rows and columns of the film.

    Raises
    ------
    Refusal
        ``LANDMARKS_IMPLAUSIBLE``: they cannot be those of a frontal chest. ``ROI_OUTSIDE_FILM``: a region lies mostly beyond the film.
    """
    if (wrong := implausible_because(landmarks)) is not None:
        raise Refusal(ReasonCode.LANDMARKS_IMPLAUSIBLE, f"The bony landmarks that were found are not those of a frontal chest: {wrong}.")
    boxes = bone_boxes(landmarks)
    inside = share_inside(boxes, shape)
    outside = [f"{name} ({share:.0%} on the film)" for name, share in zip(ROI_NAMES, inside, strict=True) if share < LEAST_INSIDE]
    if outside:
        raise Refusal(ReasonCode.ROI_OUTSIDE_FILM, f"Regions of bone lie beyond the film: {', '.join(outside)}.")
    return Rois(boxes=boxes, inside=inside)


def bone_boxes(landmarks: Floats) -> Floats:
    """(14, 4) top, left, bottom, right, without any check."""
    landmarks = landmarks + 0.5  # from centres of pixels to edges
    c7, t12 = landmark(landmarks, "C7"), landmark(landmarks, "T12")
    unit = float(np.linalg.norm(t12 - c7))
    boxes = []
    for side in SIDES:
        medial, middle, lateral = (landmark(landmarks, f"clavicle_{place}_{side}") for place in ("medial", "middle", "lateral"))
        boxes += [_around(first, second, CLAVICLE_MARGIN * unit) for first, second in ((medial, middle), (middle, lateral))]
    for side, outwards in zip(SIDES, (1.0, -1.0), strict=True):
        boxes += _cage_boxes([landmark(landmarks, f"ribcage_{number}_{side}") for number in (1, 2, 3, 4)], outwards, unit)
    across, high = SPINE_HALF_WIDTH * unit, CERVICAL_HALF_HEIGHT * unit
    boxes.append((c7[0] - high, c7[1] - across, c7[0] + high, c7[1] + across))
    boxes.append((t12[0] - LUMBAR_ABOVE * unit, t12[1] - across, t12[0] + LUMBAR_BELOW * unit, t12[1] + across))
    return np.array(boxes, dtype=np.float64)


def _around(first: Floats, second: Floats, margin: float) -> tuple[float, float, float, float]:
    low, high = np.minimum(first, second) - margin, np.maximum(first, second) + margin
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _cage_boxes(points: Sequence[Floats], outwards: float, unit: float) -> list[tuple[float, float, float, float]]:
    rows = [float(point[0]) for point in points]
    between = [(upper + lower) / 2 for upper, lower in pairwise(rows)]
    edges = [rows[0] - (between[0] - rows[0]), *between, rows[-1] + (rows[-1] - between[-1])]
    boxes = []
    for point, top, bottom in zip(points, edges[:-1], edges[1:], strict=True):
        ends = sorted((float(point[1]) + outwards * CAGE_OUTWARD * unit, float(point[1]) - outwards * CAGE_INWARD * unit))
        boxes.append((top, ends[0], bottom, ends[1]))
    return boxes


def share_inside(boxes: Floats, shape: tuple[int, int]) -> Floats:
    """(N,) share of each box's area that lies on a film of this shape."""
    top, left, bottom, right = boxes.T
    rows = np.clip(np.minimum(bottom, shape[0]) - np.maximum(top, 0), 0, None)
    columns = np.clip(np.minimum(right, shape[1]) - np.maximum(left, 0), 0, None)
    return np.asarray(rows * columns / ((bottom - top) * (right - left)), dtype=np.float64)


_MOST_LEAN_DEG = 20.0
_CAGE_WIDTH = (0.5, 1.6)
_MOST_UNEVEN = 2.5
_CLAVICLE_LENGTH = (0.15, 0.9)
_CLAVICLE_BELOW_C7 = (-0.25, 0.55)
_LEAST_STEP = 0.04
"""Limits of a plausible chest, in units of the distance from C7 to T12. They are wide: over 60 simulated patients, portable films among
them, the cage is 0.85 to 1.03 wide, a clavicle 0.42 to 0.49 long, and it begins or ends 0.03 to 0.24 below C7."""


def implausible_because(landmarks: Floats) -> str | None:
    """What about sixteen landmarks no frontal chest has; None where nothing is wrong.

    Raises
    ------
    ValueError
        They have another shape than (16, 2).
    """
    if landmarks.shape != (len(LANDMARKS), 2):
        raise ValueError(f"landmarks have the shape (16, 2), not {landmarks.shape}")
    if not np.isfinite(landmarks).all():
        return "a landmark has no place"
    down, across = landmark(landmarks, "T12") - landmark(landmarks, "C7")
    unit = float(np.hypot(down, across))
    if down <= 0 or unit < 1:
        return "T12 does not lie below C7"
    if abs(np.degrees(np.arctan2(across, down))) > _MOST_LEAN_DEG:
        return "the spine does not run downwards"
    return _cage_wrong(landmarks, unit) or _clavicles_wrong(landmarks, unit)


def _cage_wrong(landmarks: Floats, unit: float) -> str | None:
    c7, t12 = landmark(landmarks, "C7"), landmark(landmarks, "T12")
    halves = []
    for side, sign in zip(SIDES, (1.0, -1.0), strict=True):
        points = np.array([landmark(landmarks, f"ribcage_{number}_{side}") for number in (1, 2, 3, 4)])
        if np.diff(points[:, 0]).min() < _LEAST_STEP * unit:
            return f"the points of the {side} rib cage do not follow each other downwards"
        spine = c7[1] + (points[:, 0] - c7[0]) / (t12[0] - c7[0]) * (t12[1] - c7[1])
        half = sign * (points[:, 1] - spine)
        if half.min() <= 0:
            return f"the {side} rib cage lies on the other side of the spine"
        halves.append(float(half.mean()))
    width = sum(halves) / unit
    if not _CAGE_WIDTH[0] <= width <= _CAGE_WIDTH[1]:
        return f"the rib cage is {width:.2f} times as wide as C7 and T12 are apart"
    if max(halves) > _MOST_UNEVEN * min(halves):
        return "one half of the rib cage is much wider than the other"
    return None


def _clavicles_wrong(landmarks: Floats, unit: float) -> str | None:
    c7 = landmark(landmarks, "C7")
    for side, sign in zip(SIDES, (1.0, -1.0), strict=True):
        medial, middle, lateral = (landmark(landmarks, f"clavicle_{place}_{side}") for place in ("medial", "middle", "lateral"))
        if not sign * medial[1] < sign * middle[1] < sign * lateral[1]:
            return f"the points of the {side} clavicle do not follow each other outwards"
        length = float(np.linalg.norm(lateral - medial)) / unit
        if not _CLAVICLE_LENGTH[0] <= length <= _CLAVICLE_LENGTH[1]:
            return f"the {side} clavicle is {length:.2f} times as long as C7 and T12 are apart"
        heights = (np.array([medial[0], middle[0], lateral[0]]) - c7[0]) / unit
        if heights.min() < _CLAVICLE_BELOW_C7[0] or heights.max() > _CLAVICLE_BELOW_C7[1]:
            return f"the {side} clavicle does not lie beside the upper chest"
    return None
