"""A segmentation out of a label mask, whoever made it: a person's, TotalSegmentator's, a simulation's.

Attenuation is measured in bodies. A mask of whole vertebrae is kept as :attr:`Segmentation.whole`, and its bodies are cut from it.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from inference.ct.levels import LEVELS
from inference.ct.segmentation.base import Segmentation, VertebralBody
from inference.ct.segmentation.label_levels import Beside, NamedBody, NamesVerdict, judge_names
from inference.ct.segmentation.numbering import Numbering
from inference.ct.segmentation.whole import CutBody, bodies_as_they_are, cut_bodies
from inference.errors import ReasonCode, Refusal, WarningCode
from inference.findings import ModelUsed, Notice
from inference.volume import Volume

Labels = NDArray[np.uint8]

MIN_EDGE_HU = 100.0
"""Attenuation falls by at least so much across the surface of a mask that fits: by 230 HU on real scans, by 80 HU at most 10 mm off."""
RIM_MM, SHELL_MM = 4.0, (2.0, 6.0)
"""The rim lies so far inside the surface, the shell around it between these distances outside."""
SAMPLE_MM = 2.0
SOFT_HU = (-200.0, 400.0)
"""Beyond, air and metal would outweigh bone and soft tissue."""
BESIDE_MM = 15.0
"""Sacrum and ribs farther from every vertebra anchor nothing."""
SECOND_PIECE = 0.3
"""A second piece of a vertebra so large against the first means that one name stands for two."""


class MaskKind(StrEnum):
    """What the labels cover."""

    WHOLE = "whole"
    """Whole vertebrae with arch and processes."""
    BODIES = "bodies"
    """Vertebral bodies alone."""


def segmentation_from_labels(
    volume: Volume,
    labels: Labels,
    numbering: Numbering,
    *,
    model: ModelUsed,
    kind: MaskKind = MaskKind.WHOLE,
    by_program: bool = False,
    cut_off: frozenset[int] = frozenset(),
) -> Segmentation:
    """Bodies, frames and level names of a label mask.

    Parameters
    ----------
    volume
        The scan.
    labels
        uint8, the volume's shape, in ``numbering``.
    model
        Who made the mask.
    by_program
        A program named the vertebrae: its names need an anchor in the mask (:mod:`inference.ct.segmentation.label_levels`).
    cut_off
        Labels that reach the edge of the mask's own grid, where that is smaller than the volume's.

    Raises
    ------
    Refusal
        ``MASK_UNREADABLE``: values without a meaning in the numbering. ``SPINE_NOT_FOUND``: no vertebra. ``MASK_MISMATCH``: bone does not
        stand out under the mask.
    ValueError
        The mask has another shape than the volume.
    """
    if labels.shape != volume.hu.shape:
        raise ValueError(f"a mask of shape {labels.shape} does not lie on a volume of shape {volume.hu.shape}")
    check_meaning(labels, numbering)
    order = head_to_foot(volume, labels, numbering)
    check_fit(volume, np.isin(labels, order))
    cut = (cut_bodies if kind is MaskKind.WHOLE else bodies_as_they_are)(volume, labels, order)
    if not cut:
        raise Refusal(ReasonCode.SPINE_NOT_FOUND, "no vertebra of the mask shows a body in front of an arch: is it a mask of bodies alone?")
    named = [NamedBody(name=numbering.vertebrae[body.label], centre_lps_mm=body.centre_lps_mm) for body in cut]
    verdict = judge_names(named, beside(volume, labels, numbering, cut), by_program=by_program, source=f"named by {model.name}")
    doubled = {label for label in order if in_two_pieces(labels, label)}
    edges = cut_off | touching_edge(labels)
    return _assemble(volume, labels, numbering, cut, verdict, (model, kind), (doubled, edges))


def _assemble(
    volume: Volume,
    labels: Labels,
    numbering: Numbering,
    cut: Sequence[CutBody],
    verdict: NamesVerdict,
    made_by: tuple[ModelUsed, MaskKind],
    flagged: tuple[set[int], frozenset[int]],
) -> Segmentation:
    model, kind = made_by
    bodies = np.zeros(volume.hu.shape, dtype=np.uint8)
    renumbered = np.zeros(256, dtype=np.uint8)
    for n, body in enumerate(cut, start=1):
        bodies[tuple(body.voxels.T)] = n
        renumbered[body.label] = n
    canal = [body.canal_lps_mm for body in cut if body.canal_lps_mm is not None]
    return Segmentation(
        bodies=bodies,
        vertebrae=tuple(_describe(n, body, numbering.vertebrae[body.label], verdict, flagged) for n, body in enumerate(cut, start=1)),
        canal_lps_mm=np.stack(canal) if canal else None,
        level_because=verdict.because,
        notices=(*verdict.notices, *_without_body(labels, numbering, cut)),
        model=model,
        whole=renumbered[labels] if kind is MaskKind.WHOLE else None,
    )


def _describe(label: int, body: CutBody, name: str, verdict: NamesVerdict, flagged: tuple[set[int], frozenset[int]]) -> VertebralBody:
    doubled, edges = flagged
    twice = body.label in doubled
    certain = verdict.certain and not twice and name in LEVELS
    because = f"the mask calls two separate pieces {name}" if twice else "" if verdict.certain else verdict.because
    return VertebralBody(
        label=label,
        level=name if name in LEVELS else None,
        level_certain=certain,
        whole=body.label not in edges,
        centre_lps_mm=body.centre_lps_mm,
        cranial=body.cranial,
        anterior=body.anterior,
        left=body.left,
        uncertain_because=because,
    )


def check_meaning(labels: Labels, numbering: Numbering) -> None:
    """Refuse values that the numbering does not know.

    Raises
    ------
    Refusal
        ``MASK_UNREADABLE``.
    """
    unknown = sorted(set(np.flatnonzero(np.bincount(labels.ravel())).tolist()) - {0} - numbering.known)
    if unknown:
        values = ", ".join(str(value) for value in unknown[:8])
        text = f"the mask holds values that mean nothing in the numbering {numbering.name} ({values}): is it in another one?"
        raise Refusal(ReasonCode.MASK_UNREADABLE, text)


def head_to_foot(volume: Volume, labels: Labels, numbering: Numbering) -> list[int]:
    """Labels of the vertebrae in the mask, as they lie in the patient.

    Raises
    ------
    Refusal
        ``SPINE_NOT_FOUND`` where there is none.
    """
    present = [label for label in np.flatnonzero(np.bincount(labels.ravel())).tolist() if label in numbering.vertebrae]
    if not present:
        raise Refusal(ReasonCode.SPINE_NOT_FOUND, "the mask holds no vertebra that lies in the images")
    centres = volume.to_lps_mm(np.array(ndimage.center_of_mass(labels > 0, labels, present)))
    return [label for _, label in sorted(zip(-centres[:, 2], present, strict=True))]


def check_fit(volume: Volume, bone: NDArray[np.bool_]) -> None:
    """Refuse a mask under which bone does not stand out: it belongs to other images, or lies elsewhere.

    Raises
    ------
    Refusal
        ``MASK_MISMATCH``.
    """
    fall_hu = edge_hu(volume, bone)
    if fall_hu < MIN_EDGE_HU:
        text = (
            f"attenuation falls by {fall_hu:.0f} HU across the surface of the mask, {MIN_EDGE_HU:.0f} needed: it does not fit these images"
        )
        raise Refusal(ReasonCode.MASK_MISMATCH, text)


def edge_hu(volume: Volume, bone: NDArray[np.bool_]) -> float:
    """Mean attenuation in the rim of a mask less that in the shell around it, both clipped to :data:`SOFT_HU`; 0 without either."""
    (box,) = ndimage.find_objects(bone.astype(np.uint8))
    sides = []
    for side, spacing_mm, size in zip(box, volume.spacing_mm, bone.shape, strict=True):
        margin = int(np.ceil((SHELL_MM[1] + SAMPLE_MM) / spacing_mm))
        sides.append(slice(max(0, side.start - margin), min(size, side.stop + margin), max(1, round(SAMPLE_MM / spacing_mm))))
    part = tuple(sides)
    mask, hu = bone[part], np.clip(volume.hu[part].astype(np.float32), *SOFT_HU)
    steps = [side.step * spacing for side, spacing in zip(sides, volume.spacing_mm, strict=True)]
    rim = mask & (ndimage.distance_transform_edt(mask, sampling=steps) <= RIM_MM)
    away = ndimage.distance_transform_edt(~mask, sampling=steps)
    shell = (away > SHELL_MM[0]) & (away < SHELL_MM[1])
    if not rim.any() or not shell.any():
        return 0.0
    return float(hu[rim].mean()) - float(hu[shell].mean())


def in_two_pieces(labels: Labels, label: int) -> bool:
    """Whether one label covers two separate pieces of comparable size."""
    mask = labels[ndimage.find_objects(labels)[label - 1]] == label
    pieces, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    sizes = np.sort(np.bincount(pieces.ravel())[1:])[::-1]
    return bool(count > 1 and sizes[1] > SECOND_PIECE * sizes[0])


def touching_edge(labels: Labels) -> frozenset[int]:
    """Labels on the outermost voxels of a grid."""
    found: set[int] = set()
    for axis in range(3):
        for end in (0, -1):
            found.update(np.unique(np.take(labels, end, axis=axis)).tolist())
    return frozenset(found - {0})


def beside(volume: Volume, labels: Labels, numbering: Numbering, cut: Sequence[CutBody]) -> Beside:
    """The names of the vertebrae next to the sacrum and to each twelfth rib."""
    trees = {numbering.vertebrae[body.label]: cKDTree(volume.to_lps_mm(body.voxels)) for body in cut}
    sacrum = _nearest(volume, np.isin(labels, list(numbering.sacrum)), trees)
    ribs = {name for rib in numbering.twelfth_ribs for name in _nearest(volume, labels == rib, trees)}
    return Beside(sacrum=sacrum, twelfth_ribs=frozenset(ribs))


def _nearest(volume: Volume, mask: NDArray[np.bool_], trees: Mapping[str, cKDTree]) -> frozenset[str]:
    """The name of the tree nearest to a mask, if any lies within :data:`BESIDE_MM`."""
    found = np.argwhere(mask)
    if not len(found):
        return frozenset()
    points = volume.to_lps_mm(found)
    distances = {name: float(tree.query(points, distance_upper_bound=BESIDE_MM)[0].min()) for name, tree in trees.items()}
    name = min(distances, key=lambda each: distances[each])
    return frozenset({name}) if distances[name] <= BESIDE_MM else frozenset()


def _without_body(labels: Labels, numbering: Numbering, cut: Sequence[CutBody]) -> tuple[Notice, ...]:
    """A notice of vertebrae that the mask holds without a body; those at the edge of the image are no news."""
    found = {body.label for body in cut}
    present = set(np.flatnonzero(np.bincount(labels.ravel())).tolist()) & set(numbering.vertebrae)
    lost = sorted(numbering.vertebrae[label] for label in present - found - touching_edge(labels))
    if not lost:
        return ()
    return (Notice(code=WarningCode.MASK_INCOMPLETE, text=f"The mask of {', '.join(lost)} shows no body; it is not measured."),)
