"""``osteon demo``: what a stranger runs first."""

import os
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

from inference.bundles import shipped_names

pytestmark = pytest.mark.acceptance

CLASSIFIER, EXPERTS, DXA_CLASSIFIER, CXR_MODEL = "medconv", "vertebra-experts", "dxa-cnn21", "cxr-bmd"
PROJECTION_OBJECTS = {"Comprehensive 3D SR Storage", "Basic Text SR Storage", "Secondary Capture Image Storage"}


def test_the_demo_delivers_every_result_and_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "node.cli", "demo", "--keep", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500, env={**os.environ, "COLUMNS": "250"})
    assert done.returncode == 0, done.stdout + done.stderr
    files = [path for path in (tmp_path / "pacs" / "received").rglob("*") if path.suffix == ".dcm"]
    arrived: dict[str, list[str]] = {}
    for path in files:
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        assert str(ds.PatientName).startswith("SIMULATED")
        arrived.setdefault(ds.StudyInstanceUID, []).append(ds.SOPClassUID.name)
    measured = [names for names in arrived.values() if len(names) == 4]
    refused = [names for names in arrived.values() if names == ["Basic Text SR Storage"]]
    read = [names for names in arrived.values() if set(names) == PROJECTION_OBJECTS]
    assert len(arrived) == 5
    assert len(measured) + len(read) + len(refused) == 5
    assert len(measured) >= 2
    said = " ".join(done.stdout.split())
    assert len(read) == len({DXA_CLASSIFIER, CXR_MODEL} & set(shipped_names()))
    films = [path for path in files if b"Estimated from a chest film by a model trained on simulated patients" in path.read_bytes()]
    assert len(films) == (2 if CXR_MODEL in shipped_names() else 0), "an SR and a text"
    assert ("g/cm2 (T " in said) == (CXR_MODEL in shipped_names())
    if DXA_CLASSIFIER in shipped_names():
        spines = [path for path in files if b"Predicted from the image of L1-L4" in path.read_bytes()]
        assert len(spines) == 2, "an SR and a text"
        assert all(b"model trained on simulated patients" in path.read_bytes() for path in spines)
    else:
        assert any(f"there is no bundle '{DXA_CLASSIFIER}'".encode() in path.read_bytes() for path in files)
    assert DXA_CLASSIFIER in said, "by whom, or why not"
    assert list((tmp_path / "node" / "results").rglob("picture.png"))
    predicted = [path for path in files if b"Predicted density class of L1" in path.read_bytes()]
    if CLASSIFIER in shipped_names():
        assert len(predicted) >= 4, "an SR and a text for two studies"
        assert all(b"model trained on simulated patients" in path.read_bytes() for path in predicted)
        assert f"{CLASSIFIER}, trained on simulated" in said
    else:
        assert predicted == []
        assert "there is no bundle" in done.stdout
    by_vertebra = [path for path in files if b"Predicted BMD by vertebra, on the scale of" in path.read_bytes()]
    assert (len(by_vertebra) >= 4) == (EXPERTS in shipped_names()), "an SR and a text for two studies"
    assert all(b"model trained on simulated patients" in path.read_bytes() for path in by_vertebra)
    assert ("every vertebra BMD (osteoporosis) L1" in said) == (EXPERTS in shipped_names())
    assert "By the site's setting the measured attenuation leads." in said
