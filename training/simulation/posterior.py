"""What lies behind the vertebral bodies: arch and processes, the spinal canal and what it holds, pedicle screws."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from training.simulation.canvas import ANATOMY, Canvas
from training.simulation.shapes import Capsule, ellipse, union
from training.simulation.spine import Spine, Vertebra
from training.simulation.tissue import CORD_HU, CSF_HU, EPIDURAL_HU, FAT_HU, LIGAMENT_HU, METAL_HU

ARCH_MM = 1.5
"""Thickness of the arch's cortex."""
_CANAL_SEMI_MM = 8.0
# Spinous processes: how far the tip lies above the middle of the body and how far behind it, mm, from the first level of a region on.
_SPINOUS = {
    "C": ((-8.0, 34.0),) * 6 + ((-12.0, 46.0),),
    "T": ((-16.0, 47.0), (-19.0, 47.0), (-22.0, 46.0), (-26.0, 45.0), (-29.0, 44.0), (-30.0, 44.0), (-30.0, 44.0), (-28.0, 44.0),
          (-25.0, 45.0), (-20.0, 45.0), (-12.0, 45.0), (-8.0, 46.0)),
    "L": ((-7.0, 47.0), (-7.0, 48.0), (-7.0, 48.0), (-7.0, 46.0), (-8.0, 40.0)),
}  # fmt: skip


def canal_semi_mm(vertebra: Vertebra, scale: float) -> float:
    """Half-width of the spinal canal at a level."""
    if vertebra.thoracic:
        return 8.8 * scale
    return (11.0 + 0.5 * min(int(vertebra.name[1:]), 5)) * scale


def pedicles(vertebra: Vertebra, scale: float) -> list[Capsule]:
    """Right and left pedicle as rods from inside the body to the articular pillars."""
    half = _pedicle_half_mm(vertebra) * scale
    side = canal_semi_mm(vertebra, scale) + half - 0.5
    high = 0.20 * vertebra.height_mm
    tall = min(6.5 * scale, 0.27 * vertebra.height_mm) / half
    back = vertebra.depth_mm / 2
    return [
        Capsule(
            frame=vertebra.frame,
            start=(sign * side * 0.95, back - 5, high),
            end=(sign * side, back + 12 * scale, high),
            radii=(half, half),
            scale=(1.0, 1.0, tall),
        )
        for sign in (-1.0, 1.0)
    ]


def paint_arch(canvas: Canvas, vertebra: Vertebra, base_hu: float, cortex_hu: float, scale: float) -> None:
    """Paint pedicles, articular, transverse and spinous processes and laminae, leaving the canal open."""
    found = union(canvas, [*pedicles(vertebra, scale), *_processes(vertebra, scale)])
    if found is None:
        return
    box, distance = found
    left, posterior, _ = canvas.coordinates(vertebra.frame, box)
    canal = ellipse(left, posterior - _canal_centre_mm(vertebra, scale), canal_semi_mm(vertebra, scale), _CANAL_SEMI_MM * scale)
    distance = np.maximum(distance, -canal)
    canvas.blend_shells(box, distance, [(0.0, cortex_hu * 1.05), (ARCH_MM, 110.0 + 0.9 * base_hu)])


def paint_canal(canvas: Canvas, spine: Spine, scale: float) -> None:
    """Paint ligaments, epidural fat, the dural sac and the cord (down to L1) along the whole spine."""
    tubes = [(*_canal_tube(vertebra, scale), vertebra) for vertebra in (*spine.cervical, spine.neck, *spine.vertebrae, *spine.sacrum[:4])]
    for grow, value in ((3.0, LIGAMENT_HU), (0.0, EPIDURAL_HU), (-1.2, CSF_HU)):
        _paint_rods(
            canvas, [_tube(vertebra, start, end, radius + grow * radius / 8, wide) for start, end, radius, wide, vertebra in tubes], value
        )
    cord = [
        _tube(vertebra, start, end, 4.0 * scale, 1.25) for start, end, _, _, vertebra in tubes if vertebra.thoracic or vertebra.name == "L1"
    ]
    _paint_rods(canvas, cord, CORD_HU)
    for vertebra in spine.vertebrae:
        _paint_foramina(canvas, vertebra, scale)


def paint_screws(canvas: Canvas, spine: Spine, levels: Sequence[str], scale: float) -> None:
    """Paint pedicle screws, and the rods that join the levels they sit in."""
    rods: list[Capsule] = []
    heads: dict[int, list[NDArray[np.float64]]] = {-1: [], 1: []}
    for vertebra in (vertebra for vertebra in spine.vertebrae if vertebra.name in levels):
        for pedicle in pedicles(vertebra, scale):
            side = 1 if pedicle.start[0] > 0 else -1
            head = (pedicle.start[0] + side * 6.0 * scale, vertebra.depth_mm / 2 + 28 * scale, pedicle.start[2] + 1)
            tip = (pedicle.start[0] * 0.55, -0.15 * vertebra.depth_mm, pedicle.start[2] * 0.5)
            rods.append(Capsule(frame=vertebra.frame, start=head, end=tip, radii=(2.9, 2.4)))
            rods.append(Capsule(frame=vertebra.frame, start=head, end=head, radii=(6.0, 6.0)))
            heads[side].append(vertebra.frame.point(*head))
    for points in heads.values():
        for first, second in pairwise(points):
            rods.append(
                Capsule(
                    frame=ANATOMY,
                    start=(float(first[0]), float(first[1]) + 3, float(first[2])),
                    end=(float(second[0]), float(second[1]) + 3, float(second[2])),
                    radii=(2.8, 2.8),
                )
            )
    _paint_rods(canvas, rods, METAL_HU)


