"""Findings to DICOM, once: SEG, Comprehensive 3D SR, Basic Text SR and a one-page picture.

The writers need highdicom and are imported when first asked for: ``node.config`` reads :mod:`node.results.objects` from here, and
the receiver must not load highdicom for that.
"""

import importlib
from typing import TYPE_CHECKING

from node.results.objects import ResultContext, ResultKind, ResultObject, WrittenResults

if TYPE_CHECKING:
    from node.results.write import write_results

__all__ = ["ResultContext", "ResultKind", "ResultObject", "WrittenResults", "write_results"]


def __getattr__(name: str) -> object:
    if name == "write_results":
        return importlib.import_module("node.results.write").write_results
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
