"""``osteon process`` with masks from files: the simulated patient's whole vertebrae, as somebody else would have drawn them."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from typer.testing import CliRunner

from node import cli
from node.config_file import load_config
from node.errors import ConfigError, ExitCode
from node.pipeline import ct_options
from tests.simulated import simulated_ct, write_study
from training.simulation.masks import write_labels
from training.simulation.structure import Structure

pytestmark = pytest.mark.integration

runner = CliRunner()
VERSE_LABEL = {"T11": 18, "T12": 19, "L1": 20, "L2": 21, "L3": 22, "L4": 23, "L5": 24}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def mask(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bodies with their arches (each to the body nearest to it) in VerSe numbering."""
    truth = simulated_ct().truth
    names = {level.label: VERSE_LABEL[level.name] for level in truth.levels if level.name in VERSE_LABEL}
    bodies = np.zeros(256, np.uint8)
    bodies[list(names)] = list(names.values())
    labels = bodies[truth.bodies]
    _, nearest = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    arches = truth.structures == Structure.POSTERIOR
    labels[arches] = labels[tuple(nearest[:, arches])]
    return write_labels(labels, simulated_ct().volume.affine, tmp_path_factory.mktemp("mask") / "mask.nii.gz")


def process(study: Path, out: Path, *arguments: str) -> tuple[int, dict[str, object]]:
    done = runner.invoke(cli.app, ["process", str(study), "--out", str(out), "--json", *arguments])
    return done.exit_code, json.loads(done.stdout)


def test_masks_from_a_file_are_measured(study: Path, mask: Path, tmp_path: Path) -> None:
    code, report = process(study, tmp_path, "--segmenter", "masks", "--masks", str(mask))
    assert code == ExitCode.RESULT
    truth = {level.name: level for level in simulated_ct().truth.levels}
    used = {item["level"]: item for item in report["vertebrae"] if item["used"]}
    assert {"L1", "L2", "L3", "L4"} <= set(used)
    for name, item in used.items():
        assert item["level_certain"]
        assert item["attenuation_hu"]["mean"] == pytest.approx(truth[name].trabecular_hu, abs=5), name
    assert report["summary"]["level"] == "L1"
    assert report["models"][0]["name"] == "masks-verse"
    assert {item["kind"] for item in report["outputs"]} == {"seg", "sr", "text", "picture"}


def test_a_mask_of_another_place_refuses_the_study(study: Path, tmp_path: Path) -> None:
    affine = simulated_ct().volume.affine.copy()
    affine[0, 3] += 30.0
    bodies = simulated_ct().truth.bodies
    elsewhere = write_labels(np.where(bodies > 0, bodies + 10, 0).astype(np.uint8), affine, tmp_path / "mask.nii.gz")
    code, report = process(study, tmp_path / "out", "--masks", str(elsewhere))
    assert code == ExitCode.REFUSED
    assert report["reason"]["code"] == "MASK_MISMATCH"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--segmenter", "masks"), "masks.path"),
        (("--segmenter", "totalsegmentator"), "totalsegmentator.weights"),
        (("--segmenter", "unet"), "'masks'"),
        (("--numbering", "mine"), "'ctspine1k'"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_said(study: Path, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = runner.invoke(cli.app, ["process", str(study), "--out", str(tmp_path), *arguments])
    assert isinstance(done.exception, ConfigError)
    assert said in str(done.exception)


def test_config_names_masks_and_weights(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "workflows:\n  ct:\n    segmenter: masks\n    masks: {path: m, numbering: ctspine1k, kind: bodies}\n"
        "    totalsegmentator: {weights: w}\n"
    )
    config = load_config(file)
    options = ct_options(config)
    assert options.masks is not None
    assert (options.masks.path, options.masks.numbering, str(options.masks.kind)) == (tmp_path / "m", "ctspine1k", "bodies")
    assert options.totalsegmentator is not None
    assert options.totalsegmentator.weights == tmp_path / "w"
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (moved / "config.yaml").write_text(file.read_text())
    assert load_config(moved / "config.yaml").sha256 == config.sha256  # a place changes no number
    file.write_text(file.read_text().replace("ctspine1k", "verse"))
    assert load_config(file).sha256 != config.sha256


@pytest.mark.parametrize("segmenter", ["masks", "totalsegmentator"])
def test_config_asks_for_what_a_segmenter_needs(tmp_path: Path, segmenter: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"workflows:\n  ct:\n    segmenter: {segmenter}\n")
    with pytest.raises(ConfigError, match=segmenter):
        load_config(file)
