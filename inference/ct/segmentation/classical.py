"""The built-in segmenter: geometry and dynamic programming, nobody's weights.

Canal, centre line of the bodies, straightened spine, discs, endplates, side wall, level anchors: each is one module of this package.
"""

import hashlib
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from inference.ct.segmentation.base import Segmentation, VertebralBody
from inference.ct.segmentation.bodies import Body, OrientedScan, body_axes, find_body, paint
from inference.ct.segmentation.canal import CanalTrack, corridor_of, find_canal, merit
from inference.ct.segmentation.centreline import body_centreline
from inference.ct.segmentation.discs import Disc, find_discs
from inference.ct.segmentation.grid import Frame, WorkGrid, check_intensity_scale, frame_of, resample
from inference.ct.segmentation.levels import Anchors, Naming, name_levels
from inference.ct.segmentation.ribs import rib_statuses, slots
from inference.ct.segmentation.sacrum import find_sacrum
from inference.ct.segmentation.scale import soft_tissue_shift_hu
from inference.ct.segmentation.straighten import StraightSpine, straighten
from inference.ct.segmentation.surroundings import look_around
from inference.ct.segmentation.wall import Wall, find_wall
from inference.errors import ReasonCode, Refusal, WarningCode
from inference.findings import ModelUsed, Notice
from inference.volume import Volume


@dataclass(frozen=True, kw_only=True)
class ClassicalParameters:
    """What may be set from outside; the constants of the steps lie in their modules.

    Attributes
    ----------
    max_slice_spacing_mm
        Coarser scans are refused: at 7 mm the attenuation read 20 to 30 HU too high.
    grid_mm
        Voxel size of the working grid; at 3 mm the canal of chests is lost.
    min_canal_mm
        A shorter canal is no spine.
    min_wall_contrast_hu
        Median fall of attenuation across the side walls below which no contour can be trusted.
    plausible_body_hu
        Range of the median over bodies of the mean attenuation more than 4 mm inside them.
    weak_disc_hu
        Discs of less contrast are reported.
    max_roll_deg
        Rotation about the long axis above which it is reported.
    max_size_change
        Relative difference from the neighbours above which a body's height or spacing is reported.
    """

    max_slice_spacing_mm: float = 5.0
    grid_mm: float = 1.5
    min_canal_mm: float = 45.0
    min_wall_contrast_hu: float = 75.0
    plausible_body_hu: tuple[float, float] = (-50.0, 350.0)
    weak_disc_hu: float = 25.0
    max_roll_deg: float = 20.0
    max_size_change: float = 0.2


@dataclass(frozen=True, kw_only=True)
class Column:
    """Everything found before the masks are drawn; discs and bodies foot to head."""

    frame: Frame
    grid: WorkGrid
    track: CanalTrack
    spine: StraightSpine
    discs: list[Disc]
    wall: Wall
    bodies: list[Body]


