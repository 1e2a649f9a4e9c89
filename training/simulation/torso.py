"""The outline of the trunk and what fills it from skin to cavity: fat, muscle, lungs. Everything is a function of the height z."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from training.simulation.canvas import ANATOMY, Canvas, FloatArray, Layer, Region
from training.simulation.ilium import Ilium
from training.simulation.parameters import PatientParameters
from training.simulation.shapes import Capsule, rounded, smooth_max, union
from training.simulation.spine import Spine
from training.simulation.tissue import FAT_HU, LUNG_HU, SKIN_HU, Tissues

SKIN_MM = 1.6
PROFILE_STEP_MM = 0.5


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A value along z, linear between knots; looked up in steps of :data:`PROFILE_STEP_MM`, which is many times faster in 3-D."""

    z_mm: NDArray[np.float64]
    values: NDArray[np.float64]

    @cached_property
    def _table(self) -> FloatArray:
        count = int((self.z_mm[-1] - self.z_mm[0]) / PROFILE_STEP_MM) + 2
        grid = self.z_mm[0] + PROFILE_STEP_MM * np.arange(count)
        return np.asarray(np.interp(grid, self.z_mm, self.values), dtype=np.float32)

    def __call__(self, z: FloatArray) -> FloatArray:
        index = (z - np.float32(self.z_mm[0] - PROFILE_STEP_MM / 2)) * np.float32(1 / PROFILE_STEP_MM)
        return np.asarray(self._table.take(index.astype(np.int32), mode="clip"), dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Torso:
    """The trunk's shape.

    ``half_width``, ``front``, ``back`` are the skin; ``fat`` is subcutaneous; ``wall`` is the muscle under it, which holds the ribs;
    ``spine_x``, ``spine_y`` and ``spine_depth`` follow the
    vertebral bodies; ``domes`` are the tops of the diaphragm, right and left, mm;
    ``ilium`` bounds the pelvic cavity.
    """

    half_width: Profile
    front: Profile
    back: Profile
    fat: Profile
    wall: Profile
    spine_x: Profile
    spine_y: Profile
    spine_depth: Profile
    domes: tuple[float, float]
    scale: float
    ilium: Ilium

    def skin(self, x: FloatArray, y: FloatArray, z: FloatArray) -> FloatArray:
        """Signed distance to the skin."""
        front, back, half = self.front(z), self.back(z), self.half_width(z)
        middle, depth = (front + back) / 2, (back - front) / 2
        groove = 7.0 * np.exp(-((x - self.spine_x(z)) ** 2) / 300.0) * np.clip((y - middle) / 40, 0, 1)
        return np.asarray(rounded(x, y - middle, half, depth) + groove, dtype=np.float32)

    def muscle(self, y: FloatArray, z: FloatArray, skin: FloatArray) -> FloatArray:
        """Signed distance to the fascia under the subcutaneous fat, which is thicker behind than in front."""
        middle, depth = (self.front(z) + self.back(z)) / 2, (self.back(z) - self.front(z)) / 2
        return np.asarray(skin + self.fat(z) * (0.85 + 0.35 * np.clip((y - middle) / depth, -1, 1)), dtype=np.float32)

    def cavity(self, x: FloatArray, y: FloatArray, z: FloatArray, muscle: FloatArray) -> FloatArray:
        """Signed distance to the cavity in front of the spine and inside the wall; it narrows between the iliac wings."""
        beside = np.abs(x - self.spine_x(z))
        aside = np.abs(x)
        behind = y - self.spine_y(z) - 20.0 * self.scale - 0.45 * np.clip(beside - 35.0, 0, 60)
        above = np.clip((z - self.ilium.s1[2] - 18 * self.scale) / (30 * self.scale), 0, 1)
        wings = (aside - self.ilium.inner(y, z) + 11.0 * self.scale) * (1 - above) - 40.0 * above
        inner = smooth_max(muscle + self.wall(z), np.asarray(behind, dtype=np.float32), 16.0)
        return smooth_max(inner, np.asarray(wings, dtype=np.float32), 10.0)

    def dome(self, x: FloatArray, y: FloatArray, z: FloatArray) -> FloatArray:
        """Signed distance to the space above the diaphragm (negative above)."""
        middle = (self.front(z) + self.back(z)) / 2
        s = self.scale
        tops: list[FloatArray] = []
        for centre, top in zip((-68.0 * s, 68.0 * s), self.domes, strict=True):
            r2 = ((x - centre) / (70 * s)) ** 2 + ((y - middle) / (95 * s)) ** 2
            tops.append(np.asarray(top - 75 * s * np.minimum(r2, 3.0) ** 1.2, dtype=np.float32))
        return np.asarray((np.maximum(*tops) - z) * 0.8, dtype=np.float32)


def build_torso(patient: PatientParameters, spine: Spine) -> Torso:
    """The trunk around a spine."""
    s, fat = patient.body_scale, patient.fat_mm
    place = {name: spine.level(name).frame.origin for name in (*patient.levels, "S1", "S3")}
    hip_z = place["S1"][2] - 130 * s
    last = patient.levels[-1]
    # z, half width, distance of the front from L3, fat relative to the flank, muscular wall
    rows = [
        (hip_z - 120 * s, 150.0, 85.0, 0.9, 14.0),
        (hip_z, 160.0, 88.0, 1.0, 14.0),
        (place["S1"][2] - 60 * s, 156.0, 90.0, 1.1, 13.0),
        (place["S1"][2], 150.0, 96.0, 1.15, 12.0),
        (place[last][2], 142.0, 108.0, 1.1, 12.0),
        (place["L3"][2], 136.0, 116.0, 1.0, 12.0),
        (place["L1"][2], 137.0, 116.0, 0.85, 12.0),
        (place["T11"][2], 140.0, 112.0, 0.6, 12.0),
        (place["T8"][2], 140.0, 112.0, 0.5, 15.0),
        (place["T5"][2], 138.0, 96.0, 0.5, 25.0),
        (place["T2"][2], 150.0, 62.0, 0.5, 30.0),
        (place["T1"][2] + 45 * s, 68.0, 62.0, 0.4, 20.0),
        (place["T1"][2] + 90 * s, 58.0, 60.0, 0.3, 20.0),
    ]
    z, half, front, relative, wall = np.array(rows).T
    front = np.maximum(front, _least_front(spine, z, s))
    thickness = relative * fat
    back_z, back = _back(patient, spine, hip_z)
    bodies = np.array([vertebra.frame.origin for vertebra in (*spine.sacrum[::-1], *spine.vertebrae[::-1])])
    order = np.argsort(bodies[:, 2])
    depths = np.array([vertebra.depth_mm for vertebra in (*spine.sacrum[::-1], *spine.vertebrae[::-1])])[order]
    rise = bodies[order]
    return Torso(
        half_width=Profile(z_mm=z, values=half * s + thickness),
        front=Profile(z_mm=z, values=-(front * s + thickness)),
        back=Profile(z_mm=back_z, values=back + 0.8 * np.interp(back_z, z, thickness)),
        fat=Profile(z_mm=z, values=thickness),
        wall=Profile(z_mm=z, values=wall * s),
        spine_x=Profile(z_mm=rise[:, 2], values=rise[:, 0]),
        spine_y=Profile(z_mm=rise[:, 2], values=rise[:, 1]),
        spine_depth=Profile(z_mm=rise[:, 2], values=depths),
        domes=(float(place["T9"][2] - 5), float(place["T10"][2] + 5)),
        scale=s,
        ilium=Ilium(s1=place["S1"], scale=s),
    )


def paint_torso(canvas: Canvas, torso: Torso, table: Tissues) -> None:
    """Paint skin, subcutaneous fat, muscle, and the fat of the cavity."""

    def layers(x: FloatArray, y: FloatArray, z: FloatArray) -> Sequence[Layer]:
        skin = torso.skin(x, y, z)
        muscle = torso.muscle(y, z, skin)
        cavity = torso.cavity(x, y, z, muscle)
        return [(skin, SKIN_HU), (skin + SKIN_MM, FAT_HU), (muscle, table.muscle), (cavity, FAT_HU - 2)]

    canvas.paint(everywhere(torso), layers)


def paint_breasts(canvas: Canvas, torso: Torso, spine: Spine, table: Tissues) -> None:
    """Paint breasts as they lie in a supine patient, gland in fat; the trunk is painted over them."""
    s, z = torso.scale, float(spine.level("T8").frame.origin[2]) + 14 * torso.scale
    height = np.array([z], dtype=np.float32)
    size = 30.0 * s + 0.5 * float(torso.fat(height)[0])
    front, back, half = (float(profile(height)[0]) for profile in (torso.front, torso.back, torso.half_width))
    for sign in (-1.0, 1.0):
        aside = 0.56 * half
        surface = (front + back) / 2 - (back - front) / 2 * float(np.sqrt(1 - 0.56**2))
        centre = np.array([sign * aside, surface + 8 * s, z])
        paint_union(
            canvas,
            [rod(centre, centre + np.array([sign * 6, 2, -6]) * s, (size, size), (1.5, 0.85, 1.6))],
            SKIN_HU,
            FAT_HU,
            step_mm=SKIN_MM,
        )
        gland = [
            rod(centre + np.array([sign * x, -4, up]) * s, centre + np.array([sign * 4, -0.62 * size / s, -4]) * s, (5 * s, 2 * s))
            for x, up in ((-14, 10), (0, 16), (14, 8), (18, -10), (0, -16), (-14, -8))
        ]
        paint_union(canvas, gland, table.muscle - 25)


def paint_muscles(canvas: Canvas, torso: Torso, spine: Spine, table: Tissues) -> None:
    """Paint psoas, quadratus lumborum, and the paraspinal muscles with the fat that parts them."""
    s = torso.scale
    lumbar = [vertebra for vertebra in spine.vertebrae if vertebra.name.startswith("L")]
    psoas: list[Capsule] = []
    hips = spine.level("S1").frame.origin
    for sign in (-1.0, 1.0):
        points = [vertebra.frame.point(sign * (vertebra.width_mm / 2 + 5 * s + 3.2 * n * s), 1.0, 0) for n, vertebra in enumerate(lumbar)]
        points += [hips + np.array([sign * 62, -34, -20]) * s, hips + np.array([sign * 78, -52, -70]) * s]
        radii = np.interp(np.arange(len(points)), [0, 3, 5, len(points) + 1], [9, 19, 22, 19]) * s
        psoas += [
            rod(first, second, (float(r), float(q))) for first, second, r, q in zip(points, points[1:], radii, radii[1:], strict=False)
        ]
        quadratus = [vertebra.frame.point(sign * 58 * s, 26 * s, 0) for vertebra in lumbar]
        psoas += [rod(first, second, (9 * s, 9 * s), (1.7, 1.0, 1.0)) for first, second in pairwise(quadratus)]
    paint_union(canvas, psoas, table.muscle + 4)
    _paint_fat_planes(canvas, torso, spine)


def paint_lungs(canvas: Canvas, torso: Torso, apex_z: float) -> None:
    """Paint both lungs: the cavity above the diaphragm, without spine and mediastinum, up to an apex.

    Beside the spine lung touches the bodies; aorta, heart and hila are painted over it and give the mediastinum its outline.
    """
    s = torso.scale

    def layers(x: FloatArray, y: FloatArray, z: FloatArray) -> Sequence[Layer]:
        skin = torso.skin(x, y, z)
        muscle = torso.muscle(y, z, skin)
        cavity = torso.cavity(x, y, z, muscle)
        beside = np.abs(x - torso.spine_x(z))
        forward = torso.spine_y(z) - y
        gutter = 0.62 * torso.spine_depth(z) + 4 * s
        ahead = np.clip((forward - 8 * s) / (14 * s), 0, 1)
        middle = gutter * (1 - ahead) + 19 * s * ahead + 11 * s * np.clip((forward - 35 * s) / (25 * s), 0, 1)
        middle = middle - 25 * s * np.clip((forward - 95 * s) / 30, 0, 1)
        shoulder = np.sqrt((np.maximum(z - (apex_z - 75 * s), 0) / (75 * s)) ** 2)
        shrink = 62 * s * shoulder**2.5 - 4.0
        lung = smooth_max(cavity + shrink, torso.dome(x, y, z), 6.0)
        return [(smooth_max(lung, np.asarray(middle - beside, dtype=np.float32), 8.0), LUNG_HU)]

    low = torso.domes[1] - 170 * s
    region = everywhere(torso)
    canvas.paint(Region(frame=ANATOMY, low=(region.low[0], region.low[1], low), high=(region.high[0], region.high[1], apex_z)), layers)


def everywhere(torso: Torso) -> Region:
    """The box of the trunk: unbounded along z."""
    half = float(torso.half_width.values.max()) + 2
    return Region(
        frame=ANATOMY,
        low=(-half, float(torso.front.values.min()) - 2, -2000.0),
        high=(half, float(torso.back.values.max()) + 2, 2000.0),
    )


def rod(
    start: NDArray[np.float64], end: NDArray[np.float64], radii: tuple[float, float], scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> Capsule:
    """A capsule between two anatomical points."""
    first, second = start.tolist(), end.tolist()
    return Capsule(frame=ANATOMY, start=(first[0], first[1], first[2]), end=(second[0], second[1], second[2]), radii=radii, scale=scale)


def paint_union(canvas: Canvas, rods: Sequence[Capsule], *values: float, step_mm: float = 0.0) -> None:
    """Paint a union of rods: the first value outside, each further one ``step_mm`` deeper."""
    found = union(canvas, rods)
    if found is not None:
        canvas.blend_shells(*found, [(step_mm * index, value) for index, value in enumerate(values)])


def _least_front(spine: Spine, z: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """How far in front of L3 the skin must lie at least for a bent spine to have a neck and a chest before it, at scale 1."""
    bodies = [*spine.cervical[::-1], spine.neck, *spine.vertebrae]
    heights = np.array([vertebra.frame.origin[2] for vertebra in bodies])[::-1]
    posterior = np.array([vertebra.frame.origin[1] for vertebra in bodies])[::-1] / scale
    thorax = [float(spine.level(name).frame.origin[2]) for name in ("T8", "T5", "T2")]
    depth = np.interp(z, [*thorax, heights[-1]], [125.0, 105.0, 70.0, 54.0])
    return np.where(z >= thorax[0], depth - np.interp(z, heights, posterior), 0.0)


def _back(patient: PatientParameters, spine: Spine, hip_z: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Heights and positions of the fascia behind the spinous processes, smoothed over neighbours."""
    s = patient.body_scale
    tips = [vertebra.frame.point(0, vertebra.depth_mm / 2 + 56 * s, -8 * s) for vertebra in spine.vertebrae]
    sacral = [vertebra.frame.point(0, vertebra.depth_mm / 2 + 36 * s, 0) for vertebra in spine.sacrum[1:4]]
    ends = [np.array([0, sacral[1][1] + 6 * s, hip_z]), np.array([0, sacral[1][1] - 20 * s, hip_z - 120 * s])]
    points = np.array([*tips, *sacral, *ends])
    order = np.argsort(points[:, 2])
    z, y = points[order, 2], points[order, 1]
    grid = np.arange(z[0], z[-1] + 60, 5.0)
    values = np.interp(grid, z, y)
    padded = np.pad(values, 8, mode="edge")
    smooth = np.convolve(padded, np.ones(17) / 17, mode="valid")
    return grid, np.maximum(smooth, values - 4)


def _paint_fat_planes(canvas: Canvas, torso: Torso, spine: Spine) -> None:
    """Thin fat between psoas, quadratus and the paraspinal muscles, and beside the spinous processes."""
    s = torso.scale
    rods: list[Capsule] = []
    for vertebra in (vertebra for vertebra in spine.vertebrae if vertebra.name.startswith("L")):
        for sign in (-1.0, 1.0):
            place, half = vertebra.frame, vertebra.height_mm * 0.75
            for left, behind in ((43.0, 37.0), (62.0, 42.0), (29.0, 52.0)):
                rods.append(
                    rod(
                        place.point(sign * left * s, behind * s, -half),
                        place.point(sign * left * s, behind * s, half),
                        (2.0, 2.0),
                        (2.5, 1.0, 1.0),
                    )
                )
            rods.append(rod(place.point(sign * 6 * s, 60 * s, -half), place.point(sign * 6 * s, 60 * s, half), (1.5, 1.5), (1.0, 4.0, 1.0)))
    paint_union(canvas, rods, FAT_HU)
