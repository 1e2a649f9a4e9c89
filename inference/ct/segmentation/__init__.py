"""Vertebral segmentation behind one protocol."""

from functools import partial

from inference.bundles import BundleSource
from inference.ct.segmentation.base import Segmentation, Segmenter, VertebralBody
from inference.ct.segmentation.classical import ClassicalParameters, ClassicalSegmenter
from inference.errors import PermanentError

__all__ = ["SEGMENTERS", "Segmentation", "Segmenter", "VertebralBody", "get_segmenter"]

SEGMENTERS = ("classical", "network", "both")
"""The segmenters that :func:`get_segmenter` knows by name."""


def get_segmenter(name: str, *, max_slice_spacing_mm: float = 5.0, bundles: BundleSource | None = None) -> Segmenter:
    """The segmenter of this name.

    Parameters
    ----------
    name
        ``classical``; ``network``, which a site that asks for it by name allows to measure; ``both``: the classical method measures, the
        network is its second reader.
    bundles
        Where the network comes from; None for what comes with Osteon. Where its ``allow_simulated`` is set, a network that was trained on
        simulated anatomy may measure alone with ``both``, too, if the classical method finds no spine.

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

        source = bundles or BundleSource()
        if name == "network":
            return AloneSegmenter(network=_network(source, max_slice_spacing_mm))
        return BothSegmenter(
            first=classical, make_second=partial(_network, source, max_slice_spacing_mm), allow_alone=source.allow_simulated
        )
    raise PermanentError(f"no segmenter is called {name!r}; there is {', '.join(SEGMENTERS)}")


def _network(bundles: BundleSource, max_slice_spacing_mm: float) -> Segmenter:
    """The network, ready to read."""
    from inference.ct.segmentation.network.segmenter import BUNDLE, NetworkSegmenter

    segmenter = NetworkSegmenter(max_slice_spacing_mm=max_slice_spacing_mm, bundle=bundles.open(BUNDLE))
    _ = segmenter.network  # torch, monai and the weights load here, so that a second reader can load them in the background
    return segmenter
