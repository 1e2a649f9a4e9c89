"""Fat inside and between the muscles of back, buttocks and neck, more of it with age; and the muscles of the neck."""

import numpy as np

from training.simulation.canvas import Canvas
from training.simulation.parameters import PatientParameters
from training.simulation.spine import Spine, Vertebra
from training.simulation.tissue import FAT_HU, Tissues
from training.simulation.torso import Torso, paint_union, rod


def paint_streaks(canvas: Canvas, torso: Torso, spine: Spine, patient: PatientParameters) -> None:
    """Paint fatty streaks in the paraspinal muscles and the planes between the gluteal ones."""
    rng = np.random.default_rng((patient.seed, 37))
    share = float(np.clip((patient.age_years - 20) / 60, 0.1, 1.2)) * float(rng.uniform(0.5, 1.3))
    for vertebra in spine.vertebrae[3:]:
        _paint_paraspinal(canvas, vertebra, torso.scale, share, rng)
    _paint_gluteal(canvas, torso, share)


def paint_neck(canvas: Canvas, torso: Torso, spine: Spine, table: Tissues) -> None:
    """Paint the muscles beside and in front of the cervical spine, and the thyroid gland."""
    s = torso.scale
    top, low = spine.cervical[-1].frame.origin, spine.level("T2").frame.origin
    thyroid = spine.neck.frame.origin
    for sign in (-1.0, 1.0):
        rods = [
            rod(top + np.array([sign * 30, -14, 0]) * s, low + np.array([sign * 18, -66, 4]) * s, (9 * s, 6 * s), (1.6, 1.0, 1.0)),
            rod(top + np.array([sign * 22, 4, 0]) * s, low + np.array([sign * 48, 4, 0]) * s, (10 * s, 15 * s)),
            rod(top + np.array([sign * 9, -13, 0]) * s, low + np.array([sign * 9, -12, 10]) * s, (5 * s, 4 * s), (1.5, 1.0, 1.0)),
        ]
        paint_union(canvas, rods, table.muscle)
        lobe = [rod(thyroid + np.array([sign * 15, -25, 0]) * s, thyroid + np.array([sign * 16, -24, -18]) * s, (7 * s, 8 * s))]
        paint_union(canvas, lobe, table.muscle + 55)


def _paint_paraspinal(canvas: Canvas, vertebra: Vertebra, scale: float, share: float, rng: np.random.Generator) -> None:
    rods = []
    for sign in (-1.0, 1.0):
        for _ in range(6):
            aside, behind, wide = rng.uniform(7, 46), rng.uniform(27, 56), rng.uniform(1.0, 3.5)
            radius, drift, grows = rng.uniform(0.5, 1.3), rng.normal(0, 4, 2), rng.random()
            if grows > share:
                continue
            start = vertebra.frame.point(sign * aside * scale, vertebra.depth_mm / 2 + behind * scale, 12 * scale)
            end = vertebra.frame.point(sign * (aside + drift[0]) * scale, vertebra.depth_mm / 2 + (behind + drift[1]) * scale, -14 * scale)
            rods.append(rod(start, end, (float(radius), float(radius)), (float(wide), 1.0, 1.0)))
    paint_union(canvas, rods, FAT_HU + 35)


def _paint_gluteal(canvas: Canvas, torso: Torso, share: float) -> None:
    s, s1 = torso.scale, torso.ilium.s1
    radius = (1.0 + 1.2 * share) * s
    planes = (
        ((92, 48, 18), (124, 36, -70), (1.0, 7.0, 1.0)),
        ((112, 14, 0), (118, 4, -60), (1.0, 6.0, 1.0)),
        ((140, -22, -10), (134, -30, -110), (1.0, 6.0, 1.0)),
        ((108, -58, -40), (112, -66, -120), (6.0, 1.0, 1.0)),
        ((70, 34, -70), (96, 40, -120), (6.0, 1.0, 1.0)),
    )
    for sign in (-1.0, 1.0):
        for start, end, scale in planes:
            mirrored = np.array([sign * s, s, s])
            paint_union(canvas, [rod(s1 + mirrored * start, s1 + mirrored * end, (radius, radius), scale)], FAT_HU + 10)
