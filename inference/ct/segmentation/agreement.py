"""Two readers of one volume: which bodies are the same, how far their masks and numbers agree, and which names stay certain.

The first reader measures; what it measured never changes here. The second reader can take a level's certainty away and never give it:

* Another *certain* name for the same body is a contradiction. A name that the second reader itself is not sure of, or none, is no claim:
  a scan without sacrum and ribs, or a thoracic spine at its coarse resolution, leaves it without anchors, which says nothing about the
  first reader's.
* Names are counted from anchors, so a contradiction reaches the bodies beside it that the second reader does not name.
* A body of usual size that the second reader alone sees inside the first reader's column means that one of them miscounted: only names
  that both give stay certain.
* A body that the first reader alone sees takes no certainty: to merge or to leave out a body is the known weakness of a network that works
  at 3 mm, and it costs that network its own names beyond. It is said.
"""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.ct.segmentation.base import SecondReading, Segmentation, VertebralBody
from inference.ct.trabecular import core_mask, crop_body, measure_roi
from inference.errors import WarningCode
from inference.findings import Agreement, LevelAgreement, Notice, RoiKind, RoiMeasurement, SecondReader
from inference.volume import Volume

MIN_SHARE = 0.3
"""Two masks show the same body where each is the other's best partner and they share this much of the smaller one."""
MIN_DICE = 0.7
"""Below, masks differ by more than the resolution of 3 mm explains: such a network reached 0.74 to 0.92 on bodies of real CT."""
MAX_DIFFERENCE_HU = 10.0
"""The least significant change of trabecular attenuation (Binkley 2025: 10 to 16 HU): above, the choice of mask alone shows."""
CORE_EROSION_MM = 6.0
FULL_SIZE = 0.5
"""A body that the second reader alone sees counts as one from this part of its bodies' median volume; below, it is a fragment."""


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Voxels by label in two masks: int64, ``shared`` (256, 256) with row and column 0 empty, ``first`` and ``second`` (256,)."""

    shared: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]

    def dice(self, label: int, other: int) -> float:
        """Twice the shared voxels over the sum."""
        return 2.0 * float(self.shared[label, other]) / float(self.first[label] + self.second[other])

    def partners(self) -> dict[int, int]:
        """Labels of the second mask by the label of the same body in the first, where each overlaps the other most."""
        found: dict[int, int] = {}
        for label in np.flatnonzero(self.shared.any(axis=1)).tolist():
            other = int(self.shared[label].argmax())
            smaller = min(int(self.first[label]), int(self.second[other]))
            if int(self.shared[:, other].argmax()) == label and self.shared[label, other] >= MIN_SHARE * smaller:
                found[label] = other
        return found


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One body of the first reader, and the same body of the second, if that one sees it."""

    first: VertebralBody
    second: VertebralBody | None
    reading: SecondReader

    @property
    def claim(self) -> bool | None:
        """Whether the second reader confirms (True) or contradicts (False) a certain name; None where either makes no claim."""
        if self.second is None or not (self.first.level_certain and self.second.level_certain):
            return None
        return self.first.level == self.second.level


def compare(first: Segmentation, second: Segmentation, volume: Volume) -> Segmentation:
    """The first reader's segmentation with what the second reader says of it.

    Parameters
    ----------
    first, second
        Two segmentations of ``volume``.

    Returns
    -------
    Segmentation
        ``first`` with ``second`` set, levels that the two place differently made uncertain, and a notice for every disagreement. Masks,
        names and frames are those of ``first``.
    """
    overlap = overlap_of(first.bodies, second.bodies)
    partners = overlap.partners()
    pairs = _pairs(first, second, overlap, volume)
    extra = extra_bodies(first, second, overlap)
    doubts = level_doubts(pairs, extra)
    vertebrae = tuple(_judged(pair, doubts.get(pair.first.label, ""), pairs) for pair in pairs)
    agreement = _agreement(pairs, second, doubts)
    reading = SecondReading(
        bodies=relabelled(first, second, partners), per_body={pair.first.label: pair.reading for pair in pairs}, agreement=agreement
    )
    notices = (*first.notices, *_study_notices(agreement, pairs, extra, doubts))
    return dataclasses.replace(first, vertebrae=vertebrae, notices=notices, second=reading)


