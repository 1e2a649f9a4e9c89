"""The crop: where it lies, what it blanks, and that a scan's own axes do not matter."""

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.ct.crop import OUTSIDE_HU, crop_around
from inference.volume import Volume

SHAPE, SPACING = (16, 20, 24), (2.0, 2.0, 2.0)


def _scene() -> tuple[Volume, NDArray[np.bool_]]:
    """A field that rises by 1 HU a mm to the left and 3 towards the head, with a box of 20 x 24 x 28 mm for a body."""
    affine = np.array([[0, 0, 1.0, -40], [0, 1.0, 0, -50], [2.0, 0, 0, -30], [0, 0, 0, 1.0]])
    z, _, x = np.indices((40, 90, 80))
    volume = Volume(hu=(100 + x + 6 * z).astype(np.int16), affine=affine)
    mask = np.zeros(volume.hu.shape, bool)
    mask[15:25, 30:54, 26:54] = True
    return volume, mask


def test_the_middle_of_the_box_is_the_middle_of_the_body() -> None:
    volume, mask = _scene()
    hu = crop_around(volume, mask, SHAPE, SPACING, margin_mm=0, masked=False)
    assert hu.shape == SHAPE
    assert hu[7:9, 9:11, 11:13].mean() == pytest.approx(100 + 39.5 + 6 * 19.5, abs=0.5)
    assert hu[9, 10, 12] - hu[8, 10, 12] == pytest.approx(6.0, abs=0.2)
    assert hu[8, 10, 13] - hu[8, 10, 12] == pytest.approx(2.0, abs=0.2)


def test_all_but_the_body_and_its_margin_is_blank() -> None:
    volume, mask = _scene()
    bare = crop_around(volume, mask, SHAPE, SPACING, margin_mm=0, masked=True) > OUTSIDE_HU
    wide = crop_around(volume, mask, SHAPE, SPACING, margin_mm=4, masked=True) > OUTSIDE_HU
    assert bare.sum() * 8 == pytest.approx(20 * 24 * 28, rel=0.15)
    assert [int(np.ptp(np.flatnonzero(wide.any(axis=axes)))) + 1 for axes in ((1, 2), (0, 2), (0, 1))] == [14, 16, 18]


def test_axes_of_the_scan_do_not_matter() -> None:
    """The same scan stored feet first and mirrored gives the same crop."""
    volume, mask = _scene()
    turned_affine = volume.affine.copy()
    turned_affine[:3, 0] *= -1
    turned_affine[:3, 2] *= -1
    turned_affine[:3, 3] = volume.to_lps_mm(np.array([[39, 0, 79]]))[0]
    turned = Volume(hu=np.ascontiguousarray(volume.hu[::-1, :, ::-1]), affine=turned_affine)
    one = crop_around(volume, mask, SHAPE, SPACING, margin_mm=2, masked=True)
    other = crop_around(turned, np.ascontiguousarray(mask[::-1, :, ::-1]), SHAPE, SPACING, margin_mm=2, masked=True)
    assert np.mean((one > OUTSIDE_HU) != (other > OUTSIDE_HU)) < 0.005
    both = (one > OUTSIDE_HU) & (other > OUTSIDE_HU)
    assert np.allclose(one[both], other[both], atol=0.01)


def test_beyond_the_scan_nothing_is_shown() -> None:
    volume, mask = _scene()
    hu = crop_around(volume, mask, (64, 20, 24), SPACING, margin_mm=0, masked=False)
    assert (hu[:8] == OUTSIDE_HU).all()
    assert (hu[-8:] == OUTSIDE_HU).all()


def test_an_empty_mask() -> None:
    volume, mask = _scene()
    with pytest.raises(ValueError, match="empty"):
        crop_around(volume, np.zeros_like(mask), SHAPE, SPACING, margin_mm=0, masked=True)
