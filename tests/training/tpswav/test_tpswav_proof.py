"""The proof's arithmetic on constructed patients, masks under wrong names, and one patient through the whole workflow."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.ct.segmentation.numbering import VERSE
from inference.findings import CtImages
from inference.preprocessing import read_label_image
from inference.volume import Volume
from training.tpswav.proof import LevelRead, Proved, counts, main, make_lines, mean_error, met, prove, summary, table, wrongly_named
from training.tpswav.simulated import SimulatedOptions

pytestmark = pytest.mark.unit


def level(true: str, looks_like: str, true_bmd: float | None = None, said_bmd: float | None = None, *, named: str = "") -> LevelRead:
    return LevelRead(
        true_level=true,
        named=named or true,
        looks_like=looks_like,
        true_g_cm2=true_bmd,
        predicted_g_cm2=said_bmd,
        osteoporotic=None if true_bmd is None else true_bmd < 0.8,
        probability=None if said_bmd is None else (0.9 if said_bmd < 0.8 else 0.2),
    )


LEVELS = (level("T12", "T12"), level("L1", "L1", 0.70, 0.75), level("L2", "L3", 0.90, 0.87), level("L3", "L5", 0.95, None))
GOOD = Proved(name="A 1", make="Hologic", outcome="result", levels=LEVELS, noticed={1: True, -1: True})
ALARMED = replace(GOOD, name="A 2", warned=True, noticed={1: True, -1: False})
MISNAMED = replace(GOOD, name="B 1", make="GE Lunar", levels=(level("L1", "L1", 1.0, 0.7, named="L2"),), warned=True, noticed={})
NOTHING = Proved(name="B 2", make="GE Lunar", outcome="refused", because="NOT_A_VOLUME: no series")


def test_patients_and_flips_are_counted() -> None:
    found = counts([GOOD, ALARMED, MISNAMED, NOTHING])
    assert (found.patients, found.alarms, found.flips, found.noticed) == (2, 1, 4, 3)  # names that are wrong are no false alarm
    assert mean_error([GOOD]) == pytest.approx((0.05 + 0.03) / 2)
    assert np.isnan(mean_error([NOTHING]))


def test_all_targets_must_be_met() -> None:
    assert met([GOOD, NOTHING])
    assert not met([GOOD, replace(GOOD, warned=True)])
    assert not met([GOOD, replace(GOOD, noticed={1: False, -1: False})])
    assert not met([replace(GOOD, levels=(*LEVELS, level("L4", "L4", 0.9, 1.3)))])
    assert not met([NOTHING])


def test_the_tables_say_what_was_found() -> None:
    rows = table([GOOD, ALARMED, NOTHING]).splitlines()
    assert "| A 1 | Hologic | 4 | 2 | +0.010 | noticed | noticed | no |  |" in rows
    assert "| A 2 | Hologic | 4 | 2 | +0.010 | noticed | missed | yes |  |" in rows
    assert "| B 2 | GE Lunar | 0 | 0 | – | – | – | no | NOT_A_VOLUME: no series |" in rows
    lines = make_lines([GOOD, MISNAMED])
    assert "| Hologic | 2 | 0.040 | +0.010 | +0.050 | 2 of 2 | 1.000 |" in lines
    assert "| GE Lunar | 1 | 0.300 | -0.300 | -0.300 | 0 of 1 | nan |" in lines
    told = " ".join(summary([GOOD, ALARMED, NOTHING]))
    for words in ("position right in 4 of 8", "within one level in 6", "noticed in 3 of 4", "in 1 of 2 patients", "nothing read: 1 of 3"):
        assert words in told


def test_masks_come_back_under_the_names_of_neighbours(tmp_path: Path) -> None:
    bodies = np.zeros((6, 4, 4), dtype=np.uint8)
    bodies[1], bodies[3], bodies[5] = 3, 2, 1
    volume = Volume(hu=np.zeros(bodies.shape, dtype=np.int16), affine=np.diag([2.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]])
    images = CtImages(
        volume=volume,
        bodies=bodies,
        core=bodies,
        ellipse=bodies,
        source_paths=(),
        source_bodies=bodies,
        source_core=bodies,
        source_ellipse=bodies,
    )
    named = {1: "L3", 2: "L4", 3: "L5"}
    expected = {1: {1: "L4", 2: "L5"}, -1: {1: "L2", 2: "L3", 3: "L4"}}  # below L5 there is no name
    for shift, names in expected.items():
        path = wrongly_named(images, named, shift, tmp_path / f"{shift}.nii.gz")
        assert path is not None
        labels, affine = read_label_image(path)
        assert {label: VERSE.vertebrae[int(labels[bodies == label][0])] for label in names} == names
        np.testing.assert_allclose(affine, volume.affine, atol=1e-5)
    assert wrongly_named(images, {3: "L5"}, 1, tmp_path / "none.nii.gz") is None


def test_what_cannot_be_used_ends_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--spacing", "fine"]) == 2
    assert "--spacing fine" in capsys.readouterr().err


def test_one_patient_through_the_workflow() -> None:
    found = prove(SimulatedOptions(patients=4, seed=990, even=True).people()[1], 3.0, None)
    assert found.names_right
    assert len(found.levels) >= 5
    assert not found.warned
    assert set(found.noticed) == {1, -1}
    assert mean_error([found]) < 0.2
