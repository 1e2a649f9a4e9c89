"""The probability of osteoporosis from the crop: what the network is given, what is made of its scores, and what stands beside it."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inference import classifier
from inference.bundles import Bundle, BundleError, BundleSource, Kind, Normalisation
from inference.bundles.network import read_network
from inference.classifier import Classified
from inference.dxa.classify import (
    agreement_of,
    check_classifier,
    classify_spine,
    crop_size,
    network_input,
    open_classifier,
    spine_probabilities,
)
from inference.dxa.crop import SpineRoi, crop_spine
from inference.dxa.options import DxaOptions
from inference.dxa.patient import NOT_OSTEOPOROSIS, OSTEOPOROSIS, PatientLevel, patient_level
from inference.errors import ReasonCode, WarningCode
from inference.findings import ClassAgreement
from inference.who import BoneLabel
from tests.inference.dxa.made_classifier import TEMPERATURE, spine_input, write_spine_classifier
from tests.inference.dxa.scans import bordered, pixels

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose answer depends on the image."""
    folder: Path = tmp_path_factory.mktemp("bundles")
    return write_spine_classifier(folder / "dxa-cnn21")


@pytest.fixture(scope="module")
def roi() -> SpineRoi:
    return crop_spine(pixels(bordered("GE Lunar")), (150, 150))


def device(t_score: float) -> PatientLevel:
    return patient_level({}, dict.fromkeys(("L1", "L2", "L3", "L4"), t_score) | {"L1-L4": t_score})


def test_probabilities_are_the_softmax_of_the_networks_scores_over_the_temperature(looking: Bundle, roi: SpineRoi) -> None:
    with torch.inference_mode():
        scores = read_network(looking)(torch.from_numpy(np.stack([roi.image] * 3))[None])[0].double().numpy()
    powers = np.exp((scores - scores.max()) / TEMPERATURE)
    found = spine_probabilities(roi, looking)
    assert list(found) == [NOT_OSTEOPOROSIS, OSTEOPOROSIS]
    assert found[OSTEOPOROSIS] == pytest.approx(powers[1] / powers.sum())
    assert 0.02 < found[OSTEOPOROSIS] < 0.98, "this network must be able to change its mind"
    other = dataclasses.replace(roi, image=np.ascontiguousarray(roi.image[::-1]))
    assert spine_probabilities(other, looking) != found


