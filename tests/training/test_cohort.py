"""Cohorts: class counts, long tail, what goes with bone density, and that the first patients stay themselves."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.labels import LABELS, BoneLabel, who_label
from training.errors import TrainingError
from training.simulation.cohort import CohortPatient, class_sequence, sample_cohort, with_spacing
from training.simulation.density import find_attenuation, usable_levels
from training.simulation.population import AUSTINSPINE_CLASSES, AUSTINSPINE_PATIENTS, COHORTS, CohortParameters, Population, Scanners
from training.simulation.vendors import Vendor

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def austinspine() -> list[CohortPatient]:
    return sample_cohort(AUSTINSPINE_PATIENTS, 3)


def test_the_default_cohort_has_389_patients_of_three_classes_and_a_long_tail(austinspine: list[CohortPatient]) -> None:
    counts = Counter(person.target for person in austinspine)
    assert tuple(counts[label] for label in LABELS) == AUSTINSPINE_CLASSES
    assert sum(AUSTINSPINE_CLASSES) == AUSTINSPINE_PATIENTS
    assert counts[BoneLabel.NORMAL] > counts[BoneLabel.OSTEOPENIA] > counts[BoneLabel.OSTEOPOROSIS] > 2 * 26
    assert min(person.target_t for person in austinspine) < -3.5


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 1000), min_size=3, max_size=3).filter(any), st.integers(1, 400))
def test_no_beginning_of_a_cohort_strays_by_a_patient_from_its_prevalence(shares: list[int], n: int) -> None:
    found = Counter(class_sequence(n, shares))
    for item, share in enumerate(shares):
        assert abs(found[item] - n * share / sum(shares)) < 1
    assert list(class_sequence(n // 2, shares)) == class_sequence(n, shares)[: n // 2]


def test_the_first_patients_do_not_change_when_more_are_asked_for(austinspine: list[CohortPatient]) -> None:
    assert sample_cohort(40, 3) == austinspine[:40]
    assert sample_cohort(5, 4) != austinspine[:5]
    assert len({person.patient.seed for person in (*austinspine, *sample_cohort(300, 4))}) == AUSTINSPINE_PATIENTS + 300


def test_wanted_t_scores_lie_in_their_class_and_off_its_edges(austinspine: list[CohortPatient]) -> None:
    for person in austinspine:
        assert {who_label(person.target_t - 0.04), who_label(person.target_t + 0.04)} == {person.target}


def test_thin_bone_goes_with_age_sex_and_fractures(austinspine: list[CohortPatient]) -> None:
    def of(label: BoneLabel) -> list[CohortPatient]:
        return [person for person in austinspine if person.target is label]

    def mean_age(people: list[CohortPatient]) -> float:
        return float(np.mean([person.patient.age_years for person in people]))

    def fractured(people: list[CohortPatient]) -> float:
        return float(np.mean([bool(person.patient.wedge or person.patient.crush) for person in people]))

    normal, osteoporosis = of(BoneLabel.NORMAL), of(BoneLabel.OSTEOPOROSIS)
    assert mean_age(normal) + 4 < mean_age(osteoporosis)
    assert fractured(normal) < 0.1 < fractured(osteoporosis) < 0.5
    assert np.mean([person.patient.sex == "F" for person in osteoporosis]) > np.mean([person.patient.sex == "F" for person in normal])
    size = np.corrcoef([person.patient.body_scale for person in austinspine], [person.target_t for person in austinspine])[0, 1]
    assert size > 0.1


def test_anatomy_and_scanners_vary_as_in_practice(austinspine: list[CohortPatient]) -> None:
    people = [person.patient for person in austinspine]
    assert {patient.lumbar_count for patient in people} == {4, 5, 6}
    assert any(patient.cement for patient in people)
    assert any(patient.screws for patient in people)
    assert any(abs(patient.scoliosis_deg) > 8 for patient in people)
    assert {person.vendor for person in austinspine} == set(Vendor) - {Vendor.PLAIN}
    assert {person.acquisition.kvp for person in austinspine} == {80.0, 100.0, 120.0, 140.0}
    assert {person.acquisition.slice_spacing_mm for person in austinspine} == {1.0, 1.25, 2.0, 2.5, 3.0, 5.0}
    assert {patient.contrast.value for patient in people} == {"native", "arterial", "venous"}
    assert any(person.extra_series for person in austinspine)
    assert all(abs(person.dxa_date - person.ct_date) <= timedelta(days=170) for person in austinspine)


def test_every_patient_keeps_two_levels_for_a_t_score() -> None:
    rough = Population(fracture_rates=(1.0, 1.0, 1.0), screw_rate=0.3, focus_rate=1.0, cement_share=1.0)
    people = sample_cohort(200, 1, CohortParameters(population=rough))
    assert all(len(usable_levels(person.patient)) >= 2 for person in people)
    assert any(person.patient.screws for person in people)


def test_prevalence_devices_and_named_cohorts_are_parameters() -> None:
    only = sample_cohort(9, 0, CohortParameters(prevalence=(0, 0, 2)))
    assert {person.target for person in only} == {BoneLabel.OSTEOPOROSIS}
    mixed = Counter(person.device for person in sample_cohort(300, 0, COHORTS["multidevice"]))
    assert mixed["Hologic"] > mixed["GE Lunar"] > mixed["MEDIX"] > 5
    even = Counter(person.target for person in sample_cohort(90, 0, COHORTS["balanced"]))
    assert set(even.values()) == {30}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prevalence": (1, -1, 1)}, "prevalence"),
        ({"prevalence": (0, 0, 0)}, "prevalence"),
        ({"devices": {}}, "devices"),
        ({"devices": {"Hologic": -1.0}}, "devices"),
    ],
)
def test_impossible_parameters_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        replace(CohortParameters(), **changes)


def test_unknown_shares_are_refused_by_name() -> None:
    with pytest.raises(TrainingError, match="vendors: acme is unknown; known: plain, siemens"):
        Scanners(vendors={"acme": 1.0})
    with pytest.raises(TrainingError, match="rate"):
        Population(screw_rate=1.5)


def test_another_spacing_keeps_the_field_of_view(austinspine: list[CohortPatient]) -> None:
    for person in austinspine[:20]:
        coarse = with_spacing(person.acquisition, 3.0)
        assert coarse.columns * 3.0 == pytest.approx(512 * person.acquisition.pixel_spacing_mm, abs=6.0)
        assert (coarse.pixel_spacing_mm, coarse.slice_spacing_mm, coarse.thickness_mm) == (3.0, 3.0, 3.0)


def test_the_search_for_a_t_score_ends_where_it_is_or_at_the_end_of_what_bone_can_be() -> None:
    asked: list[float] = []

    def bent(hu: float) -> float:
        asked.append(hu)
        return 0.025 * (hu - 170) - 0.01 * max(0.0, 150 - hu)

    hu, t_score = find_attenuation(bent, -3.0, 160.0)
    assert t_score == pytest.approx(-3.0, abs=0.03)
    assert bent(hu) == t_score
    assert len(asked) <= 6
    assert find_attenuation(bent, -9.0, 60.0) == (-10.0, bent(-10.0))
