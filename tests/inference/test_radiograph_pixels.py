"""From stored values to what is shown: each transform against values computed by hand from PS3.3."""

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from inference.errors import ReasonCode, Refusal
from inference.radiograph_pixels import radiograph_of, windowed

pytestmark = pytest.mark.unit


def film(pixels: NDArray[np.generic], bits: int = 12, **values: object) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, bits, bits - 1, int(pixels.dtype.kind == "i")
    ds.PixelData = pixels.astype("<i2" if pixels.dtype.kind == "i" else "<u2").tobytes()
    ds["PixelData"].VR = "OW"
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


RAMP = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)


@pytest.mark.parametrize(
    ("function", "value", "grey"),
    [
        ("LINEAR", 100.0, (100 - (128 - 0.5)) / 255 + 0.5),
        ("LINEAR", 0.0, 0.0),
        ("LINEAR", 255.0, 1.0),
        ("LINEAR", 400.0, 1.0),
        ("LINEAR_EXACT", 64.0, 0.25),
        ("LINEAR_EXACT", 256.0, 1.0),
        ("SIGMOID", 128.0, 0.5),
        ("SIGMOID", 192.0, 1 / (1 + np.exp(-1.0))),
    ],
)
def test_windows(function: str, value: float, grey: float) -> None:
    assert windowed(np.array([value]), 128, 256, function)[0] == pytest.approx(grey)


def test_without_a_window_the_film_spans_its_own_range() -> None:
    shown = radiograph_of(film(RAMP + np.uint16(100), bits=13), "film")
    assert (float(shown.grey.min()), float(shown.grey.max())) == (0.0, 1.0)
    assert "whole range" in shown.said


def test_a_window_that_shows_nothing_is_passed_over_and_the_one_used_is_said() -> None:
    shown = radiograph_of(film(RAMP, WindowCenter=["9000", "1000"], WindowWidth=["10", "2001"]), "film")
    assert "window 1000/2001" in shown.said
    assert shown.grey[4, 0] == pytest.approx((1024 - 999.5) / 2000 + 0.5)


def test_the_window_applies_after_the_rescale() -> None:
    shown = radiograph_of(film(RAMP, RescaleSlope="2", RescaleIntercept="-500", WindowCenter="2000", WindowWidth="4001"), "film")
    assert shown.grey[4, 0] == pytest.approx((1024 * 2 - 500 - 1999.5) / 4000 + 0.5)


def test_a_slope_of_zero_is_no_slope() -> None:
    shown = radiograph_of(film(RAMP, RescaleSlope="0", RescaleIntercept="5"), "film")
    assert float(shown.grey.max()) == 1.0


def test_monochrome1_is_turned_over() -> None:
    plain, other = radiograph_of(film(RAMP), "film"), radiograph_of(film(RAMP, PhotometricInterpretation="MONOCHROME1"), "film")
    assert np.allclose(other.grey, 1 - plain.grey)


def lut(first: int, values: NDArray[np.generic], bits: int) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(values), first, bits]
    item.LUTData = values.astype("<u2").tobytes()
    item["LUTDescriptor"].VR, item["LUTData"].VR = "US", "OW"
    return item


def test_a_voi_lut_comes_before_a_window_and_holds_beyond_its_ends() -> None:
    table = np.array([0, 100, 400, 1023])
    ds = film(
        np.array([[0, 10, 11], [12, 13, 500]], dtype=np.uint16), VOILUTSequence=[lut(10, table, 10)], WindowCenter="8", WindowWidth="9"
    )
    shown = radiograph_of(ds, "film")
    assert "VOI LUT 1" in shown.said
    assert np.allclose(shown.grey, np.array([[0, 0, 100], [400, 1023, 1023]]) / 1023)


def test_a_modality_lut_comes_before_the_window() -> None:
    pixels = np.array([[0, 1], [2, 3]], dtype=np.uint16)
    item = lut(0, np.array([0, 1000, 3000, 4000]), 16)
    item.ModalityLUTType = "US"
    shown = radiograph_of(film(pixels, ModalityLUTSequence=[item], WindowCenter="2000.5", WindowWidth="4001"), "film")
    assert np.allclose(shown.grey, np.array([[0, 1000], [3000, 4000]]) / 4000)


def test_a_damaged_lut_is_passed_over() -> None:
    broken = Dataset()
    broken.LUTDescriptor = [4, 0, 16]
    broken["LUTDescriptor"].VR = "US"
    for damaged in (broken, Dataset()):  # no data, no descriptor
        shown = radiograph_of(film(RAMP, VOILUTSequence=[damaged], WindowCenter="2048", WindowWidth="4096"), "film")
        assert "window 2048/4096" in shown.said


@pytest.mark.parametrize(
    ("values", "share"), [({"PixelPaddingValue": 4080}, 1), ({"PixelPaddingValue": 4000, "PixelPaddingRangeLimit": 4095}, 6)]
)
def test_padding_is_told_from_the_film(values: dict[str, int], share: int) -> None:
    ds = film(RAMP, **values)
    for keyword in values:
        ds[keyword].VR = "US"
    shown = radiograph_of(ds, "film")
    assert int((~shown.known).sum()) == share
    assert "padding" in shown.said
    assert shown.grey[shown.known].max() == 1.0  # padding does not stretch the range


def test_signed_values_are_read_as_such() -> None:
    shown = radiograph_of(film(np.array([[-100, 0], [50, 100]], dtype=np.int16), bits=16), "film")
    assert np.allclose(shown.grey, [[0.0, 0.5], [0.75, 1.0]])


def test_colours_are_marked_and_greys_are_not() -> None:
    rgb = np.zeros((2, 2, 3), dtype=np.uint8)
    rgb[0, 0], rgb[1, 1] = (255, 0, 0), (90, 90, 90)
    ds = film(np.zeros((2, 2), dtype=np.uint16), bits=8)
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration, ds.BitsAllocated = 3, "RGB", 0, 8
    ds.PixelData = rgb.tobytes()
    shown = radiograph_of(ds, "film")
    assert shown.coloured.tolist() == [[True, False], [False, False]]
    assert shown.grey[1, 1] == pytest.approx(90 / 255)


def test_what_cannot_be_shown_is_refused() -> None:
    frames = film(np.zeros((2, 2), dtype=np.uint16))
    frames.NumberOfFrames, frames.PixelData = 2, bytes(16)
    with pytest.raises(Refusal) as refusal:
        radiograph_of(frames, "film")
    assert refusal.value.code is ReasonCode.MULTIFRAME_NOT_READ
    odd = film(np.zeros((2, 2), dtype=np.uint16), PhotometricInterpretation="HSV")
    with pytest.raises(Refusal) as refusal:
        radiograph_of(odd, "film")
    assert refusal.value.code is ReasonCode.UNREADABLE_PIXELS
