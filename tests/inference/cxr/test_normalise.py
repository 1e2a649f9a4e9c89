"""The same film, however it is stored, becomes the same array; what is burned in beside the chest does not move it."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from openjpeg.utils import encode_array
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from inference.cxr.area import FilmArea
from inference.cxr.film import NormalisedFilm, lines_to_fill, stands_on, turned_box
from inference.cxr.turns import Turn
from inference.errors import ReasonCode, WarningCode
from tests.inference.cxr.films import dataset, decided, put, stored, with_text

pytestmark = pytest.mark.unit

EXACT, ROUNDED = 1e-5, 0.012
"""Nothing may change the film but rounding: to 8 bits, and what the percentiles that scale it make of that."""


def film_of(ds: Dataset) -> NormalisedFilm:
    decision = decided(ds)
    assert decision.film is not None, decision.because
    return decision.film


@pytest.fixture(scope="module")
def plain() -> NormalisedFilm:
    return film_of(dataset())


def monochrome1(ds: Dataset) -> None:
    put(ds, 4095 - stored(ds))
    ds.PhotometricInterpretation = "MONOCHROME1"


def lie_monochrome1(ds: Dataset) -> None:
    ds.PhotometricInterpretation = "MONOCHROME1"


def lie_monochrome2(ds: Dataset) -> None:
    put(ds, 4095 - stored(ds))


def to_bits(bits: int) -> Callable[[Dataset], None]:
    def change(ds: Dataset) -> None:
        put(ds, np.rint(stored(ds) / 4095 * (2**bits - 1)).astype(np.uint16), bits)

    return change


def run_length(ds: Dataset) -> None:
    ds.compress(RLELossless, generate_instance_uid=False)


def jpeg_ls(ds: Dataset) -> None:
    ds.compress(JPEGLSLossless, generate_instance_uid=False)


def jpeg_2000(ds: Dataset) -> None:
    ds.PixelData = encapsulate([encode_array(stored(ds), bits_stored=12, codec_format=0)])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = JPEG2000Lossless


def rescaled(ds: Dataset) -> None:
    ds.RescaleSlope, ds.RescaleIntercept = "2", "-1000"
    ds.WindowCenter, ds.WindowWidth = "3095", "8190"


def several_windows(ds: Dataset) -> None:
    ds.WindowCenter, ds.WindowWidth = ["60000", "2048"], ["10", "4096"]


def _lut(values: NDArray[np.generic], explanation: str) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(values), 0, 16]
    item.LUTExplanation = explanation
    item.LUTData = values.astype("<u2").tobytes()
    item["LUTDescriptor"].VR, item["LUTData"].VR = "US", "OW"
    return item


def voi_lut(ds: Dataset) -> None:
    """A straight VOI LUT beside a window that would show nothing."""
    ds.VOILUTSequence = [_lut(np.rint(np.linspace(0, 65535, 4096)), "STRAIGHT")]
    ds.WindowCenter, ds.WindowWidth = "60000", "10"


def modality_lut(ds: Dataset) -> None:
    for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType"):
        delattr(ds, keyword)
    item = _lut(np.arange(4096) * 8, "TIMES 8")
    item.ModalityLUTType = "US"
    ds.ModalityLUTSequence = [item]
    ds.WindowCenter, ds.WindowWidth = "16384", "32768"


@pytest.mark.parametrize(
    ("change", "tolerance", "inverted"),
    [
        (monochrome1, EXACT, False),
        (lie_monochrome1, EXACT, True),
        (lie_monochrome2, EXACT, True),
        (to_bits(8), ROUNDED, False),
        (to_bits(10), ROUNDED, False),
        (to_bits(16), ROUNDED, False),
        (run_length, EXACT, False),
        (jpeg_2000, EXACT, False),
        (jpeg_ls, EXACT, False),
        (rescaled, ROUNDED, False),
        (several_windows, EXACT, False),
        (voi_lut, ROUNDED, False),
        (modality_lut, ROUNDED, False),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_storage_does_not_matter(plain: NormalisedFilm, change: Callable[[Dataset], None], tolerance: float, inverted: bool) -> None:
    decision = decided(dataset(change=change))
    found = decision.film
    assert found is not None, decision.because
    assert np.abs(found.image - plain.image).max() <= tolerance
    assert found.negative is inverted
    assert np.array_equal(found.to_stored, plain.to_stored)
    noticed = WarningCode.POLARITY_WRONG in {notice.code for notice in decision.notices}
    assert noticed is inverted


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_position_does_not_matter_and_the_way_back_is_exact(plain: NormalisedFilm, quarters: int, mirrored: bool) -> None:
    upright = stored(dataset())
    lying = np.rot90(upright[:, ::-1] if mirrored else upright, -quarters)
    decision = decided(dataset(change=lambda ds: put(ds, lying)))
    found = decision.film
    assert found is not None, decision.because
    assert found.turn == Turn(quarters=quarters, mirrored=mirrored)
    assert np.abs(found.image - plain.image).max() <= EXACT
    assert found.lungs == pytest.approx(plain.lungs)
    points = np.array([[0, 0], [17, 40], [100, 3], [plain.image.shape[0] - 1, plain.image.shape[1] - 1]], dtype=np.float64)
    there, here = found.stored_points(points).astype(int), plain.stored_points(points).astype(int)
    assert np.array_equal(lying[there[:, 0], there[:, 1]], upright[here[:, 0], here[:, 1]])
    noticed = WarningCode.FILM_TURNED in {notice.code for notice in decision.notices}
    assert noticed is (quarters != 0 or mirrored)


def differences(found: NormalisedFilm, plain: NormalisedFilm, shift: tuple[int, int]) -> NDArray[np.float32]:
    """Absolute differences at every place that both show; ``shift`` is where the plain film's first pixel lies in the other file."""
    rows, columns = np.indices(found.image.shape).reshape(2, -1)
    place = found.stored_points(np.column_stack([rows, columns])) - shift - plain.to_stored[:, 2]
    there = np.rint(np.linalg.solve(plain.to_stored[:, :2], place.T).T).astype(int)
    inside = ((there >= 0) & (there < plain.image.shape)).all(axis=1)
    assert inside.mean() > 0.9
    other = plain.image[there[inside, 0], there[inside, 1]]
    return np.asarray(np.abs(found.image.reshape(-1)[inside] - other), dtype=np.float32)


