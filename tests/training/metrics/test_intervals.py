"""Bootstrap intervals and paired tests: against SciPy, against what they promise, and where they cannot be had."""

import math

import numpy as np
import pytest
from scipy import stats

from training.metrics.bootstrap import BootstrapOptions, bootstrap, bootstrap_one
from training.metrics.comparison import delong_test, mcnemar, paired_t_test, wilcoxon
from training.metrics.ranking import auc

pytestmark = pytest.mark.unit

RNG = np.random.default_rng(8)
SKEWED = RNG.exponential(size=40)


@pytest.mark.parametrize(("ours", "theirs"), [("percentile", "percentile"), ("bca", "BCa")])
def test_intervals_against_scipy(ours: str, theirs: str) -> None:
    options = BootstrapOptions(resamples=6000, method=ours, seed=1)  # type: ignore[arg-type]
    found = bootstrap_one(lambda indices: float(SKEWED[indices].mean()), range(40), options)
    expected = stats.bootstrap((SKEWED,), np.mean, n_resamples=6000, method=theirs, rng=np.random.default_rng(2)).confidence_interval
    assert found.value == pytest.approx(SKEWED.mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.02)


def test_intervals_follow_the_seed() -> None:
    def statistic(indices: np.ndarray) -> float:
        return float(np.median(SKEWED[indices]))

    first = bootstrap_one(statistic, range(40), BootstrapOptions(resamples=200, seed=1))
    assert bootstrap_one(statistic, range(40), BootstrapOptions(resamples=200, seed=1)) == first
    assert bootstrap_one(statistic, range(40), BootstrapOptions(resamples=200, seed=2)) != first


def test_vertebrae_of_one_patient_are_one_draw() -> None:
    """Four equal vertebrae a patient carry no more information than one: the interval is that of the patients."""
    patients = np.repeat(np.arange(40), 4)
    values = np.repeat(SKEWED, 4)
    clustered = bootstrap_one(lambda indices: float(values[indices].mean()), list(patients))
    alone = bootstrap_one(lambda indices: float(SKEWED[indices].mean()), range(40))
    naive = bootstrap_one(lambda indices: float(values[indices].mean()), range(160))
    assert (clustered.low, clustered.high) == pytest.approx((alone.low, alone.high))
    assert naive.high - naive.low == pytest.approx((alone.high - alone.low) / 2, rel=0.1)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_intervals_hold_the_truth_as_often_as_they_say(method: str) -> None:
    rng, held = np.random.default_rng(9), 0
    for run in range(120):
        sample = rng.normal(1.0, 1.0, 50)
        options = BootstrapOptions(resamples=200, seed=run, level=0.9, method=method)  # type: ignore[arg-type]
        found = bootstrap_one(lambda indices, sample=sample: float(sample[indices].mean()), range(50), options)  # type: ignore[misc]
        held += found.low <= 1.0 <= found.high
    assert 0.8 <= held / 120 <= 0.97


def test_a_class_that_is_missing_from_resamples() -> None:
    true, score = np.r_[1, np.zeros(9, int)], np.r_[0.9, np.linspace(0, 0.8, 9)]

    def statistic(indices: np.ndarray) -> dict[str, float]:
        return {"auc": auc(true[indices], score[indices])}

    found = bootstrap(statistic, range(10), BootstrapOptions(resamples=500))["auc"]
    assert found.undefined / found.resamples == pytest.approx(0.9**10, abs=0.08)
    assert (found.low, found.high) == (1.0, 1.0)
    rare = bootstrap(lambda indices: {"x": math.nan if 0 not in indices[:1] else 1.0}, range(10), BootstrapOptions(resamples=100))["x"]
    assert math.isnan(rare.low)
    assert rare.value == 1.0


def test_one_patient_has_no_interval() -> None:
    found = bootstrap_one(lambda indices: float(len(indices)), ["a", "a"])
    assert found.value == 2.0
    assert math.isnan(found.low)
    with pytest.raises(ValueError, match="no cases"):
        bootstrap_one(lambda _: 1.0, [])


def test_bca_of_a_statistic_that_never_changes_is_the_percentile() -> None:
    found = bootstrap_one(lambda _: 1.0, range(5), BootstrapOptions(resamples=50, method="bca"))
    assert (found.low, found.high) == (1.0, 1.0)


def test_t_test_and_wilcoxon_against_scipy() -> None:
    one, other = SKEWED[:20], SKEWED[20:] + 0.3
    found, theirs = paired_t_test(one, other), stats.ttest_rel(other, one)
    assert (found.statistic, found.p, found.n) == pytest.approx((theirs.statistic, theirs.pvalue, 20))
    assert wilcoxon(one, other).p == pytest.approx(stats.wilcoxon(other - one).pvalue)
    same = wilcoxon([1.0, 2.0], [1.0, 2.0])
    assert math.isnan(same.p)
    assert same.n == 0


def test_folds_share_training_data() -> None:
    """Nadeau and Bengio 2003: five folds enlarge the variance from 1/5 to 1/5 + 1/4."""
    one, other = [0.80, 0.82, 0.78, 0.81, 0.79], [0.83, 0.84, 0.82, 0.83, 0.80]
    plain, corrected = paired_t_test(one, other), paired_t_test(one, other, test_to_train=0.25)
    assert corrected.statistic == pytest.approx(plain.statistic / math.sqrt(1 + 5 * 0.25))
    assert (plain.stars, corrected.p > plain.p) == ("**", True)
    assert math.isnan(paired_t_test([1.0, 2.0], [2.0, 3.0]).p)
    with pytest.raises(ValueError, match="at least two pairs"):
        paired_t_test([1.0], [2.0])


def test_mcnemar_by_hand() -> None:
    first = np.r_[np.ones(50, bool), np.zeros(50, bool)]
    second = first.copy()
    second[:2], second[50:60] = False, True  # 2 lost, 10 won
    found = mcnemar(first, second)
    assert found.p == pytest.approx(2 * stats.binom.cdf(2, 12, 0.5))
    assert (found.difference, found.n) == (pytest.approx(0.08), 12)
    second[:10], second[50:90] = False, True  # 10 lost, 40 won
    assert mcnemar(first, second).statistic == pytest.approx((30 - 1) ** 2 / 50)
    assert mcnemar(first, first).p == 1.0


def test_delong_test_is_right_in_the_long_run() -> None:
    """Two equally good scores: p is below 0.05 in about one of twenty data sets."""
    rng, low = np.random.default_rng(11), 0
    true = np.r_[np.zeros(60, int), np.ones(40, int)]
    for _ in range(300):
        shared = true + rng.normal(size=100)
        low += delong_test(true, shared + 0.7 * rng.normal(size=100), shared + 0.7 * rng.normal(size=100)).p < 0.05
    assert 0.02 <= low / 300 <= 0.085
    better = delong_test(true, rng.normal(size=100), true + 0.5 * rng.normal(size=100))
    assert better.p < 1e-4
    assert better.difference > 0.2
    assert delong_test(true, true, 2 * true).p == 1.0
