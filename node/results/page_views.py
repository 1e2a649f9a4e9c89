"""The two views of the page: a sagittal section that follows the spine, and the reported body in its own axial plane.

Both are sampled in millimetres, so that they are true to scale whatever the voxels' shape, and turned as radiologists look at them:
sagittal with the front on the left, axial from the feet with the patient's left on the right.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from inference.findings import CtImages, Findings, VertebraFinding
from inference.volume import Volume
from node.results.contours import outlines
from node.results.page_text import BLACK, WHITE, Style
from node.results.wording import reported_vertebra, short_level_name, shown_attenuation

WINDOW_HU: Final = (-200.0, 550.0)
"""Shown from black to white: trabecular bone in the middle, metal white."""
SAGITTAL_MARGIN_MM: Final = 38.0
SAGITTAL_ANTERIOR_MM: Final = 62.0
SAGITTAL_POSTERIOR_MM: Final = 58.0
AXIAL_HALF_WIDTH_MM: Final = 55.0
AXIAL_ANTERIOR_MM: Final = 50.0
AXIAL_POSTERIOR_MM: Final = 60.0
_FINE: Final = 3
"""Lines are drawn this many times finer and reduced, which smooths their edges."""


@dataclass(frozen=True, kw_only=True)
class View:
    """A sampled plane.

    Attributes
    ----------
    grey
        uint8, (height, width).
    bodies, core, ellipse, second
        uint8 masks of the same shape; ``second`` holds the second reader's bodies, nothing without one.
    mm_per_pixel
        In both directions.
    edges
        Letters at the left, right, top and bottom edge.
    """

    grey: NDArray[np.uint8]
    bodies: NDArray[np.uint8]
    core: NDArray[np.uint8]
    ellipse: NDArray[np.uint8]
    second: NDArray[np.uint8]
    mm_per_pixel: float
    edges: tuple[str, str, str, str]


def sagittal_view(images: CtImages, vertebrae: tuple[VertebraFinding, ...], size: tuple[int, int]) -> View:
    """A sagittal section through the middle of every body: at each height it lies where the spine lies (curved in scoliosis).

    Parameters
    ----------
    size
        Width and height in pixels; what the bodies do not need is filled with what lies around them.
    """
    centres = np.array(sorted((v.centre_lps_mm for v in vertebrae), key=lambda c: c[2]), dtype=np.float64)
    bottom, top = centres[0, 2] - SAGITTAL_MARGIN_MM, centres[-1, 2] + SAGITTAL_MARGIN_MM
    front, back = centres[:, 1].min() - SAGITTAL_ANTERIOR_MM, centres[:, 1].max() + SAGITTAL_POSTERIOR_MM
    columns, rows = size
    mm = max((back - front) / columns, (top - bottom) / rows)
    z = (top + bottom) / 2 + ((rows - 1) / 2 - np.arange(rows)) * mm
    y = (front + back) / 2 + (np.arange(columns) - (columns - 1) / 2) * mm
    x = np.interp(z, centres[:, 2], centres[:, 0])
    points = np.empty((rows, columns, 3))
    points[..., 0] = x[:, None]
    points[..., 1] = y[None, :]
    points[..., 2] = z[:, None]
    return _sample(images, points, mm, ("A", "P", "H", "F"))


def axial_view(images: CtImages, vertebra: VertebraFinding, size: tuple[int, int]) -> View:
    """The plane through a body's centre, across its own axis."""
    centre, left, anterior = (np.asarray(v, dtype=np.float64) for v in (vertebra.centre_lps_mm, vertebra.left, vertebra.anterior))
    # The letters at the edges must hold whatever sign a body's frame has: LPS x runs to the left, y to the back (PS3.3 C.7.6.2.1.1).
    left, anterior = left * np.copysign(1.0, left[0]), anterior * np.copysign(1.0, -anterior[1])
    columns, rows = size
    mm = max(2 * AXIAL_HALF_WIDTH_MM / columns, (AXIAL_ANTERIOR_MM + AXIAL_POSTERIOR_MM) / rows)
    across = (np.arange(columns) - (columns - 1) / 2) * mm
    forward = (AXIAL_ANTERIOR_MM - AXIAL_POSTERIOR_MM) / 2 + ((rows - 1) / 2 - np.arange(rows)) * mm
    points = centre + across[None, :, None] * left + forward[:, None, None] * anterior
    return _sample(images, points, mm, ("R", "L", "A", "P"))