@pytest.mark.parametrize("white", [False, True])
def test_a_border_is_cut_off_and_the_way_back_counts_it(plain: NormalisedFilm, white: bool) -> None:
    whole = np.pad(stored(dataset()), ((24, 40), (60, 12)), constant_values=4095 if white else 0)
    found = film_of(dataset(change=lambda ds: put(ds, whole)))
    lost = np.array(plain.image.shape) - np.array(found.image.shape)
    assert (np.abs(lost) <= 12).all()  # bare air at the sides of the film looks like border
    assert np.percentile(differences(found, plain, (24, 60)), 99) <= 0.03  # the lungs' box, which scales the greys, moves by a pixel


def test_padding_is_black_and_does_not_move_the_scale(plain: NormalisedFilm) -> None:
    def padded(ds: Dataset) -> None:
        put(ds, np.pad(stored(ds) // 2 + 100, ((20, 20), (30, 30)), constant_values=4000))
        ds.PixelPaddingValue, ds.PixelPaddingRangeLimit = 3990, 4010
        ds["PixelPaddingValue"].VR = ds["PixelPaddingRangeLimit"].VR = "US"

    found = film_of(dataset(change=padded))
    assert np.percentile(differences(found, plain, (20, 30)), 99) <= 0.03
    assert found.image.shape[0] <= plain.image.shape[0] + 2


def test_padding_within_the_film_is_black() -> None:
    def padded(ds: Dataset) -> None:
        pixels = stored(ds) // 2 + 100
        pixels[:40, -50:] = 4000
        put(ds, pixels)
        ds.PixelPaddingValue = 4000
        ds["PixelPaddingValue"].VR = "US"

    found = film_of(dataset(change=padded))
    assert (found.image[:38, -40:] == 0).all()


def test_a_burned_in_number_at_the_border_changes_nothing_else(plain: NormalisedFilm) -> None:
    text = with_text(stored(dataset()), "0815-4711", (8, 300))
    decision = decided(dataset(change=lambda ds: put(ds, text)))
    assert decision.film is not None
    assert decision.film.filled == 1
    assert WarningCode.PRINT_FILLED in {notice.code for notice in decision.notices}
    difference = np.abs(decision.film.image - plain.image)
    rows, columns = np.nonzero(difference > ROUNDED)
    assert not len(rows) or (rows.min() >= 295 and rows.max() <= 325 and columns.max() <= 110)
    letters = np.abs(text.astype(float) - stored(dataset())) > 400
    assert difference[letters].max() < 0.25  # white letters on dark are gone


def test_text_on_the_chest_is_refused() -> None:
    text = with_text(stored(dataset()), "T-SCORE -3.1", (90, 150), size=18)
    decision = decided(dataset(change=lambda ds: put(ds, text)))
    assert decision.reason is not None
    assert decision.reason.code is ReasonCode.BURNED_IN_TEXT


@pytest.mark.parametrize(
    ("box", "on"),
    [
        ((100, 70, 110, 90), True),  # on the heart
        ((42, 130, 52, 139), False),  # on the shoulder, beside the apex
        ((42, 21, 52, 30), False),
        ((60, 112, 70, 139), True),  # begins on the lung
        ((45, 70, 52, 90), True),  # below the neck
        ((165, 128, 175, 139), True),  # the lower corners are lung
        ((20, 70, 40, 90), False),  # above, beside, below
        ((100, 140, 110, 159), False),
        ((181, 70, 190, 90), False),
    ],
)
def test_print_stands_on_the_lungs_or_in_the_upper_corners_of_their_box(box: tuple[int, int, int, int], *, on: bool) -> None:
    assert stands_on(box, (40.0, 20.0, 180.0, 140.0)) is on


def test_what_stands_upright_above_the_chest_is_bone_and_is_not_filled() -> None:
    area = FilmArea(
        box=(0, 0, 200, 160), shown=np.ones((200, 160), dtype=np.bool_), print_boxes=((0, 70, 30, 78), (90, 2, 140, 10), (2, 60, 12, 99))
    )
    lungs = (40.0, 20.0, 180.0, 140.0)
    assert lines_to_fill(area, (200, 160), Turn(), lungs) == ((90, 2, 140, 10), (2, 60, 12, 99))
    lying = FilmArea(box=(0, 0, 160, 200), shown=np.ones((160, 200), dtype=np.bool_), print_boxes=((70, 0, 78, 30),))
    turned = Turn(quarters=3)
    assert turned_box((70, 0, 78, 30), (160, 200), turned) == ((0, 82), (30, 90))
    assert lines_to_fill(lying, (160, 200), turned, lungs) == ()


def test_spacing_follows_the_turn_and_zero_is_none() -> None:
    def lying(ds: Dataset) -> None:
        put(ds, np.rot90(stored(ds)))
        ds.PixelSpacing = ["0.3", "0.4"]

    assert film_of(dataset(change=lying)).spacing_mm == (0.4, 0.3)

    def zero(ds: Dataset) -> None:
        ds.PixelSpacing = ds.ImagerPixelSpacing = ["0.000", "0.000"]

    decision = decided(dataset(change=zero))
    assert decision.film is not None
    assert decision.film.spacing_mm is None
    assert WarningCode.PIXEL_SIZE_UNKNOWN in {notice.code for notice in decision.notices}
    assert film_of(dataset()).spacing_mm == (1.2, 1.2)


def test_a_film_too_small_to_read_is_refused() -> None:
    decision = decided(dataset(change=lambda ds: put(ds, stored(ds)[::3, ::3])))
    assert decision.reason is not None
    assert decision.reason.code is ReasonCode.ROI_TOO_SMALL
