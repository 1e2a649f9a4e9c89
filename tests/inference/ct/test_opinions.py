"""Three opinions side by side: every combination is told in words, and no opinion takes the place of one that is missing."""

import itertools

import pytest

from inference.ct.opinions import NAMES, OpinionAgreement, Opinions, OpinionSource, advice, compare_opinions
from inference.findings import Band

pytestmark = pytest.mark.unit

AGREE, STEP, CONTRADICT, NONE = (
    OpinionAgreement.AGREE,
    OpinionAgreement.ONE_STEP_APART,
    OpinionAgreement.CONTRADICT,
    OpinionAgreement.NOT_COMPARED,
)


@pytest.mark.parametrize(
    ("band", "predicted", "levels", "agreement", "words"),
    [
        (Band.LOW, "osteoporosis", ["L1", "L3"], AGREE, "All three opinions agree: attenuation low; osteoporosis predicted at L1; "),
        (Band.ABOVE, "normal", [], AGREE, "All three opinions agree"),
        (Band.INTERMEDIATE, "osteopenia", [], AGREE, "All three opinions agree"),
        (Band.INTERMEDIATE, "normal", [], STEP, "lie one class apart"),
        (Band.LOW, "osteoporosis", [], STEP, "lie one class apart (the reading of every vertebra stands alone)"),
        (Band.LOW, "normal", [], CONTRADICT, "contradict each other (the measured attenuation stands alone)"),
        (Band.ABOVE, "normal", ["L2"], CONTRADICT, "(the reading of every vertebra stands alone)"),
        (Band.LOW, "normal", ["L2"], CONTRADICT, "(the classifier at L1 stands alone)"),
        (Band.LOW, "osteopenia", None, STEP, "lie one class apart: attenuation low; osteopenia predicted at L1."),
        (Band.LOW, None, ["L4"], AGREE, "Both opinions agree: attenuation low; osteoporosis predicted at L4."),
        (None, None, [], NONE, "Only the reading of every vertebra was given: no vertebra predicted osteoporotic."),
        (None, None, None, NONE, "No opinion was given."),
    ],
)
def test_what_is_said(band: Band | None, predicted: str | None, levels: list[str] | None, agreement: OpinionAgreement, words: str) -> None:
    found = compare_opinions(band, predicted, levels)
    assert found.agreement is agreement
    assert words in found.text


M, C, E = (NAMES[source] for source in OpinionSource)
LOW, BETWEEN, ABOVE = Band.LOW, Band.INTERMEDIATE, Band.ABOVE
THREE = [
    # band, class, whether the experts find osteoporosis; how far apart, and who stands alone
    (LOW, "osteoporosis", True, AGREE, None),
    (LOW, "osteoporosis", False, STEP, E),
    (LOW, "osteopenia", True, STEP, C),
    (LOW, "osteopenia", False, STEP, M),
    (LOW, "normal", True, CONTRADICT, C),
    (LOW, "normal", False, CONTRADICT, M),
    (BETWEEN, "osteoporosis", True, STEP, M),
    (BETWEEN, "osteoporosis", False, STEP, C),
    (BETWEEN, "osteopenia", True, STEP, E),
    (BETWEEN, "osteopenia", False, AGREE, None),
    (BETWEEN, "normal", True, CONTRADICT, None),
    (BETWEEN, "normal", False, STEP, None),
    (ABOVE, "osteoporosis", True, CONTRADICT, M),
    (ABOVE, "osteoporosis", False, CONTRADICT, C),
    (ABOVE, "osteopenia", True, CONTRADICT, None),
    (ABOVE, "osteopenia", False, STEP, None),
    (ABOVE, "normal", True, CONTRADICT, E),
    (ABOVE, "normal", False, AGREE, None),
]
TWO = [
    (LOW, "osteoporosis", None, AGREE),
    (LOW, "osteopenia", None, STEP),
    (LOW, "normal", None, CONTRADICT),
    (BETWEEN, "osteoporosis", None, STEP),
    (BETWEEN, "osteopenia", None, AGREE),
    (BETWEEN, "normal", None, STEP),
    (ABOVE, "osteoporosis", None, CONTRADICT),
    (ABOVE, "osteopenia", None, STEP),
    (ABOVE, "normal", None, AGREE),
    (LOW, None, True, AGREE),
    (LOW, None, False, STEP),
    (BETWEEN, None, True, STEP),
    (BETWEEN, None, False, AGREE),
    (ABOVE, None, True, CONTRADICT),
    (ABOVE, None, False, AGREE),
    (None, "osteoporosis", True, AGREE),
    (None, "osteoporosis", False, STEP),
    (None, "osteopenia", True, STEP),
    (None, "osteopenia", False, AGREE),
    (None, "normal", True, CONTRADICT),
    (None, "normal", False, AGREE),
]
SAID = {AGREE: "agree", STEP: "lie one class apart", CONTRADICT: "contradict each other"}


