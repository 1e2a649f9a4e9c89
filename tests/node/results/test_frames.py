"""Slices that each name a frame of reference of their own, as some anonymisers leave them."""

from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from node.results import write_results
from tests.node.results.example import CONTEXT, make_example

pytestmark = pytest.mark.unit


def test_the_first_frame_of_reference_stands_for_the_series(tmp_path: Path) -> None:
    def each_its_own(slice_: Dataset, index: int) -> None:
        slice_.FrameOfReferenceUID = generate_uid(entropy_srcs=[str(index)])

    example = make_example(tmp_path / "source", edit=each_its_own)
    (tmp_path / "out").mkdir()
    written = write_results(example.findings, example.headers, CONTEXT, tmp_path / "out", ("seg", "sr"))
    frames = {pydicom.dcmread(path).FrameOfReferenceUID for path in example.findings.images.source_paths}
    assert len(frames) > 1
    seg = pydicom.dcmread(written.objects[0].path)
    assert [item.kind for item in written.objects] == ["seg", "sr"]
    assert seg.FrameOfReferenceUID in frames
