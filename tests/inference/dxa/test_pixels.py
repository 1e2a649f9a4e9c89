"""Pictures of every photometric interpretation and depth come out as the same grey, bone bright."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from inference.dxa.pixels import grey_of, read_pixels
from inference.errors import ReasonCode, Refusal
from tests.training.xray_patients import dxa
from training.simulation.xray.dxa_dicom import AP_SPINE, write_dxa

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dxa(dxa("Hologic"), tmp_path_factory.mktemp("dxa"))[AP_SPINE]


@pytest.fixture
def dataset(stored: Path) -> Dataset:
    return pydicom.dcmread(stored)


def truth() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    image = dxa("Hologic").image
    return np.asarray(image[:, : image.shape[1] // 2 * 2], dtype=np.float32) / np.float32(255)


def replaced(dataset: Dataset, values: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]", **changes: object) -> Dataset:
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = np.ascontiguousarray(values).tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def test_monochrome2(stored: Path) -> None:
    found = read_pixels(stored)
    assert np.allclose(found.grey, truth())
    assert not found.coloured.any()
    assert not found.relative
    assert found.said == "MONOCHROME2, 8 bit"
    assert np.allclose(found.inverted().grey, 1 - truth())


def test_monochrome1_is_inverted(dataset: Dataset) -> None:
    found = grey_of(replaced(dataset, np.uint8(255) - dataset.pixel_array, PhotometricInterpretation="MONOCHROME1"), "it")
    assert np.allclose(found.grey, truth(), atol=1e-6)


def test_compressed_without_loss(dataset: Dataset) -> None:
    dataset["PixelData"].VR = "OB"
    dataset.compress(RLELossless)
    assert np.allclose(grey_of(dataset, "it").grey, truth())


def test_sixteen_bits_without_a_window_are_relative(dataset: Dataset) -> None:
    values = dataset.pixel_array.astype(np.uint16) * 12
    found = grey_of(replaced(dataset, values, BitsAllocated=16, BitsStored=12, HighBit=11), "it")
    assert found.relative
    low, high = truth().min(), truth().max()
    assert np.allclose(found.grey, (truth() - low) / (high - low), atol=1e-5)


def test_sixteen_bits_pass_their_window(dataset: Dataset) -> None:
    values = dataset.pixel_array.astype(np.uint16) * 12
    found = grey_of(
        replaced(dataset, values, BitsAllocated=16, BitsStored=12, HighBit=11, WindowCenter=["1530.5", "10"], WindowWidth=["3061", "1"]),
        "it",
    )
    assert not found.relative
    assert np.allclose(found.grey, truth(), atol=1e-5)  # (x - (c - 0.5)) / (w - 1) + 0.5 is x / 3060 here


def test_rgb_is_grey_with_its_colours_told(dataset: Dataset) -> None:
    rgb = np.repeat(dataset.pixel_array[..., None], 3, axis=-1)
    rgb[5:9, 7:12] = (250, 220, 80)
    found = grey_of(replaced(dataset, rgb, SamplesPerPixel=3, PlanarConfiguration=0, PhotometricInterpretation="RGB"), "it")
    assert found.coloured.sum() == 4 * 5
    assert np.allclose(found.grey[20:], truth()[20:], atol=1e-6)
    assert found.grey[6, 8] == pytest.approx((250 + 220 + 80) / 3 / 255)


def test_ybr_is_turned_into_rgb(dataset: Dataset) -> None:
    grey = dataset.pixel_array
    ybr = np.stack([grey, np.full_like(grey, 128), np.full_like(grey, 128)], axis=-1)
    found = grey_of(replaced(dataset, ybr, SamplesPerPixel=3, PlanarConfiguration=0, PhotometricInterpretation="YBR_FULL"), "it")
    assert np.allclose(found.grey, truth(), atol=0.01)
    assert not found.coloured.any()


def test_palette_colour_is_looked_up(dataset: Dataset) -> None:
    values = dataset.pixel_array
    ramp = np.arange(256, dtype=np.uint16) * 257
    tables = {"Red": ramp, "Green": ramp, "Blue": np.where(np.arange(256) == 3, 0, ramp).astype(np.uint16)}
    for colour, table in tables.items():
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(dataset, f"{colour}PaletteColorLookupTableData", table[::-1].tobytes())
    found = grey_of(replaced(dataset, np.uint8(255) - values, PhotometricInterpretation="PALETTE COLOR"), "it")
    assert np.allclose(found.grey, truth(), atol=0.005)


def test_several_frames_are_refused(dataset: Dataset) -> None:
    frames = np.stack([dataset.pixel_array] * 2)
    with pytest.raises(Refusal) as refused:
        grey_of(replaced(dataset, frames, NumberOfFrames=2), "it")
    assert refused.value.code is ReasonCode.MULTIFRAME_NOT_READ


def test_an_unknown_interpretation_is_refused(dataset: Dataset) -> None:
    three = np.repeat(dataset.pixel_array[..., None], 3, axis=-1)
    with pytest.raises(Refusal) as refused:
        grey_of(replaced(dataset, three, SamplesPerPixel=3, PlanarConfiguration=0, PhotometricInterpretation="HSV"), "it")
    assert refused.value.code is ReasonCode.UNREADABLE_PIXELS
