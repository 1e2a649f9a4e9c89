"""The forty hard CTs: all different, the same every time, and a wrong certain name is never lost in a sum."""

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from training.evaluation import simulated_ct
from training.evaluation.simulated_ct import Case, CaseResult, LevelResult
from training.evaluation.stress import GRID, patient, print_stress, stress_cases

pytestmark = pytest.mark.unit


def level(true_level: str = "L1", **changed: object) -> LevelResult:
    """A body that is named and read right, unless told otherwise."""
    right = LevelResult(
        true_level=true_level, named=true_level, certain=True, used=True, error_hu=1.0, median_error_hu=1.0, altered=(), excluded=None
    )
    return replace(right, **changed)


def result(*levels: LevelResult, reader: str = "both", name: str = "roll", **changed: object) -> CaseResult:
    """What a reader said of one case."""
    found = CaseResult(
        case=Case(name=name, patient=patient(1), acquisition=GRID, never=("L2",)),
        outcome="result",
        reason=None,
        levels=levels,
        missed=(),
        unmatched=(),
        reader=reader,
    )
    return replace(found, **changed)


def printed(*results: CaseResult) -> str:
    console = Console(width=240, file=io.StringIO(), record=True)
    print_stress(console, results)
    return console.export_text()


def test_there_are_forty_five_of_each_kind_and_no_two_alike() -> None:
    cases = stress_cases()
    assert len(cases) == len({case.name for case in cases}) == len({case.patient.seed for case in cases}) == 40
    assert sum(case.acquisition.slice_spacing_mm == 5.0 for case in cases) == 5
    assert sum(abs(case.patient.roll_deg) >= 12 for case in cases) == 5
    assert sum(abs(case.patient.scoliosis_deg) >= 8 for case in cases) == 5
    assert sum(case.acquisition.noise_sd_hu >= 40 for case in cases) == 6
    assert sum(bool(case.patient.wedge or case.patient.crush) for case in cases) == 5
    assert sum(bool(case.patient.screws or case.patient.cement or case.patient.hip_prosthesis) for case in cases) == 5
    assert min(case.patient.trabecular_hu for case in cases) == 30


def test_the_cases_are_the_same_every_time() -> None:
    assert stress_cases() == stress_cases()


def test_altered_levels_are_never_to_be_used() -> None:
    for case in stress_cases():
        who = case.patient
        assert set(case.never) == {*who.wedge, *who.crush, *who.screws, *who.cement}, case.name


def test_every_reader_has_its_column_and_its_sum() -> None:
    said = printed(result(level()), result(level(error_hu=-7.5), reader="network"))
    assert "1/1, 1.0 HU, 1 certain" in said
    assert "0/1, 7.5 HU, 1 certain" in said
    assert "roll, network: L1 -7.5 HU" in said
    assert "both: 1 CTs, a band for 1; sound bodies within 5 HU 1/1 (mean |error| 1.0, worst 1.0)" in said


def test_a_wrong_certain_name_is_shouted() -> None:
    wrong = result(level(named="L2"))
    assert wrong.wrong == 1
    said = printed(wrong)
    assert "1 certain, 1 WRONG" in said
    assert "roll, both: L1 named L2" in said
    assert "certain names 1, wrong 1" in said
    assert result(level(named=None, certain=False)).wrong == 0
    assert result(unmatched=("L1",)).wrong == 1


def test_only_sound_bodies_count() -> None:
    uncertain = level(certain=False, named=None, used=False, excluded="LEVEL_UNCERTAIN")
    metal = level("L3", used=False, excluded="METAL_OR_CEMENT", error_hu=30.0)
    altered = level("L2", altered=("fracture",), error_hu=40.0)
    assert [item.sound for item in (uncertain, metal, altered)] == [True, False, False]
    said = printed(result(uncertain, metal, altered, reason="LEVEL_UNCERTAIN"))
    assert "1/1, 1.0 HU, 2 certain (LEVEL_UNCERTAIN)" in said
    assert "of those used 0/0" in said
    assert "altered levels used 1" in said


@pytest.mark.parametrize(("named", "code"), [("L1", 0), ("L2", 1)])
def test_the_exit_code_is_one_where_a_certain_name_is_wrong(monkeypatch: pytest.MonkeyPatch, named: str, code: int) -> None:
    asked: list[tuple[int, tuple[str, ...]]] = []

    def run_all(cases: list[Case], *how: Any) -> list[CaseResult]:
        readers: tuple[str, ...] = how[-1]
        asked.append((len(cases), readers))
        return [result(level(named=named), reader=reader) for reader in readers]

    monkeypatch.setattr(simulated_ct, "run_all", run_all)
    monkeypatch.setattr("sys.argv", ["simulated_ct", "--stress", "--only", "roll"])
    assert simulated_ct.main() == code
    assert asked == [(5, ("classical", "network", "both"))]
