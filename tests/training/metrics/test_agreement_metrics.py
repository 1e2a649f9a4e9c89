"""Continuous agreement, overlap and screening against SciPy, scikit-learn, printed tables and by hand."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from training.metrics.agreement import bland_altman, icc, linear_fit, mae, pearson_r, r_squared, rmse
from training.metrics.overlap import dice, dice_by_label
from training.metrics.screening import FLEX, Vertebrae, any_by_patient, patient_metrics, vertebra_metrics

pytestmark = pytest.mark.unit

RNG = np.random.default_rng(4)
TRUE = RNG.normal(0.95, 0.15, 60)
SAID = 0.1 + 0.9 * TRUE + RNG.normal(0, 0.05, 60)
SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
"""Shrout and Fleiss 1979, Table 2."""


def test_errors_and_correlation() -> None:
    assert rmse(TRUE, SAID) == pytest.approx(sk.root_mean_squared_error(TRUE, SAID))
    assert mae(TRUE, SAID) == pytest.approx(sk.mean_absolute_error(TRUE, SAID))
    assert r_squared(TRUE, SAID) == pytest.approx(sk.r2_score(TRUE, SAID))
    assert pearson_r(TRUE, SAID) == pytest.approx(stats.pearsonr(TRUE, SAID).statistic)
    fit, theirs = linear_fit(TRUE, SAID), stats.linregress(TRUE, SAID)
    assert (fit.slope, fit.intercept, fit.r_squared) == pytest.approx((theirs.slope, theirs.intercept, theirs.rvalue**2))


def test_constant_samples_have_no_correlation_and_no_line() -> None:
    assert np.isnan(pearson_r([1, 1, 1], [1, 2, 3]))
    assert np.isnan(r_squared([1, 1, 1], [1, 2, 3]))
    with pytest.raises(ValueError, match="two different x"):
        linear_fit([1, 1], [1, 2])


@pytest.mark.parametrize(("first", "second"), [([1.0], [1.0, 2.0]), ([], []), ([1.0, np.nan], [1.0, 2.0])])
def test_samples_must_be_paired_and_complete(first: list[float], second: list[float]) -> None:
    with pytest.raises(ValueError):
        rmse(first, second)


def test_limits_of_agreement_by_hand() -> None:
    found = bland_altman([1.0, 2.0, 3.0, 4.0], [1.1, 2.3, 2.9, 4.1])
    assert found.bias == pytest.approx(0.1)
    assert found.sd == pytest.approx(np.sqrt(0.08 / 3))
    assert (found.low, found.high) == pytest.approx((0.1 - 1.96 * found.sd, 0.1 + 1.96 * found.sd), abs=1e-4)
    assert found.bias_se == pytest.approx(found.sd / 2)
    assert found.means.tolist() == pytest.approx([1.05, 2.15, 2.95, 4.05])
    with pytest.raises(ValueError, match="at least two"):
        bland_altman([1.0], [1.0])


def test_the_standard_error_of_a_limit_is_what_simulation_shows() -> None:
    limits = [bland_altman(np.zeros(30), RNG.normal(0, 1, 30)).high for _ in range(2000)]
    assert np.std(limits) == pytest.approx(bland_altman(np.zeros(30), stats.norm.ppf((np.arange(30) + 0.5) / 30)).limit_se, rel=0.08)


@pytest.mark.parametrize(("form", "printed"), [("ICC(1,1)", 0.17), ("ICC(2,1)", 0.29), ("ICC(3,1)", 0.71)])
def test_intraclass_correlation_as_printed(form: str, printed: float) -> None:
    assert icc(SHROUT_FLEISS, form) == pytest.approx(printed, abs=0.005)  # type: ignore[arg-type]


def test_intraclass_correlation_of_an_offset() -> None:
    offset = np.c_[TRUE, TRUE + 0.3]
    assert icc(offset, "ICC(3,1)") == pytest.approx(1.0)
    assert icc(offset, "ICC(2,1)") < 0.5
    with pytest.raises(ValueError, match="complete"):
        icc([[1.0, np.nan], [1.0, 2.0]])


def test_dice() -> None:
    one, other = np.zeros((4, 4), int), np.zeros((4, 4), int)
    one[:2], other[1:3] = 1, 1
    other[3, 3] = 2
    assert dice(one == 1, other == 1) == pytest.approx(sk.f1_score(one.ravel() == 1, other.ravel() == 1))
    found = dice_by_label(one, other, (1, 2, 3))
    assert (found[1], found[2]) == (0.5, 0.0)
    assert np.isnan(found[3])
    with pytest.raises(ValueError, match="one grid"):
        dice(one == 1, other[:2] == 1)


VERTEBRAE = Vertebrae(
    patients=["a", "a", "b", "b", "c"],
    levels=["L1", "L4", "L1", "L4", "L1"],
    t_score=[-2.5, -1.0, -2.4, -2.0, -3.0],
    predicted_t_score=[-2.2, -1.0, -2.1, -1.9, -1.0],
)


def test_screening_by_vertebra_and_patient() -> None:
    assert VERTEBRAE.truly_positive().tolist() == [True, False, False, False, True]
    assert VERTEBRAE.positive(FLEX).tolist() == [True, False, False, True, False]
    assert vertebra_metrics(VERTEBRAE, FLEX)["sensitivity"] == 0.5
    assert vertebra_metrics(VERTEBRAE, -2.0, "L1")["specificity"] == 0.0
    assert patient_metrics(VERTEBRAE, FLEX) == pytest.approx(
        {"accuracy": 1 / 3, "sensitivity": 0.5, "specificity": 0.0, "precision": 0.5, "npv": 0.0, "f1": 0.5}
    )
    assert patient_metrics(VERTEBRAE, -2.2)["specificity"] == 1.0
    patients, positive = any_by_patient(["b", "a", "b"], [False, True, True])
    assert (patients, positive.tolist()) == (("b", "a"), [True, True])


def test_screening_refuses_unknown_levels() -> None:
    with pytest.raises(ValueError, match="no threshold is given for L4"):
        VERTEBRAE.positive({"L1": -2.0})
    with pytest.raises(ValueError, match="no vertebra L2"):
        vertebra_metrics(VERTEBRAE, -2.0, "L2")
