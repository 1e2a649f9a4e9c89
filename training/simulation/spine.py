"""The curved spine: one analytic frame and one size per vertebra.

Sizes are round figures in the middle of the published ranges for adults (the clinical facts' 20-30 mm height, 40-50 mm width and
30-35 mm depth in the lumbar spine), and agree with the expert masks the project was developed beside.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.simulation.canvas import Frame
from training.simulation.parameters import PatientParameters

# Anterior height, posterior height, width, depth, disc below; mm, T1..T12 then L1..L5, for body_scale 1.
_SIZES_MM = np.array(
    [
        (16.0, 17.0, 31.5, 18.0, 4.5),
        (17.0, 18.0, 30.5, 19.1, 4.2),
        (18.0, 19.0, 29.4, 20.6, 4.0),
        (19.0, 20.0, 29.4, 22.7, 4.0),
        (19.5, 20.5, 29.9, 24.7, 4.0),
        (20.0, 21.0, 30.5, 26.8, 4.3),
        (20.5, 21.5, 31.5, 28.8, 4.6),
        (21.0, 22.0, 32.6, 29.9, 5.0),
        (21.5, 22.5, 34.1, 30.9, 5.4),
        (22.5, 23.5, 36.8, 31.9, 5.8),
        (23.0, 25.0, 39.9, 33.0, 6.5),
        (24.5, 26.5, 43.1, 33.5, 7.5),
        (26.0, 27.8, 45.1, 34.0, 8.5),
        (27.5, 28.5, 46.7, 35.0, 9.8),
        (28.5, 28.5, 48.8, 36.1, 11.0),
        (28.8, 27.5, 50.9, 36.6, 12.0),
        (29.5, 25.0, 53.6, 36.6, 11.0),
    ]
)
# Sagittal tilt (cranial axis leaning forward), degrees, for 52 of lordosis and 36 of kyphosis.
_THORACIC_TILT_DEG = (26.0, 23.0, 20.0, 16.0, 11.0, 6.0, 1.0, -4.0, -8.0, -11.0, -13.0, -14.5)
_LUMBAR_TILT_DEG = (-14.0, -10.0, -3.0, 7.0, 23.0)
_SACRAL_TILT_DEG = 41.0
_LORDOSIS_DEG, _KYPHOSIS_DEG = 52.0, 36.0
_SACRAL_STEP_DEG = (0.0, 15.0, 2.0, -26.0, -50.0)
# Anterior height, posterior height, width, depth, disc remnant below; S1..S5.
_SACRAL_SIZES_MM = (
    (30.0, 25.0, 51.0, 33.0, 3.0),
    (25.0, 21.0, 36.0, 22.0, 1.0),
    (20.0, 18.0, 29.0, 17.0, 0.5),
    (18.0, 17.0, 26.0, 14.0, 0.5),
    (16.0, 16.0, 22.0, 11.0, 0.0),
)


@dataclass(frozen=True, kw_only=True)
class Vertebra:
    """One vertebra: its place, its sizes, its bone.

    ``frame`` has its origin midway between the anterior and posterior wall at mid-height. ``loss`` is the fraction of central height
    that is lost on top of what the wedge takes.
    """

    name: str
    frame: Frame
    anterior_mm: float
    middle_mm: float
    posterior_mm: float
    width_mm: float
    depth_mm: float
    disc_below_mm: float
    trabecular_hu: float

    @property
    def height_mm(self) -> float:
        """Mean of the anterior and posterior height."""
        return (self.anterior_mm + self.posterior_mm) / 2

    @property
    def thoracic(self) -> bool:
        """Thoracic, or the neck's last one, which is shaped much alike."""
        return self.name.startswith(("C", "T"))


