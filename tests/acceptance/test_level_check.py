"""Names that are all wrong by one level: the shipped experts see the bone, and the warning stands wherever a radiologist reads.

The segmenter's answer is what is wrong, not the network's: a simulated patient's true bodies come back as a mask file under the names of
their neighbours. ``python -m training.tpswav.proof`` says how often that is noticed over many patients.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from inference.bundles import shipped_names
from inference.ct.levels import LEVELS
from inference.ct.segmentation.numbering import VERSE
from node import cli
from node.errors import ExitCode
from tests.node.results.test_density_class import code, items
from tests.simulated import simulated_ct, write_study
from training.simulation.masks import write_labels

EXPERTS = "vertebra-experts"
pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(EXPERTS not in shipped_names(), reason=f"no bundle {EXPERTS} is shipped"),
]
WARNING = "LEVELS_LOOK_OTHERWISE"
CONFIG = """
workflows: {{ct: {{segmenter: masks, masks: {{path: {mask}, numbering: verse, kind: bodies}}, classifier: null, experts: {experts}}}}}
routes: [{{name: ct, workflow: ct, match: {{modality: [CT]}}}}]
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"))


def named(folder: Path, shift: int) -> Path:
    """The true bodies under names that lie ``shift`` levels below their own; one that would have none is left out."""
    truth = simulated_ct().truth
    numbers = {name: number for number, name in VERSE.vertebrae.items()}
    table = np.zeros(256, np.uint8)
    for level in truth.levels:
        place = LEVELS.index(level.name) + shift if level.name in LEVELS else -1
        table[level.label] = numbers[LEVELS[place]] if 0 <= place < len(LEVELS) else 0
    return write_labels(table[truth.bodies], simulated_ct().volume.affine, folder / "mask.nii.gz")


def process(study: Path, folder: Path, shift: int) -> dict[str, Any]:
    (folder / "config.yaml").write_text(CONFIG.format(mask=named(folder, shift), experts=EXPERTS))
    command = ["process", str(study), "--out", str(folder / "out"), "--json", "--allow-simulated", "--config", str(folder / "config.yaml")]
    done = CliRunner().invoke(cli.app, command)
    assert done.exit_code == ExitCode.RESULT, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def warnings_in(report: dict[str, Any], kind: str) -> list[str]:
    """The warnings of a written object about names of levels."""
    path = next(item["path"] for item in report["outputs"] if item["kind"] == kind)
    said = [item.TextValue for item in items(pydicom.dcmread(path)) if code(item) == "warning"]
    return [text for text in said if text.startswith(WARNING)]


@pytest.mark.parametrize(("shift", "side"), [(1, "below"), (-1, "above")])
def test_wrong_names_are_warned_of_in_json_sr_and_text(study: Path, tmp_path: Path, shift: int, side: str) -> None:
    report = process(study, tmp_path, shift)
    assert report["experts"]["level_shift"] == shift
    (warning,) = (item["text"] for item in report["warnings"] if item["code"] == WARNING)
    assert warning.startswith(f"The vertebrae are named 1 level {side} what they look like to {EXPERTS} (trained on simulated patients): ")
    for kind in ("sr", "text"):
        assert warnings_in(report, kind) == [f"{WARNING}: {warning}"]
    assert report["outcome"] == "result_with_warnings"
    wrong = "L2" if shift > 0 else "T12"
    stands = next(item for item in report["vertebrae"] if item["level"] == wrong)
    truth = next(level for level in simulated_ct().truth.levels if level.name == "L1")
    assert stands["attenuation_hu"]["median"] == pytest.approx(truth.trabecular_hu, abs=5), "the names stand as the segmenter gave them"


def test_right_names_are_not(study: Path, tmp_path: Path) -> None:
    report = process(study, tmp_path, 0)
    assert report["experts"]["level_shift"] == 0
    assert WARNING not in {item["code"] for item in report["warnings"]}
    assert warnings_in(report, "sr") == warnings_in(report, "text") == []
    assert len(report["experts"]["vertebrae"]) >= 5