def _paint_rods(canvas: Canvas, rods: Sequence[Capsule], value: float) -> None:
    found = union(canvas, rods)
    if found is not None:
        canvas.blend_shells(*found, [(0.0, value)])


def _paint_foramina(canvas: Canvas, vertebra: Vertebra, scale: float) -> None:
    """Fat around the nerve root, below each pedicle."""
    side = canal_semi_mm(vertebra, scale) + 4
    centre = _canal_centre_mm(vertebra, scale)
    rods = [
        Capsule(
            frame=vertebra.frame,
            start=(sign * side, centre - 3, -0.32 * vertebra.height_mm),
            end=(sign * (side + 9), centre - 2, -0.38 * vertebra.height_mm),
            radii=(4.5 * scale, 4.5 * scale),
        )
        for sign in (-1.0, 1.0)
    ]
    _paint_rods(canvas, rods, FAT_HU + 30)


def _canal_centre_mm(vertebra: Vertebra, scale: float) -> float:
    return vertebra.depth_mm / 2 + (_CANAL_SEMI_MM + 0.3) * scale


def _canal_tube(vertebra: Vertebra, scale: float) -> tuple[tuple[float, float, float], tuple[float, float, float], float, float]:
    """Start, end, AP half-width and LR/AP ratio of the canal behind one vertebra."""
    sacral = vertebra.name.startswith("S")
    radius = (_CANAL_SEMI_MM - (1.3 * int(vertebra.name[1:]) if sacral else 0)) * scale
    wide = 1.5 if sacral else canal_semi_mm(vertebra, scale) / (_CANAL_SEMI_MM * scale)
    centre = vertebra.depth_mm / 2 + radius + 0.3
    half = vertebra.height_mm / 2 + vertebra.disc_below_mm / 2
    return (0.0, centre, -half), (0.0, centre, half), radius, wide


def _tube(vertebra: Vertebra, start: tuple[float, float, float], end: tuple[float, float, float], radius: float, wide: float) -> Capsule:
    return Capsule(frame=vertebra.frame, start=start, end=end, radii=(radius, radius), scale=(wide, 1.0, 1.0))


def _pedicle_half_mm(vertebra: Vertebra) -> float:
    if vertebra.thoracic:
        return 3.0 if int(vertebra.name[1:]) < 11 else 4.0
    return (4.0, 4.2, 5.0, 6.2, 8.0, 8.0)[int(vertebra.name[1:]) - 1]


def _processes(vertebra: Vertebra, scale: float) -> list[Capsule]:
    """Articular pillars, laminae, transverse and spinous processes; lumbar and thoracic ones differ in direction and stoutness."""
    s, back, top = scale, vertebra.depth_mm / 2, 14.0 * scale
    frame, number = vertebra.frame, int(vertebra.name[1:])
    side = canal_semi_mm(vertebra, scale) + 2.5 * s
    slope, tip = _SPINOUS[vertebra.name[0]][min(number, len(_SPINOUS[vertebra.name[0]])) - 1]
    thin, tall = (0.45, 0.75 if slope < -20 else 1.1) if vertebra.thoracic else (0.5, 1.45)
    stout = 0.0 if vertebra.thoracic else 1.2 * s
    rods = [
        Capsule(
            frame=frame,
            start=(0, back + 23 * s, -5 * s),
            end=(0, back + tip * s, (slope - 3) * s),
            radii=(6.5 * s, 7.5 * s),
            scale=(thin, 1.0, tall),
        )
    ]
    for sign in (-1.0, 1.0):
        pillar = (sign * side, back + 15 * s, 2 * s)
        if vertebra.thoracic:
            transverse = Capsule(frame=frame, start=pillar, end=(sign * 31 * s, back + 23 * s, 5 * s), radii=(4.5 * s, 4.5 * s))
        else:
            transverse = Capsule(
                frame=frame, start=pillar, end=(sign * 41 * s, back + 15 * s, 4 * s), radii=(4.5 * s, 3.0 * s), scale=(1.0, 0.7, 1.3)
            )
        rods += [
            transverse,
            Capsule(
                frame=frame, start=pillar, end=(sign * (side + 1.5 * s), back + 13 * s, top + 4 * s), radii=(5 * s + stout, 4 * s + stout)
            ),
            Capsule(
                frame=frame, start=pillar, end=(sign * (side - 1 * s), back + 20 * s, -top - 6 * s), radii=(5 * s + stout, 4.5 * s + stout)
            ),
            Capsule(
                frame=frame,
                start=(sign * (side - 1 * s), back + 17 * s, -1 * s),
                end=(0, back + 23 * s, -5 * s),
                radii=(3.4 * s, 3.4 * s),
                scale=(1.0, 1.0, 2.2),
            ),
        ]
    return rods
