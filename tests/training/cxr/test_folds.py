"""No patient in two parts; every network of every vertebra and fold; the ensemble and its bundle say what the members said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.bundles import TrainedOn, load_bundle, load_network
from inference.cxr.estimate import estimate_density, level_of
from inference.cxr.network import DensityEnsemble
from inference.cxr.rois import REGION_NAMES
from inference.errors import Refusal
from tests.training.cxr.made import collection, film, films
from training.cxr.cases import LEVELS, Film, Films, with_level
from training.cxr.cli import estimated, report
from training.cxr.evaluate import agreement
from training.cxr.folds import CrossValidation, Member, comparable, deal, ensemble_of, usable
from training.cxr.options import DensityOptions
from training.cxr.publish import publish_density
from training.errors import TrainingError
from training.loop import LoopOptions
from training.metrics.bootstrap import BootstrapOptions

pytestmark = pytest.mark.unit

SMALL = DensityOptions(
    size=32,
    width=0.03125,
    batch_norm=True,
    layers=1,
    heads=2,
    batch=8,
    backbone="vgg13",
    folds=2,
    levels=("L1", "L3"),
    loop=LoopOptions(epochs=1, monitor="rmse", learning_rate=1e-3, optimiser="sgd"),
)


def repeated() -> tuple[Film, ...]:
    """Twenty patients, one of whom has three films."""
    return (*films(20), *(replace(film(number), patient="P003") for number in (30, 31)))


def test_parts_share_no_patient_and_leave_none_out() -> None:
    given = repeated()
    dealt = deal(given, replace(SMALL, folds=4, test=0.2))
    parts = [*dealt.folds, dealt.test]
    assert sum(len(part) for part in parts) == len(given)
    patients = [{one.patient for one in part} for part in parts]
    assert sum(len(names) for names in patients) == 20
    assert len(set.union(*patients)) == 20
    assert len(patients[-1]) == 4
    assert {one.patient for one in dealt.training(1)} == set.union(*(patients[number] for number in (0, 2, 3)))
    assert deal(given, replace(SMALL, folds=4, test=0.2, seed=1)).test != dealt.test
    with pytest.raises(TrainingError, match="too few for 4 folds"):
        deal(films(6), replace(SMALL, folds=4, test=0.5))


def test_films_that_cannot_be_cut_are_left_out_with_the_reason() -> None:
    low = replace(film(2), image=film(2).image[:90])
    films_with = replace(collection(4), cases=(*films(4), replace(low, patient="low")))
    left, store = usable(films_with, SMALL)
    assert [one.patient for one in left.cases] == ["P000", "P001", "P002", "P003"]
    assert left.skipped[-1].patient == "low"
    assert "ROI_OUTSIDE_FILM" in left.skipped[-1].because
    assert store.of(left.cases[0]).shape == (15, 32, 32)
    patches = replace(SMALL, variant="multipatch")
    assert comparable(films_with, patches).cases == left.cases  # every variant is judged by the same films
    blind = replace(films_with, cases=(replace(film(1), landmarks=np.full((16, 2), np.nan)),))
    assert comparable(blind, patches) is blind
    with pytest.raises(TrainingError, match="no film can be used"):
        usable(replace(films_with, cases=(low,)), SMALL)


def test_a_level_has_the_films_in_which_it_was_measured() -> None:
    unmeasured = replace(film(1), bmd_g_cm2=np.array([np.nan, 1.0, 1.0, 1.0]))
    given = (film(0), unmeasured)
    assert with_level(given, "L1") == (given[0],)
    assert with_level(given, "L2") == given
    assert collection(3).known.tolist() == [3, 3, 3, 3]
    assert "3 films: 3 with L1" in collection(3).words()
    assert "fracture of T12" in collection(3).words()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[CrossValidation, tuple[Member, ...]]:
    run = CrossValidation(collection(24), SMALL, tmp_path_factory.mktemp("run"), progress=False)
    told: list[tuple[str, int]] = []
    members = run.train(said=lambda level, fold: told.append((level, fold)))
    assert told == [("L1", 1), ("L1", 2), ("L3", 1), ("L3", 2)]
    return run, members


def test_a_network_for_each_vertebra_and_fold_none_of_which_saw_the_test_part(done: tuple[CrossValidation, tuple[Member, ...]]) -> None:
    run, members = done
    assert [(one.level, one.fold) for one in members] == [("L1", 0), ("L1", 1), ("L3", 0), ("L3", 1)]
    found = run.estimates(members)
    assert found.patients == tuple(one.patient for one in run.dealt.test)
    assert np.isfinite(found.folds[:, :, [0, 2]]).all()
    assert np.isnan(found.folds[:, :, [1, 3]]).all()
    assert not np.allclose(found.folds[0], found.folds[1], equal_nan=True)
    means = [float(one.fitted.model.scale[0]) for one in members]
    for one, mean in zip(members, means, strict=True):
        learnt = [film.bmd_g_cm2[LEVELS.index(one.level)] for film in run.dealt.training(one.fold)]
        assert mean == pytest.approx(np.mean(learnt), abs=1e-6)


def test_it_goes_on_where_it_stopped(done: tuple[CrossValidation, tuple[Member, ...]]) -> None:
    run, members = done
    again = CrossValidation(run.films, run.options, run.out, progress=False).train()
    for one, other in zip(members, again, strict=True):
        state = other.fitted.model.state_dict()
        assert all(torch.equal(tensor, state[name]) for name, tensor in one.fitted.model.state_dict().items())


def test_the_bundle_says_what_the_members_said(done: tuple[CrossValidation, tuple[Member, ...]]) -> None:
    run, members = done
    found = run.estimates(members)
    values = agreement(found, BootstrapOptions(resamples=20))
    bundle = publish_density(run, members, values, "osteon train cxr")
    osteon = load_bundle(bundle.folder).metadata.osteon
    assert osteon.targets == ("l1_fold1_bmd_g_cm2", "l1_fold2_bmd_g_cm2", "l3_fold1_bmd_g_cm2", "l3_fold2_bmd_g_cm2")
    assert [level_of(name) for name in osteon.targets] == ["L1", "L1", "L3", "L3"]
    assert osteon.trained_on is TrainedOn.SIMULATED_PATIENTS
    assert osteon.densitometer == "GE Lunar"
    assert "never seen a patient" in osteon.limits[0]
    assert osteon.input.channels == len(REGION_NAMES)
    assert {metric.cases for metric in osteon.metrics} == {len(run.dealt.test)}
    network = load_network(bundle)
    assert isinstance(network, DensityEnsemble)
    first = run.dealt.test[0]
    said = estimate_density(first.grey, first.landmarks, network, osteon.targets, 32)
    assert [one.level for one in said.levels] == ["L1", "L3"]
    np.testing.assert_allclose(said.levels[1].members_g_cm2, found.folds[:, 0, 2], atol=3e-3)
    assert said.levels[0].bmd_g_cm2 == pytest.approx(float(found.folds[:, 0, 0].mean()), abs=3e-3)
    assert said.levels[0].spread_g_cm2 == pytest.approx(float(said.levels[0].members_g_cm2.std()))
    assert said.levels[0].attention is not None
    assert said.levels[0].attention.sum() == pytest.approx(1.0)
    both, used = estimated(replace(run.films, cases=run.dealt.test), bundle, None)
    np.testing.assert_allclose(both.folds[:, :, [0, 2]], found.folds[:, :, [0, 2]], atol=3e-3)
    assert len(used.cases) == len(run.dealt.test)
    assert "| R | " in report(both, "bundle on films")
    with pytest.raises(Refusal, match="ROI_OUTSIDE_FILM"):
        estimate_density(first.grey[:85], first.landmarks, network, osteon.targets, 32)


def test_an_ensemble_has_no_local_regressors_and_patches_give_no_bundle(done: tuple[CrossValidation, tuple[Member, ...]]) -> None:
    run, members = done
    assert not any("local" in name for name in ensemble_of(members, run.options).state_dict())
    other = CrossValidation(run.films, replace(run.options, variant="attmultipatch"), run.out, progress=False)
    with pytest.raises(TrainingError, match="sees patches"):
        publish_density(other, members, {}, "x")


def test_a_test_part_is_needed_for_estimates(tmp_path: Path) -> None:
    run = CrossValidation(collection(8), replace(SMALL, test=0.0), tmp_path, progress=False)
    with pytest.raises(TrainingError, match="no patient fell to the test part"):
        run.estimates(())
    run.clear()


def test_films_hold_their_origin() -> None:
    real = Films(cases=films(1), skipped=(), trained_on=TrainedOn.PATIENTS, description="chest films of the manifest list.csv")
    assert real.cases[0].label is not None
    assert replace(real.cases[0], t_scores=np.full(4, np.nan)).label is None
