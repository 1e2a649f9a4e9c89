"""Estimates with their spread, on disk and back; the paper's figures by hand; its pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.cxr.made import films
from training.cxr.cases import LEVELS
from training.cxr.estimates import Estimates, estimates_of, joined, read_estimates, write_estimates
from training.cxr.evaluate import (
    THRESHOLDS,
    agreement,
    cross_vertebra,
    levels_of,
    of_level,
    plot_cross_vertebra,
    thresholds_by_patient,
    thresholds_by_vertebra,
)
from training.cxr.tables_paper import Row
from training.cxr.tables_report import Found, draw_found
from training.errors import TrainingError
from training.metrics.bootstrap import BootstrapOptions
from training.metrics.screening import FLEX

pytestmark = pytest.mark.unit

FEW = BootstrapOptions(resamples=30)


def made(count: int = 30, *, noise: float = 0.05, folds: int = 2) -> Estimates:
    """True densities with even errors: fold 1 too high, fold 2 too low by as much, and a noise they share."""
    given = films(count)
    truth = np.array([film.bmd_g_cm2 for film in given])
    shared = noise * np.random.default_rng(3).standard_normal(truth.shape)
    said = {
        level: [truth[:, column] + shared[:, column] + 0.02 * (-1) ** fold for fold in range(folds)] for column, level in enumerate(LEVELS)
    }
    aged = [replace(film, age=45.0 + number, sex="FM"[number % 2]) for number, film in enumerate(given)]
    return estimates_of(aged, said)


def test_the_prediction_is_the_mean_of_the_folds() -> None:
    found = made(noise=0.0)
    np.testing.assert_allclose(found.estimated, found.bmd_g_cm2, atol=1e-12)
    np.testing.assert_allclose(found.spread, 0.02, atol=1e-12)
    np.testing.assert_allclose(found.estimated_t_scores, (found.bmd_g_cm2 - 1.18) / 0.12, atol=1e-9)
    unknown = replace(found, devices=("", *found.devices[1:]))
    assert np.isnan(unknown.estimated_t_scores[0]).all()
    assert np.isfinite(unknown.estimated_t_scores[1:]).all()


def test_what_was_said_comes_back_from_disk(tmp_path: Path) -> None:
    found = made(5)
    found = replace(found, ages=np.array([np.nan, *found.ages[1:]]), patients=("a,b", *found.patients[1:]))
    write_estimates(found, tmp_path / "estimates.csv")
    back = read_estimates(tmp_path / "estimates.csv")
    assert (back.patients, back.devices, back.sexes) == (found.patients, found.devices, found.sexes)
    for name in ("ages", "bmd_g_cm2", "t_scores", "folds"):
        np.testing.assert_array_equal(getattr(back, name), getattr(found, name))
    (tmp_path / "cut.csv").write_text("\n".join((tmp_path / "estimates.csv").read_text().splitlines()[:4]) + "\n")
    with pytest.raises(TrainingError, match="four levels a film"):
        read_estimates(tmp_path / "cut.csv")
    with pytest.raises(TrainingError, match="remove it"):
        read_estimates(tmp_path / "absent.csv")
    with pytest.raises(TrainingError, match="same number of folds"):
        estimates_of(films(2), {"L1": [np.zeros(2)], "L2": [np.zeros(2), np.zeros(2)]})


def test_agreement_by_hand_and_over_levels_that_were_measured() -> None:
    found = made()
    truth, said = found.bmd_g_cm2[:, 0], found.estimated[:, 0]
    values = agreement(found, FEW)
    assert values["r_L1"].value == pytest.approx(np.corrcoef(truth, said)[0, 1])
    assert values["rmse_L1"].value == pytest.approx(np.sqrt(np.mean((truth - said) ** 2)))
    assert values["r_average"].value == pytest.approx(np.mean([values[f"r_{level}"].value for level in LEVELS]))
    assert values["r_L1"].low < values["r_L1"].value
    positive = found.t_scores[:, 0] <= -2.5
    pairs = [(one < other) + 0.5 * (one == other) for one in said[positive] for other in said[~positive]]
    assert values["auc_L1"].value == pytest.approx(np.mean(pairs))
    some = found.bmd_g_cm2.copy()
    some[:4, 0] = np.nan
    part = agreement(replace(found, bmd_g_cm2=some), FEW)
    assert part["rmse_L1"].value == pytest.approx(np.sqrt(np.mean((truth - said)[4:] ** 2)))
    only = replace(found, folds=np.where(np.arange(4) == 2, found.folds, np.nan))
    assert levels_of(only) == ("L3",)
    assert set(agreement(only, FEW)) == {f"{name}_{level}" for name in ("r", "rmse", "auc") for level in ("L3", "average")}


def two_patients() -> Estimates:
    """T-scores, true: A (-2.6, -1, -1, -1), B (-2, -0.5, -0.5, -0.5), C healthy; estimated 0.3 higher than the truth."""
    true = np.array([[-2.6, -1.0, -1.0, -1.0], [-2.0, -0.5, -0.5, -0.5], [0.0, 0.0, 0.0, 0.0]])
    base = estimates_of(films(3), {level: [np.zeros(3)] for level in LEVELS})
    said = 1.18 + 0.12 * (true + 0.3)
    return replace(base, t_scores=true, bmd_g_cm2=1.18 + 0.12 * true, folds=said[None])


def test_thresholds_by_hand() -> None:
    found = two_patients()
    strict, loose = (thresholds_by_vertebra(found, threshold, FEW) for threshold in (-2.5, -1.6))
    assert (strict["sensitivity_L1"].value, strict["specificity_L1"].value) == (0.0, 1.0)
    assert (loose["sensitivity_L1"].value, loose["specificity_L1"].value) == (1.0, 0.5)
    assert np.isnan(strict["sensitivity_L4"].value)  # nobody has osteoporosis of L4
    assert of_level(FLEX, "L4") == -1.9
    assert THRESHOLDS["Flex"] == {"L1": -2.2, "L2": -2.1, "L3": -2.0, "L4": -1.9}
    by_patient = thresholds_by_patient(found, FLEX, FEW)  # A is flagged by L1, whose estimate is -2.3
    assert by_patient["osteoporosis_sensitivity"].value == 1.0
    assert by_patient["osteoporosis_specificity"].value == 1.0
    assert by_patient["osteopenia_sensitivity"].value == 0.5  # A of A and B
    assert by_patient["osteopenia_specificity"].value == 1.0
    assert thresholds_by_patient(found, -1.6, FEW)["osteoporosis_specificity"].value == 0.5
    with pytest.raises(TrainingError, match="only L1 was estimated"):
        thresholds_by_patient(replace(found, folds=np.where(np.arange(4) == 0, found.folds, np.nan)), -2.0, FEW)
    with pytest.raises(TrainingError, match="no patient has T-scores"):
        thresholds_by_patient(replace(found, devices=("", "", "")), -2.0, FEW)


def test_patients_without_all_four_levels_are_not_judged_as_patients() -> None:
    found = two_patients()
    some = found.t_scores.copy()
    some[1, 3] = np.nan
    assert thresholds_by_patient(replace(found, t_scores=some), -1.6, FEW)["osteoporosis_specificity"].value == 1.0  # B is left out


def test_differences_between_vertebrae_and_errors() -> None:
    found = two_patients()
    between, errors = cross_vertebra(found, np.array([0, 2]))
    assert between["L1-L2"] == pytest.approx(0.12 * 1.6 / 2)
    assert errors["L1"] == pytest.approx(0.036)


def test_pictures_are_drawn(tmp_path: Path) -> None:
    found = made()
    only = replace(found, folds=np.where(np.arange(4) == 0, found.folds, np.nan))
    draw_found([Found(row=Row(name="The one", variant="proposed"), test=only, seconds=1.0, networks=2)], tmp_path, 5)
    written = {path.name: path for path in (tmp_path / "The-one").iterdir()}
    assert set(written) == {"agreement-L1.png", "roc.png", "cross-vertebra.png"}
    assert all(path.stat().st_size > 5000 for path in written.values())
    plot_cross_vertebra(replace(found, ages=np.full(30, np.nan), sexes=("",) * 30), tmp_path / "all.png")
    assert (tmp_path / "all.png").stat().st_size > 5000


def test_repeats_are_put_together() -> None:
    found = made(4)
    both = joined([found, found.of([1, 3])])
    assert both.patients == (*found.patients, found.patients[1], found.patients[3])
    np.testing.assert_array_equal(both.folds[:, 4:], found.folds[:, [1, 3]])
    assert both.sexes[4] == found.sexes[1]
