"""Vertebral segmentation behind one protocol."""

from inference.ct.segmentation.base import Segmentation, Segmenter, VertebralBody
from inference.ct.segmentation.classical import ClassicalParameters, ClassicalSegmenter
from inference.errors import PermanentError

__all__ = ["SEGMENTERS", "Segmentation", "Segmenter", "VertebralBody", "get_segmenter"]

SEGMENTERS = ("classical",)
"""The segmenters that :func:`get_segmenter` knows by name."""


def get_segmenter(name: str, *, max_slice_spacing_mm: float = 5.0) -> Segmenter:
    """The segmenter of this name.

    Raises
    ------
    PermanentError
        Where no segmenter has that name.
    """
    if name == "classical":
        return ClassicalSegmenter(parameters=ClassicalParameters(max_slice_spacing_mm=max_slice_spacing_mm))
    raise PermanentError(f"no segmenter is called {name!r}; there is {', '.join(SEGMENTERS)}")