def test_the_network_sees_the_crop_alone_once_a_channel(looking: Bundle, roi: SpineRoi) -> None:
    given = network_input(roi, looking)
    assert given.shape == (3, 150, 150)
    assert given.dtype == np.float32
    assert all(np.array_equal(channel, roi.image) for channel in given)
    elsewhere = dataclasses.replace(roi, box=(0, 0, 10, 10), discs=(1.0, 2.0, 3.0, 4.0, 5.0), because="other words")
    assert spine_probabilities(elsewhere, looking) == spine_probabilities(roi, looking)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"classes": ("normal", "osteopenia")}, "its classes is normal, osteopenia"),
        ({"input": spine_input(normalisation=Normalisation.MIN_MAX)}, "its normalisation is min_max"),
        ({"kind": Kind.REGRESSION, "classes": (), "targets": ("t_score", "bmd"), "temperature": None}, "its kind is regression"),
        ({"input": spine_input(modality="CT")}, "its modality is CT"),
    ],
)
def test_a_bundle_for_something_else_is_refused(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(BundleError, match=f"the bundle dxa-cnn21 is no classifier for DXA: {named}"):
        check_classifier(write_spine_classifier(tmp_path / "dxa-cnn21", **changes))


def test_a_bundle_is_opened_or_it_is_said_why_not(looking: Bundle, tmp_path: Path) -> None:
    folder = looking.folder.parent
    opened = open_classifier(DxaOptions(bundles=BundleSource(folder=folder, allow_simulated=True)))
    assert isinstance(opened, Bundle)
    assert crop_size(opened) == (150, 150)
    assert open_classifier(DxaOptions(classifier=None)) == Classified()
    not_allowed = open_classifier(DxaOptions(bundles=BundleSource(folder=folder)))
    absent = open_classifier(DxaOptions(bundles=BundleSource(folder=tmp_path, shipped=tmp_path)))
    for found, because in ((not_allowed, "was trained on simulated patients"), (absent, "there is no bundle 'dxa-cnn21'")):
        assert isinstance(found, Classified)
        assert found.density is not None
        assert because in found.density.because
        assert (found.code, found.warnings) == (ReasonCode.NO_TRAINED_MODEL, ())


AGREES, APART, AGAINST = ClassAgreement.AGREES, ClassAgreement.ONE_STEP_APART, ClassAgreement.CONTRADICTS


@pytest.mark.parametrize(
    ("logits", "t_score", "predicted", "agreement"),
    [
        ((0.0, 2.0), -2.5, OSTEOPOROSIS, AGREES),
        ((0.0, 2.0), -2.4, OSTEOPOROSIS, APART),
        ((0.0, 2.0), -1.0, OSTEOPOROSIS, AGAINST),
        ((2.0, 0.0), -1.0, NOT_OSTEOPOROSIS, AGREES),
        ((2.0, 0.0), -2.4, NOT_OSTEOPOROSIS, AGREES),
        ((2.0, 0.0), -2.5, NOT_OSTEOPOROSIS, AGAINST),
    ],
)
def test_the_answer_is_compared_with_the_devices_t_score(
    tmp_path: Path, roi: SpineRoi, logits: tuple[float, float], t_score: float, predicted: str, agreement: ClassAgreement
) -> None:
    found = classify_spine(roi, write_spine_classifier(tmp_path / "dxa-cnn21", logits), device(t_score))
    assert found.density is not None
    assert (found.density.predicted, found.density.agreement) == (predicted, agreement)
    assert [notice.code for notice in found.warnings] == ([WarningCode.CLASS_CONTRADICTS_DEVICE] if agreement is AGAINST else [])
    if agreement is AGAINST:
        assert f"a T-score of {t_score:.1f} (L1-L4)" in found.warnings[0].text
        assert "trained on simulated patients" in found.warnings[0].text


def test_agreement_by_class() -> None:
    assert [agreement_of(OSTEOPOROSIS, label) for label in BoneLabel] == [AGAINST, APART, AGREES]
    assert [agreement_of(NOT_OSTEOPOROSIS, label) for label in BoneLabel] == [AGREES, AGREES, AGAINST]


def test_without_a_t_score_nothing_is_compared(looking: Bundle, roi: SpineRoi) -> None:
    for values in (None, patient_level({"L1": 0.8, "L2": 0.9}, {})):
        found = classify_spine(roi, looking, values)
        assert found.density is not None
        assert found.density.probabilities is not None
        assert found.density.agreement is None
        assert found.warnings == ()
        assert (
            found.density.because == "read from the crop of L1 to L4 (150 x 150 pixels), calibrated on validation cases (temperature 1.60)"
        )


def test_doubted_levels_and_a_missing_calibration_are_said(tmp_path: Path, roi: SpineRoi) -> None:
    doubted = dataclasses.replace(roi, levels_certain=False, because="no iliac crest names the discs")
    found = classify_spine(doubted, write_spine_classifier(tmp_path / "dxa-cnn21", (0.0, 1.0), temperature=None), None)
    assert found.density is not None
    assert found.density.because.endswith("(150 x 150 pixels), not calibrated")
    assert [notice.code for notice in found.warnings] == [WarningCode.LEVEL_UNCERTAIN]
    assert "no iliac crest names the discs" in found.warnings[0].text


@pytest.mark.parametrize("failure", [torch.full((1, 2), torch.nan), MemoryError("out of it")])
def test_a_network_that_fails_costs_the_probability_and_nothing_else(
    looking: Bundle, roi: SpineRoi, failure: torch.Tensor | Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def network(_: torch.Tensor) -> torch.Tensor:
        if isinstance(failure, Exception):
            raise failure
        return failure

    monkeypatch.setattr(classifier, "load_network", lambda _: network)
    found = classify_spine(roi, looking, device(-3.0))
    assert found.density is not None
    assert found.density.probabilities is None
    assert found.code is ReasonCode.INTERNAL_ERROR
    assert [notice.code for notice in found.warnings] == [WarningCode.CLASSIFIER_FAILED]
    assert "what the device states stands without it" in found.warnings[0].text
