"""Vertebral segmentation behind one protocol."""

from functools import partial

from inference.ct.segmentation.base import Segmentation, Segmenter, VertebralBody
from inference.ct.segmentation.classical import ClassicalParameters, ClassicalSegmenter
from inference.errors import PermanentError

__all__ = ["SEGMENTERS", "Segmentation", "Segmenter", "VertebralBody", "get_segmenter"]

SEGMENTERS = ("classical", "network", "both")
"""The segmenters that :func:`get_segmenter` knows by name."""


def get_segmenter(name: str, *, max_slice_spacing_mm: float = 5.0, allow_simulated: bool = False) -> Segmenter:
    """The segmenter of this name.

    Parameters
    ----------
    name
        ``classical``; ``network``, which a site that asks for it by name allows to measure; ``both``: the classical method measures, the
        network is its second reader.
    allow_simulated
        With ``both``: a network that was trained on simulated anatomy may measure where the classical method finds no spine.

    Raises
    ------
    PermanentError
        Where no segmenter has that name, or the network cannot be loaded.
    """
    classical = ClassicalSegmenter(parameters=ClassicalParameters(max_slice_spacing_mm=max_slice_spacing_mm))
    if name == "classical":
        return classical
    if name in ("network", "both"):
        from inference.ct.segmentation.both import (
            AloneSegmenter,
            BothSegmenter,
        )  # they measure cores, and what measures imports this package

        if name == "network":
            return AloneSegmenter(network=_network(max_slice_spacing_mm))
        return BothSegmenter(first=classical, make_second=partial(_network, max_slice_spacing_mm), allow_alone=allow_simulated)
    raise PermanentError(f"no segmenter is called {name!r}; there is {', '.join(SEGMENTERS)}")


def _network(max_slice_spacing_mm: float) -> Segmenter:
    """The network, ready to read."""
    from inference.ct.segmentation.network.segmenter import NetworkSegmenter

    segmenter = NetworkSegmenter(max_slice_spacing_mm=max_slice_spacing_mm)
    _ = segmenter.network  # torch, monai and the weights load here, so that a second reader can load them in the background
    return segmenter
