"""The density class at L1: what the network is given, what becomes of its scores, and when nobody may say anything."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inference import classifier
from inference.bundles import Bundle, BundleError, BundleSource, Crop, Kind, Normalisation, TrainedOn
from inference.bundles.layout import WEIGHTS
from inference.bundles.network import read_network
from inference.classifier import CLASSES, Classified
from inference.ct.contrast import ContrastPhase
from inference.ct.crop import OUTSIDE_HU, crop_around
from inference.ct.density_class import agreement_of, check_classifier, classify_body, classify_study, network_input
from inference.ct.measure import measure_bodies
from inference.ct.options import CtOptions
from inference.ct.quality import assess
from inference.ct.segmentation.base import Segmentation
from inference.ct.summary import summarise
from inference.errors import ReasonCode, WarningCode
from inference.findings import Band, ClassAgreement, DensityClass
from inference.volume import Volume
from tests.inference.ct.made_classifier import PRIORS, SIZE, classifier_input, write_classifier
from tests.inference.ct.phantom import MODEL, spine

pytestmark = pytest.mark.unit

L1 = 2


@pytest.fixture(scope="module")
def made() -> tuple[Volume, Segmentation]:
    """T12 to L2 with 130 HU at L1: between the thresholds."""
    return spine(spacing_mm=(2.5, 2.0, 2.0))


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Random weights."""
    folder: Path = tmp_path_factory.mktemp("looking")
    return write_classifier(folder / "medconv")


def classified(
    made: tuple[Volume, Segmentation],
    shipped: Path,
    *,
    options: CtOptions | None = None,
    allow: bool = True,
) -> Classified:
    volume, segmentation = made
    chosen = dataclasses.replace(options or CtOptions(), bundles=BundleSource(shipped=shipped, allow_simulated=allow))
    vertebrae = assess(measure_bodies(volume, segmentation, chosen).bodies, chosen)
    return classify_study(volume, segmentation, vertebrae, summarise(vertebrae, ContrastPhase.NATIVE, 120.0, chosen), chosen)


def test_the_network_is_given_the_crop_that_the_bundle_names(made: tuple[Volume, Segmentation], looking: Bundle) -> None:
    volume, segmentation = made
    mask = segmentation.bodies == L1
    given = network_input(volume, mask, looking)
    hu = crop_around(volume, mask, (SIZE,) * 3, (3.0,) * 3, margin_mm=2.0, masked=True)
    np.testing.assert_allclose(given, np.clip((hu + 100) / 600, 0, 1), atol=1e-6)
    assert given.dtype == np.float32
    middle = SIZE // 2
    assert given[middle, middle, middle] == pytest.approx(230 / 600, abs=1e-3)
    assert given[0, 0, 0] == 0.0


def test_other_bundles_are_given_other_crops(made: tuple[Volume, Segmentation], tmp_path: Path) -> None:
    volume, segmentation = made
    mask = segmentation.bodies == L1
    network = classifier_input(normalisation=Normalisation.WINDOW_TO_MINUS_ONE_ONE, spacing_mm=(2.0, 3.0, 4.0), patch_size=(16, 8, 12))
    box = write_classifier(tmp_path / "box", input=network, crop=Crop(mask="box"))
    given = network_input(volume, mask, box)
    hu = crop_around(volume, mask, (16, 8, 12), (2.0, 3.0, 4.0), margin_mm=0.0, masked=False)
    assert hu.min() > OUTSIDE_HU
    np.testing.assert_allclose(given, np.clip((hu - 200) / 300, -1, 1), atol=1e-5)


@pytest.mark.parametrize("tau2", [0.0, 0.5, 1.0])
def test_scores_are_adjusted_by_the_priors(made: tuple[Volume, Segmentation], tmp_path: Path, tau2: float) -> None:
    volume, segmentation = made
    bundle = write_classifier(tmp_path / "made", tau2=tau2)
    mask = segmentation.bodies == L1
    with torch.inference_mode():
        scores = read_network(bundle)(torch.from_numpy(network_input(volume, mask, bundle))[None, None])[0]
        expected = torch.softmax(scores.double() - tau2 * torch.log(torch.tensor(PRIORS, dtype=torch.float64)), dim=0)
    found = classify_body(volume, mask, bundle)
    assert tuple(found) == CLASSES
    assert list(found.values()) == pytest.approx(expected.tolist(), abs=1e-9)


