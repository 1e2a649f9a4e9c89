"""From HU to what the network takes; the same function in training and at work."""

import numpy as np
from numpy.typing import NDArray


def normalised(hu: NDArray[np.floating], window_hu: tuple[float, float]) -> NDArray[np.float32]:
    """HU clipped to a window and scaled to -1 .. 1, float32."""
    low, high = window_hu
    return np.asarray((np.clip(hu, low, high) - (low + high) / 2) * (2 / (high - low)), dtype=np.float32)
