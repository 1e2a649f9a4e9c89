"""Where the real images lie: beside the project, never in it."""

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def real_image(relative: str) -> Path:
    """The path of a real image; skips the test, saying so, where the images are absent."""
    path = DATA / relative
    if not path.exists():
        pytest.skip(f"the real images are not part of the repository: {relative} is absent from ../shared/data")
    return path
