"""Projections of a simulated scan: what they show, and the headers with which such images arrive."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from scipy import ndimage

from inference.reading import read_header
from node.config_file import load_config
from node.routing import decide
from tests.simulated import simulated_ct
from training.simulation.radiograph import WATER_ATTENUATION_PER_MM, Projection, project, write_projection

pytestmark = pytest.mark.unit

SHIPPED = load_config(Path(__file__).resolve().parents[2] / "config.yaml").routes


def test_the_line_integral_is_that_of_the_attenuation() -> None:
    simulated = simulated_ct()
    image, spacing_mm = project(simulated)
    hu = simulated.volume.hu.astype(float)
    expected = np.clip(hu / 1000 + 1, 0, 3).sum(axis=1) * WATER_ATTENUATION_PER_MM * simulated.volume.spacing_mm[1]
    assert spacing_mm == pytest.approx(simulated.volume.spacing_mm[2])
    assert image[0].max() == pytest.approx(expected[-1].max(), rel=1e-3)  # the head is at the top
    assert image.shape[0] == pytest.approx(hu.shape[0] * simulated.volume.spacing_mm[0] / spacing_mm, abs=1)


def test_the_spine_stands_out_in_the_middle() -> None:
    image, _ = project(simulated_ct())
    columns = ndimage.gaussian_filter1d(image[: image.shape[0] // 2].mean(axis=0), 2)
    assert abs(int(np.argmax(columns)) - image.shape[1] / 2) < image.shape[1] * 0.1


@pytest.mark.parametrize(
    ("kind", "route", "keywords"),
    [
        (Projection.CHEST, "chest-radiograph", {"BodyPartExamined": "CHEST", "ViewPosition": "PA", "BitsStored": 12}),
        (Projection.DXA, "dxa", {"ProtocolName": "AP Spine", "BodyPartExamined": "", "BitsStored": 8}),
    ],
)
def test_the_header_is_routed_as_such_images_are(tmp_path: Path, kind: Projection, route: str, keywords: dict[str, object]) -> None:
    path = write_projection(simulated_ct(), tmp_path, kind)
    ds = pydicom.dcmread(path)
    assert {keyword: ds[keyword].value for keyword in keywords} == keywords
    assert str(ds.PatientName).startswith("SIMULATED")
    assert "PixelSpacing" not in ds
    assert ds.pixel_array.shape == (ds.Rows, ds.Columns)
    assert ds.pixel_array.max() == 2**ds.BitsStored - 1
    assert decide([read_header(path)], SHIPPED).route == route
