"""Two readers as one segmenter: the first measures, and one that fails does not fail the study."""

import threading
from collections.abc import Callable

import pytest

from inference.ct.segmentation.base import Segmentation, Segmenter
from inference.ct.segmentation.both import FIRST_TIME, NOT_MEASURABLE, SECOND_TIME, BothSegmenter
from inference.errors import PermanentError, ReasonCode, Refusal, WarningCode
from inference.volume import Volume
from tests.inference.ct.phantom import MODEL, spine
from tests.inference.ct.segmentation.readers import SECOND_MODEL, GivenSegmenter, as_second, unnamed

pytestmark = pytest.mark.unit

NO_SPINE = Refusal(ReasonCode.SPINE_NOT_FOUND, "A heart.")


@pytest.fixture(scope="module")
def scan() -> tuple[Volume, Segmentation]:
    return spine(spacing_mm=(2.0, 2.0, 2.0))


def both(first: Segmentation | Exception, second: Segmentation | Exception, *, allow_alone: bool = False) -> BothSegmenter:
    return BothSegmenter(first=GivenSegmenter(answer=first), make_second=lambda: GivenSegmenter(answer=second), allow_alone=allow_alone)


def test_the_first_reader_measures_and_the_second_is_heard(scan: tuple[Volume, Segmentation]) -> None:
    volume, first = scan
    segmenter = both(first, as_second(first))
    found = segmenter.segment(volume)
    assert segmenter.model == MODEL
    assert found.model == MODEL
    assert found.bodies is first.bodies
    assert found.notices == ()
    assert found.second is not None
    assert found.second.agreement.model == SECOND_MODEL
    assert set(found.timings_s) == {FIRST_TIME, SECOND_TIME}
    assert min(found.timings_s.values()) >= 0.001


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (NO_SPINE, "SPINE_NOT_FOUND: A heart."),
        (PermanentError("the bundle has a changed byte"), "the bundle has a changed byte"),
        (ModuleNotFoundError("No module named 'torch'"), "ModuleNotFoundError: No module named 'torch'"),
        (RuntimeError("DefaultCPUAllocator:\n  can't allocate memory"), "RuntimeError: DefaultCPUAllocator: can't allocate memory"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_a_second_reader_that_fails_leaves_the_first_alone_with_a_warning(
    scan: tuple[Volume, Segmentation], failure: Exception, told: str
) -> None:
    volume, first = scan
    found = both(first, failure).segment(volume)
    assert found.vertebrae == first.vertebrae
    assert found.second is None
    assert [notice.code for notice in found.notices] == [WarningCode.SECOND_READER_FAILED]
    assert f"({told})" in found.notices[0].text


def test_a_second_reader_that_cannot_be_made_leaves_the_first_alone(scan: tuple[Volume, Segmentation]) -> None:
    volume, first = scan

    def broken() -> Segmenter:
        raise PermanentError("no bundle is called 'vertebrae'")

    found = BothSegmenter(first=GivenSegmenter(answer=first), make_second=broken).segment(volume)
    assert "no bundle is called" in found.notices[0].text


def test_a_defect_of_the_second_reader_is_no_failure_to_pass_over(scan: tuple[Volume, Segmentation]) -> None:
    volume, first = scan
    with pytest.raises(ZeroDivisionError):
        both(first, ZeroDivisionError()).segment(volume)


def test_the_second_reader_alone_lists_bodies_without_a_certain_level(scan: tuple[Volume, Segmentation]) -> None:
    volume, second = scan
    found = both(NO_SPINE, as_second(second)).segment(volume)
    assert found.model == SECOND_MODEL
    assert found.second is None
    assert [body.level for body in found.vertebrae] == ["T12", "L1", "L2"]
    assert not any(body.level_certain for body in found.vertebrae)
    assert "trained on simulated anatomy: it carries no band unless the site allows it" in found.vertebrae[0].uncertain_because
    assert [notice.code for notice in found.notices] == [WarningCode.NETWORK_ALONE]
    assert "SPINE_NOT_FOUND: A heart." in found.notices[0].text


@pytest.mark.parametrize(("change", "certain"), [(lambda found: found, True), (unnamed, False)])
def test_a_site_may_let_the_second_reader_measure_by_its_own_anchors(
    scan: tuple[Volume, Segmentation], change: Callable[[Segmentation], Segmentation], certain: bool
) -> None:
    volume, second = scan
    found = both(NO_SPINE, as_second(second, change), allow_alone=True).segment(volume)
    assert all(body.level_certain is certain for body in found.vertebrae)
    assert [notice.code for notice in found.notices] == [WarningCode.NETWORK_ALONE]


@pytest.mark.parametrize("code", sorted(NOT_MEASURABLE))
def test_what_no_reader_can_measure_stays_refused(scan: tuple[Volume, Segmentation], code: ReasonCode) -> None:
    volume, second = scan
    with pytest.raises(Refusal) as refused:
        both(Refusal(code, "So."), as_second(second), allow_alone=True).segment(volume)
    assert refused.value.code is code


def test_the_first_readers_refusal_stands_where_neither_answers(scan: tuple[Volume, Segmentation]) -> None:
    volume, _ = scan
    with pytest.raises(Refusal) as refused:
        both(Refusal(ReasonCode.POOR_CONTRAST, "Faint."), NO_SPINE).segment(volume)
    assert (refused.value.code, refused.value.text) == (ReasonCode.POOR_CONTRAST, "Faint.")


def test_the_second_reader_is_made_beside_the_first_and_reads_after_it(scan: tuple[Volume, Segmentation]) -> None:
    volume, first = scan
    made, told = threading.Event(), []

    class First(GivenSegmenter):
        def segment(self, volume: Volume) -> Segmentation:
            assert made.wait(10), "the second reader is made while the first reads"
            told.append("first")
            return super().segment(volume)

    class Second(GivenSegmenter):
        def segment(self, volume: Volume) -> Segmentation:
            told.append("second")
            return super().segment(volume)

    def make() -> Segmenter:
        made.set()
        return Second(answer=as_second(first))

    BothSegmenter(first=First(answer=first), make_second=make).segment(volume)
    assert told == ["first", "second"]
