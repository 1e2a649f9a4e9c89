"""Splits: 30 % to test, five folds, by patient; copies of an image and several images of a patient stay together."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.dxa.made import DEVICES, case, cases, dealt_cases, spread
from training.data.splits import TEST
from training.dxa.cases import Case, Prepared
from training.dxa.data import DataOptions, dealt, without_device
from training.errors import TrainingError
from training.preparing import Skipped

pytestmark = pytest.mark.unit


def patients(found: tuple[Case, ...]) -> set[str]:
    return {one.patient for one in found}


def test_thirty_percent_test_and_each_fold_validates_once(tmp_path: Path) -> None:
    found = dealt_cases(spread(40), tmp_path)
    assert len(found.test) == 12
    assert found.folds == 5
    turns = list(found.turns())
    assert sorted(one.patient for turn in turns for one in turn.validation) == sorted(one.patient for one in found.training)
    for turn in turns:
        assert not patients(turn.train) & patients(turn.validation)
        assert not (patients(turn.train) | patients(turn.validation)) & patients(found.test)
        assert len(turn.train) + len(turn.validation) == 28
    with pytest.raises(TrainingError, match="no fold 6"):
        found.turn(6)


def test_every_part_holds_both_classes(tmp_path: Path) -> None:
    found = dealt_cases(spread(40), tmp_path)
    for part in (found.test, *(turn.validation for turn in found.turns())):
        assert {one.target for one in part} == {0, 1}


def test_the_same_seed_deals_alike_and_the_split_is_kept(tmp_path: Path) -> None:
    one, again = dealt_cases(spread(20), tmp_path / "a"), dealt_cases(spread(20), tmp_path / "b")
    assert one.parts == again.parts == dealt_cases(spread(20), tmp_path / "a").parts
    assert dealt_cases(spread(20), tmp_path / "c", seed=1).parts != one.parts
    with pytest.raises(TrainingError, match="not the one that was split"):
        dealt_cases(spread(21), tmp_path / "a")


def test_several_images_of_a_patient_share_a_part(tmp_path: Path) -> None:
    twice = tuple(replace(one, device=device) for one in spread(20) for device in DEVICES)
    found = dealt_cases(twice, tmp_path)
    for name in patients(found.prepared.cases):
        assert len({part for one, part in zip(twice, found.parts, strict=True) if one.patient == name}) == 1


def test_copies_under_other_names_share_a_part(tmp_path: Path) -> None:
    originals = spread(20)
    copies = tuple(replace(one, patient=f"copy-{number}") for number, one in enumerate(originals))
    found = dealt_cases((*originals, *copies), tmp_path)
    parts = dict(zip([one.patient for one in found.prepared.cases], found.parts, strict=True))
    assert all(parts[one.patient] == parts[f"copy-{number}"] for number, one in enumerate(originals))
    assert len(set(found.parts)) == 6


def test_a_stated_test_part_is_kept(tmp_path: Path) -> None:
    found = spread(20)
    stated = {one.patient: TEST if number < 5 else "train" for number, one in enumerate(found)}
    parts = dealt(found, DataOptions(source=Path("unused")), tmp_path / "split.json", stated)
    assert parts[:5] == (TEST,) * 5
    assert set(parts[5:]) == {f"fold-{number}" for number in range(1, 6)}
    with pytest.raises(TrainingError, match="nobody is left"):
        dealt(found, DataOptions(source=Path("unused")), tmp_path / "other.json", dict.fromkeys(stated, TEST))


def test_a_stated_test_part_may_not_share_an_image(tmp_path: Path) -> None:
    found = (*spread(20), replace(spread(1)[0], patient="other"))
    with pytest.raises(TrainingError, match="the same image stands under"):
        dealt(found, DataOptions(source=Path("unused")), tmp_path / "split.json", {"other": TEST})


def test_a_maker_is_left_out_of_learning(tmp_path: Path) -> None:
    every = tuple(replace(one, device=device) for one in spread(30) for device in DEVICES)
    found = dealt_cases(every, tmp_path)
    left = without_device(found, "MEDIX")
    assert {one.device for one in left.test} == {"MEDIX"}
    assert {one.device for one in left.training} == {"Hologic", "GE Lunar"}
    assert patients(left.test) == patients(found.test)
    assert patients(left.training) == patients(found.training)
    with pytest.raises(TrainingError, match="leaving out 'Norland'"):
        without_device(found, "Norland")


def test_osteopenia_may_be_left_out_and_is_said() -> None:
    prepared = Prepared(cases=cases([-0.5, -1.8, -3.0]), skipped=(Skipped(patient="x", because="SPINE_NOT_FOUND: No column."),))
    left = prepared.without_osteopenia()
    assert [one.t_score for one in left.cases] == [-0.5, -3.0]
    assert "1 normal, 0 osteopenia, 1 osteoporosis; 2 skipped" in left.words()
    assert left.reasons() == "1 SPINE_NOT_FOUND, 1 osteopenia, left out as asked"


def test_the_edge_of_osteoporosis_is_osteoporosis() -> None:
    assert [case(0, t_score).target for t_score in (-2.5, -2.49, -1.0)] == [1, 0, 0]
