import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from inference.ct.series import CandidateSeries, LoadedSeries, choose_series, load_series
from inference.ct.series.attenuation import attenuation_hu, check_plausible
from inference.errors import ReasonCode, Refusal, WarningCode
from inference.reading import find_files, read_headers
from tests.real.studies import EditSlice, write_ct

pytestmark = pytest.mark.unit

SHAPE = (24, 40, 48)
AFFINE = np.array([[0, 0, 1.5, -36], [0, 1.2, 0, -24], [2.0, 0, 0, 100], [0, 0, 0, 1]])


def body(affine: NDArray[np.float64] = AFFINE) -> NDArray[np.int16]:
    """A cylinder of fat and muscle in air with a ball of bone whose HU rise with height, on any grid."""
    indices = np.stack(np.meshgrid(*[np.arange(size) for size in SHAPE], indexing="ij")).astype(float)
    x, y, z = np.einsum("ij,j...->i...", affine[:3, :3], indices) + affine[:3, 3].reshape(3, 1, 1, 1)
    hu = np.full(SHAPE, -1000.0)
    hu[np.hypot(x, y) < 22] = -100
    hu[np.hypot(x, y) < 18] = 50
    ball = np.sqrt(x**2 + y**2 + (z - 123) ** 2) < 9
    hu[ball] = (100 + z)[ball]
    return np.rint(hu).astype(np.int16)


def candidate_in(folder: Path) -> CandidateSeries:
    headers, _ = read_headers(find_files([folder]))
    choice = choose_series(headers)
    assert choice.candidates, choice.refusal()
    return choice.candidates[0]


def loaded(folder: Path, edit: EditSlice | None = None) -> LoadedSeries:
    return load_series(candidate_in(write_ct(body(), AFFINE, folder, edit=edit)))


def test_volume_acquisition_and_files_of_a_plain_series(tmp_path: Path) -> None:
    series = loaded(tmp_path)
    np.testing.assert_array_equal(series.volume.hu, body())
    np.testing.assert_allclose(series.volume.affine, AFFINE, atol=1e-5)
    assert series.volume.hu.dtype == np.int16
    assert series.source_paths == find_files([tmp_path])
    assert series.notices == ()
    acquisition = series.acquisition
    assert (acquisition.kvp, acquisition.convolution_kernel, acquisition.slices) == (120.0, "B30f", 24)
    assert acquisition.slice_spacing_mm == pytest.approx(2.0)
    assert acquisition.pixel_spacing_mm == (1.2, 1.5)
    assert (acquisition.contrast_phase, acquisition.contrast_header) == ("unknown", None)
    mask = (series.volume.hu > 150).astype(np.uint8)
    np.testing.assert_array_equal(series.to_source(mask), mask)


def test_source_paths_follow_the_slices_whatever_the_files_are_called(tmp_path: Path) -> None:
    write_ct(body(), AFFINE, tmp_path / "written")
    (tmp_path / "shuffled").mkdir()
    for index, path in enumerate(find_files([tmp_path / "written"])):
        shutil.copy(path, tmp_path / "shuffled" / f"{(index * 7) % 24:02d}")
    series = load_series(candidate_in(tmp_path / "shuffled"))
    np.testing.assert_array_equal(series.volume.hu, body())
    heights = [float(dcmread(path, stop_before_pixels=True).ImagePositionPatient[2]) for path in series.source_paths]
    assert heights == sorted(heights)


def test_each_slice_is_rescaled_by_its_own_slope(tmp_path: Path) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        if index % 2:
            hu = np.frombuffer(dataset.PixelData, dtype=np.int16).astype(int) - 1024
            dataset.RescaleSlope, dataset.RescaleIntercept = "0.5", "-100"
            dataset.PixelData = ((hu + 100) * 2).astype(np.int16).tobytes()

    np.testing.assert_array_equal(loaded(tmp_path, edit).volume.hu, body())


def test_thick_slices_are_refused_above_the_limit(tmp_path: Path) -> None:
    candidate = candidate_in(write_ct(body(), AFFINE, tmp_path))
    with pytest.raises(Refusal) as refused:
        load_series(candidate, max_slice_spacing_mm=1.5)
    assert refused.value.code is ReasonCode.SLICES_TOO_THICK
    assert "2.0 mm" in refused.value.text
    assert load_series(candidate, max_slice_spacing_mm=2.0).volume.hu.shape == SHAPE


def repeat_slice(folder: Path, change: int) -> Path:
    dataset = dcmread(folder / "0005.dcm")
    pixels = np.frombuffer(dataset.PixelData, dtype=np.int16) + np.int16(change)
    dataset.PixelData = pixels.tobytes()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.99"
    dataset.save_as(folder / "again.dcm")
    return folder


