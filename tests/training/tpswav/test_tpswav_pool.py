"""The texture pool: scales that keep density, views that are two different members, and maps that are computed once."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import tpswav_pool
from inference.windows import window
from training.errors import TrainingError
from training.tpswav import pool as pool_module
from training.tpswav.glcm import FEATURES, GlcmOptions, texture_maps
from training.tpswav.pool import MEMBERS, PoolOptions, TexturePool, crop_shape, scaled

pytestmark = pytest.mark.unit

GLCM = GlcmOptions(window=3, step=1)


def crop(mean_hu: float = 150.0, sd_hu: float = 30.0, seed: int = 1) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    return np.rint(np.random.default_rng(seed).normal(mean_hu, sd_hu, (10, 10, 10))).astype(np.int16)


def test_scaled_maps_reach_from_zero_to_one() -> None:
    lowest = np.array([1.0, 1.0, 0.0, 0.0], dtype=np.float32)
    highest = np.array([40.0**2, 40.0, 39.0**2, 39.0], dtype=np.float32)
    np.testing.assert_allclose(scaled(lowest, GLCM), 0, atol=1e-7)
    np.testing.assert_allclose(scaled(highest, GLCM), 1, rtol=1e-6)


def test_members_are_the_image_and_its_maps_on_one_grid() -> None:
    pool = TexturePool(PoolOptions(glcm=GLCM))
    hu = crop()
    found = pool.members(hu, MEMBERS)
    assert found.shape == (5, 10, 10, 10)
    np.testing.assert_allclose(found[0], window("trabecular").apply(hu), rtol=1e-6)
    # at a voxel with its own window the interpolated map is the scaled one
    raw = texture_maps(hu, GLCM)
    np.testing.assert_allclose(found[1:, 4, 5, 6], scaled(raw[:, 4, 5, 6], GLCM), atol=2e-3)
    np.testing.assert_array_equal(pool.members(hu, ["contrast", "image"]), found[[3, 0]])


def test_denser_bone_reads_denser_and_rougher_bone_rougher() -> None:
    pool = TexturePool(PoolOptions(glcm=GLCM))
    thin, dense, rough = (pool.members(crop(*values), MEMBERS).mean(axis=(1, 2, 3)) for values in ((60, 30), (220, 30), (60, 120)))
    assert (dense[:3] > thin[:3] + 0.1).all()
    assert (rough[3:] > thin[3:] + 0.1).all()


def test_two_views_are_two_different_members_and_all_come_up() -> None:
    pool = TexturePool(PoolOptions(glcm=GLCM))
    hu = crop()
    members = pool.members(hu, MEMBERS)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(60):
        views = pool.pair(hu, rng)
        places = [int(np.argmin([np.abs(view - member).max() for member in members])) for view in views]
        assert places[0] != places[1]
        np.testing.assert_array_equal(views, members[places])
        seen.add(tuple(places))
    assert len({place for pair in seen for place in pair}) == 5
    np.testing.assert_array_equal(pool.pair(hu, np.random.default_rng(3)), pool.pair(hu, np.random.default_rng(3)))


def test_maps_are_computed_once_and_anew_for_other_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hu = crop()
    pool = TexturePool(PoolOptions(glcm=GLCM), tmp_path)
    first = pool.maps(hu)
    assert first.shape == (len(FEATURES), 8, 8, 8)
    np.testing.assert_array_equal(first, TexturePool(PoolOptions(glcm=GLCM)).maps(hu))
    monkeypatch.setattr(pool_module, "scaled_maps", lambda *_: pytest.fail("computed again"))
    np.testing.assert_array_equal(pool.maps(hu), first)
    monkeypatch.undo()
    wider = TexturePool(PoolOptions(glcm=GlcmOptions(window=4, step=1)), tmp_path)
    assert wider.maps(hu).shape == (4, 7, 7, 7)
    assert len(list(tmp_path.glob("*.npz"))) == 2


def test_a_pool_of_one_or_of_strangers_is_refused() -> None:
    for members in (("image",), ("image", "entropy"), ("image", "image")):
        with pytest.raises(TrainingError, match="two or more"):
            PoolOptions(members=members)
    with pytest.raises(TrainingError, match="one shape"):
        crop_shape([crop(), crop()[:5]])
    assert crop_shape([crop()]) == (10, 10, 10)


def test_the_benchmark_says_what_a_night_holds(capsys: pytest.CaptureFixture[str]) -> None:
    tpswav_pool.main(["--vertebrae", "2", "--side", "16"])
    said = capsys.readouterr().out
    assert "vertebrae an hour" in said
    assert "30,000 vertebrae" in said
    assert "within a night" in said