def _sample(images: CtImages, points: NDArray[np.float64], mm: float, edges: tuple[str, str, str, str]) -> View:
    indices = images.volume.to_indices(points.reshape(-1, 3)).T
    shape = points.shape[:2]
    box, inside = _crop(images.volume, indices)
    local = indices - np.array([[part.start] for part in box], dtype=np.float64)
    low, high = WINDOW_HU
    hu = ndimage.map_coordinates(images.volume.hu[box].astype(np.float32), local, order=1, mode="nearest").reshape(shape)
    grey = np.clip((hu - low) / (high - low), 0.0, 1.0) * 255.0
    grey[~inside.reshape(shape)] = 0.0
    sources = (images.bodies, images.core, images.ellipse, images.second_bodies)
    bodies, core, ellipse, second = (
        np.zeros(shape, np.uint8) if mask is None else _nearest(mask[box], local, inside).reshape(shape) for mask in sources
    )
    return View(grey=np.rint(grey).astype(np.uint8), bodies=bodies, core=core, ellipse=ellipse, second=second, mm_per_pixel=mm, edges=edges)


def _crop(volume: Volume, indices: NDArray[np.float64]) -> tuple[tuple[slice, slice, slice], NDArray[np.bool_]]:
    """The part of the volume that is sampled, and which samples lie in the volume at all."""
    limits = np.array(volume.hu.shape, dtype=np.float64)[:, None]
    inside = np.all((indices > -0.5) & (indices < limits - 0.5), axis=0)
    parts = []
    for axis, length in enumerate(volume.hu.shape):
        along = indices[axis][inside] if inside.any() else np.zeros(1)
        parts.append(slice(max(0, int(np.floor(along.min()))), min(length, int(np.ceil(along.max())) + 2)))
    return (parts[0], parts[1], parts[2]), inside


