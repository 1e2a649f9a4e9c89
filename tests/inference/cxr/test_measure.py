"""Bundles, film, densities, words: what a usable film becomes, and every way in which it becomes nothing."""

from pathlib import Path

import numpy as np
import pytest

from inference.bundles import BundleError
from inference.cxr.film import NormalisedFilm
from inference.cxr.landmarks import LandmarkGraph
from inference.cxr.measure import measure_film, open_models
from inference.cxr.options import CxrOptions
from inference.cxr.rois import LANDMARKS, REGION_NAMES, Floats, mirrored, region_words
from inference.errors import ReasonCode, Refusal, WarningCode
from tests.inference.cxr.films import dataset, decided, simulated
from tests.inference.cxr.made_models import MEMBERS, options, true_landmarks, write_density, write_landmarks

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def film() -> NormalisedFilm:
    found = decided(dataset("PA")).film
    assert found is not None
    return found


@pytest.fixture(scope="module")
def places(film: NormalisedFilm) -> Floats:
    """The true ones, made even: the site's finder says the same of a film's mirror image, and the two are averaged."""
    found = true_landmarks(simulated("PA"), film)
    turned = found[list(mirrored(LANDMARKS))] * (1, -1) + (0, film.image.shape[1] - 1)
    return np.asarray((found + turned) / 2, dtype=np.float64)