def test_identical_repeats_are_dropped_with_a_notice(tmp_path: Path) -> None:
    series = load_series(candidate_in(repeat_slice(write_ct(body(), AFFINE, tmp_path), 0)))
    np.testing.assert_array_equal(series.volume.hu, body())
    assert [notice.code for notice in series.notices] == [WarningCode.DUPLICATES_DROPPED]
    assert len(series.source_paths) == 24


def test_different_images_at_one_position_are_refused(tmp_path: Path) -> None:
    candidate = candidate_in(repeat_slice(write_ct(body(), AFFINE, tmp_path), 1))
    with pytest.raises(Refusal) as refused:
        load_series(candidate)
    assert refused.value.code is ReasonCode.DUPLICATE_POSITIONS
    assert "again.dcm" in refused.value.text


@pytest.mark.parametrize("degrees", [14.0, -8.0])
def test_tilted_series_is_resampled_upright_and_masks_go_back(tmp_path: Path, degrees: float) -> None:
    angle = np.radians(degrees)
    affine = AFFINE.copy()
    affine[:3, 1] = 1.2 * np.array([0, np.cos(angle), -np.sin(angle)])
    affine[2, 3] += 24 * np.sin(angle)
    series = load_series(candidate_in(write_ct(body(affine), affine, tmp_path)))
    assert [notice.code for notice in series.notices] == [WarningCode.TILT_RESAMPLED]
    direction = series.volume.direction
    np.testing.assert_allclose(direction.T @ direction, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(direction[:, 0], (0, 0, 1), atol=1e-5)
    indices = np.argwhere(series.volume.hu >= 0)
    places = series.volume.to_lps_mm(indices)
    core = np.linalg.norm(places - (0, 0, 123), axis=1) < 6
    found = series.volume.hu[tuple(indices[core].T)]
    np.testing.assert_allclose(found, 100 + places[core, 2], atol=1.5)
    mask = np.zeros(series.volume.hu.shape, dtype=np.uint8)
    mask[tuple(indices[core].T)] = 4
    back = series.to_source(mask)
    assert back.shape == SHAPE
    assert set(np.unique(back)) == {0, 4}
    source = np.argwhere(back == 4) @ affine[:3, :3].T + affine[:3, 3]
    np.testing.assert_allclose(source.mean(axis=0), (0, 0, 123), atol=0.3)
    assert len(source) == pytest.approx(core.sum() / np.cos(angle), rel=0.05)


def test_mask_of_another_shape_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        loaded(tmp_path).to_source(np.zeros((2, 2, 2), dtype=np.uint8))


def test_lossy_images_carry_a_notice(tmp_path: Path) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        del index
        dataset.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
        dataset.LossyImageCompression = "01"

    assert [notice.code for notice in loaded(tmp_path, edit).notices] == [WarningCode.LOSSY_COMPRESSION]


def test_unrescaled_series_is_refused(tmp_path: Path) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        del index
        dataset.RescaleIntercept = "0"

    with pytest.raises(Refusal) as refused:
        loaded(tmp_path, edit)
    assert refused.value.code is ReasonCode.IMPLAUSIBLE_HU


def test_one_truncated_file_refuses_the_series(tmp_path: Path) -> None:
    write_ct(body(), AFFINE, tmp_path)
    broken = tmp_path / "0010.dcm"
    broken.write_bytes(broken.read_bytes()[:-1000])
    with pytest.raises(Refusal) as refused:
        load_series(candidate_in(tmp_path))
    assert refused.value.code is ReasonCode.UNREADABLE_PIXELS
    assert "0010.dcm" in refused.value.text


def test_pixels_unlike_the_header_are_refused(tmp_path: Path) -> None:
    candidate = candidate_in(write_ct(body(), AFFINE, tmp_path))
    dataset = dcmread(tmp_path / "0003.dcm")
    dataset.Rows, dataset.Columns = dataset.Columns, dataset.Rows
    dataset.save_as(tmp_path / "0003.dcm")
    with pytest.raises(Refusal) as refused:
        load_series(candidate)
    assert refused.value.code is ReasonCode.UNREADABLE_PIXELS


def test_float_pixels_are_refused(tmp_path: Path) -> None:
    candidate = candidate_in(write_ct(body(), AFFINE, tmp_path))
    dataset = dcmread(tmp_path / "0003.dcm")
    dataset.FloatPixelData = np.zeros(40 * 48, dtype=np.float32).tobytes()
    dataset.BitsAllocated = 32
    del dataset.PixelData
    dataset.save_as(tmp_path / "0003.dcm")
    with pytest.raises(Refusal) as refused:
        load_series(candidate)
    assert refused.value.code is ReasonCode.IMPLAUSIBLE_HU


def test_series_without_files_is_a_mistake(tmp_path: Path) -> None:
    candidate = candidate_in(write_ct(body(), AFFINE, tmp_path))
    in_memory = replace(candidate, headers=tuple(replace(header, path=None) for header in candidate.headers))
    with pytest.raises(ValueError, match="from memory"):
        load_series(in_memory)


def rescale(stored: list[int], dtype: str = "int16", **attributes: object) -> list[int]:
    dataset = Dataset()
    for keyword, value in {"RescaleSlope": "1", "RescaleIntercept": "-1024", **attributes}.items():
        if value is not None:
            setattr(dataset, keyword, value)
    out = np.empty((1, len(stored)), dtype=np.int16)
    attenuation_hu(np.array([stored], dtype=dtype), dataset, "slice", out)
    return [int(value) for value in out[0]]


@pytest.mark.parametrize(
    ("stored", "attributes", "expected"),
    [
        ([0, 1024, 4095], {}, [-1024, 0, 3071]),
        ([100, 101], {"RescaleSlope": "0.5", "RescaleIntercept": "-49.8"}, [0, 1]),
        ([-2000, 1024], {}, [-1024, 0]),
        ([32767], {"RescaleIntercept": "1000"}, [32767]),
        ([-2000, 1000, 1024], {"PixelPaddingValue": -2000}, [-1024, -24, 0]),
        ([-2000, 1024], {"PixelPaddingValue": 63536}, [-1024, 0]),
        ([-32768, 1024], {"PixelPaddingValue": -32768}, [-1024, 0]),
        ([5000, 1024], {"PixelPaddingValue": 5000}, [3976, 0]),
        ([32767, 1024], {"PixelPaddingValue": 32767}, [-1024, 0]),
        ([0, 1, 2, 1024], {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 1}, [-1024, -1024, -1022, 0]),
        ([0, 40], {"PixelPaddingValue": 0, "RescaleIntercept": "0"}, [0, 40]),
    ],
)
def test_rescale_and_padding(stored: list[int], attributes: dict[str, object], expected: list[int]) -> None:
    assert rescale(stored, **attributes) == expected


def test_unsigned_padding_is_compared_as_stored() -> None:
    assert rescale([63536, 1024], "uint16", PixelPaddingValue=-2000) == [-1024, 0]
    assert rescale([-2000, 1024], "int16", PixelPaddingValue=-2000, BitsStored=12) == [-1024, 0]
    assert rescale([16, 1024], "uint16", PixelPaddingValue=61456, BitsStored=12) == [-1024, 0], "the decoder masks unused bits"


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"RescaleSlope": None}, ReasonCode.RESCALE_MISSING),
        ({"RescaleIntercept": None}, ReasonCode.RESCALE_MISSING),
        ({"RescaleSlope": None, "RescaleIntercept": None, "ModalityLUTSequence": []}, ReasonCode.RESCALE_MISSING),
        ({"RescaleSlope": "0"}, ReasonCode.IMPLAUSIBLE_HU),
        ({"RescaleSlope": "-1"}, ReasonCode.IMPLAUSIBLE_HU),
        ({"RescaleSlope": "32.1216"}, ReasonCode.IMPLAUSIBLE_HU),
    ],
)
def test_unusable_rescale_is_refused(attributes: dict[str, object], code: ReasonCode) -> None:
    with pytest.raises(Refusal) as refused:
        rescale([0], **attributes)
    assert refused.value.code is code
    assert "slice" in refused.value.text


@pytest.mark.parametrize(
    ("hu", "plausible"),
    [
        (body(), True),
        (body()[:, 10:30, 12:36], True),
        (body() + 1024, False),
        (body() - 1024, False),
        (np.where(body() < -900, -1024, body() + 1024), False),
        (np.zeros(SHAPE), False),
        (np.full(SHAPE, -1000), False),
    ],
    ids=["body", "tight crop", "unrescaled", "intercept twice", "unrescaled but padded", "zeros", "air"],
)
def test_plausible_attenuation(hu: NDArray[np.int16], plausible: bool) -> None:
    volume = np.clip(hu, -1024, 32767).astype(np.int16)
    if plausible:
        check_plausible(volume)
        return
    with pytest.raises(Refusal) as refused:
        check_plausible(volume)
    assert refused.value.code is ReasonCode.IMPLAUSIBLE_HU
