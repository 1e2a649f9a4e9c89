"""The picture of one patient in all three modalities, made of coarse voxels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.simulation.gallery import GAP_PX, HEIGHT_PX, main

pytestmark = pytest.mark.unit


def test_one_patient_in_three_modalities(tmp_path: Path) -> None:
    main(["--out", str(tmp_path / "images" / "patient.png"), "--quick"])
    page = np.asarray(Image.open(tmp_path / "images" / "patient.png"))
    assert page.shape[0] > HEIGHT_PX
    dark = (page[GAP_PX + 40 : -GAP_PX - 5] < 4).all(axis=0)  # between and around the panels
    runs = np.count_nonzero(np.diff(dark.astype(int)) == -1)
    assert runs >= 5
    assert all(part.std() > 15 for part in np.array_split(page, 5, axis=1))