def test_classes_are_told_by_name_and_not_by_place(made: tuple[Volume, Segmentation], tmp_path: Path) -> None:
    classes = ("osteoporosis", "normal", "osteopenia")
    bundle = write_classifier(tmp_path / "made", (3.0, 2.0, 1.0), classes=classes, priors=None, tau1=None, tau2=None)
    found = classify_body(made[0], made[1].bodies == L1, bundle)
    shares = np.exp([2.0, 1.0, 3.0]) / np.exp([2.0, 1.0, 3.0]).sum()
    assert list(found) == list(CLASSES)
    assert list(found.values()) == pytest.approx(shares.tolist())


def test_only_the_body_and_its_margin_are_looked_at(made: tuple[Volume, Segmentation], looking: Bundle) -> None:
    volume, segmentation = made
    mask = segmentation.bodies == L1
    first = classify_body(volume, mask, looking)
    outside = volume.hu.copy()
    away = np.ones(volume.hu.shape, dtype=bool)
    low, high = np.argwhere(mask).min(axis=0) - 6, np.argwhere(mask).max(axis=0) + 7
    away[tuple(slice(max(a, 0), b) for a, b in zip(low, high, strict=True))] = False
    outside[away] = 900
    assert classify_body(dataclasses.replace(volume, hu=outside), mask, looking) == first
    softer = np.where(mask, volume.hu - 80, volume.hu).astype(np.int16)
    assert classify_body(dataclasses.replace(volume, hu=softer), mask, looking) != first