def overlap_of(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Overlap:
    """Count voxels by label in two uint8 masks of one shape, slice by slice: whole volumes at once would take many times their memory."""
    counts = np.zeros((256, 256), np.int64)
    for one, other in zip(first, second, strict=True):
        inside = (one > 0) | (other > 0)
        if inside.any():
            counts += np.bincount(one[inside].astype(np.intp) * 256 + other[inside], minlength=65536).reshape(256, 256)
    shared = counts.copy()
    shared[0], shared[:, 0] = 0, 0
    return Overlap(shared=shared, first=counts.sum(axis=1), second=counts.sum(axis=0))


def _pairs(first: Segmentation, second: Segmentation, overlap: Overlap, volume: Volume) -> list[Pair]:
    """Every body of the first reader, head to foot, with its reading by the second."""
    partners = overlap.partners()
    others = {body.label: body for body in second.vertebrae}
    boxes = ndimage.find_objects(first.bodies), ndimage.find_objects(second.bodies)
    pairs: list[Pair] = []
    for body in first.vertebrae:
        other = others.get(partners.get(body.label, 0))
        if other is None:
            pairs.append(Pair(first=body, second=None, reading=SecondReader(level=None, level_certain=False, dice=0.0)))
            continue
        mean_hu, median_hu = _differences_hu(
            _core(volume, first.bodies, body, boxes[0][body.label - 1]), _core(volume, second.bodies, other, boxes[1][other.label - 1])
        )
        reading = SecondReader(
            level=other.level,
            level_certain=other.level_certain,
            dice=overlap.dice(body.label, other.label),
            mean_difference_hu=mean_hu,
            median_difference_hu=median_hu,
        )
        pairs.append(Pair(first=body, second=other, reading=reading))
    return pairs


def _core(volume: Volume, bodies: NDArray[np.uint8], body: VertebralBody, box: tuple[slice, slice, slice]) -> RoiMeasurement | None:
    crop = crop_body(volume, bodies, body, box)
    return measure_roi(crop, core_mask(crop, CORE_EROSION_MM), RoiKind.CORE)


def _differences_hu(own: RoiMeasurement | None, theirs: RoiMeasurement | None) -> tuple[float | None, float | None]:
    """Mean and median of the second core less those of the first."""
    if own is None or theirs is None:
        return None, None
    one, other = own.attenuation, theirs.attenuation
    return other.mean_hu - one.mean_hu, other.median_hu - one.median_hu


def extra_bodies(first: Segmentation, second: Segmentation, overlap: Overlap) -> list[VertebralBody]:
    """Bodies of usual size that the second reader alone sees between the first reader's uppermost and lowest body."""
    partnered = set(overlap.partners().values())
    heights_mm = [float(body.centre_lps_mm[2]) for body in first.vertebrae]
    if not partnered:
        return []
    usual = statistics.median(int(overlap.second[label]) for label in partnered)
    return [
        body
        for body in second.vertebrae
        if body.label not in partnered
        and min(heights_mm) < float(body.centre_lps_mm[2]) < max(heights_mm)
        and overlap.second[body.label] >= FULL_SIZE * usual
    ]


def level_doubts(pairs: Sequence[Pair], extra: Sequence[VertebralBody]) -> dict[int, str]:
    """Why each certain name of the first reader is not certain any more, by label.

    Parameters
    ----------
    pairs
        Head to foot.
    extra
        From :func:`extra_bodies`.
    """
    claims = [pair.claim for pair in pairs]
    doubts: dict[int, str] = {}
    for index, pair in enumerate(pairs):
        level = pair.first.level
        if not pair.first.level_certain or claims[index] is True:
            continue
        if claims[index] is False:
            doubts[pair.first.label] = f"{level} by the measuring reader is {pair.reading.level} by the second reader."
        elif False in _nearest(claims, index):
            doubts[pair.first.label] = f"{level}: the second reader names the bodies beside it differently."
        elif extra:
            doubts[pair.first.label] = f"{level}: the second reader counts {len(extra)} more in the column, and does not name this body."
    return doubts


def _nearest(claims: Sequence[bool | None], index: int) -> list[bool]:
    """The nearest claim above and below."""
    above = next((claim for claim in reversed(claims[:index]) if claim is not None), None)
    below = next((claim for claim in claims[index + 1 :] if claim is not None), None)
    return [claim for claim in (above, below) if claim is not None]


def _judged(pair: Pair, doubt: str, pairs: Sequence[Pair]) -> VertebralBody:
    """The first reader's body with what the second reader makes of it."""
    body = pair.first
    notices = [*body.notices, *_shape_notices(pair, pairs), *_attenuation_notices(pair)]
    if not doubt:
        return dataclasses.replace(body, notices=tuple(notices))
    notices.insert(0, Notice(code=WarningCode.READERS_DISAGREE_LEVEL, text=doubt))
    return dataclasses.replace(body, level_certain=False, uncertain_because=doubt, notices=tuple(notices))


def _shape_notices(pair: Pair, pairs: Sequence[Pair]) -> list[Notice]:
    """Masks that differ, of bodies that lie wholly in the image: at its edge each reader cuts in its own way."""
    if not pair.first.whole or (pair.second is not None and not pair.second.whole):
        return []
    if pair.second is None:
        seen = [other.second is not None for other in pairs]
        at = next(index for index, other in enumerate(pairs) if other is pair)
        expected = pair.first.level_certain or (any(seen[:at]) and any(seen[at:]))
        text = "The second reader sees no body here."
        return [Notice(code=WarningCode.READERS_DISAGREE_SHAPE, text=text)] if expected else []
    if pair.reading.dice >= MIN_DICE:
        return []
    text = f"The masks of the two readers overlap little (Dice {pair.reading.dice:.2f})."
    return [Notice(code=WarningCode.READERS_DISAGREE_SHAPE, text=text)]


def _attenuation_notices(pair: Pair) -> list[Notice]:
    difference = pair.reading.median_difference_hu
    if difference is None or abs(difference) <= MAX_DIFFERENCE_HU or not pair.first.whole:
        return []
    text = f"The core of the second reader's mask reads {difference:+.0f} HU against the measured one."
    return [Notice(code=WarningCode.READERS_DISAGREE_ATTENUATION, text=text)]


def _agreement(pairs: Sequence[Pair], second: Segmentation, doubts: Mapping[int, str]) -> Agreement:
    both = [pair for pair in pairs if pair.second is not None]
    differences = [abs(pair.reading.median_difference_hu) for pair in both if pair.reading.median_difference_hu is not None]
    confirmed = any(pair.claim for pair in both)
    return Agreement(
        model=second.model,
        compared=len(both),
        only_first=len(pairs) - len(both),
        only_second=len(second.vertebrae) - len(both),
        median_dice=statistics.median(pair.reading.dice for pair in both) if both else None,
        median_difference_hu=statistics.median(differences) if differences else None,
        levels=LevelAgreement.DIFFER if doubts else LevelAgreement.AGREE if confirmed else LevelAgreement.NOT_COMPARED,
    )


def _study_notices(agreement: Agreement, pairs: Sequence[Pair], extra: Sequence[VertebralBody], doubts: Mapping[int, str]) -> list[Notice]:
    """What concerns the column as a whole; bodies beyond those that are reported have no other place to say it."""
    notices: list[Notice] = []
    if doubts:
        named = ", ".join(str(pair.first.level) for pair in pairs if pair.first.label in doubts)
        counted = f" It counts {len(extra)} more in the column." if extra else ""
        text = f"The second reader places levels differently; not certain any more: {named}.{counted}"
        notices.append(Notice(code=WarningCode.READERS_DISAGREE_LEVEL, text=text))
    if not agreement.compared:
        text = "The second reader sees none of these bodies."
        notices.append(Notice(code=WarningCode.READERS_DISAGREE_SHAPE, text=text))
    return notices


def relabelled(first: Segmentation, second: Segmentation, partners: Mapping[int, int]) -> NDArray[np.uint8]:
    """The second reader's mask with the first reader's labels, and labels above its highest for bodies that it has not."""
    table = np.zeros(256, np.uint8)
    free = max((body.label for body in first.vertebrae), default=0) + 1
    own = {other: label for label, other in partners.items()}
    for body in second.vertebrae:
        if body.label in own:
            table[body.label] = own[body.label]
        elif free < 256:
            table[body.label] = free
            free += 1
    mask = np.empty_like(second.bodies)
    for plane, own_plane in zip(mask, second.bodies, strict=True):  # an index takes eight times the memory of what it picks
        plane[:] = table[own_plane]
    return mask
