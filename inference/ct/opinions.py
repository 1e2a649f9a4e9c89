"""Three opinions of one CT side by side: the measured attenuation, the class at L1, and the experts' reading of every vertebra.

They answer different questions. A band is where HU lie against two thresholds; MedConv predicts one of the WHO's three classes; the experts
say of each vertebra whether a densitometer would call it osteoporotic, and nothing of osteopenia. So that they can be compared at all, each
is taken for the WHO classes that it leaves open: low for osteoporosis, intermediate for osteopenia, above both thresholds for normal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from inference.findings import Band
from inference.who import LABELS, BoneLabel

CLASSES = tuple(label.value for label in LABELS)
"""The WHO's classes, densest first."""


class OpinionSource(StrEnum):
    """Who says it."""

    MEASUREMENT = "measurement"
    CLASSIFIER = "classifier"
    EXPERTS = "experts"


class OpinionAgreement(StrEnum):
    """How far the opinions lie apart."""

    AGREE = "agree"
    """Some class is left open by all of them."""
    ONE_STEP_APART = "one_step_apart"
    """Two leave open only classes that are neighbours."""
    CONTRADICT = "contradict"
    """One says osteoporosis, another normal density."""
    NOT_COMPARED = "not_compared"
    """Fewer than two were given."""


NAMES = {
    OpinionSource.MEASUREMENT: "the measured attenuation",
    OpinionSource.CLASSIFIER: "the classifier at L1",
    OpinionSource.EXPERTS: "the reading of every vertebra",
}
"""What each is called in a sentence."""


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """One opinion.

    Attributes
    ----------
    words
        As a person reads it.
    open_classes
        The WHO classes that it leaves open.
    """

    source: OpinionSource
    words: str
    open_classes: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Opinions:
    """All that were given.

    Attributes
    ----------
    lead, leading
        Whom the site lets lead, and that one's opinion; None where it was not given. No other ever takes its place.
    sentence, text
        The agreement in words, alone and with what each says.
    """

    given: tuple[Opinion, ...]
    lead: OpinionSource
    leading: Opinion | None
    agreement: OpinionAgreement
    sentence: str
    text: str

    @property
    def lead_sentence(self) -> str:
        """Which opinion leads; of one that was not given, that no other takes its place."""
        leads = f"By the site's setting {NAMES[self.lead]} leads"
        return f"{leads}." if self.leading is not None else f"{leads}; it was not given, and no other takes its place."


_BAND = {
    Band.LOW: ("attenuation low", BoneLabel.OSTEOPOROSIS),
    Band.INTERMEDIATE: ("attenuation intermediate", BoneLabel.OSTEOPENIA),
    Band.ABOVE: ("attenuation above both thresholds", BoneLabel.NORMAL),
}


def compare_opinions(
    band: Band | None, predicted: str | None, osteoporotic_levels: Sequence[str] | None, lead: OpinionSource = OpinionSource.MEASUREMENT
) -> Opinions:
    """The opinions of one study, and how far they agree.

    Parameters
    ----------
    band
        Of the measurement; None where none is reported.
    predicted
        The classifier's class; None where there is none.
    osteoporotic_levels
        Vertebrae that the experts call osteoporotic: any one makes the patient so; empty: they read vertebrae and found none. None where
        they read nothing.
    lead
        The site's choice.

    Raises
    ------
    ValueError
        The class is none of the WHO's.
    """
    given = tuple(one for one in (_of_band(band), _of_class(predicted), _of_experts(osteoporotic_levels)) if one is not None)
    leading = next((one for one in given if one.source is lead), None)
    agreement = _agreement(given)
    sentence = _sentence(given, agreement)
    said = "; ".join(one.words for one in given)
    text = f"{sentence}: {said}." if given else f"{sentence}."
    return Opinions(given=given, lead=lead, leading=leading, agreement=agreement, sentence=f"{sentence}.", text=text)


def advice(recommendation: str, opinions: Opinions | None) -> str:
    """The recommendation that follows the band; DXA is advised before it where another opinion leads and says osteoporosis.

    A leading opinion only ever adds: none takes back what the measurement advises.
    """
    leading = None if opinions is None else opinions.leading
    if leading is None or leading.source is OpinionSource.MEASUREMENT or leading.open_classes != {BoneLabel.OSTEOPOROSIS.value}:
        return recommendation
    said = f"{leading.words[0].upper()}{leading.words[1:]}, which leads by the site's setting: consider DXA."
    return f"{said} {recommendation}"


def _of_band(band: Band | None) -> Opinion | None:
    if band is None:
        return None
    words, label = _BAND[band]
    return Opinion(source=OpinionSource.MEASUREMENT, words=words, open_classes=frozenset({label.value}))


def _of_class(predicted: str | None) -> Opinion | None:
    if predicted is None:
        return None
    if predicted not in CLASSES:
        raise ValueError(f"{predicted!r} is none of {', '.join(CLASSES)}")
    return Opinion(source=OpinionSource.CLASSIFIER, words=f"{predicted} predicted at L1", open_classes=frozenset({predicted}))


def _of_experts(levels: Sequence[str] | None) -> Opinion | None:
    if levels is None:
        return None
    if levels:
        words, left = f"osteoporosis predicted at {', '.join(levels)}", {BoneLabel.OSTEOPOROSIS.value}
    else:
        words, left = "no vertebra predicted osteoporotic", {BoneLabel.NORMAL.value, BoneLabel.OSTEOPENIA.value}
    return Opinion(source=OpinionSource.EXPERTS, words=words, open_classes=frozenset(left))


def _steps(one: Opinion, other: Opinion) -> int:
    """The fewest classes between what two opinions leave open."""
    return min(abs(CLASSES.index(first) - CLASSES.index(second)) for first in one.open_classes for second in other.open_classes)


def _agreement(given: Sequence[Opinion]) -> OpinionAgreement:
    if len(given) < 2:
        return OpinionAgreement.NOT_COMPARED
    furthest = max(_steps(one, other) for one, other in combinations(given, 2))
    return (OpinionAgreement.AGREE, OpinionAgreement.ONE_STEP_APART, OpinionAgreement.CONTRADICT)[furthest]


def _sentence(given: Sequence[Opinion], agreement: OpinionAgreement) -> str:
    if agreement is OpinionAgreement.NOT_COMPARED:
        return f"Only {NAMES[given[0].source]} was given" if given else "No opinion was given"
    if agreement is OpinionAgreement.AGREE:
        return f"{_count(len(given))} agree"
    apart = "contradict each other" if agreement is OpinionAgreement.CONTRADICT else "lie one class apart"
    alone = _odd_one(given)
    return f"The opinions {apart}" + (f" ({NAMES[alone.source]} stands alone)" if alone is not None else "")


def _count(number: int) -> str:
    return "Both opinions" if number == 2 else "All three opinions"


def _odd_one(given: Sequence[Opinion]) -> Opinion | None:
    """The one of three that two others, which agree, are both away from."""
    if len(given) < 3:
        return None
    for one in given:
        others = [other for other in given if other is not one]
        if _steps(*others) == 0 and all(_steps(one, other) > 0 for other in others):
            return one
    return None
