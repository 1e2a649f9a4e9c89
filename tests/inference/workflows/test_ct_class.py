"""A density class in the CT workflow: beside the band, never instead of it, and nothing is lost where there is none."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from inference.bundles import BundleSource
from inference.bundles.layout import WEIGHTS
from inference.ct.options import CtOptions
from inference.ct.segmentation.base import Segmentation, Segmenter
from inference.ct.segmentation.both import BothSegmenter
from inference.errors import WarningCode
from inference.findings import Band, ClassAgreement, Findings, Outcome
from inference.reading import find_files, read_headers
from inference.workflows import WorkflowOptions, ct, run_workflow
from tests.inference.ct.made_classifier import write_classifier
from tests.inference.ct.phantom import MODEL, spine
from tests.inference.ct.segmentation.readers import SECOND_MODEL, GivenSegmenter, as_second
from tests.real.studies import write_ct

pytestmark = pytest.mark.unit

NORMAL, OSTEOPOROSIS = (4.0, 0.0, 0.0), (0.0, 0.0, 4.0)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Segmentation]:
    """T12 to L2 with 90 HU at L1, which is low, and the segmentation that is exactly right."""
    folder: Path = tmp_path_factory.mktemp("made")
    volume, segmentation = spine(spacing_mm=(2.5, 2.0, 2.0), trabecular_hu=(95, 90, 85))
    return write_ct(volume.hu, volume.affine, folder), segmentation


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    folder = tmp_path / "shipped"
    folder.mkdir()
    return folder


def run(
    monkeypatch: pytest.MonkeyPatch,
    study: tuple[Path, Segmentation],
    bundles: Path,
    *,
    allowed: bool = True,
    classifier: str | None = "medconv",
) -> Findings:
    folder, segmentation = study

    def both(*_: object, **__: object) -> Segmenter:
        first, second = GivenSegmenter(answer=segmentation), GivenSegmenter(answer=as_second(segmentation))
        return BothSegmenter(first=first, make_second=lambda: second)

    monkeypatch.setattr(ct, "get_segmenter", both)
    headers, _ = read_headers(find_files([folder]))
    source = BundleSource(shipped=bundles, allow_simulated=allowed)
    return run_workflow("ct", headers, WorkflowOptions(ct=CtOptions(classifier=classifier, bundles=source)))


def assert_measured(found: Findings) -> None:
    """The attenuation is what it is without a classifier."""
    assert found.summary is not None
    assert (found.summary.level, found.summary.attenuation_hu, found.summary.band) == ("L1", 90.0, Band.LOW)


def test_a_class_stands_beside_the_band(monkeypatch: pytest.MonkeyPatch, study: tuple[Path, Segmentation], bundles: Path) -> None:
    bundle = write_classifier(bundles / "medconv", OSTEOPOROSIS)
    found = run(monkeypatch, study, bundles)
    assert_measured(found)
    assert found.outcome is Outcome.RESULT
    assert found.density_class is not None
    assert (found.density_class.predicted, found.density_class.agreement) == ("osteoporosis", ClassAgreement.AGREES)
    assert found.models == (MODEL, SECOND_MODEL, bundle.model_used), "what measured comes first"
    assert 0 < found.timings_s["classification"] < found.timings_s["total"]


def test_a_contradiction_warns_and_changes_no_number(
    monkeypatch: pytest.MonkeyPatch, study: tuple[Path, Segmentation], bundles: Path
) -> None:
    write_classifier(bundles / "medconv", NORMAL)
    found = run(monkeypatch, study, bundles)
    assert_measured(found)
    assert found.outcome is Outcome.RESULT_WITH_WARNINGS
    assert [notice.code for notice in found.warnings] == [WarningCode.CLASS_CONTRADICTS_BAND]
    assert "predicts normal at L1, where 90 HU (low)" in found.warnings[0].text


@pytest.mark.parametrize("logits", [None, OSTEOPOROSIS])
def test_a_bundle_that_is_absent_or_waits_for_leave_leaves_the_study_as_it_is(
    monkeypatch: pytest.MonkeyPatch, study: tuple[Path, Segmentation], bundles: Path, logits: Sequence[float] | None
) -> None:
    if logits is not None:
        write_classifier(bundles / "medconv", logits)
    found = run(monkeypatch, study, bundles, allowed=False)
    assert_measured(found)
    assert found.outcome is Outcome.RESULT
    assert found.warnings == ()
    assert found.models == (MODEL, SECOND_MODEL)
    assert found.density_class is not None
    assert found.density_class.probabilities is None
    assert found.density_class.because


def test_without_a_classifier_nothing_is_said_of_one(
    monkeypatch: pytest.MonkeyPatch, study: tuple[Path, Segmentation], bundles: Path
) -> None:
    write_classifier(bundles / "medconv", OSTEOPOROSIS)
    found = run(monkeypatch, study, bundles, classifier=None)
    assert_measured(found)
    assert found.density_class is None


def test_a_damaged_bundle_is_told_and_the_attenuation_stands(
    monkeypatch: pytest.MonkeyPatch, study: tuple[Path, Segmentation], bundles: Path
) -> None:
    weights = write_classifier(bundles / "medconv").folder / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-8])
    found = run(monkeypatch, study, bundles)
    assert_measured(found)
    assert found.outcome is Outcome.RESULT_WITH_WARNINGS
    assert [notice.code for notice in found.warnings] == [WarningCode.CLASSIFIER_FAILED]
    assert found.models == (MODEL, SECOND_MODEL)
