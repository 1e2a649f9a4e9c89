"""Vertebral segmentation behind one protocol."""

from functools import partial

from inference.bundles import BundleSource
from inference.ct.segmentation.base import Segmentation, Segmenter, VertebralBody
from inference.ct.segmentation.classical import ClassicalParameters, ClassicalSegmenter
from inference.ct.segmentation.options import MaskOptions, TotalSegmentatorOptions
from inference.errors import PermanentError, ReasonCode, Refusal

__all__ = [
    "BUILT_IN",
    "SEGMENTERS",
    "MaskOptions",
    "Segmentation",
    "Segmenter",
    "TotalSegmentatorOptions",
    "VertebralBody",
    "get_segmenter",
]

BUILT_IN = ("classical", "network", "both")
"""The segmenters that need nothing from elsewhere."""
SEGMENTERS = (*BUILT_IN, "totalsegmentator", "masks")
"""The segmenters that :func:`get_segmenter` knows by name."""


def get_segmenter(
    name: str,
    *,
    max_slice_spacing_mm: float = 5.0,
    bundles: BundleSource | None = None,
    masks: MaskOptions | None = None,
    totalsegmentator: TotalSegmentatorOptions | None = None,
) -> Segmenter:
    """The segmenter of this name.

    Parameters
    ----------
    name
        ``classical``; ``network``, which a site that asks for it by name allows to measure; ``both``: the classical method measures, the
        network is its second reader; ``totalsegmentator``, the optional package; ``masks``, from files.
    bundles
        Where the network comes from; None for what comes with Osteon. Where its ``allow_simulated`` is set, a network that was trained on
        simulated anatomy may measure alone with ``both``, too, if the classical method finds no spine.
    masks, totalsegmentator
        What the segmenters of these names need.

    Raises
    ------
    Refusal
        ``SEGMENTER_UNAVAILABLE``: the package, its weights or the setting that names them is absent.
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
    if name in ("totalsegmentator", "masks"):
        return _from_elsewhere(name, max_slice_spacing_mm, masks, totalsegmentator)
    raise PermanentError(f"no segmenter is called {name!r}; there is {', '.join(SEGMENTERS)}")


def _from_elsewhere(
    name: str, max_slice_spacing_mm: float, masks: MaskOptions | None, totalsegmentator: TotalSegmentatorOptions | None
) -> Segmenter:
    """A segmenter whose masks somebody else draws.

    Raises
    ------
    Refusal
        ``SEGMENTER_UNAVAILABLE``.
    """
    if name == "masks" and masks is not None:
        from inference.ct.segmentation.masks import MaskSegmenter

        return MaskSegmenter(options=masks, max_slice_spacing_mm=max_slice_spacing_mm)
    if name == "totalsegmentator" and totalsegmentator is not None:
        from inference.ct.segmentation.totalsegmentator import TotalSegmentator

        return TotalSegmentator(options=totalsegmentator, max_slice_spacing_mm=max_slice_spacing_mm)
    setting = "workflows.ct.masks.path, or --masks" if name == "masks" else "workflows.ct.totalsegmentator.weights"
    raise Refusal(ReasonCode.SEGMENTER_UNAVAILABLE, f"the segmenter {name} needs {setting}")


def _network(bundles: BundleSource, max_slice_spacing_mm: float) -> Segmenter:
    """The network, ready to read."""
    from inference.ct.segmentation.network.segmenter import BUNDLE, NetworkSegmenter

    segmenter = NetworkSegmenter(max_slice_spacing_mm=max_slice_spacing_mm, bundle=bundles.open(BUNDLE))
    _ = segmenter.network  # torch, monai and the weights load here, so that a second reader can load them in the background
    return segmenter
