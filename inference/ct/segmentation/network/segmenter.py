"""The second reader as a :class:`~inference.ct.segmentation.base.Segmenter`."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference.bundles import Bundle, BundleError, load_network, shipped_bundle
from inference.ct.segmentation.base import Segmentation, VertebralBody
from inference.ct.segmentation.grid import Frame, Points, check_intensity_scale, frame_of, resample
from inference.ct.segmentation.levels import Naming, name_levels
from inference.ct.segmentation.network.anchors import find_anchors
from inference.ct.segmentation.network.column import NetworkBody, NetworkColumn, find_column
from inference.ct.segmentation.network.paint import paint
from inference.ct.segmentation.network.predict import CLASSES, Prediction, predict
from inference.errors import ReasonCode, Refusal
from inference.findings import ModelUsed
from inference.volume import Volume

if TYPE_CHECKING:  # torch loads when the first scan is segmented
    from torch import nn

BUNDLE = "vertebrae"
EDGE_VOXELS = 1


@dataclass(frozen=True)
class NetworkSegmenter:
    """Segments vertebral bodies by the network of a bundle.

    Attributes
    ----------
    max_slice_spacing_mm
        Coarser scans are refused.

    Raises
    ------
    BundleError
        The bundle's classes are not :data:`~inference.ct.segmentation.network.predict.CLASSES`.
    """

    max_slice_spacing_mm: float = 5.0
    bundle: Bundle = field(default_factory=lambda: shipped_bundle(BUNDLE))

    @property
    def model(self) -> ModelUsed:
        """The bundle's name, version, hash and what it was trained on."""
        return self.bundle.model_used

    @cached_property
    def network(self) -> "nn.Module":
        """The network, loaded at first use: torch and monai take seconds."""
        return load_network(self.bundle)

    def segment(self, volume: Volume) -> Segmentation:
        """Segment every body that the network sees; name them where ribs or sacrum allow.

        Raises
        ------
        Refusal
            ``SLICES_TOO_THICK``, ``NOT_A_VOLUME``, ``IMPLAUSIBLE_HU`` or ``SPINE_NOT_FOUND``.
        """
        if max(volume.spacing_mm) > self.max_slice_spacing_mm + 1e-3:
            text = f"slices lie {max(volume.spacing_mm):.1f} mm apart; at most {self.max_slice_spacing_mm:.1f} mm can be measured"
            raise Refusal(ReasonCode.SLICES_TOO_THICK, text)
        frame = frame_of(volume)
        network_input = self.bundle.metadata.osteon.input
        grid = resample(frame.view(volume.hu), frame.spacing_mm, network_input.spacing_mm[0])
        check_intensity_scale(grid)
        prediction = predict(self.network, grid, self._window_hu())
        column = find_column(prediction)
        anchors = find_anchors(prediction, column)
        lowest = 0 if anchors.sacrum.disc is None else anchors.sacrum.disc + 1
        return self._assemble(volume, frame, prediction, column, name_levels(anchors), lowest)

    def __post_init__(self) -> None:
        if self.bundle.metadata.osteon.classes != CLASSES:
            raise BundleError(
                f"the bundle {self.bundle.name} tells {', '.join(self.bundle.metadata.osteon.outputs)} apart, not {', '.join(CLASSES)}"
            )

    def _window_hu(self) -> tuple[float, float]:
        window = self.bundle.metadata.osteon.input.window_hu
        if window is None:
            raise BundleError(f"the bundle {self.bundle.name} names no window of attenuation: it is no segmenter of CT")
        return window

    def _assemble(
        self, volume: Volume, frame: Frame, prediction: Prediction, column: NetworkColumn, naming: Naming, lowest: int
    ) -> Segmentation:
        labels = np.zeros(prediction.structures.shape, dtype=np.uint8)
        vertebrae: list[VertebralBody] = []
        for space in range(len(column.bodies) - 1, lowest - 1, -1):
            body = column.bodies[space]
            if body is None:
                continue
            label = len(vertebrae) + 1
            labels[tuple(body.voxels.T)] = label
            vertebrae.append(_describe(body, space, label, column, naming, prediction, frame))
        mask = np.zeros(volume.hu.shape, dtype=np.uint8)
        paint(prediction, labels, frame, mask)
        return Segmentation(
            bodies=mask,
            vertebrae=tuple(vertebrae),
            canal_lps_mm=None,
            level_because=naming.because,
            notices=naming.notices,
            model=self.model,
        )


def _describe(
    body: NetworkBody, space: int, label: int, column: NetworkColumn, naming: Naming, prediction: Prediction, frame: Frame
) -> VertebralBody:
    centre = body.voxels.mean(axis=0) * prediction.spacing_mm
    cranial, anterior, left = (frame.vector_to_lps(axis) for axis in _axes(centre, column))
    return VertebralBody(
        label=label,
        level=naming.levels[space],
        level_certain=naming.certain[space],
        whole=body.bounded and not _touches_edge(body.voxels, prediction.structures.shape),
        centre_lps_mm=frame.to_lps_mm(centre),
        cranial=cranial,
        anterior=anterior,
        left=left,
    )


def _axes(centre_mm: Points, column: NetworkColumn) -> tuple[Points, Points, Points]:
    """Cranial, anterior and left unit vectors in the frame, from the line beside the body."""
    line = column.line
    at = int(np.argmin(np.linalg.norm(line.points_mm - centre_mm, axis=1)))
    return line.tangent[at], line.anterior[at], line.left[at]


def _touches_edge(voxels: NDArray[np.int64], shape: tuple[int, ...]) -> bool:
    low, high = voxels.min(axis=0), voxels.max(axis=0)
    return bool(np.any(low < EDGE_VOXELS) or np.any(high >= np.array(shape) - EDGE_VOXELS))
