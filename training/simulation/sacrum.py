"""The fused sacrum: five segments, alae that meet the iliac wings, foramina, crest, canal, and the coccyx below."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from training.simulation.canvas import ANATOMY, Box, Canvas, FloatArray, Layer
from training.simulation.ilium import Ilium
from training.simulation.shapes import Capsule, carve, ellipse, smooth_max, union
from training.simulation.spine import Spine, Vertebra
from training.simulation.tissue import CORTICAL_HU, FAT_HU
from training.simulation.torso import paint_union
from training.simulation.vertebra import body_distances, body_region, paint_disc

REMNANT_HU = 190.0
"""Between sacral segments: partly fused."""
JOINT_MM = 2.5
"""Width of the sacroiliac joint."""
# Lateral masses S1..S4: outer distance from the midline, how far behind the body's centre its inner and outer end lie, radius; mm.
_ALAE = ((66.0, 1.0, 13.0, 14.0), (60.0, 2.0, 12.0, 14.0), (44.0, 2.0, 9.0, 10.5), (27.0, 1.0, 4.0, 7.0))
# The rough back of S1..S3 between alae and crest: distance from the midline, depth behind the body's centre, radius; mm.
_BACKS = ((38.0, 25.0, 11.0), (33.0, 22.0, 11.0), (25.0, 16.0, 7.5))


def paint_sacrum(canvas: Canvas, spine: Spine, ilium: Ilium) -> None:
    """Paint S1 to S5 as one bone, porous beside the bodies as real sacra are, and the coccyx."""
    scale, base = ilium.scale, spine.sacrum[0].trabecular_hu
    for above, below in pairwise(spine.sacrum):
        paint_disc(canvas, above, below, REMNANT_HU)
    found = union(canvas, [*_lateral_masses(spine, scale), *_crest(spine, scale), *_facets(spine.sacrum[0], scale)], seam_mm=6.0 * scale)
    if found is not None:
        box, distance = found
        distance = _hollow(canvas, box, distance, spine, ilium)
        canvas.blend_shells(box, distance, [(0.0, 0.9 * CORTICAL_HU), (1.3, 0.45 * base + 45), (3.5, 0.42 * base - 8)])
    for vertebra in spine.sacrum:
        _paint_segment(canvas, vertebra, base)
    paint_union(canvas, _coccyx(spine.sacrum[-1], scale), 0.8 * CORTICAL_HU, 0.5 * base, step_mm=1.2)


def paint_foramina(canvas: Canvas, spine: Spine, scale: float) -> None:
    """Paint the fat around the sacral nerve roots, before the bone that surrounds it."""
    with canvas.marking(None):
        paint_union(canvas, _foramina(spine, scale, grow_mm=2.0), FAT_HU + 40)


def _hollow(canvas: Canvas, box: Box, distance: FloatArray, spine: Spine, ilium: Ilium) -> FloatArray:
    """Cut the canal, the foramina and the sacroiliac joints."""
    scale = ilium.scale
    for vertebra in spine.sacrum[:4]:
        radius = (8.0 - 1.3 * int(vertebra.name[1:])) * scale
        left, posterior, cranial = canvas.coordinates(vertebra.frame, box)
        canal = ellipse(left, posterior - vertebra.depth_mm / 2 - radius, 1.5 * radius, radius)
        distance = np.maximum(distance, -np.maximum(canal, np.abs(cranial) - vertebra.height_mm / 2 - 1))
    x, y, z = canvas.coordinates(ANATOMY, box)
    for hole in _foramina(spine, scale):
        carve(canvas, box, distance, hole)
    joint = (np.abs(x) - ilium.inner(y, z) + JOINT_MM * scale) * np.float32(0.72)
    return smooth_max(distance, joint, 3.0)


def _foramina(spine: Spine, scale: float, grow_mm: float = 0.0) -> list[Capsule]:
    """Four pairs, running outwards and forwards from the canal between two segments."""
    holes = []
    for number, (above, below) in enumerate(pairwise(spine.sacrum[:5])):
        middle = (above.frame.point(0, 0, -above.height_mm / 2) + below.frame.point(0, 0, below.height_mm / 2)) / 2
        place = above.frame.axes @ np.diag([1.0, 1.0, 1.0])
        radius = (5.6 - 0.7 * number) * scale + grow_mm
        for sign in (-1.0, 1.0):
            side = (0.36 * above.width_mm + 3.0) * sign
            start = middle + place @ np.array([0.75 * side, 0.42 * above.depth_mm, 0.0])
            end = middle + place @ np.array([1.25 * side, -0.5 * above.depth_mm - 8 * scale, -3.0 * scale])
            holes.append(_capsule(start, end, (radius, radius * 1.1)))
    return holes


def _capsule(start: NDArray[np.float64], end: NDArray[np.float64], radii: tuple[float, float]) -> Capsule:
    first, second = start.tolist(), end.tolist()
    return Capsule(frame=ANATOMY, start=(first[0], first[1], first[2]), end=(second[0], second[1], second[2]), radii=radii)


def _paint_segment(canvas: Canvas, vertebra: Vertebra, base: float) -> None:
    def layers(left: FloatArray, posterior: FloatArray, cranial: FloatArray) -> Sequence[Layer]:
        radial, axial = body_distances(vertebra, left, posterior, cranial)
        outer = smooth_max(radial, axial, 2.0)
        lateral = np.clip((np.abs(left) - 0.34 * vertebra.width_mm) / 3, 0, 1)
        cortex = 0.85 * CORTICAL_HU * (1 - lateral) + (0.7 * base + 20) * lateral
        return [(outer, np.asarray(cortex, dtype=np.float32)), (smooth_max(radial + 1.0, axial + 0.8, 2.0), 0.9 * base)]

    canvas.paint(body_region(vertebra), layers)


def _lateral_masses(spine: Spine, scale: float) -> list[Capsule]:
    """Alae as flattened cones that widen outwards; the joint cuts them to length."""
    backs = [
        Capsule(
            frame=vertebra.frame,
            start=(sign * 0.7 * side * scale, behind * scale, -13 * scale),
            end=(sign * side * scale, behind * scale, -14 * scale),
            radii=(radius * scale, radius * scale),
            scale=(1.0, 1.0, 1.3),
        )
        for vertebra, (side, behind, radius) in zip(spine.sacrum[:3], _BACKS, strict=True)
        for sign in (-1.0, 1.0)
    ]
    return backs + [
        Capsule(
            frame=vertebra.frame,
            start=(sign * 0.3 * vertebra.width_mm, inner * scale, -1 * scale),
            end=(sign * outer * scale, behind * scale, -5 * scale),
            radii=(0.9 * radius * scale, radius * scale),
            scale=(1.0, 0.95, 1.15),
        )
        for vertebra, (outer, inner, behind, radius) in zip(spine.sacrum[:4], _ALAE, strict=True)
        for sign in (-1.0, 1.0)
    ]


def _facets(first: Vertebra, scale: float) -> list[Capsule]:
    """The superior articular processes of S1, which carry those of the last lumbar vertebra."""
    back = first.depth_mm / 2
    return [
        Capsule(
            frame=first.frame,
            start=(sign * 23 * scale, back + 8 * scale, 2 * scale),
            end=(sign * 22 * scale, back + 12 * scale, 20 * scale),
            radii=(7 * scale, 5 * scale),
        )
        for sign in (-1.0, 1.0)
    ]


def _crest(spine: Spine, scale: float) -> list[Capsule]:
    """The median crest, and the laminae that close the sacral canal."""
    return [part for number, vertebra in enumerate(spine.sacrum[:4], start=1) for part in _crest_of(vertebra, number, scale)]


def _crest_of(vertebra: Vertebra, number: int, scale: float) -> list[Capsule]:
    radius = (8.0 - 1.3 * number) * scale
    behind = vertebra.depth_mm / 2 + 2 * radius + 3 * scale
    half = vertebra.height_mm * 0.4
    ridge = Capsule(
        frame=vertebra.frame,
        start=(0, behind + (6 - number) * scale, -half),
        end=(0, behind + (7 - number) * scale, half),
        radii=(3.2 * scale, 3.2 * scale),
        scale=(1.0, 1.8, 1.0),
    )
    laminae = [
        Capsule(
            frame=vertebra.frame,
            start=(0, behind, 0),
            end=(sign * (22 - 3.5 * number) * scale, vertebra.depth_mm / 2 + 3 * scale, 0),
            radii=(2.8 * scale, 4.0 * scale),
            scale=(1.0, 1.0, 2.2),
        )
        for sign in (-1.0, 1.0)
    ]
    return [ridge, *laminae]


def _coccyx(last: Vertebra, scale: float) -> list[Capsule]:
    """Three small bones that curve forwards below S5."""
    points = [
        last.frame.point(0, behind * scale, -last.height_mm / 2 - down * scale) for behind, down in ((0, 3), (-3, 13), (-9, 22), (-16, 29))
    ]
    sizes = ((6.0, 5.0), (5.0, 4.0), (3.8, 3.0))
    return [
        _capsule(first + 0.15 * (second - first), second - 0.15 * (second - first), (size[0] * scale, size[1] * scale))
        for first, second, size in zip(points, points[1:], sizes, strict=False)
    ]
