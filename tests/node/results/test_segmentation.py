"""The segmentation says what the masks say, where they say it."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest

from inference.findings import CtImages
from node.results import ResultContext, WrittenResults, write_results
from node.results.seg import plan_segments
from node.results.source import read_source
from tests.node.results.example import CONTEXT, SPACING_MM, Example, level_uncertain, make_example

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def segmentation(written: WrittenResults) -> hd.seg.Segmentation:
    return hd.seg.segread(written.objects[0].path)


def _mask(images: CtImages, label: str) -> np.ndarray:
    masks = {"core": images.source_core, "ellipse": images.source_ellipse}
    level, _, rest = label.partition(" ")
    mask = masks.get(rest, images.source_bodies)
    return mask == {"T12": 1, "L1": 2, "L2": 3}[level.strip(",")]


def test_every_segment_has_its_name_number_and_tracking(segmentation: hd.seg.Segmentation) -> None:
    described = [(int(d.SegmentNumber), d.SegmentLabel) for d in segmentation.SegmentSequence]
    names = ["T12, excluded", "L1", "L2", "T12 core", "L1 core", "L2 core", "T12 ellipse", "L1 ellipse", "L2 ellipse"]
    assert described == list(enumerate(names, start=1))
    assert len({d.TrackingUID for d in segmentation.SegmentSequence}) == 9
    assert all(d.TrackingID == d.SegmentLabel for d in segmentation.SegmentSequence)
    assert all(len(d.RecommendedDisplayCIELabValue) == 3 for d in segmentation.SegmentSequence)
    assert segmentation.SegmentSequence[1].SegmentedPropertyTypeCodeSequence[0].CodeValue == "66794005"


def test_every_voxel_lies_where_the_mask_has_it(example: Example, segmentation: hd.seg.Segmentation) -> None:
    images = example.findings.images
    assert images is not None
    uids = [header.sop_instance_uid for header in example.headers]
    pixels = segmentation.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
    assert pixels.shape == (*images.source_bodies.shape, 9)
    for index, description in enumerate(segmentation.SegmentSequence):
        expected = _mask(images, description.SegmentLabel)
        assert expected.any()
        np.testing.assert_array_equal(pixels[..., index].astype(bool), expected, err_msg=description.SegmentLabel)


def test_every_segment_stands_where_the_body_stands_in_the_patient(example: Example, segmentation: hd.seg.Segmentation) -> None:
    volume = segmentation.get_volume(segment_numbers=[2], combine_segments=True)
    where = np.argwhere(volume.array > 0)
    centre = volume.map_indices_to_reference(where.astype(float)).mean(axis=0)
    body = next(v for v in example.findings.vertebrae if v.level == "L1")
    np.testing.assert_allclose(centre, body.centre_lps_mm, atol=1e-6)


def test_frames_are_indexed_by_segment_and_position(segmentation: hd.seg.Segmentation) -> None:
    indices = [tuple(frame.FrameContentSequence[0].DimensionIndexValues) for frame in segmentation.PerFrameFunctionalGroupsSequence]
    assert len(set(indices)) == len(indices) == segmentation.NumberOfFrames
    assert Counter(segment for segment, _ in indices) == {1: 6, 2: 6, 3: 6, 4: 4, 5: 4, 6: 4, 7: 2, 8: 2, 9: 2}
    positions = {}
    for frame, (_, position) in zip(segmentation.PerFrameFunctionalGroupsSequence, indices, strict=True):
        z = float(frame.PlanePositionSequence[0].ImagePositionPatient[2])
        assert positions.setdefault(position, z) == z
    assert [positions[n] for n in sorted(positions)] == sorted(positions.values())
    assert sorted(positions) == list(range(1, 19))


def test_the_source_is_referenced_and_its_geometry_kept(example: Example, segmentation: hd.seg.Segmentation) -> None:
    series = segmentation.ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == example.headers[0].series_instance_uid
    assert len(series.ReferencedInstanceSequence) == 18
    frame = segmentation.PerFrameFunctionalGroupsSequence[0]
    source = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
    assert source in {header.sop_instance_uid for header in example.headers}
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == [SPACING_MM[1], SPACING_MM[2]]
    assert "SegmentIdentificationSequence" not in shared
    assert segmentation.SegmentsOverlap == "YES"
    assert segmentation.SegmentationType == "BINARY"


def test_a_frame_that_ends_on_a_byte_is_packed_alike(tmp_path: Path) -> None:
    example = make_example(tmp_path / "study", shape=(24, 64, 64))
    written = write_results(example.findings, example.headers, CONTEXT, tmp_path / "out", ("seg",))
    segmentation = hd.seg.segread(written.objects[0].path)
    images = example.findings.images
    assert images is not None
    uids = [header.sop_instance_uid for header in example.headers]
    pixels = segmentation.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
    np.testing.assert_array_equal(pixels[..., 4].astype(bool), images.source_core == 2)
    np.testing.assert_array_equal(pixels[..., 8].astype(bool), images.source_ellipse == 3)


def test_one_body_alone(example: Example, tmp_path: Path) -> None:
    """One segment per family is what highdicom writes into the shared functional groups."""
    findings = replace(example.findings, vertebrae=example.findings.vertebrae[1:2])
    written = write_results(findings, example.headers, CONTEXT, tmp_path, ("seg",))
    segmentation = hd.seg.segread(written.objects[0].path)
    images = example.findings.images
    assert images is not None
    uids = [header.sop_instance_uid for header in example.headers]
    pixels = segmentation.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
    assert pixels.shape[-1] == 3
    np.testing.assert_array_equal(pixels[..., 0].astype(bool), images.source_bodies == 2)
    np.testing.assert_array_equal(pixels[..., 1].astype(bool), images.source_core == 2)


def test_an_empty_region_has_no_segment_and_leaves_the_other_numbers_in_order(example: Example) -> None:
    images = example.findings.images
    assert images is not None
    core = np.where(images.source_core == 2, 0, images.source_core).astype(np.uint8)
    findings = replace(example.findings, images=replace(images, source_core=core))
    source = read_source(findings, example.headers)
    assert source.images is not None
    plan = [(s.number, s.family, s.label) for s in plan_segments(findings, source.images)]
    assert plan == [
        (1, "body", 1),
        (2, "body", 2),
        (3, "body", 3),
        (4, "core", 1),
        (5, "core", 3),
        (6, "ellipse", 1),
        (7, "ellipse", 2),
        (8, "ellipse", 3),
    ]


def test_bodies_without_names_are_not_given_one(example: Example, tmp_path: Path) -> None:
    written = write_results(level_uncertain(example.findings), example.headers, CONTEXT, tmp_path, ("seg",))
    segmentation = hd.seg.segread(written.objects[0].path)
    first = segmentation.SegmentSequence[0]
    assert first.SegmentLabel == "vertebral body 1, level uncertain, excluded"
    assert first.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Vertebra"


def test_a_changed_model_changes_device_and_instance(example: Example, tmp_path: Path) -> None:
    model = replace(example.findings.models[0], sha256="0" * 64)
    contexts = (CONTEXT, ResultContext(software_version="0.1.0", config_sha256="9" * 64))
    first = write_results(example.findings, example.headers, contexts[0], tmp_path / "1", ("seg",))
    second = write_results(replace(example.findings, models=(model,)), example.headers, contexts[0], tmp_path / "2", ("seg",))
    third = write_results(example.findings, example.headers, contexts[1], tmp_path / "3", ("seg",))
    read = [hd.seg.segread(w.objects[0].path) for w in (first, second, third)]
    assert len({s.SOPInstanceUID for s in read}) == 3
    devices = [next(e for e in s.ContributingEquipmentSequence if "DeviceUID" in e).DeviceUID for s in read]
    assert devices[0] == devices[2] != devices[1]
