"""The network over a scan: pieces, padding, the patient's box, and the way back to the scan's voxels."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from inference.ct.segmentation.grid import WorkGrid, frame_of
from inference.ct.segmentation.network import predict as predicting
from inference.ct.segmentation.network.intensity import normalised
from inference.ct.segmentation.network.paint import paint
from inference.ct.segmentation.network.predict import BODY, DISC, Prediction, pieces, predict, spine_box
from inference.volume import Volume

pytestmark = pytest.mark.unit


class _Thresholds(nn.Module):
    """Calls body what is brighter than 200 HU, disc what is brighter than 0 HU; a network without a receptive field."""

    def forward(self, image: Tensor) -> Tensor:
        hu = image * 500 + 250
        scores = torch.zeros(image.shape[0], 7, *image.shape[2:])
        scores[:, 0] = 1.0
        scores[:, BODY] = torch.where(hu[:, 0] > 200, 8.0, -8.0)
        scores[:, DISC] = torch.where((hu[:, 0] > 0) & (hu[:, 0] <= 200), 8.0, -8.0)
        return scores


def _random_grid(shape: tuple[int, int, int]) -> WorkGrid:
    rng = np.random.default_rng(3)
    return WorkGrid(hu=rng.uniform(-240, 700, shape).astype(np.float32), spacing_mm=3.0)


def test_normalised_maps_the_window_to_one():
    values = normalised(np.array([-2000.0, -250.0, 250.0, 750.0, 3000.0]), (-250.0, 750.0))
    assert values.tolist() == [-1.0, -1.0, 0.0, 1.0, 1.0]
    assert values.dtype == np.float32


def test_every_voxel_gets_its_structure_and_margin():
    grid = _random_grid((21, 30, 17))
    found = predict(_Thresholds().eval(), grid, (-250.0, 750.0))
    expected = np.where(grid.hu > 200, BODY, np.where(grid.hu > 0, DISC, 0))
    assert np.array_equal(found.structures, expected)
    assert np.all((found.margin > 0) == (expected == BODY))


def test_pieces_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch):
    grid = _random_grid((150, 20, 20))
    whole = predict(_Thresholds().eval(), grid, (-250.0, 750.0))
    monkeypatch.setattr(predicting, "CHUNK_VOXELS", 20 * 20 * 70)
    parts = predict(_Thresholds().eval(), grid, (-250.0, 750.0))
    assert np.array_equal(whole.structures, parts.structures)
    assert np.allclose(whole.margin, parts.margin)


@given(planes=st.integers(1, 700), rows=st.integers(1, 400))
def test_pieces_cover_each_plane_once(planes: int, rows: int):
    seen = np.zeros(planes, dtype=int)
    for piece, kept in pieces((planes, rows, 200)):
        seen[piece.start + kept.start : piece.start + kept.stop] += 1
        assert piece.stop <= planes
    assert np.all(seen == 1)


def test_the_box_keeps_the_back_and_the_middle_and_every_plane():
    hu = np.full((10, 40, 50), -1000, dtype=np.float32)
    hu[3:6, 8:20, 30:41] = 40
    assert spine_box(hu, 3.0) == (slice(0, 10), slice(8, 20), slice(30, 41))
    wide = np.full((4, 150, 180), 40, dtype=np.float32)
    assert spine_box(wide, 3.0) == (slice(0, 4), slice(50, 150), slice(42, 137))
    nothing = np.full((4, 5, 6), -1000, dtype=np.float32)
    assert spine_box(nothing, 3.0) == (slice(0, 4), slice(0, 5), slice(0, 6))


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1)])
def test_a_ball_comes_back_in_its_place_and_size(signs: tuple[int, int, int]):
    """A ball of 15 mm radius, known by its margin on the 3 mm grid, painted on a scan of 0.9 x 0.8 x 2 mm in any orientation."""
    shape, steps = (40, 90, 100), (2.0, 0.9, 0.8)
    affine = np.zeros((4, 4))
    for axis, (lps, step, sign) in enumerate(zip((2, 1, 0), steps, signs, strict=True)):
        affine[lps, axis] = step * sign
    affine[3, 3] = 1.0
    volume = Volume(hu=np.zeros(shape, np.int16), affine=affine)
    frame = frame_of(volume)
    places = np.indices((27, 27, 27)) * 3.0
    centre = np.array([39.0, 40.5, 38.0])
    distance = np.sqrt(((places - centre[:, None, None, None]) ** 2).sum(axis=0))
    margin = np.clip((15.0 - distance) / 3.0, -1, 1).astype(np.float32)
    labels = (margin > 0).astype(np.uint8) * 7
    mask = np.zeros(shape, np.uint8)
    paint(Prediction(structures=labels, margin=margin, spacing_mm=3.0), labels, frame, mask)
    assert set(np.unique(mask)) == {0, 7}
    assert mask.sum() / 7 * np.prod(steps) == pytest.approx(4 / 3 * np.pi * 15**3, rel=0.04)
    middle = np.argwhere(frame.view(mask)).mean(axis=0) * np.array(frame.spacing_mm)
    assert middle == pytest.approx(centre, abs=0.5)
