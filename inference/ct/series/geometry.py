"""Where the slices of a series lie: from Image Position and Image Orientation (Patient) alone (PS3.3 C.7.6.2.1.1).

Slice Thickness, Spacing Between Slices, Slice Location, Gantry/Detector Tilt and Patient Position contradict these two in real data and
are not looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.errors import ReasonCode, Refusal
from inference.reading import InstanceHeader

SAME_POSITION_MM = 0.01
"""Slices nearer to each other than this lie at one position."""
MAX_RESAMPLED_TILT_DEG = 20.0
MIN_TILT_DEG = 0.5
"""Below this a shear moves no voxel by as much as a pixel within one vertebra, and rounded header values cause it."""
MAX_IN_PLANE_OFFSET_MM = 0.5
"""How far an image may lie from the line of the others, in its own plane."""
_ORTHONORMAL = 1e-3


@dataclass(frozen=True, kw_only=True)
class StackGeometry:
    """A regular stack of parallel images.

    Attributes
    ----------
    layers
        Indices of the images at each position, towards the head; more than one where images lie at the same position.
    affine
        (4, 4) LPS mm of (slice, row, column), slices towards the head; sheared where ``tilt_deg`` is not 0.
    spacing_mm
        Distance between neighbouring image planes, along the normal.
    tilt_deg
        Angle between the normal and the line on which the images are stacked; 0 below half a degree.
    """

    layers: tuple[tuple[int, ...], ...]
    affine: NDArray[np.float64]
    spacing_mm: float
    tilt_deg: float

    @property
    def coverage_mm(self) -> float:
        """Length of the stack, from the outer face of the first slice to that of the last."""
        return self.spacing_mm * len(self.layers)

    @property
    def has_duplicates(self) -> bool:
        """Whether some position holds several images."""
        return any(len(layer) > 1 for layer in self.layers)


def plane_axes(orientation: Sequence[float]) -> NDArray[np.float64]:
    """Unit vectors (3, 3) of an image: along a row, down a column, and their cross product, the normal.

    Raises
    ------
    Refusal
        ``ORIENTATION_MISSING`` where Image Orientation (Patient) is absent or no pair of perpendicular directions.
    """
    if len(orientation) != 6:
        raise Refusal(ReasonCode.ORIENTATION_MISSING, "Image Orientation (Patient) is missing or incomplete.")
    row, column = np.asarray(orientation[:3], dtype=np.float64), np.asarray(orientation[3:], dtype=np.float64)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1)) > 10 * _ORTHONORMAL:
        raise Refusal(ReasonCode.ORIENTATION_MISSING, "Image Orientation (Patient) does not hold two unit vectors.")
    row, column = row / lengths[0], column / lengths[1]
    if abs(float(row @ column)) > _ORTHONORMAL:
        raise Refusal(ReasonCode.ORIENTATION_MISSING, "Image Orientation (Patient): rows and columns are not perpendicular.")
    column = column - (row @ column) * row
    column /= np.linalg.norm(column)
    return np.stack([row, column, np.cross(row, column)])


def stack_geometry(headers: Sequence[InstanceHeader]) -> StackGeometry:
    """Stack images that share orientation, matrix and pixel spacing.

    Raises
    ------
    Refusal
        ``ORIENTATION_MISSING`` (of orientation or of a position), ``SPACING_MISSING``, ``NOT_A_VOLUME`` (one position, or jitter),
        ``MISSING_SLICES``, ``IRREGULAR_SPACING``, or ``GANTRY_TILT`` (images displaced within their plane, and that by more than
        20 degrees, unevenly, or with gaps).
    """
    axes = plane_axes(headers[0].image_orientation)
    if axes[2, 2] < 0:
        axes[2] = -axes[2]
    spacing = headers[0].pixel_spacing_mm
    if len(spacing) != 2 or not all(0.05 <= step <= 10 for step in spacing):
        raise Refusal(ReasonCode.SPACING_MISSING, "Pixel Spacing is missing, zero or no pixel size of a CT.")
    without = sum(len(header.image_position) != 3 for header in headers)
    if without:
        raise Refusal(ReasonCode.ORIENTATION_MISSING, f"Image Position (Patient) is missing in {without} of {len(headers)} images.")
    positions = np.array([header.image_position for header in headers], dtype=np.float64)
    layers = _layers(positions @ axes[2])
    if len(layers) < 2:
        raise Refusal(ReasonCode.NOT_A_VOLUME, f"All {len(headers)} images lie at one position.")
    first = positions[[layer[0] for layer in layers]]
    tilt = _tilt_deg(first, axes)
    numbers = [headers[layer[0]].instance_number for layer in layers]
    uneven = _unevenness(first @ axes[2], numbers)
    _check_in_plane(first, axes, tilt, uneven)
    if uneven:
        raise Refusal(uneven.code, f"{uneven.text}{_said_of_duplicates(layers)}")
    slices = len(layers) - 1
    step = (first[-1] - first[0]) / slices
    if not tilt:
        step = (step @ axes[2]) * axes[2]
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = step, axes[1] * spacing[0], axes[0] * spacing[1]
    affine[:3, 3] = first[0]
    return StackGeometry(layers=layers, affine=affine, spacing_mm=float(step @ axes[2]), tilt_deg=tilt)


def _layers(along_mm: NDArray[np.float64]) -> tuple[tuple[int, ...], ...]:
    """Indices grouped by position, in ascending order."""
    order = np.argsort(along_mm, kind="stable")
    new = np.diff(along_mm[order]) > SAME_POSITION_MM
    return tuple(tuple(int(i) for i in part) for part in np.split(order, np.flatnonzero(new) + 1))


def _said_of_duplicates(layers: Sequence[Sequence[int]]) -> str:
    repeated = sum(len(layer) > 1 for layer in layers)
    return f" {repeated} position(s) hold several images." if repeated else ""


def _tilt_deg(positions: NDArray[np.float64], axes: NDArray[np.float64]) -> float:
    """Angle between the normal and the step from the first to the last image; 0 where too small to matter."""
    step = positions[-1] - positions[0]
    angle = float(np.degrees(np.arctan2(np.hypot(*(step @ axes[:2].T)), step @ axes[2])))
    return angle if angle >= MIN_TILT_DEG else 0.0


def _check_in_plane(positions: NDArray[np.float64], axes: NDArray[np.float64], tilt_deg: float, uneven: Refusal | None) -> None:
    """Refuse images displaced within their own plane, unless evenly, by little and in a regular stack."""
    along = (positions - positions[0]) @ axes[2]
    drift = (positions - positions[0]) @ axes[:2].T
    expected = along[:, None] / along[-1] * drift[-1]
    off_line_mm = float(np.hypot(*(drift - expected).T).max())
    if not tilt_deg:
        if off_line_mm > MAX_IN_PLANE_OFFSET_MM:
            raise Refusal(ReasonCode.NOT_A_VOLUME, f"Images are displaced within their plane by up to {off_line_mm:.1f} mm.")
        return
    said = f"The gantry was tilted: images are displaced by {tilt_deg:.1f} degrees against their normal"
    if off_line_mm > MAX_IN_PLANE_OFFSET_MM:
        raise Refusal(ReasonCode.GANTRY_TILT, f"{said}, unevenly (by up to {off_line_mm:.1f} mm).")
    if tilt_deg > MAX_RESAMPLED_TILT_DEG:
        raise Refusal(ReasonCode.GANTRY_TILT, f"{said}, more than the {MAX_RESAMPLED_TILT_DEG:g} that are resampled.")
    if uneven:
        raise Refusal(ReasonCode.GANTRY_TILT, f"{said}, and the stack is not regular. {uneven.text}")


def _unevenness(along_mm: NDArray[np.float64], numbers: Sequence[int | None]) -> Refusal | None:
    """Why these ascending positions are no regular stack, or None.

    A step may differ from the median by 10 % or 0.11 mm (positions are often rounded to 0.1 mm), and no position may lie further than
    a quarter step from the regular grid.
    """
    steps = np.diff(along_mm)
    median = float(np.median(steps))
    tolerance = max(0.1 * median, 0.11)
    if np.all(np.abs(steps - median) <= tolerance):
        grid = np.linspace(along_mm[0], along_mm[-1], len(along_mm))
        drift = float(np.abs(along_mm - grid).max())
        if drift <= 0.25 * median:
            return None
        text = f"Slice positions drift by {drift:.1f} mm from a regular grid of {median:.2f} mm."
        return Refusal(ReasonCode.IRREGULAR_SPACING, text)
    multiples = np.round(steps / median)
    whole = (multiples >= 1) & (np.abs(steps - multiples * median) <= tolerance * np.maximum(multiples, 1))
    gaps = np.flatnonzero(steps > median + tolerance)
    if np.all(whole):
        missing = int((multiples - 1).sum())
        where = ", ".join(f"{along_mm[i]:.1f} and {along_mm[i + 1]:.1f} mm" for i in gaps[:3])
        more = f" and {len(gaps) - 3} more gaps" if len(gaps) > 3 else ""
        return Refusal(ReasonCode.MISSING_SLICES, f"{missing} slice(s) missing at {median:.2f} mm spacing: between {where}{more}.")
    per_number = _step_per_number(along_mm, numbers)
    if per_number is not None:
        span = round(abs(float(along_mm[-1] - along_mm[0])) / per_number) + 1
        text = f"{span - len(along_mm)} of {span} slices missing, by Instance Number and position ({per_number:.2f} mm spacing)."
        return Refusal(ReasonCode.MISSING_SLICES, text)
    text = f"Slice spacing varies from {steps.min():.2f} to {steps.max():.2f} mm (median {median:.2f} mm)."
    return Refusal(ReasonCode.IRREGULAR_SPACING, text)


def _step_per_number(along_mm: NDArray[np.float64], numbers: Sequence[int | None]) -> float | None:
    """mm per Instance Number where position is proportional to it and numbers are left out: then slices were lost on the way."""
    counted = [number for number in numbers if number is not None]
    if len(counted) != len(numbers) or len(set(counted)) != len(counted):
        return None
    apart = np.diff(np.asarray(counted, dtype=np.float64))
    per_number = np.diff(along_mm) / apart
    step = float(np.median(per_number))
    if np.abs(apart).max() < 2 or np.abs(per_number - step).max() > 0.1 * abs(step):
        return None
    return abs(step)