def compared(band: Band | None, predicted: str | None, found: bool | None) -> Opinions:
    return compare_opinions(band, predicted, None if found is None else ["L1", "L3"] if found else [])


@pytest.mark.parametrize(("band", "predicted", "found", "agreement", "alone"), THREE)
def test_three_opinions(band: Band, predicted: str, found: bool, agreement: OpinionAgreement, alone: str | None) -> None:
    opinions = compared(band, predicted, found)
    assert opinions.agreement is agreement
    start = "All three opinions" if agreement is AGREE else "The opinions"
    assert opinions.sentence == f"{start} {SAID[agreement]}" + (f" ({alone} stands alone)." if alone else ".")


@pytest.mark.parametrize(("band", "predicted", "found", "agreement"), TWO)
def test_two_opinions(band: Band | None, predicted: str | None, found: bool | None, agreement: OpinionAgreement) -> None:
    opinions = compared(band, predicted, found)
    assert opinions.agreement is agreement
    assert opinions.sentence == f"{'Both' if agreement is AGREE else 'The'} opinions {SAID[agreement]}."


def test_every_combination_is_in_a_table_and_says_what_each_says() -> None:
    told = {case[:3] for case in (*THREE, *TWO)}
    for case in itertools.product((None, *Band), (None, "normal", "osteopenia", "osteoporosis"), (None, True, False)):
        found = compared(*case)
        assert len(found.given) == sum(one is not None for one in case)
        assert (found.agreement is NONE) == (len(found.given) < 2) == (case not in told)
        assert all(one.words in found.text for one in found.given)
        assert found.text.startswith(found.sentence[:-1])


@pytest.mark.parametrize("lead", OpinionSource)
@pytest.mark.parametrize("case", [(LOW, "normal", True), (None, "normal", True), (LOW, None, True), (LOW, "normal", None), (None,) * 3])
def test_the_site_chooses_who_leads_and_nobody_steps_in(lead: OpinionSource, case: tuple[Band | None, str | None, bool | None]) -> None:
    band, predicted, found = case
    opinions = compare_opinions(band, predicted, None if found is None else ["L1"], lead)
    wanted = dict(zip(OpinionSource, case, strict=True))[lead]
    assert (opinions.leading is None) == (wanted is None)
    assert opinions.leading is None or opinions.leading.source is lead
    assert opinions.lead_sentence.startswith(f"By the site's setting {NAMES[lead]} leads")
    assert ("no other takes its place" in opinions.lead_sentence) == (wanted is None)
    assert compare_opinions(band, predicted, None if found is None else ["L1"]).lead is OpinionSource.MEASUREMENT


def test_a_leading_opinion_adds_to_the_advice_and_never_takes_it_back() -> None:
    band = "Trabecular attenuation is above both thresholds."
    alarmed = compare_opinions(Band.ABOVE, "osteoporosis", ["L2"], OpinionSource.EXPERTS)
    assert advice(band, alarmed) == f"Osteoporosis predicted at L2, which leads by the site's setting: consider DXA. {band}"
    for calm in (
        None,
        compare_opinions(Band.ABOVE, "osteoporosis", ["L2"]),
        compare_opinions(Band.LOW, "osteoporosis", [], OpinionSource.EXPERTS),
        compare_opinions(Band.LOW, "osteopenia", ["L1"], OpinionSource.CLASSIFIER),
        compare_opinions(Band.LOW, None, ["L1"], OpinionSource.CLASSIFIER),
    ):
        assert advice(band, calm) == band


def test_a_class_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="none of normal"):
        compare_opinions(Band.LOW, "thin", None)