@dataclass(frozen=True, kw_only=True)
class Spine:
    """Mobile vertebrae T1 downwards, then the fused sacral ones; ``neck`` is C7, ``cervical`` C6 upwards, all painted, never labelled."""

    neck: Vertebra
    cervical: tuple[Vertebra, ...]
    vertebrae: tuple[Vertebra, ...]
    sacrum: tuple[Vertebra, ...]

    def level(self, name: str) -> Vertebra:
        """The vertebra of this name; KeyError where the patient has none."""
        for vertebra in (*self.vertebrae, *self.sacrum):
            if vertebra.name == name:
                return vertebra
        raise KeyError(name)

    def curve(self, names: Sequence[str], points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Heights (ascending) and points (N, 3) of one given frame point per level, for interpolation along z."""
        located = np.array([self.level(name).frame.point(*point) for name, point in zip(names, points, strict=True)])
        order = np.argsort(located[:, 2])
        return located[order, 2], located[order]


def build_spine(patient: PatientParameters) -> Spine:
    """Stack the vertebrae on a curve from L5/S1 upwards and downwards; the origin is at L3's height, in the mid-sagittal plane of S1."""
    rng = np.random.default_rng((patient.seed, 11))
    names = patient.levels
    sizes = _sizes(patient, rng)
    trabecular = _trabecular_hu(patient, rng)
    axes = _axes(patient, names)
    heights = (sizes[:, 0] + sizes[:, 1]) / 2
    centres = np.zeros((len(names), 3))
    for index in range(len(names) - 2, -1, -1):
        below = index + 1
        disc = sizes[index, 4] * (axes[index][:, 2] + axes[below][:, 2]) / 2
        centres[index] = centres[below] + axes[below][:, 2] * heights[below] / 2 + disc + axes[index][:, 2] * heights[index] / 2
    sacral_axes, sacral_centres = _sacral_chain(patient, axes[-1], centres[-1], float(heights[-1]), float(sizes[-1, 4]))
    anchor = np.array([sacral_centres[0][0], *centres[names.index("L3")][1:]])
    vertebrae = [
        _vertebra(patient, name, Frame(origin=centre - anchor, axes=axis), size, float(hu))
        for name, centre, axis, size, hu in zip(names, centres, axes, sizes, trabecular, strict=True)
    ]
    sacrum = [
        _vertebra(patient, f"S{n + 1}", Frame(origin=centre - anchor, axes=axis), np.array(size) * patient.body_scale, trabecular[-1])
        for n, (centre, axis, size) in enumerate(zip(sacral_centres, sacral_axes, _SACRAL_SIZES_MM, strict=True))
    ]
    neck = _neck(patient, vertebrae[0])
    return Spine(neck=neck[0], cervical=neck[1:], vertebrae=tuple(vertebrae), sacrum=tuple(sacrum))


def _sizes(patient: PatientParameters, rng: np.random.Generator) -> NDArray[np.float64]:
    """(levels, 5) sizes in mm with a little individual variation, and with lost height."""
    count = patient.lumbar_count
    lumbar = np.stack([np.interp(np.linspace(0, 4, count), np.arange(5), column) for column in _SIZES_MM[12:].T], axis=1)
    sizes = np.concatenate([_SIZES_MM[:12], lumbar]) * patient.body_scale
    sizes[:, 4] *= patient.disc_scale
    sizes *= 1 + rng.normal(0, [0.012, 0.012, 0.012, 0.012, 0.05], sizes.shape)
    for index, name in enumerate(patient.levels):
        crush = patient.crush.get(name, 0.0)
        sizes[index, 0] *= (1 - crush) * (1 - patient.wedge.get(name, 0.0))
        sizes[index, 1] *= 1 - 0.7 * crush
    return sizes


def _trabecular_hu(patient: PatientParameters, rng: np.random.Generator) -> NDArray[np.float64]:
    """Trabecular attenuation per level: a little denser in the thorax, as in normative cohorts, and uneven by a few HU."""
    thoracic = np.linspace(1.30, 1.03, 12)
    lumbar = np.linspace(1.0, 0.98, patient.lumbar_count)
    values = patient.trabecular_hu * np.concatenate([thoracic, lumbar]) + rng.normal(0, 3.0, 12 + patient.lumbar_count)
    for name, value in patient.level_hu.items():
        values[patient.levels.index(name)] = value
    return values


def _axes(patient: PatientParameters, names: Sequence[str]) -> list[NDArray[np.float64]]:
    """Axes (3, 3) of every mobile vertebra from the patient's curves."""
    count = patient.lumbar_count
    lordosis, kyphosis = patient.lordosis_deg / _LORDOSIS_DEG, patient.kyphosis_deg / _KYPHOSIS_DEG
    lumbar = np.interp(np.linspace(0, 4, count), np.arange(5), _LUMBAR_TILT_DEG) * lordosis
    thoracic = np.array(_THORACIC_TILT_DEG)
    thoracic = lumbar[0] - 0.5 + (thoracic - thoracic[-1]) * kyphosis
    sagittal = np.concatenate([thoracic, lumbar])
    sizes = _SIZES_MM[:, 3] * patient.body_scale
    lost = np.zeros(len(names))
    for name, loss in patient.wedge.items():
        index = names.index(name)
        depth = sizes[min(index, len(sizes) - 1)]
        lost[index] = 0.7 * np.degrees(np.arctan(loss * _SIZES_MM[min(index, 16), 0] * patient.body_scale / depth))
    above = np.concatenate([np.cumsum(lost[::-1])[::-1][1:], [0.0]])
    sagittal = sagittal + above + lost / 2
    from_below = np.arange(len(names))[::-1]
    phase = 2 * np.pi * from_below / (len(names) - 1)
    coronal = patient.scoliosis_deg * np.cos(phase) * np.clip((from_below + 1) / 3, 0, 1)
    axial = patient.rotation_deg * np.sin(phase)
    return [rotation(tilt, lean, turn) for tilt, lean, turn in zip(sagittal, coronal, axial, strict=True)]


def rotation(sagittal_deg: float, coronal_deg: float, axial_deg: float) -> NDArray[np.float64]:
    """Axes (3, 3) of a frame leaning forward, to the left, and turned about its own long axis."""
    s, c, a = np.radians([sagittal_deg, coronal_deg, axial_deg])
    about_left = np.array([[1, 0, 0], [0, np.cos(s), -np.sin(s)], [0, np.sin(s), np.cos(s)]])
    about_posterior = np.array([[np.cos(c), 0, np.sin(c)], [0, 1, 0], [-np.sin(c), 0, np.cos(c)]])
    about_cranial = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    out: NDArray[np.float64] = about_posterior @ about_left @ about_cranial
    return out


def _sacral_chain(
    patient: PatientParameters, last_axes: NDArray[np.float64], last_centre: NDArray[np.float64], last_height: float, disc_mm: float
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Axes and centres of S1..S5. The sacral slope goes with the lordosis, so that L5 and S1 always face each other."""
    slope = _SACRAL_TILT_DEG * patient.lordosis_deg / _LORDOSIS_DEG
    axes = [rotation(slope + step, 0.0, 0.0) for step in _SACRAL_STEP_DEG]
    sizes = np.array(_SACRAL_SIZES_MM) * patient.body_scale
    heights = (sizes[:, 0] + sizes[:, 1]) / 2
    centres: list[NDArray[np.float64]] = []
    foot = last_centre - last_axes[:, 2] * last_height / 2 - disc_mm * (last_axes[:, 2] + axes[0][:, 2]) / 2
    for axis, height, gap in zip(axes, heights, sizes[:, 4], strict=True):
        centres.append(foot - axis[:, 2] * height / 2)
        foot = foot - axis[:, 2] * (height + gap)
    return axes, centres


def _neck(patient: PatientParameters, first: Vertebra) -> tuple[Vertebra, ...]:
    """C7 to C4 on top of T1, each a little smaller, leaning back again."""
    out, below = [], first
    lean = float(np.degrees(np.arctan2(-first.frame.axes[1, 2], first.frame.axes[2, 2])))
    for number, height, width, depth in ((7, 15.0, 29.0, 17.0), (6, 13.5, 26.0, 16.0), (5, 13.0, 24.0, 15.5), (4, 13.0, 22.5, 15.0)):
        size = np.array([height - 0.5, height + 0.5, width, depth, 4.5]) * patient.body_scale
        lean -= 2.0 if number == 7 else 8.0
        axes = rotation(lean, 0.0, 0.0)
        foot = below.frame.point(0, 0, below.height_mm / 2) + float(size[4]) * (below.frame.axes[:, 2] + axes[:, 2]) / 2
        frame = Frame(origin=foot + axes[:, 2] * height * patient.body_scale / 2, axes=axes)
        out.append(_vertebra(patient, f"C{number}", frame, size, first.trabecular_hu * (1.15 + 0.15 * (7 - number))))
        below = out[-1]
    return tuple(out)


def _vertebra(patient: PatientParameters, name: str, frame: Frame, size: NDArray[np.float64], trabecular_hu: float) -> Vertebra:
    crush = patient.crush.get(name, 0.0)
    wedge = patient.wedge.get(name, 0.0)
    concave = 2.0 * patient.body_scale
    middle = (size[0] + size[1]) / 2 - concave - 0.15 * (crush + 0.5 * wedge) * size[1]
    return Vertebra(
        name=name,
        frame=frame,
        anterior_mm=float(size[0]),
        middle_mm=float(max(middle, 5.0)),
        posterior_mm=float(size[1]),
        width_mm=float(size[2]),
        depth_mm=float(size[3]),
        disc_below_mm=float(size[4]),
        trabecular_hu=float(trabecular_hu),
    )
