"""Crops of every vertebra of a real abdomen: levels, what is left out, and texture that bone has. Nothing is learned from it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.ct.vertebra_experts import POSITIONS
from tests.paths import real_image
from tests.real.cases import ABDOMEN
from tests.real.studies import nifti_to_dicom
from training.data.rows import ManifestRow
from training.data.values import Modality
from training.tpswav.census import Exclusion
from training.tpswav.crops import SMALL_BOX, study_census
from training.tpswav.pool import MEMBERS, PoolOptions, TexturePool

pytestmark = pytest.mark.real


def test_every_vertebra_of_a_real_abdomen_is_cropped_or_counted(tmp_path: Path) -> None:
    study = nifti_to_dicom(real_image(f"{ABDOMEN}/ct.nii.gz"), tmp_path / "study")
    row = ManifestRow(patient_id="REAL-1", modality=Modality.CT, path=study, device="Hologic", bmd_g_cm2={"L2": 0.9}, t_scores={"L2": -1.3})
    found = study_census(row, replace(SMALL_BOX, segmenter="classical"), tmp_path / "cache")
    levels = [one.level for one in found.vertebrae]
    assert {"L1", "L2", "L3", "L4"} <= set(levels)
    assert levels == sorted(levels, key=POSITIONS.index)
    assert [one.level for one in found.vertebrae if one.labelled] == ["L2"]
    assert {one.why for one in found.excluded} <= {Exclusion.CUT, Exclusion.IDENTIFICATION, Exclusion.QUALITY}
    pool = TexturePool(PoolOptions())
    for one in found.vertebrae:
        if one.level not in ("L1", "L2", "L3", "L4"):
            continue
        members = pool.members(one.hu, MEMBERS)[:, 13:19, 12:18, 12:20].mean(axis=(1, 2, 3))
        image, autocorrelation, average, contrast, difference = members
        assert 0.2 < image < 0.8  # 20 to 380 HU
        assert autocorrelation == pytest.approx(average, abs=0.05)
        assert min(contrast, difference) > 0.02
        assert max(contrast, difference) < 0.6
        assert np.isfinite(members).all()
