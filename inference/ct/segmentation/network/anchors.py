"""What the network's ribs, sacrum and pelvis say about level names.

Names follow from them by the classical reader's rules (:mod:`inference.ct.segmentation.levels`); what the rules are shown are the
structures that the network told apart instead of attenuation, so that the two readers err for different reasons.
"""

import numpy as np
from scipy import ndimage

from inference.ct.segmentation.centreline import Curve
from inference.ct.segmentation.classical import broken_spaces
from inference.ct.segmentation.discs import Disc
from inference.ct.segmentation.grid import Floats, Points, WorkGrid
from inference.ct.segmentation.levels import Anchors
from inference.ct.segmentation.network.column import STEP_MM, NetworkColumn, positions
from inference.ct.segmentation.network.predict import RIB, SACRUM, Prediction
from inference.ct.segmentation.ribs import rib_statuses
from inference.ct.segmentation.sacrum import NO_SACRUM, TOP_ABOVE_DISC_MM, TOP_BELOW_DISC_MM, UNFITTING, SacralAnchor
from inference.ct.segmentation.surroundings import Surroundings, look_around

PRESENT = 1000.0
HALF = (PRESENT / 2,)
USUAL_RADIUS_MM = 20.0
MIN_SACRUM_ML = 15.0
NEAR_MM = 30.0
"""The sacrum's body, without the alae, lies within this distance of the line that continues the column."""
MAX_BELOW_SACRUM_ML = 4.0


def find_anchors(prediction: Prediction, column: NetworkColumn) -> Anchors:
    """Ribs and sacrum beside each space of the column."""
    curve = _curve(prediction, column)
    discs = [Disc(along=along / STEP_MM, sagittal_slope=0.0, coronal_slope=0.0, score=0.0) for along in column.discs_mm]
    ribs = rib_statuses(_shown(prediction, curve, (RIB,)), discs, thresholds_hu=HALF)
    return Anchors(
        bounded=tuple(0 < space < len(column.bodies) - 1 for space in range(len(column.bodies))),
        ribs=tuple(ribs),
        sacrum=find_sacrum(prediction, column),
        broken=broken_spaces([disc.along for disc in discs]),
    )


def find_sacrum(prediction: Prediction, column: NetworkColumn) -> SacralAnchor:
    """The L5/S1 disc: the one at the upper edge of the largest piece of sacrum, with no body below it."""
    labels, count = ndimage.label(prediction.structures == SACRUM)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * prediction.spacing_mm**3 / 1000.0
    sizes[0] = 0.0
    if sizes.max() < MIN_SACRUM_ML:
        return NO_SACRUM
    points = np.argwhere(labels == sizes.argmax()) * prediction.spacing_mm
    distance = np.linalg.norm(points[:, None] - column.line.points_mm[None, ::8], axis=2).min(axis=1)
    near = points[distance < NEAR_MM]
    if len(near) == 0:
        return NO_SACRUM
    top = float(np.percentile(positions(column.line, near), 97))
    fitting = [n for n, along in enumerate(column.discs_mm) if -TOP_BELOW_DISC_MM <= top - along <= TOP_ABOVE_DISC_MM]
    if not fitting:
        return UNFITTING
    disc = min(fitting, key=lambda n: abs(column.discs_mm[n] - top))
    below = sum(len(body.voxels) for body in column.bodies[: disc + 1] if body is not None) * prediction.spacing_mm**3 / 1000.0
    if below > MAX_BELOW_SACRUM_ML:
        return UNFITTING
    return SacralAnchor(disc=disc, seen=True, because="sacrum: its upper edge lies at the L5/S1 disc")


def _shown(prediction: Prediction, curve: Curve, structures: tuple[int, ...]) -> Surroundings:
    """The surroundings of the spine with :data:`PRESENT` where the network sees one of these structures."""
    present: Floats = np.where(np.isin(prediction.structures, structures), np.float32(PRESENT), np.float32(0.0))
    return look_around(WorkGrid(hu=present, spacing_mm=prediction.spacing_mm), curve)


def _curve(prediction: Prediction, column: NetworkColumn) -> Curve:
    """The line as the classical steps take it, with the half-width of the bodies."""
    line = column.line
    count = len(line.points_mm)
    radius = np.full(count, USUAL_RADIUS_MM)
    places, widths = [], []
    for body in column.bodies:
        if body is not None:
            points = body.voxels * prediction.spacing_mm
            middle = int(np.argmin(np.linalg.norm(line.points_mm - points.mean(axis=0), axis=1)))
            aside = (points - line.points_mm[middle]) @ line.left[middle]
            places.append(middle)
            widths.append(0.5 * float(np.percentile(aside, 98) - np.percentile(aside, 2)))
    if places:
        order = np.argsort(places)
        radius = np.interp(np.arange(count), np.array(places)[order], np.array(widths)[order])
    ratio: Points = np.full(count, 0.85)
    return Curve(
        points_mm=line.points_mm,
        tangent=line.tangent,
        anterior=line.anterior,
        left=line.left,
        radius_mm=radius,
        depth_ratio=ratio,
        step_mm=STEP_MM,
    )
