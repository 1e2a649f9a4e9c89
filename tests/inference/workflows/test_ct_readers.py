"""Two readers in the CT workflow: what the findings say of the second, and when it costs the study its band."""

from pathlib import Path

import numpy as np
import pytest

from inference.bundles import BundleSource
from inference.ct.options import CtOptions
from inference.ct.segmentation.base import Segmentation, Segmenter
from inference.ct.segmentation.both import FIRST_TIME, SECOND_TIME, BothSegmenter
from inference.errors import ReasonCode, Refusal, WarningCode
from inference.findings import Findings, LevelAgreement, Outcome
from inference.reading import find_files, read_headers
from inference.workflows import WorkflowOptions, ct, run_workflow
from tests.inference.ct.phantom import MODEL, spine
from tests.inference.ct.segmentation.readers import SECOND_MODEL, Change, GivenSegmenter, as_second, renamed, shifted, without
from tests.real.studies import write_ct

pytestmark = pytest.mark.unit

NO_SPINE = Refusal(ReasonCode.SPINE_NOT_FOUND, "A heart.")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Segmentation]:
    """A made spine on disk, T12 to L2 with 130 HU at L1, and the segmentation that is exactly right."""
    folder: Path = tmp_path_factory.mktemp("made")
    volume, segmentation = spine(spacing_mm=(2.5, 2.0, 2.0))
    write_ct(volume.hu, volume.affine, folder)
    return folder, segmentation


def read_twice(
    monkeypatch: pytest.MonkeyPatch,
    study: tuple[Path, Segmentation],
    second: Segmentation | Exception,
    *,
    first: Segmentation | Exception | None = None,
    options: CtOptions | None = None,
) -> Findings:
    folder, right = study

    def made(name: str, *, max_slice_spacing_mm: float, bundles: BundleSource, **_: object) -> Segmenter:
        assert (name, max_slice_spacing_mm) == ("both", 5.0)
        reader = GivenSegmenter(answer=first or right)
        return BothSegmenter(first=reader, make_second=lambda: GivenSegmenter(answer=second), allow_alone=bundles.allow_simulated)

    monkeypatch.setattr(ct, "get_segmenter", made)
    headers, _ = read_headers(find_files([folder]))
    return run_workflow("ct", headers, WorkflowOptions(ct=options or CtOptions(segmenter="both")))


def changed(study: tuple[Path, Segmentation], *changes: Change) -> Segmentation:
    return as_second(study[1], *changes)


def test_an_agreeing_second_reader_is_a_fact_and_no_warning(monkeypatch: pytest.MonkeyPatch, study: tuple[Path, Segmentation]) -> None:
    found = read_twice(monkeypatch, study, changed(study))
    assert found.outcome is Outcome.RESULT
    assert found.warnings == ()
    assert found.models == (MODEL, SECOND_MODEL)
    assert found.second_reader is not None
    assert found.second_reader.model == SECOND_MODEL
    assert (found.second_reader.compared, found.second_reader.levels) == (3, LevelAgreement.AGREE)
    for vertebra in found.vertebrae:
        assert vertebra.second_reader is not None
        assert vertebra.second_reader.dice == 1.0
        assert vertebra.second_reader.median_difference_hu == 0.0
        assert (vertebra.second_reader.level, vertebra.second_reader.level_certain) == (vertebra.level, True)
    assert found.images is not None
    assert found.images.second_bodies is not None
    assert np.array_equal(found.images.second_bodies, found.images.bodies)
    assert {"segmentation", FIRST_TIME, SECOND_TIME} <= set(found.timings_s)
    assert found.timings_s["segmentation"] >= found.timings_s[FIRST_TIME] + found.timings_s[SECOND_TIME]


