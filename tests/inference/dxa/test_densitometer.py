"""The device of an image, as far as its header says."""

import dataclasses
from pathlib import Path

import pydicom
import pytest

from inference.dxa.densitometer import Densitometer, densitometer_of
from inference.reading import read_header
from tests.inference.headers import PLAIN
from tests.training.xray_patients import dxa
from training.simulation.xray.dxa_dicom import AP_SPINE, write_dxa

pytestmark = pytest.mark.unit


def test_device_and_every_software_version_are_read(tmp_path: Path) -> None:
    path = write_dxa(dxa("GE Lunar"), tmp_path)[AP_SPINE]
    dataset = pydicom.dcmread(path)
    dataset.Manufacturer, dataset.ManufacturerModelName, dataset.SoftwareVersions = "GE Healthcare", "Lunar iDXA ", ["16.10", "SP 2"]
    dataset.save_as(path)
    found = densitometer_of(read_header(path))
    assert found == Densitometer(manufacturer="GE Healthcare", model_name="Lunar iDXA", software_versions=("16.10", "SP 2"))
    assert found.words == "GE Healthcare Lunar iDXA, software 16.10, SP 2"


def test_what_the_header_does_not_say_is_not_made_up() -> None:
    silent = dataclasses.replace(PLAIN, path=None, manufacturer="", manufacturer_model_name="")
    assert densitometer_of(silent).words == "device not stated, software not stated"