@pytest.fixture(scope="module")
def site(film: NormalisedFilm, places: Floats, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finder of the true landmarks and an ensemble that says :data:`MEMBERS`."""
    folder: Path = tmp_path_factory.mktemp("site")
    write_landmarks(folder / "cxr-landmarks", places, film.image.shape)
    write_density(folder / "cxr-bmd")
    return folder


def refusal(film: NormalisedFilm, chosen: CxrOptions) -> Refusal:
    with pytest.raises(Refusal) as raised:
        measure_film(film, open_models(chosen), "F")
    return raised.value


def test_a_film_becomes_densities_t_scores_and_a_recommendation(film: NormalisedFilm, places: Floats, site: Path) -> None:
    found = measure_film(film, open_models(options(site)), "F")
    measurement = found.measurement
    np.testing.assert_allclose(measurement.estimate.landmarks, places, atol=0.05)
    levels = measurement.reading.levels
    assert [(one.level, round(one.bmd_g_cm2, 3), one.t_score, one.low) for one in levels] == [
        ("L1", 0.72, -2.8, True),  # by hand: (0.72 - 1.065) / 0.122
        ("L2", 0.80, -2.2, False),
        ("L3", 0.92, -1.2, False),
        ("L4", 1.03, -0.3, False),
    ]
    assert levels[0].spread_g_cm2 == pytest.approx(0.04 / 2**0.5, abs=1e-4)
    assert measurement.reading.recommendation.startswith("DXA recommended: the estimated T-score is at or below the threshold (-2.5) at L1")
    assert (measurement.densitometer, measurement.density_model.name, measurement.landmark_model.name) == (
        "Hologic",
        "cxr-bmd",
        "cxr-landmarks",
    )
    attention = measurement.estimate.attention
    assert attention is not None
    assert attention.shape == (len(REGION_NAMES),)
    assert attention.sum() == pytest.approx(1.0)
    assert set(found.timings_s) == {"landmarks", "estimation"}


def test_the_sites_threshold_and_sex_policy_decide(film: NormalisedFilm, site: Path) -> None:
    flex = measure_film(film, open_models(options(site, thresholds="flex")), "F").measurement.reading
    assert [one.low for one in flex.levels] == [True, True, False, False], "L2 is low at -2.1"
    own = measure_film(film, open_models(options(site, sex_policy="own-sex")), "").measurement.reading
    assert own.low is None
    assert {one.t_score for one in own.levels} == {None}


def test_a_bundle_of_another_or_an_unstated_scale_gives_no_t_score(film: NormalisedFilm, site: Path, tmp_path: Path) -> None:
    (tmp_path / "cxr-landmarks").symlink_to(site / "cxr-landmarks")
    for number, densitometer in enumerate((None, "GE Lunar")):
        write_density(tmp_path / f"cxr-bmd-{number}", name=f"scale-{number}", densitometer=densitometer)
        found = measure_film(film, open_models(options(tmp_path, model=f"scale-{number}")), "F").measurement
        assert found.reading.low is None
        assert densitometer is None or densitometer in found.reading.levels[0].because
    accepted = options(tmp_path, model="scale-1", accepted=frozenset({"ge-lunar"}))
    assert measure_film(film, open_models(accepted), "F").measurement.reading.levels[0].t_score == -3.8  # (0.72 - 1.18) / 0.12


def test_networks_that_do_not_attend_show_no_attention(film: NormalisedFilm, site: Path, tmp_path: Path) -> None:
    (tmp_path / "cxr-landmarks").symlink_to(site / "cxr-landmarks")
    write_density(tmp_path / "cxr-bmd", fusion="concatenation")
    found = measure_film(film, open_models(options(tmp_path)), "F").measurement
    assert found.estimate.attention is None
    assert found.reading.levels[0].t_score == -2.8


def test_without_a_model_that_may_run_nothing_is_estimated(film: NormalisedFilm, site: Path, tmp_path: Path) -> None:
    absent = refusal(film, options(tmp_path))
    assert absent.code is ReasonCode.NO_TRAINED_MODEL
    assert absent.text.startswith("Recorded; bone density is not estimated: there is no bundle 'cxr-landmarks'")
    forbidden = refusal(film, options(site, allow_simulated=False))
    assert forbidden.code is ReasonCode.NO_TRAINED_MODEL
    assert "was trained on simulated patients, not on patients" in forbidden.text
    none = refusal(film, options(site, model=None))
    assert (none.code, "workflows.cxr.model" in none.text) == (ReasonCode.NO_TRAINED_MODEL, True)
    pinned = refusal(film, options(site, pinned={"cxr-bmd": "0" * 64}))
    assert pinned.code is ReasonCode.BUNDLE_NOT_ALLOWED


def test_a_bundle_of_another_kind_is_refused_by_name(film: NormalisedFilm, site: Path) -> None:
    swapped = refusal(film, options(site, landmarks="cxr-bmd"))
    assert swapped.code is ReasonCode.BUNDLE_INVALID
    assert swapped.text == "the bundle cxr-bmd is no finder of landmarks on chest films: its architecture is density_ensemble"
    with pytest.raises(BundleError, match="the bundle cxr-landmarks is no estimator of bone density on chest films"):
        open_models(options(site, model="cxr-landmarks"))


def test_landmarks_that_are_no_chest_and_regions_beyond_the_film_refuse(film: NormalisedFilm, places: Floats, tmp_path: Path) -> None:
    write_density(tmp_path / "cxr-bmd")
    upside_down = places.copy()
    upside_down[[LANDMARKS.index("C7"), LANDMARKS.index("T12")]] = places[[LANDMARKS.index("T12"), LANDMARKS.index("C7")]]
    write_landmarks(tmp_path / "down", upside_down, film.image.shape, name="down")
    found = refusal(film, options(tmp_path, landmarks="down"))
    assert (found.code, "T12 does not lie below C7" in found.text) == (ReasonCode.LANDMARKS_IMPLAUSIBLE, True)
    low = places + np.array([film.image.shape[0] - places[LANDMARKS.index("T12"), 0] - 1, 0.0])
    write_landmarks(tmp_path / "low", low, film.image.shape, name="low")
    found = refusal(film, options(tmp_path, landmarks="low"))
    assert (found.code, "lumbar" in found.text) == (ReasonCode.ROI_OUTSIDE_FILM, True)


def test_a_region_that_is_cut_a_little_is_said(film: NormalisedFilm, places: Floats, tmp_path: Path) -> None:
    write_density(tmp_path / "cxr-bmd")
    below = film.image.shape[0] - places[LANDMARKS.index("T12"), 0]
    unit = float(np.linalg.norm(places[LANDMARKS.index("T12")] - places[LANDMARKS.index("C7")]))
    shift = below - 0.14 * unit  # the lumbar region reaches 0.18 below T12, and is 0.27 high
    write_landmarks(tmp_path / "cxr-landmarks", places + np.array([shift, 0.0]), film.image.shape)
    (notice,) = measure_film(film, open_models(options(tmp_path)), "F").notices
    assert notice.code is WarningCode.ROI_CUT
    assert "T12 and L1 (8" in notice.text


@pytest.mark.parametrize("wrong", [-0.3, 2.9])
def test_an_answer_that_no_vertebra_has_is_not_reported(film: NormalisedFilm, site: Path, tmp_path: Path, wrong: float) -> None:
    (tmp_path / "cxr-landmarks").symlink_to(site / "cxr-landmarks")
    write_density(tmp_path / "cxr-bmd", {**MEMBERS, "L3": (0.9, wrong)})
    found = refusal(film, options(tmp_path))
    assert found.code is ReasonCode.ESTIMATE_IMPLAUSIBLE
    assert f"{wrong:.2f} g/cm2 at L3" in found.text


def test_a_network_that_fails_refuses_the_study(film: NormalisedFilm, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("not enough memory:\nbuy new RAM")

    monkeypatch.setattr(LandmarkGraph, "forward", fail)
    found = refusal(film, options(site))
    assert found.code is ReasonCode.INTERNAL_ERROR
    assert found.text.endswith("the networks failed (RuntimeError: not enough memory: buy new RAM).")


def test_regions_have_names_for_a_person() -> None:
    assert region_words("clavicle_medial_left") == "left clavicle, medial half"
    assert region_words("ribcage_2_right", sides=("image right", "image left")) == "image left rib cage, 2 of 4 from above"
    assert [region_words(name) for name in ("cervical", "lumbar", "whole")] == ["C7", "T12 and L1", "whole film"]