def _nearest(mask: NDArray[np.uint8], local: NDArray[np.float64], inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    nearest = np.rint(local).astype(np.intp)
    for axis, length in enumerate(mask.shape):
        np.clip(nearest[axis], 0, length - 1, out=nearest[axis])
    return np.where(inside, mask[nearest[0], nearest[1], nearest[2]], 0).astype(np.uint8)


def draw_view(view: View, findings: Findings, labels: dict[int, str], voxel_mm: float) -> Image.Image:
    """The view with outlines: listed bodies solid (dashed where excluded), core thin, ellipse dotted, and ``labels`` beside the bodies.

    The second reader's bodies, those that it alone sees among them, stand below all of it in thin short dashes.

    Parameters
    ----------
    labels
        Text per body label; a body without text is outlined only.
    voxel_mm
        Size of the masks' voxels, below which an outline's steps are smoothed away.
    """
    image = Image.fromarray(view.grey)
    blur = 0.35 * voxel_mm / view.mm_per_pixel
    excluded = {v.label: not v.used for v in findings.vertebrae}
    unlisted = set(np.unique(view.bodies).tolist()) - excluded.keys()
    for label in sorted(set(np.unique(view.second).tolist()) - unlisted - {0}):
        _draw_outlines(image, ndimage.gaussian_filter((view.second == label).astype(np.float32), blur), 1.3, (5.0, 5.0))
    for mask, line, pattern in ((view.core, 1.3, ()), (view.ellipse, 2.6, (2.6, 6.5)), (view.bodies, 2.6, ())):
        for label in sorted(excluded.keys() & set(np.unique(mask).tolist())):
            dashes = (14.0, 9.0) if mask is view.bodies and excluded[label] else pattern
            _draw_outlines(image, ndimage.gaussian_filter((mask == label).astype(np.float32), blur), line, dashes)
    _draw_labels(image, view, findings, labels)
    _draw_edges(image, view)
    return image


def _draw_outlines(image: Image.Image, mask: NDArray[np.float32], width: float, dashes: tuple[float, ...]) -> None:
    """White on a black rim, so that the line is seen on any grey."""
    rows, columns = np.nonzero(mask > 0.01)
    if rows.size == 0:
        return
    top, left = max(0, int(rows.min()) - 6), max(0, int(columns.min()) - 6)
    bottom, right = min(mask.shape[0], int(rows.max()) + 7), min(mask.shape[1], int(columns.max()) + 7)
    part = image.crop((left, top, right, bottom))
    fine = part.resize((part.width * _FINE, part.height * _FINE), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(fine)
    for outline in outlines(mask[top:bottom, left:right]):
        runs = _dashed(outline, dashes) if dashes else [outline]
        for grey, extra in ((BLACK, 2.0), (WHITE, 0.0)):
            for run in runs:
                points = [(float(x + 0.5) * _FINE, float(y + 0.5) * _FINE) for x, y in run]
                pen.line(points, fill=grey, width=round((width + extra) * _FINE), joint="curve")
    image.paste(fine.resize(part.size, Image.Resampling.LANCZOS), (left, top))


def _dashed(line: NDArray[np.float64], pattern: tuple[float, ...]) -> list[NDArray[np.float64]]:
    """Cut a polyline into dashes of ``pattern`` = (drawn, blank) pixels."""
    drawn, blank = pattern
    steps = np.hypot(*np.diff(line, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    starts = np.arange(0.0, along[-1], drawn + blank)
    runs = []
    for start in starts:
        at = np.linspace(start, min(start + drawn, along[-1]), max(2, int(drawn)))
        runs.append(np.column_stack([np.interp(at, along, line[:, 0]), np.interp(at, along, line[:, 1])]))
    return runs


def _draw_labels(image: Image.Image, view: View, findings: Findings, labels: dict[int, str]) -> None:
    pen = ImageDraw.Draw(image)
    reported = reported_vertebra(findings)
    for label, text in labels.items():
        rows, columns = np.nonzero(view.bodies == label)
        if rows.size == 0:
            continue
        style = Style(size=24, bold=True)
        middle = round(float(rows.mean()))
        first = int(columns[np.abs(rows - middle) <= 3].min()) if np.any(np.abs(rows - middle) <= 3) else int(columns.min())
        width = round(style.font.getlength(text))
        x, y = max(6, first - 16 - width), middle - style.size // 2 - 2
        if reported is not None and reported.label == label:
            pen.rectangle([x - 8, y - 5, x + width + 8, y + style.size + 9], fill=WHITE)
            pen.text((x, y), text, font=style.font, fill=BLACK)
        else:
            pen.text((x, y), text, font=style.font, fill=WHITE, stroke_width=3, stroke_fill=BLACK)


def _draw_edges(image: Image.Image, view: View) -> None:
    style = Style(size=26, bold=True)
    pen = ImageDraw.Draw(image)
    w, h, s = image.width, image.height, style.size
    left, right, top, bottom = view.edges
    for text, x, y in ((left, 10, h // 8), (right, w - s - 2, h // 8), (top, w // 2, 6), (bottom, w // 2, h - s - 12)):
        pen.text((x, y), text, font=style.font, fill=WHITE, stroke_width=3, stroke_fill=BLACK)
    bar_mm = 50 if 50 / view.mm_per_pixel < 0.3 * w else 20
    length = bar_mm / view.mm_per_pixel
    pen.line([(w - 24 - length, h - 22), (w - 24, h - 22)], fill=WHITE, width=3)
    pen.text((w - 24 - length, h - 54), f"{bar_mm // 10} cm", font=Style(size=20).font, fill=WHITE, stroke_width=3, stroke_fill=BLACK)


def sagittal_labels(findings: Findings) -> dict[int, str]:
    """Name and number of every body: ``L1 97``, or ``L4 excluded``."""
    labels = {}
    for vertebra in findings.vertebrae:
        value = shown_attenuation(vertebra, findings)
        what = "excluded" if not vertebra.used else str(value) if value is not None else ""
        labels[vertebra.label] = f"{short_level_name(vertebra)}  {what}".strip()
    return labels