def test_scores_that_are_no_numbers_are_no_prediction(
    made: tuple[Volume, Segmentation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_classifier(tmp_path / "medconv")
    monkeypatch.setattr(classifier, "load_network", lambda _: lambda given: torch.full((len(given), 3), torch.nan))
    found = classified(made, tmp_path)
    assert found.density is not None
    assert found.density.probabilities is None
    assert [notice.code for notice in found.warnings] == [WarningCode.CLASSIFIER_FAILED]
    assert "scores that are no numbers" in found.warnings[0].text


@pytest.mark.parametrize(
    ("predicted", "band", "agreement"),
    [
        ("osteoporosis", Band.LOW, ClassAgreement.AGREES),
        ("osteopenia", Band.LOW, ClassAgreement.ONE_STEP_APART),
        ("normal", Band.LOW, ClassAgreement.CONTRADICTS),
        ("osteoporosis", Band.INTERMEDIATE, ClassAgreement.ONE_STEP_APART),
        ("osteopenia", Band.INTERMEDIATE, ClassAgreement.AGREES),
        ("normal", Band.INTERMEDIATE, ClassAgreement.ONE_STEP_APART),
        ("osteoporosis", Band.ABOVE, ClassAgreement.CONTRADICTS),
        ("osteopenia", Band.ABOVE, ClassAgreement.ONE_STEP_APART),
        ("normal", Band.ABOVE, ClassAgreement.AGREES),
    ],
)
def test_class_and_band_agree_step_by_step(predicted: str, band: Band, agreement: ClassAgreement) -> None:
    assert agreement_of(predicted, band) is agreement


def test_a_prediction_names_level_class_model_and_basis(made: tuple[Volume, Segmentation], tmp_path: Path) -> None:
    bundle = write_classifier(tmp_path / "medconv", (0.0, 2.0, 1.0), tau2=0.0)
    found = classified(made, tmp_path)
    assert found.warnings == ()
    assert found.density is not None
    assert found.density.probabilities == pytest.approx(dict(zip(CLASSES, (0.0900306, 0.6652410, 0.2447285), strict=True)))
    assert (found.density.level, found.density.predicted, found.density.agreement) == ("L1", "osteopenia", ClassAgreement.AGREES)
    assert found.density.model == bundle.model_used
    assert found.density.because == "read from the body of L1 and 2 mm around it, in a box of 48 x 48 x 48 mm"
    assert dict(found.density.percentages) == {"normal": 9, "osteopenia": 67, "osteoporosis": 24}


def test_a_contradiction_is_a_warning_that_names_both(tmp_path: Path) -> None:
    low = spine(spacing_mm=(2.5, 2.0, 2.0), trabecular_hu=(95, 90, 85))
    write_classifier(tmp_path / "medconv", (3.0, 0.0, 0.0))
    found = classified(low, tmp_path)
    assert found.density is not None
    assert found.density.agreement is ClassAgreement.CONTRADICTS
    assert [notice.code for notice in found.warnings] == [WarningCode.CLASS_CONTRADICTS_BAND]
    assert found.warnings[0].text == (
        "The model medconv (trained on simulated patients) predicts normal at L1, where 90 HU (low) were measured: "
        "the two contradict each other, and neither changes the other."
    )


def test_no_bundle_and_no_leave_are_said_and_no_warning(made: tuple[Volume, Segmentation], tmp_path: Path) -> None:
    absent = classified(made, tmp_path)
    assert absent.warnings == ()
    assert absent.density is not None
    assert absent.density.probabilities is None
    assert absent.density.because.startswith("there is no bundle 'medconv'")
    write_classifier(tmp_path / "medconv", (0.0, 2.0, 0.0))
    waiting = classified(made, tmp_path, allow=False)
    assert waiting.warnings == ()
    assert waiting.density is not None
    assert (waiting.density.probabilities, waiting.density.predicted, waiting.density.model) == (None, None, None)
    assert waiting.density.because.startswith("medconv 1.0.0 was trained on simulated patients, not on patients")
    assert classified(made, tmp_path, options=CtOptions(classifier=None)) == Classified()


def test_what_was_trained_on_patients_needs_no_leave(made: tuple[Volume, Segmentation], tmp_path: Path) -> None:
    write_classifier(tmp_path / "medconv", (0.0, 2.0, 0.0), trained_on=TrainedOn.PATIENTS)
    found = classified(made, tmp_path, allow=False)
    assert found.density is not None
    assert found.density.predicted == "osteopenia"


def test_a_damaged_bundle_costs_a_warning(made: tuple[Volume, Segmentation], tmp_path: Path) -> None:
    write_classifier(tmp_path / "medconv")
    weights = tmp_path / "medconv" / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-8])
    found = classified(made, tmp_path)
    assert found.density is not None
    assert found.density.probabilities is None
    assert [notice.code for notice in found.warnings] == [WarningCode.CLASSIFIER_FAILED]
    assert "model.safetensors has changed" in found.warnings[0].text


