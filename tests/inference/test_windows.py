"""Windows of attenuation by name."""

import numpy as np
import pytest

from inference.errors import PermanentError
from inference.windows import WINDOWS, HuWindow, window, windowed

pytestmark = pytest.mark.unit


def test_a_window_maps_its_ends_to_nought_and_one() -> None:
    bone = window("bone")
    assert (bone.low_hu, bone.high_hu) == (-500, 1300)
    scaled = bone.apply(np.array([[-1024, -500, 400], [1300, 3071, 850]], dtype=np.int16))
    assert scaled.dtype == np.float32
    assert scaled.tolist() == [[0, 0, 0.5], [1, 1, 0.75]]


def test_the_scan_is_left_as_it_is() -> None:
    hu = np.array([0.0, 100.0], dtype=np.float32)
    window("soft").apply(hu)
    assert hu.tolist() == [0, 100]


def test_one_channel_per_window() -> None:
    hu = np.zeros((2, 3, 4), dtype=np.int16)
    channels = windowed(hu, ["soft", "wide", "trabecular"])
    assert channels.shape == (3, 2, 3, 4)
    assert channels[:, 0, 0, 0] == pytest.approx([0.4, 1024 / 3000, 1 / 6], abs=1e-6)


@pytest.mark.parametrize("name", WINDOWS)
def test_every_window_holds_trabecular_bone(name: str) -> None:
    scaled = window(name).apply(np.array([20.0, 200.0]))
    assert 0 < scaled[0] < scaled[1] < 1


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(PermanentError, match="no window 'lung'; there are bone, soft, trabecular, spine, wide"):
        windowed(np.zeros(1), ["bone", "lung"])
    with pytest.raises(PermanentError, match="at least one window of bone"):
        windowed(np.zeros(1), [])
    with pytest.raises(PermanentError, match="must begin below its end, not 5 to 5 HU"):
        HuWindow(low_hu=5, high_hu=5)
