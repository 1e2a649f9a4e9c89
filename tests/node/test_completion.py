"""When a study is complete: tables of facts and times."""

import pytest

from node.completion import Complete, WaitUntil, judge
from node.config import Completion
from node.ledger.records import CompletionFacts
from tests.node.support import at

pytestmark = pytest.mark.unit

CONFIG = Completion(quiet_s={"CT": 60.0, "CR": 20.0}, default_quiet_s=40.0, max_wait_s=600.0)


def facts(*, since: float = 0, last: float = 100, modalities: tuple[str, ...] = ("CT",), associations: int = 0) -> CompletionFacts:
    return CompletionFacts(
        study_uid="1.2.3",
        receiving_since=at(since),
        last_instance_at=at(last),
        modalities=frozenset(modalities),
        open_associations=associations,
    )


@pytest.mark.parametrize(
    ("known", "now_s", "because"),
    [
        pytest.param(facts(), 160, "no new instance for 60 s (CT)", id="quiet time just over"),
        pytest.param(facts(modalities=("CR",)), 120, "no new instance for 20 s (CR)", id="a quicker modality"),
        pytest.param(facts(modalities=("CR", "CT")), 160, "no new instance for 60 s (CT)", id="the slowest of two counts"),
        pytest.param(facts(modalities=("SR",)), 140, "no new instance for 40 s (SR)", id="default for the others"),
        pytest.param(facts(modalities=("CR", "SR")), 140, "no new instance for 40 s (SR)", id="default slower than a named one"),
        pytest.param(facts(modalities=()), 140, "no new instance for 40 s (default)", id="no modality known"),
        pytest.param(facts(last=599), 600, "the maximum wait of 600 s is over", id="still arriving at the maximum wait"),
        pytest.param(facts(associations=1), 600, "the maximum wait of 600 s is over", id="open association at the maximum wait"),
        pytest.param(facts(since=900, last=1000), 1060, "no new instance for 60 s (CT)", id="re-opened: counted from then"),
    ],
)
def test_complete(known: CompletionFacts, now_s: float, because: str) -> None:
    assert judge(known, CONFIG, at(now_s)) == Complete(because=because)


@pytest.mark.parametrize(
    ("known", "now_s", "until_s", "because"),
    [
        pytest.param(facts(), 159.9, 160, "60 s without a new instance (CT)", id="just before"),
        pytest.param(facts(modalities=("CR", "CT")), 125, 160, "60 s without a new instance (CT)", id="CR alone would be complete"),
        pytest.param(facts(last=580), 590, 600, "60 s without a new instance (CT)", id="never later than the maximum wait"),
        pytest.param(facts(associations=1), 170, 600, "1 association is open that sent this study last", id="one open"),
        pytest.param(facts(associations=2), 170, 600, "2 associations are open that sent this study last", id="two open"),
    ],
)
def test_wait(known: CompletionFacts, now_s: float, until_s: float, because: str) -> None:
    assert judge(known, CONFIG, at(now_s)) == WaitUntil(until=at(until_s), because=because)