def test_another_bundle_than_the_pinned_one_costs_a_warning(made: tuple[Volume, Segmentation], tmp_path: Path) -> None:
    write_classifier(tmp_path / "medconv")
    volume, segmentation = made
    options = CtOptions(bundles=BundleSource(shipped=tmp_path, allow_simulated=True, pinned={"medconv": "0" * 64}))
    vertebrae = assess(measure_bodies(volume, segmentation, options).bodies, options)
    found = classify_study(volume, segmentation, vertebrae, summarise(vertebrae, ContrastPhase.NATIVE, 120.0, options), options)
    assert [notice.code for notice in found.warnings] == [WarningCode.CLASSIFIER_FAILED]
    assert "pins medconv" in found.warnings[0].text


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), MemoryError(), ImportError("No module named torch")])
def test_a_network_that_fails_costs_a_warning(
    made: tuple[Volume, Segmentation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(_: Bundle) -> None:
        raise error

    write_classifier(tmp_path / "medconv")
    monkeypatch.setattr(classifier, "load_network", fail)
    found = classified(made, tmp_path)
    assert [notice.code for notice in found.warnings] == [WarningCode.CLASSIFIER_FAILED]
    assert type(error).__name__ in found.warnings[0].text


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"classes": ("normal", "osteopenia", "fracture")}, "its classes is normal, osteopenia, fracture"),
        ({"crop": None}, "its crop is missing"),
        ({"crop": Crop(level="L2")}, "its level of the crop is L2"),
        ({"input": classifier_input(window_hu=None, normalisation=Normalisation.MIN_MAX)}, "its normalisation is min_max"),
        ({"input": classifier_input(orientation="LPS")}, "its orientation is LPS"),
        ({"input": classifier_input(spacing_mm=())}, "its spacing_mm is missing"),
        ({"kind": Kind.SEGMENTATION}, "its kind is segmentation"),
    ],
)
def test_a_bundle_for_something_else_is_refused(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(BundleError, match=f"the bundle medconv is no density classifier for CT: {named}"):
        check_classifier(write_classifier(tmp_path / "medconv", **changes))


def test_no_class_where_l1_is_doubted_excluded_or_absent(tmp_path: Path) -> None:
    write_classifier(tmp_path / "medconv", (0.0, 2.0, 0.0))
    doubted = classified(spine(spacing_mm=(2.5, 2.0, 2.0), certain=False), tmp_path)
    absent = classified(spine(("T9", "T10", "T11"), spacing_mm=(2.5, 2.0, 2.0)), tmp_path)
    for found in (doubted, absent):
        assert found.density is not None
        assert found.density.probabilities is None
        assert found.density.because == "no vertebra is certain to be L1"
        assert found.warnings == ()
    volume, segmentation = spine(spacing_mm=(2.5, 2.0, 2.0))
    cemented = volume.hu.copy()
    where = np.argwhere(segmentation.bodies == L1)
    low, high = where.mean(axis=0).astype(int) - 4, where.mean(axis=0).astype(int) + 5
    cemented[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = 1500
    excluded = classified((dataclasses.replace(volume, hu=cemented), segmentation), tmp_path)
    assert excluded.density is not None
    assert excluded.density.probabilities is None
    assert excluded.density.because.startswith(f"L1 is excluded ({ReasonCode.METAL_OR_CEMENT}: ")


def test_a_classifier_of_whole_vertebrae_needs_their_masks(made: tuple[Volume, Segmentation], tmp_path: Path) -> None:
    write_classifier(tmp_path / "medconv", (0.0, 2.0, 0.0), crop=Crop(mask="vertebra", margin_mm=3.0))
    without = classified(made, tmp_path)
    assert without.density is not None
    assert without.density.probabilities is None
    assert without.density.because == "medconv reads whole vertebrae, the segmentation phantom has bodies alone"
    volume, segmentation = made
    found = classified((volume, dataclasses.replace(segmentation, whole=segmentation.bodies)), tmp_path)
    assert found.density is not None
    assert found.density.predicted == "osteopenia"
    assert found.density.because == "read from the vertebra of L1 and 3 mm around it, in a box of 48 x 48 x 48 mm"


@pytest.mark.parametrize(
    ("shares", "percentages"),
    [
        ((0.334, 0.333, 0.333), (34, 33, 33)),
        ((0.005, 0.005, 0.99), (1, 0, 99)),
        ((0.0, 0.0, 1.0), (0, 0, 100)),
        ((0.125, 0.625, 0.25), (13, 62, 25)),
    ],
)
def test_percentages_are_whole_and_sum_to_a_hundred(shares: tuple[float, ...], percentages: tuple[int, ...]) -> None:
    found = DensityClass(
        level="L1",
        probabilities=dict(zip(CLASSES, shares, strict=True)),
        predicted="normal",
        agreement=ClassAgreement.AGREES,
        model=MODEL,
        because="made",
    )
    assert tuple(found.percentages.values()) == percentages


def test_a_class_without_its_model_cannot_be_said() -> None:
    with pytest.raises(ValueError, match="known together or not at all"):
        DensityClass(level="L1", probabilities=None, predicted="normal", agreement=None, model=None, because="")


def test_a_classifier_is_ready_without_torchs_compiler(looking: Bundle) -> None:
    """MONAI's ResNets draw normal numbers, which on the meta device would load ``torch._dynamo``: seconds, and 70 MB, in every worker."""
    code = (
        "import sys, torch; from pathlib import Path; from inference.bundles import load_bundle, load_network;"
        f"network = load_network(load_bundle(Path({str(looking.folder)!r})));"
        f"torch.inference_mode()(network)(torch.zeros(1, 1, {SIZE}, {SIZE}, {SIZE}));"
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
