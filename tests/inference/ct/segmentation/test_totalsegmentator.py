"""The real package TotalSegmentator on weights that the test makes: its tables, its API in a process of its own, no network.

Random weights segment nothing that is a spine, so what the package returns is compared between two orientations of one image, and the way
from labels to bodies is tested with labels of known vertebrae. Where the extra is not installed the tests that need it are skipped.
"""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inference.ct.segmentation.totalsegmentator as adapter
from inference.ct.segmentation import TotalSegmentatorOptions, get_segmenter
from inference.ct.segmentation.numbering import TOTALSEGMENTATOR
from inference.ct.segmentation.totalsegmentator import (
    PROCESS,
    QUIET_CONFIG,
    TotalSegmentator,
    is_installed,
    label_map,
    ras_affine,
    run_package,
)
from inference.errors import PermanentError, ReasonCode, Refusal
from inference.volume import Volume
from tests.inference.ct.segmentation.nnunet_folder import noise_hu, write_fast_weights
from tests.inference.ct.segmentation.overlap import moved
from tests.inference.ct.segmentation.test_masks import phantom

pytestmark = pytest.mark.integration

REQUIRED = "OSTEON_REQUIRE_TOTALSEGMENTATOR"


@pytest.fixture
def package() -> None:
    if not is_installed():
        if os.environ.get(REQUIRED):
            pytest.fail("the extra totalsegmentator is not installed, and this run requires it")
        pytest.skip("the extra totalsegmentator is not installed: pip install 'osteon[totalsegmentator]'")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    if is_installed():
        write_fast_weights(folder, dict(label_map("total")))
    return folder


def options(weights: Path, **changes: Any) -> TotalSegmentatorOptions:
    return TotalSegmentatorOptions(**{"weights": weights, "fast": True, "time_limit_s": 500.0, **changes})


def image() -> Volume:
    affine = np.eye(4)
    affine[:3, :3] = [[0, 0, 3], [0, 3, 0], [3, 0, 0]]
    affine[:3, 3] = [-60, -50, 20]
    return Volume(hu=noise_hu((36, 34, 38)), affine=affine)


# Without the package


def test_an_absent_package_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(adapter, "PACKAGE", "a_package_that_nobody_wrote")
    with pytest.raises(Refusal) as refused:
        get_segmenter("totalsegmentator", totalsegmentator=options(tmp_path))
    assert refused.value.code is ReasonCode.SEGMENTER_UNAVAILABLE
    assert "osteon[totalsegmentator]" in refused.value.text


def test_it_needs_to_be_told_where_its_weights_are() -> None:
    with pytest.raises(Refusal) as refused:
        get_segmenter("totalsegmentator")
    assert refused.value.code is ReasonCode.SEGMENTER_UNAVAILABLE
    assert "workflows.ct.totalsegmentator.weights" in refused.value.text


def test_its_process_reaches_no_network() -> None:
    code = (
        f"from {PROCESS} import no_network; no_network()\n"
        "import socket, urllib.request\n"
        "for reach in (lambda: urllib.request.urlopen('http://127.0.0.1:9'), lambda: socket.socket().connect(('127.0.0.1', 9)),\n"
        "              lambda: socket.create_connection(('127.0.0.1', 9)), lambda: socket.getaddrinfo('localhost', 9)):\n"
        "    try: reach()\n"
        "    except OSError as error: assert 'without a network' in str(error), error\n"
        "    else: raise SystemExit('reached')\n"
        "one, other = socket.socketpair(); one.sendall(b'x'); assert other.recv(1) == b'x'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_its_process_ends_when_its_parent_does() -> None:
    code = f"from {PROCESS} import end_with_parent; end_with_parent(); print('up', flush=True); import time; time.sleep(300)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"up\n"
        process.stdin.close()
        assert process.wait(60) == -9


def test_nifti_holds_the_same_place() -> None:
    volume = image()
    index = np.array([3, 5, 7])
    ras = ras_affine(volume) @ [7, 5, 3, 1]
    np.testing.assert_allclose(ras[:3] * [-1, -1, 1], volume.to_lps_mm(index[None])[0])


@pytest.mark.parametrize(("sacrum", "certain"), [(False, False), (True, True)])
def test_its_labels_become_bodies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sacrum: bool, certain: bool) -> None:
    """L2 to L5; a program's names are certain beside its own sacrum alone."""
    volume, whole, _ = phantom()
    labels = np.where(whole > 0, 30 - (whole.astype(int) - 20), 0).astype(np.uint8)
    if sacrum:
        labels[2:9, 15:31, 20:40] = 25
    names = {25: "sacrum", **{label: f"vertebrae_{name}" for label, name in TOTALSEGMENTATOR.vertebrae.items()}}
    monkeypatch.setattr(adapter, "label_map", lambda _: names)
    monkeypatch.setattr(adapter, "find_weights", lambda *_: ())
    monkeypatch.setattr(adapter, "run_package", lambda *_: labels)
    monkeypatch.setattr(adapter.importlib.metadata, "version", lambda _: "2.0")
    found = TotalSegmentator(options(tmp_path)).segment(volume)
    assert [body.level for body in found.vertebrae] == ["L2", "L3", "L4", "L5"]
    assert {body.level_certain for body in found.vertebrae} == {certain}
    assert found.model.name == "TotalSegmentator-total"


