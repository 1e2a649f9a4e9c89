"""Three opinions side by side: every combination is told in words, and no opinion takes the place of one that is missing."""

import itertools

import pytest

from inference.ct.opinions import OpinionAgreement, OpinionSource, compare_opinions
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
        (None, None, [], NONE, "Only the reading of every vertebra was given: osteoporosis predicted at no vertebra."),
        (None, None, None, NONE, "No opinion was given."),
    ],
)
def test_what_is_said(band: Band | None, predicted: str | None, levels: list[str] | None, agreement: OpinionAgreement, words: str) -> None:
    found = compare_opinions(band, predicted, levels)
    assert found.agreement is agreement
    assert words in found.text


def test_every_combination_has_words_and_an_order_that_is_ours() -> None:
    for band, predicted, levels in itertools.product((None, *Band), (None, "normal", "osteopenia", "osteoporosis"), (None, [], ["L1"])):
        found = compare_opinions(band, predicted, levels)
        assert found.text.endswith(".")
        assert len(found.given) == sum(one is not None for one in (band, predicted, levels))
        assert (found.agreement is NONE) == (len(found.given) < 2)
        assert all(one.words in found.text for one in found.given)


def test_the_site_chooses_who_leads_and_nobody_steps_in() -> None:
    measured = compare_opinions(Band.LOW, "normal", [])
    assert measured.leading is not None
    assert measured.leading.source is OpinionSource.MEASUREMENT
    experts = compare_opinions(Band.LOW, "normal", [], lead=OpinionSource.EXPERTS)
    assert experts.leading is not None
    assert experts.leading.words == "osteoporosis predicted at no vertebra"
    assert compare_opinions(None, "normal", ["L1"]).leading is None


def test_a_class_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="none of normal"):
        compare_opinions(Band.LOW, "thin", None)