def test_levels_placed_differently_carry_no_band(monkeypatch: pytest.MonkeyPatch, study: tuple[Path, Segmentation]) -> None:
    found = read_twice(monkeypatch, study, changed(study, renamed({0: "L1", 1: "L2", 2: "L3"})))
    assert found.outcome is Outcome.REFUSED
    assert found.reason is not None
    assert found.reason.code is ReasonCode.LEVEL_UNCERTAIN
    assert found.reason.text == "L1 by the measuring reader is L2 by the second reader. The thresholds hold for L1 alone."
    assert [notice.code for notice in found.warnings] == [WarningCode.READERS_DISAGREE_LEVEL]
    for vertebra in found.vertebrae:
        assert (vertebra.level, vertebra.level_certain, vertebra.used) == (None, False, False)
        assert vertebra.rois
        assert vertebra.warnings[0].code is WarningCode.READERS_DISAGREE_LEVEL
    assert found.summary is not None
    assert found.summary.band is None


def test_a_doubted_l1_is_not_called_out_of_view(monkeypatch: pytest.MonkeyPatch, study: tuple[Path, Segmentation]) -> None:
    found = read_twice(monkeypatch, study, changed(study, renamed({0: "T11", 1: None})))
    assert [vertebra.level for vertebra in found.vertebrae] == [None, None, "L2"]
    assert found.reason is not None
    assert found.reason.code is ReasonCode.LEVEL_UNCERTAIN
    assert found.reason.text.startswith("L1: ")


def test_a_mask_that_differs_is_a_warning_beside_its_level(monkeypatch: pytest.MonkeyPatch, study: tuple[Path, Segmentation]) -> None:
    found = read_twice(monkeypatch, study, changed(study, without(1)))
    assert found.outcome is Outcome.RESULT_WITH_WARNINGS
    assert [notice.text for notice in found.warnings] == ["L1: The second reader sees no body here."]
    assert found.summary is not None
    assert found.summary.attenuation_hu == 130.0
    elsewhere = read_twice(monkeypatch, study, changed(study, shifted(-5, 2)))
    assert elsewhere.outcome is Outcome.RESULT_WITH_WARNINGS
    assert elsewhere.warnings == ()
    assert [notice.code for notice in elsewhere.vertebrae[2].warnings] == [WarningCode.READERS_DISAGREE_SHAPE]


def test_a_failing_second_reader_costs_a_warning_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, study: tuple[Path, Segmentation]
) -> None:
    found = read_twice(monkeypatch, study, NO_SPINE)
    assert found.outcome is Outcome.RESULT_WITH_WARNINGS
    assert [notice.code for notice in found.warnings] == [WarningCode.SECOND_READER_FAILED]
    assert found.models == (MODEL,)
    assert found.second_reader is None
    assert all(vertebra.second_reader is None for vertebra in found.vertebrae)


def test_a_second_reader_alone_measures_without_a_band_unless_allowed(
    monkeypatch: pytest.MonkeyPatch, study: tuple[Path, Segmentation]
) -> None:
    found = read_twice(monkeypatch, study, changed(study), first=NO_SPINE)
    assert found.outcome is Outcome.REFUSED
    assert found.reason is not None
    assert found.reason.code is ReasonCode.LEVEL_UNCERTAIN
    assert "trained on simulated anatomy" in found.reason.text
    assert [len(vertebra.rois) for vertebra in found.vertebrae] == [2, 2, 2]
    assert found.models == (SECOND_MODEL,)
    allowed = read_twice(
        monkeypatch, study, changed(study), first=NO_SPINE, options=CtOptions(segmenter="both", bundles=BundleSource(allow_simulated=True))
    )
    assert allowed.outcome is Outcome.RESULT_WITH_WARNINGS
    assert [notice.code for notice in allowed.warnings] == [WarningCode.NETWORK_ALONE]
    assert allowed.summary is not None
    assert allowed.summary.attenuation_hu == 130.0


def test_both_failing_is_the_first_readers_refusal(monkeypatch: pytest.MonkeyPatch, study: tuple[Path, Segmentation]) -> None:
    found = read_twice(monkeypatch, study, NO_SPINE, first=Refusal(ReasonCode.POOR_CONTRAST, "Faint."))
    assert found.reason is not None
    assert (found.reason.code, found.reason.text) == (ReasonCode.POOR_CONTRAST, "Faint.")
