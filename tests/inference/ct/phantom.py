"""A made spine whose every number is known: elliptic cylinders with a cortex, in any frame, on voxels of any shape, with an aorta."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inference.ct.segmentation.base import Segmentation, VertebralBody
from inference.findings import ModelUsed
from inference.volume import Volume

MODEL = ModelUsed(name="phantom", version="1", sha256="0" * 64, trained_on="nothing")
DEPTH_MM, WIDTH_MM, HEIGHT_MM, DISC_MM = 32.0, 44.0, 26.0, 8.0
CORTEX_MM = 1.5
CORTEX_HU, TISSUE_HU, FAT_HU = 400, 45, -90
AORTA_MM = (DEPTH_MM / 2 + 12.0, 10.0)
"""Centre of the aorta along (anterior, left) from a body's centre."""
AORTA_RADIUS_MM = 9.0


def frame(pitch_deg: float) -> NDArray[np.float64]:
    """(3, 3) rows anterior, left, cranial of a spine leaning forward by ``pitch_deg``, LPS."""
    angle = np.radians(pitch_deg)
    cranial = np.array([0.0, -np.sin(angle), np.cos(angle)])
    anterior = np.array([0.0, -np.cos(angle), -np.sin(angle)])
    return np.stack([anterior, np.array([1.0, 0.0, 0.0]), cranial])


def spine(
    levels: Sequence[str | None] = ("T12", "L1", "L2"),
    *,
    spacing_mm: tuple[float, float, float] = (2.0, 1.0, 1.0),
    trabecular_hu: Sequence[int] = (140, 130, 120),
    aorta_hu: int | None = 42,
    pitch_deg: float = 0.0,
    certain: bool = True,
    margin_mm: float = 12.0,
    width_mm: float = 90.0,
) -> tuple[Volume, Segmentation]:
    """Bodies from the head down, each an elliptic cylinder with a 1.5 mm cortex, and the mask that is exactly theirs."""
    axes = frame(pitch_deg)
    pitch_mm = HEIGHT_MM + DISC_MM
    count = len(levels)
    span_mm = (count * pitch_mm - DISC_MM + 2 * margin_mm, 100.0, width_mm)
    shape = tuple(int(span / step) for span, step in zip(span_mm, spacing_mm, strict=True))
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = (*spacing_mm, 1.0)
    affine[:3, 3] = (-width_mm / 2, -60.0, 0.0)
    empty = Volume(hu=np.zeros(shape, np.int16), affine=affine)
    points = empty.to_lps_mm(np.argwhere(np.ones(shape, bool))).reshape(*shape, 3)
    middle = np.array([0.0, 0.0, shape[0] * spacing_mm[0] / 2])
    hu = np.full(shape, FAT_HU, np.int16)
    bodies = np.zeros(shape, np.uint8)
    if aorta_hu is not None:
        across = (points - middle) @ axes.T
        hu[np.hypot(across[..., 0] - AORTA_MM[0], across[..., 1] - AORTA_MM[1]) < AORTA_RADIUS_MM] = aorta_hu
    vertebrae: list[VertebralBody] = []
    for index, level in enumerate(levels):
        centre = middle + ((count - 1) / 2 - index) * pitch_mm * axes[2]
        anterior, left, cranial = np.moveaxis((points - centre) @ axes.T, -1, 0)
        radius = np.hypot(anterior / (DEPTH_MM / 2), left / (WIDTH_MM / 2))
        inside = (radius <= 1) & (np.abs(cranial) <= HEIGHT_MM / 2)
        inner = (np.hypot(anterior / (DEPTH_MM / 2 - CORTEX_MM), left / (WIDTH_MM / 2 - CORTEX_MM)) <= 1) & (
            np.abs(cranial) <= HEIGHT_MM / 2 - CORTEX_MM
        )
        hu[inside] = CORTEX_HU
        hu[inner] = trabecular_hu[index]
        bodies[inside] = index + 1
        vertebrae.append(
            VertebralBody(
                label=index + 1,
                level=level,
                level_certain=certain and level is not None,
                whole=True,
                centre_lps_mm=centre,
                cranial=axes[2],
                anterior=axes[0],
                left=axes[1],
            )
        )
    segmentation = Segmentation(
        bodies=bodies, vertebrae=tuple(vertebrae), canal_lps_mm=None, level_because="made so", notices=(), model=MODEL
    )
    return Volume(hu=hu, affine=affine), segmentation