# With the package


@pytest.mark.usefixtures("package")
def test_our_numbering_is_the_packages_own() -> None:
    numbering = TotalSegmentator.numbering.func(type("T", (), {"options": options(Path())})())  # type: ignore[arg-type]
    assert numbering.vertebrae == TOTALSEGMENTATOR.vertebrae
    assert numbering.sacrum == TOTALSEGMENTATOR.sacrum
    assert numbering.twelfth_ribs == TOTALSEGMENTATOR.twelfth_ribs
    assert numbering.cord == TOTALSEGMENTATOR.cord
    assert numbering.known == TOTALSEGMENTATOR.known


@pytest.mark.usefixtures("package")
def test_the_models_that_a_task_needs() -> None:
    wanted = ("vertebrae_L1", "sacrum", "rib_left_12")
    assert adapter.needed_tasks(options(Path(), fast=False), wanted) == (298, 292, 295)
    assert adapter.needed_tasks(options(Path()), ()) == (297,)
    assert adapter.needed_tasks(options(Path(), task="vertebrae_pp"), ()) == (803,)


@pytest.mark.usefixtures("package")
def test_a_task_without_vertebrae_is_none(weights: Path) -> None:
    with pytest.raises(Refusal) as refused:
        TotalSegmentator(options(weights, task="lung_vessels"))
    assert refused.value.code is ReasonCode.SEGMENTER_UNAVAILABLE


@pytest.mark.usefixtures("package")
def test_absent_weights_are_said_and_not_fetched(tmp_path: Path) -> None:
    for fast, folder in ((True, "Dataset297"), (False, "Dataset298")):
        with pytest.raises(Refusal) as refused:
            get_segmenter("totalsegmentator", totalsegmentator=options(tmp_path, fast=fast))
        assert refused.value.code is ReasonCode.SEGMENTER_UNAVAILABLE
        assert folder in refused.value.text
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("package")
def test_nothing_of_it_is_imported_here(weights: Path) -> None:
    """Its nnU-Net brings a library under the LGPL, which stays in the other process."""
    code = (
        "import sys; from pathlib import Path\n"
        "from inference.ct.segmentation import get_segmenter, TotalSegmentatorOptions\n"
        f"found = get_segmenter('totalsegmentator', totalsegmentator=TotalSegmentatorOptions(weights=Path({str(weights)!r}), fast=True))\n"
        "print(found.model.sha256)\n"
        "assert not {'nnunetv2', 'cc3d', 'totalsegmentator.python_api', 'torch'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == TotalSegmentator(options(weights)).model.sha256


@pytest.mark.usefixtures("package")
def test_the_package_reads_that_statistics_are_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    json = importlib.import_module("json")
    (tmp_path / "config.json").write_text(json.dumps(QUIET_CONFIG))
    monkeypatch.setenv("TOTALSEG_HOME_DIR", str(tmp_path))
    config = importlib.import_module("totalsegmentator.config")
    sent: list[object] = []
    monkeypatch.setattr(config.requests, "post", lambda *args, **_: sent.append(args))
    assert config.get_config_key("send_usage_stats") is False
    config.send_usage_stats(config.increase_prediction_counter(), {"roi_subset": None})
    assert not sent


@pytest.mark.usefixtures("package")
def test_the_real_package_labels_the_same_place_in_every_orientation(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the real package: alone, and inside the segmenter, which refuses what random weights make of noise."""
    before = sorted(path.relative_to(weights) for path in weights.rglob("*"))
    volume = image()
    labels = run_package(volume, options(weights), ())
    assert labels.shape == volume.hu.shape
    assert set(np.unique(labels).tolist()) <= {0, *label_map("total")}
    assert len(np.unique(labels)) >= 5
    seen: list[Any] = []
    monkeypatch.setattr(adapter, "run_package", lambda *arguments: seen.append(run_package(*arguments)) or seen[0])
    with pytest.raises(Refusal) as refused:
        TotalSegmentator(options(weights)).segment(moved(volume, (2, 0, 1), (True, False, True)))
    assert refused.value.code in (ReasonCode.MASK_MISMATCH, ReasonCode.SPINE_NOT_FOUND)
    found = seen[0]
    expected = moved(Volume(hu=labels.astype(np.int16), affine=volume.affine), (2, 0, 1), (True, False, True)).hu
    assert float(np.mean(found == expected)) > 0.98
    assert float(np.mean(found == found[::-1])) < 0.9  # the comparison above could fail
    assert sorted(path.relative_to(weights) for path in weights.rglob("*")) == before


@pytest.mark.usefixtures("package")
def test_a_package_that_fails_or_takes_too_long(weights: Path) -> None:
    with pytest.raises(PermanentError, match="Unknown task"):
        run_package(image(), options(weights, task="nothing"), ())
    with pytest.raises(Refusal) as refused:
        run_package(image(), options(weights, time_limit_s=0.2), ())
    assert refused.value.code is ReasonCode.OUT_OF_TIME