@dataclass(frozen=True, kw_only=True)
class ClassicalSegmenter:
    """Segments vertebral bodies by an analytic method; see :class:`inference.ct.segmentation.base.Segmenter`."""

    parameters: ClassicalParameters = field(default_factory=ClassicalParameters)

    @property
    def model(self) -> ModelUsed:
        """The method's name, and a hash over the source of this package and the parameters."""
        digest = hashlib.sha256(repr(self.parameters).encode())
        for source in sorted(Path(__file__).parent.glob("*.py")):
            digest.update(source.name.encode())
            digest.update(source.read_bytes())
        return ModelUsed(name="classical-spine", version="1", sha256=digest.hexdigest(), trained_on="not trained: analytic method")

    def segment(self, volume: Volume) -> Segmentation:
        """Segment and name every body that lies between two discs.

        Raises
        ------
        Refusal
            ``SLICES_TOO_THICK``, ``NOT_A_VOLUME``, ``IMPLAUSIBLE_HU``, ``SPINE_NOT_FOUND`` or ``POOR_CONTRAST``.
        """
        column = self.find_column(volume)
        naming = self.name(column)
        mask = np.zeros(volume.hu.shape, dtype=np.uint8)
        scan = OrientedScan(hu=column.frame.view(volume.hu), labels=column.frame.view(mask))
        vertebrae: list[VertebralBody] = []
        cores: list[float] = []
        for space in range(len(column.bodies), naming.first - 1, -1):
            label = len(vertebrae) + 1
            painted = paint(column.spine, column.bodies[space - 1], column.frame, scan, label)
            if painted.drawn:
                vertebrae.append(self.describe(column, naming, space, label, whole=painted.whole))
                cores.extend([] if painted.core_hu is None else [painted.core_hu])
        self.check_attenuation(cores)
        canal = column.frame.to_lps_mm(column.track.points_mm)[::-1]
        return Segmentation(
            bodies=mask,
            vertebrae=tuple(vertebrae),
            canal_lps_mm=canal,
            level_because=naming.because,
            notices=naming.notices + self.rotation_notice(column),
            model=self.model,
        )

    def find_column(self, volume: Volume) -> Column:
        """Find canal, discs, endplates and walls; refuse where there is no spine to trust."""
        spacing = max(volume.spacing_mm)
        if spacing > self.parameters.max_slice_spacing_mm + 1e-3:
            limit = self.parameters.max_slice_spacing_mm
            raise Refusal(ReasonCode.SLICES_TOO_THICK, f"slices lie {spacing:.1f} mm apart; at most {limit:.1f} mm can be measured")
        frame = frame_of(volume)
        grid = resample(frame.view(volume.hu), frame.spacing_mm, self.parameters.grid_mm)
        check_intensity_scale(grid)
        grid, track = find_canal_on_any_scale(grid)
        if track.length_mm < self.parameters.min_canal_mm:
            text = f"a spinal canal could be followed over {track.length_mm:.0f} mm; {self.parameters.min_canal_mm:.0f} mm are needed"
            raise Refusal(ReasonCode.SPINE_NOT_FOUND, text)
        spine = straighten(grid, body_centreline(grid, track))
        discs = find_discs(spine)
        if len(discs) < 2:
            raise Refusal(ReasonCode.SPINE_NOT_FOUND, "no vertebral body between two discs is in view")
        wall = find_wall(spine, track.points_mm)
        bodies = [find_body(spine, wall, below, above) for below, above in pairwise(discs)]
        self.check_walls(bodies)
        return Column(frame=frame, grid=grid, track=track, spine=spine, discs=discs, wall=wall, bodies=bodies)

    def check_walls(self, bodies: list[Body]) -> None:
        """Refuse where the side walls hardly stand out."""
        contrast = float(np.median([np.median(body.wall.contrast_hu[body.first : body.last + 1]) for body in bodies]))
        if contrast < self.parameters.min_wall_contrast_hu:
            limit = self.parameters.min_wall_contrast_hu
            raise Refusal(
                ReasonCode.POOR_CONTRAST, f"attenuation falls by {contrast:.0f} HU across the walls of the bodies, {limit:.0f} needed"
            )

    def name(self, column: Column) -> Naming:
        """Level names from the sacrum and the ribs."""
        around = look_around(column.grid, column.spine.curve)
        bounded = tuple(space[2] for space in slots(column.discs, len(column.spine.curve.points_mm)))
        broken = broken_spaces([disc.along for disc in column.discs])
        ribs = tuple(rib_statuses(around, column.discs))
        return name_levels(Anchors(bounded=bounded, ribs=ribs, sacrum=find_sacrum(around, column.discs), broken=broken))

    def describe(self, column: Column, naming: Naming, space: int, label: int, *, whole: bool) -> VertebralBody:
        """The record of one body; ``space`` counts from the foot, space n lying above disc n - 1."""
        body = column.bodies[space - 1]
        middle = column.spine.to_frame_mm(np.array(body.middle), np.array(0.0), np.array(0.0))
        cranial, anterior, left = (column.frame.vector_to_lps(axis) for axis in body_axes(column.spine, body))
        level = naming.levels[space]
        return VertebralBody(
            label=label,
            level=level,
            level_certain=naming.certain[space],
            whole=whole,
            centre_lps_mm=column.frame.to_lps_mm(middle),
            cranial=cranial,
            anterior=anterior,
            left=left,
            notices=self.body_notices(column, space),
        )

    def body_notices(self, column: Column, space: int) -> tuple[Notice, ...]:
        """Weak discs and unusual size of one body."""
        body = column.bodies[space - 1]
        notices = []
        weakest = min(body.below.score, body.above.score)
        if weakest < self.parameters.weak_disc_hu:
            notices.append(Notice(code=WarningCode.WEAK_DISC, text=f"a disc beside this body stands out by {weakest:.0f} HU only"))
        step = column.spine.curve.step_mm
        heights = [each.height_mm(step) for each in column.bodies]
        spacings = [(each.above.along - each.below.along) * step for each in column.bodies]
        for what, values in (("height", heights), ("distance between its discs", spacings)):
            change = change_from_neighbours(values, space - 1)
            if abs(change) > self.parameters.max_size_change:
                text = f"the {what}, {values[space - 1]:.0f} mm, differs by {change:+.0%} from the neighbours'"
                notices.append(Notice(code=WarningCode.SIZE_OUTLIER, text=text))
        return tuple(notices)

    def rotation_notice(self, column: Column) -> tuple[Notice, ...]:
        """A notice where the spine is rotated about its long axis."""
        roll = float(np.median(column.spine.curve.roll_deg))
        if abs(roll) <= self.parameters.max_roll_deg:
            return ()
        return (Notice(code=WarningCode.ROTATED_SPINE, text=f"the spine is rotated by {abs(roll):.0f} degrees about its long axis"),)

    def check_attenuation(self, cores_hu: list[float]) -> None:
        """Refuse bodies whose attenuation no bone has."""
        if not cores_hu:
            raise Refusal(ReasonCode.SPINE_NOT_FOUND, "no vertebral body lies in view")
        typical = float(np.median(cores_hu))
        low, high = self.parameters.plausible_body_hu
        if not low <= typical <= high:
            raise Refusal(ReasonCode.IMPLAUSIBLE_HU, f"the bodies found have a mean of {typical:.0f} HU, which no vertebral body has")


