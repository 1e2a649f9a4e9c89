"""What classifiers share: scores to probabilities by hand, and a reason wherever there are none."""

import math
from pathlib import Path

import numpy as np
import pytest

from inference.bundles import Bundle, BundleError, BundleNotAllowedError, BundleNotFoundError, BundleNotPinnedError
from inference.classifier import Classified, agreement_by_steps, attempted, check_bundle, class_probabilities
from inference.errors import PermanentError, ReasonCode, WarningCode
from inference.findings import ClassAgreement
from tests.inference.dxa.made_classifier import write_spine_classifier

pytestmark = pytest.mark.unit

SCORES = np.array([1.0, 3.0], dtype=np.float32)


@pytest.mark.parametrize(("temperature", "expected"), [(None, 1 / (1 + math.exp(-2.0))), (2.0, 1 / (1 + math.exp(-1.0)))])
def test_scores_are_divided_by_the_temperature(tmp_path: Path, temperature: float | None, expected: float) -> None:
    bundle = write_spine_classifier(tmp_path / "b", (0.0, 0.0), temperature=temperature)
    found = class_probabilities(SCORES, bundle)
    assert list(found) == ["normal", "osteoporosis"]
    assert found["osteoporosis"] == pytest.approx(expected)
    assert sum(found.values()) == pytest.approx(1.0)


def test_classes_come_densest_first_and_priors_after_the_temperature(tmp_path: Path) -> None:
    bundle = write_spine_classifier(
        tmp_path / "b", (0.0, 0.0), classes=("osteoporosis", "normal"), temperature=2.0, priors=(0.2, 0.8), tau1=1.0, tau2=1.0
    )
    found = class_probabilities(SCORES, bundle)
    assert list(found) == ["normal", "osteoporosis"]
    sick, well = math.exp(0.5) / 0.2, math.exp(1.5) / 0.8
    assert found["osteoporosis"] == pytest.approx(sick / (sick + well))


@pytest.mark.parametrize(
    ("first", "second", "agreement"),
    [
        ("normal", "normal", ClassAgreement.AGREES),
        ("osteopenia", "normal", ClassAgreement.ONE_STEP_APART),
        ("osteopenia", "osteoporosis", ClassAgreement.ONE_STEP_APART),
        ("osteoporosis", "normal", ClassAgreement.CONTRADICTS),
        ("normal", "osteoporosis", ClassAgreement.CONTRADICTS),
    ],
)
def test_agreement_counts_the_whos_steps(first: str, second: str, agreement: ClassAgreement) -> None:
    assert agreement_by_steps(first, second) is agreement


@pytest.mark.parametrize(
    ("error", "code", "warned"),
    [
        (BundleNotFoundError("there is no bundle 'x'"), ReasonCode.NO_TRAINED_MODEL, False),
        (BundleNotAllowedError("x was trained on simulated patients"), ReasonCode.NO_TRAINED_MODEL, False),
        (BundleNotPinnedError("another x is pinned"), ReasonCode.BUNDLE_NOT_ALLOWED, True),
        (BundleError("x is damaged"), ReasonCode.BUNDLE_INVALID, True),
        (PermanentError("scores are no numbers"), ReasonCode.INTERNAL_ERROR, True),
        (MemoryError(), ReasonCode.INTERNAL_ERROR, True),
    ],
)
def test_what_a_site_chose_is_told_and_what_failed_is_warned_of(error: Exception, code: ReasonCode, warned: bool) -> None:
    def fail() -> Classified:
        raise error

    found = attempted("L1", "the attenuation stands without it", fail)
    assert found.density is not None
    assert found.density.model is None
    assert found.density.because == (str(error) if warned and str(error) else getattr(error, "text", type(error).__name__))
    assert found.code is code
    assert [notice.code for notice in found.warnings] == ([WarningCode.CLASSIFIER_FAILED] if warned else [])
    assert all("the attenuation stands without it" in notice.text for notice in found.warnings)


def test_an_attempt_that_succeeds_is_passed_on() -> None:
    assert attempted("L1", "", lambda: 5) == 5


def test_a_bundle_is_refused_by_the_first_thing_that_does_not_fit(tmp_path: Path) -> None:
    bundle: Bundle = write_spine_classifier(tmp_path / "b", (0.0, 0.0))
    check_bundle(bundle, "classifier", [("kind", "classification", True)])
    with pytest.raises(BundleError, match="the bundle dxa-cnn21 is no classifier for films: its modality is BMD"):
        check_bundle(bundle, "classifier for films", [("kind", "x", True), ("modality", "BMD", False), ("classes", "y", False)])
    with pytest.raises(BundleError, match="its crop is missing"):
        check_bundle(bundle, "classifier for films", [("crop", None, False)])
