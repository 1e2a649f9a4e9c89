import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from inference.errors import ReasonCode, Refusal
from inference.pixels import is_lossy, read_with_pixels, stored_pixels, transfer_syntax
from inference.reading import read_header
from tests.real.studies import INTERCEPT_HU, write_ct

pytestmark = pytest.mark.unit

AFFINE = np.array([[0, 0, 0.7, -180], [0, 0.7, 0, -180], [3.0, 0, 0, 0], [0, 0, 0, 1]])


@pytest.fixture
def one_slice(tmp_path: Path) -> Path:
    hu = np.arange(6 * 8, dtype=np.int16).reshape(1, 6, 8)
    return write_ct(hu, AFFINE, tmp_path) / "0000.dcm"


def test_native_pixels_are_what_was_written(one_slice: Path) -> None:
    dataset = read_with_pixels(one_slice)
    pixels = stored_pixels(dataset, one_slice.name)
    np.testing.assert_array_equal(pixels, np.arange(48).reshape(6, 8) - INTERCEPT_HU)
    assert transfer_syntax(dataset) == "1.2.840.10008.1.2.1"
    assert not is_lossy(dataset)


def test_rle_pixels_are_what_was_written(one_slice: Path) -> None:
    dataset = dcmread(one_slice)
    expected = dataset.pixel_array.copy()
    dataset.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
    dataset.save_as(one_slice)
    np.testing.assert_array_equal(stored_pixels(read_with_pixels(one_slice), one_slice.name), expected)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
def test_pixels_without_file_meta_are_read_as_they_were_parsed(one_slice: Path, syntax: str) -> None:
    dataset = dcmread(one_slice)
    expected = dataset.pixel_array.copy()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(one_slice, implicit_vr=syntax == "1.2.840.10008.1.2", little_endian=True)
    raw = one_slice.read_bytes()
    one_slice.write_bytes(raw[raw.index(b"\x08\x00\x05\x00", 132) :])
    bare = read_with_pixels(one_slice)
    assert transfer_syntax(bare) == syntax
    np.testing.assert_array_equal(stored_pixels(bare, one_slice.name), expected)


@pytest.mark.parametrize("cut", [1, 40, 95])
def test_truncated_pixels_are_refused(one_slice: Path, cut: int) -> None:
    one_slice.write_bytes(one_slice.read_bytes()[:-cut])
    with pytest.raises(Refusal) as refused:
        stored_pixels(read_with_pixels(one_slice), one_slice.name)
    assert refused.value.code is ReasonCode.UNREADABLE_PIXELS
    assert f"{96 - cut} of 96 bytes" in refused.value.text


def test_no_pixel_data_is_no_image(one_slice: Path) -> None:
    dataset = read_with_pixels(one_slice)
    del dataset.PixelData
    with pytest.raises(Refusal) as refused:
        stored_pixels(dataset, "one")
    assert refused.value.code is ReasonCode.UNREADABLE_PIXELS, "it has a matrix, so pixels were lost"
    del dataset.Rows
    with pytest.raises(Refusal) as refused:
        stored_pixels(dataset, "one")
    assert refused.value.code is ReasonCode.NOT_AN_IMAGE


def test_damaged_compressed_pixels_name_their_transfer_syntax(one_slice: Path) -> None:
    dataset = dcmread(one_slice)
    dataset.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.90"
    dataset.save_as(one_slice)
    with pytest.raises(Refusal) as refused:
        stored_pixels(read_with_pixels(one_slice), one_slice.name)
    assert refused.value.code is ReasonCode.UNREADABLE_PIXELS
    assert "JPEG 2000" in refused.value.text
    assert "1.2.840.10008.1.2.4.90" in refused.value.text


@pytest.mark.parametrize(
    ("stated", "syntax", "lossy"),
    [
        ("", "1.2.840.10008.1.2.1", False),
        ("00", "1.2.840.10008.1.2.4.90", False),
        ("01", "1.2.840.10008.1.2.1", True),
        ("", "1.2.840.10008.1.2.4.81", True),
    ],
)
def test_lossy_by_attribute_or_transfer_syntax(one_slice: Path, stated: str, syntax: str, lossy: bool) -> None:
    dataset = read_with_pixels(one_slice)
    dataset.LossyImageCompression = stated
    dataset.file_meta.TransferSyntaxUID = syntax
    assert is_lossy(dataset) is lossy


def test_subsampled_colour_needs_two_thirds_of_the_bytes(one_slice: Path) -> None:
    dataset = read_with_pixels(one_slice)
    dataset.SamplesPerPixel, dataset.PlanarConfiguration, dataset.PhotometricInterpretation = 3, 0, "YBR_FULL_422"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = bytes(range(96))
    assert stored_pixels(dataset, "colour").shape == (6, 8, 3)
    dataset.PixelData = bytes(94)
    with pytest.raises(Refusal, match="94 of 96 bytes"):
        stored_pixels(dataset, "colour")


def test_no_damage_gets_past_as_anything_but_a_refusal(one_slice: Path) -> None:
    """Random bytes anywhere in the file: it is read or refused, never a traceback, a warning or a hang."""
    whole = one_slice.read_bytes()
    chance = random.Random(20260102)
    outcomes: Counter[str] = Counter()
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 12)):
            damaged[chance.randrange(128, len(damaged))] = chance.randrange(256)
        one_slice.write_bytes(damaged[: chance.randrange(140, len(damaged))] if chance.random() < 0.3 else damaged)
        try:
            read_header(one_slice)
            stored_pixels(read_with_pixels(one_slice), one_slice.name)
        except Refusal as refusal:
            outcomes[refusal.code] += 1
        else:
            outcomes["read"] += 1
    assert outcomes["read"] > 20
    assert outcomes[ReasonCode.UNREADABLE_PIXELS] > 20
    assert len(outcomes) >= 4