def find_canal_on_any_scale(grid: WorkGrid) -> tuple[WorkGrid, CanalTrack]:
    """The canal, and the grid with its intensity scale put right where that alone makes the canal plain."""
    track = find_canal(grid)
    shift = soft_tissue_shift_hu(corridor_of(grid).hu[::2, ::2, ::2])
    if shift == 0.0:
        return grid, track
    moved = WorkGrid(hu=grid.hu - np.float32(shift), spacing_mm=grid.spacing_mm)
    other = find_canal(moved)
    return (moved, other) if merit(other) > 1.3 * merit(track) else (grid, track)


def change_from_neighbours(values: list[float], at: int) -> float:
    """Relative difference of one value from the mean of its neighbours (both, or the one there is); 0 without any."""
    neighbours = [values[n] for n in (at - 1, at + 1) if 0 <= n < len(values)]
    return values[at] / float(np.mean(neighbours)) - 1.0 if neighbours else 0.0


def broken_spaces(along: list[float], *, tall: float = 1.45, low: float = 0.6) -> tuple[bool, ...]:
    """Per space: whether the distance of its discs suggests a missed or a false disc, against the median of the nearest four."""
    spacings = [b - a for a, b in pairwise(along)]
    broken = [False]
    for n, spacing in enumerate(spacings):
        others = [spacings[m] for m in range(max(0, n - 2), min(len(spacings), n + 3)) if m != n]
        ratio = spacing / float(np.median(others)) if others else 1.0
        broken.append(ratio > tall or ratio < low)
    return (*broken, False)
