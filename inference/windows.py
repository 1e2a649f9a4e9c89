"""Windows of attenuation by name: what a network sees of a CT. Training and the node take them from this table, and bundles name them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.errors import PermanentError


@dataclass(frozen=True, kw_only=True)
class HuWindow:
    """The attenuations between which a network tells one from another.

    Attributes
    ----------
    low_hu, high_hu
        What becomes 0 and 1; values beyond are clipped.
    """

    low_hu: float
    high_hu: float

    def __post_init__(self) -> None:
        if not self.low_hu < self.high_hu:
            raise PermanentError(f"a window must begin below its end, not {self.low_hu} to {self.high_hu} HU")

    @classmethod
    def from_centre(cls, centre_hu: float, width_hu: float) -> "HuWindow":
        """A window as DICOM writes it, Window Center (0028,1050) and Window Width (0028,1051), PS3.3 C.11.2.1.2."""
        return cls(low_hu=centre_hu - width_hu / 2, high_hu=centre_hu + width_hu / 2)

    def apply(self, attenuation_hu: NDArray[np.number]) -> NDArray[np.float32]:
        """HU of any shape as float32 in 0 .. 1, the same shape."""
        hu = np.asarray(attenuation_hu, dtype=np.float32)
        scaled = (hu - np.float32(self.low_hu)) * np.float32(1 / (self.high_hu - self.low_hu))
        return np.clip(scaled, 0, 1, out=scaled)


WINDOWS: Mapping[str, HuWindow] = {
    "bone": HuWindow.from_centre(400, 1800),
    "soft": HuWindow.from_centre(40, 400),
    "trabecular": HuWindow(low_hu=-100, high_hu=500),
    "spine": HuWindow(low_hu=-250, high_hu=750),
    "wide": HuWindow(low_hu=-1024, high_hu=1976),
}
"""``bone`` and ``soft`` are the usual settings of a reading room (centre 400, width 1800; centre 40, width 400). ``trabecular`` spans fatty
marrow to the young core with contrast medium, where bone density lies, and cuts the cortex off; ``spine`` tells all structures of a spine
apart; ``wide`` goes from air to enamel."""


def window(name: str) -> HuWindow:
    """A window of the table.

    Raises
    ------
    PermanentError
        There is none of that name.
    """
    try:
        return WINDOWS[name]
    except KeyError:
        raise PermanentError(f"there is no window {name!r}; there are {', '.join(WINDOWS)}") from None


def windowed(attenuation_hu: NDArray[np.number], names: Sequence[str]) -> NDArray[np.float32]:
    """One channel per window.

    Parameters
    ----------
    attenuation_hu
        HU, of any shape.
    names
        At least one name of :data:`WINDOWS`.

    Returns
    -------
    ndarray
        (windows, \\*shape), float32, 0 .. 1.

    Raises
    ------
    PermanentError
        No name, or one that is not in the table.
    """
    if not names:
        raise PermanentError(f"name at least one window of {', '.join(WINDOWS)}")
    return np.stack([window(name).apply(attenuation_hu) for name in names])
